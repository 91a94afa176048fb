//! Rules for single frames: their lengths, flags and padding, and the values of settings.

use super::rule::{HEADER, LintRule, Needs, Probe, Severity, rule};
use crate::inspector::model::annotation::{Layer, Rule};
use crate::inspector::model::frame::{Direction, FrameKind};
use crate::wire::http2::{FRAME_HEADER, FrameHeader, FrameType, Setting, settings};
use Severity::{Error, Note, Warning};

pub(super) const RULES: [LintRule; 20] = [
    rule(
        "not-http2",
        Error,
        Rule::http2("3.4"),
        68,
        "A connection must begin with the HTTP/2 preface, and with SETTINGS of both sides.",
        |probe| {
            let range = 0..probe.frame.bytes.len();
            if is_foreign(probe) && probe.frame.is_http1() {
                return probe.report(range, "HTTP/1.1 where the preface or SETTINGS of HTTP/2 are expected");
            }
            probe.report_if(is_foreign(probe) && !probe.frame.is_tls(), range);
        },
    ),
    rule(
        "tls-not-decrypted",
        Note,
        Rule::http2("3.2"),
        0,
        "Frames inside TLS are checked only if TLS is decrypted.",
        |probe| {
            let range = 0..probe.frame.bytes.len();
            probe.report_if(is_foreign(probe) && probe.frame.is_tls(), range);
        },
    ),
    rule("cut-short", Warning, Rule::http2("4.1"), 61, "A connection must not end inside a frame.", |probe| {
        let range = 0..probe.frame.bytes.len();
        probe.report_if(probe.frame.kind == FrameKind::Truncated, range);
    })
    .needs(Needs::End),
    rule(
        "frame-over-limit",
        Error,
        Rule::http2("4.2"),
        0,
        "A frame must not exceed the receiver's SETTINGS_MAX_FRAME_SIZE.",
        |probe| {
            let Some(header) = probe.header() else { return };
            let limit = probe.state.receiver(probe.frame.direction).max_frame;
            if header.length > limit {
                probe.report(0..3, format!("{} bytes of payload, but the receiver accepts {limit}", header.length));
            }
        },
    )
    .needs(Needs::Both),
    rule(
        "frame-size",
        Error,
        Rule::http2("4.2"),
        0,
        "The payload length must be 5 for PRIORITY, 4 for RST_STREAM and WINDOW_UPDATE, 8 for PING, at least 8 for GOAWAY, 6 for each setting.",
        |probe| probe.report_faults(Layer::Frame, |fault| fault.starts_with("FRAME_SIZE_ERROR")),
    ),
    rule(
        "frame-on-wrong-stream",
        Error,
        Rule::http2("5.1"),
        0,
        "SETTINGS, PING and GOAWAY must use stream 0; all other frames except WINDOW_UPDATE must not.",
        |probe| probe.report_faults(Layer::Frame, |fault| fault.contains("belongs to")),
    ),
    rule(
        "reserved-bit",
        Warning,
        Rule::http2("4.1"),
        0,
        "The reserved bit before the stream number should be zero.",
        |probe| {
            let set = probe.header().is_some() && probe.frame.bytes.get(5).is_some_and(|byte| byte & 0x80 != 0);
            probe.report_if(set, 5..9);
        },
    ),
    rule(
        "unknown-flags",
        Warning,
        Rule::http2("4.1"),
        0,
        "Flags that the frame type does not define should not be set.",
        |probe| {
            let Some(header) = probe.header() else { return };
            let defined = match header.kind {
                FrameType::DATA => 0x9,
                FrameType::HEADERS => 0x2d,
                FrameType::SETTINGS | FrameType::PING => 0x1,
                FrameType::PUSH_PROMISE => 0xc,
                FrameType::CONTINUATION => 0x4,
                FrameType(0x2..=0x8) => 0,
                _ => 0xff,
            };
            if header.flags & !defined != 0 {
                probe.report(
                    4..5,
                    format!("the flags 0x{:x} are not defined for {}", header.flags & !defined, header.kind),
                );
            }
        },
    ),
    rule("unknown-type", Note, Rule::http2("5.5"), 0, "Frames of unknown types are ignored.", |probe| {
        let unknown = probe.header().is_some_and(|header| header.kind.0 > 0x9);
        probe.report_if(unknown, 3..4);
    }),
    rule("padding-too-long", Error, Rule::http2("6.1"), 0, "Padding must be shorter than the payload.", |probe| {
        probe.report_faults(Layer::Payload, |fault| fault.contains("more padding than payload"));
    }),
    rule("padding-not-zero", Warning, Rule::http2("6.1"), 0, "Padding should be all zeros.", |probe| {
        probe.report_faults(Layer::Payload, |fault| fault.contains("padding is not all zeros"));
    }),
    rule(
        "empty-data",
        Note,
        Rule::http2("10.5"),
        0,
        "Empty DATA without END_STREAM has no effect but costs the receiver work.",
        |probe| {
            let empty = probe.header().is_some_and(|header| {
                header.kind == FrameType::DATA && header.length == 0 && !header.has(FrameHeader::END_STREAM)
            });
            probe.report_if(empty, HEADER);
        },
    ),
    rule("priority-deprecated", Note, Rule::http2("5.3.2"), 0, "The priorities of RFC 7540 are deprecated.", |probe| {
        let Some(header) = probe.header() else { return };
        let carries = match header.kind {
            FrameType::PRIORITY => true,
            FrameType::HEADERS => header.has(FrameHeader::PRIORITY),
            _ => false,
        };
        probe.report_if(carries, HEADER);
    }),
    rule(
        "header-block-interrupted",
        Error,
        Rule::http2("4.3"),
        0,
        "No other frame may come between the frames of a header block.",
        |probe| {
            let Some(header) = probe.header() else { return };
            let open = probe.state.sender(probe.frame.direction).open_block();
            let goes_on = header.kind == FrameType::CONTINUATION && open == Some(header.stream);
            if let Some(open) = open.filter(|_| !goes_on) {
                probe.report(HEADER, format!("{} inside the header block of stream {open}", header.kind));
            }
        },
    ),
    rule("continuation-alone", Error, Rule::http2("6.10"), 0, "CONTINUATION must continue a header block.", |probe| {
        let alone = probe.header().is_some_and(|header| header.kind == FrameType::CONTINUATION)
            && probe.state.sender(probe.frame.direction).open_block().is_none();
        probe.report_if(alone, HEADER);
    })
    .needs(Needs::Side),
    rule("header-block-broken", Error, Rule::http2("4.3"), 0, "A header block must be decodable.", |probe| {
        let broken = probe.frame.faults.iter().find(|fault| fault.starts_with("COMPRESSION_ERROR"));
        if let Some(fault) = broken.cloned() {
            let range = probe.payload_range();
            probe.report(range, fault);
        }
    })
    .needs(Needs::Both),
    rule(
        "table-size-update-late",
        Error,
        Rule::hpack("4.2"),
        0,
        "Dynamic table size updates must be at the beginning of a header block.",
        |probe| probe.report_faults(Layer::Hpack, |fault| fault.starts_with("size updates must")),
    ),
    rule("setting-out-of-range", Error, Rule::http2("6.5.2"), 0, "Settings must have allowed values.", |probe| {
        probe.report_faults(Layer::Payload, |fault| {
            fault.contains("must be 0 or 1")
                || fault.contains("must not exceed 2147483647")
                || fault.contains("must be 16384")
        });
    }),
    rule(
        "push-enabled-by-server",
        Error,
        Rule::http2("6.5.2"),
        0,
        "A server must not set ENABLE_PUSH to 1.",
        |probe| {
            let Some(header) = probe.header() else { return };
            let is_settings = header.kind == FrameType::SETTINGS && probe.frame.direction == Direction::ToClient;
            let payload = probe.frame.payload().unwrap_or_default();
            let at = settings(payload).position(|setting| setting == (Setting::ENABLE_PUSH, 1)).filter(|_| is_settings);
            if let Some(at) = at {
                let start = FRAME_HEADER + 6 * at;
                report(probe, start..start + 6);
            }
        },
    ),
    rule(
        "push",
        Error,
        Rule::http2("8.4"),
        0,
        "Only a server may push, and only to a client that allows it.",
        |probe| {
            let pushes = probe.header().is_some_and(|header| header.kind == FrameType::PUSH_PROMISE);
            let client = &probe.state.client;
            // The client's SETTINGS bind the server only after it has acknowledged them.
            let allowed = probe.frame.direction == Direction::ToClient && (client.push || !client.is_acknowledged());
            probe.report_if(pushes && !allowed, HEADER);
        },
    )
    .needs(Needs::Both),
];

/// Returns true for the first bytes of a side that are not HTTP/2; the bytes after them are not reported again.
fn is_foreign(probe: &Probe<'_>) -> bool {
    probe.frame.kind == FrameKind::NotHttp2 && !probe.state.sender(probe.frame.direction).foreign
}

fn report(probe: &mut Probe<'_>, range: std::ops::Range<usize>) {
    probe.report_if(true, range);
}
