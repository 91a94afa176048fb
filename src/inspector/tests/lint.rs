//! The rules: a case breaks each of them once, and traffic like that of grpc-go breaks none.

use std::collections::BTreeSet;

use super::connection::*;
use super::lint_cases::{CASES, Case};
use super::*;
use Direction::{ToClient, ToServer};

pub(super) fn found(frames: &[Frame]) -> Vec<Finding> {
    let mut lint = Lint::new(Connection::schema());
    let mut findings: Vec<_> = frames.iter().flat_map(|frame| lint.check(frame)).collect();
    findings.extend(lint.finish());
    assert_eq!(lint.findings(), findings.len() as u64);
    findings
}

/// The frames of a case, followed by further frames.
fn case(script: fn(&mut Connection)) -> Vec<Frame> {
    let mut connection = Connection::new();
    script(&mut connection);
    connection.go_on().frames()
}

pub(super) fn names(findings: &[Finding]) -> Vec<&'static str> {
    findings.iter().map(|finding| finding.name).collect()
}

#[test]
fn every_rule_reports_its_case() {
    for (name, script) in CASES {
        let mut connection = Connection::new();
        assert_eq!(found(&connection.frames()), [], "before {name}");
        let frames = case(*script);
        let findings = found(&frames);
        assert!(names(&findings).contains(name), "{name}: {:?}", names(&findings));
        for finding in findings {
            let frame = frames.iter().find(|frame| frame.number == finding.frame).unwrap();
            assert!(finding.range.end <= frame.bytes.len() && !finding.range.is_empty(), "{name}: {finding}");
        }
    }
}

#[test]
fn empty_trailers_are_reported_as_missing_status() {
    let mut it = Connection::new();
    it.request(1, &[(":path", "/a.B/List")]).message(ToServer, END_STREAM, 1, &[]).response(1, &[]);
    it.headers(ToClient, END_STREAM, 1, &[]);
    assert_eq!(names(&found(&it.frames())), ["status-missing"]);
}

/// Lists the further rules that a case breaks, because one mistake can violate several rules.
#[test]
fn cases_break_only_one_rule_except_listed_ones() {
    let alone = |(name, script): &&Case| {
        let names: BTreeSet<_> = names(&found(&case(*script))).into_iter().collect();
        names == BTreeSet::from([*name])
    };
    let several: Vec<_> = CASES.iter().filter(|case| !alone(case)).map(|case| case.0).collect();
    assert_eq!(several, ["status-beside-http-error", "length-doubtful"]);
}

