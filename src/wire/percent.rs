//! Percent-encodes and decodes `grpc-message`.
//!
//! ```text
//! Percent-Encoded        → 1*(Percent-Byte-Unencoded / Percent-Byte-Encoded)
//! Percent-Byte-Unencoded → 1*( %x20-%x24 / %x26-%x7E )     ; space and VCHAR, except %
//! Percent-Byte-Encoded   → "%" 2HEXDIGIT                   ; 0-9 A-F
//! ```
//!
//! PROTOCOL-HTTP2.md, "Responses"; RFC 3986 section 2.1. The text is UTF-8 before it is encoded. Called by
//! [`super::response`].

use std::borrow::Cow;

const HEX: &[u8; 16] = b"0123456789ABCDEF";

/// Encodes a message: every byte of its UTF-8 outside `%x20-%x7E`, and `%` itself.
pub fn encode(message: &str) -> Cow<'_, str> {
    if message.bytes().all(is_unencoded) {
        return Cow::Borrowed(message);
    }
    let mut encoded = String::with_capacity(message.len() + 16);
    for byte in message.bytes() {
        if is_unencoded(byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            encoded.extend(
                [byte >> 4, byte & 0xF].iter().filter_map(|n| HEX.get(usize::from(*n))).map(|h| char::from(*h)),
            );
        }
    }
    Cow::Owned(encoded)
}

const fn is_unencoded(byte: u8) -> bool {
    matches!(byte, 0x20..=0x7E) && byte != b'%'
}

/// Decodes a message. Never fails, because "decoders must not error or discard the message": a `%` without two hexadecimal
/// digits stays as it is, and bytes that are not UTF-8 become U+FFFD.
pub fn decode(value: &[u8]) -> String {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value;
    while let [first, tail @ ..] = rest {
        rest = tail;
        match (first, tail) {
            (b'%', [high, low, after @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                bytes.push(hex(*high) << 4 | hex(*low));
                rest = after;
            }
            _ => bytes.push(*first),
        }
    }
    match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    }
}

fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => digit.wrapping_sub(b'A').wrapping_add(10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unencoded_text_is_borrowed() {
        assert!(matches!(encode("plain text, with ~ and spaces"), Cow::Borrowed(_)));
    }

    #[test]
    fn vectors() {
        for (plain, encoded) in [
            ("", ""),
            ("100%", "100%25"),
            ("\t\r\n", "%09%0D%0A"),
            ("\u{7f}", "%7F"),
            ("☺ unicode", "%E2%98%BA unicode"),
            ("Grüße", "Gr%C3%BC%C3%9Fe"),
            // The interop suite's special_status_message.
            (
                "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n",
                "%09%0Atest with whitespace%0D%0Aand Unicode BMP %E2%98%BA and non-BMP %F0%9F%98%88%09%0A",
            ),
        ] {
            assert_eq!(encode(plain), encoded);
            assert_eq!(decode(encoded.as_bytes()), plain);
        }
    }

    #[test]
    fn decoding_accepts_any_bytes() {
        for (value, expected) in [
            (&b"%"[..], "%"),
            (b"%4", "%4"),
            (b"%zz", "%zz"),
            (b"%%41", "%A"),
            (b"50% off", "50% off"),
            (b"%e2%98%ba", "☺"),
            (b"%FF", "\u{FFFD}"),
            (b"\xE2\x98", "\u{FFFD}"),
        ] {
            assert_eq!(decode(value), expected, "{value:?}");
        }
    }
}
