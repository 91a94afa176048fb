//! The state of a call before the frame that is checked.

use std::time::Duration;

use crate::inspector::decode::call::{encoding, is_grpc, value};
use crate::inspector::model::frame::HeaderField;
use crate::inspector::model::frame::{Direction, Frame};
use crate::inspector::model::schema::CallKind;
use crate::wire::http2::FrameHeader;

/// The time within which a peer must do what it should do at once.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// A call, or the remembered state of one that has ended.
#[derive(Clone, Debug)]
pub(super) struct Stream {
    pub(super) kind: Option<CallKind>,
    /// The client's grpc-accept-encoding.
    pub(super) accepts: Option<String>,
    pub(super) begun: Mark,
    pub(super) timeout: Option<Duration>,
    pub(super) request: Way,
    pub(super) response: Way,
}

/// One direction of a call.
#[derive(Clone, Debug, Default)]
pub(super) struct Way {
    /// True if its first headers were seen.
    pub(super) begun: bool,
    /// True if all these headers could be decoded.
    pub(super) known: bool,
    /// The frame with END_STREAM.
    pub(super) ended: Option<Mark>,
    /// The RST_STREAM of its sender.
    pub(super) reset: Option<Mark>,
    /// The number of its last frame that is not RST_STREAM.
    pub(super) last: u64,
    /// True if the content-type is gRPC.
    pub(super) grpc: bool,
    /// True if its messages are protobuf; `None` if the content-type does not tell.
    pub(super) protobuf: Option<bool>,
    pub(super) encoding: Option<String>,
    pub(super) messages: u64,
    /// Bytes of DATA without padding, and the declared content-length.
    pub(super) data: u64,
    pub(super) content_length: Option<u64>,
}

/// The number and the time of a frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    pub(super) number: u64,
    pub(super) time: Duration,
}

impl Mark {
    pub(super) fn of(frame: &Frame) -> Self {
        Self { number: frame.number, time: frame.time }
    }

    /// Returns true if an answer to this frame is overdue.
    pub(super) fn is_overdue(self, now: Duration) -> bool {
        now.saturating_sub(self.time) > PATIENCE
    }
}

impl Stream {
    pub(super) fn way(&self, direction: Direction) -> &Way {
        match direction {
            Direction::ToServer => &self.request,
            Direction::ToClient => &self.response,
        }
    }

    pub(super) fn way_mut(&mut self, direction: Direction) -> &mut Way {
        match direction {
            Direction::ToServer => &mut self.request,
            Direction::ToClient => &mut self.response,
        }
    }

    /// Returns the state of the sender in a direction, and that of its peer.
    pub(super) fn both_ways(&self, direction: Direction) -> (&Way, &Way) {
        (self.way(direction), self.way(direction.opposite()))
    }

    pub(super) fn is_over(&self) -> bool {
        let [request, response] = [&self.request, &self.response];
        (request.ended.is_some() && response.ended.is_some()) || request.reset.is_some() || response.reset.is_some()
    }

    /// Returns true if the call goes on after its deadline, and after the time in which its reset would have arrived.
    pub(super) fn is_overdue(&self, timeout: Duration, time: Duration, slack: Duration) -> bool {
        time > self.begun.time.saturating_add(timeout).saturating_add(slack)
    }
}

impl Way {
    pub(super) fn begin(fields: &[HeaderField]) -> Self {
        let content_type = value(fields, "content-type").filter(|content_type| is_grpc(content_type));
        let codec = content_type.as_deref().and_then(|it| it.split_once('+')).map(|(_, codec)| codec);
        Self {
            begun: true,
            known: fields.iter().all(|field| field.name.is_some() && field.value.is_some()),
            grpc: content_type.is_some(),
            protobuf: codec
                .map(|codec| codec.split(';').next().is_some_and(|it| it.trim().eq_ignore_ascii_case("proto"))),
            encoding: encoding(fields),
            content_length: value(fields, "content-length").and_then(|length| length.parse().ok()),
            ..Self::default()
        }
    }
}

/// Returns the number of bytes of DATA without padding.
pub(super) fn data_length(frame: &Frame, header: &FrameHeader) -> u64 {
    let length = u64::from(header.length);
    match frame.payload().and_then(|payload| payload.first()) {
        Some(padding) if header.has(FrameHeader::PADDED) => length.saturating_sub(1 + u64::from(*padding)),
        _ => length,
    }
}
