//! Length-Prefixed-Message: the five bytes before every message, and a decoder that splits a byte stream into messages.
//!
//! ```text
//! Length-Prefixed-Message → Compressed-Flag Message-Length Message
//! Compressed-Flag         → 0 / 1                       ; encoded as 1 byte unsigned integer
//! Message-Length          → {length of Message}         ; encoded as 4 byte unsigned integer (big endian)
//! Message                 → *{binary octet}
//! ```
//!
//! PROTOCOL-HTTP2.md, "Length-Prefixed-Message". The boundaries of DATA frames have no meaning: a prefix may span two frames,
//! and a frame may contain a hundred messages. Called by `call/body.rs` and `call/compress.rs`.

use bytes::buf::Take;
use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::later::Later;
use crate::protocol::ProtocolError;

/// The length of a prefix in bytes: one for the flag, four for the length.
pub const PREFIX_LENGTH: usize = 5;

/// The contents of a prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix {
    /// True if the message is compressed with the `grpc-encoding` of its direction.
    pub compressed: bool,
    /// The length of the message, in bytes.
    pub length: u32,
}

impl Prefix {
    /// Reads a prefix.
    ///
    /// # Errors
    ///
    /// [`ProtocolError::ReservedFlag`] if the first byte is neither 0 nor 1; otherwise [`ProtocolError::MessageTooLarge`] if the
    /// length is over `limit`.
    pub fn decode(bytes: [u8; PREFIX_LENGTH], limit: usize) -> Result<Prefix, ProtocolError> {
        let [flag, length @ ..] = bytes;
        let compressed = match flag {
            0 => false,
            1 => true,
            _ => return Err(ProtocolError::ReservedFlag { flag }),
        };
        let length = u32::from_be_bytes(length);
        if length as usize > limit {
            return Err(ProtocolError::MessageTooLarge { length: u64::from(length), limit });
        }
        Ok(Prefix { compressed, length })
    }

    /// Writes a prefix.
    pub fn encode(self) -> [u8; PREFIX_LENGTH] {
        let [a, b, c, d] = self.length.to_be_bytes();
        [u8::from(self.compressed), a, b, c, d]
    }
}

/// A message as it was on the wire: not decoded, and possibly compressed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedMessage {
    /// True if the payload is compressed.
    pub compressed: bool,
    /// The bytes after the prefix.
    pub payload: Bytes,
}

/// Splits a stream of bytes into messages.
///
/// Push the bytes as they arrive, take the messages, and call [`MessageDecoder::finish`] at the end of the stream. The messages
/// and the error do not depend on how the input is cut into chunks. After an error the decoder only repeats that error.
///
/// It holds the bytes that were pushed and not yet taken, and uses at most twice their memory, except while it joins them: a
/// declared length allocates nothing before half of the message has arrived.
///
/// ```
/// use barewire::wire::message::MessageDecoder;
/// use bytes::Bytes;
///
/// let mut decoder = MessageDecoder::new(4 * 1024 * 1024);
/// decoder.push(Bytes::from_static(b"\x00\x00\x00\x00\x02h"));
/// assert_eq!(decoder.next()?, None);
/// decoder.push(Bytes::from_static(b"i"));
/// assert_eq!(&decoder.next()?.unwrap().payload[..], b"hi");
/// decoder.finish()?;
/// # Ok::<(), barewire::wire::ProtocolError>(())
/// ```
#[derive(Debug)]
pub struct MessageDecoder {
    limit: usize,
    /// The current chunk, from which messages are cut without a copy.
    chunk: Bytes,
    /// The bytes that arrived after it, if any.
    later: Option<Box<Later>>,
    state: State,
}

#[derive(Debug)]
enum State {
    Prefix,
    Message(Prefix),
    Failed(Box<ProtocolError>),
}

impl MessageDecoder {
    /// Creates a decoder that refuses messages of more than `limit` bytes as soon as it has their prefix.
    pub fn new(limit: usize) -> MessageDecoder {
        MessageDecoder { limit, chunk: Bytes::new(), later: None, state: State::Prefix }
    }

    /// Returns the size of the largest message that is not refused, in bytes.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Adds the next bytes of the stream.
    #[inline]
    pub fn push(&mut self, chunk: Bytes) {
        if matches!(self.state, State::Failed(_)) {
            return;
        }
        if self.buffered() == 0 {
            self.chunk = chunk;
            return;
        }
        let awaited = match self.state {
            State::Message(prefix) => prefix.length as usize,
            _ => 0,
        };
        self.later.get_or_insert_default().push(&mut self.chunk, chunk, awaited);
    }

