//! Generates connectrpc's messages and services, from descriptors that a compiler in Rust makes: no `protoc`.

use std::path::PathBuf;
use std::{env, fs};

use buffa_codegen::BytesRepr;
use connectrpc_build::CodeGenConfig;

fn main() {
    println!("cargo::rerun-if-changed=proto");
    println!("cargo::rerun-if-changed=../../proto/routeguide");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR for build scripts"));
    let files = ["routeguide/route_guide.proto", "blobs.proto"];
    let mut compiler = protox::Compiler::new(["../../proto", "proto"]).expect("proto/ can be read");
    compiler.include_imports(true);
    compiler.open_files(files).unwrap_or_else(|error| panic!("{error}"));
    let descriptors = out.join("descriptors.bin");
    fs::write(&descriptors, compiler.encode_file_descriptor_set()).expect("OUT_DIR can be written");
    let mut settings = CodeGenConfig::default();
    settings.generate_json = false;
    // Blobs are not copied; the other peers use prost's `Bytes`, which does not copy either.
    settings.bytes_fields = vec![(".".to_owned(), BytesRepr::Bytes)];
    connectrpc_build::Config::new()
        .descriptor_set(&descriptors)
        .files(&files)
        .buffa_config(settings)
        .include_file("connect.rs")
        .compile()
        .unwrap_or_else(|error| panic!("{error:#}"));
}
