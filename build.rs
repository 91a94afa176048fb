//! Compiles `.proto` files for the features that need them, through a compiler in Rust: the route guide's messages to Rust
//! structs by prost, and the descriptors of the library's services for reflection. No `protoc`, no generated services.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    #[cfg(feature = "route-guide")]
    messages();
    #[cfg(feature = "reflection")]
    descriptors();
}

/// Writes the messages of the route guide to OUT_DIR.
#[cfg(feature = "route-guide")]
fn messages() {
    const FILE: &str = "routeguide/route_guide.proto";
    println!("cargo::rerun-if-changed=proto/{FILE}");
    let files = protox::compile([FILE], ["proto"]).unwrap_or_else(|error| panic!("{error}"));
    // So that messages can be put into an Any, and taken out.
    let mut config = prost_build::Config::new();
    config.enable_type_names().type_name_domain(["."], "type.googleapis.com");
    config.compile_fds(files).unwrap_or_else(|error| panic!("{error}"));
}

/// Writes a descriptor set of the library's services, and of the details of errors, to OUT_DIR.
#[cfg(feature = "reflection")]
fn descriptors() {
    const FILES: [&str; 6] = [
        "google/rpc/error_details.proto",
        "google/rpc/status.proto",
        "grpc/health/v1/health.proto",
        "grpc/reflection/v1/reflection.proto",
        "grpc/reflection/v1alpha/reflection.proto",
        "routeguide/route_guide.proto",
    ];
    for file in FILES {
        println!("cargo::rerun-if-changed=proto/{file}");
    }
    let mut compiler = protox::Compiler::new(["proto"]).unwrap_or_else(|error| panic!("{error}"));
    compiler.include_imports(true).include_source_info(false);
    compiler.open_files(FILES).unwrap_or_else(|error| panic!("{error}"));
    let out = std::path::PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR for build scripts"));
    std::fs::write(out.join("services.bin"), compiler.encode_file_descriptor_set()).expect("OUT_DIR can be written");
}
