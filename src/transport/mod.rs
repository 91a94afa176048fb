//! Where byte streams come from: implementers of [`Listener`](crate::io::Listener) for servers and of
//! [`Connector`](crate::io::Connector) for clients.
//!
//! | module | a server listens with | a client connects with |
//! |---|---|---|
//! | [`tcp`] | [`tcp::listen`] | [`tcp::connect`] |
//! | [`unix`] | [`unix::listen`] | [`unix::connect`] |
//! | [`memory`] | both ends from [`memory::pair`], in one process | |
//! | `tls` | `tls::ServerTls::listener` around another listener | `tls::ClientTls::connector` around another connector |
//!
//! [`tap`] goes around any of them and lets somebody hear the bytes, [`record`] for example, which keeps a copy. The core knows none of these modules: whatever implements the two
//! traits serves and connects.

pub mod memory;
pub mod record;
pub mod tap;
pub mod tcp;
#[cfg(feature = "tls")]
pub mod tls;
#[cfg(unix)]
pub mod unix;
