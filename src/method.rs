//! [`Method`], a method descriptor for both sides: its path, its two message types, and which of the four kinds of call it is.
//!
//! A descriptor is a constant, without generated code. `/routeguide.RouteGuide/GetFeature` is the value of `:path`
//! (PROTOCOL-HTTP2.md, "Requests": `Path → ":path" "/" Service-Name "/" {method name}`), compared case-sensitively.

use std::fmt;
use std::marker::PhantomData;

/// The kind of call with one message to the server and one back.
///
/// [`Method`] has an example.
#[derive(Clone, Copy, Debug)]
pub struct Unary;

/// The kind of call with one message to the server and any number back.
///
/// [`Method`] has an example.
#[derive(Clone, Copy, Debug)]
pub struct ServerStreaming;

/// The kind of call with any number of messages to the server and one back.
///
/// [`Method`] has an example.
#[derive(Clone, Copy, Debug)]
pub struct ClientStreaming;

/// The kind of call with any number of messages both ways, in any order.
///
/// [`Method`] has an example.
#[derive(Clone, Copy, Debug)]
pub struct BidiStreaming;

/// A typed method descriptor: the path of one RPC, the message types `Req` and `Resp`, and its `Kind`.
///
/// ```
/// use barewire::{BidiStreaming, ClientStreaming, Method, ServerStreaming, Unary};
///
/// const SHOUT: Method<String, String, Unary> = Method::new("/words.Words/Shout");
/// const SPLIT: Method<String, String, ServerStreaming> = Method::new("/words.Words/Split");
/// const JOIN: Method<String, String, ClientStreaming> = Method::new("/words.Words/Join");
/// const ECHO: Method<String, String, BidiStreaming> = Method::new("/words.Words/Echo");
/// assert_eq!(SHOUT.path(), "/words.Words/Shout");
/// ```
pub struct Method<Req, Resp, Kind> {
    path: &'static str,
    types: PhantomData<fn(Req, Kind) -> Resp>,
}

impl<Req, Resp, Kind> Method<Req, Resp, Kind> {
    /// Describes the method at `path`, which is `/package.Service/Method`.
    ///
    /// # Panics
    ///
    /// If the path does not begin with a slash or lacks a service or a method name. In a constant, as descriptors usually are,
    /// this is an error at compile time.
    pub const fn new(path: &'static str) -> Self {
        assert!(is_method_path(path.as_bytes()), "invalid method path: use the form /package.Service/Method");
        Method { path, types: PhantomData }
    }

    /// Returns the path, `/package.Service/Method`.
    pub const fn path(&self) -> &'static str {
        self.path
    }
}

/// Tells whether a path has a leading slash, a service name, a slash and a method name, all visible ASCII and not empty.
pub(crate) const fn is_method_path(path: &[u8]) -> bool {
    let (mut last_slash, mut i) = (0, 0);
    while i < path.len() {
        if !path[i].is_ascii_graphic() || path[i] == b'?' || path[i] == b'#' {
            return false;
        }
        if path[i] == b'/' {
            last_slash = i;
        }
        i += 1;
    }
    last_slash > 1 && path[0] == b'/' && last_slash + 1 < path.len()
}

/// Splits a path at its last slash into service and method, as PROTOCOL-HTTP2.md does; `None` without a leading slash or a
/// second one.
///
/// ```
/// use barewire::method::split;
///
/// assert_eq!(split("/words.Words/Shout"), Some(("words.Words", "Shout")));
/// assert_eq!(split("words"), None);
/// ```
pub fn split(path: &str) -> Option<(&str, &str)> {
    path.strip_prefix('/')?.rsplit_once('/')
}

impl<Req, Resp, Kind> Clone for Method<Req, Resp, Kind> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<Req, Resp, Kind> Copy for Method<Req, Resp, Kind> {}

impl<Req, Resp, Kind> fmt::Debug for Method<Req, Resp, Kind> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Method({})", self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_without_service_or_method_is_invalid() {
        for good in ["/s/m", "/routeguide.RouteGuide/GetFeature", "/prefix/pkg.Service/Method"] {
            assert!(is_method_path(good.as_bytes()), "{good}");
        }
        for bad in ["", "/", "//", "/s", "/s/", "//m", "s/m", "/s/m?x", "/s /m", "/s/mé"] {
            assert!(!is_method_path(bad.as_bytes()), "{bad}");
        }
    }

    #[test]
    fn path_is_split_at_its_last_slash() {
        assert_eq!(split("/a/b/c"), Some(("a/b", "c")));
        assert_eq!(split("/s/"), Some(("s", "")));
        assert_eq!(split("/s"), None);
        assert_eq!(split("s/m"), None);
    }
}
