//! Length-Prefixed-Messages in the DATA of one direction of a stream.
//!
//! ```text
//! Length-Prefixed-Message → Compressed-Flag(8) Message-Length(32) Message
//! ```
//!
//! [PROTOCOL-HTTP2.md](https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#requests): borders of DATA
//! frames have no relation to them. A message's bytes may lie in several frames, and a frame hold several messages.

use std::ops::Range;
use std::sync::Arc;

use super::annotation::{Annotation, Layer, Rule, clip_all};
use super::assembly::Assembly;
use super::frame::{Message, Restored};
use super::limits::Limits;
use super::protobuf;
use super::restore::{Outcome, restore};
use super::schema::Schema;
use super::text::{self, Text};
use crate::call::Compressors;

/// Compressed-Flag and Message-Length.
const PREFIX_LEN: u64 = 5;

/// What the call tells about the messages of one direction, and how much may be kept of them.
pub(super) struct Context<'a> {
    pub(super) schema: &'a Schema,
    pub(super) limits: &'a Limits,
    pub(super) type_name: Option<Arc<str>>,
    /// `grpc-encoding`.
    pub(super) encoding: Option<&'a str>,
    /// What restores compressed messages.
    pub(super) compressors: &'a Compressors,
    /// Bytes that may be held, besides what this direction holds already.
    pub(super) room: usize,
}

/// One direction of a stream: where it is in the current message.
#[derive(Clone, Debug)]
pub(super) struct MessageReader {
    /// The messages that were begun.
    number: u64,
    /// The bytes seen of the current one, prefix included; 0 between messages.
    received: u64,
    flag: u8,
    length: u32,
    /// The bytes themselves; `None` for a message that is over a limit.
    assembly: Option<Assembly>,
}

/// What one frame's data contained.
pub(super) struct Found {
    /// What stands before the data, and a tree for each message, or part of one; the trees tile the data.
    pub(super) annotations: Vec<Annotation>,
    /// The messages that are complete now.
    pub(super) complete: Vec<Message>,
    /// Where the first of them lies, if it began in an earlier frame, where it is to be shown too.
    pub(super) earlier: Option<Assembly>,
    /// Annotations that may still be made.
    budget: usize,
    /// Bytes to which compressed messages may still be restored.
    restorable: usize,
}

impl MessageReader {
    pub(super) fn new() -> Self {
        Self { number: 0, received: 0, flag: 0, length: 0, assembly: None }
    }

    /// Takes the data at `start` of a frame; what is found goes behind the annotations `before` it.
    pub(super) fn push(
        &mut self,
        frame: u64,
        start: usize,
        data: &[u8],
        before: Vec<Annotation>,
        context: &Context<'_>,
    ) -> Found {
        let (budget, restorable) = (context.limits.annotations, context.limits.message);
        let mut found = Found { annotations: before, complete: Vec::new(), earlier: None, budget, restorable };
        let (mut at, mut rest) = (start, data);
        while !rest.is_empty() {
            if self.received == 0 {
                self.begin();
            }
            let seen = self.received;
            let (taken, tail) = self.take(rest);
            let range = at..at + taken.len();
            (at, rest) = (range.end, tail);
            if self.is_complete() {
                self.complete(&mut found, frame, range, seen, taken, context);
            } else {
                self.keep(frame, range.start, taken, context);
                found.part(range.clone(), || self.part(range, seen));
            }
        }
        found
    }

    /// The bytes seen and the bytes due of a message that is not complete; what is due is `None` inside the prefix.
    pub(super) fn unfinished(&self) -> Option<(u64, Option<u64>)> {
        (self.received > 0).then(|| (self.received, (self.received >= PREFIX_LEN).then(|| self.total())))
    }

