//! Decompresses within a limit: stream decoders return their output in small pieces, which are counted.

use std::io::Read;

use bytes::BytesMut;

use crate::call::DecompressError;

/// The most bytes that a decoder may return at once.
pub(super) const PIECE: usize = 8 << 10;

/// The decompressed part of a message, and the limit for the rest.
pub(super) struct BoundedOutput<'a> {
    out: &'a mut BytesMut,
    room: usize,
}

impl<'a> BoundedOutput<'a> {
    /// Returns a buffer that appends at most `limit` bytes to `out`.
    pub(super) fn new(out: &'a mut BytesMut, limit: usize) -> BoundedOutput<'a> {
        BoundedOutput { out, room: limit }
    }

    /// Returns the size to request next: up to one byte more than the limit allows, which detects a message that is too
    /// large.
    pub(super) fn piece(&self) -> usize {
        self.room.saturating_add(1).min(PIECE)
    }

    /// Appends a piece.
    pub(super) fn push(&mut self, piece: &[u8]) -> Result<(), DecompressError> {
        self.room = self.room.checked_sub(piece.len()).ok_or(DecompressError::TooLarge)?;
        self.out.extend_from_slice(piece);
        Ok(())
    }
}

/// Decompresses with a decoder that implements `Read` and fails if its input is truncated.
pub(super) fn read(mut decoder: impl Read, out: &mut BytesMut, limit: usize) -> Result<(), DecompressError> {
    let mut restored = BoundedOutput::new(out, limit);
    let mut buffer = [0; PIECE];
    loop {
        let buffer = &mut buffer[..restored.piece()];
        match decoder.read(buffer).map_err(|error| DecompressError::Corrupt(error.to_string()))? {
            0 => return Ok(()),
            count => restored.push(&buffer[..count])?,
        }
    }
}

/// Returns an error if bytes follow the end of a message.
pub(super) fn refuse_rest(rest: &[u8]) -> Result<(), DecompressError> {
    match rest.len() {
        0 => Ok(()),
        count => Err(DecompressError::Corrupt(format!("{count} bytes after the end of the message"))),
    }
}
