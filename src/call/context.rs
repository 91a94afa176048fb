//! [`Context`]: the attributes of a call on a server, and the values that the application attaches to it.

use std::sync::Arc;

use http::{Extensions, Uri};
use tokio::time::Instant;

use crate::io::{ConnectionInfo, Peer};
use crate::metadata::Metadata;
use crate::wire::encoding::EncodingSet;

/// The attributes of a call on a server: method, metadata, connection, deadline, and typed values of the application.
///
/// ```
/// use barewire::{Context, Metadata, Request};
///
/// #[derive(Clone, Debug, PartialEq)]
/// struct Caller(String);
///
/// // As a test of a handler would build it.
/// let mut metadata = Metadata::new();
/// metadata.insert("tenant", "blue")?;
/// let mut context = Context::new("/words.Words/Shout").with_metadata(metadata);
/// context.extensions_mut().insert(Caller("ann".into()));
///
/// let request = Request::from_parts("hello", context);
/// assert_eq!(request.metadata().get("tenant"), Some("blue"));
/// assert_eq!(request.extensions().get::<Caller>(), Some(&Caller("ann".into())));
/// assert_eq!(request.extensions().get::<u32>(), None);
/// # Ok::<(), barewire::metadata::MetadataError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Context {
    pub(crate) uri: Uri,
    pub(crate) metadata: Metadata,
    pub(crate) connection: Arc<ConnectionInfo>,
    pub(crate) deadline: Option<Instant>,
    pub(crate) accept_encoding: EncodingSet,
    pub(crate) extensions: Extensions,
}

impl Context {
    /// Creates the context of a call to this path, as if it came from this process: for calling a handler from a test.
    ///
    /// # Panics
    ///
    /// Panics if the path is not a valid URI path, as `/package.Service/Method` is.
    pub fn new(path: &'static str) -> Context {
        Context { uri: Uri::from_static(path), ..Context::default() }
    }

    /// Replaces the metadata.
    #[must_use]
    pub fn with_metadata(mut self, metadata: Metadata) -> Context {
        self.metadata = metadata;
        self
    }

    /// Replaces the connection.
    #[must_use]
    pub fn with_connection(mut self, connection: impl Into<Arc<ConnectionInfo>>) -> Context {
        self.connection = connection.into();
        self
    }

    /// Replaces the deadline. Nothing ends a handler that is called directly when it passes.
    #[must_use]
    pub fn with_deadline(mut self, deadline: Instant) -> Context {
        self.deadline = Some(deadline);
        self
    }

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
        self.connection.peer()
    }

    /// Returns the connection on which the call came.
    pub fn connection(&self) -> &ConnectionInfo {
        &self.connection
    }

    /// Returns the time at which the client stops waiting; `None` means never.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Returns the encodings that the client accepts in the response.
    pub fn accept_encoding(&self) -> EncodingSet {
        self.accept_encoding
    }

    /// Returns the values that were attached to this call, by their types. Those of the connection are in
    /// [`Context::connection`].
    pub fn extensions(&self) -> &Extensions {
        &self.extensions
    }

    /// Returns the values attached to this call for changes.
    pub fn extensions_mut(&mut self) -> &mut Extensions {
        &mut self.extensions
    }
}
