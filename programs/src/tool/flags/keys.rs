//! Where the secrets of recorded TLS come from: the flag `--key-log`, and the variable by which TLS programs are told to write
//! them.

use std::fmt::Display;
use std::path::PathBuf;

use clap::Args;

use crate::cli::Stop;
use barewire::inspector::capture::KeyLog;

/// The secrets of TLS beside those that a pcapng file has.
#[derive(Debug, Args)]
pub(in crate::tool) struct Keys {
    /// A key log, to decrypt TLS: what a client or a server writes into the file that its SSLKEYLOGFILE names. Without the flag
    /// it is the file that this variable names here, if it can be read. Secrets in a pcapng file are known anyway
    #[arg(long, value_name = "FILE")]
    key_log: Option<PathBuf>,
}

impl Keys {
    /// The secrets; a file that has none is an error only where the flag names it.
    pub(in crate::tool) fn log(&self) -> Result<KeyLog, Stop> {
        let mut keys = KeyLog::default();
        let Some(file) = &self.key_log else {
            let text = std::env::var_os("SSLKEYLOGFILE").and_then(|file| std::fs::read(file).ok());
            keys.add(&text.unwrap_or_default());
            return Ok(keys);
        };
        let usage = |what: &dyn Display| {
            let mend = "--key-log names the file that SSLKEYLOGFILE has a client or a server write";
            Stop::Usage(format!("{}: {what}; {mend}", file.display()))
        };
        let text = std::fs::read(file).map_err(|error| usage(&error))?;
        match keys.add(&text) {
            0 => Err(usage(&"no key log: no line of it has a label, a client's random and a secret in hex")),
            _ => Ok(keys),
        }
    }
}
