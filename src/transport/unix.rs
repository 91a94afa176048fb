//! Unix sockets: the peer is on the same machine, and file permissions control who may connect.

use std::future::{Ready, ready};
use std::io;
use std::path::{Path, PathBuf};

use tokio::net::UnixStream;

use crate::io::{Address, ByteStream, Connector, Listener, Peer};

/// Listens on a new socket at `path`, which is removed when the listener is dropped.
///
/// Must be called within a tokio runtime.
///
/// ```no_run
/// # async fn example(router: barewire::server::Routes) -> std::io::Result<()> {
/// let listener = barewire::transport::unix::listen("/run/words.sock")?;
/// barewire::Server::new(router).serve(listener).await
/// # }
/// ```
///
/// # Errors
///
/// Errors of creating the socket, with the path in the text. An existing file is an error even if nothing listens on it any
/// more, because it may belong to another program.
pub fn listen(path: impl AsRef<Path>) -> io::Result<UnixListener> {
    let path = path.as_ref();
    let can_not = |error: io::Error| {
        let remedy = match error.kind() {
            io::ErrorKind::AddrInUse => ": the file exists already; remove it if no server uses it",
            _ => "",
        };
        io::Error::new(error.kind(), format!("can't listen on {}: {error}{remedy}", path.display()))
    };
    let socket = tokio::net::UnixListener::bind(path).map_err(can_not)?;
    Ok(UnixListener { socket, path: path.to_owned() })
}

/// Connects to the server whose socket is at `path`. The `:authority` of its calls is `localhost`.
///
/// ```no_run
/// # async fn example() -> Result<(), barewire::Status> {
/// let client = barewire::Client::connect(barewire::transport::unix::connect("/run/words.sock")).await?;
/// # Ok(())
/// # }
/// ```
pub fn connect(path: impl Into<PathBuf>) -> UnixConnector {
    UnixConnector { path: path.into() }
}

/// A listening Unix socket.
///
/// [`listen`] has an example.
#[derive(Debug)]
pub struct UnixListener {
    socket: tokio::net::UnixListener,
    path: PathBuf,
}

impl UnixListener {
    /// Returns the path of the socket.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for UnixListener {
    fn drop(&mut self) {
        // It does not matter if the file was removed already.
        let _: io::Result<()> = std::fs::remove_file(&self.path);
    }
}

impl Listener for UnixListener {
    type Handshake = Ready<io::Result<ByteStream>>;

    async fn accept(&mut self) -> io::Result<Self::Handshake> {
        let (stream, address) = self.socket.accept().await?;
        let address = Address::Unix(address.as_pathname().map(Path::to_owned));
        Ok(ready(Ok(ByteStream::new(stream, Peer::plain(address)))))
    }
}

/// A connector to a server over a Unix socket.
///
/// [`connect`] has an example.
#[derive(Clone, Debug)]
pub struct UnixConnector {
    path: PathBuf,
}

impl Connector for UnixConnector {
    async fn connect(&self) -> io::Result<ByteStream> {
        let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", self.path.display()));
        let stream = UnixStream::connect(&self.path).await.map_err(named)?;
        Ok(ByteStream::new(stream, Peer::plain(Address::Unix(Some(self.path.clone())))))
    }

    /// Returns `localhost`, as the libraries of the gRPC project do: a path is not a valid authority.
    fn authority(&self) -> &str {
        "localhost"
    }

    fn scheme(&self) -> &'static str {
        "http"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn socket_file_is_removed_with_its_listener() {
        let path = std::env::temp_dir().join(format!("barewire-unix-{}.sock", std::process::id()));
        let mut listener = listen(&path).unwrap();
        assert_eq!(listener.path(), path);
        let again = listen(&path).unwrap_err().to_string();
        assert!(again.contains(&*path.to_string_lossy()) && again.contains("already"), "{again}");
        let connector = connect(&path);
        let (near, far) = tokio::join!(connector.connect(), async { listener.accept().await.unwrap().await });
        assert_eq!(near.unwrap().peer.address, Address::Unix(Some(path.clone())));
        assert_eq!(far.unwrap().peer.address, Address::Unix(None));
        drop(listener);
        assert!(!path.exists());
        let error = connector.connect().await.unwrap_err();
        assert!(error.to_string().starts_with(&*path.to_string_lossy()), "{error}");
    }
}
