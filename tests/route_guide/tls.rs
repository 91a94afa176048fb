//! Tests TLS: the identities that a matching pair sees, and every way a handshake can fail. After each failure the server still
//! serves the next client.

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use barewire::io::{ByteStream, Connector, Listener, TlsIdentity};
use barewire::services::route_guide::messages::{Feature, Point};
use barewire::services::route_guide::{GET_FEATURE, Guide, router};
use barewire::transport::tls::{ClientTls, Identity, ServerTls};
use barewire::transport::{memory, tcp};
use barewire::wire::{By, Cause, What};
use barewire::{Client, Code, Request, Response, Router, Status};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Mutex;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio_rustls::rustls;

use super::certificates::{Authority, NAME};
use super::{PATIENCE, ServerGuard, client, expect_the_whole_guide, serve, soon};

/// A TLS server in memory: the errors of its handshakes, and a connector to it.
pub struct Secure {
    pub connector: memory::MemoryConnector,
    failures: Mutex<UnboundedReceiver<String>>,
    _serving: ServerGuard,
}

pub fn secure(tls: &ServerTls) -> Secure {
    let (listener, connector) = memory::pair();
    let (failed, failures) = unbounded_channel();
    let listener = tls.listener(listener).unwrap();
    let listener = listener.on_failure(move |client, error| {
        let _ = failed.send(format!("{client}: {error}"));
    });
    Secure { connector, failures: Mutex::new(failures), _serving: serve(listener, router(Guide::default())) }
}

impl Secure {
    pub async fn connect(&self, tls: &ClientTls) -> Result<Client, Status> {
        soon(Client::connect(tls.connector(self.connector.clone()).unwrap())).await
    }

    /// Connects a client that is refused. Returns its error and the server's. Asserts that the server then serves a good client.
    async fn refused(&self, bad: &ClientTls, good: &ClientTls) -> (String, String) {
        let status = self.connect(bad).await.expect_err("they should not come together");
        assert_eq!(status.code(), Code::Unavailable, "{status}");
        assert!(matches!(status.cause(), Some(Cause { what: What::Tls(_), .. })), "{status:?}");
        let failure = self.failure().await;
        expect_served(&self.connect(good).await.unwrap()).await;
        (status.message().to_owned(), failure)
    }

    pub async fn failure(&self) -> String {
        soon(async { self.failures.lock().await.recv().await }).await.unwrap()
    }
}

pub async fn expect_served(client: &Client) {
    let answer = soon(client.unary(GET_FEATURE, Point { latitude: 1, longitude: 2 })).await.unwrap();
    assert_eq!(answer.location, Some(Point { latitude: 1, longitude: 2 }));
}

pub fn trusting(authority: &Authority) -> ClientTls {
    ClientTls::new(authority.trusted()).server_name(NAME)
}

#[tokio::test]
async fn tls_works_over_tcp_by_host_name() {
    let authority = Authority::new("authority");
    let listener = tcp::listen("localhost:0").await.unwrap();
    let address = format!("localhost:{}", listener.local_addr().unwrap().port());
    let tls = ServerTls::new(authority.identity("localhost"));
    let _serving = super::serve_guide(tls.listener(listener).unwrap());
    let tls = ClientTls::new(authority.trusted());
    expect_the_whole_guide(tls.connector(tcp::connect(address)).unwrap()).await;
}

#[tokio::test]
async fn tls_works_over_tcp_by_another_name_and_by_address() {
    let authority = Authority::new("authority");
    for (identity, tls) in [
        (authority.identity(NAME), trusting(&authority)),
        (authority.identity("127.0.0.1"), ClientTls::new(authority.trusted())),
    ] {
        let listener = tcp::listen("127.0.0.1:0").await.unwrap();
        let connector = tls.connector(tcp::connect(listener.local_addr().unwrap().to_string())).unwrap();
        assert_eq!(connector.scheme(), "https");
        let _serving = super::serve_guide(ServerTls::new(identity).listener(listener).unwrap());
        expect_the_whole_guide(connector).await;
    }
}

