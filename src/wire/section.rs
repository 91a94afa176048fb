//! The limits of metadata: the size of a list of fields, and their number.
//!
//! RFC 9113 section 6.5.2: the size of a field is the length of its name and of its value, in octets before compression, and
//! 32. Called by `wire/request.rs` (heads of requests) and `call/failure.rs` (everything else).

use http::HeaderMap;

use crate::protocol::ProtocolError;
pub use crate::protocol::Section;

/// The overhead of a field (RFC 9113 section 6.5.2).
const FIELD_OVERHEAD: usize = 32;

/// The limits of a list of fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SectionLimits {
    /// Largest size, in bytes as RFC 9113 section 6.5.2 counts them: `max_metadata_size`.
    pub size: u32,
    /// Largest number of fields.
    pub fields: usize,
}

impl SectionLimits {
    /// Checks a list of fields; `pseudo` is the size of its pseudo-header fields.
    ///
    /// # Errors
    ///
    /// [`ProtocolError::MetadataTooLarge`], [`ProtocolError::TooManyFields`].
    pub fn check(&self, section: Section, pseudo: usize, fields: &HeaderMap) -> Result<(), ProtocolError> {
        let size = fields.iter().fold(pseudo, |size, (name, value)| size + field_size(name.as_str(), value.len()));
        self.check_counted(section, size, fields.len())
    }

    /// Checks the total size and the number of the fields of a list.
    ///
    /// # Errors
    ///
    /// Those of [`SectionLimits::check`].
    #[inline]
    pub fn check_counted(&self, section: Section, size: usize, fields: usize) -> Result<(), ProtocolError> {
        if size > self.size as usize {
            return Err(self.too_large(section));
        }
        if fields > self.fields {
            return Err(ProtocolError::TooManyFields { section, limit: self.fields });
        }
        Ok(())
    }

    /// Returns the error for a list over the size limit.
    pub fn too_large(&self, section: Section) -> ProtocolError {
        ProtocolError::MetadataTooLarge { section, limit: self.size }
    }
}

/// Returns the size of a field with this name and a value of this length, in bytes.
#[inline]
pub fn field_size(name: &str, value: usize) -> usize {
    name.len() + value + FIELD_OVERHEAD
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(count: usize, size: usize) -> HeaderMap {
        let field = |n: usize| (format!("k{n}").parse().unwrap(), "x".repeat(size).parse().unwrap());
        (0..count).map(field).collect::<HeaderMap>()
    }

    #[test]
    fn field_size_is_name_plus_value_plus_32() {
        let limits = SectionLimits { size: 3 * (2 + 8 + 32), fields: 3 };
        assert_eq!(limits.check(Section::Initial, 0, &map(3, 8)), Ok(()));
        let error = limits.check(Section::Initial, 1, &map(3, 8)).unwrap_err();
        assert_eq!(error, ProtocolError::MetadataTooLarge { section: Section::Initial, limit: 126 });
        assert_eq!(
            error.to_string(),
            "the initial metadata is larger than 126 bytes, the max_metadata_size of this client"
        );
    }

    #[test]
    fn each_value_of_a_name_counts_as_a_field() {
        let limits = SectionLimits { size: u32::MAX, fields: 3 };
        let mut fields = map(1, 1);
        for _ in 0..2 {
            fields.append("k0", "v".parse().unwrap());
        }
        assert_eq!(limits.check(Section::RequestTrailers, 0, &fields), Ok(()));
        fields.append("k0", "v".parse().unwrap());
        let error = limits.check(Section::RequestTrailers, 0, &fields).unwrap_err();
        let words = "the trailing metadata of the request has more than 3 fields, the limit of this server";
        assert_eq!(error.to_string(), words);
    }
}
