//! The secrets for decrypting recorded TLS: the flag `--key-log`, and `SSLKEYLOGFILE`, the variable that makes TLS programs
//! write such a file.

use std::fmt::Display;
use std::path::PathBuf;

use clap::Args;

use crate::cli::Stop;
use barewire::inspector::capture::KeyLog;

/// TLS secrets beyond those inside a pcapng file.
#[derive(Debug, Args)]
pub(in crate::tool) struct Keys {
    /// Key log to decrypt TLS with: the file that a client or a server writes if SSLKEYLOGFILE is set for it. Defaults to the
    /// file that this variable names for this program, if it can be read. Secrets inside a pcapng file are always used
    #[arg(long, value_name = "FILE")]
    key_log: Option<PathBuf>,
}

impl Keys {
    /// Reads the secrets. A file without any is an error only if the flag names it.
    pub(in crate::tool) fn log(&self) -> Result<KeyLog, Stop> {
        let mut keys = KeyLog::default();
        let Some(file) = &self.key_log else {
            let text = std::env::var_os("SSLKEYLOGFILE").and_then(|file| std::fs::read(file).ok());
            keys.add(&text.unwrap_or_default());
            return Ok(keys);
        };
        let usage = |what: &dyn Display| {
            let mend = "--key-log must name a file that a client or a server wrote with SSLKEYLOGFILE set";
            Stop::Usage(format!("{}: {what}; {mend}", file.display()))
        };
        let text = std::fs::read(file).map_err(|error| usage(&error))?;
        match keys.add(&text) {
            0 => Err(usage(&"not a key log: no line has a label, a client random and a secret in hex")),
            _ => Ok(keys),
        }
    }
}
