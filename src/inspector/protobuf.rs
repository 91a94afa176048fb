//! A message's fields as annotations: named by a schema, or told apart as well as the bytes allow.
//!
//! Without a schema a LEN field may be text, bytes or a message, and nothing on the wire says which. Printable text is
//! taken for text, then what parses as fields to its last byte for a message, and the rest for bytes.

use std::ops::Range;
use std::sync::Arc;

use super::annotation::{Annotation, Layer, Rule};
use super::fields::{Fields, Payload, RawField, WireType, varint};
use super::schema::{FieldType, Schema, SchemaField};
use super::text::{self, Text};

/// The fields of a message at `range` of `bytes`: a tree for each; they tile the range. At most `budget` annotations
/// are made, and messages entered `depth` deep.
pub(super) fn annotate(
    bytes: &[u8],
    range: Range<usize>,
    message: Option<&str>,
    schema: &Schema,
    budget: &mut usize,
    depth: usize,
) -> Vec<Annotation> {
    let mut annotator = Annotator { bytes, schema, budget: *budget, depth };
    let nodes = annotator.fields(&mut Fields::within(bytes, range), message, None);
    *budget = annotator.budget;
    nodes
}

struct Annotator<'a> {
    bytes: &'a [u8],
    schema: &'a Schema,
    /// Annotations that may still be made.
    budget: usize,
    /// Messages and groups that may still be entered.
    depth: usize,
}

/// A field has at most four annotations before its content: its node, tag, length and value.
const COST: usize = 4;

impl<'a> Annotator<'a> {
    /// Fields up to the end, or up to the end of `group`; whatever can't be decoded is one leaf.
    fn fields(&mut self, fields: &mut Fields<'a>, message: Option<&str>, group: Option<u32>) -> Vec<Annotation> {
        let mut nodes = Vec::new();
        loop {
            if self.budget < COST {
                let rest = leaf(fields.take_rest(), MORE).value("not told apart: too many");
                nodes.extend((!rest.range.is_empty()).then_some(rest));
                return nodes;
            }
            let error = match fields.next() {
                None => return nodes,
                Some(Ok(field)) if field.payload == Payload::GroupEnd && group == Some(field.number) => {
                    nodes.push(tag(&field));
                    return nodes;
                }
                Some(Ok(field)) if field.payload == Payload::GroupEnd => {
                    let end = fields.take_rest().end;
                    let fault = format!("the end of group {} which has no beginning", field.number);
                    nodes.push(leaf(field.tag.start..end, "not decodable").fault(Some(fault)));
                    return nodes;
                }
                Some(Ok(field)) => {
                    nodes.push(self.field(&field, fields, message));
                    continue;
                }
                Some(Err(error)) => error,
            };
            nodes.push(leaf(fields.take_rest(), "not decodable").fault(Some(error.to_string())));
        }
    }

    fn field(&mut self, field: &RawField<'a>, fields: &mut Fields<'a>, message: Option<&str>) -> Annotation {
        self.budget = self.budget.saturating_sub(COST);
        let known = message.and_then(|message| self.schema.field(message, field.number));
        let label = known.map_or(Text::number(field.number.into()), |known| known.name.clone().into());
        let mut node = leaf(field.tag.start..field.value.end, label).rule(Rule::protobuf("structure"));
        node.detail = match field.payload {
            Payload::Len(content) => Text::said(content.len() as u64, field.number, |length, number, f| {
                write!(f, "field {number}, LEN {length}")
            }),
            _ => tag_text(field),
        };
        let kind = known.map(|SchemaField { kind, .. }| kind).filter(|kind| kind.fits(&field.payload));
        if let (Some(known), None) = (known, kind) {
            node.fault = Some(format!("{} can't be {}", known.name, field.payload.wire_type()));
        }

        let mut children = vec![tag(field)];
        if let Payload::Len(content) = field.payload {
            let length = noting_length(Text::number(content.len() as u64), &field.length, content.len() as u64);
            children.push(leaf(field.length.clone(), "length").value(length).rule(Rule::protobuf("length-types")));
        }
        match (field.payload, kind) {
            (Payload::Len(content), _) => self.content(field, content, kind, &mut node, &mut children),
            (Payload::GroupStart, _) => self.group(field, fields, kind, &mut node, &mut children),
            (payload, Some(kind)) => node.value = self.schema.scalar(payload, kind),
            (payload, None) => node.value = unnamed_scalar(payload),
        }
        if let Payload::Varint(value) = field.payload {
            node.value = noting_length(node.value, &field.value, value);
        }
        if !matches!(field.payload, Payload::Len(_) | Payload::GroupStart) {
            let rule = if matches!(field.payload, Payload::Varint(_)) { "varints" } else { "non-varint-numbers" };
            children.push(leaf(field.value.clone(), "value").value(node.value.clone()).rule(Rule::protobuf(rule)));
        }
        node.children(children)
    }

