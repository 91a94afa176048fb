//! Annotates the fields of a message, with names from a schema or with the best guess that the bytes allow.
//!
//! Without a schema a LEN field may be text, bytes or a message; the wire does not distinguish them. Printable text is
//! shown as text. Other content that parses as fields up to its last byte is shown as a message, the rest as bytes.

use std::ops::Range;
use std::sync::Arc;

use crate::inspector::model::annotation::{Annotation, Layer, Rule};
use crate::inspector::model::fields::{Fields, Payload, RawField, WireType, varint};
use crate::inspector::model::schema::{FieldType, Schema, SchemaField};
use crate::inspector::model::text::{self, Text};
use crate::inspector::model::tree::Tree;

/// Annotates the fields of the message at `range` of `bytes` and appends a node for each to the tree; the nodes tile
/// the range. Adds at most `budget` annotations, and enters messages at most `depth` deep.
pub(crate) fn annotate(
    tree: &mut Tree,
    bytes: &[u8],
    range: Range<usize>,
    message: Option<&str>,
    schema: &Schema,
    budget: &mut usize,
    depth: usize,
) {
    let mut annotator = Annotator { bytes, schema, tree, budget: *budget, depth, any: None };
    annotator.fields(&mut Fields::within(bytes, range), message, None);
    *budget = annotator.budget;
}

struct Annotator<'a> {
    bytes: &'a [u8],
    schema: &'a Schema,
    tree: &'a mut Tree,
    /// Number of annotations that may still be added.
    budget: usize,
    /// Number of nested messages and groups that may still be entered.
    depth: usize,
    /// The type named by the last `type_url` of a `google.protobuf.Any`.
    any: Option<Arc<str>>,
}

/// The value and the fault of a field.
#[derive(Default)]
struct FieldSummary {
    value: Text,
    fault: Option<Box<str>>,
}

/// The message type that contains a message and the name of its type.
const ANY: &str = "google.protobuf.Any";

/// The value of what is not decoded, with the flag of the program that raises the limit.
const OVER_ANNOTATIONS: &str = "not decoded: over --limit annotations";

/// The most annotations that a field has before its content: its node, tag, length and value.
const COST: usize = 4;

impl<'a> Annotator<'a> {
    /// Annotates fields up to the end, or up to the end of `group`; undecodable bytes become one leaf. Returns true if
    /// the group is finished: its end was reached, or the budget is used up.
    fn fields(&mut self, fields: &mut Fields<'a>, message: Option<&str>, group: Option<u32>) -> bool {
        let names = message.and_then(|message| self.schema.fields(message));
        loop {
            if self.budget < COST {
                let rest = leaf(fields.take_rest(), "more fields").value(OVER_ANNOTATIONS);
                let more = !rest.range.is_empty();
                self.tree.push(rest);
                return more;
            }
            let fault = match fields.next() {
                None => return false,
                Some(Ok(field)) if field.payload == Payload::GroupEnd && group == Some(field.number) => {
                    self.tag(&field);
                    return true;
                }
                Some(Ok(field)) if field.payload == Payload::GroupEnd => {
                    let end = fields.take_rest().end;
                    let fault = format!("the end of group {}, which was not started", field.number);
                    self.tree.push(leaf(field.tag.start..end, "not decodable").fault(Some(fault)));
                    return false;
                }
                Some(Ok(field)) => {
                    let known = names.and_then(|names| names.get(&field.number));
                    self.field(&field, known, fields, message);
                    continue;
                }
                Some(Err(error)) => error.to_string(),
            };
            self.tree.push(leaf(fields.take_rest(), "not decodable").fault(Some(fault)));
        }
    }

    fn field(
        &mut self,
        field: &RawField<'a>,
        known: Option<&SchemaField>,
        fields: &mut Fields<'a>,
        message: Option<&str>,
    ) {
        self.budget = self.budget.saturating_sub(COST);
        let label = known.map_or(Text::number(field.number.into()), |known| known.name.clone().into());
        let detail = match field.payload {
            Payload::Len(content) => Text::format(content.len() as u64, field.number, |length, number, f| {
                write!(f, "field {number}, LEN {length}")
            }),
            _ => tag_text(field),
        };
        let node = leaf(field.tag.start..field.value.end, label).detail(detail).rule(STRUCTURE);
        let node = self.tree.open(node);
        self.tag(field);
        let kind = known.filter(|known| known.fits(&field.payload)).map(|known| &known.kind);
        let mut said = match field.payload {
            Payload::Len(content) => {
                let length = noting_length(Text::number(content.len() as u64), &field.length, content.len() as u64);
                self.tree.push(leaf(field.length.clone(), "length").value(length).rule(LENGTH));
                self.content(field, content, message, kind)
            }
            Payload::GroupStart => self.group(field, fields, kind),
            payload => FieldSummary { value: self.scalar(field, payload, kind), fault: None },
        };
        if let (Some(known), None) = (known, kind) {
            let fault = || format!("{} can't have wire type {}", known.name, field.payload.wire_type()).into();
            said.fault = said.fault.or_else(|| Some(fault()));
        }
        let end = self.tree.last_mut().map_or(field.value.end, |last| last.range.end);
        if let Some(node) = self.tree.close(node) {
            node.range.end = end;
            (node.value, node.fault) = (said.value, said.fault);
        }
    }

