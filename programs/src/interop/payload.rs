//! Payloads of zeros.

use std::sync::LazyLock;

use bytes::Bytes;

use super::messages::{Payload, PayloadType};

/// The largest payload of zeros, in bytes: a request of ten bytes must not cost gigabytes.
pub(super) const LARGEST_PAYLOAD: usize = 64 << 20;

/// Returns a payload of zeros, up to [`LARGEST_PAYLOAD`] of them. All payloads share one buffer.
pub(super) fn zeros(count: usize) -> Payload {
    // Memory that is zero when the system gives it is not touched here, so that no page of it is held before it is read.
    static ZEROS: LazyLock<Bytes> = LazyLock::new(|| Bytes::from(vec![0; LARGEST_PAYLOAD]));
    Payload { r#type: PayloadType::Compressable.into(), body: ZEROS.slice(..count.min(LARGEST_PAYLOAD)) }
}
