//! The lower bound that h2 sets: a server that answers every request with fixed bytes and decodes nothing.
//!
//! It does on the connection's own task what every gRPC server on h2 must do: take the stream, read the request to its
//! end, send HEADERS, DATA and the trailers. The difference from this number is a library's own cost. Unary calls take the
//! shortest way. For the other kinds it sends features packed into DATA as a library that batches would, discards points, and
//! echoes notes.

use std::collections::HashMap;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use http::{Request, Response};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;

use crate::prefixed::{blob, packed, pair, read_pair};
use crate::{ANSWER, GET_FEATURE, GRPC, GRPC_STATUS, LIST_FEATURES, RECORD_ROUTE, REQUEST, server_settings};

type Stream = (Request<RecvStream>, SendResponse<Bytes>);

/// Accepts connections endlessly. ListFeatures returns `features` messages.
pub async fn accept(listener: TcpListener, features: usize) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(async move {
            if let Err(error) = serve(stream, features).await {
                eprintln!("connection ended: {error}");
            }
        });
    }
}

/// Serves a connection: accepts all streams that have arrived before it answers any, so that the answers share a write.
pub async fn serve<T: AsyncRead + AsyncWrite + Unpin>(stream: T, features: usize) -> Result<(), h2::Error> {
    let mut connection = server_settings().handshake(stream).await?;
    let mut calls: Vec<Call> = Vec::new();
    poll_fn(|cx| {
        loop {
            while let Poll::Ready(arrived) = connection.poll_accept(cx) {
                match arrived {
                    Some(stream) => calls.push(Call::new(stream?, features)),
                    None => return Poll::Ready(Ok(())),
                }
            }
            let unanswered = calls.len();
            calls.retain_mut(|call| call.poll(cx).is_pending());
            if calls.len() == unanswered {
                return Poll::Pending;
            }
        }
    })
    .await
}

/// A call that has not ended yet.
enum Call {
    Unary { request: RecvStream, respond: SendResponse<Bytes> },
    Other(Pin<Box<dyn Future<Output = Result<(), h2::Error>> + Send>>),
}

impl Call {
    fn new(stream: Stream, features: usize) -> Call {
        match stream.0.uri().path() == GET_FEATURE {
            true => Call::Unary { request: stream.0.into_body(), respond: stream.1 },
            false => Call::Other(Box::pin(other(stream, features))),
        }
    }

    /// Ready once h2 has the answer, or the peer has reset the stream.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            Call::Unary { request, respond } => {
                while !request.is_end_stream() {
                    match ready!(request.poll_data(cx)) {
                        Some(Ok(_)) => {}
                        Some(Err(_)) => return Poll::Ready(()),
                        None => break,
                    }
                }
                let _peer_is_gone = answer(respond);
                Poll::Ready(())
            }
            Call::Other(call) => call.as_mut().poll(cx).map(drop),
        }
    }
}

fn answer(respond: &mut SendResponse<Bytes>) -> Result<(), h2::Error> {
    let mut stream = respond.send_response(head(), false)?;
    stream.send_data(Bytes::from_static(ANSWER), false)?;
    stream.send_trailers(trailers())
}

fn head() -> Response<()> {
    let mut response = Response::new(());
    response.headers_mut().insert(CONTENT_TYPE, GRPC);
    response
}

fn trailers() -> HeaderMap {
    let mut trailers = HeaderMap::new();
    trailers.insert(GRPC_STATUS, HeaderValue::from_static("0"));
    trailers
}

async fn other((request, mut respond): Stream, features: usize) -> Result<(), h2::Error> {
    let (parts, mut body) = request.into_parts();
    let mut out = respond.send_response(head(), false)?;
    match parts.uri.path() {
        LIST_FEATURES => {
            drain(&mut body).await?;
            for piece in packed(ANSWER, features) {
                send(&mut out, piece).await?;
            }
        }
        RECORD_ROUTE => {
            let points = drain(&mut body).await? / REQUEST.len();
            send(&mut out, pair(points as i32, 0)).await?;
        }
        "/bench.Blobs/Answer" => {
            let (size, _) = ask(&mut body).await?;
            send(&mut out, kept_blob(size)).await?;
        }
        "/bench.Blobs/Download" => {
            let (size, count) = ask(&mut body).await?;
            for _ in 0..count {
                send(&mut out, kept_blob(size)).await?;
            }
        }
        "/bench.Blobs/Upload" => {
            drain(&mut body).await?;
            send(&mut out, pair(0, 0)).await?;
        }
        _ => {
            while let Some(chunk) = body.data().await {
                let chunk = chunk?;
                let size = chunk.len();
                send(&mut out, chunk).await?;
                body.flow_control().release_capacity(size)?;
            }
        }
    }
    out.send_trailers(trailers())
}

/// Reads to the end and returns the number of bytes.
async fn drain(body: &mut RecvStream) -> Result<usize, h2::Error> {
    let mut size = 0;
    while let Some(chunk) = body.data().await {
        let chunk = chunk?;
        size += chunk.len();
        body.flow_control().release_capacity(chunk.len())?;
    }
    Ok(size)
}

async fn ask(body: &mut RecvStream) -> Result<(i32, i32), h2::Error> {
    let mut message = Vec::new();
    while let Some(chunk) = body.data().await {
        message.extend_from_slice(&chunk?);
    }
    Ok(read_pair(&message))
}

/// Returns the blob of this size, which is made once.
fn kept_blob(size: i32) -> Bytes {
    static KEPT: LazyLock<Mutex<HashMap<i32, Bytes>>> = LazyLock::new(Mutex::default);
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    kept.entry(size).or_insert_with(|| blob(size as usize)).clone()
}

/// Passes bytes to h2 as the peer's window allows.
pub async fn send(out: &mut SendStream<Bytes>, mut bytes: Bytes) -> Result<(), h2::Error> {
    while !bytes.is_empty() {
        out.reserve_capacity(bytes.len());
        if out.capacity() == 0 {
            poll_fn(|cx| out.poll_capacity(cx)).await.ok_or(Reason::CANCEL)??;
            continue;
        }
        let size = out.capacity().min(bytes.len());
        out.send_data(bytes.split_to(size), false)?;
    }
    Ok(())
}
