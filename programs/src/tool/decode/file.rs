//! Reads the file of a capture.

use std::fmt::Display;
use std::io::{self, Read};
use std::path::Path;

use crate::cli::Stop;
use crate::tool::flags::keys::Keys;
use barewire::inspector::capture::{self, Capture};

/// Reads a capture, and decrypts its TLS if the secrets are known.
pub(in crate::tool) fn read(file: &Path, keys: &Keys) -> Result<Capture, Stop> {
    let keys = keys.log()?;
    let usage = |what: &dyn Display| Stop::Usage(format!("{}: {what}", name(file)));
    let bytes = bytes_of(file).map_err(|error| usage(&error))?;
    capture::read_with(&bytes, keys).map_err(|error| usage(&error))
}

/// Returns the contents of a file; `-` is standard input.
pub(in crate::tool) fn bytes_of(file: &Path) -> io::Result<Vec<u8>> {
    if file != Path::new("-") {
        return std::fs::read(file);
    }
    let mut bytes = Vec::new();
    io::stdin().read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Returns the name of a file for messages.
pub(in crate::tool) fn name(file: &Path) -> String {
    if file == Path::new("-") { "standard input".to_owned() } else { file.display().to_string() }
}
