//! Finds the peers' programs. Those of Go are built once, from modules pinned under `tests/peers/go`, into `target/peers`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::common::installed::is_installed;

/// A pair of route guide programs.
pub struct Peers {
    pub server: PathBuf,
    pub client: PathBuf,
    /// Streams points to RecordRoute as fast as possible.
    pub million: PathBuf,
}

impl Peers {
    /// This project's programs.
    pub fn ours() -> Peers {
        Peers {
            server: env!("CARGO_BIN_EXE_route_guide_server").into(),
            client: env!("CARGO_BIN_EXE_route_guide_client").into(),
            million: PathBuf::new(),
        }
    }

    /// grpc-go's programs; `None` if Go is not installed.
    pub fn of_route_guide(suite: &str) -> Option<Peers> {
        static BUILT: OnceLock<PathBuf> = OnceLock::new();
        let programs = go(
            suite,
            &BUILT,
            "route_guide",
            &[
                ("route_guide_server", "google.golang.org/grpc/examples/route_guide/server"),
                ("route_guide_client", "google.golang.org/grpc/examples/route_guide/client"),
                ("record_route_million", "./record_route_million"),
            ],
        )?;
        Some(Peers {
            server: programs.join("route_guide_server"),
            client: programs.join("route_guide_client"),
            million: programs.join("record_route_million"),
        })
    }
}

/// The programs of the official interop suite.
pub struct Interop {
    pub server: PathBuf,
    pub client: PathBuf,
    /// The client for misbehaving servers; in our case the ordinary client.
    pub http2: PathBuf,
}

impl Interop {
    /// This project's programs.
    pub fn ours() -> Interop {
        Interop {
            server: env!("CARGO_BIN_EXE_interop_server").into(),
            client: env!("CARGO_BIN_EXE_interop_client").into(),
            http2: env!("CARGO_BIN_EXE_interop_client").into(),
        }
    }

    /// grpc-go's programs; `None` if Go is not installed.
    pub fn of_go(suite: &str) -> Option<Interop> {
        static BUILT: OnceLock<PathBuf> = OnceLock::new();
        let programs = go(
            suite,
            &BUILT,
            "interop",
            &[
                ("interop_server", "google.golang.org/grpc/interop/server"),
                ("interop_client", "google.golang.org/grpc/interop/client"),
                ("interop_http2", "google.golang.org/grpc/interop/http2"),
            ],
        )?;
        Some(Interop {
            server: programs.join("interop_server"),
            client: programs.join("interop_client"),
            http2: programs.join("interop_http2"),
        })
    }
}

/// Returns the folder of a module's programs, built at the first call. If Go is not installed, prints a message and returns
/// `None`; on CI that is a failure.
fn go(suite: &str, built: &OnceLock<PathBuf>, module: &str, programs: &[(&str, &str)]) -> Option<PathBuf> {
    is_installed("go", "version", suite).then(|| built.get_or_init(|| build(module, programs)).clone())
}

fn build(module: &str, programs: &[(&str, &str)]) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("peers");
    std::fs::create_dir_all(&folder).expect("the target directory can be written");
    for (program, package) in programs {
        let built = Command::new("go")
            .args(["build", "-buildvcs=false", "-o"])
            .arg(folder.join(program))
            .arg(package)
            .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/peers/go").join(module))
            .output()
            .expect("go can be run");
        assert!(built.status.success(), "go build of {package}:\n{}", String::from_utf8_lossy(&built.stderr));
    }
    folder
}
