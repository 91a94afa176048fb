//! `barewire replay CAPTURE --to ADDR`: sends a captured call again, as it was or changed, or a script of frames, valid or not.
//!
//! Sends the captured headers and messages. Frame boundaries and HPACK encoding are new, because they belonged to the captured
//! connection.

mod calls;
mod compare;
mod exchange;

use std::fmt::Display;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use clap::{Args, ValueEnum};
use tokio::time::{Instant, sleep_until, timeout};

use super::decode::file::{self, InputFlag};
use super::flags::address::address;
use super::flags::keys::Keys;
use super::flags::names::{Behind, Names};
use super::flags::show::{Screen, Show};
use super::flags::to_tls::{H2, TlsClient, ToTls, tls_error};
use super::stdout::written;
use crate::cli::{self, Stop};
use crate::watch::Wire;
use barewire::inspector::capture::{Capture, Connection};
use barewire::inspector::write::{
    DEFAULT_MAX_FRAME_SIZE, RawFrame, Script, Step, header_block, hex, message, set_field,
};
use barewire::inspector::{Filter, Schema};
use barewire::io::Connector;
use barewire::transport::tcp;
use calls::{Action, Body, Call, Field};
use compare::compare;
use exchange::{Exchange, ExchangeLimits, STREAM, Stream, after};

/// With fast timing, the time that a message waits for the answer that preceded it in the capture.
const TURN: Duration = Duration::from_secs(1);

