//! Explains annotations: a short sentence for each field, with a link to the specification.
//!
//! The tables are ordered by specification. An entry is found by the rule and the label of an annotation; an entry
//! without a label is the default of its rule.

use std::collections::BTreeMap;

use crate::inspector::decode::headers::status_name;
use crate::inspector::model::annotation::{Annotation, Document, Layer, Rule};

/// The explanation of an annotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// One or two sentences.
    pub sentence: &'static str,
    /// The rule that the sentence paraphrases; [`Rule::link`] returns its address.
    pub rule: Rule,
}

/// Returns the explanations of an annotation: first its meaning, then its encoding. Empty for bytes without a rule.
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

/// Returns all sentences as a JSON object, for a page that finds them as [`explain`] does: `fields` by
/// "document|section|label", or with an empty label for the section's default; `headers` and `codes` by name; `status`
/// by number.
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

/// Returns the explanation of a status code, given as "5 (NOT_FOUND)".
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

const fn proxy(section: &'static str, sentence: &'static str) -> Entry {
    Entry { rule: Rule::new(Document::ProxyProtocol, section), label: "", sentence }
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
    proxy("2.1", "A proxy tells the server the addresses of its client in one line, before everything else."),
    proxy("2.2", "A proxy tells the server the addresses of its client in binary form, before everything else. LOCAL is the proxy's own connection."),
    Entry { rule: Rule::http1("2.1"), label: "", sentence: "A message of HTTP/1.1. HTTP/2 follows an upgrade that the server accepts with 101 (RFC 7540, section 3.2), or a tunnel by CONNECT." },
    Entry { rule: Rule::http1("5"), label: "HTTP2-Settings", sentence: "The client's first SETTINGS in base64url, which the server acknowledges with 101 (RFC 7540, section 3.2.1)." },
    Entry { rule: Rule::http1("5"), label: "", sentence: "A header line of HTTP/1.1: a name, a colon and a value." },
    Entry { rule: Rule::http1("7.1"), label: "", sentence: "A chunk of a body: its size in hex, its octets and a line break. The last chunk is empty." },
    http2("3.4", "", "A client opens the connection with these 24 bytes. An HTTP/1 server rejects them, so a wrong peer is noticed at once."),
    http2("4.1", "length", "The number of payload bytes after this nine-byte header. More than 16384 are allowed only if the receiver's SETTINGS_MAX_FRAME_SIZE permits it."),
    http2("4.1", "type", "The frame type determines the meaning of flags and payload. Receivers ignore frames of unknown types."),
    http2("4.1", "flags", "Eight flags whose meaning depends on the type. Undefined flags are sent as zero and ignored."),
    http2("4.1", "stream", "One reserved bit and the stream number. Streams that a client opens have odd, increasing numbers; 0 is the connection."),
    http2("4.1", "", "Every frame begins with nine bytes: length, type, flags and stream."),
    http2("4.2", "", "The frame type does not allow this size; the error ends the stream or the connection."),
    http2("4.3", "", "Headers are sent as one compressed block, split into fragments. No other frame may come between the fragments."),
    http2("6.1", "pad length", "The number of zero bytes after the data. Padding hides the length of the data and counts against flow control."),
    http2("6.1", "padding", "Zero bytes, ignored by the receiver."),
    http2("6.1", "", "DATA carries the content of the stream. Only DATA is subject to flow control."),
    http2("6.2", "pad length", "The number of zero bytes after the header block fragment, which hide its length."),
    http2("6.2", "stream dependency", "A stream priority of RFC 7540: deprecated, and ignored by most implementations."),
    http2("6.2", "weight", "The share among streams with the same dependency, from 1 to 256; deprecated together with all priorities."),
    http2("6.2", "padding", "Zero bytes, ignored by the receiver."),
    http2("6.2", "", "HEADERS opens a stream, begins a response, or carries the trailers."),
    http2("6.3", "weight", "The share among streams with the same dependency, from 1 to 256; deprecated together with all priorities."),
    http2("6.3", "", "PRIORITY suggests how streams depend on each other: deprecated, and ignored by most implementations."),
    http2("6.4", "", "RST_STREAM ends a stream immediately, without trailers."),
    http2("6.5", "identifier", "The number of the setting. Receivers ignore unknown settings."),
    http2("6.5", "value", "The value that the sender of SETTINGS uses from now on."),
    http2("6.5", "HEADER_TABLE_SIZE", "The largest dynamic table that the sender uses to decode header blocks. The default is 4096."),
    http2("6.5", "ENABLE_PUSH", "1 lets the server push responses without a request. gRPC does not use server push, so its clients send 0."),
    http2("6.5", "MAX_CONCURRENT_STREAMS", "The number of streams that the peer may have open at the same time. In gRPC this limits the calls in progress."),
    http2("6.5", "INITIAL_WINDOW_SIZE", "The number of bytes of DATA that may be sent on a new stream before a WINDOW_UPDATE. A change also applies to open streams."),
    http2("6.5", "MAX_FRAME_SIZE", "The longest frame payload that the sender accepts, from 16384 to 16777215."),
    http2("6.5", "MAX_HEADER_LIST_SIZE", "The largest header list that the sender accepts, counting 32 extra bytes for each header."),
    http2("6.5", "", "SETTINGS announce the limits of their sender. Each side begins with them, and acknowledges those of the other side."),
    http2("6.6", "", "PUSH_PROMISE announces a response without a request. gRPC does not use it."),
    http2("6.7", "", "Eight bytes that the peer returns unchanged in a PING with ACK. They test the connection and measure the round-trip time."),
    http2("6.8", "last stream", "The last stream that the sender has processed or may process. Calls on higher streams were not processed and can be retried on another connection."),
    http2("6.8", "debug data", "Optional debug information in any format. gRPC servers send too_many_pings here."),
    http2("6.8", "", "GOAWAY refuses new streams; streams up to the last stream continue."),
    http2("6.9", "", "The number of additional bytes of DATA that may be sent on this stream, or on the whole connection for stream 0."),
    http2("6.10", "", "CONTINUATION continues the header block of the previous frame."),
    http2("7", "", "The reason why the stream or the connection ends."),
    hpack("4.2", "", "The size of the dynamic table may change only at the beginning of a block."),
    hpack("5.2", "name length", "One bit for Huffman coding, followed by the length of the name in seven or more bits."),
    hpack("5.2", "value length", "One bit for Huffman coding, followed by the length of the value in seven or more bits."),
    hpack("5.2", "name", "The octets of the name. Huffman coding uses as few as five bits for frequent letters."),
    hpack("5.2", "value", "The octets of the value. Huffman coding uses as few as five bits for frequent letters."),
    hpack("5.2", "", "A string: its length and its octets, which may be Huffman coded."),
    hpack("6.1", "", "Name and value are in a table, so only the index is sent, usually one byte."),
    hpack("6.2.1", "", "Both sides add the header to their dynamic tables, so that it can be sent as an index next time."),
    hpack("6.2.2", "", "The header is sent without adding it to the dynamic table."),
    hpack("6.2.3", "", "No proxy may add the header to a table. This protects secrets that could be guessed from compressed sizes."),
    hpack("6.3", "", "The sender changes the size of the dynamic table; a smaller size evicts the oldest entries."),
    grpc("requests", "Compressed-Flag", "0 for an uncompressed message, 1 for a message compressed with grpc-encoding. Other values are an error."),
    grpc("requests", "Message-Length", "The length of the message as a four-byte big-endian number, independent of frame lengths."),
    grpc("requests", "Message", "The message itself; it may span several frames."),
    grpc("requests", "", "A message after a five-byte prefix. Message boundaries are independent of DATA frames."),
    protobuf("structure", "tag", "The number of the field and, in the lowest three bits, its wire type. Field names are not sent."),
    protobuf("structure", "", "A field: a tag and a value. Fields with their default value are usually not sent."),
    protobuf("varints", "", "A number in seven-bit groups, the lowest first. The highest bit of a byte is set if more bytes follow."),
    protobuf("length-types", "length", "The length of the value, as a varint."),
    protobuf("length-types", "", "Text, bytes, a message or packed numbers, of the length given before."),
    protobuf("non-varint-numbers", "", "A little-endian number of four or eight bytes."),
    protobuf("packed", "", "The numbers of a repeated field, one after the other, with one tag for all."),
];

