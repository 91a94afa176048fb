//! Properties of messages: decoding does not depend on how the bytes are split, memory is bounded, and encoding
//! reverses it.

use bytes::{BufMut, Bytes, BytesMut};

use super::headers::check_code;
use super::{cut, reference};
use crate::wire::ProtocolError;
use crate::wire::message::{EncodedMessage, MessageDecoder, PREFIX_LENGTH, Prefix, encode_message};

/// The message limits of the test runs.
const LIMITS: [usize; 2] = [usize::MAX, 64];

/// The memory bound of the decoder: the buffer has at most this many times the bytes that the decoder held at its
/// fullest.
const MEMORY_FACTOR: usize = 2;

/// The size to which an allocator may round up a small buffer.
const MEMORY_FLOOR: usize = 64;

/// The result of decoding a stream of bytes: its messages, and the end.
type Decoded = (Vec<EncodedMessage>, Result<(), ProtocolError>);

/// The input is a stream of messages. In one piece, byte by byte and in uneven pieces it gives the same messages and
/// the same error as the reference decoder. Memory depends on the pushed bytes, not on the length in a prefix.
pub fn message_decoder(data: &[u8]) {
    for limit in LIMITS {
        let expected = reference::messages(data, limit);
        assert_eq!(decode(limit, 1, [data]), expected, "in one piece");
        assert_eq!(decode(limit, 1, data.chunks(1)), expected, "byte by byte");
        // Messages are taken after each piece, after every third, or at the end.
        for take_every in [1, 3, usize::MAX] {
            assert_eq!(decode(limit, take_every, cut(data)), expected, "in uneven pieces");
        }
    }
    large_messages(data);
}

/// Four bytes of the input are the length of a message and that of a chunk: up to 64 KiB each, larger than the inputs
/// themselves.
fn large_messages(data: &[u8]) {
    let (sizes, _) = data.as_chunks::<4>();
    let sizes = &sizes[..sizes.len().min(16)];
    let (mut wire, mut expected) = (BytesMut::new(), Vec::new());
    for (&[high, low, ..], seed) in sizes.iter().zip(0u8..) {
        let length = u16::from_be_bytes([high, low]);
        let payload: Bytes = (0..length).map(|place| (place >> 8) as u8 ^ place as u8 ^ seed).collect();
        encode_message(&mut wire, false, usize::MAX, |buffer| buffer.put_slice(&payload)).unwrap();
        expected.push(EncodedMessage { compressed: false, payload });
    }
    for take_every in [1, 2, usize::MAX] {
        let (mut rest, mut chunks) = (&wire[..], Vec::new());
        for &[_, _, high, low] in sizes.iter().cycle().take(2 * sizes.len()) {
            let (chunk, after) = rest.split_at(rest.len().min(u16::from_be_bytes([high, low]).into()));
            rest = after;
            chunks.push(chunk);
        }
        chunks.push(rest);
        assert_eq!(decode(usize::MAX, take_every, chunks), (expected.clone(), Ok(())), "in large chunks");
    }
}

/// Decodes pieces and takes messages after every `take_every` pieces; checks the decoder's own figures against its
/// input and output.
pub(super) fn decode<'a>(limit: usize, take_every: usize, pieces: impl IntoIterator<Item = &'a [u8]>) -> Decoded {
    let mut decoder = MessageDecoder::new(limit);
    let (mut messages, mut held, mut fullest) = (Vec::new(), 0, 0);
    for (piece, count) in pieces.into_iter().zip(1..) {
        decoder.push(Bytes::copy_from_slice(piece));
        held += piece.len();
        fullest = fullest.max(held);
        check_memory(&decoder, fullest);
        if count % take_every == 0
            && let Err(error) = take(&mut decoder, &mut messages, &mut held, fullest)
        {
            return (messages, Err(check_failed(decoder, error)));
        }
    }
    if let Err(error) = take(&mut decoder, &mut messages, &mut held, fullest) {
        return (messages, Err(check_failed(decoder, error)));
    }
    let end = decoder.finish();
    assert_eq!(end.is_ok(), held == 0, "a stream that ends between messages leaves nothing behind");
    (messages, end)
}

/// Takes all complete messages.
fn take(
    decoder: &mut MessageDecoder,
    messages: &mut Vec<EncodedMessage>,
    held: &mut usize,
    fullest: usize,
) -> Result<(), ProtocolError> {
    while let Some(message) = decoder.next()? {
        *held -= PREFIX_LENGTH + message.payload.len();
        messages.push(message);
        check_memory(decoder, fullest);
    }
    assert_eq!(decoder.unfinished(), *held, "each pushed byte was taken or is buffered");
    assert!(decoder.buffered() <= *held, "only the prefix of an incomplete message may have been read");
    Ok(())
}

fn check_memory(decoder: &MessageDecoder, fullest: usize) {
    let (capacity, most) = (decoder.capacity(), MEMORY_FACTOR * fullest + MEMORY_FLOOR);
    assert!(capacity <= most, "{capacity} bytes of memory for {fullest} bytes pushed");
}

/// Checks that a failed decoder is empty, accepts nothing, and repeats its error.
fn check_failed(mut decoder: MessageDecoder, error: ProtocolError) -> ProtocolError {
    decoder.push(Bytes::from_static(&[0, 0, 0, 0, 0]));
    check_code(&error);
    assert_eq!(decoder.next(), Err(error.clone()));
    assert_eq!(decoder.finish(), Err(error.clone()));
    assert_eq!((decoder.buffered(), decoder.capacity()), (0, 0));
    error
}

/// The input is a list of messages: a byte with the flag in its high bit and the length in the others, and the payload.
/// Encoded messages decode to the same messages; a message over the sender's limit leaves the buffer unchanged.
pub fn message_roundtrip(data: &[u8]) {
    let (mut wire, mut expected, mut rest) = (BytesMut::new(), Vec::new(), data);
    while let [head, after @ ..] = rest {
        let (payload, after) = after.split_at(after.len().min(usize::from(head & 0x7F)));
        rest = after;
        let compressed = head & 0x80 != 0;
        check_prefix(Prefix { compressed, length: payload.len() as u32 });
        check_too_large(&mut wire, compressed, payload);
        encode_message(&mut wire, compressed, payload.len(), |buffer| buffer.put_slice(payload)).unwrap();
        expected.push(EncodedMessage { compressed, payload: Bytes::copy_from_slice(payload) });
    }
    let length: usize = expected.iter().map(|message| PREFIX_LENGTH + message.payload.len()).sum();
    assert_eq!(wire.len(), length, "five bytes of prefix for each message");
    assert_eq!(reference::messages(&wire, usize::MAX), (expected.clone(), Ok(())));
    assert_eq!(decode(usize::MAX, 1, cut(&wire)), (expected, Ok(())));
}

fn check_prefix(prefix: Prefix) {
    let length = prefix.length as usize;
    assert_eq!(Prefix::decode(prefix.encode(), length), Ok(prefix));
    if let Some(limit) = length.checked_sub(1) {
        let error = ProtocolError::MessageTooLarge { length: length as u64, limit };
        assert_eq!(Prefix::decode(prefix.encode(), limit), Err(error));
    }
}

fn check_too_large(wire: &mut BytesMut, compressed: bool, payload: &[u8]) {
    let Some(limit) = payload.len().checked_sub(1) else { return };
    let before = wire.clone();
    let error = encode_message(wire, compressed, limit, |buffer| buffer.put_slice(payload)).unwrap_err();
    assert_eq!(error, ProtocolError::MessageTooLarge { length: payload.len() as u64, limit });
    assert_eq!(*wire, before);
}
