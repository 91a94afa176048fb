//! Runs programs: servers that are stopped on drop, clients that run to their end, and the files they need.

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

/// Time limit for a server to start listening.
const START: Duration = Duration::from_secs(30);

/// A server that is stopped on drop.
pub struct Server {
    port: u16,
    _child: Child,
}

impl Server {
    /// Starts this project's server, which picks a port and prints it.
    pub async fn ours(program: &Path, flags: &[String]) -> Server {
        let mut child = start(program, 0, flags);
        let mut lines = BufReader::new(child.stderr.take().expect("stderr is piped")).lines();
        let line = timeout(START, lines.next_line()).await.expect("the server listens in time");
        let line = line.expect("stderr can be read").expect("the server says where it listens");
        let port = line.rsplit(':').next().and_then(|port| port.parse().ok());
        let port = port.unwrap_or_else(|| panic!("no port in {line:?}"));
        // Reads the rest of its output, so that the pipe does not fill up.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Server { port, _child: child }
    }

    /// Starts grpc-go's server, which needs a port: takes one that was free a moment ago, and another if it is taken by now.
    pub async fn go(program: &Path, flags: &[String]) -> Server {
        for _ in 0..10 {
            let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port").port();
            let mut child = start(program, port, flags);
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

    pub fn port(&self) -> u16 {
        self.port
    }
}

fn start(program: &Path, port: u16, flags: &[String]) -> Child {
    let mut command = Command::new(program);
    command.args(["-port", &port.to_string()]).args(flags);
    command.stderr(Stdio::piped()).stdin(Stdio::null()).kill_on_drop(true);
    command.spawn().unwrap_or_else(|error| panic!("{}: {error}", program.display()))
}

/// Runs a program to its end, which must succeed, and returns its output.
pub async fn run(program: &Path, flags: &[String], patience: Duration) -> String {
    outcome(program, flags, patience).await.unwrap_or_else(|failure| panic!("{failure}"))
}

/// Runs a program to its end, and returns its output; an error includes the command line.
pub async fn outcome(program: &Path, flags: &[String], patience: Duration) -> Result<String, String> {
    let mut command = Command::new(program);
    command.args(flags).stdin(Stdio::null()).kill_on_drop(true);
    let called = format!("{} {}", program.display(), flags.join(" "));
    let output = timeout(patience, command.output()).await.map_err(|_| format!("{called}: no end in {patience:?}"))?;
    let output = output.map_err(|error| format!("{called}: {error}"))?;
    let printed = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    if output.status.success() { Ok(printed) } else { Err(format!("{called}: {}\n{printed}", output.status)) }
}

/// Converts the words of a command line.
pub fn words<const N: usize>(words: [&str; N]) -> Vec<String> {
    words.map(str::to_owned).to_vec()
}

/// A file that is removed on drop.
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

/// The server name that route guide clients expect.
const NAME: &str = "x.test.example.com";

/// A certificate authority created for the test, and a server's certificate.
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
        let names = vec![NAME.to_owned()];
        let server =
            CertificateParams::new(names).and_then(|params| params.signed_by(&key, &authority)).expect("signed");
        Certificates {
            ca: file("ca.pem", &authority.pem()),
            certificate: file("server.pem", &server.pem()),
            key: file("server.key", &key.serialize_pem()),
        }
    }

    /// Returns the file of the authority's certificate.
    pub fn authority(&self) -> String {
        self.ca.path()
    }

    /// Returns the flags of a route guide server.
    pub fn route_guide_server(&self) -> Vec<String> {
        words(["-tls", "-cert_file", &self.certificate.path(), "-key_file", &self.key.path()])
    }

    /// Returns the flags of a route guide client, which expects the certificate's name by default.
    pub fn route_guide_client(&self) -> Vec<String> {
        words(["-tls", "-ca_file", &self.ca.path()])
    }

    /// Returns the flags of an interop server.
    pub fn interop_server(&self) -> Vec<String> {
        words(["-use_tls", "-tls_cert_file", &self.certificate.path(), "-tls_key_file", &self.key.path()])
    }

    /// Returns the flags of an interop client.
    pub fn interop_client(&self) -> Vec<String> {
        words(["-use_tls", "-use_test_ca", "-ca_file", &self.ca.path(), "-server_host_override", NAME])
    }
}
