//! Rules for Request-Headers (PROTOCOL-HTTP2.md, "Requests").

use super::rule::{Field, HEADER, LintRule, Needs, Probe, Severity, find, rule};
use super::state::Place;
use crate::inspector::decode::call::is_grpc;
use crate::inspector::decode::headers::timeout;
use crate::inspector::model::annotation::{Document, Rule};
use crate::inspector::model::text;
use Severity::{Error, Note, Warning};

const REQUESTS: Rule = Rule::grpc("requests");

pub(super) const RULES: [LintRule; 16] = [
    rule("method-not-post", Error, REQUESTS, 1, "A call must use the method POST.", |probe| {
        check(probe, ":method", |value| (value != b"POST").then(|| format!(":method is \"{}\"", text::plain(value))));
    }),
    rule(
        "pseudo-missing",
        Error,
        Rule::http2("8.3.1"),
        0,
        "A request must have :method, :scheme and :path.",
        |probe| {
            for name in [":method", ":scheme", ":path"] {
                missing(probe, name, format!("{name} is missing"));
            }
        },
    ),
    rule("scheme-other", Warning, REQUESTS, 0, "The scheme should be http or https.", |probe| {
        check(probe, ":scheme", |value| {
            (value != b"http" && value != b"https").then(|| format!(":scheme is \"{}\"", text::plain(value)))
        });
    }),
    rule("path-malformed", Error, REQUESTS, 2, "The path must be /Service/Method.", |probe| {
        check(probe, ":path", |value| {
            let parts = value.strip_prefix(b"/").and_then(|rest| {
                let slash = rest.iter().rposition(|byte| *byte == b'/')?;
                Some(slash > 0 && slash + 1 < rest.len())
            });
            (parts != Some(true)).then(|| format!("\"{}\" is not /Service/Method", text::plain(value)))
        });
    }),
    rule(
        "authority-missing",
        Warning,
        Rule::new(Document::Proposal, "A41-xds-rbac"),
        11,
        "A request should have :authority.",
        |probe| {
            let Some(fields) = probe.fields(&[Place::Request]) else { return };
            let named = find(fields, ":authority").is_some() || find(fields, "host").is_some();
            probe.report_if(!named, HEADER);
        },
    ),
    rule("te-missing", Error, REQUESTS, 3, "A request must have te: trailers.", |probe| {
        missing(probe, "te", "te: trailers is missing: a proxy may drop the trailers");
    }),
    rule("content-type-missing", Error, REQUESTS, 4, "A request must have a content-type.", |probe| {
        missing(probe, "content-type", "content-type is missing: servers respond with HTTP 415");
    }),
    rule("content-type-other", Error, REQUESTS, 4, "The content-type must begin with application/grpc.", |probe| {
        check(probe, "content-type", |value| {
            let grpc = is_grpc(&String::from_utf8_lossy(value));
            (!grpc).then(|| format!("content-type is \"{}\", not application/grpc", text::plain(value)))
        });
    }),
    rule("user-agent-missing", Note, REQUESTS, 12, "A client should send user-agent.", |probe| {
        missing(probe, "user-agent", "user-agent is missing");
    })
    .needs(Needs::Side),
    rule(
        "timeout-malformed",
        Error,
        REQUESTS,
        6,
        "grpc-timeout must be one to eight digits and one of H M S m u n.",
        |probe| {
            check(probe, "grpc-timeout", |value| {
                timeout(value)
                    .is_none()
                    .then(|| format!("\"{}\" is not one to eight digits and a unit", text::plain(value)))
            });
        },
    ),
    rule("timeout-leading-zero", Note, REQUESTS, 7, "grpc-timeout should have no leading zeros.", |probe| {
        check(probe, "grpc-timeout", |value| {
            let zeros = value.len() > 2 && value.starts_with(b"0") && timeout(value).is_some();
            zeros.then(|| format!("grpc-timeout \"{}\" begins with a zero", text::plain(value)))
        });
    }),
    rule("timeout-zero", Note, REQUESTS, 8, "A timeout of zero expires before the call begins.", |probe| {
        check(probe, "grpc-timeout", |value| {
            timeout(value)
                .filter(|timeout| timeout.is_zero())
                .map(|_| "the deadline has passed when the call begins".to_owned())
        });
    }),
    rule(
        "deadline-passed",
        Warning,
        REQUESTS,
        53,
        "A call must end at its deadline: with trailers, or with RST_STREAM from the client.",
        |probe| {
            let Some(stream) = probe.stream().filter(|stream| !stream.is_over()) else { return };
            let Some(timeout) = stream.timeout.filter(|it| probe.state.is_overdue(stream, *it, probe.frame.time))
            else {
                return;
            };
            let late = probe.frame.time.saturating_sub(stream.begun.time.saturating_add(timeout));
            probe.report(HEADER, format!("the call is still open {} after its deadline", text::time(late)));
        },
    )
    .needs(Needs::Both),
    rule(
        "request-trailers",
        Error,
        REQUESTS,
        39,
        "A client must send one header block: requests have no trailers.",
        |probe| probe.report_if(probe.place == Some(Place::RequestTrailers), HEADER),
    ),
    rule(
        "attempts-malformed",
        Warning,
        Rule::new(Document::Proposal, "A6-client-retries"),
        0,
        "grpc-previous-rpc-attempts must be a positive number.",
        |probe| {
            check(probe, "grpc-previous-rpc-attempts", |value| {
                let number = !value.is_empty()
                    && value.iter().all(u8::is_ascii_digit)
                    && value.iter().any(|digit| *digit != b'0');
                (!number).then(|| format!("\"{}\" is not a positive number of attempts", text::plain(value)))
            });
        },
    ),
    rule("status-in-request", Error, REQUESTS, 14, "A request must not contain a status.", |probe| {
        for name in ["grpc-status", "grpc-message", "grpc-status-details-bin"] {
            check(probe, name, |_| Some(format!("{name} belongs in responses only")));
        }
    }),
];

/// Returns the Request-Headers of a call. HTTP/2 carries other requests too: not with POST, and without anything of
/// gRPC, for example those that a browser or a health check sends to the same port.
fn of_call<'a>(probe: &Probe<'a>) -> Option<&'a [Field<'a>]> {
    let fields = probe.fields(&[Place::Request])?;
    let posts = find(fields, ":method").is_none_or(|method| method.value == b"POST");
    let grpc = fields.iter().any(|field| match field.name {
        b"content-type" => is_grpc(&String::from_utf8_lossy(field.value)),
        name => name == b"te" || name.starts_with(b"grpc-"),
    });
    let of_http2 = probe.rule.rule.document == Document::Http2;
    (posts || grpc || of_http2).then_some(fields)
}

/// Reports the first field of this name in Request-Headers, if `fault` returns a sentence for its value.
fn check(probe: &mut Probe<'_>, name: &str, fault: impl Fn(&[u8]) -> Option<String>) {
    let fields = of_call(probe).unwrap_or_default();
    let Some(field) = find(fields, name) else { return };
    if let Some(sentence) = fault(field.value) {
        probe.report(field.range.clone(), sentence);
    }
}

/// Reports a violation if Request-Headers have no field of this name.
fn missing(probe: &mut Probe<'_>, name: &str, sentence: impl Into<String>) {
    let Some(fields) = of_call(probe) else { return };
    if find(fields, name).is_none() {
        probe.report(HEADER, sentence);
    }
}