#[rustfmt::skip]
const HEADERS: &[Entry] = &[
    http2("8.3.1", ":method", "The HTTP method: always POST for gRPC."),
    http2("8.3.1", ":scheme", "http or https."),
    http2("8.3.1", ":path", "The gRPC service and method. The path alone selects the handler."),
    http2("8.3.1", ":authority", "The host that the client wants to reach; one server can serve several hosts."),
    http2("8.3.2", ":status", "The HTTP status. Every gRPC response has 200; the result of the call is in grpc-status."),
    grpc("requests", "te", "The client accepts trailers. If a proxy that drops trailers removes this header, the server notices."),
    grpc("requests", "content-type", "The content is gRPC, optionally with the message format after a plus sign. A server responds to anything else with HTTP 415."),
    grpc("requests", "user-agent", "The library and version of the client, for logs."),
    grpc("requests", "grpc-timeout", "The time until the client gives up: at most eight digits and a unit. The server can stop its work then, too."),
    grpc("requests", "grpc-encoding", "The compression of messages whose Compressed-Flag is 1."),
    grpc("requests", "grpc-accept-encoding", "The encodings that the sender can decompress, and so may be used for messages to it."),
    grpc("requests", "grpc-previous-rpc-attempts", "The number of earlier attempts of this call; the first attempt does not send it."),
    grpc("responses", "grpc-status", "The result of the call. It is sent in trailers, because the server knows it only at the end."),
    grpc("responses", "grpc-message", "An error description for people: UTF-8, with percent-encoding for everything but printable ASCII."),
    grpc("responses", "grpc-status-details-bin", "Error details for programs: a google.rpc.Status in base64, with the same code."),
    grpc("responses", "grpc-retry-pushback-ms", "The delay before the client should retry, in milliseconds. A negative value means: do not retry."),
];

