//! Bytes that are not TLS, are too old, or stop half-way, sent to a TLS server and to a TLS client. They are written byte by byte
//! where rustls would not send them. Other peers are served in the meantime.
//!
//! RFC 5246 and RFC 8446 (sections 4.1.2, 5.1, 6); RFC 8996 deprecates TLS 1.0 and 1.1.

use std::process::Stdio;
use std::time::Duration;

use barewire::io::{ByteStream, Connector, Io, Listener};
use barewire::services::route_guide::{Guide, router};
use barewire::transport::memory::{self, MemoryConnector};
use barewire::transport::tcp;
use barewire::transport::tls::{ClientTls, ServerTls};
use barewire::{Client, Code, Server, ServerOptions};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::Command;
use tokio::time::{Instant, sleep, timeout};

use super::certificates::{Authority, NAME};
use super::cpu::cpu_time;
use super::installed::is_installed;
use super::tls::{expect_served, raw_client, secure, trusting};
use super::{ServerGuard, serve_guide, soon};

const SECOND: Duration = Duration::from_secs(1);
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// Returns a record: type, version (TLS 1.0, as in every first record) and payload.
fn record(kind: u8, payload: &[u8]) -> Vec<u8> {
    [&[kind, 3, 1], &(payload.len() as u16).to_be_bytes()[..], payload].concat()
}

fn handshake(kind: u8, body: &[u8]) -> Vec<u8> {
    record(22, &[&[kind], &(body.len() as u32).to_be_bytes()[1..], body].concat())
}

/// Returns a ClientHello that offers at most this version of TLS, given by its last byte: 1 for TLS 1.0.
fn client_hello(version: u8, extensions: &[u8]) -> Vec<u8> {
    // legacy_version, random, no session, two suites of AES, no compression.
    let suites = [0, 4, 0xc0, 0x13, 0x00, 0x2f];
    handshake(1, &[&[3, version][..], &[7; 32], &[0], &suites, &[1, 0], extensions].concat())
}

/// The extension signature_algorithms, which TLS 1.2 introduced, with one algorithm.
const SIGNATURES: &[u8] = &[0, 8, 0, 13, 0, 4, 0, 2, 4, 3];

/// Returns a ServerHello that selects this version of TLS.
fn server_hello(version: u8) -> Vec<u8> {
    handshake(2, &[&[3, version][..], &[7; 32], &[0], &[0xc0, 0x13], &[0]].concat())
}

/// Returns a fatal alert as bytes.
fn alert(description: u8) -> [u8; 7] {
    [21, 3, 3, 0, 2, 2, description]
}

async fn read_to_end(io: &mut Box<dyn Io>) -> Vec<u8> {
    let mut read = Vec::new();
    soon(io.read_to_end(&mut read)).await.expect("it ends");
    read
}

#[tokio::test(start_paused = true)]
async fn client_with_old_tls_is_refused() {
    let authority = Authority::new("authority");
    let server = secure(&ServerTls::new(authority.identity(NAME)));
    let there_before = server.connect(&trusting(&authority)).await.unwrap();
    // The alerts: protocol_version, or handshake_failure if the signature algorithms are missing, which rustls checks first.
    for (version, extensions, told, words) in [
        (0, SIGNATURES, 70, "the client speaks neither TLS 1.2 nor TLS 1.3"),
        (1, SIGNATURES, 70, "the client speaks neither TLS 1.2 nor TLS 1.3"),
        (2, SIGNATURES, 70, "the client speaks neither TLS 1.2 nor TLS 1.3"),
        (1, &[], 40, "the client speaks neither TLS 1.2 with signature algorithms nor TLS 1.3"),
        (2, &[], 40, "the client speaks neither TLS 1.2 with signature algorithms nor TLS 1.3"),
    ] {
        let mut io = server.connector.connect().await.unwrap().io;
        io.write_all(&client_hello(version, extensions)).await.unwrap();
        assert_eq!(read_to_end(&mut io).await, alert(told), "3.{version}");
        assert_eq!(server.failure().await, format!("memory: TLS handshake failed: {words}"));
        expect_served(&there_before).await;
    }
}

#[tokio::test(start_paused = true)]
async fn server_with_old_tls_is_refused() {
    let authority = Authority::new("authority");
    for version in [0, 1, 2] {
        let (status, told) = answered_by(&trusting(&authority), &server_hello(version)).await;
        assert_eq!(status, "can't connect: TLS handshake failed: the server speaks neither TLS 1.2 nor TLS 1.3");
        assert_eq!(told, alert(70), "3.{version}");
    }
}

