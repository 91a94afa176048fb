//! The files of descriptor sets, and the index of the names that they declare.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use prost::Message;
use prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorProto, ServiceDescriptorProto,
};

use super::error::DescriptorError;

/// A `google.protobuf.FileDescriptorSet` whose files are left encoded: they are sent as they came, with the custom options
/// that this library does not know.
#[derive(Clone, PartialEq, Message)]
struct EncodedSet {
    #[prost(bytes = "bytes", repeated, tag = "1")]
    file: Vec<Bytes>,
}

/// Files that refer to each other, by name, by declared symbol and by extension.
#[derive(Clone, Debug, Default)]
pub(super) struct Files {
    files: Vec<File>,
    by_name: BTreeMap<String, usize>,
    symbols: BTreeMap<String, Symbol>,
    /// The files that declare extensions, by extended message and number.
    extensions: BTreeMap<String, BTreeMap<i32, usize>>,
}

#[derive(Clone, Debug)]
struct File {
    encoded: Bytes,
    imports: Vec<String>,
}

#[derive(Clone, Copy, Debug)]
struct Symbol {
    /// The index of the file that declares it.
    file: usize,
    is_type: bool,
}

/// The names that one file declares, and the types that it uses.
#[derive(Default)]
struct Declarations {
    /// Full names; true for messages and enums.
    symbols: Vec<(String, bool)>,
    extensions: Vec<(Use, i32)>,
    uses: Vec<Use>,
}

/// A type, as a field, extension or method names it.
#[derive(Clone)]
struct Use {
    /// The full name of the field, extension or method.
    by: String,
    /// The name of the type: from the root if it begins with a dot, else from the scope of `by` or one around it.
    name: String,
}

impl Files {
    /// Adds the files of a serialized `google.protobuf.FileDescriptorSet`. Skips a file whose name is known already.
    pub(super) fn add(&mut self, set: Bytes) -> Result<(), DescriptorError> {
        let set = EncodedSet::decode(set).map_err(DescriptorError::Undecodable)?;
        let mut added = Vec::new();
        for encoded in set.file {
            let file = FileDescriptorProto::decode(encoded.clone()).map_err(DescriptorError::Undecodable)?;
            if self.by_name.contains_key(file.name()) {
                continue;
            }
            let declared = Declarations::of(&file);
            self.insert(file, encoded, &declared)?;
            added.push(declared);
        }
        self.check_imports()?;
        for declared in added {
            for used in &declared.uses {
                self.resolve(used)?;
            }
            for (extended, number) in declared.extensions {
                let message = self.resolve(&extended)?;
                if let Some(file) = self.declaring(&extended.by) {
                    self.extensions.entry(message).or_default().insert(number, file);
                }
            }
        }
        Ok(())
    }

    /// Adds the files of a set, except those that declare a known name or import a file that is left out.
    pub(super) fn add_unknown(&mut self, set: &[u8]) -> Result<(), DescriptorError> {
        let set = EncodedSet::decode(set).map_err(DescriptorError::Undecodable)?;
        for encoded in set.file {
            let file = FileDescriptorProto::decode(encoded.clone()).map_err(DescriptorError::Undecodable)?;
            let declared = Declarations::of(&file);
            let is_new = !declared.symbols.iter().any(|(symbol, _)| self.symbols.contains_key(symbol));
            if is_new && file.dependency.iter().all(|import| self.by_name.contains_key(import)) {
                self.add(EncodedSet { file: vec![encoded] }.encode_to_vec().into())?;
            }
        }
        Ok(())
    }

    fn insert(
        &mut self,
        file: FileDescriptorProto,
        encoded: Bytes,
        declared: &Declarations,
    ) -> Result<(), DescriptorError> {
        let index = self.files.len();
        let name = file.name().to_owned();
        for (symbol, is_type) in &declared.symbols {
            let symbol_of_file = Symbol { file: index, is_type: *is_type };
            if let Some(earlier) = self.symbols.insert(symbol.clone(), symbol_of_file) {
                let files = [self.name(earlier.file).unwrap_or(&name).to_owned(), name];
                return Err(DescriptorError::DeclaredTwice { symbol: symbol.clone(), files });
            }
        }
        self.files.push(File { encoded, imports: file.dependency });
        self.by_name.insert(name, index);
        Ok(())
    }

    fn name(&self, index: usize) -> Option<&str> {
        self.by_name.iter().find(|(_, other)| **other == index).map(|(name, _)| name.as_str())
    }

    fn check_imports(&self) -> Result<(), DescriptorError> {
        for (name, index) in &self.by_name {
            if let Some(missing) = self.files[*index].imports.iter().find(|import| !self.by_name.contains_key(*import))
            {
                return Err(DescriptorError::MissingImport { file: name.clone(), import: missing.clone() });
            }
        }
        Ok(())
    }

