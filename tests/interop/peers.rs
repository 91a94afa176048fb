//! Where the programs are. Go's are built once, from modules pinned under `tests/peers/go`, into `target/peers`.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// A pair of route guide programs.
pub struct Peers {
    pub server: PathBuf,
    pub client: PathBuf,
    /// Streams points to RecordRoute as fast as it can.
    pub million: PathBuf,
}

impl Peers {
    /// This project's.
    pub fn ours() -> Peers {
        Peers {
            server: env!("CARGO_BIN_EXE_route_guide_server").into(),
            client: env!("CARGO_BIN_EXE_route_guide_client").into(),
            million: PathBuf::new(),
        }
    }

    /// grpc-go's; `None`, said aloud, where Go is not installed. On CI that is a failure.
    pub fn of_route_guide(suite: &str) -> Option<Peers> {
        if Command::new("go").arg("version").output().is_err() {
            assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "{suite} did not run: Go is not installed");
            // Not through eprintln!, which the test harness keeps to itself when a test passes.
            let _ = writeln!(std::io::stderr(), "DID NOT RUN: {suite} (Go is not installed)");
            return None;
        }
        static BUILT: OnceLock<PathBuf> = OnceLock::new();
        let programs = BUILT.get_or_init(build);
        Some(Peers {
            server: programs.join("route_guide_server"),
            client: programs.join("route_guide_client"),
            million: programs.join("record_route_million"),
        })
    }
}

fn build() -> PathBuf {
    let programs = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("peers");
    std::fs::create_dir_all(&programs).expect("the target directory can be written");
    for (program, package) in [
        ("route_guide_server", "google.golang.org/grpc/examples/route_guide/server"),
        ("route_guide_client", "google.golang.org/grpc/examples/route_guide/client"),
        ("record_route_million", "./record_route_million"),
    ] {
        let built = Command::new("go")
            .args(["build", "-buildvcs=false", "-o"])
            .arg(programs.join(program))
            .arg(package)
            .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/go/route_guide"))
            .output()
            .expect("go can be run");
        assert!(built.status.success(), "go build of {package}:\n{}", String::from_utf8_lossy(&built.stderr));
    }
    programs
}
