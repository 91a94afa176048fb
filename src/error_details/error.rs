//! [`DetailsError`]: the reasons why details can't be read.

use std::error::Error;
use std::fmt;

/// The reason why the details of a status can't be read.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum DetailsError {
    /// The bytes are not a message of their type.
    Undecodable {
        /// The full name of the type, `google.rpc.Status` for all details together.
        message: String,
        /// The reason.
        source: prost::DecodeError,
    },
    /// The details have another code than the status.
    OtherCode {
        /// The code of the status.
        status: i32,
        /// The code in the details.
        details: i32,
    },
}

impl fmt::Display for DetailsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DetailsError::Undecodable { message, source } => write!(f, "invalid {message} in the details: {source}"),
            DetailsError::OtherCode { status, details } => {
                write!(f, "the status has code {status}, but its details have code {details}")
            }
        }
    }
}

impl Error for DetailsError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            DetailsError::Undecodable { source, .. } => Some(source),
            DetailsError::OtherCode { .. } => None,
        }
    }
}
