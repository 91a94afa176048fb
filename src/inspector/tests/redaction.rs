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
fn secrets_are_redacted_in_values_and_bytes() {
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
fn redacted_bytes_still_decode() {
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
fn header_names_can_be_added_and_other_frames_stay_borrowed() {
    let conversation = decode(Schema::new(), &bytes_of(&SECRETS));
    let first = conversation.frames().next().unwrap();
    assert!(matches!(Redaction::default().apply(first), std::borrow::Cow::Borrowed(_)));
    let more = lines_of(&conversation, Redaction::default().header("A-B"));
    assert!(!more.contains("plain!") && !more.contains("706c61696e21"), "{more}");
    let name =
        |name: &str| HeaderField { name: Some(name.as_bytes().into()), value: Some([].into()), never_indexed: false };
    let secret = "Cookie set-cookie proxy-authorization x-api-key api-key api_key apikey X-Auth-Token x-amz-security-token \
        x-goog-api-key x-goog-iam-authorization-token x-forwarded-authorization x-access-token token token-bin access_token \
        grpcgateway-authorization grpcgateway-cookie x-forwarded-access-token x-ms-token-aad-access-token \
        cf-access-jwt-assertion x-goog-iap-jwt-assertion x-amzn-oidc-data x-amzn-oidc-accesstoken x-client-secret \
        x-vault-token private-token dpop x-id-token-bin authorization-bin x-password x-session-id";
    let open = "te user-agent grpc-timeout grpc-encoding grpc-trace-bin traceparent x-request-id cookies-enabled keyboard \
        authority x-tokenizer content-type :path :authority";
    for (header, hidden) in
        secret.split_whitespace().map(|it| (it, true)).chain(open.split_whitespace().map(|it| (it, false)))
    {
        assert_eq!(Redaction::default().hides(&name(header)), hidden, "{header}");
    }
    for (given, header, hidden) in [
        ("x-note", "x-note-bin", true),
        ("x-note-bin", "x-note", true),
        ("X_Note", "x-note", true),
        (" X-Note: 5 ", "x-note", true),
        ("x-note:", "x-note", true),
        (":path", ":path", true),
        ("path:", ":path", true),
        ("method", ":path", true),
        (":method", ":path", false),
        ("status", "grpc-status", true),
        (":status", "grpc-status", false),
        ("host", ":authority", true),
        (":authority", "host", true),
        ("x-note", "x-notes", false),
    ] {
        assert_eq!(Redaction::default().header(given).hides(&name(header)), hidden, "{given} {header}");
        assert!(!Redaction::none().header(given).hides(&name(header)), "{given} {header}");
    }
}

/// Returns the frames of a direction that sends SETTINGS and then these header blocks on stream 1.
fn blocks(direction: Direction, blocks: &[&[u8]]) -> Vec<(Direction, Vec<u8>)> {
    let preface = if direction == Direction::ToServer { &bytes_of(&SECRETS[..1])[0].1[..] } else { &[] };
    let mut bytes = [preface, &hex("000000 04 00 00000000")].concat();
    for (at, block) in blocks.iter().enumerate() {
        let length = (block.len() as u32).to_be_bytes();
        let flags = if at + 1 == blocks.len() { 5 } else { 4 };
        bytes.extend([&length[1..], &[1, flags, 0, 0, 0, 1], block].concat());
    }
    vec![(direction, bytes)]
}

fn literal(name: &[u8], value: &[u8]) -> Vec<u8> {
    let length = |text: &[u8]| match text.len() {
        short @ 0..127 => vec![short as u8],
        long => vec![127, (long - 127) as u8 & 0x7f | 0x80, ((long - 127) >> 7) as u8],
    };
    [&[0x40][..], &length(name), name, &length(value), value].concat()
}

/// JSON repeats some headers in fields of their own and in its summary. An index of the static table tells a value too.
#[test]
fn repeated_headers_are_redacted_in_every_output() {
    let request = [&hex("83 86")[..], &literal(b":path", b"/se.Cret/Call"), &literal(b":authority", b"secret.example")];
    let request = blocks(Direction::ToServer, &[&request.concat()]);
    let details = literal(b"grpc-status-details-bin", b"CAUSBnNlY3JldA");
    let response = [&hex("8e")[..], &literal(b"content-type", b"text/html")].concat();
    let headers = [&hex("88")[..], &literal(b"content-type", b"application/grpc")].concat();
    let trailers = [literal(b"grpc-status", b"5"), literal(b"grpc-message", b"secret"), details].concat();
    let only = [&headers[..], &trailers].concat();
    for (bytes, name, gone) in [
        (&request, ":path", &["/se.Cret/Call"][..]),
        (&request, "method", &["/se.Cret/Call", "POST", "\"83"]),
        (&request, ":method", &["POST", "static 3", "\"bytes\":\"00002b01050000000183"]),
        (&request, "Authority:", &["secret.example"]),
        (&request, "host", &["secret.example"]),
        (&blocks(Direction::ToClient, &[&response]), ":status", &["\"500\"", ": 500", "static 14"]),
        (
            &blocks(Direction::ToClient, &[&headers, &trailers]),
            "grpc-status",
            &["NOT_FOUND", "\"5\"", "Status", "grpc-status 5"],
        ),
        (&blocks(Direction::ToClient, &[&only]), "grpc-status", &["NOT_FOUND", "\"5\"", "grpc-status 5"]),
        (&blocks(Direction::ToClient, &[&only]), "grpc-message", &["secret"]),
        (&blocks(Direction::ToClient, &[&only]), "grpc-status-details", &["CAUSBnNlY3JldA"]),
    ] {
        let conversation = decode(Schema::new(), bytes);
        let redaction = Redaction::default().header(name);
        let lines = lines_of(&conversation, redaction.clone());
        let printed: String =
            conversation.frames().map(|frame| crate::inspector::lines(&redaction.apply(frame))).collect();
        let open = lines_of(&conversation, Redaction::default());
        for part in gone {
            assert!(!lines.contains(part) && !printed.contains(part), "{name}: {part} is in {lines}{printed}");
        }
        assert!(gone.iter().any(|part| open.contains(part)), "{name}: {open}");
        assert!(lines.contains("redacted"), "{name}: {lines}");
    }
}

/// The labels of nodes are chosen by the peer where they are names of headers, and are shortened.
#[test]
fn redacted_name_hides_only_its_own_value() {
    let long = [&[b'n'; 600][..], b"-token"].concat();
    let never = |name: &[u8]| [&[0x10][..], &literal(name, b"secret")[1..]].concat();
    let block = [
        literal(b"dynamic table size", b"open"),
        literal(b"authorization", b"secret"),
        literal(b"value length", b"open"),
        literal(&long, b"secret"),
        never(b""),
        never(b"dynamic table size"),
        literal(b"value", b"open"),
        literal(b"X-\xff-token", b"secret"),
    ];
    let bytes = blocks(Direction::ToServer, &[&block.concat()]);
    let conversation = decode(Schema::new(), &bytes);
    let lines = lines_of(&conversation, Redaction::default());
    assert!(!lines.contains("secret") && !lines.contains("736563726574"), "{lines}");
    assert_eq!(objects(&lines)[2]["headers"].as_array().unwrap().iter().filter(|it| it["value"] == "open").count(), 3);
    let mut out = Vec::new();
    let mut redactor = crate::inspector::capture::Redactor::new(Redaction::default(), true);
    redactor.push(Direction::ToServer, &bytes[0].1, &mut out);
    redactor.finish(Direction::ToServer, &mut out);
    assert!(!out.windows(6).any(|window| window == b"secret"), "{}", out.escape_ascii());
    assert_eq!(out.windows(4).filter(|window| *window == b"open").count(), 3);
}

/// Repetitions of a header that its sender marked as never indexed are redacted, too.
#[test]
fn never_indexed_headers_are_redacted_everywhere() {
    let never = |name: &[u8], value: &[u8]| [&[0x10][..], &literal(name, value)[1..]].concat();
    let request = [&hex("83 86")[..], &never(b":path", b"/se.Cret/Call")].concat();
    let details = never(b"grpc-status-details-bin", b"CAUSBnNlY3JldA");
    let headers = [&hex("88")[..], &literal(b"content-type", b"application/grpc")].concat();
    let trailers = [never(b"grpc-status", b"5"), details].concat();
    for (bytes, gone) in [
        (blocks(Direction::ToServer, &[&request]), &["/se.Cret/Call"][..]),
        (blocks(Direction::ToClient, &[&headers, &trailers]), &["NOT_FOUND", "\"5\"", "secret"]),
    ] {
        let lines = lines_of(&decode(Schema::new(), &bytes), Redaction::default());
        assert!(gone.iter().all(|part| !lines.contains(part)) && lines.contains("redacted"), "{lines}");
    }
}

/// In a recorded file, too, an index of the static table does not tell the value of a named header.
#[test]
fn static_values_are_overwritten_in_recorded_bytes() {
    let bytes = &blocks(Direction::ToServer, &[&hex("83 87 85")])[0].1;
    let mut out = Vec::new();
    let redaction =
        [":method", "scheme", "path"].iter().fold(Redaction::default(), |redaction, name| redaction.header(name));
    let mut redactor = crate::inspector::capture::Redactor::new(redaction, true);
    redactor.push(Direction::ToServer, bytes, &mut out);
    assert!(out.ends_with(&[0x82, 0x86, 0x84]), "{}", out.escape_ascii());
}

#[test]
fn message_fields_are_redacted() {
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
fn http1_headers_are_redacted() {
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
