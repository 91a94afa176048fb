//! What a [`MessageDecoder`](super::message::MessageDecoder) holds behind the chunk that it cuts messages from: chunks as they
//! came, as far as their size allows, and the rest put together. Called by `message.rs`.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

/// From this size a chunk stays as it came. Smaller ones would keep too much memory from being used again: they are parts of
/// the buffers that HTTP/2 reads into, of 16 KiB and more.
pub(super) const LARGE_CHUNK: usize = 8 << 10;

/// What came behind the chunk in hand.
#[derive(Debug, Default)]
pub(super) struct Later {
    /// From the front, chunks that stay as they came, or that were put together.
    chunks: VecDeque<Bytes>,
    /// Behind them, where small chunks are put together, and a message that has come by half.
    tail: BytesMut,
    /// The bytes of both.
    length: usize,
}

impl Later {
    pub(super) fn length(&self) -> usize {
        self.length
    }

    /// How many bytes of memory there are to put together in.
    pub(super) fn capacity(&self) -> usize {
        self.tail.capacity()
    }

    /// Adds a chunk behind these, which come behind `first`; `awaited` is the length of the message that has begun, 0 where
    /// none has.
    ///
    /// When half of a message has come there is a place for the whole, so that it is copied once, and a length that is only
    /// declared reserves nothing.
    #[inline]
    pub(super) fn push(&mut self, first: &mut Bytes, mut chunk: Bytes, awaited: usize) {
        let held = first.len() + self.length;
        let missing = awaited.saturating_sub(held).min(chunk.len());
        if missing > 0 && 2 * (held + missing) >= awaited {
            self.gather(std::mem::take(first), awaited);
            self.tail.extend_from_slice(&chunk.split_to(missing));
            self.length += missing;
        }
        self.length += chunk.len();
        if chunk.len() >= LARGE_CHUNK {
            self.end_tail();
            return self.chunks.push_back(chunk);
        }
        if self.length == chunk.len() && first.len() < LARGE_CHUNK {
            self.length += first.len();
            self.tail.extend_from_slice(&std::mem::take(first));
        }
        self.tail.extend_from_slice(&chunk);
    }

    /// Puts a chunk before the others.
    pub(super) fn put_back(&mut self, chunk: Bytes) {
        self.length += chunk.len();
        self.chunks.push_front(chunk);
    }

    /// Moves `first` and all of these to a place that has room for `whole` bytes.
    fn gather(&mut self, first: Bytes, whole: usize) {
        if first.is_empty() && self.chunks.is_empty() && self.tail.capacity() >= whole {
            return;
        }
        let mut gathered = BytesMut::with_capacity(whole);
        self.length += first.len();
        gathered.extend_from_slice(&first);
        self.chunks.drain(..).for_each(|chunk| gathered.extend_from_slice(&chunk));
        gathered.extend_from_slice(&self.tail);
        self.tail = gathered;
    }

    fn end_tail(&mut self) {
        if !self.tail.is_empty() {
            self.chunks.push_back(std::mem::take(&mut self.tail).freeze());
        }
    }

    /// Takes the first chunk; an empty one where there is none.
    pub(super) fn take_chunk(&mut self) -> Bytes {
        if self.chunks.is_empty() {
            self.end_tail();
        }
        let chunk = self.chunks.pop_front().unwrap_or_default();
        self.length -= chunk.len();
        chunk
    }
}
