//! The programs as users see them: their output, and how they end.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStderr, Command};
use tokio::runtime::Runtime;

const SERVER: &str = env!("CARGO_BIN_EXE_route_guide_server");
const CLIENT: &str = env!("CARGO_BIN_EXE_route_guide_client");

/// Time limit for a program that should end at once.
const PATIENCE: Duration = Duration::from_secs(60);

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn soon<F: Future>(runtime: &Runtime, future: F) -> F::Output {
    runtime.block_on(async { tokio::time::timeout(PATIENCE, future).await }).expect("it ends in time")
}

/// Runs a program to its end.
fn run(program: &str, flags: &[&str]) -> Output {
    let mut command = Command::new(program);
    command.args(flags).stdin(Stdio::null()).kill_on_drop(true);
    soon(&runtime(), async { command.output().await }).unwrap()
}

/// Returns the only line on stderr of a program that ends with this exit status.
#[track_caller]
fn complaint(program: &str, flags: &[&str], exit_status: i32) -> String {
    let output = run(program, flags);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(exit_status), "{stderr}");
    assert!(output.stdout.is_empty(), "nothing on stdout");
    assert!(stderr.ends_with('\n') && stderr.lines().count() == 1, "not one line: {stderr}");
    stderr.trim_end().to_owned()
}

/// Returns a program's error about a mistake of the user.
#[track_caller]
fn usage(program: &str, flags: &[&str]) -> String {
    complaint(program, flags, 2)
}

#[track_caller]
fn expect(complaint: String, parts: &[&str]) {
    for part in parts {
        assert!(complaint.contains(part), "{part:?} is missing in: {complaint}");
    }
}

/// A file that is removed on drop.
struct File(PathBuf);

