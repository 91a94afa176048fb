//! The same tests for every compiled-in algorithm.

use std::io::Write;
use std::sync::Arc;

use bytes::BytesMut;

use super::all;
use crate::call::{Compressor, DecompressError};
use crate::wire::encoding::Encoding;

/// Every message is shorter than this.
const AMPLE: usize = 2 << 20;

fn each(test: impl Fn(&Arc<dyn Compressor>)) {
    let all = all();
    for encoding in [Encoding::Gzip, Encoding::Deflate, Encoding::Zstd, Encoding::Brotli, Encoding::Snappy] {
        if let Some(compressor) = all.get(encoding) {
            test(compressor);
        }
    }
}

fn compress(compressor: &Arc<dyn Compressor>, message: &[u8]) -> Vec<u8> {
    let mut out = BytesMut::new();
    compressor.compress(message, &mut out).unwrap();
    out.to_vec()
}

fn decompress(compressor: &Arc<dyn Compressor>, bytes: &[u8], limit: usize) -> Result<Vec<u8>, DecompressError> {
    // Bytes already in the buffer must stay unchanged.
    let mut out = BytesMut::from("before");
    let end = compressor.decompress(bytes, limit, &mut out);
    let restored = out.strip_prefix(b"before").expect("the buffer's contents are unchanged").to_vec();
    assert!(restored.len() <= limit, "{}: {} bytes over {limit}", compressor.encoding(), restored.len());
    end.map(|()| restored)
}

/// Half of the message is random, the other half compresses well.
fn message(length: usize) -> Vec<u8> {
    let mut state = 7_u32;
    let noise = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        [b'r', b'o', b'u', b't', b'e', (state >> 24) as u8]
    });
    noise.flatten().take(length).collect()
}

#[test]
fn compressed_message_decompresses_to_itself() {
    each(|compressor| {
        for length in [0, 1, 2, 100, 65_535, 65_536, 65_537, 1 << 20] {
            let message = message(length);
            let packed = compress(compressor, &message);
            let name = compressor.encoding();
            assert!(!packed.is_empty(), "{name}: an empty message is a stream too");
            assert!(length < 100 || packed.len() < length, "{name}: {} of {length} bytes", packed.len());
            assert_eq!(decompress(compressor, &packed, AMPLE).as_ref(), Ok(&message), "{name}: {length} bytes");
            assert_eq!(decompress(compressor, &packed, length).as_ref(), Ok(&message), "{name}: just the limit");
            assert_eq!(decompress(compressor, &packed, usize::MAX).as_ref(), Ok(&message), "{name}: no limit");
            if let Some(less) = length.checked_sub(1) {
                let refused = decompress(compressor, &packed, less);
                assert_eq!(refused, Err(DecompressError::TooLarge), "{name}: {length} bytes, one over");
            }
        }
    });
}

/// Checks that the default compressor uses the first level for a small message and the second for a large one. The
/// bytes show the level, because each level compresses this message differently.
fn expect_levels(
    without: impl Compressor + 'static,
    usual: impl Compressor + 'static,
    fast: impl Compressor + 'static,
) {
    let [without, usual, fast] = [Arc::new(without) as Arc<dyn Compressor>, Arc::new(usual), Arc::new(fast)];
    let (small, large) = (message(super::LARGE - 1), message(super::LARGE));
    assert_eq!(compress(&without, &small), compress(&usual, &small));
    assert_eq!(compress(&without, &large), compress(&fast, &large));
    assert_ne!(compress(&usual, &large), compress(&fast, &large), "the levels differ");
}

#[test]
fn compression_appends_to_the_buffer() {
    each(|compressor| {
        let mut out = BytesMut::from("before");
        compressor.compress(b"message", &mut out).unwrap();
        assert_eq!(out.strip_prefix(b"before"), Some(&compress(compressor, b"message")[..]));
    });
}

#[test]
fn messages_are_compressed_independently() {
    each(|compressor| {
        let first = compress(compressor, b"the same words, the same words");
        assert_eq!(compress(compressor, b"the same words, the same words"), first, "{}", compressor.encoding());
    });
}

#[test]
fn truncated_message_is_corrupt() {
    each(|compressor| {
        let packed = compress(compressor, &message(300));
        for length in 0..packed.len() {
            let name = compressor.encoding();
            let restored = decompress(compressor, &packed[..length], AMPLE);
            match (name, length) {
                // The framing has no end marker: a cut after its only chunk gives a valid stream.
                (Encoding::Snappy, 10) => assert_eq!(restored, Ok(Vec::new())),
                _ => assert!(matches!(restored, Err(DecompressError::Corrupt(_))), "{name} at {length}: {restored:?}"),
            }
        }
    });
}

