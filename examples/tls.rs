//! TLS: a server with a certificate, and a client that trusts the authority which has signed it.
//!
//! Without arguments the example makes its certificates itself. With arguments it reads them from PEM files: the server's
//! certificate, its private key, and the authority's certificate. The certificate must be for `localhost`.
//!
//! ```console
//! $ cargo run --example tls
//! over TLSv1_3 for localhost: Hello, world!
//! a client that trusts another authority gets:
//!   UNAVAILABLE: can't connect: TLS handshake failed: the server's certificate is not signed by an authority that this side trusts
//! $ cargo run --example tls -- server.pem server.key ca.pem
//! ```

use std::error::Error;
use std::fmt::Display;
use std::io::{Write, stdout};

use barewire::transport::tcp;
use barewire::transport::tls::{Authorities, ClientTls, Identity, ServerTls};
use barewire::{Client, Method, Request, Router, Server, Status, Unary};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

#[derive(Clone, PartialEq, prost::Message)]
struct Text {
    #[prost(string, tag = "1")]
    text: String,
}

const GREET: Method<Text, Text, Unary> = Method::new("/hello.Greeter/Greet");

/// Answers with the version of TLS and the server name that the client has asked for.
async fn greet(_: &(), request: Request<Text>) -> Result<Text, Status> {
    let tls = request.peer().tls.as_ref().ok_or_else(|| Status::permission_denied("use TLS"))?;
    let server_name = tls.server_name.as_deref().unwrap_or("no name");
    Ok(Text { text: format!("over {} for {server_name}: Hello, {}!", tls.version, request.text) })
}

/// Makes a certificate for `localhost`, and the authority that signs it.
fn certificates() -> Result<(Identity, Authorities), Box<dyn Error>> {
    let mut authority = CertificateParams::new([])?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;
    let key = KeyPair::generate()?;
    let certificate = CertificateParams::new(["localhost".to_owned()])?.signed_by(&key, &authority)?;
    let identity = Identity::from_pem(certificate.pem().as_bytes(), key.serialize_pem().as_bytes())?;
    Ok((identity, Authorities::from_pem(authority.pem().as_bytes())?))
}

/// Starts a server with this identity, and calls it.
pub async fn run(identity: Identity, authorities: Authorities, out: &mut impl Write) -> Result<(), Box<dyn Error>> {
    let listener = tcp::listen("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    let listener = ServerTls::new(identity).listener(listener)?;
    tokio::spawn(Server::new(Router::new(()).unary(GREET, greet)).serve(listener));

    // The address is a number; the certificate is for a name.
    let tls = ClientTls::new(authorities).server_name("localhost");
    let client = Client::connect(tls.connector(tcp::connect(&address))?).await?;
    let greeting = client.unary(GREET, Text { text: "world".into() }).await?;
    writeln!(out, "{}", greeting.text)?;

    let (_, others) = certificates()?;
    let tls = ClientTls::new(others).server_name("localhost");
    if let Err(status) = Client::connect(tls.connector(tcp::connect(&address))?).await {
        writeln!(out, "a client that trusts another authority gets:\n  {status}")?;
    }
    Ok(())
}

/// Runs the example with certificates of its own.
pub async fn run_alone(out: &mut impl Write) -> Result<(), Box<dyn Error>> {
    let (identity, authorities) = certificates()?;
    run(identity, authorities, out).await
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let files: Vec<String> = std::env::args().skip(1).collect();
    let (certificate, key, authority) = match &files[..] {
        [] => return run_alone(&mut stdout()).await,
        [certificate, key, authority] => (certificate, key, authority),
        _ => refuse("expected three files: the server's certificate, its key, and the authority's certificate"),
    };
    let identity = Identity::from_files(certificate, key).unwrap_or_else(|error| refuse(error));
    let authorities = Authorities::from_file(authority).unwrap_or_else(|error| refuse(error));
    run(identity, authorities, &mut stdout()).await
}

fn refuse(mistake: impl Display) -> ! {
    eprintln!("error: {mistake}");
    std::process::exit(2);
}
