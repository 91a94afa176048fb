//! TLS in a capture, between ends that use OpenSSL and ends that use rustls: with the secrets, a call is decoded as if there
//! were no TLS, and tshark decodes the same.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use barewire::inspector::Direction::{ToClient, ToServer};
use barewire::inspector::capture;
use barewire::inspector::capture::pcapng_writer::{PcapngConnection, begin};
use rcgen::{CertificateParams, KeyPair};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{
    ClientConfig, ClientConnection, ConnectionCommon, KeyLog, RootCertStore, ServerConfig, ServerConnection,
    SupportedProtocolVersion,
};

use super::installed::is_installed;
use super::process::{BAREWIRE, Folder, Tap, barewire, soon};
use super::tshark::{TYPES, Tshark};
use super::{call, complaint, serve};

const NAME: &str = "x.test.example.com";

/// The two ends in `tls_ends.py`.
struct Ends {
    child: Child,
    stdout: BufReader<ChildStdout>,
}

impl Ends {
    async fn start(plain: &str, folder: &Folder, version: &str, ciphers: &str, conf: &str) -> Ends {
        let key = if ciphers.contains("ECDHE-RSA") { "rsa:2048" } else { "ec" };
        let mut make = Command::new("openssl");
        make.args(["req", "-x509", "-nodes", "-newkey", key, "-subj", "/CN=the test"]);
        make.args(if key == "ec" { &["-pkeyopt", "ec_paramgen_curve:P-256"][..] } else { &[] });
        make.args(["-keyout", &folder.file("key.pem"), "-out", &folder.file("cert.pem")]);
        assert!(make.output().await.unwrap().status.success(), "openssl makes a certificate");
        let conf = format!("openssl_conf = a\n[a]\nssl_conf = b\n[b]\nsystem_default = c\n[c]\n{conf}\n");
        std::fs::write(folder.file("openssl.cnf"), conf).unwrap();
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tap/tls_ends.py");
        let mut command = Command::new("python3");
        command.args([script, port(plain), &folder.file(""), version, ciphers]);
        command.env("OPENSSL_CONF", folder.file("openssl.cnf")).kill_on_drop(true);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Ends { child, stdout }
    }

    async fn address(&mut self) -> String {
        let mut line = String::new();
        soon("a port", self.stdout.read_line(&mut line)).await.unwrap();
        format!("127.0.0.1:{}", line.trim())
    }

    async fn connect_to(&mut self, address: &str) {
        let stdin = self.child.stdin.as_mut().unwrap();
        stdin.write_all(format!("{}\n", port(address)).as_bytes()).await.unwrap();
        stdin.flush().await.unwrap();
    }
}

fn port(address: &str) -> &str {
    address.rsplit(':').next().unwrap()
}

/// Runs decode with a key log in its environment; returns its stderr and its output.
async fn decoded_with(key_log: &str, flags: &[&str]) -> (String, String) {
    let mut command = Command::new(BAREWIRE);
    command.arg("decode").args(flags).env_remove("BAREWIRE_WIRE").env("SSLKEYLOGFILE", key_log);
    let output = soon("decode", command.output()).await.unwrap();
    let [said, printed] = [output.stderr, output.stdout].map(|text| String::from_utf8(text).unwrap());
    assert!(output.status.success(), "{said}");
    (said, printed)
}

