//! Bytes that are encoded on the wire: compressed messages, and the details of a status.

use bytes::BytesMut;

use super::connection::*;
use super::*;
use crate::compression;
use crate::wire::encoding::Encoding;
use Direction::{ToClient, ToServer};

fn compressed(encoding: Encoding, content: &[u8]) -> Vec<u8> {
    let mut out = BytesMut::new();
    compression::all().get(encoding).unwrap().compress(content, &mut out).unwrap();
    out.to_vec()
}

/// A question with the number 42 and a field 9 that compresses well.
fn question() -> Vec<u8> {
    [&[8, 42, 0x4a, 100][..], &[b'x'; 100]].concat()
}

/// The message of a call with this grpc-encoding, split into frames of this many bytes.
fn sent(encoding: &str, content: &[u8], size: usize) -> (Frame, Message) {
    let mut connection = Connection::new();
    connection.request(1, &[("grpc-encoding", encoding)]);
    for chunk in prefixed(1, content).chunks(size) {
        connection.data(ToServer, NONE, 1, chunk);
    }
    let frame = connection.frames().pop().unwrap();
    let message = frame.messages[0].clone();
    (frame, message)
}

#[test]
fn messages_of_every_encoding_are_decompressed_into_one_leaf() {
    for encoding in [Encoding::Gzip, Encoding::Deflate, Encoding::Zstd, Encoding::Brotli, Encoding::Snappy] {
        for size in [7, 1 << 14] {
            let content = compressed(encoding, &question());
            let (frame, message) = sent(encoding.name(), &content, size);
            assert_eq!(check_tiling(0..frame.bytes.len(), &frame.annotations), Ok(()));
            let tree = frame.message_tree(&message).unwrap();
            assert_eq!(tree.children().count(), 3, "flag, length, and one leaf");
            assert_eq!(tree.children().nth(2).unwrap().value, "compressed, 104 bytes when decompressed");
            let restored = message.restored.as_ref().unwrap();
            assert_eq!((&restored.bytes, message.size()), (&question(), Some(104)));
            assert_eq!(check_tiling(0..104, &restored.annotations), Ok(()));
            assert_eq!(
                (restored.annotations.all()[0].label.to_string(), restored.annotations.all()[0].value.to_string()),
                ("number".into(), "42".into())
            );
        }
    }
}

#[test]
fn decompressed_content_is_shown_below_its_leaf() {
    let (frame, _) = sent("gzip", &compressed(Encoding::Gzip, &question()), 1 << 14);
    let lines = lines(&frame);
    assert!(lines.contains("compressed from 104 bytes: number: 42"), "{lines}");
    let printed = print_frame(&frame, &PrintOptions::default());
    let (wire, beside) = printed.split_once("┆ 104 bytes, decoded, not on the wire:").unwrap();
    assert!(wire.contains("Message") && !wire.contains("number"), "{printed}");
    assert!(beside.contains("   0  08 2a") && beside.contains("number: 42"), "{printed}");
    assert!(printed.lines().all(|line| line.chars().count() <= 100), "{printed}");
}

#[test]
fn failed_decompression_is_reported_with_the_reason() {
    let (frame, message) = sent("gzip", &[1, 2, 3], 100);
    assert_eq!((&message.restored, message.size()), (&None, None));
    let leaf = frame.message_tree(&message).unwrap().children().nth(2).unwrap();
    assert!(leaf.fault.as_ref().unwrap().starts_with("can't be decompressed with gzip"), "{leaf:?}");
    let (frame, message) = sent("lzma", &[1, 2, 3], 100);
    let leaf = frame.message_tree(&message).unwrap().children().nth(2).unwrap();
    assert_eq!((leaf.value.to_string().as_str(), &leaf.fault), ("compressed with an unsupported encoding", &None));
    let (_, message) = sent("gzip", &[], 100);
    assert_eq!(message.size(), Some(0));
}

/// A few bytes decompress to a million, again and again.
#[test]
fn decompressed_bytes_of_a_frame_are_bounded() {
    let bomb = prefixed(1, &compressed(Encoding::Gzip, &vec![0; 1_000_000]));
    let mut connection = Connection::new();
    connection.request(1, &[("grpc-encoding", "gzip")]).data(ToServer, NONE, 1, &bomb.repeat(10));
    let frame = connection.frames().pop().unwrap();
    let restored: usize =
        frame.messages.iter().filter_map(|message| message.restored.as_ref()).map(|it| it.bytes.len()).sum();
    assert_eq!((frame.messages.len(), restored), (10, 4_000_000));
    let last = frame.message_tree(&frame.messages[9]).unwrap();
    assert!(last.children().nth(2).unwrap().value.to_string().ends_with("over --limit message"), "{last:?}");
}

