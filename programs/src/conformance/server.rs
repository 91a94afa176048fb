//! A server with the settings that the runner asks for: TLS, client certificates, a limit for messages.

use std::future::Future;
use std::io;

use super::messages::{ServerCompatRequest, ServerCompatResponse, TlsCreds};
use super::service::{Conformance, router};
use barewire::compression;
use barewire::server::{Server, ServerOptions};
use barewire::transport::tap::Tap;
use barewire::transport::tcp::{self, TcpListener};
use barewire::transport::tls::{Authorities, Identity, ServerTls};

/// A server that listens on a free port of 127.0.0.1.
#[derive(Debug)]
pub struct BoundServer {
    listener: TcpListener,
    tls: Option<ServerTls>,
    options: ServerOptions,
    tap: Tap,
    response: ServerCompatResponse,
}

impl BoundServer {
    /// Listens with the settings of the request.
    ///
    /// # Errors
    ///
    /// Fails if it can't listen; [`io::ErrorKind::InvalidInput`] for unusable certificates.
    pub async fn begin(request: &ServerCompatRequest) -> io::Result<BoundServer> {
        let listener = tcp::listen("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let credentials = request.server_creds.clone().unwrap_or_default();
        let tls = if request.use_tls { Some(tls(&credentials, &request.client_tls_cert)?) } else { None };
        let pem_cert = if request.use_tls { credentials.cert } else { Vec::new() };
        let response = ServerCompatResponse { host: address.ip().to_string(), port: address.port().into(), pem_cert };
        let mut options = ServerOptions::default();
        options.compressors = compression::all();
        if request.message_receive_limit > 0 {
            options.limits.max_receive_message_size = size(request.message_receive_limit);
        }
        Ok(BoundServer { listener, tls, options, tap: Tap::none(), response })
    }

    /// Sets a tap that observes the connections.
    #[must_use]
    pub fn tap(self, tap: Tap) -> BoundServer {
        BoundServer { tap, ..self }
    }

    /// Returns the response for the runner, with the server's address.
    pub fn response(&self) -> &ServerCompatResponse {
        &self.response
    }

    /// Serves until `shutdown` completes.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::InvalidInput`] for unusable certificate authorities.
    pub async fn serve_until(self, shutdown: impl Future<Output = ()>) -> io::Result<()> {
        let server = Server::new(router(Conformance)).with_options(self.options);
        match self.tls {
            None => server.serve_until(self.tap.around(self.listener), shutdown).await,
            Some(tls) => {
                let listener: Result<_, _> = tls.listener(self.listener);
                server.serve_until(self.tap.around(listener.map_err(unusable)?), shutdown).await
            }
        }
    }
}

fn tls(credentials: &TlsCreds, client_certificate: &[u8]) -> io::Result<ServerTls> {
    let tls = ServerTls::new(Identity::from_pem(&credentials.cert, &credentials.key).map_err(unusable)?);
    if client_certificate.is_empty() {
        return Ok(tls);
    }
    Ok(tls.require_client_certificates(Authorities::from_pem(client_certificate).map_err(unusable)?))
}

fn unusable(error: barewire::transport::tls::TlsError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, error.to_string())
}

pub(super) fn size(limit: u32) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}
