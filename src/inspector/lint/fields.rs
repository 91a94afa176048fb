//! Rules for header fields wherever they stand: those of HTTP/2, and those of gRPC for metadata.

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

/// Headers that tell of one connection, which HTTP/2 tells in its own ways.
const OF_CONNECTIONS: [&str; 5] = ["connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade"];

/// Headers that gRPC defines, or that its implementations send.
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

/// Headers that have one value.
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
    rule("upper-case", Error, Rule::http2("8.2.1"), 16, "Names of headers are lower case.", |probe| {
        each(probe, |field| {
            field.name.iter().any(u8::is_ascii_uppercase).then(|| format!("{} has upper case letters", name(field)))
        });
    }),
    rule(
        "name-illegal",
        Error,
        Rule::http2("8.2.1"),
        16,
        "Names of headers are visible ASCII, without a colon but for the first place.",
        |probe| {
            each(probe, |field| {
                let rest = field.name.strip_prefix(b":").unwrap_or(field.name);
                let wrong = |byte: &u8| matches!(byte, 0..=0x20 | b':' | 0x7f..);
                (rest.is_empty() || rest.iter().any(wrong)).then(|| format!("\"{}\" is not a name", name(field)))
            });
        },
    ),
    rule(
        "value-illegal",
        Error,
        Rule::http2("8.2.1"),
        17,
        "No value of a header has a NUL or a line break.",
        |probe| {
            each_text(probe, |field| {
                let wrong = field.value.iter().any(|byte| matches!(byte, 0 | b'\r' | b'\n'));
                wrong.then(|| format!("the value of {} has a NUL or a line break", name(field)))
            });
        },
    ),
    rule(
        "value-padded",
        Warning,
        Rule::http2("8.2.1"),
        18,
        "No value of a header begins or ends with a space.",
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
        "Headers of a connection have no place in HTTP/2.",
        |probe| {
            each(probe, |field| {
                OF_CONNECTIONS.iter().any(|it| field.is(it)).then(|| format!("{} belongs to HTTP/1", name(field)))
            });
        },
    ),
    rule("te-other", Error, Rule::http2("8.2.2"), 3, "te has no value but trailers.", |probe| {
        each(probe, |field| {
            (field.is("te") && field.value != b"trailers").then(|| format!("te is \"{}\"", field.shown()))
        });
    }),
    rule("pseudo-late", Error, Rule::http2("8.3"), 5, "Pseudo-headers stand before all other headers.", |probe| {
        let Some(fields) = probe.fields(&ALL) else { return };
        let late = fields.iter().skip_while(|field| field.name.starts_with(b":"));
        for field in late.filter(|field| field.name.starts_with(b":")) {
            probe.report(field.range.clone(), format!("{} stands behind a regular header", name(field)));
        }
    }),
    rule("pseudo-twice", Error, Rule::http2("8.3"), 11, "A pseudo-header comes once.", |probe| {
        let Some(fields) = probe.fields(&ALL) else { return };
        for (at, field) in fields.iter().enumerate().filter(|(_, field)| field.name.starts_with(b":")) {
            if fields.iter().take(at).any(|before| before.name == field.name) {
                probe.report(field.range.clone(), format!("{} comes a second time", name(field)));
            }
        }
    }),
    rule(
        "pseudo-unknown",
        Error,
        Rule::http2("8.3"),
        0,
        "Pseudo-headers are those of a request or of an answer.",
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
                probe.report(field.range.clone(), format!("{} is no pseudo-header of {what}", name(field)));
            }
        },
    ),
    rule("pseudo-in-trailers", Error, Rule::http2("8.1"), 0, "Trailers have no pseudo-headers.", |probe| {
        let Some(fields) = probe.fields(&[Place::Trailers, Place::RequestTrailers]) else { return };
        for field in fields.iter().filter(|field| field.name.starts_with(b":")) {
            probe.report(field.range.clone(), format!("{} stands in trailers", name(field)));
        }
    }),
    rule(
        "header-list-size",
        Warning,
        Rule::http2("10.5.1"),
        23,
        "No header list is larger than its receiver announced.",
        |probe| {
            let receiver = probe.state.receiver(probe.frame.direction);
            // Before it has acknowledged them, the sender need not know.
            let Some(limit) = receiver.max_headers.filter(|_| receiver.settings.is_empty()) else { return };
            let Some(fields) = probe.fields(&ALL) else { return };
            let size: usize = fields.iter().map(|field| field.name.len() + field.value.len() + 32).sum();
            if size as u64 > u64::from(limit) {
                probe.report(HEADER, format!("a header list of {size} bytes where the receiver takes {limit}"));
            }
        },
    )
    .needs(Needs::Both),
    rule(
        "single-twice",
        Warning,
        Rule::grpc("requests"),
        44,
        "Headers that gRPC gives one value come once.",
        |probe| {
            let Some(fields) = probe.fields(&ALL) else { return };
            for (at, field) in fields.iter().enumerate().filter(|(_, field)| SINGLE.iter().any(|it| field.is(it))) {
                if fields.iter().take(at).any(|before| before.name == field.name) {
                    probe.report(field.range.clone(), format!("{} comes a second time", name(field)));
                }
            }
        },
    ),
    rule("key-illegal", Warning, Rule::grpc("requests"), 16, "Keys of metadata are made of 0-9 a-z _ - .", |probe| {
        each(probe, |field| {
            let rest = field.name.strip_prefix(b":").unwrap_or(field.name);
            // What HTTP/2 forbids is said by its own rules.
            let only_grpc_forbids =
                |byte: &u8| matches!(byte, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'^' | b'`' | b'|' | b'~');
            rest.iter().any(only_grpc_forbids).then(|| format!("{} is no key of metadata", name(field)))
        });
    }),
    rule("value-not-ascii", Warning, Rule::grpc("requests"), 17, "Values of metadata are printable ASCII.", |probe| {
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
        "Values whose key ends with -bin are base64.",
        |probe| {
            each_text(probe, |field| {
                // The details of a status have a rule of their own.
                let binary = field.name.ends_with(b"-bin") && !field.is("grpc-status-details-bin");
                let mut items = field.value.split(|byte| *byte == b',');
                let broken = binary && items.any(|item| base64(item.trim_ascii()).is_none());
                broken.then(|| format!("the value of {} is not base64", name(field)))
            });
        },
    ),
    rule("binary-padded", Note, Rule::grpc("requests"), 19, "Base64 is sent without padding.", |probe| {
        each_text(probe, |field| {
            let padded = field.name.ends_with(b"-bin") && field.value.ends_with(b"=");
            padded.then(|| format!("the value of {} is padded with =", name(field)))
        });
    }),
];

