//! JSON lines.

use std::time::{Duration, UNIX_EPOCH};

use serde_json::Value;

use super::*;

pub(super) fn lines_of(conversation: &Conversation, redaction: Redaction) -> String {
    let lines = JsonLines::new(redaction);
    conversation.frames().map(|frame| lines.frame(1, frame)).collect()
}

pub(super) fn objects(lines: &str) -> Vec<Value> {
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn get_feature_is_written_as_json() {
    let lines = JsonLines::new(Redaction::default());
    let began = UNIX_EPOCH + Duration::from_millis(1_764_079_677_250);
    let endpoints = Endpoints {
        client: Some("127.0.0.1:40114".to_owned()),
        server: None,
        began: Some(began),
        ..Endpoints::default()
    };
    let conversation = decode(route_guide(), &bytes_of(&GET_FEATURE));
    let mut written = lines.connection(1, &endpoints);
    conversation.frames().for_each(|frame| written.push_str(&lines.frame(1, frame)));
    written.push_str(&lines.end(1, Duration::from_millis(1500), 0));
    assert!(written == include_str!("get_feature.jsonl"), "\n{written}");
}

/// The law, checked from the lines alone.
#[test]
fn json_leaves_tile_the_bytes() {
    fn tile(nodes: &Value, mut at: u64) -> u64 {
        for node in nodes.as_array().unwrap() {
            assert_eq!(node["range"][0], at);
            let end = node["range"][1].as_u64().unwrap();
            assert!(end > at);
            assert!(node["children"].is_null() || tile(&node["children"], at) == end, "{node}");
            at = end;
        }
        at
    }
    for frame in objects(&lines_of(&decode(route_guide(), &bytes_of(&GET_FEATURE)), Redaction::default())) {
        let bytes = frame["bytes"].as_str().unwrap().len() as u64 / 2;
        assert_eq!(tile(&frame["annotations"], 0), bytes);
    }
}

#[test]
fn message_over_several_frames_has_its_own_tree() {
    let mut pieces = bytes_of(&GET_FEATURE)[..5].to_vec();
    pieces.push((Direction::ToServer, hex("000008 00 00 00000001  00 00000011 08 9af1")));
    pieces.push((Direction::ToServer, hex("00000e 00 01 00000001  8dc301 10 86e2e29bfdffffffff01")));
    let last = objects(&lines_of(&decode(route_guide(), &pieces), Redaction::none())).pop().unwrap();
    let message = &last["messages"][0];
    assert_eq!(message["type"], "routeguide.Point");
    assert_eq!(
        message["segments"],
        serde_json::json!([{"frame": 6, "range": [9, 17]}, {"frame": 7, "range": [9, 23]}])
    );
    assert_eq!(message["tree"]["range"], serde_json::json!([0, 22]));
    let fields = serde_json::json!([
        {"name": "latitude", "value": "409172122"},
        {"name": "longitude", "value": "-747065082"},
    ]);
    assert_eq!(message["fields"], fields);
    assert_eq!(last["annotations"][1]["part"], "tail");
}

#[test]
fn json_marks_binary_and_unknown_values() {
    let mut pieces = bytes_of(&GET_FEATURE)[..2].to_vec();
    pieces.push((Direction::ToServer, hex("000007 01 04 00000001  40 01 61 03 ff0a22")));
    pieces.push((Direction::ToServer, hex("000001 01 04 00000003  ff")));
    pieces.push((Direction::ToServer, hex("000001 01 04 00000005  be")));
    pieces.push((Direction::ToClient, b"HTTP/1.1 400 \"\x1b\r\n".to_vec()));
    let lines = lines_of(&decode(Schema::new(), &pieces), Redaction::none());
    assert!(lines.bytes().all(|byte| byte == b'\n' || !byte.is_ascii_control()), "{lines:?}");
    let frames = objects(&lines);
    assert_eq!(
        frames[2]["headers"],
        serde_json::json!([{"name": "a", "value": "\u{fffd}\n\"", "value_hex": "ff0a22"}])
    );
    assert_eq!(
        frames[3]["faults"],
        serde_json::json!(["COMPRESSION_ERROR: the header block ends inside an instruction"])
    );
    assert_eq!(frames[4]["headers"], serde_json::json!([{"name": null, "value": null}]));
    assert_eq!((&frames[5]["kind"], &frames[5]["direction"]), (&"bytes".into(), &"to_client".into()));
}

#[test]
fn json_has_the_kind_of_a_call_if_known() {
    let mut schema = route_guide();
    let path = "/routeguide.RouteGuide/GetFeature";
    schema.set_kind(path, CallKind::new(false, true));
    let conversation = decode(schema.clone(), &bytes_of(&GET_FEATURE));
    let lines = JsonLines::new(Redaction::default()).naming(&schema);
    let said: String = conversation.frames().map(|frame| lines.frame(1, frame)).collect();
    let frames = objects(&said);
    assert_eq!((&frames[4]["path"], &frames[4]["call_kind"]), (&path.into(), &"server_streaming".into()));
    assert!(frames.iter().enumerate().all(|(at, frame)| at == 4 || frame["call_kind"].is_null()));
    assert!(!lines_of(&conversation, Redaction::default()).contains("call_kind"));
}
