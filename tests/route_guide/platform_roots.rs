//! Tests the trust in the authorities of the operating system. They are read from the file that `SSL_CERT_FILE` names, which a
//! process of its own gets.

use std::process::Command;

use barewire::services::route_guide::{Guide, router};
use barewire::transport::tcp;
use barewire::transport::tls::ServerTls;
use barewire::{Client, Server, Status};

use super::certificates::Authority;
use super::tls::expect_served;
use super::{ServerGuard, soon};

/// Gives the inner process the URL of the server.
const URL: &str = "BAREWIRE_TEST_URL";

#[tokio::test(flavor = "multi_thread")]
async fn authorities_of_the_system_are_trusted() {
    if let Ok(url) = std::env::var(URL) {
        return println!("inner: {:?}", connect(&url).await.map_err(|status| status.to_string()));
    }
    let authority = Authority::new("authority");
    let listener = tcp::listen("localhost:0").await.unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let tls = ServerTls::new(authority.identity("localhost"));
    let _serving = ServerGuard(tokio::spawn(Server::builder().tls(tls).serve(router(Guide::default()), listener)));
    for (name, roots, expected) in [
        ("trusted", authority.certificate_pem(), "inner: Ok(())"),
        ("other", Authority::new("other").certificate_pem(), "not signed by an authority that this side trusts"),
        ("none", String::new(), "install them (ca-certificates on Linux), or use ClientTls::new(authorities)"),
    ] {
        let path = std::env::temp_dir().join(format!("barewire-roots-{}-{name}.pem", std::process::id()));
        std::fs::write(&path, roots).unwrap();
        let mut inner = Command::new(std::env::current_exe().unwrap());
        inner.args(["--exact", "platform_roots::authorities_of_the_system_are_trusted", "--nocapture"]);
        inner.env("SSL_CERT_FILE", &path).env_remove("SSL_CERT_DIR").env(URL, &url);
        let output = tokio::task::spawn_blocking(move || inner.output()).await.unwrap().unwrap();
        std::fs::remove_file(path).unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains(expected), "{name}: {text}");
    }
}

async fn connect(url: &str) -> Result<(), Status> {
    expect_served(&soon(Client::builder().connect(url)).await?).await;
    Ok(())
}