/// Rules that need more than one field, or a frame that is not HEADERS.
pub(super) const MORE: [LintRule; 3] = [
    rule(
        "grpc-header-unknown",
        Note,
        Rule::grpc("requests"),
        14,
        "Names that begin with grpc- are reserved.",
        |probe| {
            each(probe, |field| {
                let reserved = field.name.starts_with(b"grpc-") && !OF_GRPC.iter().any(|it| field.is(it));
                reserved.then(|| format!("{} is reserved and means nothing yet", name(field)))
            });
        },
    ),
    rule("content-length", Error, Rule::http2("8.1.1"), 0, "content-length is the length of all DATA.", |probe| {
        let Some(stream) = probe.stream().filter(|_| probe.frame.ends_stream) else { return };
        let way = stream.way(probe.frame.direction);
        let data = probe.header().filter(|header| header.kind == FrameType::DATA);
        let length = way.data + data.map_or(0, |header| data_length(probe.frame, header));
        if let Some(declared) = way.content_length.filter(|declared| *declared != length) {
            probe.report(HEADER, format!("content-length says {declared}, and {} came", text::count(length, "byte")));
        }
    })
    .needs(Needs::Side),
    rule(
        "host-beside-authority",
        Note,
        Rule::new(Document::Proposal, "A41-xds-rbac"),
        11,
        "Beside :authority there is no host.",
        |probe| {
            let Some(fields) = probe.fields(&[Place::Request]) else { return };
            if let (Some(host), Some(_)) = (find(fields, "host"), find(fields, ":authority")) {
                let range = host.range.clone();
                probe.report(range, "host stands beside :authority, which counts");
            }
        },
    ),
];

/// Reports each field of any block for which there is something to say.
fn each(probe: &mut Probe<'_>, says: impl Fn(&Field<'_>) -> Option<String>) {
    for field in probe.fields(&ALL).unwrap_or_default() {
        if let Some(sentence) = says(field) {
            probe.report(field.range.clone(), sentence);
        }
    }
}

/// As [`each`], without binary metadata that its receiver takes as it is (gRFC G1): it is no text.
fn each_text(probe: &mut Probe<'_>, says: impl Fn(&Field<'_>) -> Option<String>) {
    let binary = probe.state.may_be_true_binary(probe.frame.direction);
    each(probe, |field| says(field).filter(|_| !(binary && field.is_true_binary())));
}

fn name(field: &Field<'_>) -> String {
    text::plain(field.name)
}
