//! Header blocks (RFC 7541), written and read by the inspector.

use barewire::inspector::write::header_block;
pub use barewire::inspector::{Decoder, Limits};

use super::frames::Field;

/// Encodes the fields as literals without indexing, with literal names (section 6.2.2).
pub fn encode(fields: &[Field]) -> Vec<u8> {
    header_block(fields.iter().map(|Field { name, value }| (name, value)))
}

/// Returns the fields of a block, in order.
pub fn decode(decoder: &mut Decoder, block: &[u8]) -> Vec<Field> {
    let block = decoder.decode(block);
    assert_eq!(block.error, None, "the header block can't be decoded");
    let text = |text: Option<std::sync::Arc<[u8]>>| text.expect("the table is known").to_vec();
    let fields = block.fields.into_iter();
    fields
        .map(|field| Field { name: String::from_utf8(text(field.name)).expect("a name"), value: text(field.value) })
        .collect()
}
