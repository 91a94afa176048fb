//! Recognizes the bytes that may come before HTTP/2: a PROXY protocol header, an upgrade from HTTP/1.1, a tunnel by CONNECT.
//!
//! ```text
//! client → *(proxy / connect) [upgrade body] preface / TLS
//! server → *(interim / refusal by a proxy / tunnel) [101] SETTINGS / TLS
//! ```
//!
//! A response is judged by the request that it answers. A request that asks for neither HTTP/2 nor a tunnel, and its
//! response, are not HTTP/2.

use super::half::{Expects, Half, Piece, Step};
use super::http1::{self, Head, Scan};
use super::opening_state::{Opening, Request, is_record};
use super::proxy;
use crate::inspector::model::limits::Limits;
use crate::wire::http2::PREFACE;

/// The most unanswered requests that are remembered.
const MOST_REQUESTS: usize = 16;

/// The longest piece of a body.
const PIECE: u64 = 16 << 10;

/// Returns true if the bytes begin with something that a client sends before HTTP/2, false for a server's; `None` for
/// other bytes.
pub(crate) fn begins(bytes: &[u8]) -> Option<bool> {
    let sides = [(true, Expects::Preface, Expects::Settings), (false, Expects::Settings, Expects::Preface)];
    let before = |&(_, own, other): &(bool, Expects, Expects)| {
        let [mut half, mut peer] = [own, other].map(|side| Half::new(side, Limits::default()));
        matches!(half.opening(&mut peer, bytes), Step::Piece(Piece::Before(..), _))
    };
    sides.iter().find(|side| before(side)).map(|(client, ..)| *client)
}

/// The most bytes in which the end of an opening before TLS is searched for.
pub(crate) const LONGEST: usize = 64 << 10;

/// Returns the length of what a side sent before TLS: PROXY protocol headers, and messages about a tunnel. 0 if no TLS
/// follows.
pub(crate) fn length(bytes: &[u8], is_client: bool) -> usize {
    let (own, other) = match is_client {
        true => (Expects::Preface, Expects::Settings),
        false => (Expects::Settings, Expects::Preface),
    };
    let [mut half, mut peer] = [own, other].map(|side| Half::new(side, Limits::default()));
    // The requests are in the other direction; each response may answer one.
    peer.opening.requests.extend([Request::Connect; MOST_REQUESTS]);
    let mut rest = bytes;
    while let Some((Piece::Before(_, _), after)) = half.next_piece(&mut peer, rest) {
        rest = after;
    }
    if is_record(rest) { bytes.len() - rest.len() } else { 0 }
}

impl Half {
    /// Reads the beginning of a direction that is neither a preface nor SETTINGS.
    pub(super) fn opening<'a>(&mut self, peer: &mut Half, bytes: &'a [u8]) -> Step<'a> {
        let is_response = self.begins_with == Expects::Settings;
        let proxy = if is_response { Scan::Other } else { proxy::header(bytes) };
        match proxy {
            Scan::Other => {}
            Scan::More => return Step::More,
            Scan::Until(end) => return self.piece(Opening::Proxy, bytes, end),
        }
        match http1::head(bytes, &mut self.opening.searched, is_response) {
            Scan::Other => Step::Other,
            Scan::More => Step::More,
            Scan::Until(end) => {
                let head = Head::read(bytes.get(..end).unwrap_or_default());
                let opening = match is_response {
                    true => self.response(peer, &head),
                    false => self.request(&head),
                };
                match opening {
                    Some(opening) => self.piece(opening, bytes, end),
                    None => Step::Other,
                }
            }
        }
    }

    /// Returns true if these bytes, where HTTP/2 was expected, are a message of HTTP/1 or the beginning of one.
    pub(crate) fn is_http1(&self, expected: Expects, bytes: &[u8]) -> bool {
        let opens = expected == self.begins_with && !bytes.is_empty() && !PREFACE.starts_with(bytes);
        opens && http1::begins(bytes, self.begins_with == Expects::Settings)
    }

    fn request(&mut self, head: &Head<'_>) -> Option<Opening> {
        let state = &mut self.opening;
        let room = state.requests.len() < MOST_REQUESTS;
        if head.is_connect() && room {
            state.requests.push_back(Request::Connect);
            return Some(Opening::Message);
        }
        if state.upgraded || !head.has_token("upgrade", "h2c") || !room {
            return None;
        }
        state.upgraded = true;
        state.requests.push_back(Request::Upgrade);
        self.expect_body(head);
        Some(Opening::Upgrade { body: self.expects != self.begins_with })
    }

    fn response(&mut self, peer: &mut Half, head: &Head<'_>) -> Option<Opening> {
        let requests = &mut peer.opening.requests;
        let request = requests.front().copied();
        match (head.status(), request) {
            (101, Some(Request::Upgrade) | None) if !head.has("upgrade") || head.has_token("upgrade", "h2c") => {
                requests.pop_front();
                Some(Opening::Message)
            }
            (100..=199, Some(_)) => Some(Opening::Message),
            (200..=299, Some(Request::Connect)) => {
                requests.pop_front();
                Some(Opening::Message)
            }
            // The client may ask again, with credentials.
            (407, Some(Request::Connect)) => {
                requests.pop_front();
                self.expect_body(head);
                Some(Opening::Message)
            }
            (_, Some(Request::Upgrade)) => {
                requests.clear();
                for half in [peer, self] {
                    if half.expects != Expects::Frame {
                        (half.expects, half.http1) = (Expects::Nothing, true);
                    }
                }
                Some(Opening::Refusal)
            }
            _ => None,
        }
    }

    fn expect_body(&mut self, head: &Head<'_>) {
        self.expects = match head.body() {
            None => Expects::Chunk,
            Some(0) => self.begins_with,
            Some(left) => Expects::Body { left },
        };
    }

    /// Returns the next part of a body with this many octets left.
    pub(super) fn body<'a>(&mut self, bytes: &'a [u8], left: u64) -> Step<'a> {
        let length = left.min(PIECE);
        if (bytes.len() as u64) < length {
            return Step::More;
        }
        let left = left - length;
        self.expects = if left == 0 { self.begins_with } else { Expects::Body { left } };
        self.piece(Opening::Body { last: left == 0 }, bytes, length as usize)
    }

    /// Returns the next chunk of a body.
    pub(super) fn chunk<'a>(&mut self, bytes: &'a [u8]) -> Step<'a> {
        match http1::chunk(bytes) {
            Scan::More => Step::More,
            Scan::Other => Step::Other,
            Scan::Until(end) => {
                let [_, octets, _] = http1::chunk_places(bytes.get(..end).unwrap_or_default());
                let last = octets.is_empty();
                self.expects = if last { self.begins_with } else { Expects::Chunk };
                self.piece(Opening::Chunk { last }, bytes, end)
            }
        }
    }

    fn piece<'a>(&mut self, opening: Opening, bytes: &'a [u8], end: usize) -> Step<'a> {
        self.opening.searched = 0;
        match bytes.split_at_checked(end) {
            Some((piece, rest)) => Step::Piece(Piece::Before(opening, piece), rest),
            None => Step::More,
        }
    }
}
