//! [`DescriptorError`]: the reasons why a descriptor set can't be served.

use std::error::Error;
use std::fmt;

/// The reason why [`Reflection::add`](super::Reflection::add_descriptor_set) refuses a descriptor set.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum DescriptorError {
    /// The bytes are not a serialized `google.protobuf.FileDescriptorSet`.
    Undecodable(prost::DecodeError),
    /// A file imports one that neither this set nor an earlier one has.
    MissingImport {
        /// The name of the file.
        file: String,
        /// The name of the missing file.
        import: String,
    },
    /// A field, an extension or a method names a type that no file declares.
    MissingType {
        /// The full name of the field, extension or method.
        used_by: String,
        /// The name of the type, as the file has it.
        name: String,
    },
    /// Two files declare the same name.
    DeclaredTwice {
        /// The full name.
        symbol: String,
        /// The names of the two files.
        files: [String; 2],
    },
}

impl fmt::Display for DescriptorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DescriptorError::Undecodable(error) => write!(f, "not a google.protobuf.FileDescriptorSet: {error}"),
            DescriptorError::MissingImport { file, import } => {
                write!(f, "{file} imports {import}, which the descriptor set lacks: compile it with --include_imports")
            }
            DescriptorError::MissingType { used_by, name } => {
                write!(f, "{used_by} uses {name}, which no file of the descriptor set declares")
            }
            DescriptorError::DeclaredTwice { symbol, files: [first, second] } => {
                write!(f, "both {first} and {second} declare {symbol}")
            }
        }
    }
}

impl Error for DescriptorError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            DescriptorError::Undecodable(error) => Some(error),
            _ => None,
        }
    }
}
