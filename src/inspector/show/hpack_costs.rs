//! Shows header compression: the cost of each header, and the dynamic table before and after each block.
//!
//! ```text
//! client ──▶ server  frame 5  stream 1  7 headers: 163 bytes plain, 103 on the wire, 37 % saved
//!        1 of    14  :method: POST                       static 3
//!       12 of    19  grpc-timeout: 10S                   new name, added
//!     table of 4096: 0 entries, 0 bytes → 4 entries, 196 bytes
//!       + 62 grpc-timeout: 10S  47 bytes
//! ```
//!
//! *Plain* is the size of a header as a literal, without table and Huffman code. The blocks are decoded here a second
//! time, so that the view needs only frames.

use super::view::View;
use crate::inspector::decode::hpack::Decoder;
use crate::inspector::decode::http1::upgrade_settings;
use crate::inspector::decode::http2;
use crate::inspector::model::frame::HeaderField;
use crate::inspector::model::frame::{Direction, Frame, FrameKind};
use crate::inspector::model::limits::Limits;
use crate::inspector::model::text;
use crate::wire::http2::{FrameHeader, FrameType, Setting, settings};

/// Header blocks and their dynamic tables, read from the frames of a connection.
#[derive(Clone, Debug)]
pub struct HpackView {
    limits: Limits,
    to_server: HeaderBlocks,
    to_client: HeaderBlocks,
    /// The sizes of all blocks so far.
    wire: u64,
    plain: u64,
    blocks: u64,
}

#[derive(Clone, Debug)]
struct HeaderBlocks {
    decoder: Decoder,
    /// The fragments of an incomplete block; `None` if it exceeded the limit.
    block: Option<Vec<u8>>,
}

/// A header block and its cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockCost {
    /// The number of the frame that completed it.
    pub frame: u64,
    /// The direction of the frame.
    pub direction: Direction,
    /// The stream.
    pub stream: u32,
    /// Its headers.
    pub headers: Vec<HeaderCost>,
    /// Bytes on the wire, table size updates included.
    pub wire: usize,
    /// Bytes of the headers as plain literals.
    pub plain: usize,
    /// The dynamic table before the block, newest entry first.
    pub before: Vec<TableEntry>,
    /// The dynamic table after the block.
    pub after: Vec<TableEntry>,
    /// The maximum size of the table.
    pub table_limit: usize,
    /// True if the rest of the block could not be decoded; the table is then unknown.
    pub broken: bool,
}

/// A header and its cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderCost {
    /// The name as text.
    pub name: String,
    /// The value as text.
    pub value: String,
    /// Bytes on the wire.
    pub wire: usize,
    /// Bytes as a plain literal.
    pub plain: usize,
    /// The encoding: "static 3", "name static 31, Huffman, added".
    pub how: String,
}

/// An entry of the dynamic table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableEntry {
    /// The name as text.
    pub name: String,
    /// The value as text.
    pub value: String,
    /// Its size according to RFC 7541, section 4.1.
    pub size: usize,
}

impl HpackView {
    /// Returns a view of a connection from its first frame on.
    pub fn new() -> Self {
        let limits = Limits::default();
        let half = HeaderBlocks { decoder: Decoder::new(limits), block: None };
        Self { limits, to_server: half.clone(), to_client: half, wire: 0, plain: 0, blocks: 0 }
    }

    /// Takes the next frame; returns the block that it completes.
    pub fn advance(&mut self, frame: &Frame) -> Option<BlockCost> {
        if let FrameKind::Lost { .. } = frame.kind {
            let half = self.half_mut(frame.direction);
            half.decoder.lose_track();
            half.block = None;
        }
        if let Some(payload) = upgrade_settings(frame) {
            let decoder = &mut self.half_mut(frame.direction.opposite()).decoder;
            let sizes = settings(&payload).filter(|(id, _)| *id == Setting::HEADER_TABLE_SIZE);
            sizes.for_each(|(_, size)| decoder.allow_table_size(size));
        }
        let header = frame.header()?;
        match header.kind {
            FrameType::SETTINGS => {
                let decoder = &mut self.half_mut(frame.direction.opposite()).decoder;
                let sizes = settings(frame.payload()?).filter(|(id, _)| *id == Setting::HEADER_TABLE_SIZE);
                sizes.for_each(|(_, size)| decoder.allow_table_size(size));
                None
            }
            FrameType::HEADERS | FrameType::PUSH_PROMISE | FrameType::CONTINUATION => self.block(frame, header),
            _ => None,
        }
    }

    fn half_mut(&mut self, direction: Direction) -> &mut HeaderBlocks {
        match direction {
            Direction::ToServer => &mut self.to_server,
            Direction::ToClient => &mut self.to_client,
        }
    }

    fn block(&mut self, frame: &Frame, header: &FrameHeader) -> Option<BlockCost> {
        let limit = self.limits.header_block;
        let fragment = frame.bytes.get(http2::dissect(header, &frame.bytes).body)?;
        let half = self.half_mut(frame.direction);
        let block = match header.kind {
            FrameType::CONTINUATION => half.block.get_or_insert_default(),
            _ => half.block.insert(Vec::new()),
        };
        block.extend_from_slice(fragment);
        if block.len() > limit {
            half.block = None;
            half.decoder.lose_track();
            return None;
        }
        let block = half.block.take_if(|_| header.has(FrameHeader::END_HEADERS))?;
        // If the conversation does not know the table, this view does not know it either.
        if frame.headers.iter().any(|field| field.name.is_none() || field.value.is_none()) {
            half.decoder.lose_track();
        }
        let before = entries(&half.decoder);
        let decoded = half.decoder.decode(&block);
        let nodes = decoded.annotations.iter().filter(|node| !node.is_size_update());
        let headers: Vec<_> = decoded
            .fields
            .iter()
            .zip(nodes)
            .map(|(field, node)| HeaderCost {
                name: shown(field.name.as_deref()),
                value: shown(field.value.as_deref()),
                wire: node.range.len(),
                plain: plain(field),
                how: node.detail.to_string(),
            })
            .collect();
        let cost = BlockCost {
            frame: frame.number,
            direction: frame.direction,
            stream: header.stream,
            wire: block.len(),
            plain: headers.iter().map(|header| header.plain).sum(),
            headers,
            before,
            after: entries(&half.decoder),
            table_limit: half.decoder.table_limit(),
            broken: decoded.error.is_some(),
        };
        self.wire += cost.wire as u64;
        self.plain += cost.plain as u64;
        self.blocks += 1;
        Some(cost)
    }
}

