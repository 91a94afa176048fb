//! State that the calls of one connection share.

use std::sync::Arc;
use std::time::Duration;

use super::budget::Budget;
use crate::io::{ConnectionInfo, HeaderBlocks, Witness};
use crate::limits::MAX_METADATA_FIELDS;
use crate::status::Status;
use crate::wire::section::SectionLimits;

/// The side of a call. It decides which code a lost connection has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Client,
    Server,
}

/// A connection as its calls see it.
pub(crate) struct Link {
    /// This process's side of the connection.
    pub(crate) side: Side,
    /// The connection's number, peer and attached values.
    pub(crate) connection: Arc<ConnectionInfo>,
    /// Counts the memory that calls hold for the peer.
    pub(crate) budget: Arc<Budget>,
    /// Records which header blocks were longer than the limit of metadata.
    pub(crate) blocks: Arc<HeaderBlocks>,
    /// Records the last frames, if a tap is attached.
    pub(crate) witness: Option<Arc<dyn Witness>>,
    /// The PINGs that this side sends as a client; `None` on a server, or without keepalive.
    pub(crate) keepalive: Option<Keepalive>,
}

/// The PINGs that a client sends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keepalive {
    /// Time without a byte after which one is sent.
    pub(crate) time: Duration,
    /// True if they are sent without calls, too.
    pub(crate) without_calls: bool,
}

impl Link {
    /// Returns the limits of metadata.
    pub(crate) fn section_limits(&self) -> SectionLimits {
        SectionLimits { size: self.blocks.max_metadata_size(), fields: MAX_METADATA_FIELDS }
    }

    /// Adds the frames before a failure to its status, if a tap is attached.
    pub(crate) fn witnessed(&self, status: Status) -> Status {
        match &self.witness {
            Some(witness) => status.witnessed(|| witness.last_frames()),
            None => status,
        }
    }
}
