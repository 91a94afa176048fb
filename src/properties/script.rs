//! The script of a conversation's calls on both sides, and the expected result of each call.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use prost::Message;
use tokio::time::sleep;

use super::server::Live;
use crate::call::{Inbound, Outbound, Request, Response};
use crate::metadata::Metadata;
use crate::method::{BidiStreaming, ClientStreaming, Method, ServerStreaming, Unary};
use crate::server::{Router, Routes};
use crate::status::{Code, Status};

pub(super) const UNARY: Method<Vec<u8>, Vec<u8>, Unary> = Method::new("/properties.Script/Unary");
pub(super) const DOWN: Method<Vec<u8>, Vec<u8>, ServerStreaming> = Method::new("/properties.Script/Down");
pub(super) const UP: Method<Vec<u8>, Vec<u8>, ClientStreaming> = Method::new("/properties.Script/Up");
pub(super) const BOTH: Method<Vec<u8>, Vec<u8>, BidiStreaming> = Method::new("/properties.Script/Both");

/// The message sizes in both directions. The cuts of a connection limit how many of them it can transfer in reasonable
/// time.
const SIZES: [usize; 8] = [0, 1, 5, 100, 1000, 5000, 16_379, 20_000];

/// The message of a status from the script.
pub(super) const AS_WRITTEN: &str = "as written ☺";

/// The script of one call. The handler receives it as metadata.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    /// Milliseconds after the call before it.
    pub begins: u8,
    pub kind: u8,
    pub requests: usize,
    pub request_size: usize,
    answers: usize,
    answer_size: usize,
    /// Milliseconds that the handler takes for each response message.
    pace: u64,
    pub code: i32,
    /// The deadline in milliseconds.
    pub deadline: Option<u64>,
    /// The number of responses after which the client cancels.
    pub leaves_after: Option<usize>,
    /// The milliseconds after which the client cancels.
    pub leaves_at: Option<u64>,
    /// True if the handler panics instead of returning its status.
    panics: bool,
    /// True if the handler reads one request and ignores the others.
    is_content: bool,
    /// True if the handler sends its initial metadata first.
    greets: bool,
}

/// The most that either side accepts, in bytes of an encoded message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub server: usize,
    pub client: usize,
}

/// The expected result of a call that neither the client nor a deadline ends.
#[derive(Debug)]
pub(super) struct Outcome {
    pub messages: Vec<Vec<u8>>,
    pub code: i32,
    /// True if the status is the one of the script, with its message and metadata.
    pub is_written: bool,
}

impl Call {
    pub(super) const LENGTH: usize = 8;

    /// Reads a call from bytes, with messages of at most the size at this index.
    pub(super) fn read(bytes: &[u8], largest: u8) -> Call {
        let [begins, kind, counts, sizes, pace, code, end, manner] = *bytes.first_chunk().expect("as long as a call");
        let size = |choice: u8| SIZES[usize::from((choice % 8).min(largest))];
        Call {
            begins: begins % 8,
            kind: kind % 4,
            requests: usize::from(counts % 8),
            request_size: size(sizes),
            answers: usize::from(counts / 8 % 8),
            answer_size: size(sizes / 8),
            pace: u64::from(pace % 16),
            // Only the deadline may produce DEADLINE_EXCEEDED.
            code: Some(i32::from(code % 18)).filter(|code| *code != Code::DeadlineExceeded.number()).unwrap_or(0),
            deadline: (end & 1 != 0).then_some(u64::from(end / 4)),
            leaves_after: (end & 2 != 0).then_some(usize::from(end / 4 % 8)),
            leaves_at: (manner % 8 == 4).then_some(u64::from(end / 4)),
            panics: manner % 8 == 5,
            is_content: manner % 8 == 6,
            greets: manner % 8 == 7,
        }
    }

    /// Returns the expected messages and status, from the kind, the handler and the limits.
    pub(super) fn expected(&self, limits: Limits) -> Outcome {
        let taken = if self.is_streamed() { self.taken() } else { 1 };
        let request = vec![7; self.request_size];
        if taken > 0 && request.encoded_len() > limits.server {
            return Outcome { messages: Vec::new(), code: Code::ResourceExhausted.number(), is_written: false };
        }
        let (code, is_written) = match self.panics {
            true => (Code::Unknown.number(), false),
            false => (self.code, true),
        };
        let own = |count: usize| (0..count).map(|at| vec![at as u8; self.answer_size]).collect::<Vec<_>>();
        let mut messages = match self.kind {
            0 | 2 if code != 0 => Vec::new(),
            0 => own(1),
            2 => vec![vec![taken as u8; self.answer_size]],
            1 => own(self.answers),
            _ => [self.sent()[..taken].to_vec(), own(self.answers)].concat(),
        };
        match messages.iter().position(|message| message.encoded_len() > limits.client) {
            Some(too_large) => {
                messages.truncate(too_large);
                Outcome { messages, code: Code::ResourceExhausted.number(), is_written: false }
            }
            None => Outcome { messages, code, is_written },
        }
    }