#[rustfmt::skip]
const CODES: &[Entry] = &[
    http2("7", "NO_ERROR", "No error: the sender has finished."),
    http2("7", "PROTOCOL_ERROR", "The peer violated HTTP/2."),
    http2("7", "INTERNAL_ERROR", "The sender had an internal error."),
    http2("7", "FLOW_CONTROL_ERROR", "The peer sent more than the window allowed, or made a window too large."),
    http2("7", "SETTINGS_TIMEOUT", "SETTINGS were not acknowledged in time."),
    http2("7", "STREAM_CLOSED", "A frame arrived on a stream that had ended."),
    http2("7", "FRAME_SIZE_ERROR", "A frame had an invalid size."),
    http2("7", "REFUSED_STREAM", "The stream was not processed: it is safe to retry the call."),
    http2("7", "CANCEL", "The stream is no longer needed: the call was cancelled, or its deadline has passed."),
    http2("7", "COMPRESSION_ERROR", "A header block could not be decoded, so the HPACK tables of both sides no longer match."),
    http2("7", "CONNECT_ERROR", "The connection of a CONNECT request failed."),
    http2("7", "ENHANCE_YOUR_CALM", "The peer sends too much of something, such as PINGs, resets or empty frames."),
    http2("7", "INADEQUATE_SECURITY", "TLS does not meet the security requirements of HTTP/2."),
    http2("7", "HTTP_1_1_REQUIRED", "The peer should use HTTP/1.1 instead."),
];

/// The explanations by status number.
const STATUS: [&str; 17] = [
    "OK: the call succeeded.",
    "CANCELLED: the call was cancelled, usually by the caller.",
    "UNKNOWN: an error without further information.",
    "INVALID_ARGUMENT: the request is invalid, regardless of the state of the system.",
    "DEADLINE_EXCEEDED: the deadline passed before the call ended; the operation may have succeeded nevertheless.",
    "NOT_FOUND: the requested entity does not exist.",
    "ALREADY_EXISTS: the entity to be created exists already.",
    "PERMISSION_DENIED: the caller is authenticated, but not allowed to do this.",
    "RESOURCE_EXHAUSTED: a quota, the memory, or the message size limit is exceeded.",
    "FAILED_PRECONDITION: the system is not in the required state; retrying does not help until that changes.",
    "ABORTED: the call conflicted with another one; retry the whole transaction.",
    "OUT_OF_RANGE: the call goes beyond the valid range, which may grow later.",
    "UNIMPLEMENTED: the server does not implement this method.",
    "INTERNAL: an invariant was broken: a bug, or a peer that violates the protocol.",
    "UNAVAILABLE: the server is not available now; retrying after a while may help.",
    "DATA_LOSS: data are permanently lost or damaged.",
    "UNAUTHENTICATED: the caller is not authenticated.",
];
