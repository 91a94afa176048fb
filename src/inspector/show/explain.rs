//! What stands behind each field: a sentence in our words, and where the specification says it in its own.
//!
//! The tables are ordered by specification. An entry is found by the rule of an annotation and its label; an entry without
//! label is for all others of the rule.

use std::collections::BTreeMap;

use crate::inspector::decode::headers::status_name;
use crate::inspector::model::annotation::{Annotation, Document, Layer, Rule};

/// Why bytes are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// One or two sentences.
    pub sentence: &'static str,
    /// The rule that they tell in other words; [`Rule::link`] leads to it.
    pub rule: Rule,
}

/// What an annotation is there for: first what it means, then how it is encoded. Nothing for bytes without a rule.
pub fn explain(annotation: &Annotation) -> Vec<Explanation> {
    let mut found = Vec::new();
    let label = annotation.label.to_string();
    let value = annotation.value.to_string();
    if annotation.layer == Layer::Hpack && !annotation.label.is_empty() {
        found.extend(HEADERS.iter().filter(|entry| entry.label == label).map(Entry::explanation));
        if label == "grpc-status" {
            found.extend(status(&value));
        }
    }
    let Some(rule) = annotation.rule else { return found };
    if label == "error code" {
        found.extend(CODES.iter().filter(|entry| entry.label == value).map(Entry::explanation));
    }
    let of_rule = || FIELDS.iter().filter(|entry| entry.rule == *rule);
    let entry = of_rule().find(|entry| entry.label == label).or_else(|| of_rule().find(|entry| entry.label.is_empty()));
    found.extend(entry.map(Entry::explanation));
    found
}

/// All sentences as a JSON object, for a page that finds them as [`explain`] does: `fields` by "document|section|label", and
/// without a label for all others of the section, `headers` and `codes` by their names, `status` by its number.
pub fn explanations() -> String {
    let by_label =
        |entries: &[Entry]| entries.iter().map(|entry| (entry.label, entry.sentence)).collect::<BTreeMap<_, _>>();
    let fields = FIELDS.iter().map(|Entry { rule, label, sentence }| {
        (format!("{}|{}|{label}", rule.document.name(), rule.section), *sentence)
    });
    serde_json::json!({
        "fields": fields.collect::<BTreeMap<_, _>>(),
        "headers": by_label(HEADERS),
        "codes": by_label(CODES),
        "status": STATUS,
    })
    .to_string()
}

/// What a status code says, from "5 (NOT_FOUND)".
fn status(value: &str) -> Option<Explanation> {
    let digits = value.split(' ').next()?;
    status_name(digits.as_bytes())?;
    let sentence = STATUS.get(digits.parse::<usize>().ok()?)?;
    let rule = Rule::new(Document::StatusCodes, "status-codes-and-their-use-in-grpc");
    Some(Explanation { sentence, rule })
}

struct Entry {
    rule: Rule,
    label: &'static str,
    sentence: &'static str,
}

impl Entry {
    fn explanation(&self) -> Explanation {
        Explanation { sentence: self.sentence, rule: self.rule }
    }
}

const fn http2(section: &'static str, label: &'static str, sentence: &'static str) -> Entry {
    Entry { rule: Rule::http2(section), label, sentence }
}

const fn hpack(section: &'static str, label: &'static str, sentence: &'static str) -> Entry {
    Entry { rule: Rule::hpack(section), label, sentence }
}

const fn grpc(section: &'static str, label: &'static str, sentence: &'static str) -> Entry {
    Entry { rule: Rule::grpc(section), label, sentence }
}

const fn protobuf(section: &'static str, label: &'static str, sentence: &'static str) -> Entry {
    Entry { rule: Rule::protobuf(section), label, sentence }
}

