//! Reads `.proto` files and their imports, and checks them together.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};

use miette::Diagnostic;
use prost_types::FileDescriptorProto;
use protox::file::{FileResolver, GoogleFileResolver, IncludeFileResolver};
use protox::prost_reflect::{DescriptorError, DescriptorPool};
use protox_parse::ParseError;

use crate::error::Error;

/// The number of the field `dependency` in a `FileDescriptorProto`.
const DEPENDENCY: i32 = 3;

/// Files that compile, each behind those it imports.
pub(crate) struct Sources {
    folders: Vec<PathBuf>,
    pool: DescriptorPool,
    /// The paths of the files that were read, by their names in imports.
    paths: BTreeMap<String, PathBuf>,
    /// The names of the files that are complete, those of Google's protobuf included.
    loaded: HashSet<String>,
}

impl Sources {
    /// Reads files. They and their imports are searched in `folders`; the files of Google's protobuf are built in.
    pub(crate) fn load(files: &[&Path], folders: &[&Path]) -> Result<Sources, Error> {
        let mut sources = Sources {
            folders: folders.iter().map(|folder| folder.to_path_buf()).collect(),
            pool: DescriptorPool::new(),
            paths: BTreeMap::new(),
            loaded: HashSet::new(),
        };
        for file in files {
            let name = sources.name(file)?;
            sources.open(&name, &mut Vec::new())?;
        }
        Ok(sources)
    }

    /// Returns the descriptors with their comments.
    pub(crate) fn descriptors(&self) -> Vec<FileDescriptorProto> {
        self.pool.file_descriptor_protos().cloned().collect()
    }

    /// Returns the paths of the files that were read.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.paths.values().map(PathBuf::as_path)
    }

    /// Returns the path of a file, or its name if it is built in.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.paths.get(name).cloned().unwrap_or_else(|| PathBuf::from(name))
    }

    /// Encodes a `google.protobuf.FileDescriptorSet` without comments. It keeps custom options.
    pub(crate) fn descriptor_set(&self) -> Result<Vec<u8>, Error> {
        let mut pool = DescriptorPool::new();
        for file in self.descriptors() {
            let bare = FileDescriptorProto { source_code_info: None, ..file };
            pool.add_file_descriptor_proto(bare).map_err(|error| self.unchecked(&error))?;
        }
        Ok(pool.encode_to_vec())
    }

    /// Returns the name under which other files would import this one.
    fn name(&self, file: &Path) -> Result<String, Error> {
        let resolve = |folder: &PathBuf| IncludeFileResolver::new(folder.clone()).resolve_path(file);
        let name = self.folders.iter().find_map(resolve).or_else(|| relative(file));
        let found = name.as_ref().and_then(|name| self.find(name));
        match (name, found) {
            (Some(name), Some(found)) if !file.is_file() || same(file, &found) => Ok(name),
            (Some(name), Some(found)) => {
                let found = found.display();
                Err(Error::new(format!("{found} is found first as {name:?}; change the order of the folders"))
                    .in_file(file))
            }
            (_, None) if file.is_file() => {
                let message = format!("the file is not in a folder of imports; they are: {}", self.list());
                Err(Error::new(message).in_file(file))
            }
            _ => {
                let message =
                    format!("file not found, neither here nor in a folder of imports; they are: {}", self.list());
                Err(Error::new(message).in_file(file))
            }
        }
    }

    fn list(&self) -> String {
        let folders: Vec<String> = self.folders.iter().map(|folder| folder.display().to_string()).collect();
        match folders.is_empty() {
            true => "none".to_owned(),
            false => folders.join(", "),
        }
    }

    fn find(&self, name: &str) -> Option<PathBuf> {
        self.folders.iter().map(|folder| folder.join(name)).find(|path| path.is_file())
    }

    /// Reads and checks a file after its imports. `opened` are the files whose imports are being read.
    fn open(&mut self, name: &str, opened: &mut Vec<String>) -> Result<(), Error> {
        if !self.loaded.insert(name.to_owned()) {
            return Ok(());
        }
        let file = match self.find(name) {
            Some(path) => {
                self.paths.insert(name.to_owned(), path.clone());
                parse(name, &path)?
            }
            None => GoogleFileResolver::new()
                .open_file(name)
                .map(FileDescriptorProto::from)
                .map_err(|_| Error::new(format!("{name} not found")))?,
        };
        opened.push(name.to_owned());
        for (number, import) in file.dependency.iter().enumerate() {
            let error = |message: String| {
                let place = place_of(&file, &[DEPENDENCY, number.try_into().unwrap_or_default()]);
                Error::new(message).in_file(self.path(name)).at(place)
            };
            if file.dependency[..number].contains(import) {
                return Err(error(format!("{import:?} is imported twice")));
            }
            if let Some(place) = opened.iter().position(|file| file == import) {
                let circle = [opened[place..].join(" -> "), import.clone()].join(" -> ");
                return Err(error(format!("the imports form a circle: {circle}")));
            }
            if self.find(import).is_none() && GoogleFileResolver::new().open_file(import).is_err() {
                let help = "add the folder in which this path begins";
                return Err(error(format!("import {import:?} not found in: {}; {help}", self.list())));
            }
            self.open(import, opened)?;
        }
        opened.pop();
        self.pool.add_file_descriptor_proto(file).map_err(|error| self.unchecked(&error))
    }

    /// Converts an error of the check that follows parsing.
    fn unchecked(&self, error: &DescriptorError) -> Error {
        let converted = Error::new(error.to_string()).help(error.help().map(|help| help.to_string()));
        match error.file() {
            Some(name) => converted.in_file(self.path(name)).at(error.line().zip(error.column())),
            None => converted,
        }
    }
}

