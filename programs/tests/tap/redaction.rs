//! Secrets that `--redact` names are in no output: not in what is printed, nor in drawings, JSON lines, the page or packets.

use barewire::inspector::write::{DEFAULT_MAX_FRAME_SIZE, RawFrame, header_block};
use barewire::wire::http2::PREFACE;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::process::{Folder, Tap, barewire, soon};
use super::{complaint, listener, through};

/// A client's bytes: a call with names in several forms, and a header that breaks a rule.
fn request() -> Vec<u8> {
    let mut wire = PREFACE.to_vec();
    RawFrame::settings(&[]).write(&mut wire);
    let long = "n".repeat(600);
    let fields = [
        (":method", "POST"),
        (":scheme", "http"),
        (":authority", "confidential-host"),
        (":path", "/confidential.Service/Method"),
        ("te", "confidential-te"),
        ("x-note-bin", "Y29uZmlkZW50aWFs"),
        (&long, "confidential-long"),
        ("x-goog-iam-authorization-token", "confidential-token"),
        ("content-type", "application/grpc"),
    ];
    let frames = RawFrame::headers(1, &header_block(fields), true, DEFAULT_MAX_FRAME_SIZE);
    frames.iter().for_each(|frame| frame.write(&mut wire));
    wire
}

const NAMES: [&str; 5] = ["--redact=Authority:", "--redact=:path", "--redact=x-note", "--redact=TE", "--redact"];

fn is_free_of_secrets(what: &str, text: &str) {
    // "confidential" as text, in base64, and in hex.
    for secret in ["confidential", "Y29uZmlk", "636f6e666964656e"] {
        assert!(!text.contains(secret), "{what} has {secret}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn outputs_do_not_contain_redacted_headers() {
    let folder = Folder::new("redact");
    let (raw, html, svg) = (folder.file("a.raw"), folder.file("a.html"), folder.file("a.svg"));
    std::fs::write(&raw, request()).unwrap();
    let long = "n".repeat(600);
    let names = [&NAMES[..], &[&long]].concat();
    let open = barewire(&["decode", &raw]).await;
    assert!(open.contains("confidential-host") && open.contains("confidential-token"), "the terminal shows everything");
    for view in ["lines", "hex", "calls", "ladder", "flow", "hpack", "lint"] {
        let shown = barewire(&[&["decode", &raw, "--show", view], &names[..]].concat()).await;
        is_free_of_secrets(view, &shown);
        assert!(view == "flow" || shown.contains("redacted") || shown.contains("XXXX"), "{view}: {shown}");
    }
    // The filter is about the frames as they were.
    let found = barewire(&[&["decode", &raw, "--method", "~confidential"], &names[..]].concat()).await;
    assert!(found.contains("HEADERS"), "{found}");
    barewire(&[&["decode", &raw, "--show", "none", "--html", &html, "--ladder", &svg], &names[..]].concat()).await;
    for file in [&html, &svg] {
        is_free_of_secrets(file, &std::fs::read_to_string(file).unwrap());
    }
    for name in ["", ":", "  "] {
        let (status, line) = complaint(&["decode", &raw, "--redact", name]).await;
        assert!(status == Some(2) && line.contains("must be the name of a header"), "{line}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_of_a_tap_do_not_contain_redacted_headers() {
    let folder = Folder::new("redact-tap");
    let (pcapng, jsonl, html) = (folder.file("a.pcapng"), folder.file("a.jsonl"), folder.file("a.html"));
    let long = "n".repeat(600);
    let flags = [&["--pcapng", &pcapng, "--jsonl", &jsonl, "--html", &html][..], &NAMES, &[&long]].concat();
    let (listener, address) = listener().await;
    let tap = Tap::start(&address, &flags).await;
    let (mut client, mut server) = through(&tap, &listener).await;
    client.write_all(&request()).await.unwrap();
    client.shutdown().await.unwrap();
    let mut received = Vec::new();
    soon("the request", server.read_to_end(&mut received)).await.unwrap();
    assert_eq!(received, request(), "what is forwarded is unchanged");
    drop((client, server));
    is_free_of_secrets("the screen", &tap.end().await);
    for file in [&pcapng, &jsonl, &html] {
        is_free_of_secrets(file, &String::from_utf8_lossy(&std::fs::read(file).unwrap()));
        if *file != html {
            is_free_of_secrets(file, &barewire(&["decode", file]).await);
        }
    }
}
