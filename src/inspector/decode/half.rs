//! Splits the bytes of one direction into the preface and frames; keeps the state that the direction's header blocks
//! share.

use super::assembly::Assembly;
use super::hpack::Decoder;
use super::http1::Lines;
use super::opening_state::{Opening, OpeningState, is_record};
use super::resync::{Found, LONGEST, look_for_frames};
use crate::inspector::model::limits::Limits;
use crate::wire::http2::{FRAME_HEADER, FrameHeader, FrameType, PREFACE};

/// One direction of a connection.
#[derive(Clone, Debug)]
pub(crate) struct Half {
    pub(crate) expects: Expects,
    /// Bytes of an incomplete frame.
    pub(crate) pending: Vec<u8>,
    /// The offset of `pending` in the direction's bytes.
    pub(crate) offset: u64,
    pub(crate) hpack: Decoder,
    pub(super) block: Option<OpenBlock>,
    /// True if the direction begins with a TLS record instead of HTTP/2.
    pub(crate) tls: bool,
    /// True if the first bytes of TLS were shown.
    pub(super) tls_shown: bool,
    /// True if it begins with a message of HTTP/1 instead.
    pub(crate) http1: bool,
    /// The position in the lines of a direction that is not HTTP/2.
    pub(crate) lines: Lines,
    /// The first expectation: the preface of a client or of a server.
    pub(super) begins_with: Expects,
    pub(super) opening: OpeningState,
}

/// The expected next bytes of a direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expects {
    /// A client's preface (RFC 9113, section 3.4): anything else is not HTTP/2.
    Preface,
    /// A server's preface, which is a SETTINGS frame: anything else is not HTTP/2.
    Settings,
    Frame,
    /// The body of a request in HTTP/1.1 that asks for HTTP/2, or of a response before one that agrees to it.
    Body {
        left: u64,
    },
    /// A chunk of such a body.
    Chunk,
    /// The rest of a frame with lost bytes, and whether it carries a header block.
    Rest {
        missing: u32,
        header_block: bool,
    },
    /// Frames at an unknown place, not before this offset of the pending bytes.
    Lost {
        from: usize,
    },
    /// Not HTTP/2, or after the end.
    Nothing,
}

/// A header block whose last frame has not arrived.
#[derive(Clone, Debug)]
pub(super) struct OpenBlock {
    pub(crate) first_frame: u64,
    pub(crate) stream: u32,
    pub(crate) ends_stream: bool,
    pub(super) promise: bool,
    /// `None` if it exceeded the limit.
    pub(super) assembly: Option<Assembly>,
}