    /// Returns the next message, or `None` until more bytes are pushed.
    ///
    /// # Errors
    ///
    /// [`ProtocolError::ReservedFlag`] and [`ProtocolError::MessageTooLarge`], as soon as the five bytes of the prefix have
    /// arrived.
    #[allow(clippy::should_implement_trait)] // It is not an iterator: None means "not yet".
    pub fn next(&mut self) -> Result<Option<EncodedMessage>, ProtocolError> {
        self.next_with(|Prefix { compressed, .. }, mut payload| {
            let payload = payload.copy_to_bytes(payload.remaining());
            EncodedMessage { compressed, payload }
        })
    }

    /// Calls `read` with the next message in place and returns its result, or `None` until more bytes are pushed. Skips the part
    /// of the message that `read` leaves. Avoids the cost of sharing a small message.
    ///
    /// # Errors
    ///
    /// Those of [`MessageDecoder::next`].
    #[inline]
    pub fn next_with<T>(
        &mut self,
        read: impl FnOnce(Prefix, Take<&mut Bytes>) -> T,
    ) -> Result<Option<T>, ProtocolError> {
        self.next_when(|_| true, read)
    }

    /// Works as [`MessageDecoder::next_with`] if `admit` returns true for the prefix of the message. Otherwise keeps the message
    /// and returns `None`.
    ///
    /// # Errors
    ///
    /// Those of [`MessageDecoder::next`].
    #[inline]
    pub fn next_when<T>(
        &mut self,
        admit: impl FnOnce(Prefix) -> bool,
        read: impl FnOnce(Prefix, Take<&mut Bytes>) -> T,
    ) -> Result<Option<T>, ProtocolError> {
        let prefix = match &self.state {
            State::Failed(error) => return Err(ProtocolError::clone(error)),
            State::Message(prefix) => *prefix,
            State::Prefix => {
                let Some(bytes) = self.take_prefix() else { return Ok(None) };
                Prefix::decode(bytes, self.limit).inspect_err(|error| self.fail(error.clone()))?
            }
        };
        let length = prefix.length as usize;
        if !self.is_together(length) || !admit(prefix) {
            self.state = State::Message(prefix);
            return Ok(None);
        }
        self.state = State::Prefix;
        let behind = self.chunk.len().saturating_sub(length);
        let result = read(prefix, (&mut self.chunk).take(length));
        self.chunk.advance(self.chunk.len().saturating_sub(behind));
        Ok(Some(result))
    }

    /// Checks the end of the stream, after the last message was taken.
    ///
    /// # Errors
    ///
    /// [`ProtocolError::TruncatedPrefix`] or [`ProtocolError::TruncatedMessage`] if the stream ended inside one; an earlier error
    /// if the decoder had one.
    pub fn finish(&self) -> Result<(), ProtocolError> {
        match &self.state {
            State::Failed(error) => Err(ProtocolError::clone(error)),
            State::Prefix if self.buffered() == 0 => Ok(()),
            State::Prefix => Err(ProtocolError::TruncatedPrefix { received: self.buffered() }),
            State::Message(prefix) => {
                Err(ProtocolError::TruncatedMessage { received: self.buffered(), length: prefix.length as usize })
            }
        }
    }

    /// Returns the number of bytes held: pushed, and not yet taken as part of a message or its prefix.
    pub fn buffered(&self) -> usize {
        self.chunk.len() + self.later.as_ref().map_or(0, |later| later.length())
    }

    /// Returns the number of bytes held of an incomplete message, including its prefix. Valid after [`MessageDecoder::next`] has
    /// returned all complete messages.
    pub fn unfinished(&self) -> usize {
        match self.state {
            State::Message(_) => PREFIX_LENGTH + self.buffered(),
            _ => self.buffered(),
        }
    }

    /// Returns the capacity of the joining buffer, in bytes.
    pub fn capacity(&self) -> usize {
        self.later.as_ref().map_or(0, |later| later.capacity())
    }

    fn fail(&mut self, error: ProtocolError) {
        *self = MessageDecoder { state: State::Failed(Box::new(error)), ..MessageDecoder::new(self.limit) };
    }

    fn take_prefix(&mut self) -> Option<[u8; PREFIX_LENGTH]> {
        if !self.is_together(PREFIX_LENGTH) {
            return None;
        }
        let prefix = *self.chunk.first_chunk()?;
        self.chunk.advance(PREFIX_LENGTH);
        Some(prefix)
    }