#[rustfmt::skip]
const FIELDS: &[Entry] = &[
    http2("3.4", "", "A client opens the connection with these 24 bytes, which no server of HTTP/1 takes for a request, so that a wrong peer shows at once."),
    http2("4.1", "length", "The bytes of the payload behind these nine. More than 16384 need the receiver's leave, in SETTINGS_MAX_FRAME_SIZE."),
    http2("4.1", "type", "What the frame is for, which decides how flags and payload are read. A frame of an unknown type is passed over."),
    http2("4.1", "flags", "Eight switches whose meaning depends on the type; those without a meaning are sent as zero and ignored."),
    http2("4.1", "stream", "One reserved bit and the number of the stream. A client's streams are odd and only grow; 0 is the connection itself."),
    http2("4.1", "", "Every frame begins with nine bytes: length, type, flags and stream."),
    http2("4.2", "", "The frame has a size that its type does not allow, which ends the stream or the connection."),
    http2("4.3", "", "Headers travel as one compressed block, cut into fragments that follow each other without another frame in between."),
    http2("6.1", "pad length", "How many zero bytes follow the data, to hide how long the data are. They count against the flow-control windows."),
    http2("6.1", "padding", "Zeros without a meaning."),
    http2("6.1", "", "DATA carries the bytes of the stream's content. Only these frames are subject to flow control."),
    http2("6.2", "pad length", "How many zero bytes follow the header block fragment, to hide its length."),
    http2("6.2", "stream dependency", "A priority as in the first edition of HTTP/2: deprecated, and ignored by most."),
    http2("6.2", "weight", "The share among streams that depend on the same one, from 1 to 256: deprecated with priorities as a whole."),
    http2("6.2", "padding", "Zeros without a meaning."),
    http2("6.2", "", "HEADERS opens a stream, begins an answer, or carries the trailers at its end."),
    http2("6.3", "weight", "The share among streams that depend on the same one, from 1 to 256: deprecated with priorities as a whole."),
    http2("6.3", "", "PRIORITY advises how streams depend on each other: deprecated, and ignored by most."),
    http2("6.4", "", "RST_STREAM ends a stream at once, without its trailers."),
    http2("6.5", "identifier", "Which setting this is; one that the receiver does not know is ignored."),
    http2("6.5", "value", "What the sender of SETTINGS takes, or wants, from now on."),
    http2("6.5", "HEADER_TABLE_SIZE", "The largest dynamic table that the sender keeps to decode header blocks. 4096 until it says otherwise."),
    http2("6.5", "ENABLE_PUSH", "Whether a server may push answers that nobody asked for. gRPC has no use for them, and its clients say 0."),
    http2("6.5", "MAX_CONCURRENT_STREAMS", "How many streams the peer may have open at once: in gRPC the number of calls in progress."),
    http2("6.5", "INITIAL_WINDOW_SIZE", "How many bytes of DATA a new stream may send before it is given more. It changes the streams that are open, too."),
    http2("6.5", "MAX_FRAME_SIZE", "The longest payload that the sender takes, from 16384 to 16777215."),
    http2("6.5", "MAX_HEADER_LIST_SIZE", "How large a header list the sender takes, with 32 bytes more for each header."),
    http2("6.5", "", "SETTINGS tell what their sender takes; each side begins with them, and acknowledges those of the other."),
    http2("6.6", "", "PUSH_PROMISE announces an answer that was not asked for. gRPC does not use it."),
    http2("6.7", "", "Eight bytes that come back as they are in a PING with ACK: they show that the peer is there, and how far away."),
    http2("6.8", "last stream", "The last stream that the sender has looked at, or may still. Calls beyond it did not happen and may be tried elsewhere."),
    http2("6.8", "debug data", "A hint for people, in no particular form: grpc servers say too_many_pings here."),
    http2("6.8", "", "GOAWAY ends the connection for new streams, while those up to the last one go on."),
    http2("6.9", "", "The receiver has made room: so many bytes of DATA more may be sent, on the stream or, on stream 0, on all together."),
    http2("6.10", "", "CONTINUATION goes on with the header block of the frame before."),
    http2("7", "", "Why the stream or the connection ends, as a number."),
    hpack("4.2", "", "The table's size changes at the beginning of a block."),
    hpack("5.2", "name length", "The length of the name in seven bits or more, behind one bit that says whether it is Huffman coded."),
    hpack("5.2", "value length", "The length of the value in seven bits or more, behind one bit that says whether it is Huffman coded."),
    hpack("5.2", "name", "The octets of the name; Huffman code makes frequent letters short, of five bits."),
    hpack("5.2", "value", "The octets of the value; Huffman code makes frequent letters short, of five bits."),
    hpack("5.2", "", "A string: its length, and its octets plain or Huffman coded."),
    hpack("6.1", "", "Name and value together stand in a table, and its index, one byte most of the time, is all that is sent."),
    hpack("6.2.1", "", "Both sides put the header into their dynamic table, so that its next use is a single index."),
    hpack("6.2.2", "", "The header is sent for this once and not remembered."),
    hpack("6.2.3", "", "The header is not to be remembered by anyone on the way: for secrets that could be guessed from sizes."),
    hpack("6.3", "", "The sender changes the size of its dynamic table, which drops the oldest entries."),
    grpc("requests", "Compressed-Flag", "0 for a message as it is, 1 for one compressed as grpc-encoding says. Other values are an error."),
    grpc("requests", "Message-Length", "The length of the message in four bytes, the highest first. It has nothing to do with the lengths of frames."),
    grpc("requests", "Message", "The message itself, in as many frames as it takes."),
    grpc("requests", "", "A message behind five bytes of prefix. Its borders and those of DATA frames have nothing to do with each other."),
    protobuf("structure", "tag", "The number of the field and, in the lowest three bits, how its value is laid out; names are not sent."),
    protobuf("structure", "", "A field: a tag, and a value. Fields that have their default value are not sent at all."),
    protobuf("varints", "", "A number in as few bytes as it needs, seven bits in each, the lowest first; the highest bit says that more follow."),
    protobuf("length-types", "length", "How many bytes of value follow, as a varint."),
    protobuf("length-types", "", "Text, bytes, a message or packed numbers: as many bytes as the length says."),
    protobuf("non-varint-numbers", "", "A number of four or eight bytes, the lowest first."),
    protobuf("packed", "", "Numbers of a repeated field, one after the other behind one tag."),
];

