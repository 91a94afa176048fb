//! Short explanations of the values of gRPC headers.
//!
//! Names and values: [PROTOCOL-HTTP2.md](https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#requests).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::inspector::model::text::{self, Text};

/// Returns a header's value for display, followed by its meaning in brackets if the value does not show it.
pub(crate) fn shown(name: &[u8], value: &Arc<[u8]>) -> Text {
    let meaning = match name {
        b"grpc-status" => match status(value) {
            Some(number) => return Text::format(number as u64, 0, format_status),
            None => status_name(value).map(str::to_owned),
        },
        b"grpc-timeout" => timeout_text(value),
        b"grpc-message" => percent_decoded(value).map(|text| text::quoted(&text)),
        _ if name.ends_with(b"-bin") => Some(binary(value)),
        _ => None,
    };
    match meaning {
        Some(meaning) => format!("{} ({meaning})", text::plain(value)).into(),
        None => Text::octets(value),
    }
}

/// Parses a status code that has a name and no superfluous digits.
fn status(digits: &[u8]) -> Option<usize> {
    let number = match digits {
        [ones @ b'0'..=b'9'] => usize::from(ones - b'0'),
        [b'1', ones @ b'0'..=b'9'] => 10 + usize::from(ones - b'0'),
        _ => return None,
    };
    (number < CODES.len()).then_some(number)
}

/// Formats a status: "5 (NOT_FOUND)".
fn format_status(number: u64, _: u32, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "{number} ({})", CODES.get(number as usize).copied().unwrap_or_default())
}

/// Returns the name of a status code, from the digits of `grpc-status`.
pub(crate) fn status_name(digits: &[u8]) -> Option<&'static str> {
    let number: usize = std::str::from_utf8(digits).ok()?.parse().ok()?;
    CODES.get(number).copied()
}

/// The names of the status codes, by number: <https://github.com/grpc/grpc/blob/master/doc/statuscodes.md>.
pub(crate) const CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// The units of `grpc-timeout`: letter, name and nanoseconds.
const UNITS: [(u8, &str, u128); 6] = [
    (b'H', "hour", 3_600_000_000_000),
    (b'M', "minute", 60_000_000_000),
    (b'S', "second", 1_000_000_000),
    (b'm', "millisecond", 1_000_000),
    (b'u', "microsecond", 1_000),
    (b'n', "nanosecond", 1),
];

/// Parses a value of `grpc-timeout`; returns `None` if it is malformed.
pub(crate) fn timeout(value: &[u8]) -> Option<Duration> {
    let (number, (_, _, nanoseconds)) = timeout_parts(value)?;
    // At most 99,999,999 hours, which is far below the maximum of u64.
    Some(
        Duration::from_secs((number * nanoseconds / 1_000_000_000) as u64)
            + Duration::from_nanos((number * nanoseconds % 1_000_000_000) as u64),
    )
}

fn timeout_parts(value: &[u8]) -> Option<(u128, (u8, &'static str, u128))> {
    let (letter, digits) = value.split_last()?;
    let digits = std::str::from_utf8(digits).ok().filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()))?;
    let number: u64 = digits.parse().ok().filter(|_| digits.len() <= 8)?;
    Some((number.into(), *UNITS.iter().find(|(unit, ..)| unit == letter)?))
}

/// Formats a timeout in the largest unit that gives a whole number: "10000m" → "10 seconds".
fn timeout_text(value: &[u8]) -> Option<String> {
    let (number, (_, unit, nanoseconds)) = timeout_parts(value)?;
    let total = number * nanoseconds;
    let whole = UNITS.iter().find(|(.., nanoseconds)| total > 0 && total % nanoseconds == 0);
    Some(match whole {
        Some((_, unit, nanoseconds)) => text::count((total / nanoseconds) as u64, unit),
        None => text::count(number as u64, unit),
    })
}

/// Decodes `%` followed by two hex digits; returns `None` if nothing was encoded.
pub(crate) fn percent_decoded(value: &[u8]) -> Option<String> {
    let mut out = Vec::with_capacity(value.len());
    let mut rest = value;
    while let Some((&first, tail)) = rest.split_first() {
        let octet = match tail {
            [high, low, ..] if first == b'%' => hex(*high).zip(hex(*low)).map(|(high, low)| high << 4 | low),
            _ => None,
        };
        out.push(octet.unwrap_or(first));
        rest = if octet.is_some() { tail.get(2..).unwrap_or_default() } else { tail };
    }
    (out != value).then(|| String::from_utf8_lossy(&out).into_owned())
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|digit| digit as u8)
}

