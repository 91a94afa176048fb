//! A server whose stderr is a pipe that nothing reads: it keeps serving, ends when asked to, and counts the lines that it could
//! not log.

#![cfg(unix)]

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use barewire::services::route_guide::messages::{Point, Rectangle};
use barewire::services::route_guide::{GET_FEATURE, LIST_FEATURES};
use barewire::transport::tcp;
use barewire::transport::tls::{Authorities, ClientTls};
use barewire::{Client, Status};
use rcgen::{CertificateParams, KeyPair};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStderr, Command};

const SERVER: &str = env!("CARGO_BIN_EXE_route_guide_server");
const PATIENCE: Duration = Duration::from_secs(60);
/// More than a pipe holds: 64 KiB are some thousand lines.
const HANDSHAKES: u64 = 4000;

async fn soon<F: Future>(what: &str, future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("timed out waiting for {what}"))
}

/// A server whose stderr is not read any more after its first line.
struct Server {
    child: Child,
    address: String,
    stderr: BufReader<ChildStderr>,
}

impl Server {
    async fn start(command: &mut Command) -> Server {
        command.args(["-host", "127.0.0.1", "-port", "0"]).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().expect("it starts");
        let stderr = BufReader::new(child.stderr.take().expect("a pipe"));
        let mut server = Server { child, address: String::new(), stderr };
        let line = server.line().await;
        server.address = line.strip_prefix("listening on ").unwrap_or_else(|| panic!("{line}")).to_owned();
        server
    }

    async fn line(&mut self) -> String {
        let mut line = String::new();
        soon("a line", self.stderr.read_line(&mut line)).await.expect("it can be read");
        line.trim_end().to_owned()
    }

    /// Ends the server while its stderr is still unread.
    async fn end(&mut self) {
        let pid = self.child.id().expect("it runs").to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().await.expect("kill runs").success());
        assert!(soon("the end", self.child.wait()).await.expect("it ends").success());
    }
}

async fn look_up(client: &Client) -> Result<(), Status> {
    let point = Point { latitude: 409_146_138, longitude: -746_188_906 };
    let feature = soon("an answer", client.unary(GET_FEATURE, point)).await?;
    assert!(feature.name.starts_with("Berkshire"));
    Ok(())
}

/// A file that is removed on drop.
struct File(PathBuf);

impl File {
    fn new(name: &str, text: &str) -> File {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-{name}", std::process::id()));
        std::fs::write(&path, text).expect("the target directory can be written");
        File(path)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Sends something other than TLS to a TLS port, until the server ends the connection.
async fn fail_a_handshake(address: &str) {
    let mut stream = soon("a connection", TcpStream::connect(address)).await.expect("it listens");
    stream.write_all(b"this is not TLS at all").await.expect("it is sent");
    // Ends with a reset if the server has not read all of it.
    let _: std::io::Result<usize> = soon("the end of the connection", stream.read_to_end(&mut Vec::new())).await;
}

#[tokio::test]
async fn unread_lines_about_failed_handshakes_do_not_stop_the_server() {
    let key = KeyPair::generate().expect("a key");
    let certificate = CertificateParams::new(["localhost".to_owned()]).expect("a name").self_signed(&key);
    let certificate = certificate.expect("a certificate").pem();
    let (certificate_file, key_file) =
        (File::new("unread.pem", &certificate), File::new("unread.key", &key.serialize_pem()));
    let mut command = Command::new(SERVER);
    command.arg("-tls").arg("-cert_file").arg(&certificate_file.0).arg("-key_file").arg(&key_file.0);
    let mut server = Server::start(&mut command).await;

    for _ in 0..HANDSHAKES {
        fail_a_handshake(&server.address).await;
    }
    let tls =
        ClientTls::new(Authorities::from_pem(certificate.as_bytes()).expect("it is one")).server_name("localhost");
    let connector = tls.connector(tcp::connect(&*server.address)).expect("a name");
    let client = soon("a connection", Client::connect(connector)).await.expect("it connects");
    look_up(&client).await.expect("an answer");

    // Each of them is logged, or counted as dropped.
    let (mut logged, mut dropped) = (0, 0);
    while logged + dropped < HANDSHAKES {
        let line = server.line().await;
        match line.strip_suffix(" lines dropped").or_else(|| line.strip_suffix(" line dropped")) {
            Some(count) => dropped += count.replace(',', "").parse::<u64>().expect("a number"),
            None => {
                assert!(line.ends_with("the client does not speak TLS"), "{line}");
                logged += 1;
            }
        }
    }
    assert_eq!(logged + dropped, HANDSHAKES);
    assert!(dropped > 0, "more lines than the limit allows");
}

#[tokio::test]
async fn unread_frames_do_not_stop_the_server() {
    for shown in ["text", "hex"] {
        let mut server = Server::start(Command::new(SERVER).env("BAREWIRE_WIRE", shown)).await;
        let client = soon("a connection", Client::connect(tcp::connect(&*server.address))).await.expect("it connects");
        let everywhere = Rectangle {
            lo: Some(Point { latitude: -900_000_000, longitude: -1_800_000_000 }),
            hi: Some(Point { latitude: 900_000_000, longitude: 1_800_000_000 }),
        };
        // Some 150 KiB of text each, so the queue of 4 MiB overflows.
        for _ in 0..50 {
            let mut features = soon("a call", client.server_streaming(LIST_FEATURES, everywhere)).await.expect("begun");
            while soon("a feature", features.recv()).await.expect("no error").is_some() {}
        }
        look_up(&client).await.expect("an answer");
        drop(client);
        server.end().await;
    }
}