async fn decoded(flags: &[&str]) -> (String, String) {
    decoded_with("", flags).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn call_between_two_openssl_processes_is_decoded() {
    let suite = "TLS in captures, between two ends of OpenSSL";
    if !is_installed("python3", "--version", suite) || !is_installed("openssl", "version", suite) {
        return;
    }
    let tshark = Tshark::find(suite);
    for (version, ciphers, conf, name) in [
        ("TLSv1_3", "", "Ciphersuites = TLS_AES_128_GCM_SHA256", "TLS 1.3, TLS_AES_128_GCM_SHA256"),
        ("TLSv1_3", "", "Ciphersuites = TLS_AES_256_GCM_SHA384", "TLS 1.3, TLS_AES_256_GCM_SHA384"),
        ("TLSv1_3", "", "Ciphersuites = TLS_CHACHA20_POLY1305_SHA256", "TLS 1.3, TLS_CHACHA20_POLY1305_SHA256"),
        ("TLSv1_2", "ECDHE-RSA-AES128-GCM-SHA256", "", "TLS 1.2, TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"),
        ("TLSv1_2", "ECDHE-ECDSA-AES256-GCM-SHA384", "", "TLS 1.2, TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"),
        ("TLSv1_2", "ECDHE-RSA-CHACHA20-POLY1305", "", "TLS 1.2, TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256"),
    ] {
        let folder = Folder::new(&format!("openssl-{}", name.replace([' ', ','], "")));
        let (pcapng, jsonl, keys) = (folder.file("a.pcapng"), folder.file("a.jsonl"), folder.file("keys.txt"));
        let (plain, page) = (serve().await, folder.file("page.html"));
        let mut ends = Ends::start(&plain, &folder, version, ciphers, conf).await;
        let tap = Tap::start(&ends.address().await, &["--show", "none", "--pcapng", &pcapng, "--jsonl", &jsonl]).await;
        ends.connect_to(&tap.address).await;
        drop(call(&ends.address().await).await);
        tap.end().await;

        let (said, printed) = decoded(&[&pcapng, "--key-log", &keys]).await;
        assert!(said.contains(&format!("connection 1: {name}, ALPN h2: decrypted\n")), "{said}");
        assert_eq!(printed.matches("routeguide.Feature, ").count(), 102, "{printed}");
        assert_eq!(printed.matches("authorization: Bearer a-secret-of-mine").count(), 3, "{printed}");
        assert!(!printed.contains('✗') && !printed.contains("not recorded"), "{printed}");
        // Secrets from the environment and secrets inside the file work as well.
        assert_eq!(decoded_with(&keys, &[&pcapng]).await.1, printed);
        let inside = folder.file("inside.pcapng");
        std::fs::write(&inside, with_secrets(&std::fs::read(&pcapng).unwrap(), &std::fs::read(&keys).unwrap()))
            .unwrap();
        assert_eq!(decoded(&[&inside]).await.1, printed);
        let again = barewire(&["replay", &pcapng, "--key-log", &keys, "--to", &plain, "--plaintext"]).await;
        assert!(again.contains("/routeguide.RouteGuide/GetFeature again"), "{again}");
        decoded(&[&pcapng, "--key-log", &keys, "--show", "none", "--html", &page]).await;
        let page = std::fs::read_to_string(&page).unwrap();
        assert!(
            page.contains("Berkshire Valley") && !page.contains("a-secret-of-mine"),
            "the page must not have the secret"
        );
        let (_, lines) = decoded(&[&jsonl, "--key-log", &keys]).await;
        assert_eq!(lines.matches("routeguide.Feature, ").count(), 102, "{lines}");
        if tshark.is_some() {
            tshark_agrees(&pcapng, &keys, &printed).await;
        }
        // Without the secrets only ciphertext is shown, with the remedy.
        let (said, printed) = decoded(&[&pcapng]).await;
        assert!(said.contains("no key log has its secrets; pass --key-log with"), "{said}");
        assert!(printed.contains("bytes  TLS: decrypt with barewire tap --tls"), "{printed}");
    }
}

/// Compares what `decode` prints of a TLS connection with what tshark decodes with the same secrets: the frames of each
/// direction, with their types and streams, in order.
async fn tshark_agrees(pcapng: &str, keys: &str, printed: &str) {
    let mut command = Command::new("tshark");
    command.args(["-r", pcapng, "-o", &format!("tls.keylog_file:{keys}"), "-Y", "http2", "-T", "fields"]);
    command.args(["-E", "separator=|", "-e", "tcp.srcport", "-e", "http2.type", "-e", "http2.streamid"]);
    let output = command.output().await.expect("tshark runs");
    let text = String::from_utf8(output.stdout).expect("text");
    let mut theirs: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in text.lines() {
        let [port, types, streams] = line.split('|').collect::<Vec<_>>().try_into().expect("three fields");
        let frames = types.split(',').zip(streams.split(',')).map(|(kind, stream)| format!("{kind} {stream}"));
        theirs.entry(port.to_owned()).or_default().extend(frames);
    }
    let mut ours: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for line in printed.lines() {
        let words: Vec<&str> = line.split("  ").collect();
        let [_, direction, kind, stream, ..] = words[..] else { continue };
        let Some((_, direction)) = direction.strip_prefix("frame ").and_then(|rest| rest.split_once(' ')) else {
            continue;
        };
        let Some(kind) = TYPES.iter().position(|name| *name == kind) else { continue };
        let stream = stream.strip_prefix("stream ").unwrap_or("0");
        ours.entry(direction).or_default().push(format!("{kind} {stream}"));
    }
    let mut theirs: Vec<_> = theirs.into_values().collect();
    let mut ours: Vec<_> = ours.into_values().collect();
    theirs.sort();
    ours.sort();
    assert!(ours.len() == 2 && ours.iter().all(|frames| frames.len() > 8), "{printed}");
    assert_eq!(ours, theirs, "{}", String::from_utf8_lossy(&output.stderr));
}

/// Appends a Decryption Secrets Block with a key log.
fn with_secrets(file: &[u8], keys: &[u8]) -> Vec<u8> {
    let mut body = [&0x544c_534b_u32.to_le_bytes()[..], &(keys.len() as u32).to_le_bytes(), keys].concat();
    body.resize(body.len().next_multiple_of(4), 0);
    let length = (body.len() as u32 + 12).to_le_bytes();
    [file, &10_u32.to_le_bytes(), &length, &body, &length].concat()
}

/// A key log in memory.
#[derive(Debug, Default)]
struct KeyLogMemory(Mutex<String>);

impl KeyLog for KeyLogMemory {
    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        *self.0.lock().unwrap() += &format!("{label} {} {}\n", hex(client_random), hex(secret));
    }
}

