//! The payload of one message as its decoder reads it, and an estimate of the memory that the decoded message takes.
//!
//! A message of two bytes an element (`12 00`, an empty message in a repeated field) takes dozens of bytes an element once it is
//! decoded, and no message tells its size afterwards. What a decoder reads in steps of a few bytes are elements, tags and
//! lengths: each is taken for [`ELEMENT_COST`] bytes.

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
    /// Wraps what is to be read.
    pub(crate) fn new(rest: Take<&'a mut Bytes>) -> Payload<'a> {
        Payload { rest, elements: 0 }
    }

    /// Returns the memory that elements which were read so far take by themselves, in bytes: that of strings and byte fields
    /// comes on top.
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
