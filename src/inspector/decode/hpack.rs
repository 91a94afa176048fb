//! Decodes header blocks (RFC 7541) and maintains the dynamic table that both sides share.
//!
//! ```text
//! 1 index(7)                          indexed: name and value from a table          section 6.1
//! 01 index(6) [name] value            literal, added to the dynamic table           section 6.2.1
//! 0000 index(4) [name] value          literal, not added                            section 6.2.2
//! 0001 index(4) [name] value          literal, never to be added by anyone          section 6.2.3
//! 001 size(5)                         the dynamic table's new maximum                section 6.3
//!
//! name, value → H(1) length(7) octets     H: the octets are Huffman coded           section 5.2
//! ```
//!
//! Unknown entries stay unknown: those of the dynamic table after an error, or from blocks that were not captured.

use std::collections::VecDeque;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, LazyLock};

use super::headers;
use super::hpack_error::HpackError;
use super::hpack_tables::STATIC;
use super::huffman;
use crate::inspector::model::annotation::{Annotation, Layer, Rule};
use crate::inspector::model::frame::HeaderField;
use crate::inspector::model::limits::Limits;
use crate::inspector::model::redaction::UNKNOWN_NAME;
use crate::inspector::model::text::{self, Text};
use crate::inspector::model::tree::Tree;

/// The HPACK decoder of one direction, with its dynamic table.
#[derive(Clone, Debug)]
pub struct Decoder {
    /// The newest entry first: index 62 is the front.
    entries: VecDeque<HeaderField>,
    size: usize,
    /// The maximum that the encoder chose, and the highest that the other side's SETTINGS allowed.
    max_size: usize,
    allowed: usize,
    /// True if `entries` is the whole table. Otherwise indices beyond it are unknown instead of invalid.
    whole: bool,
    limits: Limits,
}

/// A decoded header block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The headers in their order, up to [`Limits::header_list`].
    pub fields: Vec<HeaderField>,
    /// A tree for each instruction; they tile the block.
    pub annotations: Tree,
    /// The reason why the rest of the block could not be decoded.
    pub error: Option<HpackError>,
}

impl Decoder {
    /// Returns a decoder for a direction that is captured from its first header block on.
    pub fn new(limits: Limits) -> Self {
        let (max_size, allowed) = (4096, 4096);
        Self { entries: VecDeque::new(), size: 0, max_size, allowed, whole: true, limits }
    }

    /// Records a SETTINGS_HEADER_TABLE_SIZE of the side that receives the blocks.
    ///
    /// The highest value counts, because a lower one takes effect with an acknowledgement in the other direction.
    pub fn allow_table_size(&mut self, size: u32) {
        self.allowed = self.allowed.max(size as usize);
    }

    /// Forgets the table, after blocks that were not captured or could not be decoded.
    pub fn lose_track(&mut self) {
        self.entries.clear();
        self.size = 0;
        self.whole = false;
    }

    /// Returns the number of known entries in the dynamic table.
    pub fn table_len(&self) -> usize {
        self.entries.len()
    }

    /// Returns the size of these entries according to RFC 7541, section 4.1: names, values and 32 octets for each.
    pub fn table_size(&self) -> usize {
        self.size
    }

