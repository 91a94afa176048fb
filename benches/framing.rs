//! Measures the five-byte prefix both ways: encoding messages into a buffer, and decoding them.
//!
//! `cargo bench --bench framing`. Throughput counts bytes on the wire, and only where they are copied.

use std::hint::black_box;

use barewire::wire::message::{MessageDecoder, PREFIX_LENGTH, encode_message};
use bytes::{BufMut, Bytes, BytesMut};
use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};

/// Sizes of payloads: a Point, a large record, a page, a message that needs many DATA frames.
const PAYLOADS: [usize; 4] = [17, 256, 4_096, 1_048_576];

const LIMIT: usize = 4 * 1_024 * 1_024;

fn main() {
    divan::main();
}

/// One message into an empty buffer that has room for it.
#[divan::bench(args = PAYLOADS)]
fn encode(bencher: Bencher, length: usize) {
    let payload = vec![b'x'; length];
    bencher
        .counter(BytesCount::new(PREFIX_LENGTH + length))
        .with_inputs(|| BytesMut::with_capacity(PREFIX_LENGTH + length))
        .bench_refs(|buffer| encode_message(buffer, false, LIMIT, |buffer| buffer.put_slice(black_box(&payload))));
}

/// One message within one chunk, which is not copied.
#[divan::bench(args = PAYLOADS)]
fn decode(bencher: Bencher, length: usize) {
    let wire = messages(1, length);
    bencher.counter(ItemsCount::new(1_usize)).bench(|| {
        let mut decoder = MessageDecoder::new(LIMIT);
        decoder.push(wire.clone());
        decoder.next()
    });
}

/// A thousand points that arrive in chunks of this many bytes: one DATA frame each (22), across frame boundaries (1,000), in
/// frames of h2's largest size (16,384).
#[divan::bench(args = [22, 1_000, 16_384])]
fn decode_points(bencher: Bencher, chunk: usize) {
    const POINTS: usize = 1_000;
    let wire = messages(POINTS, 17);
    bencher.counter(ItemsCount::new(POINTS)).bench(|| {
        let mut decoder = MessageDecoder::new(LIMIT);
        let mut taken = 0;
        for start in (0..wire.len()).step_by(chunk) {
            decoder.push(wire.slice(start..wire.len().min(start + chunk)));
            while let Ok(Some(message)) = decoder.next() {
                black_box(message);
                taken += 1;
            }
        }
        assert_eq!(taken, POINTS);
    });
}

/// A large message that arrives in chunks of h2's largest DATA frame and is joined.
#[divan::bench]
fn decode_gathered(bencher: Bencher) {
    let wire = messages(1, 1_048_576);
    bencher.counter(BytesCount::new(wire.len())).bench(|| {
        let mut decoder = MessageDecoder::new(LIMIT);
        for start in (0..wire.len()).step_by(16_384) {
            decoder.push(wire.slice(start..wire.len().min(start + 16_384)));
        }
        decoder.next()
    });
}

fn messages(count: usize, length: usize) -> Bytes {
    let payload = vec![b'x'; length];
    let mut wire = BytesMut::new();
    for _ in 0..count {
        encode_message(&mut wire, false, LIMIT, |buffer| buffer.put_slice(&payload)).expect("within the limit");
    }
    wire.freeze()
}
