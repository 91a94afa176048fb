//! Reads just enough of a serialized `google.protobuf.FileDescriptorProto`: its name, its imports, and the number of its
//! entries.
//!
//! Decoded, an empty message of two bytes takes some 240 bytes of memory, so descriptors of a server are not decoded as a whole.

use bytes::Buf;
use prost::DecodeError;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};

/// Depth of messages declared in messages.
const DEPTH: usize = 32;

/// A file descriptor's outline.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Outline {
    pub(super) name: String,
    pub(super) imports: Vec<String>,
}

/// The kinds of descriptors that contain others; the numbers are those of their fields in `descriptor.proto`.
#[derive(Clone, Copy)]
enum Kind {
    File,
    Message,
    Enum,
    Service,
    /// A field, a value, a method, an import: it counts, and what is in it does not.
    Leaf,
}

impl Kind {
    fn of_field(self, number: u32) -> Option<Kind> {
        Some(match (self, number) {
            (Kind::File, 4) | (Kind::Message, 3) => Kind::Message,
            (Kind::File, 5) | (Kind::Message, 4) => Kind::Enum,
            (Kind::File, 6) => Kind::Service,
            (Kind::File, 3 | 7) | (Kind::Message, 2 | 5 | 6 | 8 | 9 | 10) | (Kind::Enum | Kind::Service, _) => {
                Kind::Leaf
            }
            _ => return None,
        })
    }
}

/// Returns the outline of a file, and subtracts its entries from `left`.
///
/// # Errors
///
/// Fails if the file is malformed, or has more than `left` entries.
pub(super) fn outline(file: &[u8], left: &mut usize) -> Result<Outline, String> {
    let mut outline = Outline::default();
    entries(Kind::File, file, left, DEPTH)?;
    fields(file, |number, content| {
        let text = || String::from_utf8_lossy(content).into_owned();
        match number {
            1 => outline.name = text(),
            3 => outline.imports.push(text()),
            _ => {}
        }
        Ok(())
    })?;
    Ok(outline)
}

fn entries(kind: Kind, bytes: &[u8], left: &mut usize, depth: usize) -> Result<(), String> {
    let below = depth.checked_sub(1).ok_or("the descriptors are nested too deeply")?;
    fields(bytes, |number, content| {
        let Some(kind) = kind.of_field(number) else { return Ok(()) };
        *left = left.checked_sub(1).ok_or("the descriptors have too many entries")?;
        if matches!(kind, Kind::Leaf) { Ok(()) } else { entries(kind, content, left, below) }
    })
}

/// Calls `act` for each length-delimited field of a message.
fn fields<'a>(mut rest: &'a [u8], mut act: impl FnMut(u32, &'a [u8]) -> Result<(), String>) -> Result<(), String> {
    let malformed = |error: DecodeError| format!("invalid file descriptor: {error}");
    while rest.has_remaining() {
        let (number, wire_type) = decode_key(&mut rest).map_err(malformed)?;
        if wire_type != WireType::LengthDelimited {
            skip_field(wire_type, number, &mut rest, DecodeContext::default()).map_err(malformed)?;
            continue;
        }
        let length = decode_varint(&mut rest).map_err(malformed)?;
        let split = usize::try_from(length).ok().and_then(|length| rest.split_at_checked(length));
        let (content, behind) = split.ok_or("invalid file descriptor: it is truncated")?;
        rest = behind;
        act(number, content)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost::Message;
    use prost_types::{DescriptorProto, EnumDescriptorProto, EnumValueDescriptorProto, FileDescriptorProto};

    #[test]
    fn outline_has_name_imports_and_entry_count() {
        let values = vec![EnumValueDescriptorProto::default(); 3];
        let inner = DescriptorProto {
            enum_type: vec![EnumDescriptorProto { value: values, ..Default::default() }],
            ..Default::default()
        };
        let file = FileDescriptorProto {
            name: Some("a.proto".to_owned()),
            dependency: vec!["b.proto".to_owned(), "c.proto".to_owned()],
            message_type: vec![DescriptorProto { nested_type: vec![inner], ..Default::default() }],
            ..Default::default()
        }
        .encode_to_vec();
        // Two imports, two messages, an enum with three values.
        let mut left = 8;
        let imports = ["b.proto", "c.proto"].map(str::to_owned).to_vec();
        assert_eq!(outline(&file, &mut left), Ok(Outline { name: "a.proto".to_owned(), imports }));
        assert_eq!(left, 0);
        assert!(outline(&file, &mut 7).unwrap_err().contains("too many entries"));
        assert!(outline(&file[..file.len() - 1], &mut 100).is_err());
    }

    #[test]
    fn nesting_is_bounded() {
        let mut nested: Vec<u8> = Vec::new();
        for _ in 0..100 {
            let mut length = Vec::new();
            prost::encoding::encode_varint(nested.len() as u64, &mut length);
            nested = [&[0x1a][..], &length, &nested].concat();
        }
        nested[0] = 0x22;
        assert!(outline(&nested, &mut 1_000).unwrap_err().contains("nested too deeply"));
    }
}
