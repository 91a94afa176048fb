//! Programs that run: servers that listen until they are dropped, clients that run to their end, files they need.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// How long a server may take to listen.
const START: Duration = Duration::from_secs(30);

/// A server that is stopped when it is dropped.
pub struct Server {
    port: u16,
    _child: Child,
}

impl Server {
    /// This project's, which chooses a port and says which.
    pub async fn ours(program: &Path, tls: Option<&Certificates>) -> Server {
        let mut child = start(program, &["-port".to_owned(), "0".to_owned()], tls);
        let mut lines = BufReader::new(child.stderr.take().expect("stderr is piped")).lines();
        let line = timeout(START, lines.next_line()).await.expect("the server listens in time");
        let line = line.expect("stderr can be read").expect("the server says where it listens");
        let port = line.rsplit(':').next().and_then(|port| port.parse().ok());
        let port = port.unwrap_or_else(|| panic!("no port in {line:?}"));
        // What it prints later must go somewhere.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Server { port, _child: child }
    }

    /// grpc-go's, which must be told a port: one that was free a moment ago, and another if it is not any more.
    pub async fn go(program: &Path, tls: Option<&Certificates>, more: &[String]) -> Server {
        for _ in 0..10 {
            let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port").port();
            let mut arguments = vec!["-port".to_owned(), port.to_string()];
            arguments.extend_from_slice(more);
            let mut child = start(program, &arguments, tls);
            let listens = async {
                while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
                    tokio::task::yield_now().await;
                }
            };
            tokio::select! {
                listens = timeout(START, listens) => {
                    listens.expect("the server listens in time");
                    return Server { port, _child: child };
                }
                _ = child.wait() => {}
            }
        }
        panic!("{} finds no free port", program.display())
    }

    pub fn address(&self) -> String {
        format!("localhost:{}", self.port)
    }
}

fn start(program: &Path, arguments: &[String], tls: Option<&Certificates>) -> Child {
    let mut command = Command::new(program);
    command.args(arguments).stderr(Stdio::piped()).stdin(Stdio::null()).kill_on_drop(true);
    if let Some(certificates) = tls {
        command.args(["-tls", "-cert_file", &certificates.certificate(), "-key_file", &certificates.key()]);
    }
    command.spawn().unwrap_or_else(|error| panic!("{}: {error}", program.display()))
}

/// Runs a program to its end, which has to be a success, and gives all it printed.
pub async fn run(program: &Path, arguments: &[String], patience: Duration) -> String {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    let output = timeout(patience, command.output()).await;
    let output = output.unwrap_or_else(|_| panic!("{} did not end in {patience:?}", program.display()));
    let output = output.unwrap_or_else(|error| panic!("{}: {error}", program.display()));
    let printed = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{} {arguments:?}: {}\n{printed}", program.display(), output.status);
    printed
}

/// A file that is removed when it is dropped.
pub struct File(PathBuf);

impl File {
    pub fn path(&self) -> String {
        self.0.to_str().expect("the target directory has a name in UTF-8").to_owned()
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

pub fn file(name: &str, text: &str) -> File {
    static FILES: AtomicUsize = AtomicUsize::new(0);
    let unique = format!("{}-{}-{name}", std::process::id(), FILES.fetch_add(1, Ordering::Relaxed));
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(unique);
    std::fs::write(&path, text).expect("the target directory can be written");
    File(path)
}

/// A certificate authority made for the test, and a server's certificate for the name that both clients expect.
pub struct Certificates {
    ca: File,
    certificate: File,
    key: File,
}

impl Certificates {
    pub fn new() -> Certificates {
        let mut authority = CertificateParams::new(Vec::new()).expect("no names");
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().expect("a key")).expect("a CA");
        let key = KeyPair::generate().expect("a key");
        let names = vec!["x.test.example.com".to_owned()];
        let server =
            CertificateParams::new(names).and_then(|params| params.signed_by(&key, &authority)).expect("signed");
        Certificates {
            ca: file("ca.pem", &authority.pem()),
            certificate: file("server.pem", &server.pem()),
            key: file("server.key", &key.serialize_pem()),
        }
    }

    pub fn ca(&self) -> String {
        self.ca.path()
    }

    pub fn certificate(&self) -> String {
        self.certificate.path()
    }

    pub fn key(&self) -> String {
        self.key.path()
    }
}
