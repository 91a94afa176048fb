//! The attacked service: handlers that wait, handlers that answer a lot, and handlers that are counted.

use std::future::pending;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use barewire::{BidiStreaming, Inbound, Method, Outbound, Request, Response, Router, ServerStreaming, Status, Unary};

use super::common::service::{Note, note};

/// A message that takes two bytes on the wire if it is empty, and a hundred in memory.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Part {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub text: String,
    #[prost(bytes = "vec", tag = "3")]
    pub details: Vec<u8>,
    #[prost(uint64, tag = "4")]
    pub number: u64,
}

/// Many parts.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Parts {
    #[prost(message, repeated, tag = "1")]
    pub parts: Vec<Part>,
}

/// Echoes the note.
pub const ECHO: Method<Note, Note, Unary> = Method::new("/h/Echo");
/// Computes a little, and increments a counter.
pub const WORK: Method<Note, Note, Unary> = Method::new("/h/Work");
/// Holds its request and waits.
pub const WAIT: Method<Note, Note, Unary> = Method::new("/h/Wait");
/// The same, for parts.
pub const WAIT_PARTS: Method<Parts, Note, Unary> = Method::new("/h/WaitParts");
/// Takes one message, holds it and waits.
pub const TAKE: Method<Note, Note, BidiStreaming> = Method::new("/h/Take");
/// The same, for parts.
pub const TAKE_PARTS: Method<Parts, Note, BidiStreaming> = Method::new("/h/TakeParts");
/// Reads nothing and waits.
pub const HOLD: Method<Note, Note, BidiStreaming> = Method::new("/h/Hold");
/// Discards its messages and waits.
pub const DROP: Method<Note, Note, BidiStreaming> = Method::new("/h/Drop");
/// Answers a note of as many bytes as the request's number says.
pub const LARGE: Method<Note, Note, Unary> = Method::new("/h/Large");
/// Answers notes of 1 MiB, which all calls share, without end.
pub const FLOOD: Method<Note, Note, ServerStreaming> = Method::new("/h/Flood");
/// Answers one note of 4 MiB, which all calls share, to each note.
pub const CHAT: Method<Note, Note, BidiStreaming> = Method::new("/h/Chat");
/// Answers notes of 250 bytes without end and takes nothing.
pub const TALK: Method<Note, Note, BidiStreaming> = Method::new("/h/Talk");
/// Answers with one note of 20 KB and ends.
pub const ENDED: Method<Note, Note, BidiStreaming> = Method::new("/h/Ended");

/// The length of the shared note.
pub const SHARED: usize = (4 << 20) - 16;

struct Service {
    shared: Note,
    large: Note,
    small: Note,
    runs: Arc<AtomicUsize>,
}

/// Returns the routes.
pub fn router() -> Router<impl Send + Sync + 'static> {
    counted().0
}

/// Returns the routes, and a counter of the runs of [`WORK`].
pub fn counted() -> (Router<impl Send + Sync + 'static>, Arc<AtomicUsize>) {
    let runs = Arc::new(AtomicUsize::new(0));
    let service = Service {
        shared: note("s".repeat(SHARED)),
        large: note("f".repeat(1 << 20)),
        small: note("t".repeat(250)),
        runs: runs.clone(),
    };
    let router = Router::new(service)
        .unary(ECHO, Service::echo)
        .unary(WORK, Service::work)
        .unary(WAIT, Service::wait)
        .unary(WAIT_PARTS, Service::wait_parts)
        .unary(LARGE, Service::large)
        .server_streaming(FLOOD, Service::flood)
        .bidi_streaming(TAKE, Service::take)
        .bidi_streaming(TAKE_PARTS, Service::take_parts)
        .bidi_streaming(HOLD, Service::hold)
        .bidi_streaming(DROP, Service::let_go)
        .bidi_streaming(CHAT, Service::chat)
        .bidi_streaming(TALK, Service::talk)
        .bidi_streaming(ENDED, Service::ended);
    (router, runs)
}

impl Service {
    async fn echo(&self, request: Request<Note>) -> Result<Response<Note>, Status> {
        Ok(request.into_message().into())
    }

    async fn work(&self, request: Request<Note>) -> Result<Response<Note>, Status> {
        self.runs.fetch_add(1, Ordering::SeqCst);
        black_box((0..request.number).fold(1_u64, |sum, next| black_box(sum.wrapping_mul(31) ^ next)));
        Ok(Response::new(Note::default()))
    }

    async fn wait(&self, _request: Request<Note>) -> Result<Response<Note>, Status> {
        pending().await
    }

    async fn wait_parts(&self, _request: Request<Parts>) -> Result<Response<Note>, Status> {
        pending().await
    }

    async fn take(&self, mut notes: Inbound<Note>, _out: Outbound<Note>) -> Result<(), Status> {
        let _held = notes.recv().await?;
        pending().await
    }

    async fn take_parts(&self, mut parts: Inbound<Parts>, _out: Outbound<Note>) -> Result<(), Status> {
        let _held = parts.recv().await?;
        pending().await
    }

    async fn hold(&self, _notes: Inbound<Note>, _out: Outbound<Note>) -> Result<(), Status> {
        pending().await
    }

    async fn let_go(&self, notes: Inbound<Note>, _out: Outbound<Note>) -> Result<(), Status> {
        drop(notes);
        pending().await
    }

    async fn large(&self, request: Request<Note>) -> Result<Response<Note>, Status> {
        Ok(note("l".repeat(request.number as usize)).into())
    }

    async fn flood(&self, _request: Request<Note>, mut out: Outbound<Note>) -> Result<(), Status> {
        loop {
            out.send(&self.large).await?;
        }
    }

    async fn chat(&self, mut notes: Inbound<Note>, mut out: Outbound<Note>) -> Result<(), Status> {
        while notes.recv().await?.is_some() {
            out.send(&self.shared).await?;
        }
        Ok(())
    }

    async fn talk(&self, _notes: Inbound<Note>, mut out: Outbound<Note>) -> Result<(), Status> {
        loop {
            out.send(&self.small).await?;
        }
    }

    async fn ended(&self, _notes: Inbound<Note>, mut out: Outbound<Note>) -> Result<(), Status> {
        out.send(note("e".repeat(20_000))).await
    }
}
