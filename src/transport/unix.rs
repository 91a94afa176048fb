//! Unix sockets: the peer is on the same machine, and file permissions control who may connect.
//!
//! On Linux, a name that begins with `@` is a name in the abstract namespace: it has no file, it is free again when its socket is
//! closed, and any user of the machine may connect. gRPC calls it `unix-abstract:name` (naming.md). Write `./@name` for a file
//! whose name begins with `@`.

use std::future::{Ready, ready};
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use tokio::net::UnixStream;
use tokio::net::unix::SocketAddr;

use crate::io::{Address, ByteStream, Connector, Listener, Peer};

/// Listens on a new socket at `path`, whose file is removed when the listener is dropped. On Linux, `@name` is an abstract name.
///
/// Must be called within a tokio runtime.
///
/// ```no_run
/// # async fn example(router: barewire::server::Routes) -> Result<(), Box<dyn std::error::Error>> {
/// use barewire::{Client, Server, transport::unix};
///
/// Server::builder().serve(router, unix::listen("@words")?).await?;
///
/// let client = Client::builder().connect("unix-abstract:words").await?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// Errors of creating the socket, with the path in the text. An existing file is an error even if nothing listens on it any
/// more, because it may belong to another program. `Unsupported` for `@name` on another system than Linux.
pub fn listen(path: impl AsRef<Path>) -> io::Result<UnixListener> {
    let path = path.as_ref();
    let is_abstract = is_abstract(path);
    let can_not = |error: io::Error| {
        let remedy = match error.kind() {
            io::ErrorKind::AddrInUse if is_abstract => ": another socket has this name",
            io::ErrorKind::AddrInUse => ": the file exists already; remove it if no server uses it",
            _ => "",
        };
        io::Error::new(error.kind(), format!("can't listen on {}: {error}{remedy}", path.display()))
    };
    let socket = system_path(path).and_then(tokio::net::UnixListener::bind).map_err(can_not)?;
    Ok(UnixListener { socket, path: path.to_owned(), removes_file: !is_abstract })
}

/// Connects to the server whose socket is at `path`; on Linux, `@name` is an abstract name. The `:authority` of its calls is
/// `localhost`.
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

fn is_abstract(path: &Path) -> bool {
    path.as_os_str().as_encoded_bytes().starts_with(b"@")
}

/// Returns the path in the form of the system calls: an abstract name begins with NUL.
fn system_path(path: &Path) -> io::Result<PathBuf> {
    if !is_abstract(path) {
        return Ok(path.to_owned());
    }
    if !cfg!(any(target_os = "linux", target_os = "android")) {
        let text = "only Linux has abstract names: use a path, ./@name for a file";
        return Err(io::Error::new(io::ErrorKind::Unsupported, text));
    }
    match path.as_os_str().as_encoded_bytes() {
        b"@" => Err(io::Error::new(io::ErrorKind::InvalidInput, "empty abstract name: use @name")),
        bytes => Ok(PathBuf::from(os_string([b"\0", &bytes[1..]].concat()))),
    }
}

fn os_string(bytes: Vec<u8>) -> std::ffi::OsString {
    std::os::unix::ffi::OsStringExt::from_vec(bytes)
}

/// A listening Unix socket: from a socket that exists already, or from [`listen`], which has an example.
#[derive(Debug)]
pub struct UnixListener {
    socket: tokio::net::UnixListener,
    path: PathBuf,
    removes_file: bool,
}

impl UnixListener {
    /// Returns the path of the socket, or `@` and its abstract name. Empty for an existing socket without either.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for UnixListener {
    fn drop(&mut self) {
        if self.removes_file {
            // It does not matter if the file was removed already.
            let _: io::Result<()> = std::fs::remove_file(&self.path);
        }
    }
}

/// Takes over a socket that was bound elsewhere, for example by the service manager. Its file is not removed.
///
/// ```no_run
/// # async fn example(router: barewire::server::Routes) -> std::io::Result<()> {
/// use barewire::Server;
/// use barewire::transport::unix::UnixListener;
///
/// let socket = tokio::net::UnixListener::bind("/run/words.sock")?;
/// Server::builder().serve(router, UnixListener::from(socket)).await
/// # }
/// ```
impl From<tokio::net::UnixListener> for UnixListener {
    fn from(socket: tokio::net::UnixListener) -> UnixListener {
        let path = match socket.local_addr().map(|address| address_of(&address)) {
            Ok(Address::Unix(Some(path))) => path,
            Ok(Address::UnixAbstract(name)) => PathBuf::from(os_string([b"@", &*name].concat())),
            _ => PathBuf::new(),
        };
        UnixListener { socket, path, removes_file: false }
    }
}

