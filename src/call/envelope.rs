//! The data that accompanies a message: [`Context`] for a request, metadata for a response.

use std::ops::Deref;

use http::Extensions;
use tokio::time::Instant;

use super::context::Context;
use crate::io::Peer;
use crate::metadata::Metadata;
use crate::wire::encoding::Encoding;

/// The metadata before and after the messages of a response.
#[derive(Clone, Debug, Default)]
pub(crate) struct CallMetadata {
    /// Sent before the messages.
    pub(crate) initial: Metadata,
    /// Sent with the status.
    pub(crate) trailing: Metadata,
}

/// A request with a single message, as passed to a handler. Dereferences to the message.
///
/// ```
/// use barewire::{Request, Status};
///
/// /// A handler.
/// async fn shout(_: &(), request: Request<String>) -> Result<String, Status> {
///     let tenant = request.metadata().get("tenant").ok_or_else(|| Status::unauthenticated("no tenant"))?;
///     println!("{tenant} at {} calls, and waits until {:?}", request.peer().address, request.deadline());
///     Ok(request.to_uppercase())
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Request<T> {
    message: T,
    context: Context,
    compressed: bool,
}

impl<T> Request<T> {
    /// Creates a request without metadata, as if it came from this process: for calling a handler from a test.
    pub fn new(message: T) -> Request<T> {
        Request::from_parts(message, Context::default())
    }

    /// Creates a request from a message and the attributes of its call.
    pub fn from_parts(message: T, context: Context) -> Request<T> {
        Request::with_context(message, context, false)
    }

    /// Returns the message and the attributes of the call.
    pub fn into_parts(self) -> (T, Context) {
        (self.message, self.context)
    }

    /// Replaces the message by the result of a function, and keeps the rest.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Request<U> {
        Request { message: change(self.message), context: self.context, compressed: self.compressed }
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

    /// Returns the values attached to the call, by their types: see [`Context::extensions`].
    pub fn extensions(&self) -> &Extensions {
        self.context.extensions()
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
///
/// ```
/// use barewire::Response;
///
/// let mut response = Response::new("hello".to_owned());
/// response.trailing_metadata_mut().insert("cost", "7")?;
/// assert_eq!(response.len(), 5); // of the message
/// assert_eq!(response.trailing_metadata().get("cost"), Some("7"));
/// assert_eq!(response.into_message(), "hello");
/// # Ok::<(), barewire::metadata::MetadataError>(())
/// ```
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

    pub(crate) fn into_message_and_metadata(self) -> (T, Option<Box<CallMetadata>>) {
        (self.message, self.metadata)
    }

    /// Creates a response from a message, its initial and its trailing metadata.
    ///
    /// ```
    /// use barewire::{Metadata, Response};
    ///
    /// let response = Response::from_parts("hello", Metadata::new(), Metadata::new());
    /// assert_eq!(response.into_parts(), ("hello", Metadata::new(), Metadata::new()));
    /// ```
    pub fn from_parts(message: T, initial_metadata: Metadata, trailing_metadata: Metadata) -> Response<T> {
        let metadata = CallMetadata { initial: initial_metadata, trailing: trailing_metadata };
        Response { metadata: Some(Box::new(metadata)), ..Response::new(message) }
    }

    /// Returns the message, the initial and the trailing metadata.
    pub fn into_parts(self) -> (T, Metadata, Metadata) {
        let CallMetadata { initial, trailing } = self.metadata.map(|metadata| *metadata).unwrap_or_default();
        (self.message, initial, trailing)
    }

    /// Replaces the message by the result of a function, and keeps the rest.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Response<U> {
        let Response { message, metadata, encoding, may_compress, was_compressed } = self;
        Response { message: change(message), metadata, encoding, may_compress, was_compressed }
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
