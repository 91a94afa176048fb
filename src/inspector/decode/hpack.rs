//! Header compression (RFC 7541): a block of instructions, and the table that both ends build from them.
//!
//! ```text
//! 1 index(7)                          indexed: name and value from a table          section 6.1
//! 01 index(6) [name] value            literal, added to the dynamic table           section 6.2.1
//! 0000 index(4) [name] value          literal, not added                            section 6.2.2
//! 0001 index(4) [name] value          literal, never to be added by anyone          section 6.2.3
//! 001 size(5)                         the dynamic table's new maximum               section 6.3
//!
//! name, value → H(1) length(7) octets     H: the octets are Huffman coded           section 5.2
//! ```
//!
//! What can't be known (the dynamic table after an error, or when the first blocks were not seen) stays unknown.

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
use crate::inspector::model::text::{self, Text};
use crate::inspector::model::tree::Tree;

/// One direction's decoder, with the dynamic table that its blocks build.
#[derive(Clone, Debug)]
pub struct Decoder {
    /// The newest entry first: index 62 is the front.
    entries: VecDeque<HeaderField>,
    size: usize,
    /// The maximum that the encoder chose, and the most that the other side's SETTINGS allowed.
    max_size: usize,
    allowed: usize,
    /// Whether `entries` is the whole table. If not, indices beyond it are unknown instead of wrong.
    whole: bool,
    limits: Limits,
}

/// What a header block says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The headers in their order, up to [`Limits::header_list`].
    pub fields: Vec<HeaderField>,
    /// A tree for each instruction; they tile the block.
    pub annotations: Tree,
    /// Why the rest of the block could not be decoded, if it could not.
    pub error: Option<HpackError>,
}

impl Decoder {
    /// The decoder of a direction that is seen from its first header block on.
    pub fn new(limits: Limits) -> Self {
        let (max_size, allowed) = (4096, 4096);
        Self { entries: VecDeque::new(), size: 0, max_size, allowed, whole: true, limits }
    }

    /// Notes a SETTINGS_HEADER_TABLE_SIZE of the side that receives the blocks.
    ///
    /// The highest is what counts: when a lower one takes effect depends on an acknowledgement that passes the other way.
    pub fn allow_table_size(&mut self, size: u32) {
        self.allowed = self.allowed.max(size as usize);
    }

    /// Forgets the table: blocks were not seen, or could not be decoded.
    pub fn lose_track(&mut self) {
        self.entries.clear();
        self.size = 0;
        self.whole = false;
    }

    /// The number of entries in the dynamic table that are known.
    pub fn table_len(&self) -> usize {
        self.entries.len()
    }

    /// The size of these entries as RFC 7541, section 4.1 counts it: names, values and 32 octets for each.
    pub fn table_size(&self) -> usize {
        self.size
    }