/// Two ends of rustls in memory, whose bytes are recorded in a file.
struct Pair {
    client: ClientConnection,
    server: ServerConnection,
    file: Vec<u8>,
    packets: PcapngConnection,
    keys: Arc<KeyLogMemory>,
}

impl Pair {
    fn new(version: &'static SupportedProtocolVersion, client: CryptoProvider, server: CryptoProvider) -> Pair {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new([NAME.to_owned()]).unwrap().self_signed(&key).unwrap();
        let (keys, mut roots) = (Arc::new(KeyLogMemory::default()), RootCertStore::empty());
        roots.add(certificate.der().clone()).unwrap();
        let config = ClientConfig::builder_with_provider(client.into()).with_protocol_versions(&[version]).unwrap();
        let mut config = config.with_root_certificates(roots).with_no_client_auth();
        (config.key_log, config.alpn_protocols) = (keys.clone(), vec![b"h2".to_vec()]);
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let server = ServerConfig::builder_with_provider(server.into()).with_protocol_versions(&[version]).unwrap();
        let mut server = server.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key).unwrap();
        server.alpn_protocols = vec![b"h2".to_vec()];
        let ends = ["10.0.0.1:40000", "10.0.0.2:443"].map(|end| end.parse::<SocketAddr>().unwrap());
        let mut packets = PcapngConnection::new(ends[0], ends[1], SystemTime::UNIX_EPOCH);
        let mut file = begin("the test");
        packets.open(Duration::ZERO, "", &mut file);
        let client = ClientConnection::new(config.into(), NAME.try_into().unwrap()).unwrap();
        Pair { client, server: ServerConnection::new(server.into()).unwrap(), file, packets, keys }
    }

    /// Transfers all bytes, in packets of at most 1,000; leaves one of them out of the file.
    fn pass(&mut self, lost: Option<usize>) {
        while self.client.wants_write() || self.server.wants_write() {
            let said = write(&mut self.client);
            for (number, piece) in said.chunks(1000).enumerate() {
                match Some(number) == lost {
                    true => self.packets.lose(ToServer, piece.len() as u64),
                    false => self.packets.bytes(Duration::ZERO, ToServer, piece, &mut self.file),
                }
            }
            read(&mut self.server, &said);
            let said = write(&mut self.server);
            said.chunks(1000).for_each(|piece| self.packets.bytes(Duration::ZERO, ToClient, piece, &mut self.file));
            read(&mut self.client, &said);
        }
    }
}

