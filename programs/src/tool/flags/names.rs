//! The names of methods, messages and fields: the flags `--proto`, `--proto-path`, `--descriptor-set` and `--reflection`.
//!
//! The messages in `proto/` are always known. `.proto` files are compiled in this process, without `protoc`.

use std::path::PathBuf;

use clap::Args;

use super::proto;
use super::reflection::descriptor_set;
use crate::cli::{self, Stop};
use crate::services::FILE_DESCRIPTOR_SET;
use barewire::inspector::{Limits, Schema};
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
    /// Decodes up to another limit, in bytes or in numbers: annotations, calls, depth, frames, header-block, header-list,
    /// header-table, message, restored, waiting. What a limit hides names it. May be given several times
    #[arg(long, value_name = "NAME=N", value_parser = limit, help_heading = "Views")]
    limit: Vec<(String, usize)>,
}

/// Parses the value of `--limit`.
fn limit(text: &str) -> Result<(String, usize), String> {
    let (name, value) = text.split_once('=').ok_or_else(|| "expected NAME=N, as in message=16777216".to_owned())?;
    let value = value.parse().map_err(|error| format!("{value:?} is not a number of bytes or things: {error}"))?;
    Limits::default().set(name, value)?;
    Ok((name.to_owned(), value))
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
        let mut limits = Limits::default();
        for (name, value) in &self.limit {
            limits.set(name, *value).map_err(|error| Stop::Usage(format!("--limit: {error}")))?;
        }
        schema.set_limits(limits);
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
            let usage = |error: &dyn std::fmt::Display| Stop::Usage(format!("--proto: {error}"));
            let compiled = proto::compile(&self.proto, &self.proto_path).map_err(|error| usage(&error))?;
            schema.add_descriptor_set(&compiled.set).map_err(|error| usage(&error))?;
            if let [_, ..] = compiled.missing.as_slice() {
                let names = compiled.missing.join(", ");
                cli::say(format_args!("--proto: imports not found, nothing of them is used: {names}"));
            }
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
}

/// Returns the names of the messages in `proto/`, which are compiled in. If that failed, bytes would be explained without
/// names.
pub(in crate::tool) fn built_in() -> Schema {
    Schema::from_descriptor_set(FILE_DESCRIPTOR_SET).unwrap_or_else(|_| Schema::new())
}
