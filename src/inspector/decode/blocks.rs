//! Header blocks of a conversation: collected from their frames and decoded; the annotations go back to each frame.

use std::ops::Range;

use super::assembly::Assembly;
use super::call::{Call, classify};
use super::conversation::Conversation;
use super::half::OpenBlock;
use super::headers;
use super::protobuf;
use crate::inspector::model::annotation::{Annotation, Layer, Rule};
use crate::inspector::model::frame::HeaderField;
use crate::inspector::model::frame::{Direction, Frame, Meaning, Restored};
use crate::inspector::model::tree::Tree;
use crate::wire::http2::{FrameHeader, FrameType};

impl Conversation {
    /// Reports frames between the first and the last frame of a header block (RFC 9113, section 4.3).
    pub(super) fn hold_block_together(&mut self, frame: &mut Frame, header: &FrameHeader) {
        let half = self.half_mut(frame.direction);
        let open = half.block.as_ref().map(|block| block.stream);
        let continues = header.kind == FrameType::CONTINUATION;
        if let Some(stream) = open.filter(|&stream| !continues || stream != header.stream) {
            frame.faults.push(format!("PROTOCOL_ERROR: the header block of stream {stream} is not complete"));
        } else if open.is_none() && continues {
            frame.faults.push("PROTOCOL_ERROR: CONTINUATION without an open header block".to_owned());
        } else {
            return;
        }
        half.block = None;
        half.hpack.lose_track();
    }

    /// Takes a frame with the header block at `place`, or with a fragment of one.
    pub(crate) fn header_block(
        &mut self,
        mut frame: Frame,
        header: &FrameHeader,
        place: Range<usize>,
        padding: Option<Annotation>,
    ) {
        let (number, direction, limit) = (frame.number, frame.direction, self.limits.header_block);
        let (begins, ends) = (header.kind != FrameType::CONTINUATION, header.has(FrameHeader::END_HEADERS));
        let half = self.half_mut(direction);
        if begins {
            half.block = Some(OpenBlock {
                first_frame: number,
                stream: header.stream,
                ends_stream: header.ends_stream(),
                promise: header.kind == FrameType::PUSH_PROMISE,
                assembly: Some(Assembly::default()),
            });
        }
        frame.meaning = Meaning::Headers;
        // A block in a single frame is not copied.
        let whole = begins && ends && place.len() <= limit;
        if let Some(block) = half.block.as_mut().filter(|_| !whole)
            && let Some(assembly) = &mut block.assembly
        {
            assembly.push(number, place.start, frame.bytes.get(place.clone()).unwrap_or_default());
            if assembly.cost() > limit {
                frame.faults.push(format!(
                    "the header block exceeds {limit} bytes and is not decoded: see --limit header-block"
                ));
                block.assembly = None;
                half.hpack.lose_track();
            }
        }
        let complete = half.block.take_if(|_| ends);
        match &complete {
            Some(block @ OpenBlock { assembly: Some(assembly), .. }) => {
                self.decode_block(&mut frame, place, block, assembly);
            }
            _ => {
                let fragment = Annotation::new(place, Layer::Hpack, "header block fragment");
                frame.annotations.push(fragment.rule(const { &Rule::http2("4.3") }));
            }
        }
        frame.annotations.extend(padding);
        frame.ends_stream = complete.as_ref().is_some_and(|block| block.ends_stream);
        self.keep(frame);
        if let Some(block) = complete.filter(|block| block.ends_stream) {
            self.end_of_direction(direction, block.stream, number);
        }
    }

    /// Decodes a header block whose last frame is `frame`, and distributes its annotations to its frames. A block that
    /// was not collected is at `place`.
    fn decode_block(&mut self, frame: &mut Frame, place: Range<usize>, block: &OpenBlock, assembly: &Assembly) {
        let (number, direction) = (frame.number, frame.direction);
        let decoder = &mut self.half_mut(direction).hpack;
        let (fields, error) = match assembly.bytes() {
            [] => decoder.decode_within(&frame.bytes, place, &mut frame.annotations),
            _ => {
                let decoded = decoder.decode(assembly.bytes());
                frame.annotations.append(&mut self.refine(assembly, &decoded.annotations, number));
                (decoded.fields, decoded.error)
            }
        };
        if let Some(error) = error {
            frame.faults.push(format!("COMPRESSION_ERROR: {error}"));
        } else {
            let meaning = classify(&fields, block.ends_stream);
            // A promise is a request, whatever its headers are.
            let other = block.promise && !matches!(meaning, Meaning::RequestHeaders { .. });
            frame.meaning = if other { Meaning::Headers } else { meaning };
        }
        if block.first_frame != number {
            self.with_kept(block.first_frame, |first| first.meaning = frame.meaning.clone());
        }
        frame.details = self.details(&fields);
        if !block.promise {
            self.headers_of_call(direction, block, &frame.meaning, &fields);
        }
        frame.headers = fields;
    }

    /// Decodes `grpc-status-details-bin`.
    fn details(&self, headers: &[HeaderField]) -> Option<Restored> {
        let field = headers.iter().find(|field| field.is("grpc-status-details-bin"))?;
        let bytes = headers::binary_value(field.value.as_deref()?)?;
        let (mut budget, depth) = (self.limits.annotations, self.limits.depth);
        let status = Some("google.rpc.Status");
        let mut annotations = Tree::default();
        protobuf::annotate(&mut annotations, &bytes, 0..bytes.len(), status, &self.schema, &mut budget, depth);
        Some(Restored { bytes, annotations })
    }

    fn headers_of_call(&mut self, direction: Direction, block: &OpenBlock, meaning: &Meaning, headers: &[HeaderField]) {
        if let Meaning::RequestHeaders { path } = meaning
            && direction == Direction::ToServer
        {
            self.forget_call(block.stream);
            if self.calls.len() >= self.limits.calls {
                self.forget_oldest();
            }
            self.calls.insert(block.stream, Call::new(path, &self.schema));
        }
        let opens =
            matches!(meaning, Meaning::RequestHeaders { .. } | Meaning::ResponseHeaders | Meaning::HttpResponse { .. });
        if let Some(call) = self.calls.get_mut(&block.stream).filter(|_| opens) {
            let half = call.half_mut(direction);
            half.open(headers);
            half.foreign |= matches!(meaning, Meaning::HttpResponse { .. });
        }
    }
}
