//! Compiles the `.proto` files: those of the README with the options it shows, and the tricky ones.

fn main() -> Result<(), barewire_build::Error> {
    barewire_build::configure()
        .client(true)
        .server(true)
        .descriptor_set("words.bin")
        .compile(&["proto/words.proto"], &["proto"])?;
    barewire_build::configure()
        .client(true)
        .server(true)
        .include_file("protos.rs")
        .extern_path(".elsewhere", "crate::elsewhere")
        .compile(&["proto/tricky.proto", "proto/no_package.proto", "other/old.proto"], &["proto"])
}
