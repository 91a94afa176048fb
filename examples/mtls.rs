//! Mutual TLS: clients have certificates too, and the server knows its callers by them.
//!
//! The server's `on_accept` looks up the name that belongs to a client's certificate and attaches it to the connection. Handlers
//! read it from there, so they do not handle certificates. A client without a certificate fails in the handshake; `on_accept`
//! refuses one with a certificate that the server does not know.
//!
//! ```console
//! $ cargo run --example mtls
//! ann gets: Hello, ann!
//! a certificate that the server does not know gets UNAVAILABLE
//! no certificate gets UNAVAILABLE
//! ```

use std::collections::HashMap;
use std::error::Error;
use std::io::{Write, stdout};
use std::time::Duration;

use barewire::transport::tcp;
use barewire::transport::tls::{Authorities, ClientTls, Identity, ServerTls};
use barewire::{CallOptions, Client, Method, Request, Router, Server, Status, Unary};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

#[derive(Clone, PartialEq, prost::Message)]
struct Text {
    #[prost(string, tag = "1")]
    text: String,
}

const GREET: Method<(), Text, Unary> = Method::new("/hello.Greeter/Greet");

/// The name of the client at the other end of a connection.
#[derive(Clone)]
struct Caller(&'static str);

async fn greet(_: &(), request: Request<()>) -> Result<Text, Status> {
    let caller = request.context().connection().extensions().get::<Caller>();
    let Caller(name) = caller.ok_or_else(|| Status::unauthenticated("the caller is not known"))?;
    Ok(Text { text: format!("Hello, {name}!") })
}

/// An authority that signs the certificates of servers and clients.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Result<Authority, Box<dyn Error>> {
        let mut authority = CertificateParams::new([])?;
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Ok(Authority(CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?))
    }

    /// Makes a certificate for a name. Returns it with its key, and in DER.
    fn sign(&self, name: &str) -> Result<(Identity, Vec<u8>), Box<dyn Error>> {
        let key = KeyPair::generate()?;
        let certificate = CertificateParams::new([name.to_owned()])?.signed_by(&key, &self.0)?;
        let identity = Identity::from_pem(certificate.pem().as_bytes(), key.serialize_pem().as_bytes())?;
        Ok((identity, certificate.der().to_vec()))
    }

    fn trusted(&self) -> Result<Authorities, Box<dyn Error>> {
        Ok(Authorities::from_pem(self.0.pem().as_bytes())?)
    }
}

/// Starts the server, calls it as three clients, and writes what each of them gets.
pub async fn run(out: &mut impl Write) -> Result<(), Box<dyn Error>> {
    let authority = Authority::new()?;
    let (server, _) = authority.sign("localhost")?;
    let (ann, ann_der) = authority.sign("ann")?;
    let (unknown, _) = authority.sign("eve")?;

    let known = HashMap::from([(ann_der, Caller("ann"))]);
    let listener = tcp::listen("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    let tls = ServerTls::new(server).require_client_certificates(authority.trusted()?);
    let server = Server::new(Router::new(()).unary(GREET, greet)).on_accept(move |connection| {
        let certificates = connection.peer().tls.as_ref().map(|tls| &tls.certificates[..]).unwrap_or_default();
        let caller = certificates.first().and_then(|own| known.get(&own[..]));
        if let Some(caller) = caller {
            connection.extensions_mut().insert(caller.clone());
        }
        caller.is_some()
    });
    tokio::spawn(server.serve(tls.listener(listener)?));

    let trusting = ClientTls::new(authority.trusted()?).server_name("localhost");
    let greeting = call(&trusting.clone().identity(ann), &address).await??;
    writeln!(out, "ann gets: {greeting}")?;
    for (who, tls) in [
        ("a certificate that the server does not know", trusting.clone().identity(unknown)),
        ("no certificate", trusting),
    ] {
        if let Err(status) = call(&tls, &address).await? {
            writeln!(out, "{who} gets {}", status.code())?;
        }
    }
    Ok(())
}

/// Connects with this identity, and calls the server.
async fn call(tls: &ClientTls, address: &str) -> Result<Result<String, Status>, Box<dyn Error>> {
    let connector = tls.connector(tcp::connect(address))?;
    Ok(async {
        let client = Client::connect(connector).await?.with(CallOptions::new().timeout(Duration::from_secs(10)));
        Ok(client.unary(GREET, ()).await?.into_message().text)
    }
    .await)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    run(&mut stdout()).await
}
