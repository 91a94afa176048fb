//! Compression bombs: a GiB of zeros in a few bytes, with every algorithm. An allocator counts the memory of decompression, so
//! this file is a separate process. The limit bounds that memory, not the size of the bomb.

mod common;

use std::io::Write;

use barewire::wire::encoding::Encoding;
use barewire::{Code, Compressor, DecompressError, compression};
use bytes::BytesMut;
use common::frames::*;
use common::server::{TestServer, client_with};
use common::service::{ECHO, note};
use common::soon;

const MIB: usize = 1 << 20;

/// Compresses this many MiB of zeros without ever holding them in memory.
fn bomb(encoding: Encoding, mebibytes: usize) -> Vec<u8> {
    use flate2::Compression;
    let (beginning, repeated) = match encoding {
        Encoding::Gzip => zeros(flate2::write::GzEncoder::new(Vec::new(), Compression::best()), |it| it.get_ref()),
        Encoding::Deflate => zeros(flate2::write::ZlibEncoder::new(Vec::new(), Compression::best()), |it| it.get_ref()),
        Encoding::Zstd => zeros(zstd::Encoder::new(Vec::new(), 1).unwrap(), |it| it.get_ref()),
        Encoding::Brotli => zeros(brotli::CompressorWriter::new(Vec::new(), 4096, 1, 22), |it| it.get_ref()),
        Encoding::Snappy => zeros(snap::write::FrameEncoder::new(Vec::new()), |it| it.get_ref()),
        other => panic!("{other} compresses nothing"),
    };
    [beginning, repeated.repeat(mebibytes - 1)].concat()
}

/// Returns the beginning of a compressed stream, and a compressed MiB of zeros that can be repeated any number of times.
fn zeros<W: Write>(mut encoder: W, written: impl Fn(&W) -> &Vec<u8>) -> (Vec<u8>, Vec<u8>) {
    let mut grown = || {
        let before = written(&encoder).len();
        encoder.write_all(&vec![0; MIB]).unwrap();
        encoder.flush().unwrap();
        written(&encoder)[before..].to_vec()
    };
    (grown(), grown())
}

/// Returns the memory of a decoder's state in addition to its output: brotli's holds the window that its stream declares.
fn state(encoding: Encoding) -> usize {
    match encoding {
        Encoding::Brotli => 9 * MIB,
        _ => MIB / 2,
    }
}

const ALL: [Encoding; 5] = [Encoding::Gzip, Encoding::Deflate, Encoding::Zstd, Encoding::Brotli, Encoding::Snappy];

#[test]
fn bomb_of_a_gib_allocates_only_up_to_the_limit() {
    for encoding in ALL {
        let all = compression::all();
        let compressor: &dyn Compressor = &**all.get(encoding).expect("the feature is on");
        let bomb = bomb(encoding, 1024);
        for limit in [0, 1000, MIB, 4 * MIB, 16 * MIB] {
            let counted = allocation_counter::measure(|| {
                let restored = compressor.decompress(&bomb, limit, &mut BytesMut::new());
                assert_eq!(restored, Err(DecompressError::TooLarge), "{encoding}");
            });
            // While a buffer grows, the old one and a new one of twice its size exist together.
            let allowed = 3 * limit + state(encoding);
            assert!(counted.bytes_max as usize <= allowed, "{encoding} within {limit}: {counted:?}");
        }
    }
    assert!(resident() < 512, "{} MiB, with the memory of libraries in C", resident());
}

/// Returns the peak memory of this process in MiB, if it can be read.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
    peak.map_or(0, |kib| kib.trim().parse::<usize>().expect("a number") / 1024)
}

/// Runs a conversation on the paused clock, and returns the most bytes it held.
fn held(conversation: impl Future<Output = ()>) -> usize {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    allocation_counter::measure(|| runtime.block_on(conversation)).bytes_max as usize
}

const LIMIT: usize = 4 * MIB;

/// Returns a message that decompresses to a GiB from a few thousand bytes up to a MiB. Snappy compresses least: its message is
/// as large as the limit allows.
fn message_of(encoding: Encoding) -> Vec<u8> {
    let bomb = bomb(encoding, if encoding == Encoding::Snappy { 64 } else { 1024 });
    assert!(bomb.len() < LIMIT, "{encoding}: {} bytes", bomb.len());
    flagged(1, bomb).to_vec()
}

/// Returns the allowed memory: the test's copies of the message, its bytes in transit, and the decompressed part.
fn allowed(encoding: Encoding, message: &[u8]) -> usize {
    10 * message.len() + 3 * LIMIT + state(encoding) + MIB
}

fn words() -> String {
    format!("decompressed message is over the limit of {LIMIT} bytes")
}

#[test]
fn server_memory_stays_bounded_for_a_compression_bomb() {
    for encoding in ALL {
        let message = message_of(encoding);
        let held = held(async {
            let server = TestServer::with(|options| options.compressors = compression::all());
            let mut peer = server.connect().await;
            peer.send(request(1, "/test.Service/Echo").field("grpc-encoding", encoding.name())).await;
            for chunk in message.chunks(MAX_FRAME_SIZE) {
                peer.send(data(1, chunk)).await;
                common::quiet().await;
            }
            peer.send(half_close(1)).await;
            assert_eq!(peer.answer(1).await.status(), ("8", &*words()), "{encoding}");
        });
        assert!(held <= allowed(encoding, &message), "{encoding}: {held} bytes for {}", message.len());
    }
}

#[test]
fn client_memory_stays_bounded_for_a_compression_bomb() {
    for encoding in ALL {
        let message = message_of(encoding);
        let held = held(async {
            let (client, mut server) = client_with(|options| options.compressors = compression::all(), []).await;
            let call = tokio::spawn(async move { (client.unary(ECHO, note("hi")).await, client) });
            server.expect_request(1).await;
            server.expect(data(1, text("hi")).end_stream()).await;
            server.send(response(1).field("grpc-encoding", encoding.name())).await;
            for chunk in message.chunks(MAX_FRAME_SIZE) {
                server.send(data(1, chunk)).await;
                common::quiet().await;
            }
            let (outcome, _client) = soon("the answer", call).await.unwrap();
            let status = outcome.unwrap_err();
            assert_eq!((status.code(), status.message()), (Code::ResourceExhausted, &*words()), "{encoding}");
            server.expect(reset(1, Http2Error::CANCEL)).await;
        });
        assert!(held <= allowed(encoding, &message), "{encoding}: {held} bytes for {}", message.len());
    }
}
