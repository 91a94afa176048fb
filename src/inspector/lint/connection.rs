//! Rules over time: streams, windows, acknowledgements, PING, RST_STREAM and GOAWAY.

use super::rule::{Finding, HEADER, LintRule, Needs, Probe, Severity, rule};
use super::speaker::TooSoon;
use super::state::Place;
use super::stream::PATIENCE;
use crate::inspector::follow::stall::Stall;
use crate::inspector::follow::windows::{Cause, LARGEST};
use crate::inspector::model::annotation::{Document, Rule};
use crate::inspector::model::frame::{Direction, FrameKind};
use crate::inspector::model::text;
use crate::wire::http2::{FrameHeader, FrameType, Http2Error};
use Severity::{Error, Note, Warning};

pub(super) const RULES: [LintRule; 22] = [
    rule("settings-first", Error, Rule::http2("3.4"), 68, "Each side's first frame must be SETTINGS.", |probe| {
        let first = probe.state.sender(probe.frame.direction).frames == 0;
        let other =
            probe.header().is_some_and(|header| header.kind != FrameType::SETTINGS || header.has(FrameHeader::ACK));
        probe.report_if(first && other, HEADER);
    })
    .needs(Needs::Side),
    rule(
        "settings-not-acknowledged",
        Warning,
        Rule::http2("6.5.3"),
        68,
        "SETTINGS must be acknowledged at once.",
        |probe| {
            for direction in [Direction::ToServer, Direction::ToClient] {
                if probe.state.sender(direction).settings.iter().any(|since| since.is_overdue(probe.frame.time)) {
                    let who = if direction == Direction::ToServer { "server" } else { "client" };
                    probe.report(
                        HEADER,
                        format!("the {who} has not acknowledged SETTINGS for {}", text::time(PATIENCE)),
                    );
                }
            }
        },
    )
    .needs(Needs::Silence),
    rule(
        "settings-acknowledged-twice",
        Warning,
        Rule::http2("6.5.3"),
        0,
        "A SETTINGS ACK requires unacknowledged SETTINGS.",
        |probe| {
            let ack = is_ack(probe, FrameType::SETTINGS);
            let asked = probe.state.receiver(probe.frame.direction);
            probe.report_if(ack && asked.settings.is_empty() && !asked.forgotten, HEADER);
        },
    )
    .needs(Needs::Both),
    rule("ping-not-answered", Warning, Rule::http2("6.7"), 62, "A PING must be answered at once.", |probe| {
        for direction in [Direction::ToServer, Direction::ToClient] {
            if probe.state.sender(direction).pings.iter().any(|(_, since)| since.is_overdue(probe.frame.time)) {
                let who = if direction == Direction::ToServer { "server" } else { "client" };
                probe.report(HEADER, format!("the {who} has not answered a PING for {}", text::time(PATIENCE)));
            }
        }
    })
    .needs(Needs::Silence),
    rule(
        "ping-answer-differs",
        Error,
        Rule::http2("6.7"),
        62,
        "A PING ACK must repeat the eight bytes of the PING.",
        |probe| {
            let asker = probe.state.receiver(probe.frame.direction);
            let payload = probe.frame.payload().unwrap_or_default();
            let asked = asker.forgotten || asker.pings.iter().any(|(data, _)| data.as_slice() == payload);
            let range = probe.payload_range();
            probe.report_if(is_ack(probe, FrameType::PING) && !asked, range);
        },
    )
    .needs(Needs::Both),
    rule(
        "too-many-pings",
        Warning,
        Rule::new(Document::Proposal, "A8-client-side-keepalive"),
        64,
        "By default servers allow a PING every 5 minutes, or every 2 hours without calls.",
        |probe| {
            // DATA or HEADERS of the server clear the count. Those that it sent before it read the PING come before its
            // answer to the PING.
            let Some(TooSoon { data, mark, pings }) = &probe.state.client.too_soon else { return };
            let answers = is_ack(probe, FrameType::PING) && probe.frame.payload() == Some(data);
            let refuses = probe.frame.goaway().is_some_and(|(_, code)| code == Http2Error::ENHANCE_YOUR_CALM);
            if probe.frame.direction == Direction::ToClient && (answers || refuses) {
                let text = format!("{pings} PINGs came too soon: a server may answer with GOAWAY ENHANCE_YOUR_CALM");
                probe.report_at(*mark, Direction::ToServer, FrameType::PING, text);
            }
        },
    )
    .needs(Needs::Both),
    rule(
        "goaway-grows",
        Error,
        Rule::http2("6.8"),
        59,
        "The last stream of a GOAWAY must not be higher than that of an earlier GOAWAY.",
        |probe| {
            let before = probe.state.sender(probe.frame.direction).goaway;
            if let (Some((before, _)), Some((last, _))) = (before, probe.frame.goaway())
                && last > before
            {
                probe.report(9..13, format!("the last stream increased from {before} to {last}"));
            }
        },
    ),
    rule(
        "stream-after-goaway",
        Note,
        Rule::http2("6.8"),
        59,
        "A client that has read the server's GOAWAY must not open new streams.",
        |probe| {
            let beyond =
                probe.state.server.goaway.is_some_and(|(last, since)| {
                    probe.frame.stream() > last && probe.state.must_know(probe.frame, since)
                });
            probe.report_if(opens(probe) && beyond, HEADER);
        },
    ),
    rule(
        "too-many-streams",
        Error,
        Rule::http2("5.1.2"),
        58,
        "A client must not exceed the server's SETTINGS_MAX_CONCURRENT_STREAMS.",
        |probe| {
            let Some(limit) = probe.state.server.max_streams.filter(|_| opens(probe)) else { return };
            let open = probe.state.open_streams();
            // The limit binds the client only after it has acknowledged the SETTINGS.
            if open as u64 >= u64::from(limit) && probe.state.server.is_acknowledged() {
                probe.report(HEADER, format!("{} streams are open, but the server allows {limit}", open + 1));
            }
        },
    )
    .needs(Needs::Both),
    rule(
        "stream-even",
        Error,
        Rule::http2("5.1.1"),
        0,
        "Streams that a client opens must have odd numbers.",
        |probe| {
            let even = is_request(probe) && probe.frame.stream() != 0 && probe.frame.stream() % 2 == 0;
            probe.report_if(even, 5..9);
        },
    ),
    rule(
        "stream-not-growing",
        Error,
        Rule::http2("5.1.1"),
        0,
        "Each stream that a client opens must have a higher number than the one before.",
        |probe| {
            let known = probe.state.streams.contains_key(&probe.frame.stream());
            let stream = probe.frame.stream();
            // A forgotten stream may still be open.
            let lower = (probe.state.forgotten_stream + 1..probe.state.last_stream).contains(&stream);
            probe.report_if(is_request(probe) && lower && !known, 5..9);
        },
    )
    .needs(Needs::Side),
    rule(
        "stream-never-opened",
        Error,
        Rule::http2("5.1"),
        0,
        "DATA, RST_STREAM and WINDOW_UPDATE require an opened stream.",
        |probe| {
            let Some(header) = probe.header() else { return };
            let needs = match header.kind {
                FrameType::DATA | FrameType::RST_STREAM | FrameType::WINDOW_UPDATE => true,
                FrameType::HEADERS => probe.frame.direction == Direction::ToClient,
                _ => false,
            };
            // Even streams are opened by the server, with PUSH_PROMISE.
            let idle = header.stream > probe.state.highest_stream && header.stream % 2 == 1;
            probe.report_if(needs && idle, 5..9);
        },
    )
    .needs(Needs::Both),
    rule(
        "window-update-zero",
        Error,
        Rule::http2("6.9"),
        0,
        "The increment of WINDOW_UPDATE must be at least 1.",
        |probe| {
            let zero = probe
                .header()
                .is_some_and(|header| header.kind == FrameType::WINDOW_UPDATE && header.length == 4)
                && probe.frame.payload().is_some_and(|payload| matches!(payload, [high, 0, 0, 0] if high & 0x7f == 0));
            probe.report_if(zero, 9..13);
        },
    ),
    rule("window-overflow", Error, Rule::http2("6.9.1"), 0, "A window must not exceed 2147483647.", |probe| {
        let over = probe.state.changes.iter().find(|change| change.least > LARGEST && change.cause != Cause::Data);
        if let Some(change) = over {
            let range = probe.payload_range();
            probe.report(range, format!("the window of {} becomes {}", whose(change.stream), change.least));
        }
    })
    .needs(Needs::Both),
    rule("window-exceeded", Error, Rule::http2("6.9"), 57, "DATA must fit the flow-control window.", |probe| {
        let over = probe.state.changes.iter().find(|change| change.after < 0 && change.cause == Cause::Data);
        if let Some(change) = over {
            let text = format!(
                "{} of DATA, but the window of {} has {}",
                text::count(change.before.abs_diff(change.after), "byte"),
                whose(change.stream),
                change.before
            );
            probe.report(HEADER, text);
        }
    })
    .needs(Needs::Both),
    rule(
        WINDOW_WAIT,
        Note,
        Rule::http2("5.2.1"),
        57,
        "A sender with more to send should not wait a second or more for a window.",
        |probe| {
            for stall in &probe.state.long_waits {
                probe.findings.push(waited(stall));
            }
        },
    )
    .needs(Needs::Silence),
    rule("data-after-end", Error, Rule::http2("5.1"), 49, "DATA must not follow END_STREAM or trailers.", |probe| {
        let data = probe.header().is_some_and(|header| header.kind == FrameType::DATA);
        let ended = probe.stream().is_some_and(|stream| stream.way(probe.frame.direction).ended.is_some());
        probe.report_if(data && ended, HEADER);
    }),
    rule("headers-after-end", Error, Rule::http2("5.1"), 39, "HEADERS must not follow END_STREAM.", |probe| {
        let headers = probe.header().is_some_and(|header| header.kind == FrameType::HEADERS);
        let ended = probe.stream().is_some_and(|stream| stream.way(probe.frame.direction).ended.is_some());
        probe.report_if(headers && ended, HEADER);
    }),
    rule(
        "frame-after-reset",
        Error,
        Rule::http2("5.1"),
        0,
        "After RST_STREAM its sender must not send on the stream.",
        |probe| {
            let sends = probe.header().is_some_and(|header| {
                matches!(
                    header.kind,
                    FrameType::DATA | FrameType::HEADERS | FrameType::WINDOW_UPDATE | FrameType::CONTINUATION
                )
            });
            let reset = probe.stream().is_some_and(|stream| stream.way(probe.frame.direction).reset.is_some());
            probe.report_if(sends && reset, HEADER);
        },
    ),
    rule(
        "reset-after-end",
        Warning,
        Rule::http2("5.1"),
        51,
        "A side should not reset a stream after both directions have ended.",
        |probe| {
            let Some(stream) = probe.stream().filter(|_| probe.frame.reset().is_some()) else { return };
            let (own, other) = stream.both_ways(probe.frame.direction);
            let knows = other.ended.is_some_and(|end| probe.state.must_know(probe.frame, end));
            probe.report_if(own.ended.is_some() && knows, HEADER);
        },
    ),
    rule(
        "reset-twice",
        Warning,
        Rule::http2("5.4.2"),
        0,
        "A side must reset a stream once, and must not answer RST_STREAM with RST_STREAM.",
        |probe| {
            let Some(stream) = probe.stream().filter(|_| probe.frame.reset().is_some()) else { return };
            let (own, other) = stream.both_ways(probe.frame.direction);
            // A second reset is allowed if the peer went on sending.
            let again = own.reset.is_some_and(|before| other.last < before.number);
            let answers = other.reset.is_some_and(|reset| probe.state.must_know(probe.frame, reset));
            probe.report_if(again || (own.reset.is_none() && answers), HEADER);
        },
    ),
    rule("preface-missing", Error, Rule::http2("3.4"), 68, "A client must send the complete preface.", |probe| {
        let cut = probe.frame.kind == FrameKind::Truncated
            && probe.frame.direction == Direction::ToServer
            && probe.frame.offset == 0;
        let range = 0..probe.frame.bytes.len();
        probe.report_if(cut, range);
    })
    .needs(Needs::End),
];

