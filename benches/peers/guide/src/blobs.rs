//! The messages of `bench.Blobs` (`proto/blobs.proto`): bytes of a chosen size.

use bytes::Bytes;
use prost::Message;

/// The largest blob that may be requested.
const LARGEST: usize = 16 << 20;

/// A request for `count` blobs of a size in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct Ask {
    #[prost(int32, tag = "1")]
    pub size: i32,
    #[prost(int32, tag = "2")]
    pub count: i32,
}

/// Some bytes, which are not copied if the library passes a `Bytes` to prost.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Blob {
    #[prost(bytes = "bytes", tag = "1")]
    pub value: Bytes,
}

/// Returns a blob of zeros that shares its memory.
pub fn zeros(size: i32) -> Blob {
    static ZEROS: [u8; LARGEST] = [0; LARGEST];
    let size = usize::try_from(size).unwrap_or_default().min(LARGEST);
    Blob { value: Bytes::from_static(&ZEROS[..size]) }
}
