//! Decodes Length-Prefixed-Messages in the DATA of one direction of a stream.
//!
//! ```text
//! Length-Prefixed-Message → Compressed-Flag(8) Message-Length(32) Message
//! ```
//!
//! [PROTOCOL-HTTP2.md](https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#requests): message boundaries are
//! independent of DATA frames. A message may span several frames, and a frame may contain several messages.

use std::ops::Range;

use super::assembly::Assembly;
use super::context::Context;
use super::protobuf;
use super::restore::{Outcome, restore};
use crate::inspector::model::annotation::{Annotation, Layer, Rule};
use crate::inspector::model::frame::{Message, Restored};
use crate::inspector::model::text::{self, Text};
use crate::inspector::model::tree::Tree;

/// The length of Compressed-Flag and Message-Length.
const PREFIX_LEN: u64 = 5;

/// The position of one direction of a stream in its current message.
#[derive(Clone, Debug)]
pub(super) struct MessageReader {
    /// Number of messages started.
    number: u64,
    /// Number of bytes seen of the current message, prefix included; 0 between messages.
    received: u64,
    flag: u8,
    length: u32,
    /// The bytes themselves; `None` for a message over a limit.
    assembly: Option<Assembly>,
}

/// The content of one frame's data.
pub(crate) struct Found {
    /// The annotations before the data, and a node for each message or part of one; these nodes tile the data.
    pub(crate) annotations: Tree,
    /// The messages that this frame completes.
    pub(crate) complete: Vec<Message>,
    /// The segments of the first completed message if it began in an earlier frame, whose annotations are then refined.
    pub(super) earlier: Option<Assembly>,
    /// Number of annotations that may still be added.
    budget: usize,
    /// Number of bytes that decompression may still produce.
    pub(super) restorable: usize,
}

impl MessageReader {
    pub(crate) fn new() -> Self {
        Self { number: 0, received: 0, flag: 0, length: 0, assembly: None }
    }

    /// Reads the data at `place` of a frame; appends its annotations to `before`.
    pub(crate) fn push(
        &mut self,
        number: u64,
        frame: &[u8],
        place: Range<usize>,
        before: Tree,
        context: &Context<'_>,
    ) -> Found {
        let (budget, restorable) = (context.limits.annotations, context.restorable);
        let mut found = Found { annotations: before, complete: Vec::new(), earlier: None, budget, restorable };
        let mut rest = place;
        while !rest.is_empty() {
            if self.received == 0 {
                self.begin();
            }
            let seen = self.received;
            let range = rest.start..rest.start + self.take(frame.get(rest.clone()).unwrap_or_default());
            rest.start = range.end;
            if self.is_complete() {
                self.complete(&mut found, number, range, seen, frame, context);
            } else {
                self.keep(number, range.start, frame.get(range.clone()).unwrap_or_default(), context);
                let limit = self.limit(context);
                self.part(&mut found, range, seen, limit);
            }
        }
        found
    }

    /// Returns the received bytes of an incomplete message and its length, both without the prefix, as Message-Length
    /// counts. Inside the prefix, returns the received bytes of the prefix and `None`.
    pub(crate) fn unfinished(&self) -> Option<(u64, Option<u64>)> {
        match self.received.checked_sub(PREFIX_LEN) {
            Some(content) => Some((content, Some(self.length.into()))),
            None => (self.received > 0).then_some((self.received, None)),
        }
    }

    /// Returns the approximate memory used for the incomplete message.
    pub(crate) fn cost(&self) -> usize {
        self.assembly.as_ref().map_or(0, Assembly::cost)
    }

    fn begin(&mut self) {
        self.number += 1;
        (self.flag, self.length) = (0, 0);
        self.assembly = Some(Assembly::default());
    }

    fn total(&self) -> u64 {
        PREFIX_LEN + u64::from(self.length)
    }

    fn is_complete(&self) -> bool {
        self.received >= PREFIX_LEN && self.received == self.total()
    }

    /// Returns how many bytes of data belong to the current message, and reads its prefix.
    fn take(&mut self, data: &[u8]) -> usize {
        let mut taken = 0;
        for &byte in data.iter().take(PREFIX_LEN.saturating_sub(self.received) as usize) {
            match self.received {
                0 => self.flag = byte,
                _ => self.length = self.length << 8 | u32::from(byte),
            }
            self.received += 1;
            taken += 1;
        }
        if self.received >= PREFIX_LEN {
            let due = usize::try_from(self.total() - self.received).unwrap_or(usize::MAX);
            let payload = due.min(data.len() - taken);
            self.received += payload as u64;
            taken += payload;
        }
        taken
    }

