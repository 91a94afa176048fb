//! Where the names of methods, messages and fields come from: the flags `--proto`, `--proto-path`, `--descriptor-set` and
//! `--reflection`.
//!
//! The protos that this program was built with are always known. `.proto` files are compiled in process; no `protoc`.

use std::path::{Path, PathBuf};

use clap::Args;

use super::reflection::descriptor_set;
use crate::cli::{self, Stop};
use crate::services::FILE_DESCRIPTOR_SET;
use barewire::inspector::Schema;
use barewire::transport::tcp;
use barewire::transport::tls::ClientTls;

/// Where names come from. Without any of these flags, and for what they do not name, fields are shown by number.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Names")]
pub(in crate::tool) struct Names {
    /// A .proto file with the names of methods and fields; may be given several times. Those of the route guide and of
    /// gRPC's own services are built in
    #[arg(long, value_name = "FILE")]
    proto: Vec<PathBuf>,
    /// A folder in which imports of .proto files are looked up; the folder of each file is one anyway
    #[arg(long, value_name = "DIR")]
    proto_path: Vec<PathBuf>,
    /// An encoded google.protobuf.FileDescriptorSet with the names, as compilers of .proto files write it
    #[arg(long, value_name = "FILE")]
    descriptor_set: Vec<PathBuf>,
    /// Asks a server for the names of what it serves, once, at the beginning: the one of --to, or the one at an address. Where
    /// it does not tell, that is said, and names are those that are known without it
    #[arg(long, value_name = "ADDR", value_parser = super::address::optional_address)]
    reflection: Option<Option<String>>,
}

/// The server that a tap stands in front of, or that a call is sent to.
pub(in crate::tool) struct Behind<'a> {
    pub(in crate::tool) address: &'a str,
    pub(in crate::tool) tls: Option<ClientTls>,
}

impl Names {
    /// All names that the flags ask for, and those that are built in.
    pub(in crate::tool) async fn schema(&self, behind: Option<Behind<'_>>) -> Result<Schema, Stop> {
        let mut schema = built_in();
        if let Some(address) = &self.reflection {
            self.ask(address.as_deref(), behind, &mut schema).await?;
        }
        for file in &self.descriptor_set {
            let usage = |what: &dyn std::fmt::Display| {
                Stop::Usage(format!(
                    "{}: {what}; --descriptor-set names what protoc --descriptor_set_out has written",
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

    /// Adds what a server tells of itself.
    async fn ask(&self, address: Option<&str>, behind: Option<Behind<'_>>, schema: &mut Schema) -> Result<(), Stop> {
        let usage = |error: &dyn std::fmt::Display| Stop::Usage(format!("--reflection: {error}"));
        let (address, tls) = match (address, behind) {
            (Some(address), _) => (address, None),
            (None, Some(behind)) => (behind.address, behind.tls),
            (None, None) => return Err(usage(&"which server? say --reflection ADDR")),
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
            cli::say(format_args!("{address} does not tell its names: {why}"));
        }
        Ok(())
    }

    /// The descriptor set of the `.proto` files and of what they import.
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

/// The names of what stands in `proto/`. The set was compiled with the program; without names bytes are still explained.
pub(in crate::tool) fn built_in() -> Schema {
    Schema::from_descriptor_set(FILE_DESCRIPTOR_SET).unwrap_or_else(|_| Schema::new())
}

/// What the compiler says, with the file and the place in it where it knows them.
fn one_error(error: &protox::Error) -> String {
    let place = error.file().map_or_else(String::new, |file| format!("{file}: "));
    format!("--proto: {place}{error}; --proto-path names folders of imports")
}
