//! Mistakes of users and the errors about them, and values that can be written in several ways.

use std::path::Path;
use std::process::Stdio;

use barewire::Server;
use barewire::services::route_guide::{Features, Guide, router};
use barewire::transport::tcp;
use barewire::transport::tls::{Identity, ServerTls};
use rcgen::{CertificateParams, KeyPair};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::Command;

use super::process::{BAREWIRE, Folder, Tap, barewire, soon};
use super::{call, complaint, route_guide, serve};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn port_alone_is_an_address() {
    let address = serve().await;
    let port = address.rsplit(':').next().unwrap();
    for (to, listen) in [(format!(":{port}"), ":0"), (port.to_owned(), "0")] {
        let tap = Tap::start(&to, &["--listen", listen]).await;
        let everywhere = tap.address.starts_with("[::]:") || tap.address.starts_with("0.0.0.0:");
        assert_eq!(everywhere, listen.starts_with(':'), "{}", tap.address);
        drop(call(&format!("127.0.0.1:{}", tap.address.rsplit(':').next().unwrap())).await);
        let printed = tap.end().await;
        assert!(printed.contains("  127.0.0.1:"), "a client of IPv4 has an address of IPv4: {printed}");
    }
}

/// Returns the error of a tap that ends because its first client could not be served.
async fn refusal(to: &str, flags: &[&str]) -> String {
    let mut tap = Tap::start(to, flags).await;
    drop(TcpStream::connect(&tap.address).await);
    let line = tap.line("can't connect").await;
    assert_eq!(tap.ended().await.0, Some(2), "{line}");
    line
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_error_of_the_server_names_the_flag_to_use() {
    let folder = Folder::new("to-tls");
    let names = ["right", "wrong"].map(|name| {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(["*.test.example.com".to_owned()]).unwrap().self_signed(&key).unwrap();
        let files = [folder.file(&format!("{name}.pem")), folder.file(&format!("{name}.key"))];
        std::fs::write(&files[0], certificate.pem()).unwrap();
        std::fs::write(&files[1], key.serialize_pem()).unwrap();
        files
    });
    let [[right, key], [wrong, _]] = names;
    let tls = ServerTls::new(Identity::from_files(Path::new(&right), Path::new(&key)).unwrap());
    let listener = tcp::listen("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let listener = tls.listener(listener).unwrap();
    tokio::spawn(Server::new(router(Guide::new(Features::published()))).serve(listener));
    let plain = serve().await;
    for (to, flags, cause, mend) in [
        (&address, &["--ca-file", &right][..], "but for *.test.example.com; ", "--server-name NAME "),
        (&address, &["--ca-file", &wrong, "--server-name", "x.test.example.com"], "not signed by", "--ca-file FILE "),
        (&plain, &["--ca-file", &right], "does not speak TLS", "leave out --to-tls"),
        (&plain, &["--insecure"], "does not speak TLS", "leave out --to-tls"),
    ] {
        let line = refusal(to, &[&["--to-tls"], flags].concat()).await;
        assert!(line.contains(cause) && line.contains(mend), "{line}");
        assert!(!line.contains("--wait") && !line.contains("DnsName"), "{line}");
    }
    let tap = Tap::start(&address, &["--to-tls", "--ca-file", &right, "--server-name", "x.test.example.com"]).await;
    drop(call(&tap.address).await);
    tap.end().await;
}

#[tokio::test]
async fn error_names_the_address_once() {
    let line = refusal("127.0.0.1:9", &[]).await;
    assert_eq!(line.matches("127.0.0.1:9").count(), 1, "{line}");
    let line = refusal("host.invalid:9", &[]).await;
    assert_eq!(line.matches("host.invalid:9").count(), 1, "{line}");
}

/// Runs the program with this standard input; returns the exit status, stdout and stderr.
async fn fed(flags: &[&str], input: &[u8]) -> (Option<i32>, String, String) {
    let mut command = Command::new(BAREWIRE);
    command.args(flags).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input).await.unwrap();
    drop(stdin);
    let output = soon("its end", child.wait_with_output()).await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// Returns the bytes as gzip that stores them (RFC 1952, RFC 1951).
fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
    let mut blocks = bytes.chunks(0xffff).peekable();
    while let Some(block) = blocks.next() {
        let length = block.len() as u16;
        out.push(blocks.peek().is_none().into());
        out.extend([length.to_le_bytes(), (!length).to_le_bytes()].concat());
        out.extend(block);
    }
    let step = |crc: u32| crc >> 1 ^ if crc & 1 == 1 { 0xedb8_8320 } else { 0 };
    let crc = !bytes.iter().fold(!0, |crc: u32, byte| (0..8).fold(crc ^ u32::from(*byte), |crc, _| step(crc)));
    out.extend([crc.to_le_bytes(), (bytes.len() as u32).to_le_bytes()].concat());
    out
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn capture_is_read_from_stdin_and_addresses_are_optional() {
    let folder = Folder::new("stdin");
    let (file, address) = (folder.file("a.pcapng"), serve().await);
    let tap = Tap::start(&address, &["--show", "none", "--pcapng", &file]).await;
    drop(call(&tap.address).await);
    tap.end().await;
    let bytes = std::fs::read(&file).unwrap();
    assert_eq!(fed(&["decode", "-"], &bytes).await, (Some(0), barewire(&["decode", &file]).await, String::new()));
    let (status, shown, said) = fed(&["decode", "-"], &gzip(&bytes)).await;
    assert_eq!((status, shown, said), (Some(0), barewire(&["decode", &file]).await, String::new()));
    let (status, again, said) = fed(&["replay", "-", "--to", &address], &bytes).await;
    assert!(status == Some(0) && again.contains("/routeguide.RouteGuide/GetFeature again"), "{said}");
    let (status, _, said) = fed(&["decode", "-"], b"nothing").await;
    assert!(status == Some(2) && said.starts_with("barewire: standard input: not a capture"), "{said}");
    let (status, _, said) = fed(&["replay", "--raw", "-", "--to", &address], b"frame").await;
    assert!(status == Some(2) && said.starts_with("barewire: standard input: "), "{said}");

    for web in [&["--web"][..], &["--web", "0"], &["--web=0"], &["--web", "127.0.0.1:0"]] {
        let mut command = Command::new(BAREWIRE);
        command.args(["decode", &file, "--show", "none"]).args(web).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let line = soon("the page", lines.next_line()).await.unwrap();
        assert!(line.as_ref().is_some_and(|line| line.contains("http://127.0.0.1:")), "{web:?}: {line:?}");
        let tap = Tap::start(&address, &[&["--listen", "127.0.0.1:0"], web].concat()).await;
        drop(call(&tap.address).await);
        tap.end().await;
    }
    for (flags, parts) in [
        (&["decode", "--web", &file][..], ["--web [<ADDR>]", "put a file before this flag"]),
        (&["decode", "--reflection", &file], ["--reflection [<ADDR>]", "put a file before this flag"]),
        (&["tap", "--listen", "0", "--to", "localhost"], ["--to <ADDR>", "must be host:port or a port"]),
        (&["tap", "--listen", ":65536", "--to", "1"], ["--listen <ADDR>", "invalid port, the largest is 65535"]),
        (&["decode", &file, "--reflection"], ["--reflection", "name a server with --reflection ADDR"]),
    ] {
        let (status, line) = complaint(flags).await;
        assert!(status == Some(2) && parts.iter().all(|part| line.contains(part)), "{flags:?}: {line}");
    }
}

#[tokio::test]
async fn errors_name_flags_as_they_were_typed() {
    let folder = Folder::new("typed");
    let file = folder.file("a.jsonl");
    std::fs::write(&file, "").unwrap();
    for (flags, beginning) in [
        (&["--stream", "abc"][..], "--stream abc: invalid stream number \"abc\""),
        (&["--frame", "!DATA,!HEADERS"], "--frame !DATA,!HEADERS: invalid frame type \"!HEADERS\""),
        (&["--status", "17"], "--status 17: invalid status \"17\": use a number from 0 to 16"),
        (&["--show", "colours"], "invalid value 'colours' for '--show <VIEW>'"),
        (&["-show", "colours"], "invalid value 'colours' for '-show <VIEW>'"),
        (&["--bogus"], "unexpected argument '--bogus' found"),
        (&["-bogus"], "unexpected argument '-bogus' found"),
    ] {
        let (status, line) = complaint(&[&["decode", &file], flags].concat()).await;
        assert_eq!((status, line.starts_with(&format!("barewire: {beginning}"))), (Some(2), true), "{line}");
    }
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn error_names_the_file_that_decode_can_not_write() {
    let folder = Folder::new("dev-full");
    let file = folder.file("a.jsonl");
    let tap = route_guide(&["--show", "none", "--jsonl", &file]).await;
    drop(call(&tap.address).await);
    tap.end().await;
    let decoded = async |stdout: Stdio| {
        let mut command = Command::new(BAREWIRE);
        command.args(["decode", &file]).stdout(stdout).stderr(Stdio::piped()).kill_on_drop(true);
        let output = soon("its end", command.spawn().unwrap().wait_with_output()).await.unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (status, line) = decoded(std::fs::File::options().write(true).open("/dev/full").unwrap().into()).await;
    assert!(status == Some(1) && line.starts_with("barewire: "), "{line}");
    // A reader that closes the pipe early is not a failure.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    assert_eq!(decoded(writer.into()).await, (Some(0), String::new()));
}