    fn tag(&mut self, field: &RawField<'_>) {
        let number = u64::from(field.number) << 3 | field.payload.wire_type() as u64;
        let value = noting_length(tag_text(field), &field.tag, number);
        self.tree.push(leaf(field.tag.clone(), "tag").value(value).rule(STRUCTURE));
    }

    /// Formats a number according to its type.
    fn scalar(&mut self, field: &RawField<'_>, payload: Payload<'_>, kind: Option<&FieldType>) -> Text {
        let mut value = kind.map_or_else(|| unnamed_scalar(payload), |kind| self.schema.scalar(payload, kind));
        let mut rule = const { &Rule::protobuf("non-varint-numbers") };
        if let Payload::Varint(number) = payload {
            value = noting_length(value, &field.value, number);
            rule = const { &Rule::protobuf("varints") };
        }
        self.tree.push(leaf(field.value.clone(), "value").value(value.clone()).rule(rule));
        value
    }

    /// Annotates LEN content: a nested message, packed numbers, text or bytes.
    fn content(
        &mut self,
        field: &RawField<'a>,
        content: &'a [u8],
        message: Option<&str>,
        kind: Option<&FieldType>,
    ) -> FieldSummary {
        let range = field.value.clone();
        let in_any = message == Some(ANY);
        if in_any && field.number == 1 {
            self.any = self.known_type(content);
        }
        let any = self.any.take_if(|_| in_any && field.number == 2);
        let nested = match kind {
            _ if any.is_some() => Some(any.as_ref()),
            Some(FieldType::Message(name)) => Some(Some(name)),
            None if looks_like_a_message(content) => Some(None),
            _ => None,
        };
        if let Some(name) = nested
            && self.depth > 0
        {
            self.depth -= 1;
            self.fields(&mut Fields::within(self.bytes, range), name.map(|name| &**name), None);
            self.depth += 1;
            return FieldSummary { value: name_or(name, "message"), fault: None };
        }
        let mut said = FieldSummary::default();
        if nested.is_some() {
            let size = text::count(content.len() as u64, "byte");
            said.value = format!("{size}, not decoded: nested deeper than --limit depth").into();
            self.tree.push(leaf(range, "value").value(said.value.clone()).rule(LENGTH));
            return said;
        }
        match kind {
            Some(FieldType::String) => {
                let text = std::str::from_utf8(content);
                said.value = text.map_or_else(|_| text::plain(content), text::quoted).into();
                said.fault = text.err().map(|_| "the string is not UTF-8".into());
            }
            Some(FieldType::Bytes) => said.value = Text::bytes(content.len() as u64),
            Some(kind) if kind.wire_type() != WireType::Len => {
                said.value = self.packed(range, kind).into();
                return said;
            }
            _ => {
                let text = std::str::from_utf8(content).ok().filter(|text| is_printable(text));
                said.value = text.map_or(Text::bytes(content.len() as u64), |text| text::quoted(text).into());
            }
        }
        self.tree.push(leaf(range, "value").value(said.value.clone()).rule(LENGTH));
        said
    }

    /// Returns the message type that a `type_url` ends with, if the schema has it.
    fn known_type(&self, url: &[u8]) -> Option<Arc<str>> {
        let name = std::str::from_utf8(url).ok()?.rsplit('/').next()?;
        self.schema.knows_message(name).then(|| name.into())
    }

    /// Annotates packed numbers, each as a leaf.
    fn packed(&mut self, range: Range<usize>, kind: &FieldType) -> String {
        let rule = const { &Rule::protobuf("packed") };
        if range.is_empty() {
            return "(empty)".to_owned();
        }
        let (mut at, mut values) = (range.start, Vec::new());
        while at < range.end && self.budget > 0 {
            self.budget -= 1;
            let Some((payload, end)) = element(self.bytes, at..range.end, kind.wire_type()) else {
                let rest = leaf(at..range.end, "not decodable");
                self.tree.push(rest.fault(Some("the packed numbers end inside a number")).rule(rule));
                return values.join(", ");
            };
            let value = self.schema.scalar(payload, kind);
            match values.len() {
                0..16 => values.push(value.to_string()),
                16 => values.push("…".to_owned()),
                _ => {}
            }
            self.tree.push(leaf(at..end, "element").value(value).rule(rule));
            at = end;
        }
        self.tree.push(leaf(at..range.end, "more elements").value(OVER_ANNOTATIONS).rule(rule));
        values.join(", ")
    }