/// Reads a file.
fn parse(name: &str, path: &Path) -> Result<FileDescriptorProto, Error> {
    let text = fs::read_to_string(path).map_err(|error| match error.kind() {
        ErrorKind::InvalidData => Error::new("the file is not UTF-8").in_file(path),
        _ => Error::new(error.to_string()).in_file(path),
    })?;
    // A byte order mark.
    let text = text.trim_start_matches('\u{feff}');
    protox_parse::parse(name, text).map_err(|error| unparsed(&error, text).in_file(path))
}

/// Converts a syntax error.
fn unparsed(error: &ParseError, text: &str) -> Error {
    let label = || error.labels().into_iter().flatten().last().map(|label| label.offset());
    // Without a place, the end of the file was reached.
    let offset = error.span().map(|span| span.start).or_else(label).unwrap_or(text.len());
    let before = text.get(..offset).unwrap_or(text);
    let line = before.rsplit('\n').next().unwrap_or_default();
    let place = (before.matches('\n').count(), line.chars().count());
    let message = match (error.to_string(), text.get(offset..).and_then(|rest| rest.chars().next())) {
        (message, Some(letter)) if message == "invalid token" => format!("{message} {letter:?}"),
        (message, _) => message,
    };
    let help = match message.ends_with("but found 'edition'") {
        true => Some("editions are not supported: use syntax = \"proto3\"".to_owned()),
        false => error.help().map(|help| help.to_string()),
    };
    Error::new(message).at(Some(place)).help(help)
}

/// Returns the line and column of an element of a file, both from 0.
pub(crate) fn place_of(file: &FileDescriptorProto, path: &[i32]) -> Option<(usize, usize)> {
    let location = file.source_code_info.as_ref()?.location.iter().find(|location| location.path == path)?;
    let number = |place: usize| usize::try_from(*location.span.get(place)?).ok();
    number(0).zip(number(1))
}

/// Returns a relative path as a name: its parts with `/` between them.
fn relative(path: &Path) -> Option<String> {
    let part = |component| match component {
        Component::CurDir => Some(None),
        Component::Normal(part) => part.to_str().map(Some),
        _ => None,
    };
    let parts: Option<Vec<Option<&str>>> = path.components().map(part).collect();
    Some(parts?.into_iter().flatten().collect::<Vec<_>>().join("/"))
}

/// Returns true if both paths lead to the same file.
fn same(one: &Path, other: &Path) -> bool {
    matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}