/// Decodes the value of a `-bin` header: raw bytes after a NUL (gRFC G1), or base64.
pub(crate) fn binary_value(value: &[u8]) -> Option<Vec<u8>> {
    match value {
        [0, bytes @ ..] => Some(bytes.to_vec()),
        _ => base64(value),
    }
}

/// Formats raw bytes after a NUL, or base64 values; a header may carry several, separated by commas.
fn binary(value: &[u8]) -> String {
    if let [0, bytes @ ..] = value {
        return text::count(bytes.len() as u64, "byte") + &hex_digits(bytes);
    }
    let items = value.split(|&octet| octet == b',').map(|item| match base64(item.trim_ascii()) {
        Some(bytes) => text::count(bytes.len() as u64, "byte") + &hex_digits(&bytes),
        None => "not base64".to_owned(),
    });
    items.collect::<Vec<_>>().join(", ")
}

fn hex_digits(bytes: &[u8]) -> String {
    let head: String = bytes.iter().take(16).map(|byte| format!(" {byte:02x}")).collect();
    match bytes.len() {
        0 => String::new(),
        1..=16 => format!(":{head}"),
        _ => format!(":{head} …"),
    }
}

/// Decodes base64 (RFC 4648, section 4), with or without padding.
pub(crate) fn base64(text: &[u8]) -> Option<Vec<u8>> {
    let unpadded = text.strip_suffix(b"==").or_else(|| text.strip_suffix(b"=")).unwrap_or(text);
    if unpadded.len() % 4 == 1 {
        return None;
    }
    let mut out = Vec::with_capacity(unpadded.len() * 3 / 4);
    for group in unpadded.chunks(4) {
        let mut bits = 0_u32;
        for &letter in group {
            bits = bits << 6 | sextet(letter)?;
        }
        let bytes = (bits << (6 * (4 - group.len()))).to_be_bytes();
        out.extend(bytes.iter().skip(1).take(group.len() * 3 / 4));
    }
    Some(out)
}

fn sextet(letter: u8) -> Option<u32> {
    let value = match letter {
        b'A'..=b'Z' => letter - b'A',
        b'a'..=b'z' => letter - b'a' + 26,
        b'0'..=b'9' => letter - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    };
    Some(u32::from(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(name: &str, value: &str) -> String {
        shown(name.as_bytes(), &value.as_bytes().into()).to_string()
    }

    #[test]
    fn grpc_header_values_are_explained() {
        assert_eq!(show("grpc-status", "0"), "0 (OK)");
        assert_eq!(show("grpc-status", "16"), "16 (UNAUTHENTICATED)");
        assert_eq!(show("grpc-status", "17"), "17");
        assert_eq!(show("grpc-status", "-1"), "-1");
        assert_eq!(show("grpc-timeout", "10S"), "10S (10 seconds)");
        assert_eq!(show("grpc-timeout", "1m"), "1m (1 millisecond)");
        assert_eq!(show("grpc-timeout", "10000000u"), "10000000u (10 seconds)");
        assert_eq!(show("grpc-timeout", "1500m"), "1500m (1500 milliseconds)");
        assert_eq!(show("grpc-timeout", "0n"), "0n (0 nanoseconds)");
        assert_eq!(show("grpc-timeout", "99999999H"), "99999999H (99999999 hours)");
        assert_eq!(show("grpc-timeout", "+1m"), "+1m");
        assert_eq!(show("grpc-timeout", "123456789S"), "123456789S");
        assert_eq!(show("grpc-timeout", "S"), "S");
        assert_eq!(show("grpc-message", "no such point"), "no such point");
        assert_eq!(show("grpc-message", "%C3%BCber%zz%4"), "%C3%BCber%zz%4 (\"über%zz%4\")");
        assert_eq!(show("te", "trailers"), "trailers");
    }

    #[test]
    fn binary_header_values_are_decoded() {
        assert_eq!(show("key-bin", "AAEC"), "AAEC (3 bytes: 00 01 02)");
        assert_eq!(show("key-bin", "AQ==,AQI"), "AQ==,AQI (1 byte: 01, 2 bytes: 01 02)");
        assert_eq!(show("key-bin", ""), " (0 bytes)");
        assert_eq!(show("key-bin", "A"), "A (not base64)");
        assert_eq!(show("key-bin", "_-8"), "_-8 (not base64)");
        assert_eq!(show("key-bin", "\0\x01,"), "\\0\\u{1}, (2 bytes: 01 2c)");
        assert_eq!(show("key-bin", "\0"), "\\0 (0 bytes)");
        assert!(
            show("key-bin", &"A".repeat(40)).ends_with("(30 bytes: 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 …)")
        );
    }
}