/// The flags of `barewire replay`.
#[derive(Debug, Args)]
pub(super) struct Flags {
    /// Capture to read: pcap, pcapng, JSON lines of this program, or the client's raw bytes; - is standard input
    #[arg(value_name = "CAPTURE", required_unless_present = "raw")]
    capture: Option<PathBuf>,
    /// Server to call: host:port, or a port of the loopback interface
    #[arg(long, value_name = "ADDR", value_parser = address)]
    to: String,
    /// Number of the call in the capture, counted from 1 in the order in which calls began
    #[arg(long, value_name = "N", conflicts_with = "stream")]
    call: Option<usize>,
    /// Stream of the call; the first call on a stream with this number
    #[arg(long, value_name = "ID")]
    stream: Option<u32>,
    /// Header to send; replaces the captured ones with this name. May be given several times
    #[arg(long, value_name = "NAME=VALUE")]
    set_header: Vec<String>,
    /// Header to leave out. May be given several times
    #[arg(long, value_name = "NAME")]
    drop_header: Vec<String>,
    /// Replaces the Nth message: by bytes in hex, by a file, or with FIELD set to VALUE; dots in FIELD select nested fields.
    /// May be given several times
    #[arg(long, value_name = "N=HEX|N=@FILE|N=FIELD=VALUE")]
    message: Vec<String>,
    /// When to send the messages
    #[arg(long, value_enum, default_value = "fast")]
    timing: Timing,
    /// Script of frames to send instead of a call (- is standard input), with lines such as `preface`, `headers 1
    /// :path=/a.B/C`, `frame DATA 1 END_STREAM length=9 00`, `hex 00ff`, `wait 100`
    #[arg(long, value_name = "FILE", conflicts_with_all = ["capture", "call", "stream", "set_header", "drop_header", "message", "timing"])]
    raw: Option<PathBuf>,
    /// Seconds to wait for the next bytes of an answer, and for the server to read
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    patience: u64,
    /// Most seconds for the whole call, beyond the time that it took in the capture with --timing as-was
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    max_time: u64,
    /// Most bytes of an answer; a small frame counts for up to 192 more
    #[arg(long, value_name = "N", default_value_t = 64 << 20)]
    max_bytes: usize,
    #[command(flatten)]
    tls: ToTls,
    /// Sends a call without TLS although it came over TLS, so that everyone on the way can read its secrets
    #[arg(long, alias = "allow-plaintext", conflicts_with = "to_tls")]
    plaintext: bool,
    /// Fails if the answer differs from the captured one
    #[arg(long, conflicts_with = "raw")]
    expect_same: bool,
    #[command(flatten)]
    input: InputFlag,
    #[command(flatten)]
    keys: Keys,
    #[command(flatten)]
    names: Names,
    #[command(flatten)]
    show: Show,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Timing {
    /// At the captured times
    AsWas,
    /// At once; but a message that followed an answer waits for one
    Fast,
}

pub(super) async fn run(flags: Flags, color: bool) -> Result<(), Stop> {
    let behind = Behind { address: &flags.to, tls: flags.tls.client_tls()? };
    let schema = flags.names.schema(Some(behind)).await?;
    let tls = flags.tls.client()?;
    let patience = Duration::from_secs(flags.patience);
    let mut time = Duration::from_secs(flags.max_time);
    let show = flags.show.or_as(&Wire::Off);
    let screen = |record: Connection| {
        if !show.is_on() {
            return Ok(());
        }
        let capture = Capture { connections: vec![record], ..Capture::new(SystemTime::now()) };
        written(Screen::new(&show, Filter::default(), color, schema.clone(), io::stdout()).capture(&capture, None))
    };
    if let Some(file) = &flags.raw {
        let script = Script::parse(&text_of(file, flags.input)?).map_err(|error| usage(file, &error))?;
        let mut exchange = connect(&flags, tls, &schema).await?;
        let performed = limited(time, perform(&mut exchange, script, patience)).await;
        let trouble = exchange.trouble.take();
        screen(exchange.into_record())?;
        return performed.and_then(|()| trouble.map_or(Ok(()), Err)).map_err(|error| failed(&flags.to, &error));
    }
    let file = flags.capture.as_deref().unwrap_or(Path::new(""));
    let mut call = chosen(&flags, file, &schema)?;
    if call.is_secret && tls.is_none() && !flags.plaintext {
        let why = "the call came over TLS; use --to-tls, or --plaintext to send its secrets in the clear";
        return Err(usage(file, &why));
    }
    edit(&mut call, &flags, &schema)?;
    let headers = known_headers(&call)?;
    let connected = tls.clone();
    let mut exchange = connect(&flags, tls, &schema).await?;
    if flags.timing == Timing::AsWas {
        let last = call.sent.last().map_or(Duration::ZERO, |last| last.time.saturating_sub(call.began));
        time = time.saturating_add(last);
    }
    let sent = limited(time, send(&mut exchange, &call, &headers, flags.timing, patience)).await;
    let trouble = exchange.trouble.take().map(|error| match &connected {
        Some(tls) if tls_error(&error).is_some() => tls.explained(error),
        _ => error,
    });
    let record = exchange.into_record();
    let fresh = calls::calls(&record, &schema).into_iter().next().map(|call| call.answer).unwrap_or_default();
    screen(record)?;
    sent.and_then(|()| trouble.map_or(Ok(()), Err)).map_err(|error| failed(&flags.to, &error))?;
    let mut out = io::stdout().lock();
    let mut differs = false;
    written(
        writeln!(out, "\n{} again, compared with the captured answer:", call.path)
            .and_then(|()| compare(&call.answer, &fresh, &mut out))
            .map(|compared| differs = compared),
    )?;
    match fresh.end {
        None => Err(Stop::Failed(format!("{} did not end the call within {patience:?}", flags.to))),
        Some(_) if differs && flags.expect_same => {
            Err(Stop::Failed("the answer differs from the captured one".to_owned()))
        }
        Some(_) => Ok(()),
    }
}

async fn connect(flags: &Flags, tls: Option<TlsClient>, schema: &Schema) -> Result<Exchange, Stop> {
    let unreachable = |error: io::Error| Stop::Usage(format!("can't connect: {error}; name the server with --to"));
    let connector = tcp::connect(&*flags.to);
    let (socket, server) = connector.open().await.map_err(unreachable)?;
    let client = socket.local_addr().map_err(|error| failed(&flags.to, &error))?;
    let limits = ExchangeLimits { patience: Duration::from_secs(flags.patience), bytes: flags.max_bytes };
    let stream: Box<dyn Stream> = match tls {
        None => Box::new(socket),
        Some(tls) => {
            let connected = tls.connect(socket, connector.authority(), None, vec![H2.to_vec()]).await;
            let (stream, session) =
                connected.map_err(|error| Stop::Usage(format!("can't connect to {}: {error}", flags.to)))?;
            if !session.has_h2() {
                let chose = session.protocol_name();
                cli::say(format_args!("warning: the server did not choose HTTP/2 by ALPN: it chose {chose}"));
            }
            Box::new(stream)
        }
    };
    Ok(Exchange::new(stream, client, server, schema.clone(), limits))
}

/// Limits the time of an exchange, which keeps what has passed until then.
async fn limited(time: Duration, exchange: impl Future<Output = io::Result<()>>) -> io::Result<()> {
    let late = || {
        io::Error::new(io::ErrorKind::TimedOut, format!("not done within {time:?}; set another time with --max-time"))
    };
    timeout(time, exchange).await.unwrap_or_else(|_| Err(late()))
}

fn usage(file: &Path, error: &dyn Display) -> Stop {
    Stop::Usage(format!("{}: {error}", file::name(file)))
}

fn failed(to: &str, error: &dyn Display) -> Stop {
    Stop::Failed(format!("{to}: {error}"))
}

fn text_of(file: &Path, input: InputFlag) -> Result<String, Stop> {
    let bytes = file::bytes_of(file, input).map_err(|error| usage(file, &error))?;
    String::from_utf8(bytes).map_err(|error| usage(file, &error))
}

/// Returns the call that the flags select, by default the first.
fn chosen(flags: &Flags, file: &Path, schema: &Schema) -> Result<Call, Stop> {
    let capture = file::read(file, flags.input, &flags.keys)?;
    let mut calls: Vec<Call> = capture.connections.iter().flat_map(|it| calls::calls(it, schema)).collect();
    let count = calls.len();
    let place = match (flags.call, flags.stream) {
        (Some(number), _) => number.checked_sub(1).filter(|at| *at < count),
        (None, Some(stream)) => calls.iter().position(|call| call.stream == stream),
        (None, None) => (count > 0).then_some(0),
    };
    match place {
        Some(place) => Ok(calls.swap_remove(place)),
        None if count == 0 => Err(usage(file, &"found no gRPC call with known headers")),
        None => Err(usage(file, &format_args!("no such call: the capture has {count}, and --call counts from 1"))),
    }
}

/// Applies the changes that the flags ask for.
fn edit(call: &mut Call, flags: &Flags, schema: &Schema) -> Result<(), Stop> {
    for name in &flags.drop_header {
        let before = call.headers.len();
        call.headers.retain(|field| !field.is(name));
        if call.headers.len() == before {
            return Err(Stop::Usage(format!("--drop-header {name}: the call has no such header")));
        }
    }
    for header in &flags.set_header {
        // The name of a pseudo-header field begins with a colon; names contain no `=`.
        let (name, value) =
            header.split_once('=').ok_or_else(|| Stop::Usage(format!("--set-header {header}: must be NAME=VALUE")))?;
        set_header(&mut call.headers, name, value);
    }
    for flag in &flags.message {
        let wrong = |reason: &dyn Display| Stop::Usage(format!("--message {flag}: {reason}"));
        let shape = "must be N=HEX, N=@FILE or N=FIELD=VALUE";
        let (number, new) = flag.split_once('=').ok_or_else(|| wrong(&shape))?;
        let number: usize = number.parse().map_err(|_| wrong(&shape))?;
        let mut bodies = call.sent.iter_mut().filter_map(|sent| match &mut sent.action {
            Action::Message { body, .. } => Some(body),
            Action::HalfClose | Action::Reset(_) => None,
        });
        let body = number.checked_sub(1).and_then(|at| bodies.nth(at));
        set_message(body.ok_or_else(|| wrong(&"the client sent no such message"))?, new, schema)
            .map_err(|it| wrong(&it))?;
    }
    Ok(())
}

/// Replaces the first header with this name, and removes the others. Adds a new header at the end, or a pseudo-header field in
/// front.
fn set_header(headers: &mut Vec<Field>, name: &str, value: &str) {
    let field = Field { name: Some(name.as_bytes().into()), value: Some(value.as_bytes().into()) };
    let last = if name.starts_with(':') { 0 } else { headers.len() };
    let place = headers.iter().position(|field| field.is(name)).unwrap_or(last);
    let (before, behind) = headers.split_at(place);
    let others = behind.iter().filter(|field| !field.is(name));
    *headers = before.iter().chain([&field]).chain(others).cloned().collect();
}

fn set_message(body: &mut Body, new: &str, schema: &Schema) -> Result<(), String> {
    let payload = if let Some(file) = new.strip_prefix('@') {
        std::fs::read(file).map_err(|error| format!("{file}: {error}"))?
    } else if let Some((path, value)) = new.split_once('=') {
        let Some(type_name) = &body.type_name else {
            return Err("unknown message type; define it with --proto or --descriptor-set".to_owned());
        };
        if body.flag != 0 {
            return Err("the message is compressed; give it in hex".to_owned());
        }
        set_field(schema, type_name, &body.payload, path, value).map_err(|error| error.to_string())?
    } else {
        hex(new)?
    };
    (body.flag, body.payload) = (0, payload);
    Ok(())
}

/// A header's name and value.
type Pair<'a> = (&'a [u8], &'a [u8]);

/// Returns the headers to send. Fails if one is unknown, because the capture misses earlier header blocks.
fn known_headers(call: &Call) -> Result<Vec<Pair<'_>>, Stop> {
    let known = |field| match field {
        &Field { name: Some(ref name), value: Some(ref value) } => Ok((&**name, &**value)),
        Field { name: Some(name), .. } => {
            let name = name.escape_ascii();
            Err(Stop::Usage(format!(
                "the value of {name} is not in the capture; set it with --set-header {name}=VALUE"
            )))
        }
        Field { name: None, .. } => {
            Err(Stop::Usage("the capture began too late: headers of the call are not in it".to_owned()))
        }
    };
    call.headers.iter().map(known).collect()
}

