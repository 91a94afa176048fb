//! Compiles the messages of `proto/` that only the programs need, and a descriptor set with the field names of all messages,
//! which the programs read at run time. Needs no `protoc` and generates no services.

use std::path::PathBuf;
use std::{env, fs};

use prost_build::Config;

/// The folder of the `.proto` files.
const PROTO: &str = "../proto";

/// Packages that are left out because the library already has their messages.
const LIBRARY_PACKAGES: &[&str] =
    &["google.rpc", "grpc.health.v1", "grpc.reflection.v1", "grpc.reflection.v1alpha", "routeguide"];

const FILES: &[&str] = &[
    "connectrpc/conformance/v1/client_compat.proto",
    "connectrpc/conformance/v1/server_compat.proto",
    "google/rpc/error_details.proto",
    "google/rpc/status.proto",
    "grpc/health/v1/health.proto",
    "grpc/reflection/v1/reflection.proto",
    "grpc/reflection/v1alpha/reflection.proto",
    "grpc/testing/test.proto",
    "routeguide/route_guide.proto",
    "xds/service/orca/v3/orca.proto",
];

/// Writes one module per package, and `descriptors.bin`, to OUT_DIR.
fn main() {
    println!("cargo::rerun-if-changed={PROTO}");
    println!("cargo::rerun-if-changed=build.rs");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR for build scripts"));
    let mut compiler = protox::Compiler::new([PROTO]).unwrap_or_else(|error| panic!("{PROTO} can't be read: {error}"));
    compiler.include_imports(true).include_source_info(false);
    compiler.open_files(FILES).unwrap_or_else(|error| panic!("{error}"));
    fs::write(out.join("descriptors.bin"), compiler.encode_file_descriptor_set()).expect("OUT_DIR can be written");
    let mut config = Config::new();
    // Sorted maps, so that equal messages have equal bytes.
    config.btree_map(["."]);
    // Type names let messages be packed into an `Any` and unpacked.
    config.enable_type_names().type_name_domain(["."], "type.googleapis.com");
    // Payloads that wait to be sent are shared, not copied.
    config.bytes([".grpc.testing.Payload"]);
    let mut files = compiler.file_descriptor_set();
    files.file.retain(|file| !LIBRARY_PACKAGES.contains(&file.package()));
    config.compile_fds(files).unwrap_or_else(|error| panic!("{error}"));
}