    /// Tells whether the next `count` bytes have arrived; if so, moves them together into the current chunk.
    #[inline]
    fn is_together(&mut self, count: usize) -> bool {
        self.chunk.len() >= count || self.put_together(count)
    }

    fn put_together(&mut self, count: usize) -> bool {
        if self.buffered() < count {
            return false;
        }
        if self.chunk.is_empty() {
            self.turn_to_next();
        }
        if self.chunk.len() >= count {
            return true;
        }
        let mut together = BytesMut::with_capacity(count);
        while together.len() < count {
            if self.chunk.is_empty() {
                self.turn_to_next();
            }
            let piece = self.chunk.split_to(self.chunk.len().min(count - together.len()));
            together.extend_from_slice(&piece);
        }
        let rest = std::mem::replace(&mut self.chunk, together.freeze());
        if !rest.is_empty() {
            self.later.get_or_insert_default().put_back(rest);
        }
        true
    }

    fn turn_to_next(&mut self) {
        if let Some(later) = &mut self.later {
            self.chunk = later.take_chunk();
            if later.length() == 0 {
                self.later = None;
            }
        }
    }
}

/// Appends a message to `buffer`: its prefix, and the bytes that `payload` writes.
///
/// Fills in the prefix when the length is known, so the message is written once and not copied.
///
/// # Errors
///
/// [`ProtocolError::MessageTooLarge`] if the message is over `limit` or over the 4 GiB that a prefix can declare; `buffer` is
/// then unchanged.
pub fn encode_message(
    buffer: &mut BytesMut,
    compressed: bool,
    limit: usize,
    payload: impl FnOnce(&mut BytesMut),
) -> Result<(), ProtocolError> {
    let start = buffer.len();
    buffer.put_bytes(0, PREFIX_LENGTH);
    payload(buffer);
    let length = buffer.len().saturating_sub(start + PREFIX_LENGTH);
    match u32::try_from(length) {
        Ok(short) if length <= limit => {
            let prefix = Prefix { compressed, length: short }.encode();
            if let Some(place) = buffer.get_mut(start..start + PREFIX_LENGTH) {
                place.copy_from_slice(&prefix);
            }
            Ok(())
        }
        _ => {
            buffer.truncate(start);
            Err(ProtocolError::MessageTooLarge { length: length as u64, limit })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::later::LARGE_CHUNK;
    use super::*;

    const LIMIT: usize = 64;

    fn decode_all(chunks: &[&[u8]]) -> (Vec<EncodedMessage>, Result<(), ProtocolError>) {
        let (mut decoder, mut messages) = (MessageDecoder::new(LIMIT), Vec::new());
        for chunk in chunks {
            decoder.push(Bytes::copy_from_slice(chunk));
            loop {
                match decoder.next() {
                    Ok(Some(message)) => messages.push(message),
                    Ok(None) => break,
                    Err(error) => return (messages, Err(error)),
                }
            }
        }
        let end = decoder.finish();
        (messages, end)
    }

    fn message(compressed: bool, payload: &'static [u8]) -> EncodedMessage {
        EncodedMessage { compressed, payload: Bytes::from_static(payload) }
    }

    #[test]
    fn three_messages_are_decoded_at_every_cut() {
        #[rustfmt::skip]
        let wire = [
            0, 0, 0, 0, 2,  b'h', b'i',
            0, 0, 0, 0, 0,
            1, 0, 0, 0, 3,  b'z', b'i', b'p',
        ];
        let expected = vec![message(false, b"hi"), message(false, b""), message(true, b"zip")];
        for first in 0..=wire.len() {
            for second in first..=wire.len() {
                let chunks = [&wire[..first], &wire[first..second], &wire[second..]];
                assert_eq!(decode_all(&chunks), (expected.clone(), Ok(())), "cut at {first} and {second}");
            }
        }
        let single: Vec<&[u8]> = wire.chunks(1).collect();
        assert_eq!(decode_all(&single), (expected, Ok(())));
    }

    #[test]
    fn stream_that_ends_inside_a_message_is_truncated() {
        let wire = [0, 0, 0, 0, 2, b'h', b'i'];
        for end in 1..5 {
            assert_eq!(decode_all(&[&wire[..end]]).1, Err(ProtocolError::TruncatedPrefix { received: end }));
        }
        for end in 5..7 {
            let expected = ProtocolError::TruncatedMessage { received: end - 5, length: 2 };
            assert_eq!(decode_all(&[&wire[..end]]).1, Err(expected));
        }
        assert_eq!(decode_all(&[]).1, Ok(()));
    }

    #[test]
    fn invalid_prefix_is_refused_before_the_payload() {
        for flag in 2..=255 {
            assert_eq!(decode_all(&[&[flag, 0, 0, 0, 0]]).1, Err(ProtocolError::ReservedFlag { flag }));
        }
        let over = ProtocolError::MessageTooLarge { length: 65, limit: LIMIT };
        assert_eq!(decode_all(&[&[0, 0, 0, 0, 65]]).1, Err(over));
        let most = ProtocolError::MessageTooLarge { length: u32::MAX.into(), limit: LIMIT };
        assert_eq!(decode_all(&[&[1, 255, 255, 255, 255]]).1, Err(most));
    }

    #[test]
    fn error_is_returned_again() {
        let mut decoder = MessageDecoder::new(LIMIT);
        decoder.push(Bytes::from_static(&[2, 0, 0, 0, 0]));
        let error = decoder.next().unwrap_err();
        decoder.push(Bytes::from_static(&[0, 0, 0, 0, 0]));
        assert_eq!(decoder.next(), Err(error.clone()));
        assert_eq!(decoder.finish(), Err(error));
    }

    #[test]
    fn declared_length_reserves_no_memory() {
        let mut decoder = MessageDecoder::new(usize::MAX);
        decoder.push(Bytes::from_static(&[0, 255, 255, 255, 255]));
        decoder.push(Bytes::from_static(b"a"));
        assert_eq!(decoder.next(), Ok(None));
        decoder.push(Bytes::from_static(b"b"));
        assert!(decoder.capacity() <= 64, "{}", decoder.capacity());
    }

    /// Sends a message of 1 MiB in frames, between two small ones.
    #[test]
    fn large_message_is_joined_once_half_of_it_has_arrived() {
        let large: Bytes = (0..1 << 18).flat_map(u32::to_le_bytes).collect();
        let mut wire = BytesMut::new();
        for payload in [&b"before"[..], &large, b"after"] {
            encode_message(&mut wire, false, usize::MAX, |buffer| buffer.put_slice(payload)).unwrap();
        }
        for (frame, prompt) in
            [(16 << 10, true), (16 << 10, false), (1 << 10, true), (1 << 10, false), (8 << 10, false)]
        {
            let mut decoder = MessageDecoder::new(large.len());
            let (mut pushed, mut messages, mut place) = (0, Vec::new(), 0);
            for chunk in wire.chunks(frame) {
                decoder.push(Bytes::copy_from_slice(chunk));
                pushed += chunk.len();
                if prompt || pushed == wire.len() {
                    messages.extend(std::iter::from_fn(|| decoder.next().unwrap()));
                }
                if prompt && (large.len() / 2 + frame..large.len()).contains(&pushed) {
                    let capacity = decoder.capacity();
                    assert!(place == 0 || place == capacity, "it moved with {pushed} bytes");
                    place = capacity;
                }
            }
            assert_eq!(decoder.finish(), Ok(()));
            let payloads: Vec<_> = messages.into_iter().map(|message: EncodedMessage| message.payload).collect();
            assert!(payloads == [&b"before"[..], &large, b"after"], "in frames of {frame}");
            assert!(!prompt || place >= large.len(), "{place}");
            assert_eq!((decoder.buffered(), decoder.capacity()), (0, 0), "nothing is left behind");
        }
    }

    #[test]
    fn small_chunk_is_copied_and_does_not_pin_a_large_buffer() {
        let frame = Bytes::from(vec![0; 64 << 10]);
        let mut decoder = MessageDecoder::new(usize::MAX);
        decoder.push(Bytes::from_static(&[0, 0, 1, 0, 0]));
        for part in [1, 2, 3, 4] {
            decoder.push(frame.slice(..part));
            assert_eq!(decoder.next(), Ok(None));
        }
        assert!(frame.is_unique());
        decoder.push(frame.slice(..LARGE_CHUNK));
        assert!(!frame.is_unique(), "a large one stays where it is");
    }

    #[test]
    fn message_over_the_send_limit_leaves_the_buffer_unchanged() {
        let mut buffer = BytesMut::new();
        encode_message(&mut buffer, false, 2, |b| b.put_slice(b"ok")).unwrap();
        let error = encode_message(&mut buffer, true, 2, |b| b.put_slice(b"bad")).unwrap_err();
        assert_eq!(error, ProtocolError::MessageTooLarge { length: 3, limit: 2 });
        assert_eq!(&buffer[..], [0, 0, 0, 0, 2, b'o', b'k']);
    }
}