#[tokio::test(start_paused = true)]
async fn server_that_answers_without_tls_is_refused() {
    let authority = Authority::new("authority");
    for answer in [
        b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(),
        PREFACE.to_vec(),
        vec![0; 64],
        vec![0xff; 20_000],
        record(22, &[2, 0, 0, 1]),
        record(23, b"data before the handshake"),
        record(99, b"no type of record"),
        record(20, &[1]),
        alert(40).to_vec(),
        handshake(1, &[0; 4]),
        handshake(2, &[0xff; 100]),
    ] {
        let (status, _) = answered_by(&trusting(&authority), &answer).await;
        assert!(status.starts_with("can't connect: TLS handshake failed: "), "{answer:02x?}: {status}");
    }
}

/// Returns our client's error for a server that answers its ClientHello with these bytes and disconnects, and its last alert.
async fn answered_by(tls: &ClientTls, answer: &[u8]) -> (String, Vec<u8>) {
    let (mut listener, connector) = memory::pair();
    let answer = answer.to_vec();
    let server = tokio::spawn(async move {
        let ByteStream { mut io, .. } = listener.accept().await.unwrap().await.unwrap();
        let mut hello = [0; 5];
        io.read_exact(&mut hello).await.unwrap();
        let mut hello = vec![0; usize::from(u16::from_be_bytes([hello[3], hello[4]]))];
        io.read_exact(&mut hello).await.unwrap();
        io.write_all(&answer).await.unwrap();
        io.shutdown().await.unwrap();
        read_to_end(&mut io).await
    });
    let status = soon(Client::connect(tls.connector(connector).unwrap())).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    (status.message().to_owned(), soon(server).await.unwrap())
}

/// Tests any first bytes on a TLS port: the server reports the reason and keeps serving.
#[tokio::test(start_paused = true)]
async fn client_that_sends_invalid_tls_is_refused() {
    let authority = Authority::new("authority");
    let server = secure(&ServerTls::new(authority.identity(NAME)));
    let there_before = server.connect(&trusting(&authority)).await.unwrap();
    for said in [
        PREFACE.to_vec(),
        b"GET / HTTP/1.1\r\nhost: test\r\n\r\n".to_vec(),
        vec![0; 64],
        vec![0xff; 64],
        record(22, &[1, 0, 0, 1, 7]),
        record(23, b"data before the handshake"),
        record(21, &[2, 40]),
        // The length of a record and of a handshake message beyond all bounds.
        vec![22, 3, 1, 0xff, 0xff, 1],
        record(22, &[1, 0xff, 0xff, 0xff]),
        // An SSL 2 ClientHello.
        vec![0x80, 0x2e, 1, 0, 2, 0, 0x15, 0, 0, 0, 0x10],
        server_hello(3),
    ] {
        let mut io = server.connector.connect().await.unwrap().io;
        io.write_all(&said).await.unwrap();
        io.shutdown().await.unwrap();
        let mut rest = Vec::new();
        // The unread bytes do not matter; the end of the connection does.
        let _: std::io::Result<usize> = soon(io.read_to_end(&mut rest)).await;
        let failure = server.failure().await;
        assert!(failure.starts_with("memory: TLS handshake failed: "), "{said:02x?}: {failure}");
        expect_served(&there_before).await;
    }
}

#[tokio::test(start_paused = true)]
async fn server_that_stalls_in_the_handshake_times_out() {
    let authority = Authority::new("authority");
    for answer in [vec![], server_hello(3)[..20].to_vec()] {
        let (mut listener, connector) = memory::pair();
        let server = tokio::spawn(async move {
            let ByteStream { mut io, .. } = listener.accept().await.unwrap().await.unwrap();
            io.write_all(&answer).await.unwrap();
            read_to_end(&mut io).await
        });
        let begun = Instant::now();
        let tls = trusting(&authority);
        let status = soon(Client::connect(tls.connector(connector).unwrap())).await.unwrap_err();
        assert_eq!((status.code(), status.message()), (Code::Unavailable, "no HTTP/2 connection within 20s"));
        assert_eq!(begun.elapsed().as_secs(), 20);
        soon(server).await.unwrap();
    }
}

/// Returns the bytes that clients send before they stall, during a handshake and after it.
fn stalls() -> [(&'static str, Vec<u8>); 4] {
    let hello = client_hello(3, SIGNATURES);
    [
        ("nothing", vec![]),
        ("half of a record's head", hello[..3].to_vec()),
        ("half of a ClientHello", hello[..40].to_vec()),
        ("the head of the largest record", vec![22, 3, 1, 0x40, 0]),
    ]
}

#[test]
fn five_hundred_stalled_handshakes_cost_kilobytes_each_and_do_not_delay_others() {
    let authority = Authority::new("authority");
    let tls = ServerTls::new(authority.identity(NAME));
    let good = trusting(&authority);
    for (name, said) in stalls() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let memory = allocation_counter::measure(|| {
            runtime.block_on(async {
                let (listener, connector) = memory::pair();
                let _serving = serve_guide(tls.listener(listener).unwrap());
                let mut stalled = stall(&connector, &said, 500).await;
                let begun = Instant::now();
                for _ in 0..19 {
                    served_at_once(&good, &connector).await;
                    sleep(SECOND).await;
                }
                for io in &mut stalled {
                    read_to_end(io).await;
                }
                let waited = begun.elapsed();
                assert!(waited >= 19 * SECOND && waited <= 20 * SECOND + SECOND / 2, "{name}: {waited:?}");
                served_at_once(&good, &connector).await;
            });
            drop(runtime);
        });
        // A pipe, a task, and the initial buffers of rustls.
        let each = memory.bytes_max / 500;
        assert!(each < 32 * 1024, "{name}: {each} bytes a connection");
        assert!(memory.bytes_current < 64 << 10, "{name}: {} bytes are left", memory.bytes_current);
    }
}