impl Default for HpackView {
    fn default() -> Self {
        Self::new()
    }
}

impl BlockCost {
    /// Returns the entries that the block added and that are still in the table, newest first.
    pub fn added(&self) -> &[TableEntry] {
        let kept = self.kept();
        self.after.get(..self.after.len().saturating_sub(kept)).unwrap_or_default()
    }

    /// Returns the entries that the block evicted, oldest last.
    pub fn evicted(&self) -> &[TableEntry] {
        self.before.get(self.kept()..).unwrap_or_default()
    }

    /// Returns how many of the newest entries before the block are the oldest after it. A table evicts its oldest
    /// entries and adds new ones at the front.
    fn kept(&self) -> usize {
        let most = self.before.len().min(self.after.len());
        let is_kept = |count: &usize| {
            let tail = self.after.get(self.after.len().saturating_sub(*count)..);
            self.before.get(..*count) == tail
        };
        (0..=most).rev().find(is_kept).unwrap_or(0)
    }

    /// Returns the block as lines: its headers with their costs, and the change of the table.
    pub fn text(&self) -> String {
        let mut out = format!(
            "frame {} {}  stream {}  {}: {}\n",
            self.frame,
            self.direction,
            self.stream,
            text::count(self.headers.len() as u64, "header"),
            saved(self.plain as u64, self.wire as u64)
        );
        for header in &self.headers {
            let field = format!("{}: {}", header.name, header.value);
            let field = super::line::shorten(&field);
            out.push_str(&format!("  {:>5} of {:>5}  {field:<48}  {}\n", header.wire, header.plain, header.how));
        }
        if self.broken {
            out.push_str("    the rest can't be decoded: the table is unknown from here on\n");
        }
        let size = |entries: &[TableEntry]| {
            let bytes: usize = entries.iter().map(|entry| entry.size).sum();
            let count = match entries.len() {
                1 => "1 entry".to_owned(),
                count => format!("{count} entries"),
            };
            format!("{count}, {}", text::count(bytes as u64, "byte"))
        };
        let (before, after) = (size(&self.before), size(&self.after));
        if before != after || !self.added().is_empty() {
            out.push_str(&format!("    table of {}: {before} → {after}\n", self.table_limit));
        } else {
            out.push_str(&format!("    table of {}: {after}, unchanged\n", self.table_limit));
        }
        for (place, entry) in self.added().iter().enumerate() {
            out.push_str(&format!("      + {} {}\n", place + FIRST, entry.text()));
        }
        let kept = self.kept();
        for (place, entry) in self.evicted().iter().enumerate() {
            out.push_str(&format!("      - {} {}\n", place + kept + FIRST, entry.text()));
        }
        out
    }
}

impl TableEntry {
    fn text(&self) -> String {
        let field = super::line::shorten(&format!("{}: {}", self.name, self.value));
        format!("{field}  {}", text::count(self.size as u64, "byte"))
    }
}

/// The index of the dynamic table's newest entry.
const FIRST: usize = 62;

fn entries(decoder: &Decoder) -> Vec<TableEntry> {
    let entry = |field: &HeaderField| {
        let length = |part: &Option<std::sync::Arc<[u8]>>| part.as_ref().map_or(0, |part| part.len());
        let size = length(&field.name) + length(&field.value) + 32;
        TableEntry { name: shown(field.name.as_deref()), value: shown(field.value.as_deref()), size }
    };
    decoder.entries().map(entry).collect()
}

fn shown(part: Option<&[u8]>) -> String {
    part.map_or_else(|| "unknown".to_owned(), text::plain)
}

/// Returns the size of a literal without table and Huffman code: an octet, and name and value with their lengths.
fn plain(field: &HeaderField) -> usize {
    let string = |part: Option<&[u8]>| {
        let length = part.map_or(0, <[u8]>::len);
        // The length is an integer with a prefix of seven bits (RFC 7541, section 5.1).
        let octets = match length.checked_sub(127) {
            None => 1,
            Some(rest) => 1 + (usize::BITS - rest.leading_zeros()).div_ceil(7).max(1) as usize,
        };
        octets + length
    };
    1 + string(field.name.as_deref()) + string(field.value.as_deref())
}

fn saved(plain: u64, wire: u64) -> String {
    let percent = plain.saturating_sub(wire).saturating_mul(100).checked_div(plain).unwrap_or(0);
    format!("{} plain, {wire} on the wire, {percent} % saved", text::count(plain, "byte"))
}

impl View for HpackView {
    fn push(&mut self, frame: &Frame) -> String {
        self.advance(frame).map(|block| block.text()).unwrap_or_default()
    }

    fn finish(&mut self) -> String {
        let blocks = text::count(self.blocks, "header block");
        format!("{blocks}: {}\n", saved(self.plain, self.wire))
    }
}