    /// The entries of the dynamic table that are known, the newest first.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = &HeaderField> {
        self.entries.iter()
    }

    /// The size that the encoder lets the table have.
    pub fn table_limit(&self) -> usize {
        self.max_size
    }

    /// Decodes one complete header block. After an error the dynamic table is unknown.
    pub fn decode(&mut self, block: &[u8]) -> Block {
        let mut annotations = Tree::default();
        let (fields, error) = self.decode_within(block, 0..block.len(), &mut annotations);
        Block { fields, annotations, error }
    }

    /// Decodes the header block at `range` of `bytes`; what it says goes behind the annotations that are there.
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
                // Two say all there is to say: the smallest size in between, and the final one (section 4.2).
                None if list > 0 || updates > 2 => {
                    node.fault = Some("size updates stand at the beginning of a block, at most two".into());
                }
                None => {}
            }
        }
        (fields, None)
    }

    /// The next instruction as a node, and its header.
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
            node.detail = Text::said(index as u64, flags, say_literal);
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
        let node = Annotation::new(range, Layer::Hpack, SIZE_UPDATE).value(Text::number(size as u64));
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

    /// Adds an entry, which evicts others and, if it is larger than the whole table, itself (RFC 7541, section 4.4).
    fn add(&mut self, field: HeaderField) {
        self.size += size(&field);
        self.entries.push_front(field);
        self.evict();
    }

    fn evict(&mut self) {
        while self.size > self.max_size.min(self.limits.header_table) {
            // Evicted by this decoder's own bound, while the peers still have it: unknown from now on.
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

/// The size of an entry: 32 octets stand for the structure around it (RFC 7541, section 4.1).
fn size(field: &HeaderField) -> usize {
    let len = |text: &Option<Arc<[u8]>>| text.as_ref().map_or(0, |text| text.len());
    len(&field.name) + len(&field.value) + 32
}

fn place(index: usize) -> Text {
    Text::said(index as u64, 0, say_place)
}

fn say_place(index: u64, _: u32, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match index {
        0 => f.write_str("new name"),
        _ if index > STATIC.len() as u64 => write!(f, "dynamic {index}"),
        _ => write!(f, "static {index}"),
    }
}

/// "name static 31, Huffman, added".
fn say_literal(index: u64, flags: u32, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str(if index == 0 { "" } else { "name " })?;
    say_place(index, 0, f)?;
    f.write_str(if flags >> 8 == 1 { ", Huffman" } else { "" })?;
    f.write_str(match flags & 0xff {
        added if added == Indexing::Added as u32 => ", added",
        never if never == Indexing::Never as u32 => ", never indexed",
        _ => "",
    })
}

/// The name of a field, which stands at this index or, at 0, in the field itself.
fn label(index: usize, field: &HeaderField) -> Text {
    match index.checked_sub(1).and_then(|place| STATIC.get(place)) {
        Some(&(name, _)) => name.into(),
        None => field.name.as_ref().map_or("unknown name".into(), Text::octets),
    }
}

fn shown(field: &HeaderField) -> Text {
    match (&field.name, &field.value) {
        (Some(name), Some(value)) => headers::shown(name, value),
        (None, Some(value)) => Text::octets(value),
        (_, None) => "unknown: its entry was added before the first block that is known".into(),
    }
}

/// What is over the limit shares one leaf, so that an instruction of a single byte can't cost a tree each.
fn extend_hidden(tree: &mut Tree, range: Range<usize>) {
    match tree.last_mut() {
        Some(last) if last.label == HIDDEN => last.range.end = range.end,
        _ => tree.push(Annotation::new(range, Layer::Hpack, HIDDEN).value("over the limit, not shown")),
    }
}

/// No header has this name, for want of a legal one with a space in it.
const HIDDEN: &str = "more headers";

/// The label of an instruction that is no header.
pub(crate) const SIZE_UPDATE: &str = "dynamic table size";

/// Size updates after which they are no longer shown one by one.
const MOST: usize = 4096;

/// Most blocks have no more headers.
const ROOM: usize = 12;

const STRING: &Rule = &Rule::hpack("5.2");

/// A cursor over a header block; nothing moves past its end.
struct Reader<'a> {
    block: &'a [u8],
    at: usize,
    /// Whether a string of the current instruction was Huffman coded.
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

    /// An integer with a prefix of `bits` bits (RFC 7541, section 5.1), at most 2^32 - 1.
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

    /// A string literal (RFC 7541, section 5.2), and the leaves of its length and its octets.
    fn string(&mut self, what: &'static str, tree: &mut Tree) -> Result<Arc<[u8]>, HpackError> {
        let huffman = self.peek()? & 0x80 != 0;
        let (length, length_range) = self.integer(7)?;
        let range = self.at..self.at.saturating_add(length);
        let octets: &'a [u8] = self.block.get(range.clone()).ok_or(HpackError::Truncated)?;
        let string: Arc<[u8]> = if huffman { huffman::decode(octets)?.into() } else { octets.into() };
        self.at = range.end;
        self.huffman |= huffman;

        let length_label = if what == "name" { "name length" } else { "value length" };
        let length_value = Text::said(length as u64, huffman.into(), |length, huffman, f| {
            let coding = if huffman == 1 { ", Huffman coded" } else { "" };
            write!(f, "{}{coding}", text::count(length, "byte"))
        });
        let length_leaf = Annotation::new(length_range, Layer::Hpack, length_label).value(length_value);
        tree.push(length_leaf.rule(STRING));
        tree.push(Annotation::new(range, Layer::Hpack, what).value(Text::octets(&string)).rule(STRING));
        Ok(string)
    }
}
