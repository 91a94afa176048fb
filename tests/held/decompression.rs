//! Messages that are small on the wire and large in memory, with handlers that hold them and wait.

use barewire::wire::encoding::Encoding;

use super::attack_bytes::block;
use super::callers::{RESPONSE, Waits, on_a_client};
use super::common::frames::*;
use super::kinds::{LIMIT, compressed_structures, structures, text_of_4_mib, texts};
use super::memory_bound::{MIB, all};
use super::service::{HOLD, TAKE, WAIT};

const ENCODINGS: [Encoding; 3] = [Encoding::Gzip, Encoding::Zstd, Encoding::Brotli];

#[test]
fn compressed_texts_held_by_unary_handlers_stay_within_the_limit() {
    all(ENCODINGS.map(|encoding| texts(WAIT.path(), encoding).half_closed().check_bound(1, 40)));
}

#[test]
fn compressed_texts_held_by_streaming_handlers_stay_within_the_limit() {
    all(ENCODINGS.map(|encoding| texts(TAKE.path(), encoding).check_bound(1, 40)));
}

/// Messages are decompressed only when they are taken.
#[test]
fn untaken_compressed_texts_stay_within_the_limit() {
    all([Encoding::Gzip, Encoding::Zstd].map(|encoding| texts(HOLD.path(), encoding).check_bound(1, 700)));
}

#[test]
fn structures_of_two_bytes_stay_within_the_limit() {
    all([true, false].map(|unary| structures(unary).check_bound(1, 300)));
}

#[test]
fn compressed_structures_of_two_bytes_stay_within_the_limit() {
    all([true, false].map(|unary| compressed_structures(unary).check_bound(1, 50)));
}

/// A unary call has received its message and waits for a status that never arrives.
#[test]
fn compressed_answers_without_status_stay_within_the_limit() {
    all([Encoding::Gzip, Encoding::Zstd].map(|encoding| {
        let text = text_of_4_mib(encoding);
        let named =
            [&b"\x00\x0dgrpc-encoding"[..], &[encoding.name().len() as u8], encoding.name().as_bytes()].concat();
        let bytes_of =
            |stream, _| [block(stream, 0, &[RESPONSE, &named].concat()), wire(chunks(stream, &text))].concat();
        let name = format!("4 MiB in {} bytes of {encoding} to a client", text.len());
        on_a_client(&name, 40, Waits::Answer, 1, 3 * LIMIT + MIB / 2, bytes_of)
    }));
}