fn write<Data>(end: &mut ConnectionCommon<Data>) -> Vec<u8> {
    let mut said = Vec::new();
    while end.wants_write() {
        end.write_tls(&mut said).unwrap();
    }
    said
}

fn read<Data>(end: &mut ConnectionCommon<Data>, mut said: &[u8]) {
    while !said.is_empty() {
        end.read_tls(&mut said).unwrap();
        end.process_new_packets().unwrap();
        // Reads until nothing is left, which is a WouldBlock error.
        let _ = end.reader().read_to_end(&mut Vec::new());
    }
}

/// All suites, a HelloRetryRequest, a key update during the connection, records that span packets, and a lost packet.
#[test]
fn data_between_two_rustls_endpoints_is_decrypted() {
    let of = |suite| CryptoProvider { cipher_suites: vec![suite], ..ring::default_provider() };
    let among = |groups: &[_]| CryptoProvider { kx_groups: groups.to_vec(), ..ring::default_provider() };
    let (p256, x25519) = (ring::kx_group::SECP256R1, ring::kx_group::X25519);
    let mut cases = vec![(&TLS13, among(&[x25519, p256]), among(&[p256]))];
    let suites = ring::ALL_CIPHER_SUITES.iter().filter(|suite| !format!("{suite:?}").contains("_RSA_"));
    cases.extend(suites.map(|suite| {
        let version = if suite.tls13().is_some() { &TLS13 } else { &TLS12 };
        (version, ring::default_provider(), of(*suite))
    }));
    assert_eq!(cases.len(), 7);
    for (version, client, server) in cases {
        let mut pair = Pair::new(version, client, server);
        pair.pass(None);
        assert!(!pair.client.is_handshaking());
        let suite = format!("{:?}", pair.client.negotiated_cipher_suite().unwrap().suite());
        let (mut asked, mut answered) = (Vec::new(), Vec::new());
        for length in [1, 100, 40_000, 3] {
            let text = vec![length as u8; length];
            pair.client.writer().write_all(&text).unwrap();
            pair.server.writer().write_all(&text[..text.len().min(20_000)]).unwrap();
            pair.pass(None);
            asked.extend_from_slice(&text);
            answered.extend_from_slice(&text[..text.len().min(20_000)]);
            // TLS 1.2 has no key update.
            let updated = [pair.client.refresh_traffic_keys(), pair.server.refresh_traffic_keys()];
            assert!(updated.iter().all(|updated| updated.is_ok() == (version == &TLS13)));
        }
        pair.client.writer().write_all(&[7; 40_000]).unwrap();
        pair.pass(Some(20));
        pair.client.writer().write_all(b"the end").unwrap();
        pair.client.send_close_notify();
        pair.pass(None);

        let mut keys = capture::KeyLog::default();
        assert!(keys.add(pair.keys.0.lock().unwrap().as_bytes()) > 0);
        let capture = capture::read_with(&pair.file, keys.clone()).unwrap();
        let [note] = &capture.notes[..] else { panic!("{suite}: {:?}", capture.notes) };
        assert!(
            note.contains(&suite.replace("TLS13", "TLS")) && note.ends_with(", ALPN h2: decrypted"),
            "{suite}: {note}"
        );
        let said = |direction| capture.connections[0].chunks.iter().filter(move |chunk| chunk.direction == direction);
        let received = said(ToClient).flat_map(|chunk| chunk.bytes.clone()).collect::<Vec<_>>();
        assert!(received == answered && said(ToClient).all(|chunk| chunk.lost == 0), "{suite}");
        // One of three records is missing, because of the lost packet.
        asked.extend([7; 1 << 14]);
        let place = said(ToServer).position(|chunk| chunk.lost > 0).expect("a gap");
        let before = said(ToServer).take(place).flat_map(|chunk| chunk.bytes.clone()).collect::<Vec<_>>();
        assert!(before == asked, "{suite}");
        let behind = said(ToServer).skip(place).flat_map(|chunk| chunk.bytes.clone()).collect::<Vec<_>>();
        assert!(behind == [&[7; 40_000 - (2 << 14)][..], b"the end"].concat(), "{suite}");
        assert_eq!(said(ToServer).map(|chunk| chunk.lost).filter(|lost| *lost > 0).count(), 1);
        // However the file is cut off, the decrypted bytes are a prefix.
        for end in (0..pair.file.len()).step_by(2003) {
            let Ok(cut) = capture::read_with(&pair.file[..end], keys.clone()) else { continue };
            let chunks = cut.connections.iter().flat_map(|connection| &connection.chunks);
            let said = chunks.filter(|chunk| chunk.direction == ToClient).flat_map(|chunk| chunk.bytes.clone());
            let decrypted = cut.notes.iter().any(|note| note.contains(": decrypted"));
            assert!(!decrypted || received.starts_with(&said.collect::<Vec<_>>()), "{suite}: {end}");
        }
    }
}