/// Sends the call, and receives until the answer ends or nothing arrives for `patience`.
async fn send(
    exchange: &mut Exchange,
    call: &Call,
    headers: &[Pair<'_>],
    timing: Timing,
    patience: Duration,
) -> io::Result<()> {
    exchange.begin().await?;
    let begun = Instant::now();
    let mut wire = Vec::new();
    let block = header_block(headers.iter().copied());
    let frames = RawFrame::headers(STREAM, &block, call.is_only_headers, DEFAULT_MAX_FRAME_SIZE);
    frames.iter().for_each(|frame| frame.write(&mut wire));
    exchange.send(&wire).await?;
    for sent in &call.sent {
        match timing {
            Timing::AsWas => {
                let due = begun + sent.time.saturating_sub(call.began);
                while exchange.receive(due).await? {}
            }
            Timing::Fast => while exchange.messages < sent.answered && exchange.receive(after(TURN)).await? {},
        }
        if exchange.is_over {
            break;
        }
        let sent = match &sent.action {
            Action::Message { body, end_stream } => {
                let bytes = message(body.flag, &body.payload);
                exchange.send_data(&bytes, *end_stream, after(patience)).await?
            }
            Action::HalfClose => exchange.send_data(&[], true, after(patience)).await?,
            Action::Reset(code) => {
                let mut wire = Vec::new();
                RawFrame::reset(STREAM, *code).write(&mut wire);
                exchange.send(&wire).await?;
                exchange.is_over = true;
                return Ok(());
            }
        };
        if !sent {
            break;
        }
    }
    while exchange.receive(after(patience)).await? {}
    Ok(())
}

/// Runs a script, and receives until the peer closes the connection or nothing arrives for `patience`.
async fn perform(exchange: &mut Exchange, script: Script, patience: Duration) -> io::Result<()> {
    for step in script.0 {
        match step {
            Step::Send(bytes) => exchange.send(&bytes).await?,
            Step::Wait(wait) => {
                let due = after(wait);
                while exchange.receive(due).await? {}
                sleep_until(due).await;
            }
        }
    }
    while exchange.receive(after(patience)).await? {}
    Ok(())
}
