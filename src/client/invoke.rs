//! [`Invoke`]: the interface through which calls get their stream.

use std::borrow::Cow;
use std::fmt;
use std::pin::Pin;

use http::HeaderMap;

use crate::call::Compressors;
use crate::call::answer::Answer;
use crate::call::send::SendHalf;
use crate::status::{Code, Status};

/// Begins calls: a single connection, or a channel with several.
///
/// Two connections that take turns:
///
/// ```
/// use std::sync::atomic::{AtomicUsize, Ordering};
///
/// use barewire::client::{Begin, Connection, Head, Invoke};
///
/// struct InTurns {
///     connections: [Connection; 2],
///     calls: AtomicUsize,
/// }
///
/// impl Invoke for InTurns {
///     fn begin(&self, head: Head) -> Begin {
///         let turn = self.calls.fetch_add(1, Ordering::Relaxed) % 2;
///         self.connections[turn].begin(head)
///     }
/// }
/// # let _ = |connections| {
/// let client = barewire::Client::over(
///     std::sync::Arc::new(InTurns { connections, calls: AtomicUsize::new(0) }),
///     barewire::ClientOptions::default(),
/// );
/// # client
/// # };
/// ```
pub trait Invoke: Send + Sync {
    /// Opens a stream with these Request-Headers.
    fn begin(&self, head: Head) -> Begin;
}

/// The headers and options that a call begins with.
///
/// [`Invoke`] has an example.
#[derive(Clone, Debug)]
pub struct Head {
    /// The path of the method.
    pub path: Cow<'static, str>,
    /// Request-Headers without the pseudo-header fields.
    pub headers: HeaderMap,
    /// The largest message that the response may contain, in bytes.
    pub receive_limit: usize,
    /// The compressors that may decompress the response.
    pub compressors: Compressors,
    /// See [`ClientOptions::code_of_http_status`](super::ClientOptions::code_of_http_status).
    pub code_of_http_status: fn(u16) -> Code,
}

/// The beginning of a call: at once, or once a connection is available.
///
/// [`Invoke`] has an example.
#[allow(clippy::large_enum_variant)] // Created once per call and taken apart at once.
pub enum Begin {
    /// The call has begun, or has failed to.
    Now(Result<CallStream, Status>),
    /// The call begins when this future is ready.
    Later(Pin<Box<dyn Future<Output = Result<CallStream, Status>> + Send>>),
}

/// The stream of a call whose Request-Headers have been sent.
///
/// [`Invoke`] has an example.
pub struct CallStream {
    pub(crate) sending: SendHalf,
    pub(crate) answer: Answer,
}

impl fmt::Debug for CallStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallStream").finish_non_exhaustive()
    }
}

impl fmt::Debug for Begin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Begin::Now(_) => "Begin::Now",
            Begin::Later(_) => "Begin::Later",
        })
    }
}
