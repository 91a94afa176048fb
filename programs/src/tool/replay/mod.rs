//! `barewire replay CAPTURE --to ADDR`: a captured call sent again, as it was or changed; and scripts of frames, right or wrong.
//!
//! Headers and messages are the captured ones; how they were cut into frames and compressed by HPACK is not, for that was a
//! matter of the connection they were on.

mod calls;
mod compare;
mod exchange;

use std::fmt::Display;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use clap::{Args, ValueEnum};
use tokio::time::{Instant, sleep_until};

use super::decode::file;
use super::flags::address::address;
use super::flags::keys::Keys;
use super::flags::names::{Behind, Names};
use super::flags::show::{Screen, Show};
use super::stdout::written;
use crate::cli::Stop;
use crate::watch::Wire;
use barewire::inspector::capture::{Capture, Connection};
use barewire::inspector::write::{
    DEFAULT_MAX_FRAME_SIZE, RawFrame, Script, Step, header_block, hex, message, set_field,
};
use barewire::inspector::{Filter, Schema};
use barewire::transport::tcp;
use calls::{Body, Call, Field, What};
use compare::compare;
use exchange::{Exchange, STREAM, after};

/// How long a message that once followed an answer waits for that answer when the timing is fast.
const TURN: Duration = Duration::from_secs(1);

/// The flags of `barewire replay`.
#[derive(Debug, Args)]
pub(super) struct Flags {
    /// The capture: pcap, pcapng, JSON lines of this program, or the client's bytes as they are; - is standard input
    #[arg(value_name = "CAPTURE", required_unless_present = "raw")]
    capture: Option<PathBuf>,
    /// The server: host:port, or a port of the loopback interface
    #[arg(long, value_name = "ADDR", value_parser = address)]
    to: String,
    /// Which call of the capture, counted from 1 in the order in which they began
    #[arg(long, value_name = "N", conflicts_with = "stream")]
    call: Option<usize>,
    /// Which call, by its stream; the first with that number counts
    #[arg(long, value_name = "ID")]
    stream: Option<u32>,
    /// A header to send with this value, instead of the captured ones of that name if there are any. May be given several times
    #[arg(long, value_name = "NAME=VALUE")]
    set_header: Vec<String>,
    /// A header not to send. May be given several times
    #[arg(long, value_name = "NAME")]
    drop_header: Vec<String>,
    /// Another message in place of the Nth: bytes in hex, those of a file, or field=value with dots to fields within. May be
    /// given several times
    #[arg(long, value_name = "N=HEX|N=@FILE|N=FIELD=VALUE")]
    message: Vec<String>,
    /// When what follows the headers is sent
    #[arg(long, value_enum, default_value = "fast")]
    timing: Timing,
    /// A script of frames to send instead of a call (- is standard input): lines such as `preface`, `headers 1 :path=/a.B/C`,
    /// `frame DATA 1 END_STREAM length=9 00`, `hex 00ff`, `wait 100`
    #[arg(long, value_name = "FILE", conflicts_with_all = ["capture", "call", "stream", "set_header", "drop_header", "message", "timing"])]
    raw: Option<PathBuf>,
    /// How long an answer may be silent, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    patience: u64,
    /// Fails where the answer is not the captured one
    #[arg(long, conflicts_with = "raw")]
    expect_same: bool,
    #[command(flatten)]
    keys: Keys,
    #[command(flatten)]
    names: Names,
    #[command(flatten)]
    show: Show,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Timing {
    /// At the captured pace
    AsWas,
    /// At once; a message that followed an answer waits for one
    Fast,
}

pub(super) async fn run(flags: Flags, color: bool) -> Result<(), Stop> {
    let behind = Behind { address: &flags.to, tls: None };
    let schema = flags.names.schema(Some(behind)).await?;
    let patience = Duration::from_secs(flags.patience);
    let show = flags.show.or_as(&Wire::Off);
    let screen = |record: Connection| {
        if !show.is_on() {
            return Ok(());
        }
        let capture = Capture { connections: vec![record], ..Capture::new(SystemTime::now()) };
        written(Screen::new(&show, Filter::default(), color, schema.clone(), io::stdout()).capture(&capture))
    };
    if let Some(file) = &flags.raw {
        let script = Script::parse(&text_of(file)?).map_err(|error| usage(file, &error))?;
        let mut exchange = connect(&flags.to, &schema).await?;
        perform(&mut exchange, script, patience).await.map_err(|error| failed(&flags.to, &error))?;
        return screen(exchange.into_record());
    }
    let file = flags.capture.as_deref().unwrap_or(Path::new(""));
    let mut call = chosen(&flags, file, &schema)?;
    edit(&mut call, &flags, &schema)?;
    let headers = known_headers(&call)?;
    let mut exchange = connect(&flags.to, &schema).await?;
    let sent = send(&mut exchange, &call, &headers, flags.timing, patience).await;
    sent.map_err(|error| failed(&flags.to, &error))?;
    let record = exchange.into_record();
    let fresh = calls::calls(&record, &schema).into_iter().next().map(|call| call.answer).unwrap_or_default();
    screen(record)?;
    let mut out = io::stdout().lock();
    let mut differs = false;
    written(
        writeln!(out, "\n{} again, and its answer beside the captured one:", call.path)
            .and_then(|()| compare(&call.answer, &fresh, &mut out))
            .map(|compared| differs = compared),
    )?;
    match fresh.end {
        None => Err(Stop::Failed(format!("{} did not end the call within {patience:?}", flags.to))),
        Some(_) if differs && flags.expect_same => Err(Stop::Failed("the answer is not the captured one".to_owned())),
        Some(_) => Ok(()),
    }
}

async fn connect(to: &str, schema: &Schema) -> Result<Exchange, Stop> {
    let unreachable = |error: io::Error| Stop::Usage(format!("can't connect: {error}; --to names the server"));
    let (socket, server) = tcp::connect(to).open().await.map_err(unreachable)?;
    Exchange::new(socket, server, schema.clone()).map_err(|error| failed(to, &error))
}

fn usage(file: &Path, error: &dyn Display) -> Stop {
    Stop::Usage(format!("{}: {error}", file::name(file)))
}

fn failed(to: &str, error: &dyn Display) -> Stop {
    Stop::Failed(format!("{to}: {error}"))
}

fn text_of(file: &Path) -> Result<String, Stop> {
    let bytes = file::bytes_of(file).map_err(|error| usage(file, &error))?;
    String::from_utf8(bytes).map_err(|error| usage(file, &error))
}

/// The call that the flags choose; the first without them.
fn chosen(flags: &Flags, file: &Path, schema: &Schema) -> Result<Call, Stop> {
    let capture = file::read(file, &flags.keys)?;
    let mut calls: Vec<Call> = capture.connections.iter().flat_map(|it| calls::calls(it, schema)).collect();
    let count = calls.len();
    let place = match (flags.call, flags.stream) {
        (Some(number), _) => number.checked_sub(1).filter(|at| *at < count),
        (None, Some(stream)) => calls.iter().position(|call| call.stream == stream),
        (None, None) => (count > 0).then_some(0),
    };
    match place {
        Some(place) => Ok(calls.swap_remove(place)),
        None if count == 0 => Err(usage(file, &"there is no gRPC call in it whose headers are known")),
        None => Err(usage(file, &format_args!("there is no such call; it has {count}, --call counts them from 1"))),
    }
}

/// Changes what the flags say.
fn edit(call: &mut Call, flags: &Flags, schema: &Schema) -> Result<(), Stop> {
    for name in &flags.drop_header {
        let before = call.headers.len();
        call.headers.retain(|field| !field.is(name));
        if call.headers.len() == before {
            return Err(Stop::Usage(format!("--drop-header {name}: the call has no such header")));
        }
    }
    for header in &flags.set_header {
        // The name of a pseudo-header field begins with a colon, and none has `=` in it.
        let (name, value) = header
            .split_once('=')
            .ok_or_else(|| Stop::Usage(format!("--set-header {header}: it has to be NAME=VALUE")))?;
        set_header(&mut call.headers, name, value);
    }
    for flag in &flags.message {
        let wrong = |reason: &dyn Display| Stop::Usage(format!("--message {flag}: {reason}"));
        let shape = "it has to be N=HEX, N=@FILE or N=FIELD=VALUE";
        let (number, new) = flag.split_once('=').ok_or_else(|| wrong(&shape))?;
        let number: usize = number.parse().map_err(|_| wrong(&shape))?;
        let mut bodies = call.sent.iter_mut().filter_map(|sent| match &mut sent.what {
            What::Message { body, .. } => Some(body),
            What::HalfClose | What::Reset(_) => None,
        });
        let body = number.checked_sub(1).and_then(|at| bodies.nth(at));
        set_message(body.ok_or_else(|| wrong(&"the client sent no such message"))?, new, schema)
            .map_err(|it| wrong(&it))?;
    }
    Ok(())
}

/// In the place of the first of that name; a new one behind all others, a pseudo-header field before them.
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
            return Err("the type of the message is not known; --proto or --descriptor-set name it".to_owned());
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

/// The headers to send. What HPACK can't know of a capture that began late can't be sent.
fn known_headers(call: &Call) -> Result<Vec<Pair<'_>>, Stop> {
    let known = |field| match field {
        &Field { name: Some(ref name), value: Some(ref value) } => Ok((&**name, &**value)),
        Field { name: Some(name), .. } => {
            let name = name.escape_ascii();
            Err(Stop::Usage(format!("the value of {name} is not in the capture; --set-header {name}=VALUE gives one")))
        }
        Field { name: None, .. } => {
            Err(Stop::Usage("the capture began too late to know the call's headers".to_owned()))
        }
    };
    call.headers.iter().map(known).collect()
}