/// A complete piece of a direction's bytes.
pub(crate) enum Piece<'a> {
    Preface(&'a [u8]),
    /// A piece that leads to HTTP/2.
    Before(Opening, &'a [u8]),
    Frame(FrameHeader, &'a [u8]),
    NotHttp2(&'a [u8]),
    /// The rest of a frame with lost bytes, or a part of it.
    Rest(&'a [u8]),
    /// Bytes before the next frame, or bytes that can't begin one.
    Lost(&'a [u8]),
}

/// The result of reading an opening.
pub(super) enum Step<'a> {
    /// More bytes are needed.
    More,
    Piece(Piece<'a>, &'a [u8]),
    /// The bytes do not lead to HTTP/2.
    Other,
}

impl Half {
    pub(crate) fn new(expects: Expects, limits: Limits) -> Self {
        Self {
            expects,
            pending: Vec::new(),
            offset: 0,
            hpack: Decoder::new(limits),
            block: None,
            tls: false,
            tls_shown: false,
            http1: false,
            lines: Lines::default(),
            begins_with: expects,
            opening: OpeningState::default(),
        }
    }

    /// Returns the number of bytes of an incomplete frame and of an incomplete header block.
    pub(super) fn held(&self) -> usize {
        let block = self.block.as_ref().and_then(|block| block.assembly.as_ref());
        self.pending.len() + block.map_or(0, Assembly::cost)
    }

    /// Returns the next piece and the bytes after it, or `None` if more bytes are needed. `peer` is the other direction.
    pub(crate) fn next_piece<'a>(&mut self, peer: &mut Half, bytes: &'a [u8]) -> Option<(Piece<'a>, &'a [u8])> {
        let header = match self.expects {
            _ if bytes.is_empty() => return None,
            Expects::Preface if bytes.starts_with(PREFACE) => {
                self.expects = Expects::Frame;
                let (preface, rest) = bytes.split_at_checked(PREFACE.len())?;
                return Some((Piece::Preface(preface), rest));
            }
            Expects::Preface if PREFACE.starts_with(bytes) => return None,
            Expects::Settings if may_be_settings(bytes) => FrameHeader::parse(bytes)?,
            Expects::Frame => FrameHeader::parse(bytes)?,
            Expects::Rest { missing, header_block } => {
                let (rest, after) = bytes.split_at_checked(missing as usize).unwrap_or((bytes, &[]));
                self.expects = match missing - rest.len() as u32 {
                    0 => Expects::Frame,
                    missing => Expects::Rest { missing, header_block },
                };
                return Some((Piece::Rest(rest), after));
            }
            Expects::Lost { from } => return self.lost(peer, bytes, from),
            Expects::Nothing => return Some((Piece::NotHttp2(bytes), &[])),
            expected => {
                let step = match expected {
                    Expects::Body { left } => self.body(bytes, left),
                    Expects::Chunk => self.chunk(bytes),
                    _ => self.opening(peer, bytes),
                };
                return match step {
                    Step::More => None,
                    Step::Piece(piece, rest) => Some((piece, rest)),
                    Step::Other => Some((self.not_http2(bytes), &[])),
                };
            }
        };
        let (frame, rest) = bytes.split_at_checked(FRAME_HEADER + header.length as usize)?;
        self.expects = Expects::Frame;
        Some((Piece::Frame(header, frame), rest))
    }

    /// Gives up HTTP/2 in this direction.
    pub(crate) fn not_http2<'a>(&mut self, bytes: &'a [u8]) -> Piece<'a> {
        self.tls |= is_record(bytes);
        self.http1 |= self.is_http1(self.expects, bytes);
        self.expects = Expects::Nothing;
        Piece::NotHttp2(bytes)
    }

    /// Handles this many lost bytes: returns the previous expectation and the pending bytes, and updates the
    /// expectation.
    pub(crate) fn lose(&mut self, count: u64) -> (Expects, Vec<u8>) {
        let expected = self.expects;
        let pending = std::mem::take(&mut self.pending);
        let (header_block, missing) = match expected {
            Expects::Rest { missing, header_block } => (header_block, Some(u64::from(missing))),
            Expects::Frame | Expects::Settings => match FrameHeader::parse(&pending) {
                Some(header) => {
                    let whole = FRAME_HEADER as u64 + u64::from(header.length);
                    (header.carries_header_block(), Some(whole.saturating_sub(pending.len() as u64)))
                }
                None => (true, None),
            },
            Expects::Preface | Expects::Body { .. } | Expects::Chunk | Expects::Lost { .. } | Expects::Nothing => {
                (true, None)
            }
        };
        let within = missing.filter(|missing| count <= *missing);
        self.expects = match within {
            Some(missing) if missing == count => Expects::Frame,
            Some(missing) => Expects::Rest { missing: (missing - count) as u32, header_block },
            None if expected == Expects::Nothing => Expects::Nothing,
            None => Expects::Lost { from: 0 },
        };
        self.lines.lose_track();
        if within.is_none() || header_block {
            self.block = None;
            self.hpack.lose_track();
        }
        (expected, pending)
    }

    /// Returns bytes that can't be part of a frame; continues with frames if they are found.
    fn lost<'a>(&mut self, peer: &mut Half, bytes: &'a [u8], from: usize) -> Option<(Piece<'a>, &'a [u8])> {
        let end = match look_for_frames(bytes, from) {
            Found::Frames(at) => {
                let preface = bytes.get(at..).is_some_and(|bytes| bytes.starts_with(PREFACE));
                self.expects = if preface { Expects::Preface } else { Expects::Frame };
                if at == 0 {
                    return self.next_piece(peer, bytes);
                }
                at
            }
            Found::NotBefore(0) => return None,
            Found::NotBefore(at) => {
                self.expects = Expects::Lost { from: 0 };
                at
            }
        };
        let (lost, rest) = bytes.split_at_checked(end)?;
        Some((Piece::Lost(lost), rest))
    }
}

/// Returns true if these bytes can begin a server's preface. TLS records can't: 22, 3, 3 would be a length of over a
/// MiB.
fn may_be_settings(bytes: &[u8]) -> bool {
    bytes.first_chunk().is_none_or(|&[a, b, c, kind]| {
        FrameType(kind) == FrameType::SETTINGS && u32::from_be_bytes([0, a, b, c]) <= LONGEST
    })
}
