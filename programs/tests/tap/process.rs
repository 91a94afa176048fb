//! The program `barewire tap`, while it runs and after it has ended.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, ChildStderr, Command};
use tokio::task::JoinHandle;

pub const BAREWIRE: &str = env!("CARGO_BIN_EXE_barewire");

/// Time limit for everything that should happen at once.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub async fn soon<F: Future>(what: &str, future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("timed out waiting for {what}"))
}

/// A running tap.
pub struct Tap {
    pub address: String,
    child: Child,
    stderr: BufReader<ChildStderr>,
    stdout: JoinHandle<String>,
}

impl Tap {
    /// Starts a tap in front of `to`, on a free port.
    pub async fn start(to: &str, flags: &[&str]) -> Tap {
        Tap::start_into(Stdio::piped(), to, flags).await
    }

    /// Starts a tap with this stdout.
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

    /// Waits for a line on stderr that contains `part`.
    pub async fn line(&mut self, part: &str) -> String {
        let mut line = String::new();
        while !line.contains(part) {
            line.clear();
            let read = soon(part, self.stderr.read_line(&mut line)).await.expect("a line");
            assert_ne!(read, 0, "it ended without a line that contains {part:?}");
        }
        line.trim_end().to_owned()
    }

    /// Waits until the tap has ended; returns its exit status and its output.
    pub async fn ended(mut self) -> (Option<i32>, String) {
        let status = soon("the end", self.child.wait()).await.expect("it ran");
        (status.code(), self.stdout.await.expect("text"))
    }

    /// Ends the tap with SIGTERM, which must succeed; returns its output.
    pub async fn end(self) -> String {
        let (status, printed) = self.terminated().await;
        assert_eq!(status, Some(0));
        printed
    }

    /// Ends the tap with SIGTERM; returns its exit status and its output.
    pub async fn terminated(self) -> (Option<i32>, String) {
        let pid = self.child.id().expect("it runs").to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().await.expect("kill runs").success());
        self.ended().await
    }
}

/// Runs another command of the program, which must succeed; returns its output.
pub async fn barewire(flags: &[&str]) -> String {
    let output = Command::new(BAREWIRE).args(flags).env_remove("BAREWIRE_WIRE").output().await.expect("it runs");
    assert!(output.status.success(), "{flags:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// A folder that is removed on drop.
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