/// Sends the call, and hears its answer to the end or until it is silent for too long.
async fn send(
    exchange: &mut Exchange,
    call: &Call,
    headers: &[Pair<'_>],
    timing: Timing,
    patience: Duration,
) -> io::Result<()> {
    exchange.greet().await?;
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
                while exchange.hear(due).await? {}
            }
            Timing::Fast => while exchange.messages < sent.answered && exchange.hear(after(TURN)).await? {},
        }
        if exchange.is_over {
            break;
        }
        let sent = match &sent.what {
            What::Message { body, end_stream } => {
                let bytes = message(body.flag, &body.payload);
                exchange.send_data(&bytes, *end_stream, after(patience)).await?
            }
            What::HalfClose => exchange.send_data(&[], true, after(patience)).await?,
            What::Reset(code) => {
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
    while exchange.hear(after(patience)).await? {}
    Ok(())
}

/// Does what a script says, and hears what comes until the peer closes or is silent for too long.
async fn perform(exchange: &mut Exchange, script: Script, patience: Duration) -> io::Result<()> {
    for step in script.0 {
        match step {
            Step::Send(bytes) => exchange.send(&bytes).await?,
            Step::Wait(wait) => {
                let due = after(wait);
                while exchange.hear(due).await? {}
                sleep_until(due).await;
            }
        }
    }
    while exchange.hear(after(patience)).await? {}
    Ok(())
}