    /// Returns the known entries of the dynamic table, newest first.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = &HeaderField> {
        self.entries.iter()
    }

    /// Returns the maximum size of the table that the encoder has set.
    pub fn table_limit(&self) -> usize {
        self.max_size
    }

    /// Decodes one complete header block. After an error the dynamic table is unknown.
    pub fn decode(&mut self, block: &[u8]) -> Block {
        let mut annotations = Tree::default();
        let (fields, error) = self.decode_within(block, 0..block.len(), &mut annotations);
        Block { fields, annotations, error }
    }

    /// Decodes the header block at `range` of `bytes`; appends its annotations to the tree.
    pub(super) fn decode_within(
        &mut self,
        bytes: &[u8],
        range: Range<usize>,
        tree: &mut Tree,
    ) -> (Vec<HeaderField>, Option<HpackError>) {
        let mut fields = Vec::with_capacity(ROOM);
        let (mut list, mut updates) = (0, 0);
        let mut reader = Reader { block: bytes.get(..range.end).unwrap_or(bytes), at: range.start, huffman: false };
        while reader.at < reader.block.len() {
            let (start, node) = (reader.at, tree.len());
            let field = match self.instruction(&mut reader, tree) {
                Ok(field) => field,
                Err(error) => {
                    tree.truncate(node);
                    let rest = Annotation::new(start..reader.block.len(), Layer::Hpack, "not decodable");
                    tree.push(rest.fault(Some(error.to_string())));
                    self.lose_track();
                    return (fields, Some(error));
                }
            };
            let hidden = match &field {
                Some(field) => {
                    list += size(field);
                    list > self.limits.header_list
                }
                None => {
                    updates += 1;
                    updates > MOST
                }
            };
            if hidden {
                tree.truncate(node);
                extend_hidden(tree, start..reader.at);
                continue;
            }
            let Some(node) = tree.all_mut().get_mut(node) else { continue };
            match field {
                Some(field) => fields.push(field),
                // Two updates suffice: the smallest size in between, and the final one (section 4.2).
                None if list > 0 || updates > 2 => {
                    node.fault = Some("size updates must be at the beginning of a block, at most two".into());
                }
                None => {}
            }
        }
        (fields, None)
    }

    /// Decodes the next instruction; adds its node and returns its header.
    fn instruction(&mut self, reader: &mut Reader<'_>, tree: &mut Tree) -> Result<Option<HeaderField>, HpackError> {
        let first = reader.peek()?;
        match first.leading_zeros() {
            0 => self.indexed(reader, tree).map(Some),
            1 => self.literal(reader, 6, Indexing::Added, tree).map(Some),
            2 => self.size_update(reader, tree).map(|()| None),
            3 => self.literal(reader, 4, Indexing::Never, tree).map(Some),
            _ => self.literal(reader, 4, Indexing::None, tree).map(Some),
        }
    }

    fn indexed(&mut self, reader: &mut Reader<'_>, tree: &mut Tree) -> Result<HeaderField, HpackError> {
        let (index, range) = reader.integer(7)?;
        let field = self.entry(index)?;
        let (label, value) = match STATIC.get(index - 1) {
            Some(&(name, value)) => (name.into(), value.into()),
            None => (label(index, &field), shown(&field)),
        };
        let node = Annotation::new(range, Layer::Hpack, label).value(value).detail(place(index));
        tree.push(node.rule(const { &Rule::hpack("6.1") }));
        Ok(field)
    }

    fn literal(
        &mut self,
        reader: &mut Reader<'_>,
        prefix: u32,
        indexing: Indexing,
        tree: &mut Tree,
    ) -> Result<HeaderField, HpackError> {
        let (index, range) = reader.integer(prefix)?;
        let node = tree.open(Annotation::new(range.clone(), Layer::Hpack, ""));
        tree.push(Annotation::new(range, Layer::Hpack, "index").value(place(index)));
        let name = match index {
            0 => Some(reader.string("name", tree)?),
            _ => self.entry(index)?.name,
        };
        let value = Some(reader.string("value", tree)?);
        let field = HeaderField { name, value, never_indexed: matches!(indexing, Indexing::Never) };
        let rule = match indexing {
            Indexing::Added => {
                self.add(field.clone());
                const { &Rule::hpack("6.2.1") }
            }
            Indexing::None => const { &Rule::hpack("6.2.2") },
            Indexing::Never => const { &Rule::hpack("6.2.3") },
        };
        let flags = u32::from(std::mem::take(&mut reader.huffman)) << 8 | indexing as u32;
        if let Some(node) = tree.close(node) {
            node.range.end = reader.at;
            (node.label, node.value) = (label(index, &field), shown(&field));
            node.detail = Text::format(index as u64, flags, format_literal);
            node.rule = Some(rule);
        }
        Ok(field)
    }

    fn size_update(&mut self, reader: &mut Reader<'_>, tree: &mut Tree) -> Result<(), HpackError> {
        let (size, range) = reader.integer(5)?;
        if size > self.allowed {
            return Err(HpackError::TableSize { size, allowed: self.allowed });
        }
        self.max_size = size;
        self.evict();
        let node = Annotation::new(range, Layer::Hpack, "dynamic table size").value(Text::number(size as u64));
        tree.push(node.detail("size update").rule(const { &Rule::hpack("6.3") }));
        Ok(())
    }

    fn entry(&self, index: usize) -> Result<HeaderField, HpackError> {
        if let Some(field) = index.checked_sub(1).and_then(|place| STATIC_FIELDS.get(place)) {
            return Ok(field.clone());
        }
        let place = index.checked_sub(STATIC.len() + 1).ok_or(HpackError::IndexZero)?;
        match self.entries.get(place) {
            Some(field) => Ok(field.clone()),
            None if self.whole => Err(HpackError::Index { index, entries: STATIC.len() + self.entries.len() }),
            None => Ok(HeaderField { name: None, value: None, never_indexed: false }),
        }
    }

    /// Adds an entry. This evicts older entries and, if it is larger than the whole table, the entry itself (RFC 7541,
    /// section 4.4).
    fn add(&mut self, field: HeaderField) {
        self.size += size(&field);
        self.entries.push_front(field);
        self.evict();
    }

    fn evict(&mut self) {
        while self.size > self.max_size.min(self.limits.header_table) {
            // Evicted because of this decoder's own limit, while the peers still have the entry: unknown from now on.
            self.whole &= self.size > self.max_size;
            let Some(oldest) = self.entries.pop_back() else { break };
            self.size = self.size.saturating_sub(size(&oldest));
        }
    }
}

/// The static table, shared instead of copied for every header.
static STATIC_FIELDS: LazyLock<Vec<HeaderField>> = LazyLock::new(|| {
    let shared = |text: &str| Some(text.as_bytes().into());
    let entry = |(name, value)| HeaderField { name: shared(name), value: shared(value), never_indexed: false };
    STATIC.iter().copied().map(entry).collect()
});