/// The name of the rule about waits, which may be broken by the end of the recording alone.
const WINDOW_WAIT: &str = "window-wait";

/// Returns the finding for a wait, at the frame that used up the window.
pub(super) fn waited(stall: &Stall) -> Finding {
    let (kind, direction) = stall.cause;
    Finding {
        name: WINDOW_WAIT,
        severity: Note,
        rule: const { Rule::http2("5.2.1") },
        number: Some(57),
        frame: stall.frame,
        direction,
        kind: Some(kind),
        stream: stall.stream,
        range: HEADER,
        sentence: format!("{stall}: {}", stall.details()),
    }
}

fn is_ack(probe: &Probe<'_>, kind: FrameType) -> bool {
    probe.header().is_some_and(|header| header.kind == kind && header.has(FrameHeader::ACK))
}

/// Returns true for HEADERS of a client.
fn is_request(probe: &Probe<'_>) -> bool {
    probe.frame.direction == Direction::ToServer
        && probe.header().is_some_and(|header| header.kind == FrameType::HEADERS)
}

/// Returns true if the frame completes the Request-Headers of a new stream.
fn opens(probe: &Probe<'_>) -> bool {
    probe.place == Some(Place::Request)
}

fn whose(stream: u32) -> String {
    if stream == 0 { "the connection".to_owned() } else { format!("stream {stream}") }
}
