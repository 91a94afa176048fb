//! Rules for Length-Prefixed-Messages: their framing, compression and number.

use std::ops::Range;

use super::rule::{HEADER, LintRule, Needs, Probe, Severity, find, rule};
use super::state::Place;
use crate::inspector::follow::borders::Prefix;
use crate::inspector::model::annotation::{Document, Layer, Rule};
use crate::inspector::model::frame::{Direction, Frame, Meaning};
use crate::inspector::model::text;
use crate::wire::http2::FrameType;
use Severity::{Error, Note, Warning};

const REQUESTS: Rule = Rule::grpc("requests");
const COMPRESSION: Rule = Rule::new(Document::Compression, "specification");

/// The default message limit of receivers.
const DEFAULT_LIMIT: u32 = 4 << 20;

pub(super) const RULES: [LintRule; 12] = [
    rule("message-truncated", Error, REQUESTS, 34, "A stream must not end inside a message.", |probe| {
        let Some(fault) = truncated(probe.frame) else { return };
        let (last, before) = probe.state.stalls.prefixes(probe.frame.direction, probe.frame.stream());
        match (last, before) {
            (Some(last @ Prefix { length: Some(length), .. }), _) => {
                let number = probe.frame.number;
                probe.report_prefix(
                    last,
                    format!("{fault} (frame {number}): the length in its prefix, {length}, may be too large"),
                );
            }
            (Some(last), None) => probe.report_prefix(last, fault),
            // The rule about lengths points at the prefix before.
            _ => probe.report(HEADER, fault),
        }
    }),
    rule(
        "length-doubtful",
        Note,
        REQUESTS,
        25,
        "If the bytes after a message are not a message, the length in its prefix may be wrong.",
        |probe| {
            let truncated = truncated(probe.frame).map(|fault| {
                let (last, before) = probe.state.stalls.prefixes(probe.frame.direction, probe.frame.stream());
                (last, before, fault)
            });
            let of_flag = |last: &Prefix| format!("the Compressed-Flag is 0x{:02x}", last.flag);
            let reserved = probe.state.stalls.reserved().iter();
            let reserved = reserved.map(|(last, before)| (Some(last), before.as_ref(), of_flag(last)));
            for (last, before, why) in reserved.chain(truncated) {
                let (Some(last), Some(before)) = (last, before) else { continue };
                let (message, length) = (before.message, text::count(before.length.unwrap_or(0).into(), "byte"));
                let (frame, Range { start, end }) = (last.frame, &last.range);
                probe.report_prefix(
                    before,
                    format!(
                        "the length of message {message}, {length}, may be wrong: where the next message begins (frame \
                         {frame}, bytes {start}..{end}), {why}"
                    ),
                );
            }
        },
    ),
    rule("flag-reserved", Error, REQUESTS, 26, "The Compressed-Flag must be 0 or 1.", |probe| {
        probe.report_faults(Layer::Grpc, |fault| fault == "the Compressed-Flag must be 0 or 1");
    }),
    rule(
        "compressed-without-encoding",
        Error,
        COMPRESSION,
        27,
        "A compressed message requires a grpc-encoding.",
        |probe| {
            let Some(stream) = probe.stream() else { return };
            let way = stream.way(probe.frame.direction);
            let none = way.known && way.encoding.is_none();
            if none && let Some(message) = probe.frame.messages.iter().find(|message| message.compressed) {
                let range = place(probe.frame, message.segments.last());
                probe.report(range, "the Compressed-Flag is 1, but there was no grpc-encoding header");
            }
        },
    ),
    rule(
        "encoding-not-accepted",
        Error,
        COMPRESSION,
        32,
        "A server may only use encodings in grpc-accept-encoding.",
        |probe| {
            let Some(fields) = probe.fields(&[Place::Response]) else { return };
            let stream = probe.stream().filter(|stream| stream.request.known);
            let (Some(encoding), Some(stream)) = (find(fields, "grpc-encoding"), stream) else { return };
            let name = String::from_utf8_lossy(encoding.value);
            let accepts = stream.accepts.as_deref().unwrap_or_default();
            let listed = accepts.split(',').any(|listed| listed.trim().eq_ignore_ascii_case(&name));
            if !listed && name != "identity" {
                probe.report(
                    encoding.range.clone(),
                    format!("the client did not list {} in grpc-accept-encoding", text::plain(encoding.value)),
                );
            }
        },
    ),
    rule("compressed-broken", Error, COMPRESSION, 30, "Each compressed message must decompress on its own.", |probe| {
        probe.report_faults(Layer::Opaque, |fault| fault.starts_with("can't be decompressed"));
    }),
    rule(
        "message-undecodable",
        Warning,
        Rule::new(Document::StatusCodes, "status-codes-and-their-use-in-grpc"),
        46,
        "A message must decode as its type.",
        |probe| {
            let codec = probe.stream().and_then(|stream| stream.way(probe.frame.direction).protobuf);
            // gRPC does not restrict the content of messages whose type is unknown.
            let typed = || probe.frame.messages.iter().any(|message| message.type_name.is_some());
            if codec.unwrap_or_else(typed) {
                probe.report_faults(Layer::Protobuf, |_| true);
            }
        },
    ),
    rule("message-large", Note, REQUESTS, 28, "Receivers refuse messages over 4 MiB by default.", |probe| {
        let large = probe.frame.messages.iter().find(|message| message.length > DEFAULT_LIMIT);
        if let Some(message) = large {
            let range = place(probe.frame, message.segments.last());
            probe.report(
                range,
                format!(
                    "a message of {}: receivers accept 4 MiB by default",
                    text::count(message.length.into(), "byte")
                ),
            );
        }
    }),
    rule("two-requests", Error, REQUESTS, 47, "A method without client streaming takes one request.", |probe| {
        too_many(probe, Direction::ToServer);
    }),
    rule(
        "two-answers",
        Error,
        Rule::grpc("responses"),
        47,
        "A method without server streaming returns one response.",
        |probe| {
            too_many(probe, Direction::ToClient);
        },
    ),
    rule("no-request", Error, REQUESTS, 47, "A method without client streaming requires a request.", |probe| {
        let Some(header) =
            probe.header().filter(|_| probe.frame.direction == Direction::ToServer && probe.frame.ends_stream)
        else {
            return;
        };
        let (kind, before) = match (probe.place, probe.stream()) {
            (Some(Place::Request), _) => {
                let Meaning::RequestHeaders { path } = &probe.frame.meaning else { return };
                (probe.state.schema.method(path).and_then(|types| types.kind), 0)
            }
            (_, Some(stream)) if header.kind == FrameType::DATA => (stream.kind, stream.request.messages),
            _ => return,
        };
        // DATA of a call that was not followed are not decoded.
        let empty =
            probe.stream().is_none_or(|stream| stream.request.data == 0) && probe.frame.meaning != Meaning::Data;
        let due = kind.is_some_and(|kind| !kind.streams(Direction::ToServer));
        probe.report_if(due && empty && before + probe.frame.messages.len() as u64 == 0, HEADER);
    })
    .needs(Needs::Side),
    rule(
        "no-answer",
        Error,
        Rule::grpc("responses"),
        48,
        "Status OK of a method without server streaming requires a response message.",
        |probe| {
            let Some(fields) = probe.fields(&[Place::ResponseAlone, Place::Trailers]) else { return };
            let ok = find(fields, "grpc-status").is_some_and(|status| status.value == b"0");
            let missing = probe.stream().is_some_and(|stream| {
                stream.kind.is_some_and(|kind| !kind.streams(Direction::ToClient))
                    // DATA of a call that was not followed are not decoded.
                    && stream.response.messages == 0
                    && stream.response.data == 0
            });
            probe.report_if(ok && missing, HEADER);
        },
    )
    .needs(Needs::Side),
];

/// Returns the decoder's fault of a stream that ends inside a message. A server may give up a message with an error.
fn truncated(frame: &Frame) -> Option<String> {
    if matches!(&frame.meaning, Meaning::Trailers { status: Some(status) } if status != "0") {
        return None;
    }
    frame.faults.iter().find(|fault| fault.starts_with("the stream ends inside a message")).cloned()
}

/// Reports the second message in a direction that allows one.
fn too_many(probe: &mut Probe<'_>, direction: Direction) {
    let Some(stream) = probe.stream().filter(|_| probe.frame.direction == direction) else { return };
    let one = stream.kind.is_some_and(|kind| !kind.streams(direction));
    if let Some(second) = probe.frame.messages.iter().find(|message| one && message.number == 2) {
        let range = place(probe.frame, second.segments.last());
        probe.report(range, "a second message where only one is allowed");
    }
}

/// Returns the range of the message's part in the frame.
fn place(frame: &Frame, segment: Option<&(u64, Range<usize>)>) -> Range<usize> {
    segment.filter(|(number, _)| *number == frame.number).map_or(HEADER, |(_, range)| range.clone())
}
