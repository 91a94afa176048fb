//! TLS through the tap, and of replay: protocols as the server chose them, client certificates, and ends of which only one speaks
//! TLS.

use std::path::Path;
use std::sync::Arc;

use barewire::inspector::write::{DEFAULT_MAX_FRAME_SIZE, RawFrame, header_block, message};
use barewire::wire::http2::PREFACE;
use rcgen::{CertificateParams, KeyPair};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::process::{BAREWIRE, Folder, Tap, soon};
use super::{call, complaint, listener, serve};

const NAME: &str = "localhost";

/// A certificate that signs itself, in files.
struct Own {
    certificate: String,
    key: String,
}

fn own(folder: &Folder, name: &str) -> Own {
    let key = KeyPair::generate().unwrap();
    let signed = CertificateParams::new([NAME.to_owned()]).unwrap().self_signed(&key).unwrap();
    let own = Own { certificate: folder.file(&format!("{name}.pem")), key: folder.file(&format!("{name}.key")) };
    std::fs::write(&own.certificate, signed.pem()).unwrap();
    std::fs::write(&own.key, key.serialize_pem()).unwrap();
    own
}

fn roots(file: &str) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(Path::new(file)).unwrap()).unwrap();
    roots
}

/// Starts a server with TLS that echoes, and returns its address.
async fn server(
    own: &Own,
    alpn: &[&[u8]],
    clients: Option<&Own>,
    version: &'static SupportedProtocolVersion,
) -> String {
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone()).with_protocol_versions(&[version]).unwrap();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(clients) => {
            let roots = Arc::new(roots(&clients.certificate));
            builder.with_client_cert_verifier(
                WebPkiClientVerifier::builder_with_provider(roots, provider).build().unwrap(),
            )
        }
    };
    let certificate = CertificateDer::from_pem_file(Path::new(&own.certificate)).unwrap();
    let key = PrivateKeyDer::from_pem_file(Path::new(&own.key)).unwrap();
    let mut config = builder.with_single_cert(vec![certificate], key).unwrap();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let (listener, address) = listener().await;
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(socket).await else { return };
                let mut space = [0; 4096];
                while let Ok(read @ 1..) = stream.read(&mut space).await {
                    if stream.write_all(&space[..read]).await.is_err() || stream.flush().await.is_err() {
                        break;
                    }
                }
            });
        }
    });
    address
}

