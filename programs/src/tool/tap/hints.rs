//! Notices that one side speaks TLS and the other does not, and names the flag that helps.
//!
//! The bytes are forwarded all the same; a tap without TLS can stand between two ends that use it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::tool::flags::to_tls::{TlsClient, sentence, tls_error};
use barewire::inspector::Direction;

/// The content types of records with which a side can begin TLS: RFC 8446, section 5.1.
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;

/// The facts known about a connection.
pub(super) struct Hints {
    client: SocketAddr,
    /// True if the tap terminates the client's TLS.
    terminates: bool,
    /// TLS to the server, if the tap uses it.
    to_tls: Option<TlsClient>,
    /// True once it was said that TLS is forwarded, which is so for all connections of a tap.
    forwards_tls: Arc<AtomicBool>,
    client_has_sent: AtomicBool,
    client_has_tls: AtomicBool,
    /// True once the server has begun without TLS, as a server of HTTP/2 may before the client.
    server_is_plain: AtomicBool,
}

const NO_TLS: &str = "the client speaks TLS, but the server does not; use --tls, which ends TLS at the tap";

impl Hints {
    pub(super) fn new(
        client: SocketAddr,
        terminates: bool,
        to_tls: Option<TlsClient>,
        forwards_tls: Arc<AtomicBool>,
    ) -> Hints {
        let [client_has_sent, client_has_tls, server_is_plain] = [false; 3].map(AtomicBool::new);
        Hints { client, terminates, to_tls, forwards_tls, client_has_sent, client_has_tls, server_is_plain }
    }

    /// Takes the first bytes of a direction.
    pub(super) fn begins(&self, direction: Direction, bytes: &[u8]) -> Option<String> {
        let is_tls = matches!(bytes, [ALERT | HANDSHAKE, 3, ..]);
        let client_has_tls = || self.client_has_tls.load(Ordering::Relaxed);
        let why = match direction {
            Direction::ToServer => {
                self.client_has_sent.store(true, Ordering::Relaxed);
                self.client_has_tls.store(is_tls, Ordering::Relaxed);
                if is_tls && !self.terminates && self.server_is_plain.load(Ordering::Relaxed) {
                    return Some(self.about(NO_TLS));
                }
                let is_new = is_tls && !self.terminates && !self.forwards_tls.swap(true, Ordering::Relaxed);
                is_new.then_some("the client speaks TLS, which is forwarded as it is; --tls shows what is inside")?
            }
            Direction::ToClient if self.to_tls.is_some() => return None,
            Direction::ToClient if client_has_tls() && !is_tls => NO_TLS,
            Direction::ToClient if !client_has_tls() && (is_tls || wants_https(bytes)) => {
                "the server speaks TLS, but the bytes to it are plaintext; use --to-tls"
            }
            Direction::ToClient => {
                self.server_is_plain.store(true, Ordering::Relaxed);
                return None;
            }
        };
        Some(self.about(why))
    }

    /// Takes the end of a direction without any byte.
    pub(super) fn is_silent(&self, direction: Direction) -> Option<String> {
        let asked = self.client_has_sent.load(Ordering::Relaxed);
        if direction == Direction::ToServer || !asked || self.to_tls.is_some() {
            return None;
        }
        Some(self.about(match self.client_has_tls.load(Ordering::Relaxed) {
            true => "the client speaks TLS, and the server closed without an answer; if it has no TLS, use --tls",
            false => "the server closed without an answer; if it expects TLS, use --to-tls",
        }))
    }

    /// Takes an error of reading a direction; returns a description of an error of TLS.
    pub(super) fn fails(&self, direction: Direction, error: io::Error) -> Option<String> {
        tls_error(&error)?;
        let error = match (direction, &self.to_tls) {
            (Direction::ToClient, Some(tls)) => tls.explained(error),
            (Direction::ToClient, None) => sentence(error, "server"),
            (Direction::ToServer, _) => sentence(error, "client"),
        };
        Some(self.about(&error.to_string()))
    }

    fn about(&self, why: &str) -> String {
        format!("{}: {why}", self.client)
    }
}

/// Returns true for the answer of HTTP servers to plaintext on a port for TLS.
fn wants_https(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes.get(..1024).unwrap_or(bytes));
    text.starts_with("HTTP/1.") && text.contains("HTTPS")
}
