//! Pieces before HTTP/2, as frames: a PROXY protocol header, messages of HTTP/1.1.
//!
//! A request that asks for HTTP/2 is the request of stream 1, and its body is that stream's data (RFC 7540, section
//! 3.2). The settings in it are the client's first.

use std::ops::Range;

use super::call::{Call, value};
use super::conversation::Conversation;
use super::http1::{self, Head, Lines};
use super::opening_state::Opening;
use super::proxy;
use crate::inspector::model::annotation::{Annotation, Layer, Rule};
use crate::inspector::model::frame::{self, Direction, FrameKind, Meaning, Preamble};
use crate::inspector::model::tree::Tree;
use crate::wire::http2::{Setting, settings};

/// The stream of a request that asks for HTTP/2.
const STREAM: u32 = 1;

const CHUNKS: &Rule = &Rule::http1("7.1");

impl Conversation {
    /// Takes a piece that leads to HTTP/2, or a response that refuses it.
    pub(super) fn before(&mut self, direction: Direction, opening: Opening, bytes: &[u8]) {
        let whole = 0..bytes.len();
        match opening {
            Opening::Proxy => {
                let mut frame = self.frame(direction, bytes, FrameKind::Before(Preamble::Proxy));
                frame.annotations = proxy::annotate(bytes);
                self.keep(frame);
            }
            Opening::Upgrade { body } => self.upgrade(direction, bytes, body),
            Opening::Message => {
                let kind = if direction == Direction::ToServer { Preamble::Connect } else { Preamble::Response };
                let mut frame = self.frame(direction, bytes, FrameKind::Before(kind));
                frame.annotations = self.head_lines(bytes);
                self.keep(frame);
            }
            Opening::Body { last } => self.body(direction, bytes, whole, last),
            Opening::Chunk { last } => {
                let [_, octets, _] = http1::chunk_places(bytes);
                self.body(direction, bytes, octets, last);
            }
            Opening::Refusal => {
                let mut frame = self.frame(direction, bytes, FrameKind::NotHttp2);
                let status = Head::read(bytes).status().to_string();
                frame.meaning = Meaning::HttpResponse { status };
                frame.ends_stream = true;
                frame.annotations = http1::foreign_head(bytes, self.limits.annotations);
                self.keep(frame);
            }
        }
    }

    /// Adds bytes of a direction that is not HTTP/2.
    pub(super) fn not_http2(&mut self, direction: Direction, bytes: &[u8]) {
        let most = self.limits.annotations;
        let half = self.half_mut(direction);
        let label = match (half.tls, half.http1) {
            (true, _) if std::mem::replace(&mut half.tls_shown, true) => frame::MORE_TLS,
            (true, _) => frame::TLS,
            (false, true) => frame::HTTP1,
            (false, false) => "not HTTP/2",
        };
        // TLS has no lines.
        let tree = match half.tls {
            true => Tree::default(),
            false => half.lines.annotate(bytes, Layer::Opaque, label, most),
        };
        if tree.len() < 2 {
            return self.opaque(direction, bytes, FrameKind::NotHttp2, label);
        }
        let mut frame = self.frame(direction, bytes, FrameKind::NotHttp2);
        frame.annotations = http1::under(label, tree, bytes.len());
        self.keep(frame);
    }

    fn head_lines(&self, bytes: &[u8]) -> Tree {
        let mut tree = Lines::default().annotate(bytes, Layer::Before, frame::HTTP1, self.limits.annotations);
        tree.all_mut().iter_mut().filter(|node| node.rule.is_none()).for_each(|node| node.rule = Some(LINES));
        tree
    }

    fn upgrade(&mut self, direction: Direction, bytes: &[u8], body: bool) {
        let head = Head::read(bytes);
        let (path, fields) = (head.target(), head.request_fields());
        let mut frame = self.frame(direction, bytes, FrameKind::Before(Preamble::Upgrade));
        frame.annotations = self.head_lines(bytes);
        (frame.headers, frame.ends_stream) = (fields, !body);
        // Clients that only ask for HTTP/2 often send OPTIONS, which is not a call.
        if value(&frame.headers, ":method").is_some_and(|method| method == "POST") {
            frame.meaning = Meaning::RequestHeaders { path: path.clone() };
        }
        for (id, value) in http1::upgrade_settings(&frame).iter().flat_map(|payload| settings(payload)) {
            if id == Setting::HEADER_TABLE_SIZE {
                self.half_mut(direction.opposite()).hpack.allow_table_size(value);
            }
        }
        let mut call = Call::new(&path, &self.schema);
        call.half_mut(direction).open(&frame.headers);
        self.calls.insert(STREAM, call);
        let number = frame.number;
        self.keep(frame);
        if !body {
            self.end_of_direction(direction, STREAM, number);
        }
    }

    /// Takes a part of a body; the octets at `place` are data of stream 1.
    fn body(&mut self, direction: Direction, bytes: &[u8], place: Range<usize>, last: bool) {
        let mut frame = self.frame(direction, bytes, FrameKind::Before(Preamble::Body));
        let around = |range: Range<usize>, label| Annotation::new(range, Layer::Before, label).rule(CHUNKS);
        frame.annotations.push(around(0..place.start, "chunk size"));
        let trailers = place.is_empty() && bytes.len() > place.end + 2;
        let after = around(place.end..bytes.len(), if trailers { frame::HIDDEN_LINES } else { "line break" });
        let after = (!after.range.is_empty()).then_some(after);
        if direction == Direction::ToClient {
            frame.annotations.push(Annotation::new(place, Layer::Opaque, "body"));
            frame.annotations.extend(after);
            return self.keep(frame);
        }
        frame.ends_stream = last;
        let number = frame.number;
        self.data(frame, STREAM, place, after);
        if last {
            self.end_of_direction(direction, STREAM, number);
        }
    }
}

const LINES: &Rule = &Rule::http1("2.1");