#[test]
fn expected_server_name_is_the_authority() {
    let authority = Authority::new("authority");
    let tls = ClientTls::new(authority.trusted());
    assert_eq!(tls.connector(tcp::connect("localhost:1")).unwrap().authority(), "localhost:1");
    let named = tls.clone().server_name(NAME);
    assert_eq!(named.connector(tcp::connect("localhost:1")).unwrap().authority(), NAME);
    let error = tls.server_name("no name!").connector(tcp::connect("localhost:1")).unwrap_err();
    assert_eq!(error.to_string(), "no name!: invalid server name: use a DNS name or an IP address");
}

#[tokio::test(start_paused = true)]
async fn certificate_of_another_ca_is_refused() {
    let (authority, other) = (Authority::new("authority"), Authority::new("other"));
    let server = secure(&ServerTls::new(authority.identity(NAME)));
    let (ours, theirs) = server.refused(&trusting(&other), &trusting(&authority)).await;
    assert_eq!(
        ours,
        "can't connect: TLS handshake failed: the server's certificate is not signed by an authority that this side trusts"
    );
    assert_eq!(theirs, "memory: TLS handshake failed: the client refused the handshake with alert UnknownCA");
}

#[tokio::test(start_paused = true)]
async fn certificate_for_another_name_is_refused() {
    let authority = Authority::new("authority");
    let server = secure(&ServerTls::new(authority.identity(NAME)));
    let bad = trusting(&authority).server_name("foo.example.org");
    let (ours, theirs) = server.refused(&bad, &trusting(&authority)).await;
    assert!(ours.contains("the server's certificate is not for \"foo.example.org\" but for "), "{ours}");
    assert!(ours.contains(NAME), "{ours}");
    assert!(theirs.contains("the client refused the handshake with alert BadCertificate"), "{theirs}");
}

#[tokio::test(start_paused = true)]
async fn expired_certificate_is_refused() {
    let authority = Authority::new("authority");
    let (good, expired) = (trusting(&authority), ServerTls::new(authority.expired(NAME)));
    let server = secure(&expired);
    let status = server.connect(&good).await.unwrap_err();
    assert!(matches!(status.cause(), Some(Cause { by: By::Us, what: What::Tls(_), .. })), "{status:?}");
    assert!(status.message().contains("the server's certificate expired "), "{status}");
    assert!(status.message().ends_with(" days ago"), "{status}");
    let failure = server.failure().await;
    assert!(failure.contains("the client refused the handshake with alert CertificateExpired"), "{failure}");
}

#[tokio::test(start_paused = true)]
async fn ca_certificate_as_server_certificate_is_refused() {
    let (identity, trusted) = Authority::own(NAME);
    let server = secure(&ServerTls::new(identity));
    let status = server.connect(&ClientTls::new(trusted).server_name(NAME)).await.unwrap_err();
    assert!(matches!(status.cause(), Some(Cause { by: By::Us, what: What::Tls(_), .. })), "{status:?}");
    for part in [
        "the server's certificate is a CA certificate (CA:TRUE)",
        "openssl req -x509 ",
        "-addext basicConstraints=critical,CA:FALSE",
        "-addext subjectAltName=DNS:localhost",
    ] {
        assert!(status.message().contains(part), "{part} in {status}");
    }
    assert!(!status.message().contains("  "), "{status}");
    let failure = server.failure().await;
    assert!(failure.contains("the client refused the handshake with alert "), "{failure}");
}

#[tokio::test(start_paused = true)]
async fn plaintext_client_on_a_tls_port_is_refused() {
    let authority = Authority::new("authority");
    let server = secure(&ServerTls::new(authority.identity(NAME)));
    let status = soon(Client::connect(server.connector.clone())).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.message().contains("does this port want TLS?"), "{status}");
    assert_eq!(server.failure().await, "memory: TLS handshake failed: the client does not speak TLS");
    expect_served(&server.connect(&trusting(&authority)).await.unwrap()).await;
}

