//! `barewire tour` on a terminal: it restores the terminal however it ends.

use tokio::process::Command;

use super::installed::is_installed;
use super::process::{BAREWIRE, soon};

#[cfg(unix)]
#[tokio::test]
async fn tour_restores_the_terminal_on_every_exit() {
    if !is_installed("python3", "--version", "the tour on a terminal") {
        return;
    }
    for end in ["TERM", "INT", "HUP", "q"] {
        let mut command = Command::new("python3");
        command.args([concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tap/tour.py"), BAREWIRE, end]).kill_on_drop(true);
        let output = soon("its end", command.output()).await.unwrap();
        assert!(output.status.success(), "{end}: {}", String::from_utf8_lossy(&output.stderr));
    }
}
