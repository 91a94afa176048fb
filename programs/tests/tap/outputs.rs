//! Outputs of the tap are copies: if one fails, forwarding continues. At the end all files have the same content.

use std::process::Stdio;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;

use super::process::{Folder, Tap, barewire, soon};
use super::{call, listener, route_guide, serve, through};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closed_stdout_ends_only_the_output_on_screen() {
    let folder = Folder::new("head");
    let file = folder.file("a.jsonl");
    let (reader, writer) = std::io::pipe().unwrap();
    let mut tap = Tap::start_into(writer.into(), &serve().await, &["--jsonl", &file]).await;
    drop(reader);
    drop(call(&tap.address).await);
    let line = tap.line("stdout").await;
    assert!(line.contains("stdout can't be written: ") && line.ends_with("forwarding continues without it"), "{line}");
    drop(call(&tap.address).await);
    tap.end().await;
    assert_eq!(barewire(&["decode", &file]).await.matches("routeguide.Feature, ").count(), 2 * 102);

    // The same without a file.
    let (reader, writer) = std::io::pipe().unwrap();
    let mut tap = Tap::start_into(writer.into(), &serve().await, &[]).await;
    drop(reader);
    drop(call(&tap.address).await);
    tap.line("stdout can't be written").await;
    drop(call(&tap.address).await);
    tap.end().await;
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn full_disk_ends_only_its_file() {
    let folder = Folder::new("full");
    let file = folder.file("a.pcapng");
    let mut tap = route_guide(&["--pcapng", &file, "--jsonl", "/dev/full"]).await;
    drop(call(&tap.address).await);
    let line = tap.line("/dev/full can't be written: No space left on device").await;
    assert!(line.ends_with("forwarding continues without it"), "{line}");
    drop(call(&tap.address).await);
    let (status, printed) = tap.terminated().await;
    assert_eq!((status, printed.matches("routeguide.Feature, ").count()), (Some(1), 2 * 102));
    assert_eq!(barewire(&["decode", &file]).await.matches("routeguide.Feature, ").count(), 2 * 102);
    let everything = Stdio::from(std::fs::File::options().write(true).open("/dev/full").unwrap());
    let mut tap = Tap::start_into(everything, &serve().await, &["--pcapng", &file]).await;
    drop(call(&tap.address).await);
    tap.line("stdout can't be written: No space left on device").await;
    drop(call(&tap.address).await);
    assert_eq!(tap.terminated().await.0, Some(1));
    assert_eq!(barewire(&["decode", &file]).await.matches("routeguide.Feature, ").count(), 2 * 102);
}

/// HTTP/2's preface and SETTINGS: RFC 9113, section 3.4.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
const PING: &[u8] = b"\0\0\x08\x06\0\0\0\0\0barewire";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_file_has_all_forwarded_bytes() {
    let folder = Folder::new("same");
    let (pcapng, jsonl, html) = (folder.file("a.pcapng"), folder.file("a.jsonl"), folder.file("a.html"));
    let (listener, address) = listener().await;
    let flags = ["--show", "none", "--pcapng", &pcapng, "--jsonl", &jsonl, "--html", &html];
    let tap = Tap::start(&address, &flags).await;
    let (mut client, mut server) = through(&tap, &listener).await;
    let (sender, mut received) = watch::channel(0);
    let reader = tokio::spawn(async move {
        let (mut bytes, mut space) = (0, [0; 4096]);
        // Ends with a reset if more bytes had arrived.
        while let Ok(read @ 1..) = server.read(&mut space).await {
            bytes += read;
            sender.send_replace(bytes.saturating_sub(PREFACE.len()) / PING.len());
        }
    });
    // Sends until the tap has ended, and never far ahead of it.
    let mut known = received.clone();
    let writer = tokio::spawn(async move {
        client.write_all(PREFACE).await.unwrap();
        let mut sent = 0;
        while known.wait_for(|received| sent < received + 200).await.is_ok() {
            match client.write_all(&PING.repeat(20)).await {
                Ok(()) => sent += 20,
                Err(_) => break,
            }
        }
    });
    soon("500 PINGs", received.wait_for(|received| *received > 500)).await.unwrap();
    tap.end().await;
    writer.await.unwrap();
    reader.await.unwrap();
    let received = *received.borrow();
    let frames = |file: &str| std::fs::read_to_string(file).unwrap().matches("\"type\":\"PING\"").count();
    let (in_jsonl, in_html) = (frames(&jsonl), frames(&html));
    let in_pcapng = barewire(&["decode", &pcapng, "--frame", "PING"]).await.matches("  PING  ").count();
    assert!(in_jsonl >= received, "{received} PINGs were forwarded, {in_jsonl} are in the file");
    assert_eq!((in_jsonl, in_html), (in_pcapng, in_pcapng), "all files have the same content");
}