    /// LEN: a nested message, packed numbers, text or bytes.
    fn content(
        &mut self,
        field: &RawField<'a>,
        content: &'a [u8],
        kind: Option<&FieldType>,
        node: &mut Annotation,
        children: &mut Vec<Annotation>,
    ) {
        let range = field.value.clone();
        let nested = match kind {
            Some(FieldType::Message(name)) => Some(Some(name)),
            None if looks_like_a_message(content) => Some(None),
            _ => None,
        };
        if let Some(name) = nested
            && self.depth > 0
        {
            node.value = name_or(name, "message");
            self.depth -= 1;
            children.extend(self.fields(&mut Fields::within(self.bytes, range), name.map(|name| &**name), None));
            self.depth += 1;
            return;
        }
        match kind {
            Some(FieldType::String) => {
                let text = std::str::from_utf8(content);
                node.value = text.map_or_else(|_| text::plain(content), text::quoted).into();
                node.fault = text.err().map(|_| "a string that is not UTF-8".to_owned());
            }
            Some(FieldType::Bytes) => node.value = Text::bytes(content.len() as u64),
            Some(kind) if kind.wire_type() != WireType::Len => {
                node.value = self.packed(range, kind, children).into();
                return;
            }
            _ => {
                let text = std::str::from_utf8(content).ok().filter(|text| is_printable(text));
                node.value = text.map_or(Text::bytes(content.len() as u64), |text| text::quoted(text).into());
            }
        }
        children.push(leaf(range, "value").value(node.value.clone()).rule(Rule::protobuf("length-types")));
    }

    /// Numbers one after the other, each a leaf.
    fn packed(&mut self, range: Range<usize>, kind: &FieldType, leaves: &mut Vec<Annotation>) -> String {
        let rule = Rule::protobuf("packed");
        let (mut at, mut values) = (range.start, Vec::new());
        while at < range.end && self.budget > 0 {
            self.budget -= 1;
            let Some((payload, end)) = element(self.bytes, at..range.end, kind.wire_type()) else {
                let rest = leaf(at..range.end, "not decodable");
                leaves.push(rest.fault(Some("packed numbers end inside one".to_owned())).rule(rule));
                return values.join(", ");
            };
            let value = self.schema.scalar(payload, kind);
            leaves.push(leaf(at..end, "element").value(value.clone()).rule(rule));
            match values.len() {
                0..16 => values.push(value.to_string()),
                16 => values.push("…".to_owned()),
                _ => {}
            }
            at = end;
        }
        if at < range.end {
            leaves.push(leaf(at..range.end, "more elements").value("not told apart: too many").rule(rule));
        }
        values.join(", ")
    }

    fn group(
        &mut self,
        field: &RawField<'a>,
        fields: &mut Fields<'a>,
        kind: Option<&FieldType>,
        node: &mut Annotation,
        children: &mut Vec<Annotation>,
    ) {
        let name = match kind {
            Some(FieldType::Group(name)) => Some(name),
            _ => None,
        };
        node.value = name_or(name, "group");
        if self.depth == 0 {
            let rest = fields.take_rest();
            node.range.end = rest.end;
            children.push(leaf(rest, "not decodable").fault(Some("groups are nested too deep".to_owned())));
            return;
        }
        self.depth -= 1;
        let inner = self.fields(fields, name.map(|name| &**name), Some(field.number));
        self.depth += 1;
        let closed =
            inner.last().is_some_and(|last| last.children.is_empty() && (last.label == TAG || last.label == MORE));
        node.fault = (!closed).then(|| "the group has no end".to_owned());
        node.range.end = inner.last().map_or(node.range.end, |last| last.range.end);
        children.extend(inner);
    }
}