/// Connects with TLS through a tap, says something, and returns the protocol that was negotiated and the answer.
async fn asks(tap: &Tap, trust: &str, alpn: &[&[u8]]) -> (Option<Vec<u8>>, Vec<u8>) {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().unwrap();
    let mut config = builder.with_root_certificates(roots(trust)).with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    let socket = soon("a connection", TcpStream::connect(&tap.address)).await.unwrap();
    let connect = TlsConnector::from(Arc::new(config)).connect(ServerName::try_from(NAME).unwrap(), socket);
    let mut stream = soon("TLS", connect).await.unwrap();
    let protocol = stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
    stream.write_all(b"hello").await.unwrap();
    let mut answer = [0; 5];
    soon("the answer", stream.read_exact(&mut answer)).await.unwrap();
    (protocol, answer.to_vec())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn client_gets_the_protocol_that_the_server_chose() {
    let folder = Folder::new("alpn");
    let own = own(&folder, "own");
    let ca = folder.file("ca");
    let h2 = &b"h2"[..];
    for (speaks, asked, assume, negotiated, part) in [
        (&[h2][..], &[h2][..], false, Some(h2), ""),
        (&[], &[h2], false, None, "was offered h2 and chose no protocol"),
        (&[b"http/1.1"], &[h2, b"http/1.1"], false, Some(&b"http/1.1"[..]), "was offered h2 and chose http/1.1"),
        (&[], &[h2], true, Some(h2), "with --assume-h2"),
        (&[h2], &[], false, None, "the client did not ask for HTTP/2"),
    ] {
        let to = server(&own, speaks, None, &TLS13).await;
        let to = to.replace("127.0.0.1", NAME);
        let flags = ["--tls", "--ca-dir", &ca, "--to-tls", "--ca-file", &own.certificate, "--assume-h2"];
        let flags = if assume { &flags[..] } else { &flags[..6] };
        let mut tap = Tap::start(&to, flags).await;
        let (protocol, answer) = asks(&tap, &folder.file("ca/ca.pem"), asked).await;
        assert_eq!((protocol.as_deref(), &answer[..]), (negotiated, &b"hello"[..]), "{part}");
        if !part.is_empty() {
            let line = tap.line(part).await;
            assert!(!line.contains("chose none"), "{line}");
        }
        let printed = tap.end().await;
        assert!(printed.contains(part) && printed.contains("TLS with the server: TLSv1_3, ALPN "), "{printed}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_with_required_client_certificate_is_reached() {
    let folder = Folder::new("client-cert");
    let (own, client, other) = (own(&folder, "own"), own(&folder, "client"), own(&folder, "other"));
    let to_tls = ["--to-tls", "--ca-file", &own.certificate];
    let present = |own: &Own| {
        vec!["--client-cert".to_owned(), own.certificate.clone(), "--client-key".to_owned(), own.key.clone()]
    };
    for version in [&TLS13, &TLS12] {
        let to = server(&own, &[b"h2"], Some(&client), version).await.replace("127.0.0.1", NAME);
        for (flags, part) in [
            (vec![], "use --client-cert FILE and --client-key FILE"),
            (present(&other), "TLS alert "),
            (present(&client), ""),
        ] {
            let flags: Vec<&str> = to_tls.iter().copied().chain(flags.iter().map(String::as_str)).collect();
            let mut tap = Tap::start(&to, &flags).await;
            let mut socket = soon("a connection", TcpStream::connect(&tap.address)).await.unwrap();
            // The tap may have reset it already.
            let _ = socket.write_all(b"hello").await;
            if part.is_empty() {
                let mut answer = [0; 5];
                soon("the answer", socket.read_exact(&mut answer)).await.unwrap();
                assert_eq!(&answer, b"hello");
                tap.end().await;
                continue;
            }
            let line = tap.line(part).await;
            assert!(line.contains("refused the connection with the TLS alert "), "{line}");
            assert!(version == &TLS12 || flags.len() > 3 || line.contains("certificate_required"), "{line}");
        }
    }
    let (status, line) =
        complaint(&["tap", "--listen", "0", "--to", "1", "--to-tls", "--insecure", "--client-cert", "x"]).await;
    assert!(status == Some(2) && line.contains("--client-key"), "{line}");
}

/// Sends bytes through a tap, and returns the line that it logs.
async fn line_for(to: &str, flags: &[&str], bytes: &[u8], part: &str) -> String {
    let mut tap = Tap::start(to, flags).await;
    let mut socket = soon("a connection", TcpStream::connect(&tap.address)).await.unwrap();
    // The tap may have reset it already.
    let _ = socket.write_all(bytes).await;
    let line = tap.line(part).await;
    drop(socket);
    line
}

/// Answers the first bytes of each connection, and closes it.
async fn answering(answer: &'static [u8]) -> String {
    let (listener, address): (TcpListener, String) = listener().await;
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let _ = socket.read(&mut [0; 4096]).await;
            let _ = socket.write_all(answer).await;
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_one_side_speaks_tls() {
    let folder = Folder::new("one-side");
    let (own, ca) = (own(&folder, "own"), folder.file("ca"));
    let tls = server(&own, &[b"h2"], None, &TLS13).await;
    let hello = b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00";
    for (to, flags, bytes, part) in [
        (&serve().await, &["--tls", "--ca-dir", &ca][..], PREFACE, "speaks HTTP/2 in plaintext, but --tls expects TLS"),
        (&serve().await, &["--tls", "--ca-dir", &ca], b"GET / HTTP/1.1", "leave out --tls"),
        (&serve().await, &[], hello, "the client speaks TLS, but the server does not; use --tls"),
        (&answering(b"HTTP/1.1 400 Bad Request\r\n\r\n").await, &[], hello, "but the server does not; use --tls"),
        (&tls, &[], PREFACE, "use --to-tls"),
        (&answering(b"").await, &[], PREFACE, "use --to-tls"),
        (
            &answering(b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n").await,
            &[],
            PREFACE,
            "use --to-tls",
        ),
        (&serve().await, &["--to-tls", "--insecure"], PREFACE, "does not speak TLS; leave out --to-tls"),
    ] {
        let line = line_for(to, flags, bytes, part).await;
        assert!(line.contains(part), "{part}: {line}");
    }
    // A client that does not trust the authority is told which file to trust.
    let tap = Tap::start(&serve().await, &["--tls", "--ca-dir", &ca]).await;
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = builder.with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(roots(&own.certificate)).with_no_client_auth();
    let socket = TcpStream::connect(&tap.address).await.unwrap();
    let connect = TlsConnector::from(Arc::new(config)).connect(ServerName::try_from(NAME).unwrap(), socket);
    assert!(soon("a refusal", connect).await.is_err());
    let mut tap = tap;
    let line = tap.line("TLS alert").await;
    assert!(line.contains("unknown_ca; let it trust ") && line.contains("ca.pem"), "{line}");
}

/// Writes the bytes of a client that called GetFeature; its scheme says that it did so over TLS, or not.
fn captured(folder: &Folder, scheme: &str) -> String {
    let mut wire = PREFACE.to_vec();
    RawFrame::settings(&[]).write(&mut wire);
    let fields = [
        (":method", "POST"),
        (":scheme", scheme),
        (":authority", "test"),
        (":path", "/routeguide.RouteGuide/GetFeature"),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
        ("authorization", "Bearer secret"),
    ];
    let frames = RawFrame::headers(1, &header_block(fields), false, DEFAULT_MAX_FRAME_SIZE);
    frames.iter().for_each(|frame| frame.write(&mut wire));
    RawFrame::data(1, message(0, &[8, 1]), true).write(&mut wire);
    let file = folder.file(scheme);
    std::fs::write(&file, wire).unwrap();
    file
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replay_speaks_tls_and_sends_no_secret_in_the_clear() {
    let folder = Folder::new("replay-tls");
    let own = own(&folder, "own");
    let (plain, https) = (serve().await, captured(&folder, "https"));
    let replay = async |capture: &str, to: &str, flags: &[&str]| {
        let mut command = tokio::process::Command::new(BAREWIRE);
        command.args(["replay", capture, "--to", to]).args(flags).env_remove("BAREWIRE_WIRE").kill_on_drop(true);
        let output = soon("replay", command.output()).await.unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let (status, shown, line) = replay(&https, &plain, &[]).await;
    assert!(status == Some(2) && shown.is_empty() && line.lines().count() == 1, "{line}");
    assert!(line.contains("came over TLS; use --to-tls, or --plaintext"), "{line}");
    let (status, shown, _) = replay(&https, &plain, &["--plaintext"]).await;
    assert!(status == Some(0) && shown.contains("grpc-status: 0"), "{shown}");

    // With TLS, to the tap in front of the route guide.
    let ca = folder.file("ca");
    let tap = Tap::start(&plain, &["--tls", "--ca-dir", &ca]).await;
    let to = tap.address.replace("127.0.0.1", NAME);
    let trust = folder.file("ca/ca.pem");
    for flags in [&["--to-tls", "--ca-file", &trust][..], &["--to-tls", "--ca", &trust], &["--to-tls", "--insecure"]] {
        let (status, shown, said) = replay(&https, &to, flags).await;
        assert!(status == Some(0) && shown.contains("grpc-status: 0"), "{said}");
        assert_eq!(said.contains("warning: with --insecure"), flags.len() == 2, "{said}");
    }
    let (status, _, line) = replay(&https, &to, &["--to-tls", "--ca-file", &own.certificate]).await;
    assert!(status == Some(2) && line.contains("not signed by") && line.contains("--ca-file FILE"), "{line}");
    let (status, _, line) = replay(&https, &to, &["--to-tls"]).await;
    assert!(status == Some(2) && line.contains("--ca-file"), "{line}");
    let (status, shown, _) = replay(&captured(&folder, "http"), &plain, &[]).await;
    assert!(status == Some(0) && shown.contains("grpc-status: 0"), "{shown}");
    drop(call(&plain).await);
    tap.end().await;
}
