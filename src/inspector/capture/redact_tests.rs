//! Redaction finds secrets in every encoding and changes nothing else.

use super::*;
use crate::inspector::{Conversation, Schema};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// "secret-of-mine" in the code of RFC 7541, Appendix B.
const HUFFMAN: [u8; 10] = [0x41, 0x49, 0x61, 0x52, 0xb1, 0xe5, 0x5a, 0x93, 0x54, 0x5f];

fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
    [&[0, 0, payload.len() as u8, kind, flags, 0, 0, 0, 1][..], payload].concat()
}

/// A request's headers with secrets in every form: raw, Huffman coded, with a new name, and by index.
fn block() -> Vec<u8> {
    let raw = [&[0x0f, 0x08, 6][..], b"secret"].concat();
    let coded = [&[0x57, 0x80 | HUFFMAN.len() as u8][..], &HUFFMAN].concat();
    let named = [&[0x40, 9][..], b"x-api-key", &[8], b"secret 2"].concat();
    let open = [&[0x40, 4][..], b"open", &[6], b"secret"].concat();
    [&[0x83], &raw[..], &coded, &named, &open, &[0xc0]].concat()
}

fn redacted(secrets: &Redaction, pieces: &[&[u8]]) -> Vec<u8> {
    let mut redactor = Redactor::new(secrets.clone(), true);
    let mut out = Vec::new();
    pieces.iter().for_each(|piece| redactor.push(Direction::ToServer, piece, &mut out));
    redactor.finish(Direction::ToServer, &mut out);
    out
}

fn headers(bytes: &[u8]) -> Vec<(String, String)> {
    let mut conversation = Conversation::new(Schema::new());
    conversation.push(Direction::ToServer, bytes);
    conversation.finish();
    conversation.check().unwrap();
    let text = |part: &Option<std::sync::Arc<[u8]>>| String::from_utf8_lossy(part.as_deref().unwrap()).into_owned();
    let fields = conversation.frames().flat_map(|frame| &frame.headers);
    fields.map(|field| (text(&field.name), text(&field.value))).collect()
}

#[test]
fn huffman_test_data_decodes_to_the_secret() {
    assert_eq!(huffman::decode(&HUFFMAN), Ok(b"secret-of-mine".to_vec()));
}

#[test]
fn secrets_are_redacted_in_every_encoding_and_for_every_cut() {
    let block = block();
    let whole = [PREFACE, &frame(1, 4, &block), &frame(0, 1, b"\0\0\0\0\x06secret")].concat();
    for cut in 0..block.len() {
        let (head, tail) = block.split_at(cut);
        let bytes = [PREFACE, &frame(1, 0, head), &frame(9, 4, tail), &frame(0, 1, b"\0\0\0\0\x06secret")].concat();
        let before = headers(&bytes);
        assert_eq!((&before, before.len()), (&headers(&whole), 6));
        let out = redacted(&Redaction::default(), &bytes.chunks(1 + cut).collect::<Vec<_>>());
        assert_eq!(out.len(), bytes.len());
        let after = headers(&out);
        assert_eq!(before.len(), after.len());
        assert!(after.iter().all(|(_, value)| value == value.trim()), "no value may begin or end with a space");
        for ((name, was), (again, is)) in before.iter().zip(&after) {
            assert_eq!((name, was.len()), (again, is.len()));
            let secret = matches!(&**name, "authorization" | "x-api-key");
            assert_eq!(was == is, !secret, "{name}: {is}");
            assert!(!secret || !is.contains("ecret"), "{name}: {is}");
        }
        assert!(out.ends_with(b"\0\0\0\0\x06secret"), "messages are not looked at");
    }
}

#[test]
fn only_configured_headers_are_redacted() {
    let bytes = [PREFACE, &frame(1, 4, &block())].concat();
    assert_eq!(redacted(&Redaction::none(), &[&bytes]), bytes);
    let out = redacted(&Redaction::default().header("Open"), &[&bytes]);
    let changed: Vec<_> = headers(&bytes).into_iter().zip(headers(&out)).filter(|(was, is)| was != is).collect();
    assert_eq!(changed.len(), 5, "all but :method");
    assert!(headers(&out).contains(&("open".to_owned(), "xxxxxx".to_owned())));
}