#[rustfmt::skip]
const HEADERS: &[Entry] = &[
    http2("8.3.1", ":method", "The method of HTTP: for gRPC always POST."),
    http2("8.3.1", ":scheme", "http or https, as the connection is."),
    http2("8.3.1", ":path", "For gRPC the service and the method: this alone decides who answers."),
    http2("8.3.1", ":authority", "The host that the client wants to reach: a server may have more than one name."),
    http2("8.3.2", ":status", "The status of HTTP. Every answer of gRPC has 200: whether the call succeeded stands in grpc-status."),
    grpc("requests", "te", "The client takes trailers. Proxies that would drop them show by its absence."),
    grpc("requests", "content-type", "The content is gRPC, perhaps with the message format behind a plus. A server answers anything else with HTTP 415."),
    grpc("requests", "user-agent", "Which library and version the client is, for those who look into logs."),
    grpc("requests", "grpc-timeout", "How long the client waits: at most eight digits and a unit. The server stops its work then, too."),
    grpc("requests", "grpc-encoding", "How messages are compressed whose Compressed-Flag is 1."),
    grpc("requests", "grpc-accept-encoding", "What the sender can restore, and so what may be sent back to it."),
    grpc("requests", "grpc-previous-rpc-attempts", "How often the call was tried before; the first attempt does not say it."),
    grpc("responses", "grpc-status", "How the call has ended. It stands at the end, because a server learns it last."),
    grpc("responses", "grpc-message", "What went wrong, for people: UTF-8, percent-encoded where it is not printable ASCII."),
    grpc("responses", "grpc-status-details-bin", "What went wrong, for programs: a google.rpc.Status in base64, with the same code."),
    grpc("responses", "grpc-retry-pushback-ms", "When the server wants the call to be tried again, in milliseconds; not at all if it is negative."),
];

#[rustfmt::skip]
const CODES: &[Entry] = &[
    http2("7", "NO_ERROR", "Nothing is wrong: the sender is just done."),
    http2("7", "PROTOCOL_ERROR", "The peer did what HTTP/2 does not allow."),
    http2("7", "INTERNAL_ERROR", "The sender itself has failed."),
    http2("7", "FLOW_CONTROL_ERROR", "The peer sent more than the windows had room for, or made one too large."),
    http2("7", "SETTINGS_TIMEOUT", "SETTINGS were not acknowledged in time."),
    http2("7", "STREAM_CLOSED", "A frame came for a stream that was over."),
    http2("7", "FRAME_SIZE_ERROR", "A frame had a size that is not allowed."),
    http2("7", "REFUSED_STREAM", "The stream was not looked at: it is safe to try the call again."),
    http2("7", "CANCEL", "The stream is no longer wanted: a call was given up, or its deadline has passed."),
    http2("7", "COMPRESSION_ERROR", "A header block could not be decoded, and with it the tables of both sides are lost."),
    http2("7", "CONNECT_ERROR", "The connection behind a CONNECT broke."),
    http2("7", "ENHANCE_YOUR_CALM", "The peer does too much of something: PINGs, resets, empty frames."),
    http2("7", "INADEQUATE_SECURITY", "TLS is not as strong as HTTP/2 demands."),
    http2("7", "HTTP_1_1_REQUIRED", "The peer is asked to come back with HTTP/1.1."),
];

/// The position is the number.
const STATUS: [&str; 17] = [
    "OK: the call has succeeded.",
    "CANCELLED: the call was given up, most of the time by its caller.",
    "UNKNOWN: something failed, and nothing more is known of it.",
    "INVALID_ARGUMENT: the request makes no sense, whatever the state of the system.",
    "DEADLINE_EXCEEDED: the time was up before the call had ended; what it asked for may have happened all the same.",
    "NOT_FOUND: what was asked for does not exist.",
    "ALREADY_EXISTS: what was to be created is there.",
    "PERMISSION_DENIED: the caller is known and may not do this.",
    "RESOURCE_EXHAUSTED: a quota, or memory, or the limit of a message's size is used up.",
    "FAILED_PRECONDITION: the system is not in the state that the call needs; trying again does not help before it is.",
    "ABORTED: another call came in between; the whole transaction may be tried again.",
    "OUT_OF_RANGE: the call goes beyond the end of something, which may grow.",
    "UNIMPLEMENTED: the server does not have this method.",
    "INTERNAL: something that always holds did not: a bug, or a peer that speaks wrongly.",
    "UNAVAILABLE: the server can't be reached now; trying again after a while may help.",
    "DATA_LOSS: data are lost or damaged for good.",
    "UNAUTHENTICATED: the caller did not show who it is.",
];
