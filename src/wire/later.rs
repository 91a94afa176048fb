//! The bytes that a [`MessageDecoder`](super::message::MessageDecoder) holds after its current chunk: large chunks as they
//! arrived, and small ones joined together. Called by `message.rs`.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

/// Smallest chunk that is kept as it is, in bytes. Smaller ones are copied, so that they don't pin h2's read buffers of 16 KiB
/// and more.
pub(super) const LARGE_CHUNK: usize = 8 << 10;

/// The bytes that arrived after the current chunk.
#[derive(Debug, Default)]
pub(super) struct Later {
    /// The first chunks: large ones as they arrived, or small ones joined together.
    chunks: VecDeque<Bytes>,
    /// The buffer after them, which joins small chunks and the pieces of a message that has half arrived.
    tail: BytesMut,
    /// Number of bytes in both.
    length: usize,
}

impl Later {
    pub(super) fn length(&self) -> usize {
        self.length
    }

    /// Returns the capacity of the joining buffer, in bytes.
    pub(super) fn capacity(&self) -> usize {
        self.tail.capacity()
    }

    /// Appends a chunk; `first` is the current chunk, and `awaited` the length of the message that has begun, or 0.
    ///
    /// Once half of a message has arrived, allocates room for all of it, so that it is copied once. Before, the declared length
    /// allocates nothing.
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

    /// Inserts a chunk before the others.
    pub(super) fn put_back(&mut self, chunk: Bytes) {
        self.length += chunk.len();
        self.chunks.push_front(chunk);
    }

    /// Moves `first` and all chunks to one buffer with room for `whole` bytes.
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

    /// Takes the first chunk; returns an empty one if nothing is left.
    pub(super) fn take_chunk(&mut self) -> Bytes {
        if self.chunks.is_empty() {
            self.end_tail();
        }
        let chunk = self.chunks.pop_front().unwrap_or_default();
        self.length -= chunk.len();
        chunk
    }
}
