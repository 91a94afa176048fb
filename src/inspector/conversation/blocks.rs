//! Header blocks of a conversation: gathered over their frames, decoded, and given back to them.

use super::Conversation;
use crate::inspector::assembly::Assembly;
use crate::inspector::call::{Call, classify};
use crate::inspector::frame::{Direction, Frame, Meaning, Restored};
use crate::inspector::half::OpenBlock;
use crate::inspector::headers;
use crate::inspector::hpack::HeaderField;
use crate::inspector::http2::{FrameHeader, FrameType};
use crate::inspector::protobuf;

impl Conversation {
    /// Between the first and the last frame of a header block, nothing else may stand (RFC 9113, section 4.3).
    pub(super) fn hold_block_together(&mut self, frame: &mut Frame, header: &FrameHeader) {
        let half = self.half_mut(frame.direction);
        let open = half.block.as_ref().map(|block| block.stream);
        let continues = header.kind == FrameType::CONTINUATION;
        if let Some(stream) = open.filter(|&stream| !continues || stream != header.stream) {
            frame.faults.push(format!("PROTOCOL_ERROR: the header block of stream {stream} is not complete"));
        } else if open.is_none() && continues {
            frame.faults.push("PROTOCOL_ERROR: there is no header block to continue".to_owned());
        } else {
            return;
        }
        half.block = None;
        half.hpack.lose_track();
    }

    pub(super) fn header_block(&mut self, mut frame: Frame, header: &FrameHeader, start: usize, fragment: &[u8]) {
        let (number, limit) = (frame.number, self.limits.header_block);
        let half = self.half_mut(frame.direction);
        if header.kind != FrameType::CONTINUATION {
            half.block = Some(OpenBlock {
                first_frame: number,
                stream: header.stream,
                ends_stream: header.ends_stream(),
                promise: header.kind == FrameType::PUSH_PROMISE,
                assembly: Some(Assembly::default()),
            });
        }
        frame.meaning = Meaning::Headers;
        let Some(block) = &mut half.block else { return self.keep(frame) };
        if let Some(assembly) = &mut block.assembly {
            assembly.push(number, start, fragment);
            if assembly.cost() > limit {
                frame.faults.push(format!("the header block is over {limit} bytes and not decoded"));
                block.assembly = None;
                half.hpack.lose_track();
            }
        }
        let complete = half.block.take_if(|_| header.has(FrameHeader::END_HEADERS));
        self.keep(frame);
        if let Some(block) = complete {
            self.complete_block(number, block);
        }
    }

    /// Decodes a header block whose last frame is `number`, and gives its annotations to its frames.
    fn complete_block(&mut self, number: u64, block: OpenBlock) {
        let Some(direction) = self.kept(number).map(|frame| frame.direction) else { return };
        if let Some(assembly) = &block.assembly {
            let decoded = self.half_mut(direction).hpack.decode(assembly.bytes());
            let meaning = match decoded.error {
                None => classify(&decoded.fields, block.ends_stream),
                Some(_) => Meaning::Headers,
            };
            self.refine(assembly, decoded.annotations, number);
            let details = self.details(&decoded.fields);
            if !block.promise {
                self.headers_of_call(direction, &block, &meaning, &decoded.fields);
            }
            if block.first_frame != number {
                self.with_kept(block.first_frame, |first| first.meaning = meaning.clone());
            }
            self.with_kept(number, |last| {
                last.meaning = meaning;
                last.details = details;
                last.headers = decoded.fields;
                last.ends_stream = block.ends_stream;
                if let Some(error) = decoded.error {
                    last.faults.push(format!("COMPRESSION_ERROR: {error}"));
                }
            });
        }
        if block.ends_stream {
            if block.assembly.is_none() {
                self.with_kept(number, |last| last.ends_stream = true);
            }
            self.end_of_direction(direction, block.stream, number);
        }
    }

    /// What `grpc-status-details-bin` holds.
    fn details(&self, headers: &[HeaderField]) -> Option<Restored> {
        let field = headers.iter().find(|field| field.is("grpc-status-details-bin"))?;
        let bytes = headers::base64(field.value.as_deref()?)?;
        let (mut budget, depth) = (self.limits.annotations, self.limits.depth);
        let status = Some("google.rpc.Status");
        let annotations =
            protobuf::annotate(Vec::new(), &bytes, 0..bytes.len(), status, &self.schema, &mut budget, depth);
        Some(Restored { bytes, annotations })
    }

    fn headers_of_call(&mut self, direction: Direction, block: &OpenBlock, meaning: &Meaning, headers: &[HeaderField]) {
        if let Meaning::RequestHeaders { path } = meaning
            && direction == Direction::ToServer
        {
            self.forget_call(block.stream);
            if self.calls.len() >= self.limits.calls
                && let Some((&oldest, _)) = self.calls.first_key_value()
            {
                self.forget_call(oldest);
            }
            self.calls.insert(block.stream, Call::new(path, &self.schema));
        }
        let opens =
            matches!(meaning, Meaning::RequestHeaders { .. } | Meaning::ResponseHeaders | Meaning::HttpResponse { .. });
        if let Some(call) = self.calls.get_mut(&block.stream).filter(|_| opens) {
            call.side_mut(direction).open(headers);
        }
    }
}
