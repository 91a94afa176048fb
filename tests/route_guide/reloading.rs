//! Tests identities that are replaced while connections use them.

use std::path::PathBuf;
use std::sync::Arc;

use barewire::client::Connection;
use barewire::io::{ConnectionInfo, Connector};
use barewire::services::route_guide::{Guide, router};
use barewire::transport::memory;
use barewire::transport::tls::{ClientTls, Identity, IdentityHandle, ServerTls};
use barewire::{Client, ClientOptions, Server};
use tokio::sync::mpsc::unbounded_channel;

use super::certificates::{Authority, NAME};
use super::tls::{expect_served, trusting};
use super::{ServerGuard, soon};

async fn connect(connector: &impl Connector) -> Connection {
    soon(Connection::open(connector, &ClientOptions::default())).await.unwrap()
}

fn client(connection: Connection) -> Client {
    Client::builder().over(Arc::new(connection)).unwrap()
}

/// Returns the server's certificate on a new connection, after a call, with which a session that could be resumed would arrive.
async fn presented(connector: &impl Connector) -> Vec<u8> {
    let connection = connect(connector).await;
    let certificate = connection.peer().tls.as_ref().unwrap().certificates[0].to_vec();
    expect_served(&client(connection)).await;
    certificate
}

/// Returns the certificate of an identity.
fn certificate(identity: &Identity) -> Vec<u8> {
    identity.certified_key().cert[0].to_vec()
}

/// Serves the guide in memory. Returns the handle of the identity, and one connector, whose TLS sessions could be resumed.
fn reloadable(authority: &Authority, identity: &Identity) -> (ServerGuard, IdentityHandle, impl Connector + use<>) {
    let (listener, connector) = memory::pair();
    let (tls, handle) = ServerTls::reloadable(identity.clone());
    let serving = ServerGuard(tokio::spawn(Server::builder().tls(tls).serve(router(Guide::default()), listener)));
    (serving, handle, trusting(authority).connector(connector).unwrap())
}

#[tokio::test(start_paused = true)]
async fn new_connections_see_the_new_certificate_and_old_ones_go_on() {
    let authority = Authority::new("authority");
    let (first, second) = (authority.identity(NAME), authority.identity(NAME));
    let (_serving, handle, connector) = reloadable(&authority, &first);
    let connected_before = client(connect(&connector).await);
    expect_served(&connected_before).await;
    assert_eq!(presented(&connector).await, certificate(&first));
    handle.set(second.clone());
    assert_eq!(presented(&connector).await, certificate(&second));
    expect_served(&connected_before).await;
}

/// Files of a certificate and its key, removed at the end of the test.
struct Files(PathBuf, PathBuf);

impl Files {
    fn write(&self, certificate: &str, key: &str) {
        std::fs::write(&self.0, certificate).unwrap();
        std::fs::write(&self.1, key).unwrap();
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        for file in [&self.0, &self.1] {
            let _: std::io::Result<()> = std::fs::remove_file(file);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn broken_files_leave_the_old_certificate_in_use() {
    let authority = Authority::new("authority");
    let first = authority.identity(NAME);
    let (_serving, handle, connector) = reloadable(&authority, &first);
    let file = |name: &str| std::env::temp_dir().join(format!("barewire-reloading-{}-{name}", std::process::id()));
    let files = Files(file("pem"), file("key"));
    let (good, key) = authority.pem(NAME);
    let (_, other_key) = authority.pem(NAME);
    for (certificate_pem, key_pem, expected) in [
        (&*good, &*other_key, "the private key does not match the certificate"),
        (&good[..good.len() / 2], &key, "malformed PEM"),
        ("", &key, "no certificate found"),
        (&good, "", "no private key found"),
    ] {
        files.write(certificate_pem, key_pem);
        let error = handle.set_from_files(&files.0, &files.1).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert_eq!(presented(&connector).await, certificate(&first));
    }
    let missing = handle.set_from_files(file("none"), &files.1).unwrap_err().to_string();
    assert!(missing.starts_with("can't read "), "{missing}");
    assert_eq!(presented(&connector).await, certificate(&first));

    files.write(&good, &key);
    handle.set_from_files(&files.0, &files.1).unwrap();
    let second = Identity::from_pem(good.as_bytes(), key.as_bytes()).unwrap();
    assert_eq!(presented(&connector).await, certificate(&second));
}

#[tokio::test(start_paused = true)]
async fn new_connections_present_the_new_identity_of_a_client() {
    let authority = Authority::new("authority");
    let (first, second) = (authority.identity("first"), authority.identity("second"));
    let (listener, connector) = memory::pair();
    let (seen, mut certificates) = unbounded_channel();
    let tls = ServerTls::new(authority.identity(NAME)).require_client_certificates(authority.trusted());
    let builder = Server::builder().tls(tls).on_accept(move |connection: &mut ConnectionInfo| {
        let tls = connection.peer().tls.as_ref().expect("the connection has TLS");
        seen.send(tls.certificates[0].to_vec()).is_ok()
    });
    let _serving = ServerGuard(tokio::spawn(builder.serve(router(Guide::default()), listener)));

    let tls = ClientTls::new(authority.trusted()).server_name(NAME);
    let (tls, handle) = tls.reloadable_identity(first.clone());
    let connector = tls.connector(connector).unwrap();
    for identity in [&first, &first, &second] {
        handle.set(identity.clone());
        let client = client(connect(&connector).await);
        expect_served(&client).await;
        assert_eq!(soon(certificates.recv()).await.unwrap(), certificate(identity));
    }
}
