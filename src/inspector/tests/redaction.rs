//! Redacted frames contain no secrets.

use super::json::{lines_of, objects};
use super::*;

/// A request with `authorization` in each encoding of HPACK; its value is always "opensesame".
const SECRETS: [(Direction, &str); 3] = [
    (Direction::ToServer, "505249202a20485454502f322e30 0d0a0d0a 534d 0d0a0d0a"),
    (
        Direction::ToServer,
        "000032 01 05 00000001
         83 84 86
         57 0a 6f70656e736573616d65     # static name, added
         57 87 3d65a90540e92f         # Huffman coded
         be                             # from the dynamic table
         1f 08 0a 6f70656e736573616d65  # never indexed
         40 03 612d62 06 706c61696e21   # a-b: plain!",
    ),
    (Direction::ToServer, "000010 01 01 00000003  83 84 86 57 0a 6f70656e736573616d65 86"), // no END_HEADERS
];

#[test]
fn secrets_are_neither_in_values_nor_in_bytes() {
    let conversation = decode(Schema::new(), &bytes_of(&SECRETS));
    conversation.check().unwrap();
    let open = lines_of(&conversation, Redaction::none());
    assert!(open.contains("opensesame") && open.contains("6f70656e736573616d65"), "{open}");
    let lines = lines_of(&conversation, Redaction::default());
    for secret in ["opensesame", "6f70656e", "3d65a905"] {
        assert!(!lines.contains(secret), "{secret} is in {lines}");
    }
    let frames = objects(&lines);
    let headers = frames[1]["headers"].as_array().unwrap();
    let hidden = headers.iter().filter(|header| header["redacted"] == true && header["value"] == "redacted").count();
    assert_eq!(hidden, 4, "{headers:?}");
    assert!(lines.contains("plain!"));
}

/// Redacted bytes are still valid HTTP/2 and HPACK; decoding finds the same headers, except for the values.
#[test]
fn redacted_bytes_decode() {
    let conversation = decode(Schema::new(), &bytes_of(&SECRETS[..2]));
    let redaction = Redaction::default();
    let bytes: Vec<_> =
        conversation.frames().map(|frame| (frame.direction, redaction.apply(frame).bytes.clone())).collect();
    let again = decode(Schema::new(), &bytes);
    let headers = &again.frames().nth(1).unwrap().headers;
    let values: Vec<_> = headers.iter().map(|field| String::from_utf8_lossy(field.value.as_ref().unwrap())).collect();
    assert_eq!(values, ["POST", "/", "http", "XXXXXXXXXX", "XXXXXXX", "XXXXXXX", "XXXXXXXXXX", "plain!"]);
    let printed = print(
        conversation.frames().map(|frame| redaction.apply(frame).into_owned()).collect::<Vec<_>>().iter(),
        &PrintOptions::default(),
    );
    assert!(printed.contains("authorization: redacted") && printed.contains("·· ··"), "{printed}");
}

#[test]
fn names_are_added_and_nothing_is_taken_out_of_what_has_no_secret() {
    let conversation = decode(Schema::new(), &bytes_of(&SECRETS));
    let first = conversation.frames().next().unwrap();
    assert!(matches!(Redaction::default().apply(first), std::borrow::Cow::Borrowed(_)));
    let more = lines_of(&conversation, Redaction::default().header("A-B"));
    assert!(!more.contains("plain!") && !more.contains("706c61696e21"), "{more}");
    let name =
        |name: &str| HeaderField { name: Some(name.as_bytes().into()), value: Some([].into()), never_indexed: false };
    for (header, hidden) in
        [("Cookie", true), ("set-cookie", true), ("proxy-authorization", true), ("x-api-key", true), ("api-key", false)]
    {
        assert_eq!(Redaction::default().hides(&name(header)), hidden, "{header}");
    }
}

#[test]
fn fields_of_messages() {
    let conversation = decode(route_guide(), &bytes_of(&GET_FEATURE));
    let redaction = Redaction::default().field("name").field("longitude");
    let lines = lines_of(&conversation, redaction.clone());
    for secret in ["Berkshire", "4265726b73", "747065082", "86e2e29b"] {
        assert!(!lines.contains(secret), "{secret} is in {lines}");
    }
    assert!(lines.contains("409172122"));
    let feature = &objects(&lines)[8];
    assert_eq!(feature["messages"][0]["fields"][0], serde_json::json!({"name": "name", "value": "redacted"}));
    for frame in conversation.frames() {
        let shown = redaction.apply(frame);
        check_tiling(0..shown.bytes.len(), &shown.annotations).unwrap();
    }

    // A message in several frames is decoded with its last frame; until then none of its bytes are shown.
    let mut pieces = bytes_of(&GET_FEATURE)[..5].to_vec();
    pieces.push((Direction::ToServer, hex("000010 00 00 00000001  00 00000011 08 9af18dc301 10 86e2e29b")));
    let cut = lines_of(&decode(route_guide(), &pieces), redaction);
    assert!(!cut.contains("86e2e29b"), "{cut}");
}

#[test]
fn headers_of_http_1() {
    let request = b"GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Basic b3BlbnNlc2FtZQ==\r\n\r\n".to_vec();
    let lines = lines_of(&decode(Schema::new(), &[(Direction::ToServer, request)]), Redaction::default());
    assert!(!lines.contains("b3Blbn") && !lines.contains("6233426c"), "{lines}");
    assert!(lines.contains("Authorization: XXXXX XXXXXXXXXXXXXXXX"), "{lines}");
}
