//! Length-prefixed messages for the load: packs them into DATA, and counts those that arrive.

use bytes::{BufMut, Bytes, BytesMut};

/// The size of a DATA frame of a library that batches, in bytes.
pub const BATCH: usize = 16 << 10;

/// Returns this message `count` times, packed into pieces of at most [`BATCH`] bytes; a larger message is a piece by itself.
pub fn packed(message: &[u8], count: usize) -> impl Iterator<Item = Bytes> + Send + use<> {
    let each = (BATCH / message.len().max(1)).clamp(1, count.max(1));
    let size = message.len();
    let piece = Bytes::from(message.repeat(each));
    (0..count).step_by(each).map(move |done| piece.slice(..size * each.min(count - done)))
}

/// Returns a `bench.Blob` of this many zeros, with its prefix.
pub fn blob(size: usize) -> Bytes {
    let mut field = BytesMut::new();
    if size > 0 {
        field.put_u8(0x0a);
        put_varint(&mut field, size as u64);
    }
    let mut blob = BytesMut::with_capacity(5 + field.len() + size);
    blob.put_u8(0);
    blob.put_u32((field.len() + size) as u32);
    blob.put(field);
    blob.put_bytes(0, size);
    blob.freeze()
}

/// Returns a message of two numbers with its prefix: `bench.Ask`, `routeguide.Point`, or the beginning of a `RouteSummary`.
pub fn pair(one: i32, other: i32) -> Bytes {
    let mut fields = BytesMut::new();
    for (tag, number) in [(0x08, one), (0x10, other)] {
        if number != 0 {
            fields.put_u8(tag);
            put_varint(&mut fields, i64::from(number) as u64);
        }
    }
    framed(&fields)
}

/// Returns a `routeguide.RouteNote` at a point, with its prefix.
pub fn note(point: (i32, i32), message: &str) -> Bytes {
    let mut fields = BytesMut::new();
    let location = pair(point.0, point.1);
    let location = location.get(5..).unwrap_or_default();
    fields.put_u8(0x0a);
    put_varint(&mut fields, location.len() as u64);
    fields.put(location);
    fields.put_u8(0x12);
    put_varint(&mut fields, message.len() as u64);
    fields.put(message.as_bytes());
    framed(&fields)
}

/// Returns the two numbers of a [`pair`].
pub fn read_pair(message: &[u8]) -> (i32, i32) {
    let mut numbers = [0; 2];
    let mut rest = message.get(5..).unwrap_or_default().iter();
    while let Some(tag) = rest.next() {
        let mut value = 0_u64;
        for (byte, shift) in rest.by_ref().zip((0..64).step_by(7)) {
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
        }
        if let Some(number) = numbers.get_mut(usize::from(tag >> 3).wrapping_sub(1)) {
            *number = value as i32;
        }
    }
    (numbers[0], numbers[1])
}

/// Counts messages in a stream of bytes with any chunk sizes.
#[derive(Debug, Default)]
pub struct Counter {
    /// The number of complete messages.
    pub messages: usize,
    /// The number of bytes, including prefixes.
    pub bytes: usize,
    prefix: Vec<u8>,
    missing: usize,
}

impl Counter {
    /// Adds the next bytes.
    pub fn push(&mut self, mut chunk: &[u8]) {
        self.bytes += chunk.len();
        while !chunk.is_empty() {
            if self.missing > 0 {
                let taken = self.missing.min(chunk.len());
                self.missing -= taken;
                chunk = &chunk[taken..];
                self.messages += usize::from(self.missing == 0);
                continue;
            }
            let taken = (5 - self.prefix.len()).min(chunk.len());
            self.prefix.extend_from_slice(&chunk[..taken]);
            chunk = &chunk[taken..];
            if let [_, a, b, c, d] = self.prefix[..] {
                self.missing = u32::from_be_bytes([a, b, c, d]) as usize;
                self.messages += usize::from(self.missing == 0);
                self.prefix.clear();
            }
        }
    }

    /// Returns true if the stream has ended between two messages.
    pub fn is_whole(&self) -> bool {
        self.missing == 0 && self.prefix.is_empty()
    }
}

fn framed(fields: &[u8]) -> Bytes {
    let mut message = BytesMut::with_capacity(5 + fields.len());
    message.put_u8(0);
    message.put_u32(fields.len() as u32);
    message.put(fields);
    message.freeze()
}

fn put_varint(out: &mut BytesMut, mut value: u64) {
    while value >= 0x80 {
        out.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::REQUEST;

    #[test]
    fn pair_is_written_and_read() {
        assert_eq!(&pair(409_146_138, -746_188_906)[..], REQUEST);
        for numbers in [(0, 0), (1, -1), (i32::MAX, i32::MIN), (16 << 20, 0), (0, 7)] {
            assert_eq!(read_pair(&pair(numbers.0, numbers.1)), numbers);
        }
    }

    #[test]
    fn messages_are_counted_for_every_chunk_size() {
        let mut bytes: Vec<u8> = packed(REQUEST, 3).flatten().collect();
        bytes.extend([0; 5]);
        bytes.extend(blob(300));
        for size in 1..bytes.len() {
            let mut counter = Counter::default();
            bytes.chunks(size).for_each(|chunk| counter.push(chunk));
            assert_eq!((counter.messages, counter.bytes, counter.is_whole()), (5, bytes.len(), true));
        }
        let mut counter = Counter::default();
        counter.push(&bytes[..bytes.len() - 1]);
        assert!(!counter.is_whole());
    }

    #[test]
    fn packed_bytes_have_the_requested_number_of_messages() {
        for count in [0, 1, 744, 745, 10_000] {
            let mut counter = Counter::default();
            packed(REQUEST, count).for_each(|piece| {
                assert!(piece.len() <= BATCH);
                counter.push(&piece);
            });
            assert_eq!(counter.messages, count);
        }
    }
}
