//! Sets a field of an encoded protobuf message by name: `location.latitude` to `7`. All other bytes stay unchanged,
//! including unknown fields.
//!
//! <https://protobuf.dev/programming-guides/encoding/>: if a field occurs more than once the last one counts, so that
//! one is replaced. A missing field is added at the end.

use std::error::Error;
use std::fmt;

use super::frame::varint;
use super::script::hex;
use crate::inspector::model::fields::{Fields, Payload, WireType};
use crate::inspector::model::schema::{FieldType, Schema};

/// A reason why a field can't be set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EditError(String);

/// The message with the field at `path` (names with dots between them) set to `value`, which is read by the field's type.
///
/// # Errors
///
/// [`EditError`] if the message, a field name or the value is invalid.
pub fn set_field(
    schema: &Schema,
    type_name: &str,
    message: &[u8],
    path: &str,
    value: &str,
) -> Result<Vec<u8>, EditError> {
    let (name, below) = match path.split_once('.') {
        Some((name, below)) => (name, Some(below)),
        None => (path, None),
    };
    let (number, kind) =
        schema.field_named(type_name, name).ok_or_else(|| EditError(format!("{type_name} has no field {name:?}")))?;
    let last = last(message, number)?;
    let encoded = match (below, kind) {
        (Some(below), FieldType::Message(inner)) => {
            let within = match &last {
                Some((_, Payload::Len(bytes))) => bytes,
                _ => &[][..],
            };
            length_delimited(&set_field(schema, inner, within, below, value)?)
        }
        (Some(_), _) => return Err(EditError(format!("{name} is not a message and has no fields"))),
        (None, kind) => encode(schema, kind, name, value)?,
    };
    let mut out = Vec::with_capacity(message.len() + encoded.1.len() + 8);
    let place = last.map_or(message.len()..message.len(), |(place, _)| place);
    out.extend_from_slice(message.get(..place.start).unwrap_or_default());
    varint(&mut out, u64::from(number) << 3 | encoded.0 as u64);
    out.extend_from_slice(&encoded.1);
    out.extend_from_slice(message.get(place.end..).unwrap_or_default());
    Ok(out)
}

type FieldPlace<'a> = Option<(std::ops::Range<usize>, Payload<'a>)>;

/// Returns the place of the last field with this number, tag included.
fn last(message: &[u8], number: u32) -> Result<FieldPlace<'_>, EditError> {
    let mut found = None;
    let mut groups = 0_usize;
    for field in Fields::new(message) {
        let field = field.map_err(|error| EditError(format!("the message is not valid protobuf: {error}")))?;
        match field.payload {
            Payload::GroupStart => groups += 1,
            Payload::GroupEnd => groups = groups.saturating_sub(1),
            payload if groups == 0 && field.number == number => {
                found = Some((field.tag.start..field.value.end, payload));
            }
            _ => {}
        }
    }
    Ok(found)
}

type Encoded = (WireType, Vec<u8>);

fn length_delimited(bytes: &[u8]) -> Encoded {
    let mut out = Vec::new();
    varint(&mut out, bytes.len() as u64);
    out.extend_from_slice(bytes);
    (WireType::Len, out)
}

