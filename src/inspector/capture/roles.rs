//! Finds the client of a connection whose beginning was not captured, from its frames.
//!
//! A request has `:method`, a response `:status` (RFC 9113, section 8.3), and HPACK sends both as an index of its static
//! table, so that they can be decoded in mid-connection. Other frames hint at the side that sent them. Ports decide only
//! if no frame does.

use std::collections::{BTreeMap, BTreeSet};

use super::recorded::Connection;
use crate::inspector::decode::half::{Expects, Half, Piece};
use crate::inspector::decode::http2;
use crate::inspector::model::frame::Direction;
use crate::inspector::model::limits::Limits;
use crate::wire::http2::{FRAME_HEADER, FrameHeader, FrameType, Setting, settings};

/// The most bytes of a connection that are searched.
const MOST: usize = 4 << 20;

/// The most streams with DATA that are remembered.
const MOST_STREAMS: usize = 1 << 16;

/// The weight of something that only one side may send, and of something that one side usually sends.
const PROOF: i64 = 1_000;
const HINT: i64 = 1;

/// The header names of requests, and those of responses.
const OF_REQUESTS: [&str; 4] = [":method", ":scheme", ":path", ":authority"];
const OF_RESPONSES: [&str; 3] = [":status", "grpc-status", "grpc-message"];
const USUAL_IN_REQUESTS: [&str; 5] =
    ["te", "user-agent", "grpc-timeout", "authorization", "grpc-previous-rpc-attempts"];
const USUAL_IN_RESPONSES: [&str; 3] = ["server", "date", "grpc-retry-pushback-ms"];

/// Returns true if the frames show that the connection's client is the client, false if they show that it is the
/// server; `None` if they show neither.
pub(super) fn client_is_client(connection: &Connection) -> Option<bool> {
    let (mut to_server, mut to_client) = (Side::new(), Side::new());
    let mut searched = 0;
    for (at, chunk) in connection.chunks.iter().enumerate() {
        let (side, peer) = match chunk.direction {
            Direction::ToServer => (&mut to_server, &mut to_client),
            Direction::ToClient => (&mut to_client, &mut to_server),
        };
        side.push(peer, at, chunk.lost, &chunk.bytes);
        searched += chunk.bytes.len();
        if (to_server.score - to_client.score).abs() >= PROOF || searched > MOST {
            break;
        }
    }
    // The side whose headers come first on a stream opened it.
    let first = to_server.headers.iter().filter_map(|(stream, at)| Some((*at, *to_client.headers.get(stream)?)));
    let order: i64 = first.map(|(own, other)| (other > own) as i64 - (own > other) as i64).sum();
    match to_server.score - to_client.score + order * HINT {
        0 => None,
        score => Some(score > 0),
    }
}

/// One direction.
struct Side {
    half: Half,
    block: Vec<u8>,
    /// True if the block is that of a PUSH_PROMISE, which is a request that the server sends.
    promise: bool,
    /// The place of the first HEADERS on each odd stream.
    headers: BTreeMap<u32, usize>,
    /// Streams with DATA.
    data: BTreeSet<u32>,
    /// Positive if a client sent it, negative if a server did.
    score: i64,
}

impl Side {
    fn new() -> Self {
        let mut half = Half::new(Expects::Preface, Limits::default());
        half.expects = Expects::Lost { from: 0 };
        half.hpack.lose_track();
        Self { half, block: Vec::new(), promise: false, headers: BTreeMap::new(), data: BTreeSet::new(), score: 0 }
    }

    fn push(&mut self, peer: &mut Side, at: usize, lost: u64, bytes: &[u8]) {
        if lost > 0 {
            self.half.lose(lost);
            self.block.clear();
        }
        let mut pending = std::mem::take(&mut self.half.pending);
        pending.extend_from_slice(bytes);
        let mut rest = pending.as_slice();
        while let Some((piece, after)) = self.half.next_piece(&mut peer.half, rest) {
            rest = after;
            match piece {
                Piece::Preface(_) => self.score += PROOF,
                Piece::Frame(header, bytes) => self.frame(at, &header, bytes),
                Piece::Before(..) | Piece::NotHttp2(_) | Piece::Rest(_) | Piece::Lost(_) => {}
            }
        }
        let done = pending.len() - rest.len();
        pending.drain(..done);
        self.half.pending = pending;
    }

    fn frame(&mut self, at: usize, header: &FrameHeader, bytes: &[u8]) {
        let payload = bytes.get(FRAME_HEADER..).unwrap_or_default();
        match header.kind {
            FrameType::HEADERS | FrameType::PUSH_PROMISE => {
                self.block.clear();
                self.promise = header.kind == FrameType::PUSH_PROMISE;
                self.score -= if self.promise { PROOF } else { 0 };
                if !self.promise && header.stream % 2 == 1 {
                    // Headers or data before, and now trailers: requests of gRPC have no trailers.
                    let data = header.ends_stream() && self.data.contains(&header.stream);
                    let again = data || self.headers.contains_key(&header.stream);
                    self.score -= if again { HINT } else { 0 };
                    self.headers.entry(header.stream).or_insert(at);
                }
                self.block(header, bytes);
            }
            FrameType::CONTINUATION => self.block(header, bytes),
            FrameType::DATA if self.data.len() < MOST_STREAMS => drop(self.data.insert(header.stream)),
            FrameType::SETTINGS => {
                let push = settings(payload).find(|(id, _)| *id == Setting::ENABLE_PUSH);
                // A server may only send 0, and need not.
                self.score += push.map_or(0, |(_, value)| if value == 1 { PROOF } else { HINT });
            }
            FrameType::GOAWAY => {
                // It names a stream of the other side; those of clients are odd.
                let last = payload.first_chunk().map_or(0, |last| u32::from_be_bytes(*last) & 0x7fff_ffff);
                self.score += match last {
                    0 | 0x7fff_ffff => 0,
                    last if last % 2 == 1 => -HINT,
                    _ => HINT,
                };
            }
            _ => {}
        }
    }

    fn block(&mut self, header: &FrameHeader, bytes: &[u8]) {
        let body = http2::dissect(header, bytes).body;
        self.block.extend_from_slice(bytes.get(body).unwrap_or_default());
        if self.block.len() > Limits::default().header_block || !header.has(FrameHeader::END_HEADERS) {
            return;
        }
        let decoded = self.half.hpack.decode(&self.block);
        self.block.clear();
        if self.promise || decoded.error.is_some() {
            return;
        }
        let has = |names: &[&str]| decoded.fields.iter().any(|field| names.iter().any(|name| field.is(name)));
        let [request, response] = [&OF_REQUESTS[..], &OF_RESPONSES].map(has);
        // Both would be an error of the sender, or no header block.
        self.score += PROOF * (i64::from(request) - i64::from(response));
        let [request, response] = [&USUAL_IN_REQUESTS[..], &USUAL_IN_RESPONSES].map(has);
        self.score += HINT * (i64::from(request) - i64::from(response));
    }
}
