//! A small service of all four kinds. It reports events to the test and waits where the test asks it to.
//!
//! A handler that waits holds a [`Guard`], so that a test sees when it was dropped before its end.

use std::sync::Arc;

use barewire::{
    BidiStreaming, ClientStreaming, Code, Inbound, Metadata, Method, Outbound, Request, Response, Router,
    ServerStreaming, Status, Unary,
};
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::{quiet, soon};

/// The message of all methods; [`super::frames::text`] and [`super::frames::number`] encode it.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Note {
    #[prost(string, tag = "1")]
    pub text: String,
    #[prost(uint64, tag = "2")]
    pub number: u64,
    #[prost(bytes = "vec", tag = "3")]
    pub details: Vec<u8>,
}

/// A note with a text.
pub fn note(text: impl Into<String>) -> Note {
    Note { text: text.into(), ..Note::default() }
}

/// A note with a number.
pub fn count(number: u64) -> Note {
    Note { number, ..Note::default() }
}

/// A note that takes a kilobyte on the wire, prefix included.
pub fn kilobyte() -> Note {
    note("x".repeat(1024 - 8))
}

/// Answers with the note, and with the metadata: see [`echoed`].
pub const ECHO: Method<Note, Note, Unary> = Method::new("/test.Service/Echo");
/// Fails with the code of the note's number, its text as message, its details, and the metadata as trailing metadata.
pub const FAIL: Method<Note, Note, Unary> = Method::new("/test.Service/Fail");
/// Waits for [`Probe::go`], then answers with the note.
pub const WAIT: Method<Note, Note, Unary> = Method::new("/test.Service/Wait");
/// Panics.
pub const PANIC: Method<Note, Note, Unary> = Method::new("/test.Service/Panic");
/// Answers 1 to the note's number, and metadata as [`ECHO`].
pub const COUNT: Method<Note, Note, ServerStreaming> = Method::new("/test.Service/Count");
/// Answers with the note's text as many times as its number, and reports the number of notes sent.
pub const FLOOD: Method<Note, Note, ServerStreaming> = Method::new("/test.Service/Flood");
/// Answers once and then fails as [`FAIL`].
pub const FAIL_LATE: Method<Note, Note, ServerStreaming> = Method::new("/test.Service/FailLate");
/// Answers once and then panics.
pub const PANIC_LATE: Method<Note, Note, ServerStreaming> = Method::new("/test.Service/PanicLate");
/// Sends its headers, then waits for [`Probe::go`] before each note it answers with: 1 to the note's number.
pub const PACED: Method<Note, Note, ServerStreaming> = Method::new("/test.Service/Paced");
/// Answers with the number of notes; the text is the total length of their texts.
pub const COLLECT: Method<Note, Note, ClientStreaming> = Method::new("/test.Service/Collect");
/// Waits for [`Probe::go`] before each note it reads, and reports what it has read.
pub const READ: Method<Note, Note, ClientStreaming> = Method::new("/test.Service/Read");
/// Answers after the first note and reads no further.
pub const FIRST: Method<Note, Note, ClientStreaming> = Method::new("/test.Service/First");
/// Answers each note with itself.
pub const CHAT: Method<Note, Note, BidiStreaming> = Method::new("/test.Service/Chat");
/// Stops reading after the first note, and sends a note for each [`Probe::go`], without end.
pub const DEAF: Method<Note, Note, BidiStreaming> = Method::new("/test.Service/Deaf");
/// Reads and answers in a task of its own, as [`CHAT`]; the handler returns after [`Probe::go`].
pub const SPAWN: Method<Note, Note, BidiStreaming> = Method::new("/test.Service/Spawn");
/// A method that the server does not have.
pub const MISSING: Method<Note, Note, Unary> = Method::new("/test.Service/Missing");

/// An event of the service.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A handler has begun.
    Began,
    /// A handler was dropped before its end.
    Dropped,
    /// A handler has read this.
    Read(Result<Option<Note>, Code>),
    /// A handler has sent this many notes.
    Sent(u64),
    /// A handler could not send.
    SendFailed(Code),
}