/// Over many frames and streams, decompressed bytes are in proportion to those received.
#[test]
fn decompressed_bytes_of_a_connection_are_bounded() {
    let bomb = prefixed(1, &compressed(Encoding::Gzip, &vec![0; 1_000_000]));
    let mut connection = Connection::new();
    for stream in 0..50 {
        connection.request(1 + 2 * stream, &[("grpc-encoding", "gzip")]).data(ToServer, NONE, 1 + 2 * stream, &bomb);
    }
    let frames = connection.frames();
    let messages = frames.iter().flat_map(|frame| &frame.messages);
    let restored: usize = messages.filter_map(|it| it.restored.as_ref()).map(|it| it.bytes.len()).sum();
    let received = 50 * (bomb.len() + 5);
    assert_eq!(restored / 1_000_000, 4, "one more than the limit of 4 MiB is not: {received} bytes earn little");
    let last = frames.last().unwrap();
    let leaf = last.message_tree(&last.messages[0]).unwrap().children().nth(2).unwrap();
    assert!(leaf.value.to_string().ends_with("over --limit restored"), "{leaf:?}");
    // Messages that compress as usual are always decompressed.
    let text: Vec<u8> =
        (0..20_000_u32).flat_map(|number| format!("{} ", number * 7_919 % 10_007).into_bytes()).collect();
    let usual = prefixed(1, &compressed(Encoding::Gzip, &text));
    for _ in 0..100 {
        connection.data(ToServer, NONE, 99, &usual);
    }
    let frames = connection.frames();
    let messages = frames.iter().flat_map(|frame| &frame.messages);
    assert_eq!(messages.filter(|it| it.restored.as_ref().is_some_and(|it| it.bytes == text)).count(), 100);
}

fn rpc_schema() -> Schema {
    let mut schema = Schema::new();
    schema.add_field("google.rpc.Status", 1, "code", FieldType::Int32);
    schema.add_field("google.rpc.Status", 2, "message", FieldType::String);
    schema.add_field("google.rpc.Status", 3, "details", FieldType::Message("google.protobuf.Any".into()));
    schema.add_field("google.protobuf.Any", 1, "type_url", FieldType::String);
    schema.add_field("google.protobuf.Any", 2, "value", FieldType::Bytes);
    schema.add_field("google.rpc.ErrorInfo", 1, "reason", FieldType::String);
    schema
}

#[test]
fn status_details_are_expanded() {
    let len = |number: u8, content: &[u8]| [&[number << 3 | 2, content.len() as u8][..], content].concat();
    let any =
        |name: &str| [len(1, format!("type.googleapis.com/{name}").as_bytes()), len(2, &len(1, b"FULL"))].concat();
    let details = [vec![8, 8], len(3, &any("google.rpc.ErrorInfo")), len(3, &any("x.Unknown"))].concat();
    let encoded = crate::wire::binary::encode(&details);
    let mut pieces = bytes_of(&GET_FEATURE)[..6].to_vec();
    let trailers = block(&[RESPONSE[0], RESPONSE[1], ("grpc-status", "8"), ("grpc-status-details-bin", &encoded)]);
    pieces.push((ToClient, [&[0, 0, trailers.len() as u8, 1, 5, 0, 0, 0, 1][..], &trailers].concat()));
    let conversation = decode(rpc_schema(), &pieces);
    let frame = conversation.frames().last().unwrap();
    let status = frame.details.as_ref().unwrap();
    assert_eq!((&status.bytes, check_tiling(0..details.len(), &status.annotations)), (&details, Ok(())));
    let lines = lines(frame);
    let expected = "google.rpc.Status: code: 8, details: google.protobuf.Any { type_url: \
                    \"type.googleapis.com/google.rpc.ErrorInfo\", value: google.rpc.ErrorInfo { reason: \"FULL\" } }, \
                    details: google.protobuf.Any { type_url: \"type.google";
    assert!(lines.contains(expected.split_at(150).0), "{lines}");
    let printed = print_frame(frame, &PrintOptions::default());
    assert!(printed.contains("reason: \"FULL\""), "{printed}");
}

#[test]
fn secrets_in_decompressed_messages_are_redacted() {
    let (frame, _) = sent("gzip", &compressed(Encoding::Gzip, &question()), 1 << 14);
    let message = |redaction| -> serde_json::Value {
        let line: serde_json::Value = serde_json::from_str(&JsonLines::new(redaction).frame(1, &frame)).unwrap();
        line["messages"][0].clone()
    };
    let open = message(Redaction::none());
    assert_eq!(open["fields"][0], serde_json::json!({"name": "number", "value": "42"}));
    assert!(open["restored"]["bytes"].as_str().unwrap().starts_with("082a4a64787878"), "{open}");
    let shut = message(Redaction::default().field("number"));
    assert_eq!(shut["fields"][0], serde_json::json!({"name": "number", "value": "redacted"}));
    assert!(shut["restored"]["bytes"].as_str().unwrap().starts_with("08004a64787878"), "{shut}");
}
