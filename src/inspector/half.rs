//! One direction's bytes: cut into the preface and frames, with the state that the direction's header blocks share.

use super::assembly::Assembly;
use super::frame::Direction;
use super::hpack::Decoder;
use super::http2::{FrameHeader, FrameType, HEADER_LEN, PREFACE};
use super::limits::Limits;

/// One direction of a connection.
#[derive(Clone, Debug)]
pub(super) struct Half {
    pub(super) expects: Expects,
    /// Bytes that are not a whole frame yet.
    pub(super) pending: Vec<u8>,
    /// Where `pending` begins in the direction's bytes.
    pub(super) offset: u64,
    pub(super) hpack: Decoder,
    pub(super) block: Option<OpenBlock>,
}

/// What a direction's next bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expects {
    /// A client's preface (RFC 9113, section 3.4): anything else is not HTTP/2.
    Preface,
    /// A server's preface, which is a SETTINGS frame: anything else is not HTTP/2.
    Settings,
    Frame,
    /// Not HTTP/2, or over.
    Nothing,
}

/// A header block whose last frame did not come yet.
#[derive(Clone, Debug)]
pub(super) struct OpenBlock {
    pub(super) first_frame: u64,
    pub(super) stream: u32,
    pub(super) ends_stream: bool,
    pub(super) promise: bool,
    /// `None` when it went over the limit.
    pub(super) assembly: Option<Assembly>,
}

/// A piece of a direction's bytes that is complete.
pub(super) enum Piece<'a> {
    Preface(&'a [u8]),
    Frame(FrameHeader, &'a [u8]),
    NotHttp2(&'a [u8]),
}

impl Half {
    pub(super) fn new(expects: Expects, limits: Limits) -> Self {
        Self { expects, pending: Vec::new(), offset: 0, hpack: Decoder::new(limits), block: None }
    }

    /// Cuts the next piece off, or `None` if more bytes are needed.
    pub(super) fn next_piece<'a>(&mut self, bytes: &'a [u8]) -> Option<(Piece<'a>, &'a [u8])> {
        let header = match self.expects {
            _ if bytes.is_empty() => return None,
            Expects::Preface if bytes.starts_with(PREFACE) => {
                self.expects = Expects::Frame;
                let (preface, rest) = bytes.split_at_checked(PREFACE.len())?;
                return Some((Piece::Preface(preface), rest));
            }
            Expects::Preface if PREFACE.starts_with(bytes) => return None,
            Expects::Settings if bytes.get(3).is_none_or(|&kind| FrameType(kind) == FrameType::SETTINGS) => {
                FrameHeader::parse(bytes)?
            }
            Expects::Frame => FrameHeader::parse(bytes)?,
            Expects::Preface | Expects::Settings | Expects::Nothing => {
                self.expects = Expects::Nothing;
                return Some((Piece::NotHttp2(bytes), &[]));
            }
        };
        let (frame, rest) = bytes.split_at_checked(HEADER_LEN + header.length as usize)?;
        self.expects = Expects::Frame;
        Some((Piece::Frame(header, frame), rest))
    }
}

impl Direction {
    /// The other way.
    pub fn opposite(self) -> Self {
        match self {
            Self::ToServer => Self::ToClient,
            Self::ToClient => Self::ToServer,
        }
    }
}