impl File {
    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn file(name: &str, text: &str) -> File {
    static FILES: AtomicUsize = AtomicUsize::new(0);
    let unique = format!("{}-{}-{name}", std::process::id(), FILES.fetch_add(1, Ordering::Relaxed));
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(unique);
    std::fs::write(&path, text).unwrap();
    File(path)
}

/// Creates a certificate for a name, and its key.
fn certificate(name: &str) -> (File, File) {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new([name.to_owned()]).unwrap().self_signed(&key).unwrap();
    (file("certificate.pem", &certificate.pem()), file("key.pem", &key.serialize_pem()))
}

/// Creates the certificate of an authority for a name, and its key, as plain `openssl req -x509` does.
fn authority(name: &str) -> (File, File) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new([name.to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    (file("authority.pem", &params.self_signed(&key).unwrap().pem()), file("authority.key", &key.serialize_pem()))
}

/// A running server, which is stopped on drop.
struct Server {
    runtime: Runtime,
    child: Child,
    stderr: BufReader<ChildStderr>,
    address: String,
}

impl Server {
    fn start(flags: &[&str]) -> Server {
        let runtime = runtime();
        let (child, stderr) = runtime.block_on(async {
            let mut command = Command::new(SERVER);
            command.args(["-port", "0"]).args(flags).stderr(Stdio::piped()).kill_on_drop(true);
            let mut child = command.spawn().unwrap();
            let stderr = BufReader::new(child.stderr.take().unwrap());
            (child, stderr)
        });
        let mut server = Server { runtime, child, stderr, address: String::new() };
        let line = server.line();
        server.address = line.strip_prefix("listening on ").unwrap_or_else(|| panic!("{line}")).to_owned();
        server
    }

    /// Returns the next line of stderr; empty at the end.
    fn line(&mut self) -> String {
        let mut line = String::new();
        soon(&self.runtime, self.stderr.read_line(&mut line)).unwrap();
        line.trim_end().to_owned()
    }
}

/// Returns the output of a client, without the time of day at the beginning of each line.
fn lines(output: &Output) -> Vec<String> {
    let stderr = String::from_utf8(output.stderr.clone()).unwrap();
    stderr
        .lines()
        .map(|line| {
            let (time, text) = line.split_at(20);
            let digits: String = time.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
            assert_eq!(digits, "0000/00/00 00:00:00 ", "{line}");
            text.to_owned()
        })
        .collect()
}

#[test]
fn wrong_flags_are_errors() {
    for program in [SERVER, CLIENT] {
        expect(usage(program, &["-zork"]), &["'-zork'", "-h lists the flags"]);
        expect(usage(program, &["word"]), &["'word'", "-h lists the flags"]);
        expect(usage(program, &["-tls=perhaps"]), &["'perhaps'", "-tls"]);
        let help = run(program, &["-h"]);
        assert!(help.status.success() && help.stderr.is_empty());
        assert!(String::from_utf8(help.stdout).unwrap().contains("--tls"));
    }
    expect(usage(SERVER, &["-port", "many"]), &["'many'", "-port"]);
    expect(usage(SERVER, &["-port=65536"]), &["'65536'", "-port"]);
    expect(usage(SERVER, &["-port"]), &["-port"]);
    expect(usage(SERVER, &["-tls"]), &["-cert_file", "-key_file"]);
    expect(usage(SERVER, &["-tls", "-cert_file", "x"]), &["-cert_file", "-key_file"]);
    expect(usage(SERVER, &["-cert_file", "x", "-key_file", "y"]), &["-tls"]);
    expect(usage(CLIENT, &["-addr", "localhost"]), &["'localhost'", "-addr", "host:port"]);
    expect(usage(CLIENT, &["-seed", "x"]), &["'x'", "-seed"]);
    expect(usage(CLIENT, &["-tls"]), &["-ca_file"]);
    expect(usage(CLIENT, &["-ca_file", "x"]), &["-tls"]);
}

#[test]
fn port_in_use_is_an_error() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let line = usage(SERVER, &["-port", &port]);
    expect(line, &[&format!("can't listen on localhost:{port}"), "in use", "-port"]);
    expect(usage(SERVER, &["-port", "0", "-host", "host.invalid"]), &["host.invalid", "-host"]);
}

#[test]
fn features_must_be_json() {
    expect(usage(SERVER, &["-json_db_file", "no/such.json"]), &["no/such.json", "No such file", "-json_db_file"]);
    for (text, reason) in [
        ("", "line 1"),
        ("[\n{\"location\": {\"latitude\": 1}},\n{]", "line 3"),
        ("[\n{\"name\": \"nowhere\"}]", "missing field `location` at line 2"),
        ("{}", "line 1"),
    ] {
        let json = file("features.json", text);
        expect(usage(SERVER, &["-json_db_file", json.path()]), &[json.path(), reason, "-json_db_file"]);
    }
}

#[test]
fn ca_certificate_as_server_certificate_causes_a_warning() {
    let (certificate, key) = authority("localhost");
    let mut server = Server::start(&["-tls", "-cert_file", certificate.path(), "-key_file", key.path()]);
    let warning = server.line();
    expect(
        warning,
        &["-cert_file: the certificate is a CA certificate (CA:TRUE)", "-addext basicConstraints=critical,CA:FALSE"],
    );
    let port = server.address.rsplit(':').next().unwrap();
    let address = format!("localhost:{port}");
    let flags = ["-tls", "-ca_file", certificate.path(), "-server_host_override", "localhost", "-addr", &address];
    let output = run(CLIENT, &flags);
    assert_eq!(output.status.code(), Some(1));
    let complaint = String::from_utf8(output.stderr).unwrap();
    expect(
        complaint,
        &["the server's certificate is a CA certificate (CA:TRUE)", "-addext subjectAltName=DNS:localhost"],
    );
}

#[test]
fn invalid_certificates_are_errors() {
    let (certificate, key) = certificate("localhost");
    let (_, other) = self::certificate("localhost");
    let junk = file("junk.pem", "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n");
    for (certificate, key, parts) in [
        ("no/such.pem", key.path(), ["no/such.pem", "No such file"]),
        (certificate.path(), "no/such.key", ["no/such.key", "No such file"]),
        (key.path(), key.path(), [key.path(), "no certificate"]),
        (certificate.path(), certificate.path(), [certificate.path(), "no private key"]),
        (junk.path(), key.path(), [junk.path(), "malformed PEM"]),
        (certificate.path(), other.path(), [other.path(), "does not match"]),
    ] {
        let line = usage(SERVER, &["-tls", "-cert_file", certificate, "-key_file", key]);
        expect(line.clone(), &parts);
        expect(line, &["-cert_file and -key_file"]);
    }
    for (file, reason) in
        [("no/such.pem", "No such file"), (key.path(), "no certificate"), (junk.path(), "malformed PEM")]
    {
        expect(usage(CLIENT, &["-tls", "-ca_file", file]), &[file, reason, "-ca_file"]);
    }
}

#[test]
fn unreachable_server_is_an_error() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let line = complaint(CLIENT, &["-addr", &free], 1);
    assert!(
        line[19..].starts_with(&format!(" fail to dial {free}: can't connect: {free}: Connection refused")),
        "{line}"
    );
    let line = complaint(CLIENT, &["-addr", "host.invalid:1"], 1);
    expect(line, &["fail to dial host.invalid:1: can't connect: host.invalid:1: "]);
}

#[test]
fn client_prints_the_answers_of_the_server() {
    let server = Server::start(&["-host", ""]);
    let port = server.address.rsplit(':').next().unwrap();
    let first = run(CLIENT, &["-addr", &format!(":{port}"), "-seed", "7"]);
    assert!(first.status.success() && first.stdout.is_empty());
    let first = lines(&first);
    assert_eq!(first.len(), 116);
    assert_eq!(first[3], "location:{}");
    let second = lines(&run(CLIENT, &["--addr", &format!("127.0.0.1:{port}"), "--seed=7"]));
    assert_eq!(second[..107], first[..107], "the same seed gives the same route");
    assert_eq!(second.len(), 116 + 12);
}

