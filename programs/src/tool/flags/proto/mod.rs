//! Compiles `.proto` files to a descriptor set, in this process and without `protoc`.
//!
//! `protox` does the work. It knows neither editions nor a byte order mark, and it fails at an import that is missing. The
//! inspector needs only names and types, so this module reads each file first: it rewrites editions to a syntax that
//! `protox` knows (`rewrite.rs`), drops options (`options.rs`), and leaves out imports that were not found.

mod options;
mod rewrite;

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prost_types::{FileDescriptorProto, FileDescriptorSet};
use protox::file::{ChainFileResolver, DescriptorSetFileResolver, File, FileResolver, GoogleFileResolver};
use protox::prost_reflect::DescriptorPool;

use crate::services::FILE_DESCRIPTOR_SET;

/// The result of a compilation.
pub(super) struct Compiled {
    /// An encoded `google.protobuf.FileDescriptorSet` with all imports that were found.
    pub(super) set: Vec<u8>,
    /// The imports that were not found. The files compiled without them.
    pub(super) missing: Vec<String>,
}

/// Compiles these files. Imports are searched in `folders` and in the folder of each file. The files of Google's protobuf and
/// those in `proto/` are built in.
///
/// # Errors
///
/// A line with the file, the mistake and the remedy.
pub(super) fn compile(files: &[PathBuf], folders: &[PathBuf]) -> Result<Compiled, String> {
    let parent = |file: &PathBuf| match file.parent() {
        Some(folder) if folder != Path::new("") => folder.to_owned(),
        _ => PathBuf::from("."),
    };
    let folders: Vec<PathBuf> = folders.iter().cloned().chain(files.iter().map(parent)).collect();
    let sources = Arc::new(Sources { folders, found: Mutex::default() });
    let mut compiler = protox::Compiler::with_file_resolver(resolver(sources.clone()));
    compiler.include_imports(true).include_source_info(false);
    for file in files {
        let path = file.canonicalize().map_err(|error| format!("{}: {error}", file.display()))?;
        compiler.open_file(file).map_err(|error| explained(&error, &sources.found().missing))?;
        let name = Folders(sources.clone()).resolve_path(file).unwrap_or_default();
        if let Some(read) = sources.found().read.get(&name).filter(|read| read.canonicalize().ok() != Some(path)) {
            let (file, read) = (file.display(), read.display());
            return Err(format!(
                "{file} and {read} are both found as \"{name}\"; set a common folder with --proto-path"
            ));
        }
    }
    let missing = sources.found().missing.clone();
    Ok(Compiled { set: compiler.encode_file_descriptor_set(), missing })
}

/// Formats an error of the compiler with its file, and with the imports whose types may be the ones it misses.
fn explained(error: &protox::Error, missing: &[String]) -> String {
    let place = error.file().map_or_else(String::new, |file| format!("{file}: "));
    let remedy = "set the folders of imports with --proto-path";
    match missing {
        [] => format!("{place}{error}; {remedy}"),
        missing => format!("{place}{error}; imports not found: {}; {remedy}", missing.join(", ")),
    }
}

/// Searches the folders first, then the files that are built in.
fn resolver(sources: Arc<Sources>) -> ChainFileResolver {
    let mut chain = ChainFileResolver::new();
    chain.add(Folders(sources.clone()));
    chain.add(GoogleFileResolver::new());
    if let Ok(pool) = DescriptorPool::decode(FILE_DESCRIPTOR_SET) {
        let files = pool.file_descriptor_protos().cloned().collect();
        chain.add(DescriptorSetFileResolver::new(FileDescriptorSet { file: files }));
    }
    chain.add(Placeholders(sources));
    chain
}

/// The files that were read, and those that were not found.
struct Sources {
    folders: Vec<PathBuf>,
    found: Mutex<Found>,
}

#[derive(Default)]
struct Found {
    missing: Vec<String>,
    /// The path of each file that was read, by its name in imports.
    read: HashMap<String, PathBuf>,
}

impl Sources {
    fn found(&self) -> MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Finds files in the folders of imports.
struct Folders(Arc<Sources>);

impl FileResolver for Folders {
    fn resolve_path(&self, path: &Path) -> Option<String> {
        let include = |folder: &PathBuf| protox::file::IncludeFileResolver::new(folder.clone()).resolve_path(path);
        self.0.folders.iter().find_map(include)
    }

    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        for folder in &self.0.folders {
            let path = folder.join(name);
            let bytes = match std::fs::read(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                read => read.map_err(|error| protox::Error::new(format!("{}: {error}", path.display())))?,
            };
            let text = String::from_utf8(bytes).map_err(|_| protox::Error::new(format!("{name} is not UTF-8")))?;
            self.0.found().read.insert(name.to_owned(), path);
            return parse(name, text.trim_start_matches('\u{feff}'));
        }
        Err(protox::Error::file_not_found(name))
    }
}

/// Parses a file, without the options that the inspector does not need.
fn parse(name: &str, source: &str) -> Result<File, protox::Error> {
    let rewritten = rewrite::rewrite(source).map_err(|why| protox::Error::new(format!("{name}: {why}")))?;
    let mut descriptor = FileDescriptorProto::from(File::from_source(name, &rewritten.text)?);
    if rewritten.was_edition {
        // Proto2, like an edition's closed enums, lets an enum begin with any value.
        descriptor.syntax = None;
    }
    options::reduce(&mut descriptor);
    Ok(File::from_file_descriptor_proto(descriptor))
}

/// Stands for the imports that no other resolver finds: an empty file. If the types of an import are used, the compiler
/// reports them.
struct Placeholders(Arc<Sources>);

impl FileResolver for Placeholders {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        self.0.found().missing.push(name.to_owned());
        let file = FileDescriptorProto { name: Some(name.to_owned()), ..FileDescriptorProto::default() };
        Ok(File::from_file_descriptor_proto(file))
    }
}