#[derive(Clone, Copy)]
enum Indexing {
    Added,
    None,
    Never,
}

/// Returns the size of an entry, with 32 octets of overhead (RFC 7541, section 4.1).
fn size(field: &HeaderField) -> usize {
    let len = |text: &Option<Arc<[u8]>>| text.as_ref().map_or(0, |text| text.len());
    len(&field.name) + len(&field.value) + 32
}

fn place(index: usize) -> Text {
    Text::format(index as u64, 0, format_place)
}

fn format_place(index: u64, _: u32, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match index {
        0 => f.write_str("new name"),
        _ if index > STATIC.len() as u64 => write!(f, "dynamic {index}"),
        _ => write!(f, "static {index}"),
    }
}

/// Formats a literal: "name static 31, Huffman, added".
fn format_literal(index: u64, flags: u32, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str(if index == 0 { "" } else { "name " })?;
    format_place(index, 0, f)?;
    f.write_str(if flags >> 8 == 1 { ", Huffman" } else { "" })?;
    f.write_str(match flags & 0xff {
        added if added == Indexing::Added as u32 => ", added",
        never if never == Indexing::Never as u32 => ", never indexed",
        _ => "",
    })
}

/// Returns the name of a field, which is at this index or, for 0, in the field itself.
fn label(index: usize, field: &HeaderField) -> Text {
    match index.checked_sub(1).and_then(|place| STATIC.get(place)) {
        Some(&(name, _)) => name.into(),
        None => field.name.as_ref().map_or(UNKNOWN_NAME.into(), Text::octets),
    }
}

fn shown(field: &HeaderField) -> Text {
    match (&field.name, &field.value) {
        (Some(name), Some(value)) => headers::shown(name, value),
        (None, Some(value)) => Text::octets(value),
        (_, None) => "unknown: its entry was added before the first captured block".into(),
    }
}

/// Extends one leaf for everything over the limit, so that an instruction of a single byte does not cost a tree.
fn extend_hidden(tree: &mut Tree, range: Range<usize>) {
    match tree.last_mut() {
        Some(last) if last.label == HIDDEN => last.range.end = range.end,
        _ => tree.push(Annotation::new(range, Layer::Hpack, HIDDEN).value("not shown: over --limit header-list")),
    }
}

/// The label of headers over the limit. It can't be a header name, because it contains a space.
const HIDDEN: &str = "more headers";

/// Number of size updates that are annotated one by one.
const MOST: usize = 4096;

/// Initial capacity, enough for most blocks.
const ROOM: usize = 12;

const STRING: &Rule = &Rule::hpack("5.2");

/// A cursor over a header block, limited to its end.
struct Reader<'a> {
    block: &'a [u8],
    at: usize,
    /// True if a string of the current instruction was Huffman coded.
    huffman: bool,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Result<u8, HpackError> {
        self.block.get(self.at).copied().ok_or(HpackError::Truncated)
    }

    fn octet(&mut self) -> Result<u8, HpackError> {
        let octet = self.peek()?;
        self.at += 1;
        Ok(octet)
    }

    /// Reads an integer with a prefix of `bits` bits (RFC 7541, section 5.1), at most 2^32 - 1.
    fn integer(&mut self, bits: u32) -> Result<(usize, Range<usize>), HpackError> {
        let start = self.at;
        let mask = (1_u8 << bits) - 1;
        let prefix = self.octet()? & mask;
        let mut value = u64::from(prefix);
        if prefix == mask {
            let mut shift = 0;
            loop {
                let octet = self.octet()?;
                value += u64::from(octet & 0x7f) << shift;
                if octet & 0x80 == 0 {
                    break;
                }
                shift += 7;
                if shift > 28 {
                    return Err(HpackError::Integer);
                }
            }
        }
        let value = u32::try_from(value).map_err(|_| HpackError::Integer)?;
        Ok((value as usize, start..self.at))
    }

    /// Reads a string literal (RFC 7541, section 5.2); adds the leaves of its length and its octets.
    fn string(&mut self, what: &'static str, tree: &mut Tree) -> Result<Arc<[u8]>, HpackError> {
        let huffman = self.peek()? & 0x80 != 0;
        let (length, length_range) = self.integer(7)?;
        let range = self.at..self.at.saturating_add(length);
        let octets: &'a [u8] = self.block.get(range.clone()).ok_or(HpackError::Truncated)?;
        let string: Arc<[u8]> = if huffman { huffman::decode(octets)?.into() } else { octets.into() };
        self.at = range.end;
        self.huffman |= huffman;

        let length_label = if what == "name" { "name length" } else { "value length" };
        let length_value = Text::format(length as u64, huffman.into(), |length, huffman, f| {
            let coding = if huffman == 1 { ", Huffman coded" } else { "" };
            write!(f, "{}{coding}", text::count(length, "byte"))
        });
        let length_leaf = Annotation::new(length_range, Layer::Hpack, length_label).value(length_value);
        tree.push(length_leaf.rule(STRING));
        tree.push(Annotation::new(range, Layer::Hpack, what).value(Text::octets(&string)).rule(STRING));
        Ok(string)
    }
}
