//! Encodes and decodes the values of `-bin` metadata: bytes to the application, base64 on the wire.
//!
//! ```text
//! Binary-Header → {Header-Name "-bin"} {base64 encoded value}
//! ```
//!
//! PROTOCOL-HTTP2.md, "Requests"; RFC 4648 section 4 (the standard alphabet). Padding must be accepted and should not be
//! sent. A field line may hold several values: commas are not in the alphabet, so a line is split at them **before**
//! decoding. Called by [`crate::metadata`] and [`crate::wire::response`].

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// Writes no padding; reads values with or without it. Ignores the unused bits of the last character, as grpc-go does.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// The error of a `-bin` value that is not base64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidBase64;

/// Encodes one value.
pub fn encode(value: &[u8]) -> String {
    BASE64.encode(value)
}

/// Decodes one value, without commas.
///
/// # Errors
///
/// [`InvalidBase64`] for a character outside the standard alphabet, wrong padding, or an impossible length.
pub fn decode(value: &[u8]) -> Result<Vec<u8>, InvalidBase64> {
    BASE64.decode(value.trim_ascii()).map_err(|_| InvalidBase64)
}

/// Decodes the values of one field line, in order.
pub fn decode_list(line: &[u8]) -> impl Iterator<Item = Result<Vec<u8>, InvalidBase64>> + '_ {
    line.split(|byte| *byte == b',').map(decode)
}

/// Tells whether every value of the field line can be decoded.
pub fn is_valid_list(line: &[u8]) -> bool {
    decode_list(line).all(|value| value.is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padded_and_unpadded_base64_is_decoded_and_unpadded_is_encoded() {
        for (encoded, plain) in [
            ("", &b""[..]),
            ("AA", b"\0"),
            ("AA==", b"\0"),
            ("q6s", b"\xab\xab"),
            ("q6s=", b"\xab\xab"),
            ("+/8", b"\xfb\xff"),
        ] {
            assert_eq!(decode(encoded.as_bytes()).as_deref(), Ok(plain), "{encoded}");
            assert_eq!(encode(plain), encoded.trim_end_matches('='));
        }
    }

    #[test]
    fn all_byte_values_survive_a_round_trip() {
        let all: Vec<u8> = (0..=255).collect();
        for length in 0..=all.len() {
            assert_eq!(decode(encode(&all[..length]).as_bytes()).as_deref(), Ok(&all[..length]));
        }
    }

    #[test]
    fn line_is_split_at_commas_before_decoding() {
        let values: Result<Vec<_>, _> = decode_list(b"AQI=, AwQ,,BQ==").collect();
        assert_eq!(values, Ok(vec![vec![1, 2], vec![3, 4], vec![], vec![5]]));
    }

    #[test]
    fn invalid_base64_is_an_error() {
        for bad in [&b"A"[..], b"====", b"-_8", b"A?==", b"AA=A", b"\xff\xff"] {
            assert_eq!(decode(bad), Err(InvalidBase64), "{bad:?}");
        }
    }
}
