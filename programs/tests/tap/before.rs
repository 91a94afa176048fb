//! Bytes before HTTP/2 pass the tap unchanged, are shown, and do not hide secrets from redaction.

use super::*;

const UPGRADE: &str = "POST /a.B/C HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\
                       HTTP2-Settings: AAMAAABk\r\nContent-Type: application/grpc\r\nTE: trailers\r\n\
                       Authorization: Bearer TOPSECRET\r\nContent-Length: 5\r\n\r\n\0\0\0\0\0";
const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n";
const PROXY: &str = "PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n";

fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    [&[0, 0, payload.len() as u8, kind, flags, 0, 0, 0, stream][..], payload].concat()
}

fn preface() -> Vec<u8> {
    [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &frame(4, 0, 0, b"")].concat()
}

fn response() -> Vec<u8> {
    let headers = frame(1, 4, 1, &[&[0x88, 0x5f, 16][..], b"application/grpc"].concat());
    let trailers = frame(1, 5, 1, &[&[0x40, 11][..], b"grpc-status", &[1], b"0"].concat());
    [frame(4, 0, 0, b""), headers, frame(0, 0, 1, b"\0\0\0\0\0"), trailers].concat()
}

/// Sends these bytes in small pieces, each side in its turn; returns the tap's output. The files are in the folder.
async fn said(folder: &Folder, turns: &[(bool, Vec<u8>)]) -> String {
    let (listener, to) = listener().await;
    let [pcapng, jsonl, html] = ["a.pcapng", "a.jsonl", "a.html"].map(|name| folder.file(name));
    let flags = ["--show", "lines,calls,lint", "--pcapng", &pcapng, "--jsonl", &jsonl, "--html", &html];
    let tap = Tap::start(&to, &flags).await;
    let (mut client, mut server) = through(&tap, &listener).await;
    for (from_client, bytes) in turns {
        let (from, to) = if *from_client { (&mut client, &mut server) } else { (&mut server, &mut client) };
        let mut received = vec![0; bytes.len()];
        let send = async {
            for piece in bytes.chunks(29) {
                from.write_all(piece).await.unwrap();
                from.flush().await.unwrap();
            }
        };
        let receive = soon("the bytes", to.read_exact(&mut received));
        let ((), got) = tokio::join!(send, receive);
        got.unwrap();
        assert_eq!(received, *bytes, "the tap changed something");
    }
    drop((client, server));
    tap.end().await
}

#[tokio::test]
async fn upgrade_behind_a_proxy_is_a_call_and_files_hide_its_secrets() {
    let folder = Folder::new("before-upgrade");
    let turns = [
        (true, [PROXY, UPGRADE].concat().into_bytes()),
        (false, SWITCH.as_bytes().to_vec()),
        (true, preface()),
        (false, response()),
    ];
    let said = said(&folder, &turns).await;
    for part in ["PROXY protocol", "source: 192.168.0.1", "HTTP/1.1 request", "stream 1  /a.B/C", "OK  ended by"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(!said.contains("not HTTP/2"), "{said}");
    for name in ["a.pcapng", "a.jsonl", "a.html"] {
        let file = std::fs::read(folder.file(name)).unwrap();
        let text = String::from_utf8_lossy(&file).to_lowercase();
        assert!(!text.contains("topsecret") && !text.contains("544f505345"), "{name}");
    }
    for name in ["a.pcapng", "a.jsonl"] {
        let again = barewire(&["decode", &folder.file(name), "--show", "calls"]).await;
        assert_eq!(again.matches("stream 1  /a.B/C").count(), 1, "{again}");
    }
}

#[tokio::test]
async fn refused_upgrade_is_named() {
    let folder = Folder::new("before-refused");
    let answer = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n".to_vec();
    let said = said(&folder, &[(true, UPGRADE.as_bytes().to_vec()), (false, answer)]).await;
    assert!(said.contains("not HTTP/2: refused with 400 in HTTP/1.1"), "{said}");
}
