//! Explanations: every annotation with a rule has a sentence and a link.

use super::connection::*;
use super::*;
use Direction::{ToClient, ToServer};

/// Frames of every type, and headers with every explained name.
fn all_kinds_of_frames() -> Vec<Frame> {
    let mut it = Connection::new();
    it.request(1, &[("grpc-timeout", "1S")]).data(
        ToServer,
        PADDED,
        1,
        &[&[2][..], &prefixed(0, &[8, 1]), &[0; 2]].concat(),
    );
    it.frame(ToServer, FrameType::HEADERS, 0x2d, 3, &[&[1, 0, 0, 0, 0, 15][..], &block(&REQUEST), &[0]].concat());
    it.frame(ToServer, FrameType::HEADERS, NONE, 5, &[0x20, 0x82, 0x10, 1, b'a', 1, b'b']);
    it.frame(ToServer, FrameType::CONTINUATION, END_HEADERS, 5, &[0x40, 1, b'a', 1, b'b']);
    it.frame(ToServer, FrameType::PRIORITY, NONE, 7, &[0, 0, 0, 0, 9]);
    it.frame(ToServer, FrameType::PING, NONE, 0, &[0; 8]).frame(ToServer, FrameType::PING, NONE, 0, &[0; 7]);
    for (id, value) in [(1, 4_096), (2, 0), (3, 1), (4, 1), (5, 16_384), (6, 1), (9, 1)] {
        it.setting(ToServer, id, value);
    }
    it.frame(ToClient, FrameType::PUSH_PROMISE, END_HEADERS, 1, &[0, 0, 0, 2, 0x82]);
    it.response(1, &[]).message(ToClient, NONE, 1, &[10, 1, b'x', 0x15, 0, 0, 0, 0, 0x19, 0, 0, 0, 0, 0, 0, 0, 0]);
    it.trailers(1, &[("grpc-status", "5"), ("grpc-message", "no")]).reset(ToClient, 3, 8).window(ToClient, 0, 7);
    it.frame(ToClient, FrameType::GOAWAY, NONE, 0, b"\0\0\0\x01\0\0\0\x0btoo_many_pings");
    it.frames()
}

#[test]
fn every_annotation_with_a_rule_has_an_explanation() {
    let mut seen = 0;
    for frame in all_kinds_of_frames() {
        for node in frame.annotations.all() {
            let found = explain(node);
            assert_eq!(node.rule.is_none(), found.is_empty(), "{node:?}");
            seen += found.len();
            for explanation in found {
                assert!(explanation.sentence.ends_with('.') && explanation.rule.link().starts_with("https://"));
            }
        }
    }
    assert!(seen > 300, "{seen}");
}

#[test]
fn meaning_is_explained_before_the_encoding() {
    let frames = all_kinds_of_frames();
    let sentences = |label: &str, value: &str| {
        let mut found = Vec::new();
        for frame in &frames {
            for node in frame.annotations.all() {
                if node.label == *label && node.value.to_string().starts_with(value) && found.is_empty() {
                    found = explain(node).iter().map(|explanation| explanation.sentence).collect();
                }
            }
        }
        found
    };
    let timeout = sentences("grpc-timeout", "1S");
    assert!(
        timeout[0].starts_with("The time until the client gives up") && timeout[1].contains("without adding it"),
        "{timeout:?}"
    );
    let status = sentences("grpc-status", "5");
    assert!(status[0].starts_with("The result of the call") && status[1].starts_with("NOT_FOUND: "), "{status:?}");
    let code = sentences("error code", "CANCEL");
    assert!(code[0].starts_with("The stream is no longer needed") && code.len() == 2, "{code:?}");
    assert!(sentences("MAX_CONCURRENT_STREAMS", "1")[0].contains("calls in progress"));
    assert!(sentences("Compressed-Flag", "0")[0].starts_with("0 for an uncompressed message"));
}

#[test]
fn explanations_are_printed_once_for_each_frame_with_links() {
    let frame = &decode(route_guide(), &bytes_of(&GET_FEATURE)).take_frames()[4];
    let plain = print_frame(frame, &PrintOptions::default());
    let explained = print_frame(frame, &PrintOptions { explain: true, ..PrintOptions::default() });
    assert!(explained.starts_with(&plain) && explained.len() > plain.len());
    let link = "https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#requests";
    assert!(
        explained.contains("  grpc-timeout: The time until the client gives up") && explained.contains(link),
        "{explained}"
    );
    assert_eq!(explained.matches("Name and value are in a table").count(), 1, "{explained}");
    assert!(explained.lines().all(|line| line.chars().count() <= 100), "{explained}");
}
