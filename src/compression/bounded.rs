//! Restoring within a limit: the decoders of streams give their output in small pieces, which are counted.

use std::io::Read;

use bytes::BytesMut;

use crate::call::DecompressError;

/// How much a decoder may give at once, in bytes.
pub(super) const PIECE: usize = 8 << 10;

/// What a message was, as far as it is known, and how much more it may be.
pub(super) struct Restored<'a> {
    out: &'a mut BytesMut,
    room: usize,
}

impl<'a> Restored<'a> {
    /// Appends to `out`, at most `limit` bytes.
    pub(super) fn new(out: &'a mut BytesMut, limit: usize) -> Restored<'a> {
        Restored { out, room: limit }
    }

    /// How much to ask for next: up to one byte more than there is room for, which shows that the message is too large.
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

/// Restores by a decoder that reads, and that fails where its input breaks off.
pub(super) fn read(mut decoder: impl Read, out: &mut BytesMut, limit: usize) -> Result<(), DecompressError> {
    let mut restored = Restored::new(out, limit);
    let mut buffer = [0; PIECE];
    loop {
        let buffer = &mut buffer[..restored.piece()];
        match decoder.read(buffer).map_err(|error| DecompressError::Corrupt(error.to_string()))? {
            0 => return Ok(()),
            count => restored.push(&buffer[..count])?,
        }
    }
}

/// What is said of a message that goes on after its end.
pub(super) fn refuse_rest(rest: &[u8]) -> Result<(), DecompressError> {
    match rest.len() {
        0 => Ok(()),
        count => Err(DecompressError::Corrupt(format!("{count} bytes follow its end"))),
    }
}