    /// The memory that is held for the message that is not complete, about.
    pub(super) fn cost(&self) -> usize {
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

    /// Divides what belongs to the current message from what comes after it, and reads the prefix on the way.
    fn take<'a>(&mut self, data: &'a [u8]) -> (&'a [u8], &'a [u8]) {
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
        data.split_at_checked(taken).unwrap_or((data, &[]))
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

    /// The message that ends with `taken`, which stands at `range` of the frame; `seen` bytes of it came before.
    fn complete(
        &mut self,
        found: &mut Found,
        frame: u64,
        range: Range<usize>,
        seen: u64,
        taken: &[u8],
        context: &Context<'_>,
    ) {
        if seen > 0 {
            self.keep(frame, range.start, taken, context);
        }
        let assembly = self.assembly.take();
        let mut message = Message {
            number: self.number,
            type_name: context.type_name.clone(),
            compressed: self.flag & 1 == 1,
            length: self.length,
            segments: Vec::new(),
            tree: None,
            restored: None,
        };
        match assembly {
            _ if !found.has_room() => found.part(range.clone(), || self.part(range, seen)),
            Some(_) if seen == 0 && !self.is_too_long(context) => {
                let (mut tree, restored) = self.tree(taken, context, found);
                message.restored = restored;
                tree.shift(range.start);
                found.annotations.push(tree);
                message.segments = vec![(frame, range)];
                found.complete.push(message);
            }
            Some(assembly) if seen > 0 => {
                let (tree, restored) = self.tree(assembly.bytes(), context, found);
                message.restored = restored;
                let here = assembly.distribute(std::slice::from_ref(&tree)).next_back();
                found.annotations.extend(here.into_iter().flat_map(|(_, _, here)| here));
                message.segments = assembly.segments();
                message.tree = Some(Box::new(tree));
                found.complete.push(message);
                found.earlier = Some(assembly);
            }
            _ => {
                found.part(range.clone(), || self.part(range, seen));
                found.complete.push(message);
            }
        }
        self.received = 0;
    }

    /// The whole message, decoded, and what it was before it was compressed.
    fn tree(&self, bytes: &[u8], context: &Context<'_>, found: &mut Found) -> (Annotation, Option<Box<Restored>>) {
        found.budget = found.budget.saturating_sub(COST);
        let budget = &mut found.budget;
        let value = self.summary(context);
        // Most messages have a field or two.
        let mut children = Vec::with_capacity(4);
        children.extend(self.prefix());
        let content = PREFIX_LEN as usize..bytes.len();
        if self.flag == 0 {
            let (name, depth) = (context.type_name.as_deref(), context.limits.depth);
            children = protobuf::annotate(children, bytes, content, name, context.schema, budget, depth);
        } else {
            let leaf = Annotation::new(content.clone(), Layer::Opaque, MESSAGE).rule(Rule::grpc("requests"));
            let compressed = bytes.get(content).unwrap_or_default();
            let outcome = match self.flag {
                1 => restore(compressed, context, &mut found.restorable, budget),
                _ => Outcome::Left("not to be read: the Compressed-Flag is neither 0 nor 1".to_owned()),
            };
            let (leaf, restored) = match outcome {
                Outcome::Restored(restored) => {
                    let size = text::count(restored.bytes.len() as u64, "byte");
                    (leaf.value(format!("compressed, {size} when restored")), Some(Box::new(restored)))
                }
                Outcome::Left(why) => (leaf.value(why), None),
                Outcome::Broken(why) => (leaf.value("compressed").fault(Some(why)), None),
            };
            children.push(leaf);
            return (node(0..bytes.len()).value(value).children(children), restored);
        }
        (node(0..bytes.len()).value(value).children(children), None)
    }

    /// "uncompressed, 13 bytes: routeguide.Point", in the order of the bytes.
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

    /// The part of a message that ends with the last byte received, `seen` of whose bytes came before it: its prefix is
    /// told apart, the rest is not.
    fn part(&self, range: Range<usize>, seen: u64) -> Annotation {
        let keep = seen.min(PREFIX_LEN) as usize..self.received.min(PREFIX_LEN) as usize;
        let mut children = clip_all(&self.prefix(), &keep, range.start);
        let at = range.start + keep.len();
        let (from, to) = (seen.max(PREFIX_LEN) - PREFIX_LEN, self.received.saturating_sub(PREFIX_LEN));
        let value = match self.received >= PREFIX_LEN {
            true => format!("bytes {from} to {to} of {}", self.length),
            false => "inside the prefix".to_owned(),
        };
        let rest = Annotation::new(at..range.end, Layer::Opaque, MESSAGE).value(value.clone());
        children.push(rest.rule(Rule::grpc("requests")));
        node(range).value(format!("message {}: {value}", self.number)).children(children)
    }

    /// The leaves of the prefix.
    fn prefix(&self) -> [Annotation; 2] {
        let flag: Text = match self.flag {
            0 => "0, uncompressed".into(),
            1 => "1, compressed".into(),
            other => Text::number(other.into()),
        };
        let fault = (self.flag > 1).then(|| "the Compressed-Flag is 0 or 1".to_owned());
        let length = match self.received {
            0..PREFIX_LEN => "incomplete".into(),
            _ => Text::bytes(self.length.into()),
        };
        let leaf = |range: Range<usize>, label: &'static str, value: Text| {
            Annotation::new(range, Layer::Grpc, label).value(value).rule(Rule::grpc("requests")).number()
        };
        [leaf(0..1, "Compressed-Flag", flag).fault(fault), leaf(1..5, "Message-Length", length)]
    }
}

/// A message costs at least its node and the leaves of its prefix.
const COST: usize = 3;

impl Found {
    fn has_room(&self) -> bool {
        self.budget >= COST
    }

    /// Adds a part of a message, or, over the limit, lets one leaf stand for all that follow.
    fn part(&mut self, range: Range<usize>, part: impl FnOnce() -> Annotation) {
        if self.has_room() {
            self.budget -= COST;
            return self.annotations.push(part());
        }
        match self.annotations.last_mut() {
            Some(last) if last.label == HIDDEN => last.range.end = range.end,
            _ => {
                let rest = Annotation::new(range, Layer::Opaque, HIDDEN);
                self.annotations.push(rest.value("over the limit, not told apart"));
            }
        }
    }
}

/// Content of which no more is told.
const MESSAGE: &str = "Message";

const HIDDEN: &str = "more messages";

fn node(range: Range<usize>) -> Annotation {
    Annotation::new(range, Layer::Grpc, "").detail("Length-Prefixed-Message").rule(Rule::grpc("requests"))
}
