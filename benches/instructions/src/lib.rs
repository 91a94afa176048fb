//! Code that the programs of this package share: one GetFeature call byte for byte, the HTTP/2 settings of both sides, the
//! command line, and bare h2 as a server ([`ceiling`]) and as a client ([`load`]).
//!
//! The comparison is fair only if both sides carry the same call: the same request headers, the same answer, the same windows. So
//! this crate defines them once, and every client checks every answer against them.

pub mod ceiling;
pub mod load;
pub mod prefixed;

use std::fmt::Display;
use std::future::Future;
use std::process::ExitCode;

use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, TE, USER_AGENT};
use tokio::signal::unix::{SignalKind, signal};

/// Path of the unary method.
pub const GET_FEATURE: &str = "/routeguide.RouteGuide/GetFeature";
/// Path of the method that streams features.
pub const LIST_FEATURES: &str = "/routeguide.RouteGuide/ListFeatures";
/// Path of the method that takes a stream of points.
pub const RECORD_ROUTE: &str = "/routeguide.RouteGuide/RecordRoute";
/// Path of the method that answers each note.
pub const ROUTE_CHAT: &str = "/routeguide.RouteGuide/RouteChat";

/// `Point { latitude: 409146138, longitude: -746188906 }` with its five-byte prefix.
pub const REQUEST: &[u8] = b"\x00\x00\x00\x00\x11\x08\x9a\xa6\x8c\xc3\x01\x10\x96\x9f\x98\x9c\xfd\xff\xff\xff\xff\x01";

/// A `Rectangle` of the whole Earth, with its prefix.
pub const EARTH: &[u8] = b"\x00\x00\x00\x00\x26\
    \x0a\x16\x08\x80\xae\xec\xd2\xfc\xff\xff\xff\xff\x01\x10\x80\xdc\xd8\xa5\xf9\xff\xff\xff\xff\x01\
    \x12\x0c\x08\x80\xd2\x93\xad\x03\x10\x80\xa4\xa7\xda\x06";

/// The `Feature` published at that point, with its prefix.
pub const ANSWER: &[u8] = b"\x00\x00\x00\x00\x4f\
    \x0a\x3aBerkshire Valley Management Area Trail, Jefferson, NJ, USA\
    \x12\x11\x08\x9a\xa6\x8c\xc3\x01\x10\x96\x9f\x98\x9c\xfd\xff\xff\xff\xff\x01";

/// The `content-type` of both sides.
pub const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");

/// Name of the trailer that ends a call.
pub const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// Window of one stream in bytes: barewire's default.
const STREAM_WINDOW: u32 = 1 << 20;
/// Window of the whole connection in bytes: barewire's default.
const CONNECTION_WINDOW: u32 = 16 << 20;
/// The cost of unread small DATA frames, in bytes as h2 counts them, at which h2 ends the connection.
const DATA_FRAME_BUDGET: usize = 36 << 20;
/// The most calls in progress on a connection: barewire's default.
const CONCURRENT_STREAMS: u32 = 1_000;
/// The largest header list that is accepted, in bytes: barewire's default.
const HEADER_LIST: u32 = 64 << 10;

/// The bare server's side of HTTP/2, with barewire's limits.
pub fn server_settings() -> h2::server::Builder {
    let mut settings = h2::server::Builder::new();
    settings
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(CONCURRENT_STREAMS)
        .max_header_list_size(HEADER_LIST)
        .data_frame_budget(DATA_FRAME_BUDGET);
    settings
}

/// The bare client's side of HTTP/2, with barewire's limits.
pub fn client_settings() -> h2::client::Builder {
    let mut settings = h2::client::Builder::new();
    settings
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .data_frame_budget(DATA_FRAME_BUDGET)
        .enable_push(false);
    settings
}

/// Returns the request headers that a grpc-go client sends to the method at `path`, without `grpc-timeout`.
pub fn request_headers(port: u16, path: &str) -> Result<http::Request<()>, http::Error> {
    http::Request::post(format!("http://localhost:{port}{path}"))
        .header(CONTENT_TYPE, GRPC)
        .header(USER_AGENT, HeaderValue::from_static("grpc-go/1.85.0"))
        .header(TE, HeaderValue::from_static("trailers"))
        .body(())
}