#[test]
fn environment_variable_prints_the_bytes() {
    let server = Server::start(&[]);
    let shown = |value: &str| {
        let mut command = Command::new(CLIENT);
        command.args(["-addr", &server.address, "-seed", "7"]).env("BAREWIRE_WIRE", value).kill_on_drop(true);
        let output = soon(&runtime(), async { command.output().await }).unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (status, text) = shown("text");
    assert_eq!(status, Some(0));
    for line in [
        &*format!("[1] connection with {}", server.address),
        " client ──▶ server  connection preface  this is HTTP/2",
        "    :path: /routeguide.RouteGuide/GetFeature",
        "    routeguide.Point, 17 bytes: latitude: 409146138, longitude: -746188906",
        " client ◀── server  HEADERS  stream 1  END_STREAM END_HEADERS  Trailers, grpc-status 0 OK",
    ] {
        assert!(
            text.lines().any(|shown| shown == line || line.starts_with(" client") && shown.ends_with(line)),
            "{line:?} is missing in:\n{text}"
        );
    }
    let (status, hex) = shown("hex");
    assert_eq!(status, Some(0));
    assert!(
        hex.contains("     0  000016 00 01 00000001    frame header             22 bytes, DATA, END_STREAM, stream 1"),
        "{hex}"
    );
    let (status, complaint) = shown("pictures");
    assert_eq!(status, Some(2));
    expect(complaint, &["BAREWIRE_WIRE", "\"pictures\"", "text, hex, pcapng:FILE"]);
    let (_, silent) = shown("");
    assert!(!silent.contains("[1]"), "an empty value means off: {silent}");
}

#[test]
fn client_prints_the_answers_of_the_server_over_tls() {
    let (certificate, key) = certificate("x.test.example.com");
    let mut server =
        Server::start(&["-host", "127.0.0.1", "-tls", "-cert_file", certificate.path(), "-key_file", key.path()]);
    let address = server.address.clone();
    let good = |flags: &[&str]| {
        let flags = [&["-addr", &address, "-tls", "-ca_file", certificate.path()], flags].concat();
        run(CLIENT, &flags)
    };
    assert_eq!(lines(&good(&[])).len(), 116);

    let wrong_name = good(&["-server_host_override", "foo.example.org"]);
    assert_eq!(wrong_name.status.code(), Some(1));
    let line = lines(&wrong_name).join("\n");
    expect(line, &["fail to dial", "the server's certificate is not for", "foo.example.org"]);
    expect(server.line(), &["127.0.0.1:", "TLS handshake failed: the client refused the handshake with alert"]);

    let (other, _) = self::certificate("x.test.example.com");
    let line = complaint(CLIENT, &["-addr", &address, "-tls", "-ca_file", other.path()], 1);
    expect(line, &["the server's certificate"]);
    expect(server.line(), &["127.0.0.1:", "TLS handshake failed: the client refused the handshake with alert"]);

    expect(complaint(CLIENT, &["-addr", &address], 1), &["fail to dial", "want TLS?"]);
    expect(server.line(), &["127.0.0.1:", "TLS handshake failed: the client does not speak TLS"]);

    let plain = Server::start(&[]);
    let line = complaint(CLIENT, &["-addr", &plain.address, "-tls", "-ca_file", certificate.path()], 1);
    expect(line, &["TLS handshake failed: the server does not speak TLS"]);

    assert_eq!(lines(&good(&["-server_host_override=x.test.example.com"])).len(), 128, "the server still serves");
}

#[test]
fn features_are_read_from_a_file() {
    let json =
        file("features.json", r#"[{"location": {"latitude": 410000000, "longitude": -740000000}, "name": "Here"}]"#);
    let server = Server::start(&["-json_db_file", json.path()]);
    let lines = lines(&run(CLIENT, &["-addr", &server.address]));
    let features: Vec<_> = lines.iter().filter(|line| line.starts_with("Feature:")).collect();
    assert_eq!(features, ["Feature: name: \"Here\", point:(410000000, -740000000)"]);
}

#[cfg(unix)]
#[test]
fn signals_end_a_server_gracefully() {
    for signal in ["-INT", "-TERM"] {
        let mut server = Server::start(&[]);
        let id = server.child.id().unwrap().to_string();
        assert!(std::process::Command::new("kill").args([signal, &id]).status().unwrap().success());
        assert_eq!(soon(&server.runtime, server.child.wait()).unwrap().code(), Some(0), "{signal}");
        assert_eq!(server.line(), "0 calls finished, 0 cut", "{signal}");
        assert_eq!(server.line(), "", "{signal}: nothing follows");
    }
}
