//! Rules for responses: Response-Headers, Trailers, Trailers-Only, and their status (PROTOCOL-HTTP2.md, "Responses").

use super::rule::{Field, HEADER, LintRule, Needs, Probe, Severity, find, rule};
use super::state::Place;
use crate::inspector::decode::call::is_grpc;
use crate::inspector::decode::headers::binary_value;
use crate::inspector::model::annotation::{Document, Rule};
use crate::inspector::model::fields::{Fields, Payload};
use crate::inspector::model::frame::Direction;
use crate::inspector::model::text;
use crate::wire::http2::FrameType;
use Severity::{Error, Note, Warning};

const RESPONSES: Rule = Rule::grpc("responses");

/// The header blocks that may contain a status.
const ENDS: [Place; 2] = [Place::ResponseAlone, Place::Trailers];

/// The header blocks that begin a response.
const BEGINS: [Place; 2] = [Place::Response, Place::ResponseAlone];

pub(super) const RULES: [LintRule; 20] = [
    rule(
        "http-status-missing",
        Error,
        Rule::http2("8.3.2"),
        36,
        "A response must begin with a :status of three digits.",
        |probe| {
            let Some(fields) = probe.fields(&[Place::Response, Place::ResponseAlone, Place::Informational]) else {
                return;
            };
            match find(fields, ":status") {
                None => probe.report(HEADER, ":status is missing"),
                Some(field) if field.value.len() != 3 || !field.value.iter().all(u8::is_ascii_digit) => {
                    let sentence = format!(":status is \"{}\"", field.shown());
                    probe.report(field.range.clone(), sentence);
                }
                Some(_) => {}
            }
        },
    ),
    rule("http-status-not-200", Error, RESPONSES, 36, "A gRPC response must have HTTP status 200.", |probe| {
        let Some(fields) = probe.fields(&BEGINS) else { return };
        let (Some(status), true) = (find(fields, ":status"), declares_grpc(fields)) else { return };
        if status.value != b"200" {
            probe.report(status.range.clone(), format!("HTTP status {} with a gRPC content-type", status.shown()));
        }
    }),
    rule("answer-not-grpc", Error, RESPONSES, 36, "A gRPC response must have a gRPC content-type.", |probe| {
        let Some(fields) = probe.fields(&BEGINS) else { return };
        if declares_grpc(fields) || !probe.stream().is_some_and(|stream| stream.request.grpc) {
            return;
        }
        match find(fields, "content-type") {
            None => probe.report(HEADER, "content-type is missing in the response"),
            Some(field) => {
                probe.report(field.range.clone(), format!("the response's content-type is \"{}\"", field.shown()))
            }
        }
    }),
    rule(
        "status-too-early",
        Error,
        RESPONSES,
        37,
        "grpc-status must be in the header block that ends the stream.",
        |probe| {
            let Some(fields) = probe.fields(&[Place::Response, Place::Informational, Place::Trailers]) else { return };
            if let Some(field) = find(fields, "grpc-status").filter(|_| !probe.frame.ends_stream) {
                probe.report(field.range.clone(), "grpc-status in headers without END_STREAM is ignored");
            }
        },
    ),
    rule("trailers-without-end", Error, Rule::http2("8.1"), 39, "Trailers must end the stream.", |probe| {
        let open = probe.place == Some(Place::Trailers) && !probe.frame.ends_stream;
        probe.report_if(open, HEADER);
    }),
    rule("status-missing", Error, RESPONSES, 41, "A gRPC response must end with grpc-status.", |probe| {
        let ends = probe.frame.ends_stream
            && probe.fields(&ENDS).is_some_and(|fields| {
                let grpc = probe.stream().is_some_and(|stream| stream.response.grpc) || declares_grpc(fields);
                grpc && find(fields, "grpc-status").is_none()
            });
        probe.report_if(ends, HEADER);
    }),
    rule("end-without-trailers", Error, RESPONSES, 41, "A response must end with trailers, not with DATA.", |probe| {
        let data = probe.frame.ends_stream && probe.header().is_some_and(|header| header.kind == FrameType::DATA);
        let grpc = probe.stream().is_some_and(|stream| stream.response.grpc);
        probe.report_if(data && grpc && probe.frame.direction == Direction::ToClient, HEADER);
    }),
    rule("data-before-headers", Error, Rule::http2("8.1"), 39, "A response must begin with HEADERS.", |probe| {
        let data = probe.header().is_some_and(|header| header.kind == FrameType::DATA);
        let early = probe.stream().is_some_and(|stream| !stream.response.begun);
        probe.report_if(data && early && probe.frame.direction == Direction::ToClient, HEADER);
    })
    .needs(Needs::Side),
    rule("informational-end", Error, Rule::http2("8.1"), 39, "A 1xx response must not end the stream.", |probe| {
        probe.report_if(probe.place == Some(Place::Informational) && probe.frame.ends_stream, HEADER);
    }),
    rule("status-not-a-number", Error, RESPONSES, 40, "grpc-status must be a number.", |probe| {
        check(probe, "grpc-status", |field| {
            let number = !field.value.is_empty() && field.value.iter().all(u8::is_ascii_digit);
            (!number).then(|| format!("grpc-status \"{}\" is not a number: clients report UNKNOWN", field.shown()))
        });
    }),
    rule("status-leading-zero", Warning, RESPONSES, 40, "grpc-status should have no leading zeros.", |probe| {
        check(probe, "grpc-status", |field| {
            let zeros = field.value.len() > 1 && field.value.starts_with(b"0");
            zeros.then(|| format!("grpc-status \"{}\" begins with a zero", field.shown()))
        });
    }),
    rule(
        "status-unknown",
        Warning,
        Rule::new(Document::StatusCodes, "status-codes-and-their-use-in-grpc"),
        40,
        "grpc-status should be 0 to 16.",
        |probe| {
            check(probe, "grpc-status", |field| {
                let digits = field.value.iter().all(u8::is_ascii_digit) && !field.value.is_empty();
                let number = std::str::from_utf8(field.value).ok().and_then(|digits| digits.parse::<u64>().ok());
                (digits && number.is_none_or(|number| number > 16))
                    .then(|| format!("{} is not a status code", field.shown()))
            });
        },
    ),
    rule(
        "message-not-encoded",
        Error,
        RESPONSES,
        42,
        "grpc-message must percent-encode bytes outside printable ASCII.",
        |probe| {
            check(probe, "grpc-message", |field| {
                let raw = field.value.iter().any(|byte| !matches!(byte, 0x20..=0x7e));
                raw.then(|| "grpc-message contains bytes that are not printable ASCII".to_owned())
            });
        },
    ),
    rule(
        "message-escape",
        Warning,
        RESPONSES,
        42,
        "Each % in grpc-message should precede two upper-case hex digits.",
        |probe| {
            check(probe, "grpc-message", |field| {
                let digit = |byte: Option<&u8>| matches!(byte, Some(b'0'..=b'9' | b'A'..=b'F'));
                let mut escapes = field.value.split(|byte| *byte == b'%').skip(1);
                let wrong = escapes.any(|rest| !digit(rest.first()) || !digit(rest.get(1)));
                wrong.then(|| format!("an escape of \"{}\" is not % and two upper-case hex digits", field.shown()))
            });
        },
    ),
    rule("message-not-utf8", Warning, RESPONSES, 43, "grpc-message should decode to UTF-8.", |probe| {
        check(probe, "grpc-message", |field| {
            let broken = std::str::from_utf8(&unescaped(field.value)).is_err();
            broken.then(|| "grpc-message does not decode to UTF-8".to_owned())
        });
    }),
    rule(
        "details-malformed",
        Warning,
        RESPONSES,
        44,
        "grpc-status-details-bin should be a google.rpc.Status.",
        |probe| {
            check(probe, "grpc-status-details-bin", |field| {
                let status = binary_value(field.value).and_then(|bytes| status_code(&bytes));
                status.is_none().then(|| "grpc-status-details-bin is not base64 of a google.rpc.Status".to_owned())
            });
        },
    ),
    rule(
        "details-differ",
        Error,
        RESPONSES,
        44,
        "The code in grpc-status-details-bin must equal grpc-status.",
        |probe| {
            let Some(fields) = probe.fields(&ENDS) else { return };
            let (Some(status), Some(details)) = (find(fields, "grpc-status"), find(fields, "grpc-status-details-bin"))
            else {
                return;
            };
            let Some(code) = binary_value(details.value).and_then(|bytes| status_code(&bytes)) else { return };
            let said = std::str::from_utf8(status.value).ok().and_then(|digits| digits.parse().ok());
            if said != Some(code) {
                probe.report(
                    details.range.clone(),
                    format!("grpc-status-details-bin has code {code}, grpc-status is {}", status.shown()),
                );
            }
        },
    ),
    rule(
        "status-beside-http-error",
        Note,
        RESPONSES,
        41,
        "A response with another HTTP status than 200 should not have grpc-status.",
        |probe| {
            let Some(fields) = probe.fields(&[Place::ResponseAlone]) else { return };
            let other = find(fields, ":status").is_some_and(|status| status.value != b"200");
            if let Some(field) = find(fields, "grpc-status").filter(|_| other && !declares_grpc(fields)) {
                probe.report(field.range.clone(), "grpc-status together with an HTTP error: clients use grpc-status");
            }
        },
    ),
    rule(
        "pushback-malformed",
        Note,
        Rule::new(Document::Proposal, "A6-client-retries"),
        0,
        "grpc-retry-pushback-ms should be a number.",
        |probe| {
            check(probe, "grpc-retry-pushback-ms", |field| {
                let number = std::str::from_utf8(field.value).ok().and_then(|value| value.parse::<i64>().ok());
                number
                    .is_none()
                    .then(|| format!("\"{}\" is not a number of milliseconds: clients do not retry", field.shown()))
            });
        },
    ),
    rule("request-header-in-answer", Warning, RESPONSES, 14, "te and grpc-timeout belong in requests only.", |probe| {
        let Some(fields) = probe.fields(&BEGINS) else { return };
        for field in fields.iter().filter(|field| field.is("te") || field.is("grpc-timeout")) {
            let sentence = format!("{} belongs to a request", text::plain(field.name));
            probe.report(field.range.clone(), sentence);
        }
    }),
];

