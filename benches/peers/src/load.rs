//! The neutral load: bare h2 clients that measure and check every answer. Each mode prints one line of JSON.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::{Duration, Instant};

use barewire_instructions::ceiling::send;
use barewire_instructions::load::{Outcome, answer, begin, connect, expect, list, record, unary};
use barewire_instructions::prefixed::{Counter, blob, note, packed, pair};
use barewire_instructions::{ANSWER, GET_FEATURE, LIST_FEATURES, RECORD_ROUTE, REQUEST, ROUTE_CHAT, request_headers};
use bytes::Bytes;
use h2::client::SendRequest;
use http::Request;
use tokio::net::TcpStream;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsConnector;

use crate::{to_text, tls};

/// The address of the server, and TLS or not.
#[derive(Clone)]
pub struct Target {
    port: u16,
    tls: Option<TlsConnector>,
}

/// One connection.
pub struct Connection {
    requests: SendRequest<Bytes>,
    driver: JoinHandle<Result<(), h2::Error>>,
}

impl Target {
    /// Creates a target at this port of 127.0.0.1, with TLS if an authority is given.
    pub fn new(port: u16, authority: Option<&PathBuf>) -> Outcome<Target> {
        Ok(Target { port, tls: authority.map(|authority| tls::connector(authority)).transpose()? })
    }

    /// Opens a connection.
    pub async fn connect(&self) -> Outcome<Connection> {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).await.map_err(to_text)?;
        stream.set_nodelay(true).map_err(to_text)?;
        let (requests, driver) = match &self.tls {
            None => connect(stream).await?,
            Some(tls) => connect(tls.connect(tls::name(), stream).await.map_err(to_text)?).await?,
        };
        Ok(Connection { requests, driver })
    }

    fn request(&self, path: &str) -> Outcome<Request<()>> {
        request_headers(self.port, path).map_err(to_text)
    }
}

impl Connection {
    async fn get_feature(&mut self, target: &Target) -> Outcome<()> {
        unary(&mut self.requests, target.request(GET_FEATURE)?, Bytes::from_static(REQUEST), ANSWER).await
    }

    /// Sends GOAWAY after all streams were dropped. Does not wait for the peer to receive it.
    pub async fn close(self) {
        drop(self.requests);
        let _ended = self.driver.await;
    }
}