/// A test's view of the service: its events, and the permission to continue.
pub struct Probe {
    events: UnboundedReceiver<Event>,
    gate: Arc<Semaphore>,
}

impl Probe {
    /// Asserts that the next event is this one.
    #[track_caller]
    pub fn expect(&mut self, expected: Event) -> impl Future<Output = ()> {
        let place = std::panic::Location::caller();
        let next = soon("an event", self.events.recv());
        async move { assert_eq!(next.await, Some(expected), "at {place}") }
    }

    /// Returns the next event.
    #[track_caller]
    pub fn next(&mut self) -> impl Future<Output = Event> {
        let next = soon("an event", self.events.recv());
        async { next.await.expect("the service is running") }
    }

    /// Returns the events until all tasks are idle.
    pub async fn rest(&mut self) -> Vec<Event> {
        quiet().await;
        std::iter::from_fn(|| self.events.try_recv().ok()).collect()
    }

    /// Returns the last event before all tasks are idle.
    pub async fn last(&mut self) -> Option<Event> {
        self.rest().await.pop()
    }

    /// Lets a waiting handler continue, this many times.
    pub fn go(&self, times: usize) {
        self.gate.add_permits(times);
    }
}

/// The service; clones report to the same probe.
#[derive(Clone)]
pub struct Service {
    events: UnboundedSender<Event>,
    gate: Arc<Semaphore>,
}

/// Creates the routes of the service, and its probe.
pub fn service() -> (Router<Service>, Probe) {
    let (events, told) = unbounded_channel();
    let gate = Arc::new(Semaphore::new(0));
    let router = Router::new(Service { events, gate: gate.clone() })
        .unary(ECHO, Service::echo)
        .unary(FAIL, Service::fail)
        .unary(WAIT, Service::wait)
        .unary(PANIC, Service::panic)
        .server_streaming(COUNT, Service::count)
        .server_streaming(FLOOD, Service::flood)
        .server_streaming(FAIL_LATE, Service::fail_late)
        .server_streaming(PANIC_LATE, Service::panic_late)
        .server_streaming(PACED, Service::paced)
        .client_streaming(COLLECT, Service::collect)
        .client_streaming(READ, Service::read)
        .client_streaming(FIRST, Service::first)
        .bidi_streaming(CHAT, Service::chat)
        .bidi_streaming(DEAF, Service::deaf)
        .bidi_streaming(SPAWN, Service::spawn);
    (router, Probe { events: told, gate })
}

/// Returns the metadata to echo: all of it as initial metadata, and the keys that begin with `trailing` as trailing metadata.
fn echoed(metadata: &Metadata) -> (Metadata, Metadata) {
    let mut trailing = Metadata::new();
    for value in metadata.get_all("trailing") {
        trailing.append("trailing", value).expect("received metadata is valid");
    }
    for value in metadata.get_all_bin("trailing-bin") {
        trailing.append_bin("trailing-bin", &value.expect("valid base64")).expect("received metadata is valid");
    }
    (metadata.clone(), trailing)
}

fn failure(note: &Note, metadata: &Metadata) -> Status {
    Status::from_number(note.number as i32, note.text.clone())
        .with_details(note.details.clone())
        .with_trailing_metadata(metadata.clone())
}

impl Service {
    async fn echo(&self, request: Request<Note>) -> Result<Response<Note>, Status> {
        let (headers, trailers) = echoed(request.metadata());
        let mut response = Response::new(request.into_message());
        (*response.initial_metadata_mut(), *response.trailing_metadata_mut()) = (headers, trailers);
        Ok(response)
    }

    async fn fail(&self, request: Request<Note>) -> Result<Response<Note>, Status> {
        Err(failure(&request, request.metadata()))
    }

    async fn wait(&self, request: Request<Note>) -> Result<Response<Note>, Status> {
        let guard = self.guard();
        self.pass().await;
        guard.done();
        Ok(request.into_message().into())
    }

    async fn panic(&self, _: Request<Note>) -> Result<Response<Note>, Status> {
        panic!("a handler that panics");
    }

