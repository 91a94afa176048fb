//! Rules for header fields in any block: those of HTTP/2, and those of gRPC for metadata.

use super::rule::{Field, HEADER, LintRule, Needs, Probe, Severity, find, rule};
use super::state::Place;
use super::stream::data_length;
use crate::inspector::decode::headers::base64;
use crate::inspector::model::annotation::{Document, Rule};
use crate::inspector::model::text;
use crate::wire::http2::FrameType;
use Severity::{Error, Note, Warning};

const ALL: [Place; 6] = [
    Place::Request,
    Place::RequestTrailers,
    Place::Informational,
    Place::Response,
    Place::ResponseAlone,
    Place::Trailers,
];

/// Connection-specific headers, which HTTP/2 forbids.
const OF_CONNECTIONS: [&str; 5] = ["connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade"];

/// Headers that gRPC or its implementations define.
const OF_GRPC: [&str; 14] = [
    "grpc-timeout",
    "grpc-encoding",
    "grpc-accept-encoding",
    "grpc-message-type",
    "grpc-status",
    "grpc-message",
    "grpc-status-details-bin",
    "grpc-previous-rpc-attempts",
    "grpc-retry-pushback-ms",
    "grpc-tags-bin",
    "grpc-trace-bin",
    "grpc-server-stats-bin",
    "grpc-internal-encoding-request",
    "grpc-internal-stream-encoding-request",
];

/// Headers that must have one value.
const SINGLE: [&str; 8] = [
    "content-type",
    "grpc-timeout",
    "grpc-encoding",
    "grpc-status",
    "grpc-message",
    "grpc-status-details-bin",
    "te",
    "host",
];