    fn group(&mut self, field: &RawField<'a>, fields: &mut Fields<'a>, kind: Option<&FieldType>) -> FieldSummary {
        let name = match kind {
            Some(FieldType::Group(name)) => Some(name),
            _ => None,
        };
        let value = name_or(name, "group");
        if self.depth == 0 {
            let fault = Some("groups are nested deeper than --limit depth");
            self.tree.push(leaf(fields.take_rest(), "not decodable").fault(fault));
            return FieldSummary { value, fault: None };
        }
        self.depth -= 1;
        let closed = self.fields(fields, name.map(|name| &**name), Some(field.number));
        self.depth += 1;
        FieldSummary { value, fault: (!closed).then(|| "the end of the group is missing".into()) }
    }
}

/// Formats a tag: "field 1, VARINT".
fn tag_text(field: &RawField<'_>) -> Text {
    Text::format(field.payload.wire_type() as u64, field.number, |tag, number, f| match WireType::from_tag(tag) {
        Some(wire_type) => write!(f, "field {number}, {wire_type}"),
        None => write!(f, "field {number}"),
    })
}

/// Notes a varint that takes more bytes than its value needs, which is allowed.
fn noting_length(text: Text, range: &Range<usize>, value: u64) -> Text {
    let needed = (64 - (value | 1).leading_zeros() as usize).div_ceil(7);
    if range.len() > needed { format!("{text} (longer than needed)").into() } else { text }
}

fn name_or(name: Option<&Arc<str>>, otherwise: &'static str) -> Text {
    name.map_or(otherwise.into(), |name| name.clone().into())
}

const STRUCTURE: &Rule = &Rule::protobuf("structure");
const LENGTH: &Rule = &Rule::protobuf("length-types");

fn leaf(range: Range<usize>, label: impl Into<Text>) -> Annotation {
    Annotation::new(range, Layer::Protobuf, label)
}

/// Reads the packed element at the beginning of `range`; returns it and its end.
fn element(bytes: &[u8], range: Range<usize>, wire_type: WireType) -> Option<(Payload<'static>, usize)> {
    let rest = bytes.get(range.clone())?;
    match wire_type {
        WireType::I32 => Some((Payload::I32(u32::from_le_bytes(*rest.first_chunk()?)), range.start + 4)),
        WireType::I64 => Some((Payload::I64(u64::from_le_bytes(*rest.first_chunk()?)), range.start + 8)),
        _ => varint(bytes, range).ok().map(|(value, end)| (Payload::Varint(value), end)),
    }
}

impl FieldType {
    /// Returns the wire type of a single value.
    fn wire_type(&self) -> WireType {
        match self {
            Self::Double | Self::Fixed64 | Self::Sfixed64 => WireType::I64,
            Self::Float | Self::Fixed32 | Self::Sfixed32 => WireType::I32,
            Self::String | Self::Bytes | Self::Message(_) => WireType::Len,
            Self::Group(_) => WireType::GroupStart,
            _ => WireType::Varint,
        }
    }
}

impl SchemaField {
    /// Returns true if the field allows this wire type, for a single value or for packed values.
    fn fits(&self, payload: &Payload<'_>) -> bool {
        let (own, found) = (self.kind.wire_type(), payload.wire_type());
        own == found || (self.repeated && found == WireType::Len && own != WireType::GroupStart)
    }
}

impl Schema {
    /// Formats a number according to its type. The casts implement the wire format.
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
                Text::format(bits.into(), 0, |bits, _, f| write!(f, "{}", f32::from_bits(bits as u32)))
            }
            (Payload::I32(value), FieldType::Sfixed32) => Text::signed((value as i32).into()),
            (Payload::I32(value), FieldType::Fixed32) => Text::number(value.into()),
            (Payload::I64(bits), FieldType::Double) => {
                Text::format(bits, 0, |bits, _, f| write!(f, "{}", f64::from_bits(bits)))
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

/// Formats a number of unknown type in its likely interpretations.
fn unnamed_scalar(payload: Payload<'_>) -> Text {
    match payload {
        Payload::Varint(value) if value > i64::MAX as u64 => {
            Text::format(value, 0, |value, _, f| write!(f, "{value} (or {})", value as i64))
        }
        Payload::Varint(value) => Text::number(value),
        Payload::I32(value) => {
            Text::format(value.into(), 0, |bits, _, f| write!(f, "0x{bits:08x} (or {:e})", f32::from_bits(bits as u32)))
        }
        Payload::I64(value) => {
            Text::format(value, 0, |bits, _, f| write!(f, "0x{bits:016x} (or {:e})", f64::from_bits(bits)))
        }
        Payload::Len(_) | Payload::GroupStart | Payload::GroupEnd => Text::EMPTY,
    }
}

fn is_printable(text: &str) -> bool {
    text.chars().all(|c| !c.is_control() || matches!(c, '\n' | '\r' | '\t'))
}

/// Returns true if a LEN field of unknown type may be a message. Printable text can parse as a message by chance, so it
/// counts as text.
fn looks_like_a_message(content: &[u8]) -> bool {
    let text =
        std::str::from_utf8(content).is_ok_and(|text| !text.starts_with(['\n', '\r', '\t']) && is_printable(text));
    let fields = || Fields::new(content);
    !text
        && fields()
            .all(|field| field.is_ok_and(|field| !matches!(field.payload, Payload::GroupStart | Payload::GroupEnd)))
}
