//! Compiles `.proto` files for [barewire](https://docs.rs/barewire) in a `build.rs`, without `protoc`.
//!
//! A package of `.proto` files becomes one file of Rust in `OUT_DIR`: its messages, written by prost, and a module for each of its
//! services with a [`Method`](https://docs.rs/barewire/latest/barewire/struct.Method.html) constant for each RPC. The constants
//! carry path, message types and kind of call, so the compiler refuses a handler or a call that does not match. On request a service
//! also has a typed client, and a trait for its handlers with a router.
//!
//! # Use
//!
//! The manifest:
//!
//! ```toml
//! [dependencies]
//! barewire = "0.1"
//! prost = "0.14"
//!
//! [build-dependencies]
//! barewire-build = "0.1"
//! ```
//!
//! `proto/words.proto`:
//!
//! ```proto
//! syntax = "proto3";
//! package words.v1;
//!
//! service Words {
//!   // Returns the text in capital letters.
//!   rpc Shout(Text) returns (Text);
//! }
//!
//! message Text {
//!   string text = 1;
//! }
//! ```
//!
//! `build.rs`:
//!
//! ```no_run
//! fn main() -> Result<(), barewire_build::Error> {
//!     barewire_build::compile(&["proto/words.proto"], &["proto"])
//! }
//! ```
//!
//! The code:
//!
//! ```ignore
//! mod proto {
//!     include!(concat!(env!("OUT_DIR"), "/words.v1.rs"));
//! }
//! use proto::Text;
//! use proto::words::SHOUT;
//!
//! // A server.
//! let router = Router::new(Speaker).unary(SHOUT, Speaker::shout);
//! // A client.
//! let loud = client.unary(SHOUT, Text { text: "hello".into() }).await?;
//! ```
//!
//! With [`configure`] the same service has a client and a trait:
//!
//! ```no_run
//! fn main() -> Result<(), barewire_build::Error> {
//!     barewire_build::configure()
//!         .client(true)
//!         .server(true)
//!         .descriptor_set("words.bin")
//!         .compile(&["proto/words.proto"], &["proto"])
//! }
//! ```
//!
//! ```ignore
//! use proto::words::{Words, WordsClient, router};
//!
//! impl Words for Speaker {
//!     async fn shout(&self, request: Request<Text>) -> Result<Response<Text>, Status> {
//!         Ok(Response::new(Text { text: request.text.to_uppercase() }))
//!     }
//! }
//!
//! Server::new(router(Speaker)).serve(listener).await?;
//!
//! let loud = WordsClient::new(client).shout(Text { text: "hello".into() }).await?;
//! ```
//!
//! If the `impl` lacks a handler, the compiler's error E0046 names it.
//!
//! # Names
//!
//! Messages, fields and files are named as prost names them: the file is `words.v1.rs`, or `_.rs` without a package.
//!
//! | `.proto` | Rust |
//! |---|---|
//! | service `RouteGuide` | module `route_guide`; `route_guide_service` if a message or an inner package has that module |
//! | | client `RouteGuideClient`, trait `RouteGuide`, function `router` |
//! | rpc `GetFeature` | constant `GET_FEATURE`, method `get_feature` of the client and the trait |
//! | rpc `Match`, a word of Rust | constant `MATCH`, method `r#match` |
//! | rpc `New`, `With`, `Clone`, methods that a client has | constant `NEW`, method `new_` |
//!
//! Two methods of a service that differ only in capitals or underscores are an error.
//!
//! # Packages
//!
//! Code that uses a message of another package names it by a relative path, `super::…`, so the files must be included in modules
//! that are nested as the packages are. [`Config::include_file`] writes a file that does so. Packages of imported files are written
//! too.
//!
//! Messages of `google.protobuf` are prost's: `Empty` is `()`, `StringValue` and the other wrappers are Rust's own types, and the
//! others, `Timestamp` for example, are those of the crate `prost-types`, which then has to be a dependency.
//!
//! # Comments
//!
//! Comments of the `.proto` files become documentation. Indented text is shown as it stands and does not become an example that
//! `cargo test` would run, and names in brackets do not become links to Rust items.
//!
//! # Limits
//!
//! Files have the syntax proto2 or proto3; editions are refused. Extensions and custom options make no code. The descriptor set
//! keeps them.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod comments;
mod error;
mod markdown;
mod names;
mod output;
mod service;
mod sources;

