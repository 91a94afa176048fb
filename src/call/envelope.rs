//! What travels with a message: [`Context`] with a request, metadata with a response.

use std::ops::Deref;
use std::sync::Arc;

use http::Uri;
use tokio::time::Instant;

use crate::io::{Address, Peer};
use crate::metadata::Metadata;
use crate::wire::encoding::{Encoding, EncodingSet};

/// The metadata around the messages of an answer.
#[derive(Clone, Debug, Default)]
pub(crate) struct CallMetadata {
    /// What comes before the messages.
    pub(crate) initial: Metadata,
    /// What comes with the status.
    pub(crate) trailing: Metadata,
}

/// What a server knows of a call beside its messages.
#[derive(Clone, Debug)]
pub struct Context {
    pub(crate) uri: Uri,
    pub(crate) metadata: Metadata,
    pub(crate) peer: Arc<Peer>,
    pub(crate) deadline: Option<Instant>,
    pub(crate) accept_encoding: EncodingSet,
}

impl Context {
    /// The path of the method, `/package.Service/Method`.
    pub fn path(&self) -> &str {
        self.uri.path()
    }

    /// The server's name and port as the client knows them: `:authority`, or `host` where that is missing (gRFC A41).
    pub fn authority(&self) -> Option<&str> {
        self.uri.authority().map(|authority| authority.as_str()).or_else(|| self.metadata.host())
    }

    /// The initial metadata that the client sent.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// Who calls: the address, and what TLS shows of it.
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// When the client stops waiting; `None` is never.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// The encodings that the client takes in the answer.
    pub fn accept_encoding(&self) -> EncodingSet {
        self.accept_encoding
    }
}

/// A call with one message from the client, as its handler gets it. Reads like the message.
#[derive(Clone, Debug)]
pub struct Request<T> {
    message: T,
    context: Context,
    compressed: bool,
}

impl<T> Request<T> {
    /// A request as if it had come from this process with no metadata: for calling a handler from a test.
    pub fn new(message: T) -> Request<T> {
        let peer = Arc::new(Peer::plain(Address::Memory));
        let accept_encoding = EncodingSet::IDENTITY;
        let context = Context { uri: Uri::default(), metadata: Metadata::new(), peer, deadline: None, accept_encoding };
        Request { message, context, compressed: false }
    }

    pub(crate) fn with_context(message: T, context: Context, compressed: bool) -> Request<T> {
        Request { message, context, compressed }
    }

    /// Whether the message was compressed on the wire.
    pub fn was_compressed(&self) -> bool {
        self.compressed
    }

    /// The message.
    pub fn message(&self) -> &T {
        &self.message
    }

    /// The message, taken out.
    pub fn into_message(self) -> T {
        self.message
    }

    /// What came with it.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// The initial metadata that the client sent.
    pub fn metadata(&self) -> &Metadata {
        self.context.metadata()
    }

    /// Who calls.
    pub fn peer(&self) -> &Peer {
        self.context.peer()
    }

    /// When the client stops waiting; `None` is never.
    pub fn deadline(&self) -> Option<Instant> {
        self.context.deadline()
    }
}

impl<T> Deref for Request<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.message
    }
}

/// One message from the server with its initial and trailing metadata: what a handler answers and a caller receives.
#[derive(Clone, Debug)]
pub struct Response<T> {
    message: T,
    metadata: Option<Box<CallMetadata>>,
    encoding: Option<Encoding>,
    compressed: bool,
}

impl<T> Response<T> {
    /// A response without metadata.
    pub fn new(message: T) -> Response<T> {
        Response { message, metadata: None, encoding: None, compressed: true }
    }

    pub(crate) fn received(message: T, compressed: bool, metadata: Option<Box<CallMetadata>>) -> Response<T> {
        Response { message, metadata, encoding: None, compressed }
    }

    pub(crate) fn into_parts(self) -> (T, Option<Box<CallMetadata>>) {
        (self.message, self.metadata)
    }

    /// On a server: compresses the message with this encoding, if the client takes it and the server has it.
    #[must_use]
    pub fn with_encoding(mut self, encoding: Encoding) -> Response<T> {
        self.encoding = Some(encoding);
        self
    }

    pub(crate) fn encoding(&self) -> Option<Encoding> {
        self.encoding
    }

    /// On a server: whether this message may be compressed, where the call has an encoding. It may by default.
    #[must_use]
    pub fn compress(mut self, compress: bool) -> Response<T> {
        self.compressed = compress;
        self
    }

    /// On a client: whether the message was compressed on the wire.
    pub fn was_compressed(&self) -> bool {
        self.compressed
    }

    /// The message.
    pub fn message(&self) -> &T {
        &self.message
    }

    /// The message, taken out.
    pub fn into_message(self) -> T {
        self.message
    }

    /// The initial metadata.
    pub fn headers(&self) -> &Metadata {
        self.metadata.as_ref().map_or(Metadata::none(), |metadata| &metadata.initial)
    }

    /// The initial metadata, to add to.
    pub fn headers_mut(&mut self) -> &mut Metadata {
        &mut self.metadata.get_or_insert_default().initial
    }

    /// The trailing metadata.
    pub fn trailers(&self) -> &Metadata {
        self.metadata.as_ref().map_or(Metadata::none(), |metadata| &metadata.trailing)
    }

    /// The trailing metadata, to add to.
    pub fn trailers_mut(&mut self) -> &mut Metadata {
        &mut self.metadata.get_or_insert_default().trailing
    }
}

impl<T> From<T> for Response<T> {
    fn from(message: T) -> Response<T> {
        Response::new(message)
    }
}

impl<T> Deref for Response<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.message
    }
}