#[test]
fn invalid_beginnings_and_ends_of_connections_are_reported() {
    for (expected, script) in [
        (
            "not-http2",
            (|it| {
                it.bytes(ToClient, b"HTTP/1.1 400 Bad Request\r\n\r\n");
            }) as fn(&mut Connection),
        ),
        ("tls-not-decrypted", |it| {
            it.bytes(ToServer, &[0x16, 3, 1, 2, 0, 1]);
        }),
        ("settings-first", |it| {
            it.bytes(ToServer, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").frame(ToServer, FrameType::PING, NONE, 0, &[0; 8]);
        }),
        ("cut-short", |it| {
            it.bytes(ToServer, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").frame(ToServer, FrameType::SETTINGS, NONE, 0, &[]);
            it.bytes(ToServer, &[0, 0]).finish();
        }),
        ("preface-missing", |it| {
            it.bytes(ToServer, b"PRI * HTTP/2.0").finish();
        }),
    ] {
        let mut connection = Connection::bare();
        script(&mut connection);
        let findings = found(&connection.frames());
        assert!(names(&findings).contains(&expected), "{expected}: {:?}", names(&findings));
    }
}

#[test]
fn every_rule_has_a_case_and_a_unique_name() {
    let beside = ["not-http2", "tls-not-decrypted", "settings-first", "cut-short", "preface-missing"];
    let cases: BTreeSet<_> = CASES.iter().map(|case| case.0).chain(beside).collect();
    let rules: Vec<_> = Lint::rules().map(|rule| rule.name).collect();
    assert_eq!(cases, rules.iter().copied().collect());
    assert_eq!(cases.len(), rules.len(), "no two rules have one name");
    for rule in Lint::rules() {
        assert!(rule.text.ends_with('.') || rule.text.ends_with(')'), "{}", rule.text);
        assert!(rule.rule.link().starts_with("https://"));
    }
}

/// The numbers are those of docs/rules.md.
#[test]
fn rule_numbers_are_in_the_document() {
    let document = include_str!("../../../docs/rules.md");
    for rule in Lint::rules() {
        if let Some(number) = rule.number {
            assert!(document.contains(&format!("\n| {number} | ")), "{}: {number}", rule.name);
        }
    }
}

#[test]
fn traffic_like_grpc_go_passes_all_lint_rules() {
    let mut it = Connection::bare();
    it.bytes(ToServer, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").frame(ToServer, FrameType::SETTINGS, NONE, 0, &[]);
    it.setting(ToClient, 5, 16_384).frame(ToServer, FrameType::SETTINGS, ACK, 0, &[]);
    it.frame(ToClient, FrameType::SETTINGS, ACK, 0, &[]);
    it.unary(1);
    // The server estimates the bandwidth while a call runs.
    let timeout = ("grpc-timeout", "9999867u");
    it.wait(20).request(3, &[(":path", "/a.B/Chat"), timeout, ("key-bin", "AQ,AgM"), ("key", "a value")]);
    it.message(ToServer, NONE, 3, &[8, 1]).window(ToClient, 0, 7);
    it.frame(ToClient, FrameType::PING, NONE, 0, &[2, 4, 16, 16, 9, 14, 7, 7]);
    it.frame(ToServer, FrameType::PING, ACK, 0, &[2, 4, 16, 16, 9, 14, 7, 7]);
    it.headers(ToClient, NONE, 3, &[(":status", "103")]);
    it.response(3, &[]).message(ToClient, NONE, 3, &[]).message(ToServer, NONE, 3, &[]).data(
        ToServer,
        END_STREAM,
        3,
        &[],
    );
    it.trailers(3, &[("grpc-status", "5"), ("grpc-message", "gr%C3%BC%C3%9F"), ("grpc-status-details-bin", "CAUSAXg")]);
    // Trailers-Only, a client that cancels, and a server that ends the call before its client.
    it.request(5, &[]).message(ToServer, END_STREAM, 5, &[8, 1]);
    it.headers(ToClient, END_STREAM, 5, &[RESPONSE[0], RESPONSE[1], ("grpc-status", "12"), ("grpc-message", "no")]);
    it.request(7, &[(":path", "/a.B/List")]).message(ToServer, END_STREAM, 7, &[8, 1]).response(7, &[]);
    it.message(ToClient, NONE, 7, &[]).reset(ToServer, 7, 8);
    it.request(9, &[(":path", "/a.B/Record")]).message(ToServer, NONE, 9, &[8, 1]).response(9, &[]);
    it.message(ToClient, NONE, 9, &[]).trailers(9, &[]).reset(ToClient, 9, 0);
    it.go_away(ToClient, 0x7fff_ffff, 0).frame(ToClient, FrameType::PING, NONE, 0, &[1; 8]);
    it.frame(ToServer, FrameType::PING, ACK, 0, &[1; 8]).go_away(ToClient, 9, 0);
    assert_eq!(found(&it.frames()), []);
    let shown = Connection::new().unary(1).shown(&mut Lint::new(Connection::schema()));
    assert_eq!(shown, "no violations found  (checked: 109 rules on 10 frames, 1 call)\n");
}

#[test]
fn finding_is_printed_with_its_place_and_rule() {
    let mut connection = Connection::new();
    connection.request(1, &[("grpc-timeout", "1s")]);
    let shown = connection.shown(&mut Lint::new(Schema::new()));
    assert_eq!(
        shown,
        "error  frame 6 client ──▶ server  stream 1  bytes 152..169  timeout-malformed: \"1s\" is not one to eight digits \
         and a unit  (PROTOCOL-HTTP2.md, requests; rule 6)\n1 error  (checked: 109 rules on 6 frames, 1 call)\n\
         not checked: kind and messages of 1 call, whose method the schema lacks (/a.B/Get): give it with --proto, \
         --descriptor-set or --reflection\n"
    );
}

#[test]
fn field_in_a_continuation_is_reported_there() {
    let headers = block(&changed(&REQUEST, &[("grpc-timeout", "1s")]));
    let mut connection = Connection::new();
    connection.frame(ToServer, FrameType::HEADERS, NONE, 1, &headers[..100]);
    connection.frame(ToServer, FrameType::CONTINUATION, END_HEADERS, 1, &headers[100..]);
    let frames = connection.frames();
    let findings = found(&frames);
    assert_eq!(names(&findings), ["timeout-malformed"]);
    let frame = frames.iter().find(|frame| frame.number == findings[0].frame).unwrap();
    assert!(frame.bytes[findings[0].range.clone()].ends_with(b"\x021s"));
}

#[test]
fn wrong_length_is_found_at_its_prefix() {
    let of = |script: fn(&mut Connection)| {
        let mut it = Connection::new();
        script(it.request(1, &[(":path", "/x.Y/Z")]));
        let findings = found(&it.go_on().frames());
        findings.into_iter().map(|it| (it.name, it.frame, it.range, it.sentence)).collect::<Vec<_>>()
    };
    // Message 2 has a byte more than its length.
    let short = of(|it| {
        it.message(ToServer, NONE, 1, &[8, 1]).data(ToServer, NONE, 1, &[0, 0, 0, 0, 1, 8, 7]);
        it.message(ToServer, END_STREAM, 1, &[8, 1]);
    });
    let doubtful: Vec<_> = short.iter().filter(|it| it.0 == "length-doubtful").collect();
    let [(_, 8, range, sentence)] = doubtful.as_slice() else { panic!("the cause, once: {short:?}") };
    assert_eq!((range.clone(), &short[0].0, short[0].2.clone()), (9..14, &"flag-reserved", 15..16), "{short:?}");
    assert_eq!(
        sentence,
        "the length of message 2, 1 byte, may be wrong: where the next message begins (frame 8, bytes 15..16), the \
         Compressed-Flag is 0x07"
    );
    // Message 1 claims bytes that never come.
    let long = of(|it| {
        it.data(ToServer, NONE, 1, &[0, 0, 0]).data(ToServer, NONE, 1, &[0, 99, 8, 1]).data(
            ToServer,
            END_STREAM,
            1,
            &[],
        );
    });
    assert_eq!(
        long,
        [(
            "message-truncated",
            7,
            9..12,
            "the stream ends inside a message: 2 of its 99 bytes (frame 9): the length in its prefix, 99, may be too large"
                .to_owned()
        )]
    );
    // The length of the first message is a byte too small, and the rest does not begin with a prefix.
    let rest = of(|it| {
        it.data(ToServer, END_STREAM, 1, &[0, 0, 0, 0, 1, 8, 1]);
    });
    let names: Vec<_> = rest.iter().map(|(name, frame, range, _)| (*name, *frame, range.clone())).collect();
    assert_eq!(names, [("message-truncated", 7, 0..9), ("length-doubtful", 7, 9..14)], "{rest:?}");
}

#[test]
fn memory_of_the_rules_is_bounded() {
    let mut lint = Lint::new(Schema::new());
    let mut connection = Connection::new();
    for stream in 0..3_000 {
        connection.request(2 * stream + 1, &[]);
        connection.frame(ToServer, FrameType::PING, NONE, 0, &[7; 8]).frame(
            ToServer,
            FrameType::SETTINGS,
            NONE,
            0,
            &[],
        );
    }
    for frame in connection.frames() {
        lint.check(&frame);
    }
    assert!(format!("{lint:?}").len() < 2_000_000);
}
