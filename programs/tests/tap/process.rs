//! The program `barewire tap` while it runs, and what it has said when it has ended.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, ChildStderr, Command};
use tokio::task::JoinHandle;

pub const BAREWIRE: &str = env!("CARGO_BIN_EXE_barewire");

/// How long anything may take that should be done at once.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub async fn soon<F: Future>(what: &str, future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("waited in vain for {what}"))
}

/// A tap that runs.
pub struct Tap {
    pub address: String,
    child: Child,
    stderr: BufReader<ChildStderr>,
    stdout: JoinHandle<String>,
}

impl Tap {
    /// One in front of `to`, on a port of its own choice.
    pub async fn start(to: &str, flags: &[&str]) -> Tap {
        Tap::start_into(Stdio::piped(), to, flags).await
    }

    /// One whose stdout goes there.
    pub async fn start_into(stdout: Stdio, to: &str, flags: &[&str]) -> Tap {
        let mut command = Command::new(BAREWIRE);
        command.args(["tap", "--listen", "127.0.0.1:0", "--to", to]).args(flags);
        command.env_remove("BAREWIRE_WIRE").stdin(Stdio::null()).stdout(stdout).stderr(Stdio::piped());
        let mut child = command.kill_on_drop(true).spawn().expect("it starts");
        let out = child.stdout.take();
        let stdout = tokio::spawn(async move {
            let mut text = String::new();
            if let Some(mut out) = out {
                out.read_to_string(&mut text).await.expect("text");
            }
            text
        });
        let stderr = BufReader::new(child.stderr.take().expect("a pipe"));
        let mut tap = Tap { address: String::new(), child, stderr, stdout };
        let line = tap.line("listening on ").await;
        tap.address = line.split([' ', ',']).nth(2).expect("an address").to_owned();
        tap
    }

    /// The next line on stderr with this in it.
    pub async fn line(&mut self, part: &str) -> String {
        let mut line = String::new();
        while !line.contains(part) {
            line.clear();
            let read = soon(part, self.stderr.read_line(&mut line)).await.expect("a line");
            assert_ne!(read, 0, "it ended without saying {part:?}");
        }
        line.trim_end().to_owned()
    }

    /// Waits until it has ended; gives its exit status, and what it has printed.
    pub async fn ended(mut self) -> (Option<i32>, String) {
        let status = soon("the end", self.child.wait()).await.expect("it ran");
        (status.code(), self.stdout.await.expect("text"))
    }

    /// Ends it as systems do, and gives what it has printed.
    pub async fn end(self) -> String {
        let (status, printed) = self.terminated().await;
        assert_eq!(status, Some(0));
        printed
    }

    /// Ends it as systems do; gives its exit status, and what it has printed.
    pub async fn terminated(self) -> (Option<i32>, String) {
        let pid = self.child.id().expect("it runs").to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().await.expect("kill runs").success());
        self.ended().await
    }
}

/// What another command of the program prints; it has to be a success.
pub async fn barewire(flags: &[&str]) -> String {
    let output = Command::new(BAREWIRE).args(flags).env_remove("BAREWIRE_WIRE").output().await.expect("it runs");
    assert!(output.status.success(), "{flags:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// A file in a folder that is removed when it is dropped.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new(name: &str) -> Folder {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).expect("the target directory can be written");
        Folder(path)
    }

    pub fn file(&self, name: &str) -> String {
        self.0.join(name).to_str().expect("a name in UTF-8").to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