pub use error::Error;
/// The version of prost-build whose options [`Config::prost`] changes.
pub use prost_build;

use std::collections::BTreeMap;
use std::env;
use std::fmt;
use std::path::{Path, PathBuf};

use prost_build::Module;

use comments::Comments;
use service::Writer;
use sources::Sources;

/// Compiles `.proto` files to messages and method constants, in `OUT_DIR`. Call it from a `build.rs`.
///
/// `files` are paths from the folder of the package, or names as in imports. `folders` are searched for imports, in this order;
/// each file must be in one of them. Google's files, `google/protobuf/timestamp.proto` for example, are built in. cargo runs the
/// `build.rs` again when one of the files or of their imports changes.
///
/// # Errors
///
/// The first mistake in a `.proto` file with its place; a file that is missing or can't be read; `OUT_DIR` is not set or can't be
/// written.
pub fn compile(files: &[impl AsRef<Path>], folders: &[impl AsRef<Path>]) -> Result<(), Error> {
    configure().compile(files, folders)
}

/// Returns options as [`compile`] has them: no clients, no servers, no descriptor set.
pub fn configure() -> Config {
    Config {
        client: false,
        server: false,
        descriptor_set: None,
        include_file: None,
        out_dir: None,
        extern_paths: Vec::new(),
        prost: prost_build::Config::new(),
    }
}

/// Options of a compilation. [`configure`] makes them.
#[must_use = "only `compile` compiles"]
pub struct Config {
    client: bool,
    server: bool,
    descriptor_set: Option<PathBuf>,
    include_file: Option<PathBuf>,
    out_dir: Option<PathBuf>,
    extern_paths: Vec<String>,
    prost: prost_build::Config,
}

impl Config {
    /// Sets whether each service has a client: a type with a method for each RPC. Off by default.
    pub fn client(mut self, client: bool) -> Config {
        self.client = client;
        self
    }

    /// Sets whether each service has a trait with a handler for each RPC, and a function that makes a router of an implementation.
    /// Off by default.
    pub fn server(mut self, server: bool) -> Config {
        self.server = server;
        self
    }

    /// Writes the descriptors of the files and of all their imports to a file in `OUT_DIR`, an encoded
    /// `google.protobuf.FileDescriptorSet`. Server reflection and tools that show messages by name read it.
    ///
    /// ```ignore
    /// const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/words.bin"));
    /// ```
    pub fn descriptor_set(mut self, file: impl Into<PathBuf>) -> Config {
        self.descriptor_set = Some(file.into());
        self
    }

    /// Writes a further file to `OUT_DIR` that includes the files of all packages in modules named as the packages are. Then
    /// `include!(concat!(env!("OUT_DIR"), "/protos.rs"))` is enough for any number of packages.
    pub fn include_file(mut self, file: impl Into<PathBuf>) -> Config {
        self.include_file = Some(file.into());
        self
    }

    /// Writes all files to this folder, which must exist, instead of `OUT_DIR`.
    pub fn out_dir(mut self, folder: impl Into<PathBuf>) -> Config {
        self.out_dir = Some(folder.into());
        self
    }

    /// Uses types that exist already for a package or a message, and does not generate them. The Rust path begins with `::` or
    /// `crate::`.
    ///
    /// ```
    /// let config = barewire_build::configure()
    ///     .extern_path(".google.rpc", "::my_types::google::rpc")
    ///     .extern_path(".shop.Money", "crate::Money");
    /// # let _ = config;
    /// ```
    pub fn extern_path(mut self, proto: impl Into<String>, rust: impl Into<String>) -> Config {
        let proto = proto.into();
        self.prost.extern_path(proto.clone(), rust.into());
        self.extern_paths.push(proto);
        self
    }