#[tokio::test(start_paused = true)]
async fn tls_client_on_a_plaintext_port_is_refused() {
    let authority = Authority::new("authority");
    let (listener, connector) = memory::pair();
    let _serving = super::serve_guide(listener);
    let status = soon(Client::connect(trusting(&authority).connector(connector.clone()).unwrap())).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(status.message(), "can't connect: TLS handshake failed: the server does not speak TLS");
    assert!(format!("{status:#}").ends_with("does not speak TLS: by the peer: TLS"), "{status:#}");
    assert!(matches!(status.cause(), Some(Cause { by: By::Peer, what: What::Tls(_), .. })), "{status:?}");
    expect_served(&Client::connect(connector).await.unwrap()).await;
}

#[tokio::test(start_paused = true)]
async fn client_without_alpn_h2_is_refused() {
    let authority = Authority::new("authority");
    let server = secure(&ServerTls::new(authority.identity(NAME)));
    for offered in [vec![], vec![b"http/1.1".to_vec()]] {
        let mut stream = match raw_client(&authority, &offered, &rustls::version::TLS13, &server.connector).await {
            Ok(stream) => stream,
            Err(error) => {
                assert!(error.to_string().contains("NoApplicationProtocol"), "{error}");
                assert!(!offered.is_empty());
                assert!(server.failure().await.contains("did not negotiate HTTP/2 (ALPN h2)"));
                continue;
            }
        };
        assert!(offered.is_empty());
        assert_eq!(soon(stream.read(&mut [0; 64])).await.unwrap(), 0, "the server ends the session");
        assert!(server.failure().await.contains("did not negotiate HTTP/2 (ALPN h2)"));
    }
    expect_served(&server.connect(&trusting(&authority)).await.unwrap()).await;
}

#[tokio::test(start_paused = true)]
async fn server_without_alpn_h2_is_refused() {
    let authority = Authority::new("authority");
    let (mut listener, connector) = memory::pair();
    let config = raw_server_config(&authority);
    tokio::spawn(async move {
        let ByteStream { io, .. } = listener.accept().await.unwrap().await.unwrap();
        let mut stream = tokio_rustls::TlsAcceptor::from(config).accept(io).await.unwrap();
        let _ = stream.read(&mut [0; 64]).await;
    });
    let status = soon(Client::connect(trusting(&authority).connector(connector).unwrap())).await.unwrap_err();
    assert_eq!(status.message(), "can't connect: TLS handshake failed: the server did not negotiate HTTP/2 (ALPN h2)");
}

#[tokio::test(start_paused = true)]
async fn tls_1_2_and_1_3_are_accepted() {
    let authority = Authority::new("authority");
    let server = secure(&ServerTls::new(authority.identity(NAME)));
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let mut stream = raw_client(&authority, &[b"h2".to_vec()], version, &server.connector).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
        let mut settings = [0; 9];
        soon(stream.read_exact(&mut settings)).await.unwrap();
        assert_eq!(settings[3..], [4, 0, 0, 0, 0, 0], "the server's SETTINGS");
    }
}

#[tokio::test]
async fn silent_client_does_not_delay_others() {
    let authority = Authority::new("authority");
    let server = secure(&ServerTls::new(authority.identity(NAME)));
    let _silent = server.connector.connect().await.unwrap();
    expect_served(&server.connect(&trusting(&authority)).await.unwrap()).await;
}

#[tokio::test(start_paused = true)]
async fn stalled_tls_handshake_times_out() {
    let authority = Authority::new("authority");
    let server = secure(&ServerTls::new(authority.identity(NAME)));
    let start = tokio::time::Instant::now();
    let mut silent = server.connector.connect().await.unwrap();
    let end = tokio::time::timeout(PATIENCE, silent.io.read(&mut [0; 1])).await.unwrap();
    assert_eq!(end.unwrap(), 0);
    assert_eq!(start.elapsed().as_secs(), Duration::from_secs(20).as_secs());
}

#[tokio::test(start_paused = true)]
async fn handler_sees_the_client_certificate() {
    let authority = Authority::new("authority");
    let clients = Authority::new("clients");
    let (identity, certificate) = clients.sign("somebody");
    let server = ServerTls::new(authority.identity(NAME));
    for tls in [
        server.clone().require_client_certificates(clients.trusted()),
        server.accept_client_certificates(clients.trusted()),
    ] {
        let seen = seen_by_a_handler(&tls, &trusting(&authority).identity(identity.clone())).await;
        assert_eq!(seen.certificates, [&certificate[..]]);
        assert_eq!(seen.server_name.as_deref(), Some(NAME));
        assert_eq!(seen.version, "TLSv1_3");
        assert!(seen.cipher_suite.starts_with("TLS13_"), "{}", seen.cipher_suite);
    }
}