    /// Returns the full name of a type.
    fn resolve(&self, used: &Use) -> Result<String, DescriptorError> {
        let is_type = |name: &str| self.symbols.get(name).is_some_and(|symbol| symbol.is_type);
        let found = match used.name.strip_prefix('.') {
            Some(full) => is_type(full).then(|| full.to_owned()),
            None => scopes(&used.by).map(|scope| join(scope, &used.name)).find(|name| is_type(name)),
        };
        found.ok_or_else(|| DescriptorError::MissingType { used_by: used.by.clone(), name: used.name.clone() })
    }

    /// Returns the index of the file of this name.
    pub(super) fn named(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    /// Returns the index of the file that declares a symbol, by its full name.
    pub(super) fn declaring(&self, symbol: &str) -> Option<usize> {
        self.symbols.get(symbol).map(|symbol| symbol.file)
    }

    /// Returns the index of the file that declares an extension.
    pub(super) fn extending(&self, message: &str, number: i32) -> Option<usize> {
        self.extensions.get(message)?.get(&number).copied()
    }

    /// Returns the numbers of the extensions of a message, sorted; `None` if nothing declares that name.
    pub(super) fn extension_numbers(&self, message: &str) -> Option<Vec<i32>> {
        match self.extensions.get(message) {
            Some(extensions) => Some(extensions.keys().copied().collect()),
            None => self.symbols.contains_key(message).then(Vec::new),
        }
    }

    /// Returns a file, encoded, followed by the files that it imports, directly or not. Leaves out imports that are in `sent`,
    /// and adds the returned files to it.
    pub(super) fn with_imports(&self, index: usize, sent: &mut BTreeSet<usize>) -> Vec<Bytes> {
        let (mut answer, mut seen) = (Vec::new(), BTreeSet::from([index]));
        let mut due = VecDeque::from([index]);
        while let Some(next) = due.pop_front() {
            if sent.insert(next) || next == index {
                answer.push(self.files[next].encoded.clone());
            }
            let imports = self.files[next].imports.iter().filter_map(|import| self.named(import));
            due.extend(imports.filter(|import| seen.insert(*import)));
        }
        answer
    }
}

impl Declarations {
    fn of(file: &FileDescriptorProto) -> Declarations {
        let mut all = Declarations::default();
        let package = file.package();
        file.message_type.iter().for_each(|message| all.message(package, message));
        file.enum_type.iter().for_each(|enumeration| all.enumeration(package, enumeration));
        file.service.iter().for_each(|service| all.service(package, service));
        file.extension.iter().for_each(|extension| all.extension(package, extension));
        all
    }

    fn declare(&mut self, scope: &str, name: &str, is_type: bool) -> String {
        let full = join(scope, name);
        self.symbols.push((full.clone(), is_type));
        full
    }

    fn message(&mut self, scope: &str, message: &DescriptorProto) {
        let name = self.declare(scope, message.name(), true);
        for field in &message.field {
            let by = self.declare(&name, field.name(), false);
            self.type_of(&by, field);
        }
        for oneof in &message.oneof_decl {
            self.declare(&name, oneof.name(), false);
        }
        message.nested_type.iter().for_each(|nested| self.message(&name, nested));
        message.enum_type.iter().for_each(|enumeration| self.enumeration(&name, enumeration));
        message.extension.iter().for_each(|extension| self.extension(&name, extension));
    }

    /// The scope of a value is that of its enum, as in C++.
    fn enumeration(&mut self, scope: &str, enumeration: &EnumDescriptorProto) {
        self.declare(scope, enumeration.name(), true);
        for value in &enumeration.value {
            self.declare(scope, value.name(), false);
        }
    }

    fn service(&mut self, scope: &str, service: &ServiceDescriptorProto) {
        let name = self.declare(scope, service.name(), false);
        for method in &service.method {
            let by = self.declare(&name, method.name(), false);
            for used in [method.input_type(), method.output_type()] {
                self.uses.push(Use { by: by.clone(), name: used.to_owned() });
            }
        }
    }

    fn extension(&mut self, scope: &str, extension: &FieldDescriptorProto) {
        let by = self.declare(scope, extension.name(), false);
        self.type_of(&by, extension);
        let extended = Use { by, name: extension.extendee().to_owned() };
        self.extensions.push((extended, extension.number()));
    }

    fn type_of(&mut self, by: &str, field: &FieldDescriptorProto) {
        if let Some(name) = &field.type_name {
            self.uses.push(Use { by: by.to_owned(), name: name.clone() });
        }
    }
}

fn join(scope: &str, name: &str) -> String {
    if scope.is_empty() { name.to_owned() } else { format!("{scope}.{name}") }
}

/// Returns the scopes around a full name, from the innermost to the root.
fn scopes(name: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(name), |scope| match scope.rsplit_once('.') {
        Some((outer, _)) => Some(outer),
        None => (!scope.is_empty()).then_some(""),
    })
    .skip(1)
}
