//! The data that accompanies a message: [`Context`] for a request, metadata for a response.

use std::ops::Deref;
use std::sync::Arc;

use http::Uri;
use tokio::time::Instant;

use crate::io::{Address, Peer};
use crate::metadata::Metadata;
use crate::wire::encoding::{Encoding, EncodingSet};

/// The metadata before and after the messages of a response.
#[derive(Clone, Debug, Default)]
pub(crate) struct CallMetadata {
    /// Sent before the messages.
    pub(crate) initial: Metadata,
    /// Sent with the status.
    pub(crate) trailing: Metadata,
}

/// The attributes of a call on a server: method, metadata, peer, deadline.
#[derive(Clone, Debug)]
pub struct Context {
    pub(crate) uri: Uri,
    pub(crate) metadata: Metadata,
    pub(crate) peer: Arc<Peer>,
    pub(crate) deadline: Option<Instant>,
    pub(crate) accept_encoding: EncodingSet,
}

impl Context {
    /// Returns the path of the method, `/package.Service/Method`.
    pub fn path(&self) -> &str {
        self.uri.path()
    }

    /// Returns the server's name and port as the client knows them: `:authority`, or `host` if that is missing (gRFC A41).
    pub fn authority(&self) -> Option<&str> {
        self.uri.authority().map(|authority| authority.as_str()).or_else(|| self.metadata.host())
    }

    /// Returns the initial metadata that the client sent.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// Returns the client's address, and its certificates if it uses TLS.
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// Returns the time at which the client stops waiting; `None` means never.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Returns the encodings that the client accepts in the response.
    pub fn accept_encoding(&self) -> EncodingSet {
        self.accept_encoding
    }
}

/// A request with a single message, as passed to a handler. Dereferences to the message.
#[derive(Clone, Debug)]
pub struct Request<T> {
    message: T,
    context: Context,
    compressed: bool,
}

impl<T> Request<T> {
    /// Creates a request without metadata, as if it came from this process: for calling a handler from a test.
    pub fn new(message: T) -> Request<T> {
        let peer = Arc::new(Peer::plain(Address::Memory));
        let accept_encoding = EncodingSet::IDENTITY;
        let context = Context { uri: Uri::default(), metadata: Metadata::new(), peer, deadline: None, accept_encoding };
        Request { message, context, compressed: false }
    }

    pub(crate) fn with_context(message: T, context: Context, compressed: bool) -> Request<T> {
        Request { message, context, compressed }
    }

    /// Returns true if the message was compressed on the wire.
    pub fn was_compressed(&self) -> bool {
        self.compressed
    }

    /// Returns the message.
    pub fn message(&self) -> &T {
        &self.message
    }

    /// Consumes this and returns the message.
    pub fn into_message(self) -> T {
        self.message
    }

    /// Returns the attributes of the call.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// Returns the initial metadata that the client sent.
    pub fn metadata(&self) -> &Metadata {
        self.context.metadata()
    }

    /// Returns the client's address, and its certificates if it uses TLS.
    pub fn peer(&self) -> &Peer {
        self.context.peer()
    }

    /// Returns the time at which the client stops waiting; `None` means never.
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

/// A response with a single message, its initial and its trailing metadata. A handler returns it and a caller receives it.
#[derive(Clone, Debug)]
pub struct Response<T> {
    message: T,
    metadata: Option<Box<CallMetadata>>,
    encoding: Option<Encoding>,
    /// True if the message may be compressed when it is sent.
    may_compress: bool,
    /// True if the message was compressed when it was received.
    was_compressed: bool,
}

impl<T> Response<T> {
    /// Creates a response without metadata.
    pub fn new(message: T) -> Response<T> {
        Response { message, metadata: None, encoding: None, may_compress: true, was_compressed: false }
    }

    pub(crate) fn received(message: T, was_compressed: bool, metadata: Option<Box<CallMetadata>>) -> Response<T> {
        Response { message, metadata, encoding: None, may_compress: true, was_compressed }
    }

    pub(crate) fn into_parts(self) -> (T, Option<Box<CallMetadata>>) {
        (self.message, self.metadata)
    }

    /// On a server: compresses the message with this encoding, if the client accepts it and the server supports it.
    #[must_use]
    pub fn with_encoding(mut self, encoding: Encoding) -> Response<T> {
        self.encoding = Some(encoding);
        self
    }

    pub(crate) fn encoding(&self) -> Option<Encoding> {
        self.encoding
    }

    /// On a server: allows or forbids compressing this message, if the call has an encoding. Allowed by default.
    #[must_use]
    pub fn compress(mut self, compress: bool) -> Response<T> {
        self.may_compress = compress;
        self
    }

    /// Returns true if the message may be compressed when it is sent.
    pub(crate) fn may_compress(&self) -> bool {
        self.may_compress
    }

    /// On a client: returns true if the message was compressed on the wire. Always false for a response that a handler made.
    pub fn was_compressed(&self) -> bool {
        self.was_compressed
    }

    /// Returns the message.
    pub fn message(&self) -> &T {
        &self.message
    }

    /// Consumes this and returns the message.
    pub fn into_message(self) -> T {
        self.message
    }

    /// Returns the initial metadata.
    pub fn initial_metadata(&self) -> &Metadata {
        self.metadata.as_ref().map_or(Metadata::none(), |metadata| &metadata.initial)
    }

    /// Returns the initial metadata, for adding entries.
    pub fn initial_metadata_mut(&mut self) -> &mut Metadata {
        &mut self.metadata.get_or_insert_default().initial
    }

    /// Returns the trailing metadata.
    pub fn trailing_metadata(&self) -> &Metadata {
        self.metadata.as_ref().map_or(Metadata::none(), |metadata| &metadata.trailing)
    }

    /// Returns the trailing metadata, for adding entries.
    pub fn trailing_metadata_mut(&mut self) -> &mut Metadata {
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