/// Takes over a listening socket of the standard library, and makes it non-blocking. Its file is not removed. Must be called
/// within a tokio runtime.
///
/// # Errors
///
/// Those of the system for making it non-blocking and for registering it with the runtime.
impl TryFrom<std::os::unix::net::UnixListener> for UnixListener {
    type Error = io::Error;

    fn try_from(socket: std::os::unix::net::UnixListener) -> io::Result<UnixListener> {
        socket.set_nonblocking(true)?;
        Ok(tokio::net::UnixListener::from_std(socket)?.into())
    }
}

impl Listener for UnixListener {
    type Handshake = Ready<io::Result<ByteStream>>;

    async fn accept(&mut self) -> io::Result<Self::Handshake> {
        let (stream, address) = self.socket.accept().await?;
        Ok(ready(Ok(ByteStream::new(stream, Peer::plain(address_of(&address))))))
    }
}

fn address_of(address: &SocketAddr) -> Address {
    match abstract_name(address) {
        Some(name) => Address::UnixAbstract(Bytes::copy_from_slice(name)),
        None => Address::Unix(address.as_pathname().map(Path::to_owned)),
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn abstract_name(address: &SocketAddr) -> Option<&[u8]> {
    address.as_abstract_name()
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn abstract_name(_: &SocketAddr) -> Option<&[u8]> {
    None
}

/// A connector to a server over a Unix socket.
///
/// [`connect`] has an example.
#[derive(Clone, Debug)]
#[must_use = "a connector connects only when a client uses it"]
pub struct UnixConnector {
    path: PathBuf,
}

impl Connector for UnixConnector {
    async fn connect(&self) -> io::Result<ByteStream> {
        let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", self.path.display()));
        let path = system_path(&self.path).map_err(named)?;
        let stream = UnixStream::connect(path).await.map_err(named)?;
        let address = match self.path.as_os_str().as_encoded_bytes() {
            [b'@', name @ ..] => Address::UnixAbstract(Bytes::copy_from_slice(name)),
            _ => Address::Unix(Some(self.path.clone())),
        };
        Ok(ByteStream::new(stream, Peer::plain(address)))
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

    fn file(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("barewire-unix-{name}-{}.sock", std::process::id()))
    }

    #[tokio::test]
    async fn socket_file_is_removed_with_its_listener() {
        let path = file("removed");
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

    #[tokio::test]
    async fn existing_sockets_are_listened_on_and_their_files_stay() {
        let (one, other) = (file("blocking"), file("asynchronous"));
        let blocking = std::os::unix::net::UnixListener::bind(&one).unwrap();
        let asynchronous = tokio::net::UnixListener::bind(&other).unwrap();
        let listeners = [UnixListener::try_from(blocking).unwrap(), UnixListener::from(asynchronous)];
        for (mut listener, path) in listeners.into_iter().zip([one, other]) {
            assert_eq!(listener.path(), path);
            let connector = connect(&path);
            // A socket that still blocks would stop the only thread before anything connects.
            let (far, near) = tokio::join!(async { listener.accept().await.unwrap().await }, connector.connect());
            assert!(near.is_ok() && far.is_ok());
            drop(listener);
            assert!(path.exists());
            std::fs::remove_file(path).unwrap();
        }
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn abstract_name_has_no_file_and_is_free_when_its_listener_is_dropped() {
        let name = format!("@barewire-unix-{}", std::process::id());
        let mut listener = listen(&name).unwrap();
        assert_eq!(listener.path(), Path::new(&name));
        assert!(!Path::new(&name).exists());
        let again = listen(&name).unwrap_err().to_string();
        assert!(again.starts_with(&format!("can't listen on {name}: ")) && again.contains("this name"), "{again}");
        let connector = connect(&name);
        let (near, far) = tokio::join!(connector.connect(), async { listener.accept().await.unwrap().await });
        assert_eq!(near.unwrap().peer.address.to_string(), format!("unix-abstract:{}", &name[1..]));
        assert_eq!(far.unwrap().peer.address, Address::Unix(None));
        drop(listener);
        let error = connector.connect().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused, "{error}");
        assert!(error.to_string().starts_with(&name), "{error}");

        let socket = tokio::net::UnixListener::bind(format!("\0{}", &name[1..])).unwrap();
        assert_eq!(UnixListener::from(socket).path(), Path::new(&name));
        assert!(listen("@").unwrap_err().to_string().contains("empty abstract name"));
    }
}
