//! The transports, which provide byte streams: implementations of [`Listener`](crate::io::Listener) for servers and of
//! [`Connector`](crate::io::Connector) for clients.
//!
//! | module | a server listens with | a client connects with |
//! |---|---|---|
//! | [`tcp`] | [`tcp::listen`] | [`tcp::connect`] |
//! | [`unix`] | [`unix::listen`] | [`unix::connect`] |
//! | [`memory`] | both ends from [`memory::pair`], in one process | |
//! | `tls` | `tls::ServerTls::listener` around another listener | `tls::ClientTls::connector` around another connector |
//!
//! [`ClientBuilder::connect`](crate::ClientBuilder::connect) takes a URL and chooses among them.
//!
//! [`tap`] wraps any of them and passes a copy of the bytes to a sink, for example to [`record`], which stores it. The core does
//! not depend on these modules: any implementation of the two traits works.

mod endpoint;
#[cfg(not(feature = "tls-platform-roots"))]
#[path = "https_explicit.rs"]
mod https;
#[cfg(feature = "tls-platform-roots")]
#[path = "https_platform.rs"]
mod https;
pub mod memory;
pub mod record;
pub mod tap;
pub mod tcp;
#[cfg(feature = "tls")]
pub mod tls;
#[cfg(unix)]
pub mod unix;