#[test]
fn trailing_bytes_are_corrupt() {
    each(|compressor| {
        for rest in [&b"\0"[..], b"0123456789", &[0; 100], &[0xff; 100]] {
            let mut packed = compress(compressor, &message(300));
            packed.extend_from_slice(rest);
            let restored = decompress(compressor, &packed, AMPLE);
            let name = compressor.encoding();
            assert!(matches!(restored, Err(DecompressError::Corrupt(_))), "{name} and {rest:x?}: {restored:?}");
        }
    });
}

#[test]
fn garbage_is_corrupt() {
    each(|compressor| {
        for garbage in [&b"garbage"[..], &[0xff; 64], b"\x0a\x05plain", &message(1000)] {
            let restored = decompress(compressor, garbage, AMPLE);
            let name = compressor.encoding();
            assert!(matches!(restored, Err(DecompressError::Corrupt(_))), "{name}: {restored:?}");
        }
    });
}

/// Flips each bit: the limit holds and nothing panics.
#[test]
fn flipped_bits_neither_panic_nor_exceed_the_limit() {
    each(|compressor| {
        let packed = compress(compressor, &message(500));
        for bit in 0..packed.len() * 8 {
            let mut flipped = packed.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let _: Result<_, DecompressError> = decompress(compressor, &flipped, 1000);
        }
    });
}

#[test]
fn several_members_are_decoded_as_one_message() {
    each(|compressor| {
        let (first, second) = (compress(compressor, b"one "), compress(compressor, b"message"));
        let restored = decompress(compressor, &[first, second].concat(), AMPLE);
        match compressor.encoding() {
            Encoding::Gzip | Encoding::Zstd | Encoding::Snappy => assert_eq!(restored, Ok(b"one message".to_vec())),
            name => assert!(matches!(restored, Err(DecompressError::Corrupt(_))), "{name}: {restored:?}"),
        }
    });
}

/// The beginning of a stream, and one more MiB of zeros, which can be repeated any number of times.
fn zeros<W: Write>(mut encoder: W, written: impl Fn(&W) -> &Vec<u8>) -> (Vec<u8>, Vec<u8>) {
    let mib = vec![0; 1 << 20];
    let mut grown = || {
        let before = written(&encoder).len();
        encoder.write_all(&mib).unwrap();
        encoder.flush().unwrap();
        written(&encoder)[before..].to_vec()
    };
    (grown(), grown())
}

/// 1 GiB of zeros: the decoder never produces more than the limit, so this is fast.
fn disarm(compressor: &dyn Compressor, (beginning, repeated): (Vec<u8>, Vec<u8>)) {
    let mut bomb = beginning;
    for _ in 1..1024 {
        bomb.extend_from_slice(&repeated);
    }
    for limit in [0, 1, 1000, 4 << 20] {
        let mut out = BytesMut::new();
        assert_eq!(compressor.decompress(&bomb, limit, &mut out), Err(DecompressError::TooLarge));
        assert!(out.len() <= limit && out.capacity() <= 2 * limit.max(8 << 10), "{} for {limit}", out.capacity());
    }
}

#[cfg(feature = "gzip")]
mod gzip {
    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    #[test]
    fn large_messages_use_a_faster_level() {
        use super::super::Gzip;
        super::expect_levels(Gzip::default(), Gzip::with_level(6), Gzip::with_level(1));
    }

    #[test]
    fn bomb_stops_at_the_limit() {
        let bomb = zeros(GzEncoder::new(Vec::new(), Compression::fast()), GzEncoder::get_ref);
        disarm(&super::super::Gzip::default(), bomb);
    }

    /// A header with all optional fields (RFC 1952 section 2.3.1), written by hand.
    #[test]
    fn optional_header_fields_are_skipped() {
        #[rustfmt::skip]
        let member = [
            0x1f, 0x8b, 8, 0b0001_1100, 0, 0, 0, 0, 0, 3, // magic, deflate, FEXTRA FNAME FCOMMENT, time, flags, Unix
            2, 0, 7, 7,                                   // two bytes extra
            b'n', 0, b'c', 0,                             // name, comment
            3, 0,                                         // no data
            0, 0, 0, 0, 0, 0, 0, 0,                       // CRC, length
        ];
        let restored = super::super::Gzip::default().decompress(&member, 0, &mut BytesMut::new());
        assert_eq!(restored, Ok(()));
    }
}

#[cfg(feature = "deflate")]
mod deflate {
    use flate2::Compression;
    use flate2::write::{DeflateEncoder, ZlibEncoder};

    use super::*;

    #[test]
    fn large_messages_use_a_faster_level() {
        use super::super::Deflate;
        super::expect_levels(Deflate::default(), Deflate::with_level(6), Deflate::with_level(1));
    }

