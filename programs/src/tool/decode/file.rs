//! Reads the file of a capture.

use std::fmt::Display;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use clap::Args;

use crate::cli::Stop;
use crate::tool::flags::keys::Keys;
use barewire::inspector::capture::{self, Capture};

/// The limit of what is read.
#[derive(Clone, Copy, Debug, Args)]
pub(in crate::tool) struct InputFlag {
    /// Most bytes to read from standard input, a pipe or a device, which may never end; files are always read whole
    #[arg(long, value_name = "N", default_value_t = 256 << 20)]
    max_input: u64,
}

/// Reads a capture, and decrypts its TLS if the secrets are known.
pub(in crate::tool) fn read(file: &Path, input: InputFlag, keys: &Keys) -> Result<Capture, Stop> {
    let keys = keys.log()?;
    let usage = |what: &dyn Display| Stop::Usage(format!("{}: {what}", name(file)));
    let bytes = bytes_of(file, input).map_err(|error| usage(&error))?;
    capture::read_with(&bytes, keys).map_err(|error| usage(&error))
}

/// Returns the contents of a file; `-` is standard input.
pub(in crate::tool) fn bytes_of(file: &Path, InputFlag { max_input }: InputFlag) -> io::Result<Vec<u8>> {
    let opened: Box<dyn Read> = match file == Path::new("-") {
        true => Box::new(io::stdin()),
        false => {
            let file = File::open(file)?;
            if file.metadata()?.is_file() {
                let (mut file, mut bytes) = (file, Vec::new());
                file.read_to_end(&mut bytes)?;
                return Ok(bytes);
            }
            Box::new(file)
        }
    };
    let mut bytes = Vec::new();
    opened.take(max_input.saturating_add(1)).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > max_input {
        true => Err(io::Error::other(format!("over {max_input} bytes; set another limit with --max-input"))),
        false => Ok(bytes),
    }
}

/// Returns the name of a file for messages.
pub(in crate::tool) fn name(file: &Path) -> String {
    if file == Path::new("-") { "standard input".to_owned() } else { file.display().to_string() }
}
