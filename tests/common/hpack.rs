//! Header blocks (RFC 7541): written as plain literals, read with the inspector's decoder.
//!
//! A literal that is not indexed and not Huffman coded says just what a test wants to say: upper case, empty names, any
//! octets.

pub use barewire::inspector::{Decoder, Limits};

use super::frames::Field;

/// Literal Header Field without Indexing, new name (section 6.2.2), for each field.
pub fn encode(fields: &[Field]) -> Vec<u8> {
    let mut block = Vec::new();
    for Field { name, value } in fields {
        block.push(0);
        for text in [name.as_bytes(), value] {
            encode_length(&mut block, text.len());
            block.extend_from_slice(text);
        }
    }
    block
}

/// An integer with a prefix of seven bits (section 5.1), below an H bit of 0.
fn encode_length(block: &mut Vec<u8>, mut length: usize) {
    if length < 127 {
        return block.push(length as u8);
    }
    block.push(127);
    length -= 127;
    while length >= 128 {
        block.push((length % 128 + 128) as u8);
        length /= 128;
    }
    block.push(length as u8);
}

/// The fields of a block in their order.
pub fn decode(decoder: &mut Decoder, block: &[u8]) -> Vec<Field> {
    let block = decoder.decode(block);
    assert_eq!(block.error, None, "the header block can't be decoded");
    let text = |text: Option<std::sync::Arc<[u8]>>| text.expect("the table is known").to_vec();
    let fields = block.fields.into_iter();
    fields
        .map(|field| Field { name: String::from_utf8(text(field.name)).expect("a name"), value: text(field.value) })
        .collect()
}
