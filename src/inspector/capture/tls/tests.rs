//! Connections of RFC 8448, whole and in pieces, with all or some of their secrets; and connections that can't be
//! decrypted.

use std::time::{Duration, SystemTime};

use super::super::{Chunk, NOWHERE};
use super::rfc8448::{resumed, simple};
use super::*;

use Direction::{ToClient, ToServer};

/// The fifty bytes that both sides send in every section.
fn fifty() -> Vec<u8> {
    (0..50).collect()
}

fn unhex(digits: &str) -> Vec<u8> {
    digits
        .as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

fn log_of(random: &str, secrets: &[(&str, &str)]) -> KeyLog {
    let mut log = KeyLog::default();
    for (label, secret) in secrets {
        assert_eq!(log.add(format!("{label} {random} {secret}\n").as_bytes()), 1);
    }
    log
}

const SECRETS: [(&str, &str); 4] = [
    ("CLIENT_TRAFFIC_SECRET_0", simple::CLIENT_TRAFFIC_SECRET_0),
    ("SERVER_TRAFFIC_SECRET_0", simple::SERVER_TRAFFIC_SECRET_0),
    ("CLIENT_HANDSHAKE_TRAFFIC_SECRET", simple::CLIENT_HANDSHAKE_TRAFFIC_SECRET),
    ("SERVER_HANDSHAKE_TRAFFIC_SECRET", simple::SERVER_HANDSHAKE_TRAFFIC_SECRET),
];

const SIMPLE: [(Direction, &str); 9] = [
    (ToServer, simple::CLIENT_HELLO),
    (ToClient, simple::SERVER_HELLO),
    (ToClient, simple::SERVER_HANDSHAKE),
    (ToServer, simple::CLIENT_FINISHED),
    (ToClient, simple::TICKET),
    (ToServer, simple::CLIENT_DATA),
    (ToClient, simple::SERVER_DATA),
    (ToServer, simple::CLIENT_ALERT),
    (ToClient, simple::SERVER_ALERT),
];

fn simple_log() -> KeyLog {
    log_of(simple::RANDOM, &SECRETS)
}

/// A capture of one connection with these bytes, a second apart.
fn capture(said: impl IntoIterator<Item = (Direction, Vec<u8>)>) -> Capture {
    let mut connection = Connection::new(NOWHERE, NOWHERE);
    for (second, (direction, bytes)) in (0..).zip(said) {
        connection.chunks.push(Chunk { time: Duration::from_secs(second), direction, lost: 0, bytes });
    }
    let mut capture = Capture::new(SystemTime::UNIX_EPOCH);
    capture.connections.push(connection);
    capture
}

fn records(said: &[(Direction, &str)]) -> Vec<(Direction, Vec<u8>)> {
    said.iter().map(|(direction, record)| (*direction, unhex(record))).collect()
}

fn decrypted(said: impl IntoIterator<Item = (Direction, Vec<u8>)>, log: &KeyLog) -> (Vec<Chunk>, String) {
    let mut capture = capture(said);
    decrypt(&mut capture, log);
    let [note] = &capture.notes[..] else { panic!("not one note: {:?}", capture.notes) };
    (capture.connections.remove(0).chunks, note.clone())
}

fn chunk(second: u64, direction: Direction, lost: u64, bytes: &[u8]) -> Chunk {
    Chunk { time: Duration::from_secs(second), direction, lost, bytes: bytes.to_vec() }
}

#[test]
fn handshake_of_rfc_8448_section_3_is_decrypted() {
    let (chunks, note) = decrypted(records(&SIMPLE), &simple_log());
    assert_eq!(chunks, [chunk(5, ToServer, 0, &fifty()), chunk(6, ToClient, 0, &fifty())]);
    assert_eq!(note, "connection 1: TLS 1.3, TLS_AES_128_GCM_SHA256: decrypted");
}

#[test]
fn application_data_is_decrypted_without_handshake_secrets() {
    let (chunks, note) = decrypted(records(&SIMPLE), &log_of(simple::RANDOM, &SECRETS[..2]));
    assert_eq!(chunks, [chunk(5, ToServer, 0, &fifty()), chunk(6, ToClient, 0, &fifty())]);
    assert!(note.ends_with(": decrypted"), "{note}");
}

/// A PROXY protocol header and a tunnel do not hide TLS; they stay, before what is decrypted.
#[test]
fn behind_a_proxy_and_a_tunnel() {
    let v1 = b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n".to_vec();
    let v2 = [&b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c"[..], &[1; 12]].concat();
    let connect = b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n".to_vec();
    let agreed = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
    let tunnel = [(ToServer, connect.clone()), (ToClient, agreed)];
    for before in [
        vec![(ToServer, v1.clone())],
        vec![(ToServer, v2)],
        tunnel.to_vec(),
        [vec![(ToServer, v1.clone())], tunnel.to_vec()].concat(),
    ] {
        let (chunks, note) = decrypted(before.iter().cloned().chain(records(&SIMPLE)), &simple_log());
        assert!(note.ends_with("TLS_AES_128_GCM_SHA256: decrypted"), "{note}");
        let said: Vec<_> = chunks.iter().map(|chunk| (chunk.direction, chunk.bytes.clone())).collect();
        assert_eq!(said, [&before[..], &[(ToServer, fifty()), (ToClient, fifty())]].concat());
        assert!(chunks.is_sorted_by_key(|chunk| chunk.time));
        // Without the secrets all bytes stay.
        let all: Vec<_> = before.into_iter().chain(records(&SIMPLE)).collect();
        let (chunks, note) = decrypted(all.clone(), &KeyLog::default());
        assert!(note.contains("no key log"), "{note}");
        let bytes = |way: Direction, said: &[(Direction, Vec<u8>)]| -> Vec<u8> {
            said.iter().filter(|(own, _)| *own == way).flat_map(|(_, bytes)| bytes.clone()).collect()
        };
        let said: Vec<_> = chunks.into_iter().map(|chunk| (chunk.direction, chunk.bytes)).collect();
        for way in [ToServer, ToClient] {
            assert_eq!(bytes(way, &said), bytes(way, &all));
        }
    }
    // The header and the ClientHello may come together.
    let mut together = records(&SIMPLE);
    together[0].1.splice(..0, [v1.clone(), connect].concat());
    let (chunks, note) = decrypted(together, &simple_log());
    assert!(note.ends_with(": decrypted"), "{note}");
    assert_eq!(chunks.iter().map(|chunk| chunk.bytes.len()).collect::<Vec<_>>(), [v1.len() + 33, 50, 50]);
}

#[test]
fn direction_without_a_secret_is_reported() {
    let (chunks, note) = decrypted(records(&SIMPLE), &log_of(simple::RANDOM, &SECRETS[..1]));
    assert_eq!(chunks, [chunk(5, ToServer, 0, &fifty()), chunk(8, ToClient, 679 + 227 + 72 + 24, &[])]);
    assert!(note.contains("of the server nothing, records that the secrets do not open"), "{note}");
}

#[test]
fn early_data_of_rfc_8448_section_4_is_decrypted() {
    let secrets = [
        ("CLIENT_EARLY_TRAFFIC_SECRET", resumed::CLIENT_EARLY_TRAFFIC_SECRET),
        ("CLIENT_HANDSHAKE_TRAFFIC_SECRET", resumed::CLIENT_HANDSHAKE_TRAFFIC_SECRET),
        ("SERVER_HANDSHAKE_TRAFFIC_SECRET", resumed::SERVER_HANDSHAKE_TRAFFIC_SECRET),
        ("CLIENT_TRAFFIC_SECRET_0", resumed::CLIENT_TRAFFIC_SECRET_0),
        ("SERVER_TRAFFIC_SECRET_0", resumed::SERVER_TRAFFIC_SECRET_0),
    ];
    let said = records(&[
        (ToServer, resumed::CLIENT_HELLO),
        (ToServer, resumed::EARLY_DATA),
        (ToClient, resumed::SERVER_HELLO),
        (ToClient, resumed::SERVER_HANDSHAKE),
        (ToServer, resumed::CLIENT_FINISHED),
        (ToServer, resumed::CLIENT_DATA),
        (ToClient, resumed::SERVER_DATA),
    ]);
    let fifty = fifty();
    let data = [chunk(5, ToServer, 0, &fifty), chunk(6, ToClient, 0, &fifty)];
    let (chunks, _) = decrypted(said.clone(), &log_of(resumed::RANDOM, &secrets));
    assert_eq!(chunks, [&[chunk(1, ToServer, 0, b"ABCDEF")], &data[..]].concat());
    // Without an EndOfEarlyData the server has refused the early data, and the client sends it again.
    let mut refused = said.clone();
    refused[4].1.drain(..26);
    assert_eq!(decrypted(refused, &log_of(resumed::RANDOM, &secrets)).0, data);
    assert_eq!(decrypted(said, &log_of(resumed::RANDOM, &secrets[1..])).0, data);
}

/// The records do not depend on how the bytes are cut; a prefix gives the records it contains.
#[test]
fn records_are_decrypted_for_every_cut_and_truncation() {
    let whole = records(&SIMPLE);
    let log = simple_log();
    let bytes = whole.iter().flat_map(|(direction, bytes)| bytes.iter().map(|byte| (*direction, vec![*byte])));
    let single: Vec<_> = bytes.collect();
    let (chunks, _) = decrypted(single.clone(), &log);
    assert_eq!(chunks.iter().map(|chunk| chunk.bytes.clone()).collect::<Vec<_>>(), [fifty(), fifty()]);
    let mut notes = Vec::new();
    for end in 5..single.len() {
        let (_, note) = decrypted(single[..end].iter().cloned(), &log);
        if notes.last() != Some(&note) {
            notes.push(note);
        }
    }
    for part in [
        "the ClientHello, which selects the secrets, was not recorded",
        "the ServerHello is missing",
        "its handshake did not end",
        "TLS_AES_128_GCM_SHA256: decrypted",
        "of the client only up to an incomplete record",
        "of the server only up to an incomplete record",
    ] {
        assert!(notes.iter().any(|note| note.contains(part)), "{part:?} is missing in {notes:#?}");
    }
}

#[test]
fn records_after_a_gap_are_decrypted() {
    // The first record of application data is lost from its third byte on, and the beginning of the next ends the gap.
    let mut lossy = capture(records(&SIMPLE));
    let chunks = &mut lossy.connections[0].chunks;
    chunks[5].bytes.truncate(3);
    chunks[7].lost = 69;
    // A ticket of the server is lost; its content is unknown.
    chunks.remove(4);
    chunks[5].lost = 227;
    let mut gap = lossy.clone();
    decrypt(&mut gap, &simple_log());
    assert_eq!(
        gap.connections[0].chunks,
        [chunk(6, ToClient, 227, &fifty()), chunk(7, ToServer, 72, &[])],
        "{:?}",
        gap.notes
    );
    assert!(gap.notes[0].ends_with(": decrypted"), "{:?}", gap.notes);
    // The header of the next record is lost too.
    let chunks = &mut lossy.connections[0].chunks;
    chunks[6].bytes.drain(..2);
    chunks[6].lost += 2;
    decrypt(&mut lossy, &simple_log());
    assert!(
        lossy.notes[0].ends_with("of the client nothing, a gap, after which no record was found"),
        "{:?}",
        lossy.notes
    );
}

/// A gap in the handshake does not affect the data after it.
#[test]
fn gap_in_the_handshake_does_not_affect_later_data() {
    let mut lossy = capture(records(&SIMPLE));
    let chunks = &mut lossy.connections[0].chunks;
    chunks[3].bytes.drain(..20);
    chunks[3].lost = 20;
    decrypt(&mut lossy, &simple_log());
    assert_eq!(lossy.connections[0].chunks, [chunk(5, ToServer, 0, &fifty()), chunk(6, ToClient, 0, &fifty())]);
}

#[test]
fn undecryptable_records_are_kept_and_reported() {
    let others = log_of(&"00".repeat(32), &SECRETS);
    let wrong = log_of(simple::RANDOM, &SECRETS.map(|(label, _)| (label, resumed::CLIENT_TRAFFIC_SECRET_0)));
    let changed = |at: usize, digits: &'static str, by: &'static str| {
        let mut said = SIMPLE.map(|(direction, record)| (direction, record.to_owned()));
        said[at].1 = said[at].1.replacen(digits, by, 1);
        said.into_iter().map(|(direction, record)| (direction, unhex(&record))).collect::<Vec<_>>()
    };
    for (said, log, part) in [
        (records(&SIMPLE), &others, "no key log has its secrets; pass --key-log with"),
        (records(&SIMPLE), &wrong, "the secrets do not open any of its records"),
        (records(&SIMPLE[1..]), &simple_log(), "the ClientHello, which selects the secrets, was not recorded"),
        (changed(1, "001301", "00c013"), &simple_log(), "cipher suite 0xc013 of TLS 1.3 is not supported"),
        (changed(1, "020304", "020302"), &simple_log(), "version 0x0302"),
        (
            [&records(&SIMPLE[..1])[..], &[(ToClient, unhex("15030300020246"))]].concat(),
            &simple_log(),
            "the ServerHello is missing; the server ended it with alert protocol_version (70)",
        ),
    ] {
        let (chunks, note) = decrypted(said.clone(), log);
        assert!(note.starts_with("connection 1: TLS that is not decrypted: ") && note.contains(part), "{note}");
        assert_eq!(chunks, capture(said).connections[0].chunks);
    }
    // A changed data record ends its direction, and the bytes after it are counted.
    let said = changed(5, "a23f", "a23e");
    let (chunks, note) = decrypted(said, &simple_log());
    assert_eq!(chunks, [chunk(6, ToClient, 0, &fifty()), chunk(7, ToServer, 72 + 24, &[])]);
    assert!(note.contains("of the client nothing, records that the secrets do not open"), "{note}");
    let (chunks, note) = decrypted(changed(8, "b58f", "b58e"), &simple_log());
    assert_eq!(chunks.last(), Some(&chunk(8, ToClient, 24, &[])));
    assert!(note.contains("of the server only up to a record that the secrets do not open"), "{note}");
}

#[test]
fn connections_with_the_same_result_share_a_note() {
    let mut many = capture(records(&SIMPLE));
    many.connections = vec![many.connections.remove(0); 12];
    many.connections[1].chunks.truncate(1);
    decrypt(&mut many, &simple_log());
    let [decrypted, cut] = &many.notes[..] else { panic!("{:?}", many.notes) };
    assert!(decrypted.starts_with("connections 1, 3, 4, 5, 6, 7, 8, 9 and 3 more: TLS 1.3"), "{decrypted}");
    assert!(cut.starts_with("connection 2: TLS that is not decrypted: "), "{cut}");
}

#[test]
fn key_log_is_parsed_by_line_and_never_printed() {
    let mut log = KeyLog::default();
    let (random, secret) = ("aB".repeat(32), "01".repeat(48));
    let text = [
        format!("# a comment\r\n\r\nCLIENT_RANDOM {random} {secret}\r\n"),
        format!("EXPORTER_SECRET {random} {secret}\n"),
        format!("CLIENT_RANDOM {random} 01\nCLIENT_RANDOM {random}\nCLIENT_RANDOM {secret} {secret}\n"),
        format!("CLIENT_RANDOM {random} {secret}x\nCLIENT_RANDOM {random} +{secret}\nRSA 0123 {secret}\n"),
        format!("CLIENT_TRAFFIC_SECRET_0 {random} {secret} more\nSERVER_TRAFFIC_SECRET_0\t{random}  {secret}"),
    ];
    assert_eq!(log.add(text.concat().as_bytes()), 3);
    assert_eq!(log.add(b"\xff\xfe neither\0text"), 0);
    assert_eq!(log.secret(&[0xab; 32], Label::Master), Some(&[1; 48][..]));
    assert_eq!(log.secret(&[0xab; 32], Label::ServerTraffic), Some(&[1; 48][..]));
    assert_eq!(log.secret(&[0xab; 32], Label::ClientTraffic), None);
    assert_eq!(format!("{log:?}"), "KeyLog(2 secrets)");
}