fn declares_grpc(fields: &[Field<'_>]) -> bool {
    find(fields, "content-type").is_some_and(|field| is_grpc(&String::from_utf8_lossy(field.value)))
}

/// Reports the first field of this name in the block that ends a response, if `fault` returns a sentence.
fn check(probe: &mut Probe<'_>, name: &str, fault: impl Fn(&Field<'_>) -> Option<String>) {
    let fields = probe.fields(&ENDS).unwrap_or_default();
    let Some(field) = find(fields, name) else { return };
    if let Some(sentence) = fault(field) {
        probe.report(field.range.clone(), sentence);
    }
}

/// Decodes the well-formed percent escapes.
fn unescaped(value: &[u8]) -> Vec<u8> {
    let hex = |byte: &u8| char::from(*byte).to_digit(16).map(|digit| digit as u8);
    let (mut out, mut rest) = (Vec::with_capacity(value.len()), value);
    while let Some((&first, tail)) = rest.split_first() {
        let octet = match tail {
            [high, low, ..] if first == b'%' => hex(high).zip(hex(low)).map(|(high, low)| high << 4 | low),
            _ => None,
        };
        out.push(octet.unwrap_or(first));
        rest = if octet.is_some() { tail.get(2..).unwrap_or_default() } else { tail };
    }
    out
}

/// Returns the code of an encoded google.rpc.Status: field 1, 0 if it is absent.
fn status_code(bytes: &[u8]) -> Option<i64> {
    let mut code = 0;
    for field in Fields::new(bytes) {
        let field = field.ok()?;
        if let (1, Payload::Varint(value)) = (field.number, field.payload) {
            code = i64::from(value as i32);
        }
    }
    Some(code)
}
