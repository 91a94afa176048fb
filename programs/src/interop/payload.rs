//! Payloads of zeros.

use std::sync::LazyLock;

use bytes::Bytes;

use super::messages::{Payload, PayloadType};

/// Size limit of a payload, in bytes: a request of ten bytes must not cost gigabytes.
pub(super) const LARGEST_PAYLOAD: usize = 64 << 20;

/// Returns a payload of `count` zeros, at most [`LARGEST_PAYLOAD`]. All payloads share one buffer.
pub(super) fn zeros(count: usize) -> Payload {
    // The system provides zeroed memory on demand, and nothing writes to it here. A page takes memory only once it is read.
    static ZEROS: LazyLock<Bytes> = LazyLock::new(|| Bytes::from(vec![0; LARGEST_PAYLOAD]));
    Payload { r#type: PayloadType::Compressable.into(), body: ZEROS.slice(..count.min(LARGEST_PAYLOAD)) }
}
