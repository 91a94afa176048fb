//! `.proto` files to Rust structs by prost, through a compiler in Rust, and beside them the descriptor set that names their
//! fields at run time.

use std::path::PathBuf;
use std::{env, fs};

use prost_build::Config;

const FILES: &[&str] = &[
    "proto/connectrpc/conformance/v1/client_compat.proto",
    "proto/connectrpc/conformance/v1/server_compat.proto",
    "proto/google/rpc/error_details.proto",
    "proto/google/rpc/status.proto",
    "proto/grpc/reflection/v1/reflection.proto",
    "proto/grpc/reflection/v1alpha/reflection.proto",
    "proto/grpc/testing/test.proto",
    "proto/routeguide/route_guide.proto",
    "proto/xds/service/orca/v3/orca.proto",
];

/// Writes one module a package, and `descriptors.bin`, to OUT_DIR.
pub fn compile() {
    println!("cargo::rerun-if-changed=proto");
    println!("cargo::rerun-if-changed=build");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR for build scripts"));
    let mut compiler = protox::Compiler::new(["proto"]).unwrap_or_else(|error| panic!("proto/ can't be read: {error}"));
    compiler.include_imports(true).include_source_info(false);
    compiler
        .open_files(FILES.iter().map(|file| file.trim_start_matches("proto/")))
        .unwrap_or_else(|error| panic!("{error}"));
    fs::write(out.join("descriptors.bin"), compiler.encode_file_descriptor_set()).expect("OUT_DIR can be written");
    let mut config = Config::new();
    // In order, so that equal messages are equal bytes.
    config.btree_map(["."]);
    // So that messages can be put into an Any, and taken out.
    config.enable_type_names().type_name_domain(["."], "type.googleapis.com");
    // What answers carry while they wait is shared, not copied.
    config.bytes([".grpc.testing.Payload"]);
    config.compile_fds(compiler.file_descriptor_set()).unwrap_or_else(|error| panic!("{error}"));
}
