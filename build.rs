//! Compiles the route guide's messages where the feature `route-guide` asks for them: `.proto` to Rust structs by prost, through a
//! compiler in Rust. No `protoc`, no generated services.

#[cfg(feature = "route-guide")]
fn main() {
    const FILE: &str = "routeguide/route_guide.proto";
    println!("cargo::rerun-if-changed=proto/{FILE}");
    println!("cargo::rerun-if-changed=build.rs");
    let files = protox::compile([FILE], ["proto"]).unwrap_or_else(|error| panic!("{error}"));
    // So that messages can be put into an Any, and taken out.
    let mut config = prost_build::Config::new();
    config.enable_type_names().type_name_domain(["."], "type.googleapis.com");
    config.compile_fds(files).unwrap_or_else(|error| panic!("{error}"));
}

/// Without that feature the library has no messages to compile.
#[cfg(not(feature = "route-guide"))]
fn main() {
    println!("cargo::rerun-if-changed=build.rs");
}