#[tokio::test(start_paused = true)]
async fn client_without_certificate_is_accepted_if_optional() {
    let authority = Authority::new("authority");
    let tls = ServerTls::new(authority.identity(NAME)).accept_client_certificates(authority.trusted());
    let seen = seen_by_a_handler(&tls, &trusting(&authority)).await;
    assert!(seen.certificates.is_empty());
}

#[tokio::test(start_paused = true)]
async fn client_without_a_trusted_certificate_is_refused_if_required() {
    let authority = Authority::new("authority");
    let clients = Authority::new("clients");
    let server = secure(&ServerTls::new(authority.identity(NAME)).require_client_certificates(clients.trusted()));
    let good = trusting(&authority).identity(clients.identity("somebody"));
    let (_, theirs) = server.refused(&trusting(&authority), &good).await;
    assert_eq!(theirs, "memory: TLS handshake failed: the client presented no certificate");
    let foreign = trusting(&authority).identity(authority.identity("somebody"));
    let (_, theirs) = server.refused(&foreign, &good).await;
    assert!(theirs.contains("the client's certificate is not signed by an authority"), "{theirs}");
    let expired = trusting(&authority).identity(clients.expired("somebody"));
    let (_, theirs) = server.refused(&expired, &good).await;
    assert!(theirs.contains("the client's certificate expired "), "{theirs}");
}

#[tokio::test(start_paused = true)]
async fn missing_client_certificate_is_reported_to_the_client() {
    let authority = Authority::new("authority");
    let identity: Identity = authority.identity(NAME);
    let server = secure(&ServerTls::new(identity).require_client_certificates(authority.trusted()));
    let status = server.connect(&trusting(&authority)).await.unwrap_err();
    // In TLS 1.3 the client's handshake is complete when the server refuses it: the client gets the alert at its first read.
    assert!(format!("{status:#}").contains("CertificateRequired"), "{status:#}");
}

/// Returns the identity of a client as its handler sees it.
async fn seen_by_a_handler(server: &ServerTls, client_tls: &ClientTls) -> TlsIdentity {
    struct Witness(std::sync::Mutex<std::sync::mpsc::Sender<TlsIdentity>>);

    impl Witness {
        async fn look(&self, request: Request<Point>) -> Result<Response<Feature>, Status> {
            let seen = request.peer().tls.clone().ok_or_else(|| Status::unauthenticated("no TLS"))?;
            self.0.lock().unwrap().send(TlsIdentity::clone(&seen)).unwrap();
            Ok(Feature::default().into())
        }
    }

    let (listener, connector) = memory::pair();
    let (witness, seen) = channel();
    let router = Router::new(Witness(witness.into())).unary(GET_FEATURE, Witness::look);
    let _serving = serve(server.listener(listener).unwrap(), router);
    let client = client(client_tls.connector(connector).unwrap()).await;
    soon(client.get_feature(Point::default())).await.unwrap();
    seen.recv().unwrap()
}

/// Connects with rustls alone and offers the given ALPN protocols.
pub async fn raw_client(
    authority: &Authority,
    offered: &[Vec<u8>],
    version: &'static rustls::SupportedProtocolVersion,
    connector: &memory::MemoryConnector,
) -> std::io::Result<tokio_rustls::client::TlsStream<Box<dyn barewire::io::Io>>> {
    let mut config = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(authority.roots())
        .with_no_client_auth();
    config.alpn_protocols = offered.to_vec();
    let io = connector.connect().await.unwrap().io;
    soon(tokio_rustls::TlsConnector::from(Arc::new(config)).connect(NAME.try_into().unwrap(), io)).await
}

/// Returns a rustls configuration of a server without ALPN.
fn raw_server_config(authority: &Authority) -> Arc<rustls::ServerConfig> {
    let (certificate, key) = authority.der(NAME);
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    Arc::new(config)
}