    /// Changes how prost writes messages, for example to add attributes or to choose sorted maps.
    ///
    /// ```
    /// let config = barewire_build::configure().prost(|prost| {
    ///     prost.btree_map(["."]).type_attribute("words.v1.Text", "#[derive(serde::Serialize)]");
    /// });
    /// # let _ = config;
    /// ```
    ///
    /// Files and services are not prost's here: its `out_dir`, `include_file`, `default_package_filename`, `service_generator` and
    /// the settings for `protoc` have no effect. For `extern_path` see [`Config::extern_path`].
    pub fn prost(mut self, change: impl FnOnce(&mut prost_build::Config)) -> Config {
        change(&mut self.prost);
        self
    }

    /// Compiles `.proto` files. Arguments and errors as for the function [`compile`].
    ///
    /// # Errors
    ///
    /// See [`compile`].
    pub fn compile(mut self, files: &[impl AsRef<Path>], folders: &[impl AsRef<Path>]) -> Result<(), Error> {
        let files: Vec<&Path> = files.iter().map(AsRef::as_ref).collect();
        let folders: Vec<&Path> = folders.iter().map(AsRef::as_ref).collect();
        let sources = Sources::load(&files, &folders)?;
        for path in sources.paths() {
            println!("cargo::rerun-if-changed={}", path.display());
        }
        let packages = self.generate(&sources)?;
        let folder = match self.out_dir.take() {
            Some(folder) => folder,
            None => PathBuf::from(
                env::var_os("OUT_DIR")
                    .ok_or_else(|| Error::new("OUT_DIR is not set: compile in a build.rs, or set out_dir"))?,
            ),
        };
        for file in [&self.include_file, &self.descriptor_set].into_iter().flatten() {
            if packages.keys().any(|package| Path::new(&output::file_name(package)) == file) {
                return Err(Error::new(format!("{file:?} is the name of a package's file: choose another one")));
            }
        }
        for (package, code) in &packages {
            output::write(&folder.join(output::file_name(package)), code.as_bytes())?;
        }
        if let Some(file) = self.include_file {
            output::write(&folder.join(file), output::include_file(&packages).as_bytes())?;
        }
        match self.descriptor_set {
            Some(file) => output::write(&folder.join(file), &sources.descriptor_set()?),
            None => Ok(()),
        }
    }

    /// Returns the code of each package.
    fn generate(&mut self, sources: &Sources) -> Result<BTreeMap<Module, String>, Error> {
        let mut descriptors = sources.descriptors();
        names::check_methods(sources, &descriptors)?;
        let comments = Comments::take(&mut descriptors);
        self.prost.service_generator(Box::new(Writer {
            client: self.client,
            server: self.server,
            modules: names::service_modules(&descriptors),
            extern_paths: std::mem::take(&mut self.extern_paths),
        }));
        let module = |file: &prost_types::FileDescriptorProto| Module::from_protobuf_package_name(file.package());
        let requests = descriptors.into_iter().map(|file| (module(&file), file)).collect();
        let packages = self.prost.generate(requests).map_err(|error| Error::new(error.to_string()))?;
        let finish = |code: String| {
            let code = code.split_once('\n').map_or(code.as_str(), |(_, code)| code);
            format!("// This file is @generated by barewire-build.\n{}", comments.restore(code))
        };
        Ok(packages.into_iter().map(|(module, code)| (module, finish(code))).collect())
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("client", &self.client)
            .field("server", &self.server)
            .field("descriptor_set", &self.descriptor_set)
            .field("include_file", &self.include_file)
            .field("out_dir", &self.out_dir)
            .field("extern_paths", &self.extern_paths)
            .finish_non_exhaustive()
    }
}