    fn is_streamed(&self) -> bool {
        self.kind >= 2
    }

    /// Returns the number of requests that the handler reads.
    fn taken(&self) -> usize {
        if self.is_content { self.requests.min(1) } else { self.requests }
    }

    pub(super) fn sent(&self) -> Vec<Vec<u8>> {
        (0..self.requests).map(|at| vec![0x80 | at as u8; self.request_size]).collect()
    }

    pub(super) fn metadata(bytes: &[u8], largest: u8) -> Metadata {
        let mut metadata = Metadata::new();
        metadata.insert_bin("script-bin", &[bytes, &[largest]].concat()).expect("a key");
        metadata
    }

    fn of(metadata: &Metadata) -> Call {
        let script = metadata.get_all_bin("script-bin").next().expect("it was sent").expect("it is base64");
        Call::read(&script, script[Call::LENGTH])
    }

    fn end(&self, metadata: &Metadata) -> Result<(), Status> {
        if self.panics {
            // Skips the panic hook, which would print, and would end a fuzzer.
            resume_unwind(Box::new("as written"));
        }
        match self.code {
            0 => Ok(()),
            code => Err(Status::from_number(code, AS_WRITTEN).with_trailing_metadata(metadata.clone())),
        }
    }
}

/// Handlers that follow the script in the metadata, and return it.
pub(super) fn routes(live: Arc<AtomicUsize>) -> Routes {
    Router::new(Script { live })
        .unary(UNARY, Script::unary)
        .server_streaming(DOWN, Script::down)
        .client_streaming(UP, Script::up)
        .bidi_streaming(BOTH, Script::both)
        .into()
}

struct Script {
    live: Arc<AtomicUsize>,
}

impl Script {
    fn begin(&self) -> Live {
        Live::begin(&self.live)
    }

    async fn unary(&self, request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, Status> {
        let _live = self.begin();
        let call = Call::of(request.metadata());
        assert_eq!(request.len(), call.request_size);
        sleep(Duration::from_millis(call.pace)).await;
        call.end(request.metadata())?;
        Ok(response(vec![0; call.answer_size], request.metadata()))
    }

    async fn down(&self, request: Request<Vec<u8>>, mut out: Outbound<Vec<u8>>) -> Result<(), Status> {
        let _live = self.begin();
        let call = begin(request.metadata(), &mut out).await?;
        answer(call, &mut out).await?;
        call.end(request.metadata())
    }

    async fn up(&self, mut from: Inbound<Vec<u8>>) -> Result<Response<Vec<u8>>, Status> {
        let _live = self.begin();
        let call = Call::of(from.metadata());
        let mut came = Vec::new();
        while !(call.is_content && came.len() == 1)
            && let Some(message) = from.recv().await?
        {
            sleep(Duration::from_millis(call.pace)).await;
            came.push(message);
        }
        assert_eq!(came, call.sent()[..call.taken()], "requests come as they were sent");
        call.end(from.metadata())?;
        Ok(response(vec![came.len() as u8; call.answer_size], from.metadata()))
    }

    async fn both(&self, mut from: Inbound<Vec<u8>>, mut out: Outbound<Vec<u8>>) -> Result<(), Status> {
        let _live = self.begin();
        let call = begin(from.metadata(), &mut out).await?;
        let mut came = 0;
        while !(call.is_content && came == 1)
            && let Some(message) = from.recv().await?
        {
            out.send(message).await?;
            came += 1;
        }
        answer(call, &mut out).await?;
        call.end(from.metadata())
    }
}

fn response(message: Vec<u8>, metadata: &Metadata) -> Response<Vec<u8>> {
    let mut response = Response::new(message);
    *response.initial_metadata_mut() = metadata.clone();
    *response.trailing_metadata_mut() = metadata.clone();
    response
}

async fn begin(metadata: &Metadata, out: &mut Outbound<Vec<u8>>) -> Result<Call, Status> {
    let call = Call::of(metadata);
    out.set_initial_metadata(metadata.clone());
    out.set_trailing_metadata(metadata.clone());
    if call.greets {
        out.send_initial_metadata().await?;
        sleep(Duration::from_millis(call.pace)).await;
    }
    Ok(call)
}

async fn answer(call: Call, out: &mut Outbound<Vec<u8>>) -> Result<(), Status> {
    for at in 0..call.answers {
        sleep(Duration::from_millis(call.pace)).await;
        out.send(vec![at as u8; call.answer_size]).await?;
    }
    Ok(())
}