    async fn count(&self, request: Request<Note>, mut out: Outbound<Note>) -> Result<(), Status> {
        let (headers, trailers) = echoed(request.metadata());
        out.set_initial_metadata(headers);
        out.set_trailing_metadata(trailers);
        for number in 1..=request.number {
            out.send(count(number)).await?;
        }
        Ok(())
    }

    async fn flood(&self, request: Request<Note>, mut out: Outbound<Note>) -> Result<(), Status> {
        let guard = self.guard();
        for sent in 1..=request.number {
            if let Err(status) = out.send(note(request.text.clone())).await {
                self.report(Event::SendFailed(status.code()));
                return Err(status);
            }
            self.report(Event::Sent(sent));
        }
        guard.done();
        Ok(())
    }

    async fn fail_late(&self, request: Request<Note>, mut out: Outbound<Note>) -> Result<(), Status> {
        out.send(count(1)).await?;
        Err(failure(&request, request.metadata()))
    }

    async fn panic_late(&self, _: Request<Note>, mut out: Outbound<Note>) -> Result<(), Status> {
        out.send(count(1)).await?;
        panic!("a handler that panics late");
    }

    async fn paced(&self, request: Request<Note>, mut out: Outbound<Note>) -> Result<(), Status> {
        let guard = self.guard();
        out.send_initial_metadata().await?;
        for number in 1..=request.number {
            self.pass().await;
            out.send(count(number)).await?;
        }
        guard.done();
        Ok(())
    }

    async fn collect(&self, mut notes: Inbound<Note>) -> Result<Response<Note>, Status> {
        let (mut number, mut length) = (0, 0);
        while let Some(note) = notes.recv().await? {
            number += 1;
            length += note.text.len();
        }
        Ok(Note { number, text: length.to_string(), ..Note::default() }.into())
    }

    async fn read(&self, mut notes: Inbound<Note>) -> Result<Response<Note>, Status> {
        let guard = self.guard();
        for number in 0.. {
            self.pass().await;
            let read = notes.recv().await;
            self.report(Event::Read(read.clone().map_err(|status| status.code())));
            if read?.is_none() {
                guard.done();
                return Ok(count(number).into());
            }
        }
        unreachable!()
    }

    async fn first(&self, mut notes: Inbound<Note>) -> Result<Response<Note>, Status> {
        Ok(notes.recv().await?.unwrap_or_default().into())
    }

    async fn chat(&self, mut notes: Inbound<Note>, mut out: Outbound<Note>) -> Result<(), Status> {
        while let Some(note) = notes.recv().await? {
            out.send(note).await?;
        }
        Ok(())
    }

    async fn deaf(&self, mut notes: Inbound<Note>, mut out: Outbound<Note>) -> Result<(), Status> {
        let guard = self.guard();
        notes.recv().await?;
        drop(notes);
        for number in 1.. {
            out.send(count(number)).await?;
            self.pass().await;
        }
        guard.done();
        Ok(())
    }

    async fn spawn(&self, mut notes: Inbound<Note>, mut out: Outbound<Note>) -> Result<(), Status> {
        let guard = self.guard();
        let service = self.clone();
        tokio::spawn(async move {
            loop {
                let read = notes.recv().await;
                service.report(Event::Read(read.clone().map_err(|status| status.code())));
                let Ok(Some(note)) = read else { break };
                if let Err(status) = out.send(note).await {
                    service.report(Event::SendFailed(status.code()));
                }
            }
            if let Err(status) = out.send(note("late")).await {
                service.report(Event::SendFailed(status.code()));
            }
        });
        self.pass().await;
        guard.done();
        Ok(())
    }

    async fn pass(&self) {
        self.gate.acquire().await.expect("the gate is open").forget();
    }

    fn guard(&self) -> Guard {
        self.report(Event::Began);
        Guard(self.events.clone())
    }

    fn report(&self, event: Event) {
        // The test may have ended.
        let _ = self.events.send(event);
    }
}

/// Reports that a handler was dropped before its end.
struct Guard(UnboundedSender<Event>);

impl Guard {
    fn done(self) {
        std::mem::forget(self);
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.send(Event::Dropped);
    }
}
