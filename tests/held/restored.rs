//! Messages that are small on the wire and large in memory, with handlers that hold them and wait.

use barewire::wire::encoding::Encoding;

use super::kinds::{compressed_structures, structures, texts};
use super::law::all;
use super::service::{HOLD, TAKE, WAIT};

const ENCODINGS: [Encoding; 3] = [Encoding::Gzip, Encoding::Zstd, Encoding::Brotli];

#[test]
fn compressed_texts_that_unary_handlers_hold() {
    all(ENCODINGS.map(|encoding| texts(WAIT.path(), encoding).half_closed().is_lawful(1, 40)));
}

#[test]
fn compressed_texts_that_streaming_handlers_hold() {
    all(ENCODINGS.map(|encoding| texts(TAKE.path(), encoding).is_lawful(1, 40)));
}

/// Restored when they are taken, and not before.
#[test]
fn compressed_texts_that_nobody_takes() {
    all([Encoding::Gzip, Encoding::Zstd].map(|encoding| texts(HOLD.path(), encoding).is_lawful(1, 700)));
}

#[test]
fn structures_of_two_bytes() {
    all([true, false].map(|unary| structures(unary).is_lawful(1, 300)));
}

#[test]
fn structures_of_two_bytes_compressed() {
    all([true, false].map(|unary| compressed_structures(unary).is_lawful(1, 50)));
}