/// Returns the `grpc-timeout` of call number `call`, about ten seconds.
///
/// It differs from call to call, as it does when a client computes the time left until its deadline: HPACK then sends a
/// literal each time instead of one indexed byte.
pub fn timeout_header(call: u32) -> Result<HeaderValue, http::header::InvalidHeaderValue> {
    HeaderValue::try_from(format!("{}u", 9_999_999 - call % 100_000))
}

/// The kind of call that a client makes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Kind {
    /// GetFeature.
    #[default]
    Unary,
    /// ListFeatures of all features.
    List,
    /// RecordRoute.
    Record,
}

/// A client's task.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// The method that it calls.
    pub kind: Kind,
    /// The number of messages that a call of [`Kind::List`] returns, or that one of [`Kind::Record`] sends.
    pub messages: u32,
    /// Port of the server on 127.0.0.1.
    pub port: u16,
    /// The total number of calls.
    pub calls: u32,
    /// The number of concurrent calls, on one connection.
    pub in_flight: u32,
    /// True if each call carries a deadline of ten seconds.
    pub deadline: bool,
}

impl Load {
    /// Reads `--port P --calls N --in-flight M [--deadline] [--list MESSAGES | --record MESSAGES]`.
    pub fn from_args() -> Result<Load, String> {
        let mut load = Load { kind: Kind::Unary, messages: 1, port: 0, calls: 1, in_flight: 1, deadline: false };
        let mut args = std::env::args().skip(1);
        while let Some(flag) = args.next() {
            match flag.as_str() {
                "--port" => load.port = number(&flag, args.next())?,
                "--calls" => load.calls = number(&flag, args.next())?,
                "--in-flight" => load.in_flight = number(&flag, args.next())?,
                "--deadline" => load.deadline = true,
                "--list" => (load.kind, load.messages) = (Kind::List, number(&flag, args.next())?),
                "--record" => (load.kind, load.messages) = (Kind::Record, number(&flag, args.next())?),
                _ => {
                    let known = "--port, --calls, --in-flight, --deadline, --list, --record";
                    return Err(format!("unknown flag {flag}: use {known}"));
                }
            }
        }
        if load.port == 0 || load.in_flight == 0 {
            return Err("give --port, and --in-flight of at least 1".to_owned());
        }
        Ok(load)
    }

    /// Returns the numbers of the calls that caller `caller` of `in_flight` makes, one after another.
    pub fn share(&self, caller: u32) -> impl Iterator<Item = u32> + Send + use<> {
        (caller..self.calls).step_by(self.in_flight as usize)
    }
}

/// Returns the number of features of a server: `--features N`, otherwise the hundred published ones.
pub fn features_from_args() -> Result<usize, String> {
    let mut args = std::env::args().skip(1);
    match (args.next().as_deref(), args.next()) {
        (None, _) => Ok(100),
        (Some(flag @ "--features"), value) => number(flag, value),
        (Some(flag), _) => Err(format!("unknown flag {flag}: use --features")),
    }
}

/// Prints the port a server listens on, for the script to read.
pub fn announce(port: u16) {
    println!("{port}");
}

/// Completes at SIGTERM from the script: the program then returns from `main`, and callgrind writes its file.
pub async fn termination() -> std::io::Result<()> {
    signal(SignalKind::terminate())?.recv().await;
    Ok(())
}

/// Runs a program on the current thread; an error is one line on stderr and exit 1.
pub fn run<E: Display>(program: impl Future<Output = Result<(), E>>) -> ExitCode {
    let outcome = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())
        .and_then(|runtime| runtime.block_on(program).map_err(|error| error.to_string()));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Like [`run`], for a client: reads the command line first; exit status 2 if that is invalid.
pub fn run_client<F: Future<Output = Result<(), String>>>(client: impl FnOnce(Load) -> F) -> ExitCode {
    run_with(Load::from_args(), client)
}

/// Like [`run`], for a server: reads its number of features from the command line; exit status 2 if that is invalid.
pub fn run_server<F: Future<Output = std::io::Result<()>>>(server: impl FnOnce(usize) -> F) -> ExitCode {
    run_with(features_from_args(), server)
}

fn run_with<A, E: Display, F: Future<Output = Result<(), E>>>(
    args: Result<A, String>,
    program: impl FnOnce(A) -> F,
) -> ExitCode {
    match args {
        Ok(args) => run(program(args)),
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

fn number<T: std::str::FromStr>(flag: &str, value: Option<String>) -> Result<T, String> {
    let value = value.unwrap_or_default();
    value.parse().map_err(|_| format!("{flag} {value:?}: give a number"))
}