async fn stall(connector: &MemoryConnector, said: &[u8], count: usize) -> Vec<Box<dyn Io>> {
    let mut stalled = Vec::new();
    for _ in 0..count {
        let mut io = connector.connect().await.unwrap().io;
        io.write_all(said).await.unwrap();
        stalled.push(io);
    }
    stalled
}

/// Asserts that a client connects and is answered within a second of the test's clock and a second of CPU time.
async fn served_at_once(tls: &ClientTls, connector: &MemoryConnector) {
    let begun = cpu_time();
    timeout(SECOND, async {
        let client = Client::connect(tls.connector(connector.clone()).unwrap()).await.unwrap();
        expect_served(&client).await;
    })
    .await
    .expect("within a second");
    let computed = cpu_time() - begun;
    assert!(computed < SECOND, "{computed:?} of CPU time");
}

/// The handshake timeout covers TLS and the HTTP/2 preface together.
#[tokio::test(start_paused = true)]
async fn tls_session_without_a_preface_is_closed() {
    let authority = Authority::new("authority");
    let server = secure(&ServerTls::new(authority.identity(NAME)));
    let begun = Instant::now();
    sleep(5 * SECOND).await;
    let version = &tokio_rustls::rustls::version::TLS13;
    let mut session = raw_client(&authority, &[b"h2".to_vec()], version, &server.connector).await.unwrap();
    sleep(10 * SECOND).await;
    session.write_all(&PREFACE[..10]).await.unwrap();
    let mut said = Vec::new();
    soon(session.read_to_end(&mut said)).await.unwrap();
    let words = b"no HTTP/2 preface and SETTINGS arrived in time";
    assert!(said.ends_with(words), "{}", String::from_utf8_lossy(&said));
    let waited = begun.elapsed() - 5 * SECOND;
    assert!(waited >= 19 * SECOND && waited <= 21 * SECOND, "{waited:?}");
    expect_served(&server.connect(&trusting(&authority)).await.unwrap()).await;
}

/// RFC 5246 section 7.4.1.2 lets a TLS 1.2 client renegotiate. rustls refuses with a warning alert (section 7.2.2), and OpenSSL
/// then ends the connection.
#[tokio::test]
async fn renegotiation_is_refused_with_a_warning() {
    if !is_installed("openssl", "version", "renegotiation") {
        return;
    }
    let authority = Authority::new("authority");
    let listener = tcp::listen("localhost:0").await.unwrap();
    let address = format!("localhost:{}", listener.local_addr().unwrap().port());
    // rustls sends the warning with the server's next bytes: the GOAWAY after the handshake timeout.
    let mut options = ServerOptions::default();
    options.handshake_timeout = 5 * SECOND;
    let listener = ServerTls::new(authority.identity("localhost")).listener(listener).unwrap();
    let _serving =
        ServerGuard(tokio::spawn(Server::new(router(Guide::default())).with_options(options).serve(listener)));
    let tls = ClientTls::new(authority.trusted());
    let other = Client::connect(tls.connector(tcp::connect(address.clone())).unwrap()).await.unwrap();

    let mut openssl = Command::new("openssl")
        .args(["s_client", "-tls1_2", "-alpn", "h2", "-msg", "-connect", &address])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let (mut asked, mut said) = (openssl.stdin.take().unwrap(), BufReader::new(openssl.stdout.take().unwrap()));
    read_until(&mut said, "Verify return code").await;
    expect_served(&other).await;
    // A line that begins with R requests renegotiation.
    asked.write_all(b"R\n").await.unwrap();
    read_until(&mut said, ">>> TLS 1.2, Handshake").await;
    read_until(&mut said, "<<< TLS 1.2, Alert [length 0002], warning no_renegotiation").await;
    expect_served(&other).await;
    drop(asked);
    assert!(!soon(openssl.wait()).await.unwrap().success());
    expect_served(&other).await;
}

/// Reads lines, which may be binary, until one contains these words.
async fn read_until(lines: &mut (impl AsyncBufRead + Unpin), words: &str) {
    let read = async {
        let mut line = Vec::new();
        while !String::from_utf8_lossy(&line).contains(words) {
            line.clear();
            assert_ne!(lines.read_until(b'\n', &mut line).await.unwrap(), 0, "the output ended without: {words}");
        }
    };
    soon(read).await;
}
