//! Tests the builders of both sides: URLs, TLS, and the errors of combinations that can't work.

use std::sync::Arc;

use barewire::io::Connector;
use barewire::services::route_guide::{Guide, router};
use barewire::transport::tls::{ClientTls, ServerTls, rustls};
use barewire::transport::{memory, tcp, unix};
use barewire::{CallOptions, Client, Code, Server, Status};

use super::certificates::{Authority, NAME};
use super::tls::{expect_served, trusting};
use super::{ServerGuard, soon};

fn serve_with(builder: barewire::ServerBuilder, listener: impl barewire::io::Listener + 'static) -> ServerGuard {
    ServerGuard(tokio::spawn(builder.serve(router(Guide::default()), listener)))
}

async fn refused(builder: barewire::ClientBuilder, url: &str) -> Status {
    let status = soon(builder.connect(url)).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    status
}

#[tokio::test]
async fn http_url_connects_over_tcp() {
    let listener = tcp::listen("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let _serving = serve_with(Server::builder(), listener);
    let client = soon(Client::builder().user_agent("x/1").connect(&url)).await.unwrap();
    expect_served(&client).await;
}

#[tokio::test]
async fn https_url_connects_over_tls() {
    let authority = Authority::new("authority");
    let listener = tcp::listen("localhost:0").await.unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let _serving = serve_with(Server::builder().tls(ServerTls::new(authority.identity("localhost"))), listener);
    let tls = ClientTls::new(authority.trusted());
    expect_served(&soon(Client::builder().tls(tls).connect(&url)).await.unwrap()).await;
    // The name in the URL is checked.
    let other = Authority::new("other");
    let status = soon(Client::builder().tls(ClientTls::new(other.trusted())).connect(&url)).await.unwrap_err();
    assert!(status.message().contains("not signed by an authority"), "{status}");
}

#[tokio::test]
async fn unix_urls_connect_to_paths() {
    let path = std::env::temp_dir().join(format!("barewire-builders-{}.sock", std::process::id()));
    let _serving = serve_with(Server::builder(), unix::listen(&path).unwrap());
    for url in [format!("unix://{}", path.display()), format!("unix:{}", path.display())] {
        expect_served(&soon(Client::builder().connect(&url)).await.unwrap()).await;
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn unix_abstract_url_connects_to_a_name() {
    let name = format!("barewire-builders-{}", std::process::id());
    let _serving = serve_with(Server::builder(), unix::listen(format!("@{name}")).unwrap());
    expect_served(&soon(Client::builder().connect(&format!("unix-abstract:{name}"))).await.unwrap()).await;
}

#[tokio::test(start_paused = true)]
async fn tls_of_the_builders_wraps_any_transport() {
    let authority = Authority::new("authority");
    let (listener, connector) = memory::pair();
    let _serving = serve_with(Server::builder().tls(ServerTls::new(authority.identity(NAME))), listener);
    let builder = Client::builder().tls(trusting(&authority)).call_options(CallOptions::new());
    expect_served(&soon(builder.connect_over(connector)).await.unwrap()).await;
}

#[tokio::test(start_paused = true)]
async fn failed_handshake_of_a_builder_is_reported() {
    let authority = Authority::new("authority");
    let (listener, connector) = memory::pair();
    let (failed, mut failures) = tokio::sync::mpsc::unbounded_channel();
    let tls = ServerTls::new(authority.identity(NAME)).on_failure(move |client, error| {
        let _ = failed.send(format!("{client}: {error}"));
    });
    let _serving = serve_with(Server::builder().tls(tls), listener);
    soon(Client::connect(connector)).await.unwrap_err();
    let failure = soon(failures.recv()).await.unwrap();
    assert_eq!(failure, "memory: TLS handshake failed: the client does not speak TLS");
}

#[tokio::test]
async fn bad_url_is_invalid_argument() {
    let status = refused(Client::builder(), "localhost:50051").await;
    assert!(status.message().contains("use http://localhost:50051"), "{status}");
}

#[tokio::test]
async fn tls_for_a_plaintext_url_or_twice_is_refused() {
    let authority = Authority::new("authority");
    let builder = Client::builder().tls(trusting(&authority));
    for url in ["http://localhost:1", "unix:///run/none.sock"] {
        let status = refused(builder.clone(), url).await;
        assert!(status.message().contains("is plaintext, but the builder has TLS: use https://"), "{status}");
    }
    let connector = trusting(&authority).connector(tcp::connect("localhost:1")).unwrap();
    assert_eq!(connector.scheme(), "https");
    let status = soon(builder.connect_over(connector)).await.unwrap_err();
    assert!(status.message().contains("the connector uses TLS already"), "{status}");
    let unnamed = ClientTls::new(authority.trusted()).server_name("not a name");
    let status = refused(Client::builder().tls(unnamed), "https://localhost:1").await;
    assert_eq!(status.message(), "not a name: invalid server name: use a DNS name or an IP address");
}

#[tokio::test(start_paused = true)]
async fn rustls_configurations_of_both_sides_work_together() {
    let authority = Authority::new("authority");
    for alpn in [vec![], vec![b"h2".to_vec()], vec![b"http/1.1".to_vec(), b"h2".to_vec()]] {
        let server = ServerTls::from_config(server_config(&authority, &alpn)).unwrap();
        let client = ClientTls::from_config(client_config(&authority, &alpn)).unwrap().server_name(NAME);
        let (listener, connector) = memory::pair();
        let _serving = serve_with(Server::builder().tls(server), listener);
        expect_served(&soon(Client::builder().tls(client).connect_over(connector)).await.unwrap()).await;
    }
}

#[tokio::test(start_paused = true)]
async fn rustls_configuration_that_cannot_be_used_is_refused() {
    let authority = Authority::new("authority");
    let http1 = [b"http/1.1".to_vec()];
    let expected =
        "TLS: ALPN offers only http/1.1: gRPC needs HTTP/2: add b\"h2\" to alpn_protocols, or leave it empty";
    let error = ServerTls::from_config(server_config(&authority, &http1)).unwrap_err();
    assert_eq!(error.to_string(), expected);
    let error = ClientTls::from_config(client_config(&authority, &http1)).unwrap_err();
    assert_eq!(error.to_string(), expected);

    let tls = ServerTls::from_config(server_config(&authority, &[])).unwrap();
    let builder = Server::builder().tls(tls.require_client_certificates(authority.trusted()));
    let (listener, _connector) = memory::pair();
    let error = soon(builder.serve(router(Guide::default()), listener)).await.unwrap_err();
    assert!(error.to_string().contains("set the verifier of client certificates in the rustls"), "{error}");
}

fn server_config(authority: &Authority, alpn: &[Vec<u8>]) -> Arc<rustls::ServerConfig> {
    let (certificate, key) = authority.der(NAME);
    let mut config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    config.alpn_protocols = alpn.to_vec();
    Arc::new(config)
}

fn client_config(authority: &Authority, alpn: &[Vec<u8>]) -> Arc<rustls::ClientConfig> {
    let mut config = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(authority.roots())
        .with_no_client_auth();
    config.alpn_protocols = alpn.to_vec();
    Arc::new(config)
}
