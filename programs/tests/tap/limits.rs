//! Outputs are limited, whatever a peer sends: `--max-bytes` for every file and the page, and in proportion to the bytes that
//! passed. An output at its limit says so and stays valid.

use barewire::Compressor;
use barewire::compression::Gzip;
use barewire::inspector::write::{DEFAULT_MAX_FRAME_SIZE, RawFrame, header_block, message};
use barewire::wire::http2::PREFACE;
use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::process::{BAREWIRE, Folder, Tap, barewire, soon};
use super::{call, complaint, listener, route_guide, through};

const REQUEST: [(&str, &str); 6] = [
    (":method", "POST"),
    (":scheme", "http"),
    (":path", "/a.B/C"),
    (":authority", "localhost"),
    ("content-type", "application/grpc"),
    ("grpc-encoding", "gzip"),
];

fn begin() -> Vec<u8> {
    let mut wire = PREFACE.to_vec();
    RawFrame::settings(&[]).write(&mut wire);
    wire
}

/// A few KiB that decompress to megabytes of the smallest fields, ten times.
fn gzip() -> Vec<u8> {
    let mut compressed = BytesMut::new();
    Gzip::with_level(9).compress(&[8, 1].repeat(2 << 20), &mut compressed).unwrap();
    let mut wire = begin();
    let frames = RawFrame::headers(1, &header_block(REQUEST), false, DEFAULT_MAX_FRAME_SIZE);
    frames.iter().for_each(|frame| frame.write(&mut wire));
    for _ in 0..10 {
        RawFrame::data(1, message(1, &compressed), false).write(&mut wire);
    }
    wire
}

/// A long header, to which many requests of a few bytes refer.
fn hpack() -> Vec<u8> {
    let mut wire = begin();
    let entry = [&[0x83, 0x40, 1, b'a', 0x7f, 0xa1, 0x1e][..], &[b'x'; 4000]].concat();
    for stream in 0..500 {
        let block = if stream == 0 { entry.clone() } else { vec![0xbe; 15] };
        let frames = RawFrame::headers(1 + 2 * stream, &block, true, DEFAULT_MAX_FRAME_SIZE);
        frames.iter().for_each(|frame| frame.write(&mut wire));
    }
    wire
}

/// The bytes of a page without a capture.
const PAGE: u64 = 200_000;

fn size(file: &str) -> u64 {
    std::fs::metadata(file).unwrap().len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn page_size_is_proportional_to_its_capture() {
    let folder = Folder::new("amplify");
    for (name, wire) in [("gzip", gzip()), ("hpack", hpack())] {
        let (raw, html) = (folder.file(name), folder.file("a.html"));
        std::fs::write(&raw, &wire).unwrap();
        barewire(&["decode", &raw, "--show", "none", "--html", &html]).await;
        let most = PAGE + (4 << 20) + 300 * wire.len() as u64;
        assert!(size(&html) <= most, "{name}: {} of {}", size(&html), wire.len());
        assert!(std::fs::read_to_string(&html).unwrap().contains("not shown in full"), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn file_sizes_of_a_tap_are_proportional_to_its_traffic() {
    let folder = Folder::new("amplify-tap");
    let (jsonl, html) = (folder.file("a.jsonl"), folder.file("a.html"));
    let (listener, address) = listener().await;
    let tap = Tap::start(&address, &["--show", "none", "--jsonl", &jsonl, "--html", &html]).await;
    // Connections share what is allowed.
    let mut sent = 0;
    for wire in [hpack(), hpack()] {
        let (mut client, mut server) = through(&tap, &listener).await;
        let reading = tokio::spawn(async move { server.read_to_end(&mut Vec::new()).await });
        client.write_all(&wire).await.unwrap();
        client.shutdown().await.unwrap();
        sent += wire.len() as u64;
        soon("the end", reading).await.unwrap().unwrap();
    }
    tap.end().await;
    let most = (4 << 20) + 300 * sent;
    assert!(size(&jsonl) <= most && size(&html) <= most + PAGE, "{} {} of {sent}", size(&jsonl), size(&html));
    // All bytes are still there.
    assert_eq!(barewire(&["decode", &jsonl]).await.matches("  HEADERS  ").count(), 2 * 500);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn output_at_its_limit_reports_it_and_stays_valid() {
    let folder = Folder::new("max-bytes");
    let (pcapng, jsonl, html) = (folder.file("a.pcapng"), folder.file("a.jsonl"), folder.file("a.html"));
    let most = 150_000;
    let flags = ["--show", "none", "--pcapng", &pcapng, "--jsonl", &jsonl, "--html", &html, "--max-bytes", "150000"];
    let mut tap = route_guide(&flags).await;
    for _ in 0..30 {
        drop(call(&tap.address).await);
    }
    for _ in 0..3 {
        tap.line("has reached its size limit").await;
    }
    tap.end().await;
    for file in [&pcapng, &jsonl, &html] {
        assert!(size(file) <= most, "{file}: {}", size(file));
    }
    let ends = "the recording ends here: it has reached its size limit of 150000 bytes (--max-bytes)";
    let lines = std::fs::read_to_string(&jsonl).unwrap();
    assert_eq!(lines.lines().last(), Some(&*format!("{{\"record\":\"limit\",\"text\":\"{ends}\"}}")));
    let page = std::fs::read_to_string(&html).unwrap();
    assert!(page.contains(ends) && page.trim_end().ends_with("</html>"), "the page is complete");
    for file in [&pcapng, &jsonl] {
        let output = tokio::process::Command::new(BAREWIRE).args(["decode", file]).output().await.unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success() && said.contains(ends), "{file}: {said}");
    }
    // A page is written by decode with the same limit.
    barewire(&["decode", &jsonl, "--show", "none", "--html", &html, "--max-bytes", "140000"]).await;
    assert!(size(&html) <= 140_000, "{}", size(&html));
    let (status, line) = complaint(&["decode", &jsonl, "--max-bytes", "many"]).await;
    assert!(status == Some(2) && line.contains("--max-bytes"), "{line}");
}
