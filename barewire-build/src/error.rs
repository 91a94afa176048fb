//! The error of a compilation.

use std::fmt;
use std::path::{Path, PathBuf};

/// A `.proto` file that does not compile, or a file that can't be read or written.
///
/// `Display` begins with the file, the line and the column, as a compiler's messages do. `Debug` is the same text, because cargo
/// shows the error of a `build.rs` so:
///
/// ```text
/// proto/words.proto:9:29: expected ')' or '.', but found '{'
/// ```
pub struct Error(Box<Mistake>);

struct Mistake {
    file: Option<PathBuf>,
    place: Option<(usize, usize)>,
    message: String,
    help: Option<String>,
}

impl Error {
    pub(crate) fn new(message: impl Into<String>) -> Error {
        Error(Box::new(Mistake { file: None, place: None, message: message.into(), help: None }))
    }

    pub(crate) fn in_file(mut self, file: impl Into<PathBuf>) -> Error {
        self.0.file = Some(file.into());
        self
    }

    /// Adds a line and a column, both from 0.
    pub(crate) fn at(mut self, place: Option<(usize, usize)>) -> Error {
        self.0.place = place.map(|(line, column)| (line + 1, column + 1));
        self
    }

    pub(crate) fn help(mut self, help: Option<String>) -> Error {
        self.0.help = help;
        self
    }

    /// Returns the path of the file, if the error is in one.
    pub fn file(&self) -> Option<&Path> {
        self.0.file.as_deref()
    }

    /// Returns the line in the file, from 1, if the error has a place there.
    pub fn line(&self) -> Option<usize> {
        self.0.place.map(|(line, _)| line)
    }

    /// Returns the column in the line, from 1, if the error has a place in the file.
    pub fn column(&self) -> Option<usize> {
        self.0.place.map(|(_, column)| column)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Mistake { file, place, message, help } = &*self.0;
        if let Some(file) = file {
            write!(f, "{}:", file.display())?;
            if let Some((line, column)) = place {
                write!(f, "{line}:{column}:")?;
            }
            f.write_str(" ")?;
        }
        f.write_str(message)?;
        help.iter().try_for_each(|help| write!(f, "; {help}"))
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Error {}