    #[test]
    fn bomb_stops_at_the_limit() {
        let bomb = zeros(ZlibEncoder::new(Vec::new(), Compression::fast()), ZlibEncoder::get_ref);
        disarm(&super::super::Deflate::default(), bomb);
    }

    #[test]
    fn raw_deflate_without_zlib_header_is_corrupt() {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(b"message").unwrap();
        let bare = encoder.finish().unwrap();
        let restored = super::super::Deflate::default().decompress(&bare, AMPLE, &mut BytesMut::new());
        assert!(matches!(restored, Err(DecompressError::Corrupt(_))));
    }
}

#[cfg(feature = "zstd")]
mod zstd {
    use super::*;

    #[test]
    fn bomb_stops_at_the_limit() {
        let bomb = zeros(::zstd::Encoder::new(Vec::new(), 1).unwrap(), ::zstd::Encoder::get_ref);
        disarm(&super::super::Zstd::default(), bomb);
    }

    /// The frame requests a window of 2 GiB, and contains 3 bytes.
    #[test]
    fn huge_declared_window_allocates_nothing() {
        #[rustfmt::skip]
        let frame = [
            0x28, 0xb5, 0x2f, 0xfd, // magic
            0, 0b1010_1000,        // no size, no checksum; a window of 2^(10 + 21) bytes
            0b11_001, 0, 0,         // the last block, raw, of 3 bytes
            b'a', b'b', b'c',
        ];
        let mut out = BytesMut::new();
        assert_eq!(super::super::Zstd::default().decompress(&frame, 3, &mut out), Ok(()));
        assert_eq!((&out[..], out.capacity() < 100), (&b"abc"[..], true));
    }

    #[test]
    fn declared_size_is_checked_against_the_content() {
        // A single-segment frame that declares 4 GiB is refused by its size. One that declares 3 bytes and contains
        // more is corrupt.
        let huge = [0x28, 0xb5, 0x2f, 0xfd, 0b1010_0000, 0xff, 0xff, 0xff, 0xff, 0b11_001, 0, 0, b'a', b'b', b'c'];
        let short = [0x28, 0xb5, 0x2f, 0xfd, 0b0010_0000, 2, 0b11_001, 0, 0, b'a', b'b', b'c'];
        let zstd = super::super::Zstd::default();
        assert_eq!(zstd.decompress(&huge, AMPLE, &mut BytesMut::new()), Err(DecompressError::TooLarge));
        let restored = zstd.decompress(&short, AMPLE, &mut BytesMut::new());
        assert!(matches!(restored, Err(DecompressError::Corrupt(_))), "{restored:?}");
    }
}

#[cfg(feature = "brotli")]
mod brotli {
    use ::brotli::CompressorWriter;

    use super::*;

    #[test]
    fn large_messages_use_a_faster_level() {
        use super::super::Brotli;
        super::expect_levels(Brotli::default(), Brotli::with_level(5), Brotli::with_level(1));
    }

    #[test]
    fn bomb_stops_at_the_limit() {
        let bomb = zeros(CompressorWriter::new(Vec::new(), 4096, 1, 22), CompressorWriter::get_ref);
        disarm(&super::super::Brotli::default(), bomb);
    }

    /// An empty stream with a window of 30 bits, which is an extension of RFC 7932.
    #[test]
    fn large_window_extension_is_corrupt() {
        let large = [0x11, 0b11_011110];
        let restored = super::super::Brotli::default().decompress(&large, AMPLE, &mut BytesMut::new());
        assert!(matches!(restored, Err(DecompressError::Corrupt(_))), "{restored:?}");
    }
}

#[cfg(feature = "snappy")]
mod snappy {
    use snap::write::FrameEncoder;

    use super::*;

    #[test]
    fn bomb_stops_at_the_limit() {
        let bomb = zeros(FrameEncoder::new(Vec::new()), FrameEncoder::get_ref);
        disarm(&super::super::Snappy, bomb);
    }

    #[test]
    fn skippable_chunks_are_skipped() {
        let empty = b"\xff\x06\x00\x00sNaPpY";
        let snappy = super::super::Snappy;
        for (chunk, skipped) in [
            (&b"\xfe\x02\x00\x00xx"[..], true), // padding
            (b"\x80\x01\x00\x00x", true),       // reserved, to be skipped
            (b"\x02\x01\x00\x00x", false),      // reserved, not to be
        ] {
            let stream = [empty, chunk].concat();
            let restored = snappy.decompress(&stream, AMPLE, &mut BytesMut::new());
            assert_eq!(restored.is_ok(), skipped, "{chunk:x?}: {restored:?}");
        }
    }
}