fn tag(field: &RawField<'_>) -> Annotation {
    let number = u64::from(field.number) << 3 | field.payload.wire_type() as u64;
    let value = noting_length(tag_text(field), &field.tag, number);
    leaf(field.tag.clone(), TAG).value(value).rule(Rule::protobuf("structure"))
}

/// "field 1, VARINT".
fn tag_text(field: &RawField<'_>) -> Text {
    Text::said(field.payload.wire_type() as u64, field.number, |tag, number, f| match WireType::from_tag(tag) {
        Some(wire_type) => write!(f, "field {number}, {wire_type}"),
        None => write!(f, "field {number}"),
    })
}

/// A varint may take more bytes than its value needs: allowed, and worth seeing.
fn noting_length(text: Text, range: &Range<usize>, value: u64) -> Text {
    let needed = (64 - (value | 1).leading_zeros() as usize).div_ceil(7);
    if range.len() > needed { format!("{text} (longer than needed)").into() } else { text }
}

fn name_or(name: Option<&Arc<str>>, otherwise: &'static str) -> Text {
    name.map_or(otherwise.into(), |name| name.clone().into())
}

const TAG: &str = "tag";
const MORE: &str = "more fields";

fn leaf(range: Range<usize>, label: impl Into<Text>) -> Annotation {
    Annotation::new(range, Layer::Protobuf, label)
}

/// The packed element at the beginning of `range`, and where it ends.
fn element(bytes: &[u8], range: Range<usize>, wire_type: WireType) -> Option<(Payload<'static>, usize)> {
    let rest = bytes.get(range.clone())?;
    match wire_type {
        WireType::I32 => Some((Payload::I32(u32::from_le_bytes(*rest.first_chunk()?)), range.start + 4)),
        WireType::I64 => Some((Payload::I64(u64::from_le_bytes(*rest.first_chunk()?)), range.start + 8)),
        _ => varint(bytes, range).ok().map(|(value, end)| (Payload::Varint(value), end)),
    }
}

impl FieldType {
    /// The wire type of a single value.
    fn wire_type(&self) -> WireType {
        match self {
            Self::Double | Self::Fixed64 | Self::Sfixed64 => WireType::I64,
            Self::Float | Self::Fixed32 | Self::Sfixed32 => WireType::I32,
            Self::String | Self::Bytes | Self::Message(_) => WireType::Len,
            Self::Group(_) => WireType::GroupStart,
            _ => WireType::Varint,
        }
    }

    /// Whether a value may be laid out so: as its type says, or packed.
    fn fits(&self, payload: &Payload<'_>) -> bool {
        let (own, found) = (self.wire_type(), payload.wire_type());
        own == found || (found == WireType::Len && own != WireType::GroupStart)
    }
}

impl Schema {
    /// A number for a person, as its type says. The casts are what the types mean on the wire.
    fn scalar(&self, payload: Payload<'_>, kind: &FieldType) -> Text {
        match (payload, kind) {
            (Payload::Varint(value), FieldType::Int32) => Text::signed((value as i32).into()),
            (Payload::Varint(value), FieldType::Int64) => Text::signed(value as i64),
            (Payload::Varint(value), FieldType::Uint32) => Text::number((value as u32).into()),
            (Payload::Varint(value), FieldType::Uint64) => Text::number(value),
            (Payload::Varint(value), FieldType::Sint32) => Text::signed((zigzag(value) as i32).into()),
            (Payload::Varint(value), FieldType::Sint64) => Text::signed(zigzag(value)),
            (Payload::Varint(value), FieldType::Bool) => if value == 0 { "false" } else { "true" }.into(),
            (Payload::Varint(value), FieldType::Enum(name)) => match self.enum_value(name, value as i32) {
                Some(name) => format!("{name} ({})", value as i32).into(),
                None => Text::signed((value as i32).into()),
            },
            (Payload::I32(bits), FieldType::Float) => {
                Text::said(bits.into(), 0, |bits, _, f| write!(f, "{}", f32::from_bits(bits as u32)))
            }
            (Payload::I32(value), FieldType::Sfixed32) => Text::signed((value as i32).into()),
            (Payload::I32(value), FieldType::Fixed32) => Text::number(value.into()),
            (Payload::I64(bits), FieldType::Double) => {
                Text::said(bits, 0, |bits, _, f| write!(f, "{}", f64::from_bits(bits)))
            }
            (Payload::I64(value), FieldType::Sfixed64) => Text::signed(value as i64),
            (Payload::I64(value), FieldType::Fixed64) => Text::number(value),
            (payload, _) => unnamed_scalar(payload),
        }
    }
}

