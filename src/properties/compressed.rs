//! Properties of compression: any bytes decompress within a limit or fail, and compressed data decompress to the
//! original.

use bytes::BytesMut;

use crate::call::Compressor;
use crate::compression;
use crate::wire::encoding::Encoding;

const ALL: [Encoding; 5] = [Encoding::Gzip, Encoding::Deflate, Encoding::Zstd, Encoding::Brotli, Encoding::Snappy];

/// The most bytes that decompression may produce.
const LIMIT: usize = 16 << 10;

/// The first byte of the input selects the algorithm; the rest is decompressed, and also compressed and decompressed
/// again.
pub fn compressed(data: &[u8]) {
    let Some((choice, data)) = data.split_first() else { return };
    let encoding = ALL[usize::from(*choice) % ALL.len()];
    let all = compression::all();
    let compressor: &dyn Compressor = &**all.get(encoding).expect("it was compiled in");

    let mut restored = BytesMut::from(&b"before"[..]);
    let outcome = compressor.decompress(data, LIMIT, &mut restored);
    assert_eq!(&restored[..6], b"before", "{encoding} appends to the buffer");
    assert!(outcome.is_err() || restored.len() <= LIMIT + 6, "{encoding} gave {} bytes", restored.len());
    assert!(restored.len() <= LIMIT + 6 + 1, "{encoding} stops at the limit");

    let mut packed = BytesMut::new();
    compressor.compress(data, &mut packed).expect("there is memory");
    let mut again = BytesMut::new();
    compressor.decompress(&packed, data.len(), &mut again).expect("compressed data can be decompressed");
    assert_eq!(again, data, "{encoding}");
    if !data.is_empty() {
        let within_less = compressor.decompress(&packed, data.len() - 1, &mut BytesMut::new());
        assert!(within_less.is_err(), "{encoding} refuses a limit of one byte less");
        let cut = compressor.decompress(&packed[..packed.len() - 1], data.len(), &mut BytesMut::new());
        assert!(cut.is_err() || encoding == Encoding::Snappy, "{encoding} refuses a truncated message");
    }
}