    fn keep(&mut self, frame: u64, start: usize, taken: &[u8], context: &Context<'_>) {
        let too_long = self.is_too_long(context);
        let Some(assembly) = &mut self.assembly else { return };
        assembly.push(frame, start, taken);
        if too_long || assembly.cost() > context.room {
            self.assembly = None;
        }
    }

    fn is_too_long(&self, context: &Context<'_>) -> bool {
        u64::from(self.length) > context.limits.message as u64
    }

    /// Returns the limit that keeps the current message from being decoded, by its name in the program's flag `--limit`.
    fn limit(&self, context: &Context<'_>) -> Option<&'static str> {
        match self.assembly {
            _ if self.is_too_long(context) => Some("message"),
            None => Some("waiting"),
            Some(_) => None,
        }
    }

    /// Completes the message that ends at `range` of the frame; `seen` bytes of it came in earlier frames.
    fn complete(
        &mut self,
        found: &mut Found,
        number: u64,
        range: Range<usize>,
        seen: u64,
        frame: &[u8],
        context: &Context<'_>,
    ) {
        if seen > 0 {
            self.keep(number, range.start, frame.get(range.clone()).unwrap_or_default(), context);
        }
        let assembly = self.assembly.take();
        let mut message = Message {
            number: self.number,
            type_name: context.type_name.clone(),
            compressed: self.flag & 1 == 1,
            length: self.length,
            segments: Vec::new(),
            tree: None,
            hidden_by: None,
            restored: None,
        };
        match assembly {
            _ if !found.has_room() => self.part(found, range, seen, None),
            Some(_) if seen == 0 && !self.is_too_long(context) => {
                let mut tree = std::mem::take(&mut found.annotations);
                message.restored = self.tree(&mut tree, frame, range.clone(), context, found);
                found.annotations = tree;
                message.segments = vec![(number, range)];
                found.complete.push(message);
            }
            Some(assembly) if seen > 0 => {
                let (mut tree, bytes) = (Tree::default(), assembly.bytes());
                message.restored = self.tree(&mut tree, bytes, 0..bytes.len(), context, found);
                let here = bytes.len() - range.len()..bytes.len();
                let node = found.annotations.len();
                found.annotations.append(&mut tree.cutter().part(&here, range.start));
                // The frame that completes the prefix shows what it says.
                if seen < PREFIX_LEN
                    && let Some(node) = found.annotations.get_mut(node)
                {
                    node.value = self.summary(context);
                }
                message.segments = assembly.segments();
                message.tree = Some(Box::new(tree));
                found.complete.push(message);
                found.earlier = Some(assembly);
            }
            _ => {
                message.hidden_by = self.limit(context);
                self.part(found, range, seen, message.hidden_by);
                found.complete.push(message);
            }
        }
        self.received = 0;
    }

    /// Adds the annotations of the whole message at `range` of `bytes`; returns its decompressed form if it was
    /// compressed.
    fn tree(
        &self,
        tree: &mut Tree,
        bytes: &[u8],
        range: Range<usize>,
        context: &Context<'_>,
        found: &mut Found,
    ) -> Option<Box<Restored>> {
        found.budget = found.budget.saturating_sub(COST);
        let budget = &mut found.budget;
        let content = range.start + PREFIX_LEN as usize..range.end;
        let node = tree.open(message_node(range.clone()).value(self.summary(context)));
        self.prefix(tree, range.start);
        let mut was = None;
        if self.flag == 0 {
            let (name, depth) = (context.type_name.as_deref(), context.limits.depth);
            protobuf::annotate(tree, bytes, content, name, context.schema, budget, depth);
        } else {
            let leaf = Annotation::new(content.clone(), Layer::Opaque, MESSAGE).rule(REQUESTS);
            let compressed = bytes.get(content).unwrap_or_default();
            let outcome = match self.flag {
                1 => restore(compressed, context, &mut found.restorable, budget),
                _ => Outcome::Left("not decoded: the Compressed-Flag is neither 0 nor 1".to_owned()),
            };
            tree.push(match outcome {
                Outcome::Restored(restored) => {
                    let size = text::count(restored.bytes.len() as u64, "byte");
                    was = Some(Box::new(restored));
                    leaf.value(format!("compressed, {size} when decompressed"))
                }
                Outcome::Left(why) => leaf.value(why),
                Outcome::Broken(why) => leaf.value("compressed").fault(Some(why)),
            });
        }
        tree.close(node);
        was
    }

    /// Returns a summary in the order of the bytes: "uncompressed, 13 bytes: routeguide.Point".
    fn summary(&self, context: &Context<'_>) -> Text {
        if let (0, Some(name)) = (self.flag, &context.type_name) {
            return Text::uncompressed(self.length, name.clone());
        }
        let size = text::count(self.length.into(), "byte");
        let name = context.type_name.as_ref().map_or_else(String::new, |name| format!(": {name}"));
        match (self.flag, context.encoding) {
            (0, _) => format!("uncompressed, {size}{name}").into(),
            (_, Some(encoding)) => format!("compressed with {encoding}, {size}{name}").into(),
            (_, None) => format!("compressed, {size}{name}").into(),
        }
    }

    /// Adds the part of a message that ends with the last byte received; `seen` bytes of the message came in earlier
    /// frames. The prefix is decoded, the content is not; `limit` names the limit that hides it. Over the limit of
    /// annotations, one leaf covers the rest of the data.
    fn part(&self, found: &mut Found, range: Range<usize>, seen: u64, limit: Option<&str>) {
        let has_room = found.has_room();
        let tree = &mut found.annotations;
        if !has_room {
            return match tree.last_mut() {
                Some(last) if last.label == HIDDEN => last.range.end = range.end,
                _ => {
                    let rest = Annotation::new(range, Layer::Opaque, HIDDEN);
                    tree.push(rest.value("not decoded: over --limit annotations"));
                }
            };
        }
        found.budget -= COST;
        let (from, to) = (seen.max(PREFIX_LEN) - PREFIX_LEN, self.received.saturating_sub(PREFIX_LEN));
        let value = match self.received >= PREFIX_LEN {
            true => {
                let hidden = limit.map_or_else(String::new, |limit| format!(", not decoded: over --limit {limit}"));
                format!("bytes {from} to {to} of {}{hidden}", self.length)
            }
            false => "inside the prefix".to_owned(),
        };
        let node = tree.open(message_node(range.clone()).value(format!("message {}: {value}", self.number)));
        let of_prefix = seen.min(PREFIX_LEN) as usize..self.received.min(PREFIX_LEN) as usize;
        if !of_prefix.is_empty() {
            let mut prefix = Tree::default();
            self.prefix(&mut prefix, 0);
            tree.append(&mut prefix.cutter().part(&of_prefix, range.start));
        }
        let rest = Annotation::new(range.start + of_prefix.len()..range.end, Layer::Opaque, MESSAGE);
        tree.push(rest.value(value).rule(REQUESTS));
        tree.close(node);
    }

    /// Adds the leaves of the prefix, which begins at `start`.
    fn prefix(&self, tree: &mut Tree, start: usize) {
        let flag: Text = match self.flag {
            0 => "0, uncompressed".into(),
            1 => "1, compressed".into(),
            other => Text::number(other.into()),
        };
        let fault = (self.flag > 1).then_some("the Compressed-Flag must be 0 or 1");
        let length = match self.received {
            0..PREFIX_LEN => "incomplete".into(),
            _ => Text::bytes(self.length.into()),
        };
        let leaf = |range: Range<usize>, label: &'static str, value: Text| {
            Annotation::new(range, Layer::Grpc, label).value(value).rule(REQUESTS).number()
        };
        tree.push(leaf(start..start + 1, "Compressed-Flag", flag).fault(fault));
        tree.push(leaf(start + 1..start + PREFIX_LEN as usize, "Message-Length", length));
    }
}

/// The least annotations of a message: its node and the leaves of its prefix.
const COST: usize = 3;

impl Found {
    fn has_room(&self) -> bool {
        self.budget >= COST
    }
}

/// The label of content that is not decoded.
const MESSAGE: &str = "Message";

const HIDDEN: &str = "more messages";

const REQUESTS: &Rule = &Rule::grpc("requests");

fn message_node(range: Range<usize>) -> Annotation {
    Annotation::new(range, Layer::Grpc, "").detail("Length-Prefixed-Message").rule(REQUESTS)
}