fn zigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

/// A number of which nothing but the bits is known: the readings that come to mind.
fn unnamed_scalar(payload: Payload<'_>) -> Text {
    match payload {
        Payload::Varint(value) if value > i64::MAX as u64 => {
            Text::said(value, 0, |value, _, f| write!(f, "{value} (or {})", value as i64))
        }
        Payload::Varint(value) => Text::number(value),
        Payload::I32(value) => {
            Text::said(value.into(), 0, |bits, _, f| write!(f, "0x{bits:08x} (or {:e})", f32::from_bits(bits as u32)))
        }
        Payload::I64(value) => {
            Text::said(value, 0, |bits, _, f| write!(f, "0x{bits:016x} (or {:e})", f64::from_bits(bits)))
        }
        Payload::Len(_) | Payload::GroupStart | Payload::GroupEnd => Text::EMPTY,
    }
}

fn is_printable(text: &str) -> bool {
    text.chars().all(|c| !c.is_control() || matches!(c, '\n' | '\r' | '\t'))
}

/// Whether a LEN field of unknown type may be a message. Plain text would parse as one now and then, so it is text.
fn looks_like_a_message(content: &[u8]) -> bool {
    let text =
        std::str::from_utf8(content).is_ok_and(|text| !text.starts_with(['\n', '\r', '\t']) && is_printable(text));
    let fields = || Fields::new(content);
    !text
        && fields()
            .all(|field| field.is_ok_and(|field| !matches!(field.payload, Payload::GroupStart | Payload::GroupEnd)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspector::annotation::check_tiling;

    fn schema() -> Schema {
        let mut schema = Schema::new();
        let kinds = [
            ("i32", FieldType::Int32),
            ("s32", FieldType::Sint32),
            ("u64", FieldType::Uint64),
            ("flag", FieldType::Bool),
            ("color", FieldType::Enum("Color".into())),
            ("f", FieldType::Float),
            ("d", FieldType::Double),
            ("sf", FieldType::Sfixed32),
            ("text", FieldType::String),
            ("raw", FieldType::Bytes),
            ("inner", FieldType::Message("All".into())),
            ("grp", FieldType::Group("All".into())),
        ];
        for (number, (name, kind)) in (1..).zip(kinds) {
            schema.add_field("All", number, name, kind);
        }
        schema.add_enum_value("Color", 2, "GREEN");
        schema
    }

    /// The fields at the top as "label: value", and the faults below them.
    fn read(bytes: &[u8], message: Option<&str>) -> (Vec<String>, Vec<String>) {
        let tree = annotate(bytes, 0..bytes.len(), message, &schema(), &mut 1000, 4);
        assert_eq!(check_tiling(0..bytes.len(), &tree), Ok(()));
        let mut faults = Vec::new();
        collect_faults(&tree, &mut faults);
        (tree.iter().map(|node| format!("{}: {}", node.label, node.value)).collect(), faults)
    }

    fn collect_faults(tree: &[Annotation], faults: &mut Vec<String>) {
        for node in tree {
            faults.extend(node.fault.clone());
            collect_faults(&node.children, faults);
        }
    }

    fn named(bytes: &[u8], expected: &str) {
        assert_eq!(read(bytes, Some("All")), (vec![expected.to_owned()], vec![]));
    }

    fn unnamed(bytes: &[u8], expected: &str) {
        assert_eq!(read(bytes, None), (vec![expected.to_owned()], vec![]));
    }

    #[test]
    fn values_as_their_types_say() {
        named(&[0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01], "i32: -1");
        named(&[0x10, 0x03], "s32: -2");
        named(&[0x18, 0x96, 0x01], "u64: 150");
        named(&[0x20, 0x01], "flag: true");
        named(&[0x28, 0x02], "color: GREEN (2)");
        named(&[0x28, 0x07], "color: 7");
        named(&[0x35, 0, 0, 0xc0, 0x3f], "f: 1.5");
        named(&[0x39, 0, 0, 0, 0, 0, 0, 0xf8, 0xbf], "d: -1.5");
        named(&[0x45, 0xfe, 0xff, 0xff, 0xff], "sf: -2");
        named(&[0x4a, 2, b'h', b'i'], "text: \"hi\"");
        named(&[0x52, 2, b'h', b'i'], "raw: 2 bytes");
        named(&[0x5a, 2, 0x08, 0x01], "inner: All");
        named(&[0x5a, 0], "inner: All");
        named(&[0x63, 0x08, 0x01, 0x64], "grp: All");
        named(&[0x0a, 3, 1, 2, 3], "i32: 1, 2, 3");
        named(&[0x32, 8, 0, 0, 0x80, 0x3f, 0, 0, 0, 0x40], "f: 1, 2");
        named(&[0x98, 0x06, 0x01], "99: 1");
    }

    #[test]
    fn values_without_a_schema() {
        unnamed(&[0x08, 0x96, 0x01], "1: 150");
        unnamed(&[0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01], "1: 18446744073709551615 (or -1)");
        unnamed(&[0x0d, 0, 0, 0x80, 0x3f], "1: 0x3f800000 (or 1e0)");
        unnamed(&[0x0a, 0], "1: \"\"");
        unnamed(&[0x0a, 5, b'h', b'e', b'l', b'l', b'o'], "1: \"hello\"");
        unnamed(&[0x0a, 2, 0x08, 0x01], "1: message");
        // A message with one string of ten letters is printable from its first byte to its last, line break included.
        unnamed(&[&[0x0a, 12, 0x0a, 10][..], b"abcdefghij"].concat(), "1: message");
        unnamed(&[0x0a, 3, 0xff, 0xff, 0xff], "1: 3 bytes");
        unnamed(&[0x0b, 0x10, 0x01, 0x0c], "1: group");
    }

    #[test]
    fn what_is_wrong_is_said_where_it_is() {
        let cases: [(&[u8], &str); 8] = [
            (&[0x0d, 1, 0, 0, 0], "i32 can't be I32"),
            (&[0x4a, 1, 0xff], "a string that is not UTF-8"),
            (&[0x0a, 2, 1, 0x80], "packed numbers end inside one"),
            (&[0x08, 0x01, 0x00], "0 is not a field number"),
            (&[0x5a, 2, 0x0a, 9], "a length of 9 where 0 bytes are left"),
            (&[0x63, 0x08, 0x01], "the group has no end"),
            (&[0x63], "the group has no end"),
            (&[0x64, 0x08, 0x01], "the end of group 12 which has no beginning"),
        ];
        for (bytes, fault) in cases {
            assert_eq!(read(bytes, Some("All")).1, [fault], "{bytes:02x?}");
        }
    }

    #[test]
    fn a_varint_that_is_longer_than_needed_is_pointed_out() {
        named(&[0x08, 0x81, 0x00], "i32: 1 (longer than needed)");
        let tree = annotate(&[0x88, 0x00, 1], 0..3, None, &schema(), &mut 10, 1);
        assert_eq!(tree[0].children[0].value, "field 1, VARINT (longer than needed)");
    }

    #[test]
    fn depth_and_number_of_annotations_are_bounded() {
        let nested = [0x5a, 8, 0x5a, 6, 0x5a, 4, 0x5a, 2, 0x08, 0x01];
        let tree = annotate(&nested, 0..10, Some("All"), &schema(), &mut 1000, 2);
        assert_eq!(tree[0].children[2].children[2].value, "4 bytes");
        let groups = [0x63; 100];
        let tree = annotate(&groups, 0..100, Some("All"), &schema(), &mut 1000, 4);
        assert_eq!(check_tiling(0..100, &tree), Ok(()));

        let many = [0x08, 0x01].repeat(100);
        let mut budget = 40;
        let tree = annotate(&many, 0..200, Some("All"), &schema(), &mut budget, 4);
        assert_eq!((tree.len(), budget), (11, 0));
        assert_eq!((tree[10].label.to_string(), tree[10].range.clone()), ("more fields".to_owned(), 20..200));
        let packed = [&[0x0a, 100][..], &[1; 100]].concat();
        let tree = annotate(&packed, 0..102, Some("All"), &schema(), &mut 20, 4);
        assert_eq!(tree[0].value, "1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1");
        assert_eq!(check_tiling(0..102, &tree), Ok(()));
    }
}
