//! [`Invoke`]: what calls begin with, and where they begin.

use std::fmt;
use std::pin::Pin;

use http::HeaderMap;

use crate::call::Compressors;
use crate::call::answer::Answer;
use crate::call::send::Sending;
use crate::status::{Code, Status};

/// Begins calls: one connection, or something that has many of them.
pub trait Invoke: Send + Sync {
    /// Opens a stream with these Request-Headers.
    fn begin(&self, head: Head) -> Begin;
}

/// What a call begins with.
#[derive(Clone, Debug)]
pub struct Head {
    /// The path of the method.
    pub path: &'static str,
    /// Request-Headers but for the pseudo-header fields.
    pub headers: HeaderMap,
    /// The largest message that the answer may have, in bytes.
    pub receive_limit: usize,
    /// What the answer may be compressed with.
    pub compressors: Compressors,
    /// See [`ClientOptions::code_of_http_status`](super::ClientOptions::code_of_http_status).
    pub code_of_http_status: fn(u16) -> Code,
}

/// A call that begins: at once, or when there is a connection for it.
#[allow(clippy::large_enum_variant)] // It is made once a call and taken apart at once.
pub enum Begin {
    /// It has begun, or can't.
    Now(Result<Opened, Status>),
    /// It will.
    Later(Pin<Box<dyn Future<Output = Result<Opened, Status>> + Send>>),
}

/// The stream of a call whose Request-Headers have been sent.
pub struct Opened {
    pub(crate) sending: Sending,
    pub(crate) answer: Answer,
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened").finish_non_exhaustive()
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
