//! [`Piece`]: counts the data that h2 has taken and not written.
//!
//! A connection holds at most [`UNSENT`](crate::limits::UNSENT) of it. All of this data has window and waits only for the socket:
//! a call whose peer is slow to grant window does not hold up other calls.

use std::sync::Arc;

use bytes::{Buf, Bytes};

use super::budget::{Budget, Kind};
use crate::limits::PIECE_COST;

/// The payload of a DATA frame on its way out. h2 moves it a dozen times, so it is small.
pub(crate) struct Piece {
    bytes: Bytes,
    /// The budget that counts [`PIECE_COST`] and what is left of the bytes.
    budget: Option<Arc<Budget>>,
}

impl Piece {
    /// Creates a piece that is charged to the connection until h2 lets go of it.
    pub(crate) fn new(bytes: Bytes, budget: &Arc<Budget>) -> Piece {
        budget.add(Kind::Unsent, PIECE_COST + bytes.len());
        Piece { bytes, budget: Some(budget.clone()) }
    }

    /// Creates a piece that no limit counts: the message of a client's unary call, which its caller holds anyway.
    pub(crate) fn uncounted(bytes: Bytes) -> Piece {
        Piece { bytes, budget: None }
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
        if let Some(budget) = &self.budget {
            budget.subtract(Kind::Unsent, count);
        }
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        if let Some(budget) = &self.budget {
            budget.give_back(Kind::Unsent, PIECE_COST + self.bytes.len());
        }
    }
}