/// Behind a gap, ciphertext may look like the header of a record that is longer than all that comes.
#[test]
fn records_after_a_gap_are_found_despite_a_false_header() {
    let mut pair = Pair::new(&TLS13, ring::default_provider(), ring::default_provider());
    pair.pass(None);
    for _ in 0..5 {
        pair.client.writer().write_all(&[7; 3000]).unwrap();
    }
    let said = write(&mut pair.client);
    for (number, piece) in said.chunks(1000).enumerate() {
        let mut piece = piece.to_vec();
        if number == 4 {
            piece[..5].copy_from_slice(&[23, 3, 3, 0x47, 0xff]);
        }
        match number {
            3 => pair.packets.lose(ToServer, piece.len() as u64),
            _ => pair.packets.bytes(Duration::ZERO, ToServer, &piece, &mut pair.file),
        }
    }
    let mut keys = capture::KeyLog::default();
    assert!(keys.add(pair.keys.0.lock().unwrap().as_bytes()) > 0);
    let capture = capture::read_with(&pair.file, keys).unwrap();
    let said = capture.connections[0].chunks.iter().filter(|chunk| chunk.direction == ToServer);
    let texts: Vec<(u64, usize)> = said.map(|chunk| (chunk.lost, chunk.bytes.len())).collect();
    let behind: usize = texts.iter().skip_while(|(lost, _)| *lost == 0).map(|(_, length)| length).sum();
    assert_eq!(behind, 3 * 3000, "{texts:?}");
}

#[tokio::test]
async fn invalid_key_log_is_one_line() {
    let folder = Folder::new("key-log");
    let (none, absent, capture) = (folder.file("none"), folder.file("absent"), folder.file("a.pcapng"));
    std::fs::write(
        &none,
        "no key log
",
    )
    .unwrap();
    std::fs::write(&capture, begin("the test")).unwrap();
    for (file, part) in [(&none, "not a key log: no line has"), (&absent, "o such file")] {
        let (status, line) = complaint(&["decode", &capture, "--key-log", file]).await;
        assert!(status == Some(2) && line.contains(part) && line.contains("--key-log must name"), "{line}");
    }
}