/// Makes unary calls one after another for a time. Reports their number, and the median and 99 % latency in µs.
pub async fn latency(target: &Target, length: Duration) -> Outcome<String> {
    let mut connection = target.connect().await?;
    let template = target.request(GET_FEATURE)?;
    let mut times = Vec::with_capacity(1 << 20);
    let begun = Instant::now();
    while begun.elapsed() < length {
        let call = Instant::now();
        unary(&mut connection.requests, template.clone(), Bytes::from_static(REQUEST), ANSWER).await?;
        times.push(call.elapsed().as_nanos() as u64);
    }
    connection.close().await;
    let calls = times.len();
    times.sort_unstable();
    let at = |share: f64| times.get((calls as f64 * share) as usize).map_or(0.0, |nanos| *nanos as f64 / 1e3);
    Ok(format!(r#"{{"calls":{calls},"p50_us":{:.3},"p99_us":{:.3}}}"#, at(0.5), at(0.99)))
}

/// One ListFeatures.
pub async fn listing(target: &Target, messages: usize) -> Outcome<String> {
    let mut connection = target.connect().await?;
    let begun = Instant::now();
    list(&mut connection.requests, target.request(LIST_FEATURES)?, messages).await?;
    Ok(measured(connection, messages, 0, begun).await)
}

/// One RecordRoute, with its points packed into DATA or in a frame each.
pub async fn recording(target: &Target, messages: usize, pack: bool) -> Outcome<String> {
    let mut connection = target.connect().await?;
    let begun = Instant::now();
    record(&mut connection.requests, target.request(RECORD_ROUTE)?, messages, pack).await?;
    Ok(measured(connection, messages, 0, begun).await)
}

/// One RouteChat: sends notes in a frame each, all at different places, while it reads the answers.
pub async fn chatting(target: &Target, messages: usize) -> Outcome<String> {
    // Runs of one process never use the same places, and those of two processes hardly ever.
    static PLACES: AtomicI32 = AtomicI32::new(0);
    let place = PLACES.fetch_add(1, Ordering::Relaxed) + std::process::id() as i32;
    let notes = (0..messages).map(move |number| note((place, number as i32 + 1), "a note of some length"));
    let mut connection = target.connect().await?;
    let begun = Instant::now();
    duplex(&mut connection, target.request(ROUTE_CHAT)?, notes, messages).await?;
    Ok(measured(connection, messages, 0, begun).await)
}

/// Blobs from the server.
pub async fn download(target: &Target, size: i32, count: i32) -> Outcome<String> {
    let mut connection = target.connect().await?;
    let begun = Instant::now();
    let (response, mut stream) = begin(&mut connection.requests, target.request("/bench.Blobs/Download")?)?;
    stream.send_data(pair(size, count), true).map_err(to_text)?;
    let mut counter = Counter::default();
    answer(response, |chunk| {
        counter.push(chunk);
        Ok(())
    })
    .await?;
    expect(&counter, count as usize)?;
    drop(stream);
    Ok(measured(connection, count as usize, counter.bytes, begun).await)
}

/// Blobs to the server.
pub async fn upload(target: &Target, size: usize, count: usize) -> Outcome<String> {
    let mut connection = target.connect().await?;
    let begun = Instant::now();
    let (response, mut stream) = begin(&mut connection.requests, target.request("/bench.Blobs/Upload")?)?;
    for piece in packed(&blob(size), count) {
        send(&mut stream, piece).await.map_err(to_text)?;
    }
    stream.send_data(Bytes::new(), true).map_err(to_text)?;
    answer(response, |_| Ok(())).await?;
    drop(stream);
    Ok(measured(connection, count, count * blob(size).len(), begun).await)
}

/// Blobs there and back, as many at a time as the windows allow.
pub async fn echo(target: &Target, size: usize, count: usize) -> Outcome<String> {
    let mut connection = target.connect().await?;
    let message = blob(size);
    let bytes = message.len() * count;
    let begun = Instant::now();
    let messages = std::iter::repeat_n(message, count);
    duplex(&mut connection, target.request("/bench.Blobs/Echo")?, messages, count).await?;
    Ok(measured(connection, count, bytes, begun).await)
}

/// Sends in a separate task while it reads the answers, and expects one for each message.
async fn duplex(
    connection: &mut Connection,
    request: Request<()>,
    messages: impl Iterator<Item = Bytes> + Send + 'static,
    count: usize,
) -> Outcome<()> {
    let (response, mut stream) = begin(&mut connection.requests, request)?;
    let sending = tokio::spawn(async move {
        for message in messages {
            send(&mut stream, message).await?;
        }
        stream.send_data(Bytes::new(), true)
    });
    let mut counter = Counter::default();
    answer(response, |chunk| {
        counter.push(chunk);
        Ok(())
    })
    .await?;
    sending.await.map_err(to_text)?.map_err(to_text)?;
    expect(&counter, count)
}

async fn measured(connection: Connection, messages: usize, bytes: usize, begun: Instant) -> String {
    let seconds = begun.elapsed().as_secs_f64();
    connection.close().await;
    format!(r#"{{"messages":{messages},"bytes":{bytes},"seconds":{seconds:.6}}}"#)
}

/// Opens connections for a time, eight at once, and makes a call on each before closing it.
pub async fn connections(target: &Target, length: Duration) -> Outcome<String> {
    let target = Arc::new(target.clone());
    let begun = Instant::now();
    let mut openers = JoinSet::new();
    for _ in 0..8 {
        let target = target.clone();
        openers.spawn(async move {
            let mut opened = 0;
            while begun.elapsed() < length {
                let mut connection = target.connect().await?;
                connection.get_feature(&target).await?;
                connection.close().await;
                opened += 1;
            }
            Ok::<usize, String>(opened)
        });
    }
    let mut opened = 0;
    while let Some(opener) = openers.join_next().await {
        opened += opener.map_err(to_text)??;
    }
    Ok(format!(r#"{{"connections":{opened},"seconds":{:.6}}}"#, begun.elapsed().as_secs_f64()))
}

/// Opens connections, makes a call on each, reports that, and keeps them open until stdin ends.
pub async fn idle(target: &Target, count: usize) -> Outcome<String> {
    let mut kept = Vec::with_capacity(count);
    for _ in 0..count {
        let mut connection = target.connect().await?;
        connection.get_feature(target).await?;
        kept.push(connection);
    }
    println!("open");
    let ended = tokio::task::spawn_blocking(|| std::io::read_to_string(std::io::stdin()));
    ended.await.map_err(to_text)?.map_err(to_text)?;
    Ok(format!(r#"{{"connections":{count}}}"#))
}

/// Messages of many sizes there and back, one at a time, at several rates. Reports how many took 40 ms or longer: the effect
/// of Nagle's algorithm and delayed acknowledgements on an extra write.
pub async fn stalls(target: &Target, each: usize) -> Outcome<String> {
    const STALL: Duration = Duration::from_millis(40);
    let mut sizes: Vec<usize> = (0..=16).flat_map(|power| [(1 << power) - 1, 1 << power, (1 << power) + 1]).collect();
    sizes.retain(|size| (1..=1 << 16).contains(size));
    sizes.sort_unstable();
    sizes.dedup();
    let (mut messages, mut stalled, mut longest) = (0, Vec::new(), Duration::ZERO);
    for pause in [Duration::ZERO, Duration::from_micros(300), Duration::from_millis(2)] {
        for &size in &sizes {
            let mut slow = 0;
            for took in round_trips(target, size, each, pause).await? {
                messages += 1;
                slow += usize::from(took >= STALL);
                longest = longest.max(took);
            }
            if slow > 0 {
                stalled.push(format!(r#"{{"size":{size},"pause_us":{},"messages":{slow}}}"#, pause.as_micros()));
            }
        }
    }
    let longest = longest.as_secs_f64() * 1e3;
    let stalled = stalled.join(",");
    Ok(format!(r#"{{"messages":{messages},"longest_ms":{longest:.3},"stalled":[{stalled}]}}"#))
}

async fn round_trips(target: &Target, size: usize, count: usize, pause: Duration) -> Outcome<Vec<Duration>> {
    let connection = target.connect().await?;
    let mut requests = connection.requests.clone();
    let (response, mut stream) = begin(&mut requests, target.request("/bench.Blobs/Echo")?)?;
    let message = blob(size);
    let mut times = Vec::with_capacity(count);
    send(&mut stream, message.clone()).await.map_err(to_text)?;
    let mut body = response.await.map_err(to_text)?.into_body();
    let (mut missing, mut begun) = (message.len(), Instant::now());
    while let Some(chunk) = body.data().await {
        let chunk = chunk.map_err(to_text)?;
        body.flow_control().release_capacity(chunk.len()).map_err(to_text)?;
        missing = missing.checked_sub(chunk.len()).ok_or("more bytes than sent")?;
        if missing > 0 {
            continue;
        }
        times.push(begun.elapsed());
        if times.len() == count {
            stream.send_data(Bytes::new(), true).map_err(to_text)?;
            break;
        }
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
        (missing, begun) = (message.len(), Instant::now());
        send(&mut stream, message.clone()).await.map_err(to_text)?;
    }
    while body.data().await.is_some() {}
    drop((requests, stream, body));
    connection.close().await;
    if times.len() == count { Ok(times) } else { Err(format!("{} answers of {count}", times.len())) }
}

/// Calls every method once, so that a server with wrong answers is not measured.
pub async fn check(target: &Target, only_unary: bool, features: usize) -> Outcome<String> {
    let mut connection = target.connect().await?;
    connection.get_feature(target).await?;
    let ask = target.request("/bench.Blobs/Answer")?;
    unary(&mut connection.requests, ask, pair(1024, 0), &blob(1024)).await?;
    connection.close().await;
    if !only_unary {
        listing(target, features).await?;
        recording(target, 1_000, true).await?;
        recording(target, 100, false).await?;
        chatting(target, 100).await?;
        download(target, 1 << 16, 10).await?;
        upload(target, 1 << 16, 10).await?;
        echo(target, 1 << 16, 10).await?;
    }
    Ok("{}".to_owned())
}