pub(super) const RULES: [LintRule; 16] = [
    rule("upper-case", Error, Rule::http2("8.2.1"), 16, "Header names must be lower case.", |probe| {
        each(probe, |field| {
            field
                .name
                .iter()
                .any(u8::is_ascii_uppercase)
                .then(|| format!("{} contains upper-case letters", name(field)))
        });
    }),
    rule(
        "name-illegal",
        Error,
        Rule::http2("8.2.1"),
        16,
        "Header names must be visible ASCII; a colon is allowed only as the first character.",
        |probe| {
            each(probe, |field| {
                let rest = field.name.strip_prefix(b":").unwrap_or(field.name);
                let wrong = |byte: &u8| matches!(byte, 0..=0x20 | b':' | 0x7f..);
                (rest.is_empty() || rest.iter().any(wrong))
                    .then(|| format!("\"{}\" is not a valid header name", name(field)))
            });
        },
    ),
    rule(
        "value-illegal",
        Error,
        Rule::http2("8.2.1"),
        17,
        "Header values must not contain NUL or line breaks.",
        |probe| {
            each_text(probe, |field| {
                let wrong = field.value.iter().any(|byte| matches!(byte, 0 | b'\r' | b'\n'));
                wrong.then(|| format!("the value of {} contains a NUL or a line break", name(field)))
            });
        },
    ),
    rule(
        "value-padded",
        Warning,
        Rule::http2("8.2.1"),
        18,
        "Header values must not begin or end with a space.",
        |probe| {
            each_text(probe, |field| {
                let space = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
                let padded = space(field.value.first()) || space(field.value.last());
                padded.then(|| format!("the value of {} begins or ends with a space", name(field)))
            });
        },
    ),
    rule(
        "connection-header",
        Error,
        Rule::http2("8.2.2"),
        11,
        "Connection-specific headers are forbidden in HTTP/2.",
        |probe| {
            each(probe, |field| {
                OF_CONNECTIONS.iter().any(|it| field.is(it)).then(|| format!("{} is an HTTP/1 header", name(field)))
            });
        },
    ),
    rule("te-other", Error, Rule::http2("8.2.2"), 3, "te must be trailers.", |probe| {
        each(probe, |field| {
            (field.is("te") && field.value != b"trailers").then(|| format!("te is \"{}\"", field.shown()))
        });
    }),
    rule("pseudo-late", Error, Rule::http2("8.3"), 5, "Pseudo-headers must precede all other headers.", |probe| {
        let Some(fields) = probe.fields(&ALL) else { return };
        let late = fields.iter().skip_while(|field| field.name.starts_with(b":"));
        for field in late.filter(|field| field.name.starts_with(b":")) {
            probe.report(field.range.clone(), format!("{} follows a regular header", name(field)));
        }
    }),
    rule("pseudo-twice", Error, Rule::http2("8.3"), 11, "A pseudo-header must occur once.", |probe| {
        let Some(fields) = probe.fields(&ALL) else { return };
        for (at, field) in fields.iter().enumerate().filter(|(_, field)| field.name.starts_with(b":")) {
            if fields.iter().take(at).any(|before| before.name == field.name) {
                probe.report(field.range.clone(), format!("{} occurs twice", name(field)));
            }
        }
    }),
    rule(
        "pseudo-unknown",
        Error,
        Rule::http2("8.3"),
        0,
        "Pseudo-headers must be defined for a request or a response.",
        |probe| {
            let request = probe.place == Some(Place::Request);
            let known: &[&str] = if request { &[":method", ":scheme", ":path", ":authority"] } else { &[":status"] };
            let Some(fields) =
                probe.fields(&[Place::Request, Place::Informational, Place::Response, Place::ResponseAlone])
            else {
                return;
            };
            for field in
                fields.iter().filter(|field| field.name.starts_with(b":") && !known.iter().any(|it| field.is(it)))
            {
                let what = if request { "a request" } else { "an answer" };
                probe.report(field.range.clone(), format!("{} is not a pseudo-header of {what}", name(field)));
            }
        },
    ),
    rule("pseudo-in-trailers", Error, Rule::http2("8.1"), 0, "Trailers must not contain pseudo-headers.", |probe| {
        let Some(fields) = probe.fields(&[Place::Trailers, Place::RequestTrailers]) else { return };
        for field in fields.iter().filter(|field| field.name.starts_with(b":")) {
            probe.report(field.range.clone(), format!("{} is a pseudo-header in trailers", name(field)));
        }
    }),
    rule(
        "header-list-size",
        Warning,
        Rule::http2("10.5.1"),
        23,
        "A header list should not exceed the receiver's SETTINGS_MAX_HEADER_LIST_SIZE.",
        |probe| {
            let receiver = probe.state.receiver(probe.frame.direction);
            // The limit binds the sender only after it has acknowledged the SETTINGS.
            let Some(limit) = receiver.max_headers.filter(|_| receiver.is_acknowledged()) else { return };
            let Some(fields) = probe.fields(&ALL) else { return };
            let size: usize = fields.iter().map(|field| field.name.len() + field.value.len() + 32).sum();
            if size as u64 > u64::from(limit) {
                probe.report(HEADER, format!("a header list of {size} bytes, but the receiver accepts {limit}"));
            }
        },
    )
    .needs(Needs::Both),
    rule(
        "single-twice",
        Warning,
        Rule::grpc("requests"),
        44,
        "Headers with a single value in gRPC must occur once.",
        |probe| {
            let Some(fields) = probe.fields(&ALL) else { return };
            for (at, field) in fields.iter().enumerate().filter(|(_, field)| SINGLE.iter().any(|it| field.is(it))) {
                if fields.iter().take(at).any(|before| before.name == field.name) {
                    probe.report(field.range.clone(), format!("{} occurs twice", name(field)));
                }
            }
        },
    ),
    rule("key-illegal", Warning, Rule::grpc("requests"), 16, "Metadata keys must consist of 0-9 a-z _ - .", |probe| {
        each(probe, |field| {
            let rest = field.name.strip_prefix(b":").unwrap_or(field.name);
            // The rules of HTTP/2 report the characters that it forbids.
            let only_grpc_forbids =
                |byte: &u8| matches!(byte, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'^' | b'`' | b'|' | b'~');
            rest.iter().any(only_grpc_forbids).then(|| format!("{} is not a valid metadata key", name(field)))
        });
    }),
    rule("value-not-ascii", Warning, Rule::grpc("requests"), 17, "Metadata values must be printable ASCII.", |probe| {
        each(probe, |field| {
            let own = field.name.ends_with(b"-bin") || field.is("grpc-message") || field.name.starts_with(b":");
            let wrong = |byte: &u8| !matches!(byte, 0x20..=0x7e | 0 | b'\r' | b'\n');
            (!own && field.value.iter().any(wrong))
                .then(|| format!("the value of {} is not printable ASCII", name(field)))
        });
    }),
    rule(
        "binary-malformed",
        Error,
        Rule::grpc("requests"),
        21,
        "Values of keys that end with -bin must be base64.",
        |probe| {
            each_text(probe, |field| {
                // A separate rule checks grpc-status-details-bin.
                let binary = field.name.ends_with(b"-bin") && !field.is("grpc-status-details-bin");
                let mut items = field.value.split(|byte| *byte == b',');
                let broken = binary && items.any(|item| base64(item.trim_ascii()).is_none());
                broken.then(|| format!("the value of {} is not base64", name(field)))
            });
        },
    ),
    rule("binary-padded", Note, Rule::grpc("requests"), 19, "Base64 should be sent without padding.", |probe| {
        each_text(probe, |field| {
            let padded = field.name.ends_with(b"-bin") && field.value.ends_with(b"=");
            padded.then(|| format!("the value of {} is padded with =", name(field)))
        });
    }),
];

