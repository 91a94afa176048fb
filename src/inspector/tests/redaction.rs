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
    let (name, redacted) = (r#""label":"Authorization","value":"redacted""#, r#""value":"redacted","form":"redacted""#);
    assert!(lines.contains(name) && lines.contains(redacted), "{lines}");
}

/// A secret is not shown wherever its line is cut, in a direction of HTTP/1 and in what comes before HTTP/2.
#[test]
fn headers_of_http_1_cut_anywhere() {
    let value = "Basic opensesame";
    let lines =
        format!("Host: a\r\nAuthorization : {value}\r\nX-Api-Key:{value}\r\n  {value}\r\nMine: {value}\r\n\r\n");
    let redaction = Redaction::default().header("mine");
    for first in ["GET / HTTP/1.1\r\n", "CONNECT a:1 HTTP/1.1\r\n", "POST /a HTTP/1.1\r\nUpgrade: h2c\r\n", "NOTE\r\n"]
    {
        let whole = [first.as_bytes(), lines.as_bytes(), b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"].concat();
        let shown = |pieces: &[&[u8]], lost: u64| {
            let mut conversation = Conversation::new(Schema::new());
            for (at, piece) in pieces.iter().enumerate() {
                conversation.lose(Direction::ToServer, if at == 1 { lost } else { 0 });
                conversation.push(Direction::ToServer, piece);
            }
            conversation.finish();
            conversation.check().unwrap();
            let options = PrintOptions { bytes_per_field: 1_000, ..PrintOptions::default() };
            let frames: Vec<_> = conversation.frames().map(|frame| redaction.apply(frame).into_owned()).collect();
            for frame in &frames {
                check_tiling(0..frame.bytes.len(), &frame.annotations).unwrap();
            }
            let printed = print(&frames, &options) + &frames.iter().map(super::lines).collect::<String>();
            let bytes: Vec<u8> = frames.iter().flat_map(|frame| frame.bytes.clone()).collect();
            (printed + &lines_of(&conversation, redaction.clone()), bytes)
        };
        for cut in 0..whole.len() {
            let (head, tail) = whole.split_at(cut);
            let near = &tail[..tail.len().min(7)];
            for (pieces, lost) in
                [(vec![head, tail], 0), (vec![head, near, &tail[near.len()..]], 0), (vec![head, tail], 3)]
            {
                let (shown, bytes) = shown(&pieces, lost);
                for secret in ["opensesame", "6f70656e73657361", "esame"] {
                    assert!(!shown.contains(secret), "{first}{cut}: {shown}");
                }
                assert!(!bytes.windows(5).any(|window| window == b"esame"), "{first}{cut}");
                assert_eq!(bytes.len(), whole.len());
            }
        }
    }
}