fn encode(schema: &Schema, kind: &FieldType, name: &str, value: &str) -> Result<Encoded, EditError> {
    let wrong = |what: &str| EditError(format!("{name}: {value:?} is not a valid {what}"));
    let int = |what| value.parse::<i64>().map_err(|_| wrong(what));
    let uint = |what| value.parse::<u64>().map_err(|_| wrong(what));
    let int32 = |what| value.parse::<i32>().map_err(|_| wrong(what));
    let uint32 = |what| value.parse::<u32>().map_err(|_| wrong(what));
    let number = |number| {
        let mut out = Vec::new();
        varint(&mut out, number);
        (WireType::Varint, out)
    };
    Ok(match kind {
        FieldType::Int64 => number(int("int64")? as u64),
        FieldType::Int32 => number(i64::from(int32("int32")?) as u64),
        FieldType::Uint64 => number(uint("uint64")?),
        FieldType::Uint32 => number(uint32("uint32")?.into()),
        FieldType::Sint64 => {
            let value = int("sint64")?;
            number((value << 1 ^ value >> 63) as u64)
        }
        FieldType::Sint32 => {
            let value = int32("sint32")?;
            number(((value << 1 ^ value >> 31) as u32).into())
        }
        FieldType::Bool => number(value.parse::<bool>().map_err(|_| wrong("bool: use true or false"))?.into()),
        FieldType::Enum(of) => {
            let known = schema.enum_number(of, value).or_else(|| value.parse().ok());
            number(i64::from(known.ok_or_else(|| wrong("value of the enum"))?) as u64)
        }
        FieldType::Fixed64 => (WireType::I64, uint("fixed64")?.to_le_bytes().to_vec()),
        FieldType::Sfixed64 => (WireType::I64, int("sfixed64")?.to_le_bytes().to_vec()),
        FieldType::Double => (WireType::I64, value.parse::<f64>().map_err(|_| wrong("double"))?.to_le_bytes().to_vec()),
        FieldType::Fixed32 => (WireType::I32, uint32("fixed32")?.to_le_bytes().to_vec()),
        FieldType::Sfixed32 => (WireType::I32, int32("sfixed32")?.to_le_bytes().to_vec()),
        FieldType::Float => (WireType::I32, value.parse::<f32>().map_err(|_| wrong("float"))?.to_le_bytes().to_vec()),
        FieldType::String => length_delimited(value.as_bytes()),
        FieldType::Bytes => length_delimited(&hex(value).map_err(|reason| EditError(format!("{name}: {reason}")))?),
        FieldType::Message(_) | FieldType::Group(_) => {
            return Err(EditError(format!("{name} is a message: add a dot and the name of a field")));
        }
    })
}

impl fmt::Display for EditError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for EditError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema() -> Schema {
        let mut schema = Schema::new();
        schema.add_field("a.Note", 1, "location", FieldType::Message("a.Point".into()));
        schema.add_field("a.Note", 2, "text", FieldType::String);
        schema.add_field("a.Note", 3, "color", FieldType::Enum("a.Color".into()));
        schema.add_field("a.Note", 4, "raw", FieldType::Bytes);
        schema.add_field("a.Note", 5, "weight", FieldType::Float);
        schema.add_field("a.Point", 1, "latitude", FieldType::Int32);
        schema.add_field("a.Point", 2, "step", FieldType::Sint32);
        schema.add_enum_value("a.Color", 2, "RED");
        schema
    }

    fn set(message: &[u8], path: &str, value: &str) -> Result<Vec<u8>, String> {
        set_field(&schema(), "a.Note", message, path, value).map_err(|error| error.to_string())
    }

    #[test]
    fn editing_a_field_keeps_the_others() {
        let unknown = [0x48, 9];
        let note = [&[0x12, 2, b'h', b'i'][..], &unknown, &[0x0a, 2, 8, 1]].concat();
        assert_eq!(set(&note, "text", "hello").unwrap(), [&b"\x12\x05hello"[..], &unknown, &[0x0a, 2, 8, 1]].concat());
        assert_eq!(set(&note, "location.latitude", "300").unwrap(), [&note[..6], &[0x0a, 3, 8, 0xac, 2]].concat());
        assert_eq!(set(&note, "location.step", "-1").unwrap(), [&note[..6], &[0x0a, 4, 8, 1, 16, 1]].concat());
        assert_eq!(set(&note, "color", "RED").unwrap(), [&note[..], &[0x18, 2]].concat());
        assert_eq!(set(b"", "location.latitude", "-1").unwrap()[..4], [0x0a, 11, 8, 0xff]);
        assert_eq!(set(b"", "raw", "00 ff").unwrap(), [0x22, 2, 0, 255]);
        assert_eq!(set(b"", "weight", "1.5").unwrap(), [0x2d, 0, 0, 0xc0, 0x3f]);
        // The last of several fields counts.
        assert_eq!(set(b"\x12\x01a\x12\x01b", "text", "c").unwrap(), b"\x12\x01a\x12\x01c");
    }

    #[test]
    fn invalid_edits_are_errors() {
        for (path, value, expected) in [
            ("name", "x", "a.Note has no field \"name\""),
            ("text.x", "x", "text is not a message and has no fields"),
            ("location", "x", "location is a message: add a dot and the name of a field"),
            ("location.latitude", "x", "latitude: \"x\" is not a valid int32"),
            ("color", "BLUE", "color: \"BLUE\" is not a valid value of the enum"),
            ("raw", "0", "raw: odd number of hex digits"),
        ] {
            assert_eq!(set(b"", path, value).unwrap_err(), expected);
        }
        assert!(set(&[0x12, 9], "text", "x").unwrap_err().starts_with("the message is not valid protobuf: "));
    }
}
