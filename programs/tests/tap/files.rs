//! Files of the tap: only their owner reads them, links are not followed, no file is written twice, and nothing is read without
//! end.

use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::process::Stdio;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair, date_time_ymd};
use tokio::process::Command;

use super::process::{BAREWIRE, Folder, Tap, barewire, soon};
use super::{call, complaint, route_guide, serve};

fn mode(file: &str) -> u32 {
    std::fs::metadata(file).unwrap().mode() & 0o777
}

fn set_mode(file: &str, mode: u32) {
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn output_files_are_readable_only_by_their_owner() {
    let folder = Folder::new("private");
    let [pcapng, jsonl, html, ladder, windows, again] =
        ["a.pcapng", "a.jsonl", "a.html", "l.svg", "w.svg", "b.html"].map(|name| folder.file(name));
    std::fs::write(&jsonl, "an older file, which everyone could read").unwrap();
    set_mode(&jsonl, 0o644);
    let tap = route_guide(&["--show", "none", "--pcapng", &pcapng, "--jsonl", &jsonl, "--html", &html]).await;
    drop(call(&tap.address).await);
    tap.end().await;
    let drawings = ["--ladder", &ladder, "--windows", &windows, "--html", &again];
    barewire(&[&["decode", &pcapng, "--show", "none"], &drawings[..]].concat()).await;
    for file in [&pcapng, &jsonl, &html, &ladder, &windows, &again] {
        assert_eq!(mode(file), 0o600, "{file}");
    }
    barewire(&["decode", &jsonl]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_are_not_followed_and_duplicate_paths_are_refused() {
    let folder = Folder::new("links");
    let (target, link, capture) = (folder.file("target"), folder.file("link.svg"), folder.file("a.pcapng"));
    let tap = route_guide(&["--show", "none", "--pcapng", &capture]).await;
    drop(call(&tap.address).await);
    tap.end().await;
    std::fs::write(&target, "untouched").unwrap();
    symlink(&target, &link).unwrap();
    let base = ["tap", "--listen", "localhost:0", "--to", "a:1"];
    for flag in ["--pcapng", "--jsonl", "--html"] {
        let (status, line) = complaint(&[&base[..], &[flag, &link]].concat()).await;
        assert!(status == Some(2) && line.contains("symbolic link") && line.contains(&link), "{line}");
    }
    for flag in ["--html", "--ladder", "--windows"] {
        let (status, line) = complaint(&["decode", &capture, "--show", "none", flag, &link]).await;
        assert!(status == Some(2) && line.contains("symbolic link") && line.contains(&link), "{line}");
    }
    assert_eq!(std::fs::read(&target).unwrap(), b"untouched");

    let (new, other) = (folder.file("new"), folder.file("./new"));
    for flags in
        [["--pcapng", &new, "--jsonl", &other], ["--html", &other, "--pcapng", &new], ["--jsonl", &new, "--html", &new]]
    {
        let (status, line) = complaint(&[&base[..], &flags].concat()).await;
        assert!(status == Some(2) && line.contains("are the same file"), "{line}");
        assert!(line.contains(flags[0]) && line.contains(flags[2]), "{line}");
    }
    let before = std::fs::read(&capture).unwrap();
    let (status, line) = complaint(&["decode", &capture, "--html", &capture]).await;
    assert!(status == Some(2) && line.contains("FILE and --html are the same file"), "{line}");
    assert!(std::fs::read(&capture).unwrap() == before && !std::path::Path::new(&new).exists());
    // A pipe and devices work.
    let output = Command::new(BAREWIRE).args(["decode", &capture, "--show", "none", "--html", "/dev/stdout"]).output();
    let output = soon("a page", output).await.unwrap();
    assert!(output.status.success() && output.stdout.ends_with(b"</html>\n"), "{}", output.stdout.len());
    barewire(&["decode", &capture, "--show", "none", "--html", "/dev/null", "--ladder", &folder.file("l.svg")]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn expiring_authority_is_renewed_and_its_key_is_private() {
    let (folder, server) = (Folder::new("renewed"), serve().await);
    let (inside, key_file, certificate) = (folder.file("ca"), folder.file("ca/ca.key"), folder.file("ca/ca.pem"));
    let flags = ["--tls", "--ca-dir", &inside];
    Tap::start(&server, &flags).await.end().await;
    assert_eq!((mode(&inside), mode(&key_file)), (0o700, 0o600));
    let first = std::fs::read(&certificate).unwrap();
    Tap::start(&server, &flags).await.end().await;
    assert_eq!(std::fs::read(&certificate).unwrap(), first, "it is kept");

    // One that has expired.
    let key = KeyPair::from_pem(&std::fs::read_to_string(&key_file).unwrap()).unwrap();
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.distinguished_name.push(DnType::CommonName, "barewire tap");
    (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
    std::fs::write(&certificate, params.self_signed(&key).unwrap().pem()).unwrap();
    let expired = std::fs::read(&certificate).unwrap();
    Tap::start(&server, &flags).await.end().await;
    assert!(std::fs::read(&certificate).unwrap() != expired, "it is renewed");

    for wrong in [0o644, 0o622, 0o640] {
        set_mode(&key_file, wrong);
        let line = complaint(&[&["tap", "--listen", "0", "--to", &server][..], &flags].concat()).await;
        assert!(line.0 == Some(2) && line.1.contains("chmod 600") && line.1.contains(&key_file), "{line:?}");
    }
    set_mode(&key_file, 0o600);
    set_mode(&inside, 0o777);
    let line = complaint(&[&["tap", "--listen", "0", "--to", &server][..], &flags].concat()).await;
    assert!(line.0 == Some(2) && line.1.contains("chmod 700"), "{line:?}");
    // A certificate's own key may be readable, but not writable by others.
    set_mode(&inside, 0o700);
    set_mode(&key_file, 0o666);
    let own = ["--tls", "--tls-cert", &certificate, "--tls-key", &key_file];
    let line = complaint(&[&["tap", "--listen", "0", "--to", &server][..], &own].concat()).await;
    assert!(line.0 == Some(2) && line.1.contains("others can write"), "{line:?}");
}

#[tokio::test]
async fn endless_input_is_read_up_to_the_limit() {
    for flags in [
        &["decode", "/dev/zero", "--max-input", "100000"][..],
        &["decode", "-", "--max-input", "100000"],
        &["replay", "-", "--to", "1", "--max-input", "100000"],
        &["replay", "--raw", "-", "--to", "1", "--max-input", "100000"],
    ] {
        let zero = std::fs::File::open("/dev/zero").unwrap();
        let mut command = Command::new(BAREWIRE);
        command.args(flags).stdin(Stdio::from(zero)).kill_on_drop(true);
        let output = soon("its end", command.output()).await.unwrap();
        let line = String::from_utf8(output.stderr).unwrap();
        assert!(
            output.status.code() == Some(2) && line.contains("over 100000 bytes") && line.contains("--max-input"),
            "{line}"
        );
    }
}
