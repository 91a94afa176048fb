//! DATA on its way through h2: pieces of messages that count from the moment h2 takes them until it has written or dropped
//! them, so that a connection holds no more than [`UNSENT`](crate::limits::UNSENT) of them.
//!
//! Only what the peer's windows have room for is ever among them, so that the socket is all they wait for: no call can hold
//! up another by being slow to grant window.

use std::sync::Arc;

use bytes::{Buf, Bytes};

use super::budget::{Budget, Charge, Kind};

/// The payload of a DATA frame on its way out.
pub(crate) struct Piece {
    bytes: Bytes,
    _charge: Charge,
}

impl Piece {
    /// Creates a piece that is charged to the connection until h2 lets go of it.
    pub(crate) fn new(bytes: Bytes, budget: &Arc<Budget>) -> Piece {
        let charge = budget.charge(Kind::Unsent, bytes.len());
        Piece { bytes, _charge: charge }
    }

    /// Creates a piece that no limit counts: the message of a client's unary call, which its caller holds anyway.
    pub(crate) fn uncounted(bytes: Bytes) -> Piece {
        Piece { bytes, _charge: Charge::default() }
    }
}

impl Buf for Piece {
    #[inline]
    fn remaining(&self) -> usize {
        self.bytes.len()
    }

    #[inline]
    fn chunk(&self) -> &[u8] {
        &self.bytes
    }

    #[inline]
    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
    }
}
