//! The names of methods, messages and fields: the flags `--proto`, `--proto-path`, `--descriptor-set` and `--reflection`.
//!
//! The messages in `proto/` are always known. `.proto` files are compiled in this process, without `protoc`.

use std::path::{Path, PathBuf};

use clap::Args;

use super::reflection::descriptor_set;
use crate::cli::{self, Stop};
use crate::services::FILE_DESCRIPTOR_SET;
use barewire::inspector::Schema;
use barewire::transport::tcp;
use barewire::transport::tls::ClientTls;

/// The sources of names. Fields without a name are shown by number.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Names")]
pub(in crate::tool) struct Names {
    /// A .proto file with names of methods and fields; may be given several times. Those of the route guide and of gRPC's own
    /// services are built in
    #[arg(long, value_name = "FILE")]
    proto: Vec<PathBuf>,
    /// A folder to search for imports of .proto files, in addition to the folder of each file
    #[arg(long, value_name = "DIR")]
    proto_path: Vec<PathBuf>,
    /// A serialized google.protobuf.FileDescriptorSet, as protoc --descriptor_set_out writes it
    #[arg(long, value_name = "FILE")]
    descriptor_set: Vec<PathBuf>,
    /// Asks a server for its names by server reflection, once at the start: the server of --to, or the one at ADDR. If that
    /// fails, says so and uses the other names
    #[arg(long, value_name = "ADDR", value_parser = super::address::optional_address)]
    reflection: Option<Option<String>>,
}

/// The server behind a tap, or the one that a call is sent to.
pub(in crate::tool) struct Behind<'a> {
    pub(in crate::tool) address: &'a str,
    pub(in crate::tool) tls: Option<ClientTls>,
}

impl Names {
    /// Returns the built-in names and those that the flags ask for.
    pub(in crate::tool) async fn schema(&self, behind: Option<Behind<'_>>) -> Result<Schema, Stop> {
        let mut schema = built_in();
        if let Some(address) = &self.reflection {
            self.ask(address.as_deref(), behind, &mut schema).await?;
        }
        for file in &self.descriptor_set {
            let usage = |what: &dyn std::fmt::Display| {
                Stop::Usage(format!(
                    "{}: {what}; --descriptor-set must name the output of protoc --descriptor_set_out",
                    file.display()
                ))
            };
            let set = std::fs::read(file).map_err(|error| usage(&error))?;
            schema.add_descriptor_set(&set).map_err(|error| usage(&error))?;
        }
        if !self.proto.is_empty() {
            let set = self.compile().map_err(|error| Stop::Usage(one_error(&error)))?;
            schema.add_descriptor_set(&set).map_err(|error| Stop::Usage(format!("--proto: {error}")))?;
        }
        Ok(schema)
    }

    /// Adds the names that a server returns by reflection.
    async fn ask(&self, address: Option<&str>, behind: Option<Behind<'_>>, schema: &mut Schema) -> Result<(), Stop> {
        let usage = |error: &dyn std::fmt::Display| Stop::Usage(format!("--reflection: {error}"));
        let (address, tls) = match (address, behind) {
            (Some(address), _) => (address, None),
            (None, Some(behind)) => (behind.address, behind.tls),
            (None, None) => return Err(usage(&"name a server with --reflection ADDR")),
        };
        let connector = tcp::connect(address);
        let asked = match tls {
            Some(tls) => descriptor_set(tls.connector(connector).map_err(|error| usage(&error))?).await,
            None => descriptor_set(connector).await,
        };
        let added = asked
            .map_err(|status| status.to_string())
            .and_then(|set| schema.add_descriptor_set(&set).map_err(|error| error.to_string()));
        if let Err(why) = added {
            // The server may have chosen the text.
            let why: String = why.chars().take(300).collect();
            cli::say(format_args!("server reflection of {address} failed: {why}"));
        }
        Ok(())
    }

    /// Compiles the `.proto` files and their imports to a descriptor set.
    fn compile(&self) -> Result<Vec<u8>, protox::Error> {
        let parent = |file: &PathBuf| match file.parent() {
            Some(folder) if folder != Path::new("") => folder.to_owned(),
            _ => PathBuf::from("."),
        };
        let folders: Vec<PathBuf> = self.proto_path.iter().cloned().chain(self.proto.iter().map(parent)).collect();
        let mut compiler = protox::Compiler::new(folders)?;
        compiler.include_imports(true).include_source_info(false);
        for file in &self.proto {
            compiler.open_file(file)?;
        }
        Ok(compiler.encode_file_descriptor_set())
    }
}

/// Returns the names of the messages in `proto/`, which are compiled in. If that failed, bytes would be explained without
/// names.
pub(in crate::tool) fn built_in() -> Schema {
    Schema::from_descriptor_set(FILE_DESCRIPTOR_SET).unwrap_or_else(|_| Schema::new())
}

/// Formats a compiler error, with the file and the place if they are known.
fn one_error(error: &protox::Error) -> String {
    let place = error.file().map_or_else(String::new, |file| format!("{file}: "));
    format!("--proto: {place}{error}; set the folders of imports with --proto-path")
}