#[test]
fn incomplete_or_undecodable_header_blocks_are_overwritten() {
    let block = block();
    for end in 0..block.len() {
        let bytes = [PREFACE, &frame(1, 4, &block)].concat();
        let cut = &bytes[..PREFACE.len() + 9 + end];
        let out = redacted(&Redaction::default(), &[cut]);
        assert_eq!(out.len(), cut.len());
        assert!(!out.windows(6).any(|window| window == b"secret"), "{end}");
        assert!(!out.windows(4).any(|window| window == &HUFFMAN[..4]), "{end}");
    }
    // The value of a header whose name was not captured may be a secret.
    let unknown = [&[0x0f, 0x7f][..], &[6], b"secret"].concat();
    let mut redactor = Redactor::new(Redaction::default(), false);
    let mut out = Vec::new();
    let ping = frame(6, 0, b"8 bytes.");
    let ping = [&ping[..8], &[0], &ping[9..]].concat();
    redactor.push(Direction::ToServer, &[&ping[..], &frame(1, 4, &unknown), &ping].concat(), &mut out);
    assert!(out.ends_with(&ping) && !out.windows(6).any(|window| window == b"secret"), "{out:02x?}");
    // Index 0 is an error, after which the table is unknown.
    let broken = [&[0x80][..], b"secret"].concat();
    assert!(redacted(&Redaction::default(), &[PREFACE, &frame(1, 4, &broken)]).ends_with(b"xxxxxxx"));
}

#[test]
fn possible_secrets_after_a_gap_are_overwritten() {
    let mut redactor = Redactor::new(Redaction::default(), true);
    let mut out = Vec::new();
    let headers = frame(1, 4, &block());
    redactor.push(Direction::ToServer, PREFACE, &mut out);
    redactor.push(Direction::ToServer, &headers[..20], &mut out);
    redactor.lose(Direction::ToServer, 7, &mut out);
    redactor.push(Direction::ToServer, &headers[27..], &mut out);
    redactor.push(Direction::ToServer, &frame(0, 1, b"data"), &mut out);
    assert_eq!(out.len(), PREFACE.len() + headers.len() - 7 + 13);
    assert!(!out.windows(6).any(|window| window == b"secret"));
    assert!(out.ends_with(b"data"));
}

/// Bytes before HTTP/2 do not hide the secrets behind them, and their own secrets are overwritten.
#[test]
fn behind_what_comes_before_http2() {
    let names = b"Authorization: secret\r\n\tsecret\r\nX-API-KEY:secret\r\nSet-Cookie: secret";
    let http1 = |first: &[u8]| [first, b"\r\n", &names[..], b"\r\n\r\n"].concat();
    let frames = [PREFACE, &frame(1, 4, &block())].concat();
    for before in [
        b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n".to_vec(),
        [&b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c"[..], &[1; 12]].concat(),
        http1(b"CONNECT a:1 HTTP/1.1"),
        http1(b"POST /a HTTP/1.1\r\nUpgrade: h2c"),
        [b"PROXY UNKNOWN\r\n", &http1(b"CONNECT a:1 HTTP/1.1")[..]].concat(),
    ] {
        let whole = [&before[..], &frames].concat();
        let expected = redacted(&Redaction::default(), &[&whole]);
        assert_eq!(expected.len(), whole.len());
        assert_eq!(headers(&expected[before.len()..]).len(), 6);
        for cut in 0..whole.len() {
            let pieces = [&whole[..cut], &whole[cut..]];
            let out = redacted(&Redaction::default().header("open"), &pieces);
            assert!(!out.windows(6).any(|window| window == b"secret"), "{}", out.escape_ascii());
            assert_eq!(redacted(&Redaction::default(), &pieces), expected);
            let ended = redacted(&Redaction::default(), &pieces[..1]);
            assert!(!ended.windows(6).any(|window| window == b"secret"), "{}", ended.escape_ascii());
            let mut redactor = Redactor::new(Redaction::default().header("open"), true);
            let mut out = Vec::new();
            redactor.push(Direction::ToServer, &whole[..cut], &mut out);
            redactor.lose(Direction::ToServer, 1, &mut out);
            redactor.push(Direction::ToServer, &whole[(cut + 1).min(whole.len())..], &mut out);
            redactor.finish(Direction::ToServer, &mut out);
            assert!(!out.windows(6).any(|window| window == b"secret"), "{}", out.escape_ascii());
        }
    }
}

/// The headers in TLS are encrypted, so TLS is recorded unchanged.
#[test]
fn tls_is_recorded_unchanged() {
    let hello = [0x16, 3, 3, 4, 0xba, 2, 0, 4, 0xb6, 3, 3];
    let mut redactor = Redactor::new(Redaction::default(), true);
    let mut out = Vec::new();
    redactor.push(Direction::ToClient, &hello, &mut out);
    assert_eq!(out, hello);
}

#[test]
fn secrets_in_http1_headers_are_redacted() {
    let request = b"GET / HTTP/1.1\r\nHost: a:1\r\nAuthorization: Basic c2VjcmV0\r\nX-Api-Key:k\r\n\r\nbody: y";
    let expected = b"GET / HTTP/1.1\r\nHost: a:1\r\nAuthorization:xxxxxxxxxxxxxxx\r\nX-Api-Key:x\r\n\r\nbody: y";
    for size in [1, 7, request.len()] {
        let out = redacted(&Redaction::default(), &request.chunks(size).collect::<Vec<_>>());
        assert_eq!(String::from_utf8_lossy(&out), String::from_utf8_lossy(expected));
    }
}