/// Rules that need several fields, or a frame that is not HEADERS.
pub(super) const MORE: [LintRule; 3] = [
    rule(
        "grpc-header-unknown",
        Note,
        Rule::grpc("requests"),
        14,
        "Header names that begin with grpc- are reserved.",
        |probe| {
            each(probe, |field| {
                let reserved = field.name.starts_with(b"grpc-") && !OF_GRPC.iter().any(|it| field.is(it));
                reserved.then(|| format!("{} is reserved and not defined", name(field)))
            });
        },
    ),
    rule(
        "content-length",
        Error,
        Rule::http2("8.1.1"),
        0,
        "content-length must equal the length of all DATA.",
        |probe| {
            let Some(stream) = probe.stream().filter(|_| probe.frame.ends_stream) else { return };
            let way = stream.way(probe.frame.direction);
            let data = probe.header().filter(|header| header.kind == FrameType::DATA);
            let length = way.data + data.map_or(0, |header| data_length(probe.frame, header));
            if let Some(declared) = way.content_length.filter(|declared| *declared != length) {
                probe.report(
                    HEADER,
                    format!("content-length is {declared}, but {} arrived", text::count(length, "byte")),
                );
            }
        },
    )
    .needs(Needs::Side),
    rule(
        "host-beside-authority",
        Note,
        Rule::new(Document::Proposal, "A41-xds-rbac"),
        11,
        "A request should not have both :authority and host.",
        |probe| {
            let Some(fields) = probe.fields(&[Place::Request]) else { return };
            if let (Some(host), Some(_)) = (find(fields, "host"), find(fields, ":authority")) {
                let range = host.range.clone();
                probe.report(range, "both :authority and host are present; servers use :authority");
            }
        },
    ),
];

/// Reports each field of any block for which `fault` returns a sentence.
fn each(probe: &mut Probe<'_>, fault: impl Fn(&Field<'_>) -> Option<String>) {
    for field in probe.fields(&ALL).unwrap_or_default() {
        if let Some(sentence) = fault(field) {
            probe.report(field.range.clone(), sentence);
        }
    }
}

/// As [`each`], but skips binary metadata without base64 if the receiver accepts it (gRFC G1).
fn each_text(probe: &mut Probe<'_>, fault: impl Fn(&Field<'_>) -> Option<String>) {
    let binary = probe.state.may_be_true_binary(probe.frame.direction);
    each(probe, |field| fault(field).filter(|_| !(binary && field.is_true_binary())));
}

fn name(field: &Field<'_>) -> String {
    text::plain(field.name)
}
