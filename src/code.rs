//! [`Code`]: the status codes of gRPC, by number and by name.
//!
//! <https://github.com/grpc/grpc/blob/master/doc/statuscodes.md>

use std::fmt;
use std::str::FromStr;

/// A status code of gRPC, as `grpc-status` carries it.
///
/// The number of a variant is the number on the wire. According to `statuscodes.md`, only applications produce
/// `InvalidArgument`, `NotFound`, `AlreadyExists`, `FailedPrecondition`, `Aborted`, `OutOfRange` and `DataLoss`; the library
/// itself never does.
///
/// ```
/// use barewire::Code;
///
/// assert_eq!((Code::NotFound.number(), Code::NotFound.name()), (5, "NOT_FOUND"));
/// assert_eq!((Code::from(14), "UNAVAILABLE".parse()), (Code::Unavailable, Ok(Code::Unavailable)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(i32)]
pub enum Code {
    /// The call completed.
    Ok = 0,
    /// The call was cancelled, usually by its caller.
    Cancelled = 1,
    /// An error without a better code, or a code that this side does not know.
    Unknown = 2,
    /// The caller's argument is wrong, whatever the state of the system.
    InvalidArgument = 3,
    /// The deadline passed before the call could complete.
    DeadlineExceeded = 4,
    /// The requested entity does not exist.
    NotFound = 5,
    /// The entity to be created already exists.
    AlreadyExists = 6,
    /// The caller is authenticated but may not do this.
    PermissionDenied = 7,
    /// A quota, a size limit or a resource is used up.
    ResourceExhausted = 8,
    /// The system is not in the state that the call needs.
    FailedPrecondition = 9,
    /// The call was aborted, typically because of conflicting transactions.
    Aborted = 10,
    /// The call went past the valid range.
    OutOfRange = 11,
    /// The method is not implemented, or not offered here.
    Unimplemented = 12,
    /// An invariant was broken: a bug, or a peer that breaks the protocol.
    Internal = 13,
    /// The service can't be reached at the moment; a retry may help.
    Unavailable = 14,
    /// Data was lost or corrupted for good.
    DataLoss = 15,
    /// The caller did not present valid credentials.
    Unauthenticated = 16,
}

/// The table of codes and their names. The position is the number.
const CODES: [(Code, &str); 17] = [
    (Code::Ok, "OK"),
    (Code::Cancelled, "CANCELLED"),
    (Code::Unknown, "UNKNOWN"),
    (Code::InvalidArgument, "INVALID_ARGUMENT"),
    (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"),
    (Code::NotFound, "NOT_FOUND"),
    (Code::AlreadyExists, "ALREADY_EXISTS"),
    (Code::PermissionDenied, "PERMISSION_DENIED"),
    (Code::ResourceExhausted, "RESOURCE_EXHAUSTED"),
    (Code::FailedPrecondition, "FAILED_PRECONDITION"),
    (Code::Aborted, "ABORTED"),
    (Code::OutOfRange, "OUT_OF_RANGE"),
    (Code::Unimplemented, "UNIMPLEMENTED"),
    (Code::Internal, "INTERNAL"),
    (Code::Unavailable, "UNAVAILABLE"),
    (Code::DataLoss, "DATA_LOSS"),
    (Code::Unauthenticated, "UNAUTHENTICATED"),
];

impl Code {
    /// Returns every code, in the order of the numbers.
    pub fn all() -> impl Iterator<Item = Code> {
        CODES.iter().map(|(code, _)| *code)
    }

    /// Returns the number on the wire, 0 to 16.
    pub const fn number(self) -> i32 {
        self as i32
    }

    /// Returns the code with this number; [`Code::Unknown`] for a number outside 0 to 16.
    pub fn from_number(number: i32) -> Code {
        usize::try_from(number).ok().and_then(|n| CODES.get(n)).map_or(Code::Unknown, |(code, _)| *code)
    }

    /// Returns the name in the gRPC documents, `DEADLINE_EXCEEDED` for example.
    pub fn name(self) -> &'static str {
        CODES.get(self as usize).map_or("UNKNOWN", |(_, name)| name)
    }
}

impl From<Code> for i32 {
    fn from(code: Code) -> i32 {
        code.number()
    }
}

impl From<i32> for Code {
    /// As [`Code::from_number`].
    fn from(number: i32) -> Code {
        Code::from_number(number)
    }
}

/// The text is not the name of a code.
///
/// ```
/// let error = "LOST".parse::<barewire::Code>().unwrap_err();
/// assert_eq!(error.to_string(), "\"LOST\" is not a status code: use a name like NOT_FOUND");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownCodeName(String);

impl fmt::Display for UnknownCodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not a status code: use a name like NOT_FOUND", self.0)
    }
}

impl std::error::Error for UnknownCodeName {}

impl FromStr for Code {
    type Err = UnknownCodeName;

    /// Parses a name as [`Code::name`] returns it, in any case; `CANCELED` is accepted too.
    ///
    /// ```
    /// use barewire::Code;
    ///
    /// assert_eq!("NOT_FOUND".parse(), Ok(Code::NotFound));
    /// assert_eq!("canceled".parse(), Ok(Code::Cancelled));
    /// assert!("MISSING".parse::<Code>().is_err());
    /// ```
    fn from_str(text: &str) -> Result<Code, UnknownCodeName> {
        let name = if text.eq_ignore_ascii_case("CANCELED") { "CANCELLED" } else { text };
        let found = CODES.iter().find(|(_, known)| known.eq_ignore_ascii_case(name));
        found.map(|(code, _)| *code).ok_or_else(|| UnknownCodeName(text.to_owned()))
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn position_in_the_table_equals_the_code_number() {
        for (position, (code, name)) in CODES.iter().enumerate() {
            assert_eq!(code.number() as usize, position);
            assert_eq!(Code::from_number(position as i32), *code);
            assert_eq!(code.name(), *name);
        }
    }
}
