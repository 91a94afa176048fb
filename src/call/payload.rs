//! Counts how a decoder reads the payload of a message, to estimate the memory that the decoded message takes.
//!
//! A repeated field of empty messages takes two bytes per element on the wire (`12 00`) and dozens of bytes once
//! decoded, and a decoded message cannot report its size. A decoder reads elements, tags and lengths in steps of a few
//! bytes: each such step counts as [`ELEMENT_COST`] bytes.

use bytes::buf::Take;
use bytes::{Buf, Bytes};

use crate::limits::ELEMENT_COST;

/// The longest varint (<https://protobuf.dev/programming-guides/encoding/>, "Base 128 Varints"). Longer steps are the bytes of
/// strings and byte fields.
const VARINT: usize = 10;

/// A payload that counts the steps in which it is read.
pub(crate) struct Payload<'a> {
    rest: Take<&'a mut Bytes>,
    elements: usize,
}

impl<'a> Payload<'a> {
    /// Wraps the payload to be read.
    pub(crate) fn new(rest: Take<&'a mut Bytes>) -> Payload<'a> {
        Payload { rest, elements: 0 }
    }

    /// Returns the memory that the elements read so far take, in bytes, not counting the contents of strings and byte
    /// fields.
    pub(crate) fn elements_cost(&self) -> usize {
        self.elements * ELEMENT_COST
    }
}

impl Buf for Payload<'_> {
    #[inline]
    fn remaining(&self) -> usize {
        self.rest.remaining()
    }

    #[inline]
    fn chunk(&self) -> &[u8] {
        self.rest.chunk()
    }

    #[inline]
    fn advance(&mut self, count: usize) {
        self.elements += usize::from(count <= VARINT);
        self.rest.advance(count);
    }

    #[inline]
    fn copy_to_bytes(&mut self, count: usize) -> Bytes {
        self.rest.copy_to_bytes(count)
    }
}
