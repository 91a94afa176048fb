//! Reads and writes `grpc-timeout`: the time that the caller is willing to wait, from the arrival of the request.
//!
//! ```text
//! Timeout      → "grpc-timeout" TimeoutValue TimeoutUnit
//! TimeoutValue → {positive integer as ASCII string of at most 8 digits}
//! TimeoutUnit  → Hour / Minute / Second / Millisecond / Microsecond / Nanosecond
//!                 "H"    "M"      "S"       "m"           "u"           "n"
//! ```
//!
//! PROTOCOL-HTTP2.md, "Requests". Without the header, the call has no time limit. Called by [`super::request`].

use std::time::Duration;

use crate::protocol::error::{ProtocolError, excerpt};

/// Largest number of digits of a value, which with hours is a little over 11,000 years.
const MOST_DIGITS: usize = 8;
const MOST: u128 = 99_999_999;

/// The units and their length in nanoseconds, shortest first.
const UNITS: [(u8, u128); 6] = [
    (b'n', 1),
    (b'u', 1_000),
    (b'm', 1_000_000),
    (b'S', 1_000_000_000),
    (b'M', 60_000_000_000),
    (b'H', 3_600_000_000_000),
];

/// Reads a timeout: one to eight digits and a unit, and nothing else.
///
/// Accepts zero although the grammar says "positive": clients send the time left to a deadline, which may be zero. The call then
/// expires when it begins.
///
/// # Errors
///
/// [`ProtocolError::MalformedTimeout`] for anything else: no digit, nine digits, a sign, a space, a fraction, another unit.
pub fn parse(value: &[u8]) -> Result<Duration, ProtocolError> {
    let malformed = || ProtocolError::MalformedTimeout { value: excerpt(value) };
    let (unit, digits) = value.split_last().ok_or_else(malformed)?;
    if digits.is_empty() || digits.len() > MOST_DIGITS || !digits.iter().all(u8::is_ascii_digit) {
        return Err(malformed());
    }
    let (_, nanos) = UNITS.iter().find(|(name, _)| name == unit).ok_or_else(malformed)?;
    let count = digits.iter().fold(0u128, |count, digit| count * 10 + u128::from(digit - b'0'));
    let total = count * nanos;
    Ok(Duration::new((total / 1_000_000_000) as u64, (total % 1_000_000_000) as u32))
}

/// Writes a timeout in the smallest unit that needs at most eight digits, rounded up so that the peer never gives up before the
/// caller. A timeout longer than 99,999,999 hours is written as that.
pub fn encode(timeout: Duration) -> String {
    let nanos = timeout.as_nanos();
    let (unit, count) = UNITS
        .iter()
        .map(|(unit, length)| (*unit, nanos.div_ceil(*length)))
        .find(|(_, count)| *count <= MOST)
        .unwrap_or((b'H', MOST));
    format!("{count}{}", char::from(unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_is_read() {
        for (text, expected) in [
            ("1n", Duration::from_nanos(1)),
            ("20u", Duration::from_micros(20)),
            ("300m", Duration::from_millis(300)),
            ("4000S", Duration::from_secs(4000)),
            ("5M", Duration::from_secs(300)),
            ("6H", Duration::from_secs(6 * 3600)),
            ("00000007S", Duration::from_secs(7)),
            ("0n", Duration::ZERO),
            ("99999999H", Duration::from_secs(99_999_999 * 3600)),
        ] {
            assert_eq!(parse(text.as_bytes()), Ok(expected), "{text}");
        }
    }

    #[test]
    fn malformed_timeouts_are_refused() {
        for text in [
            "",
            "S",
            "1",
            "123456789S",
            "+5S",
            "-5S",
            " 5S",
            "5 S",
            "5S ",
            "1.5S",
            "5s",
            "5h",
            "5N",
            "5U",
            "٣S",
            "0x1S",
        ] {
            assert!(matches!(parse(text.as_bytes()), Err(ProtocolError::MalformedTimeout { .. })), "{text:?}");
        }
    }

    #[test]
    fn encoding_rounds_up_to_a_larger_unit() {
        for (timeout, expected) in [
            (Duration::ZERO, "0n"),
            (Duration::from_nanos(99_999_999), "99999999n"),
            (Duration::from_nanos(100_000_000), "100000u"),
            (Duration::from_nanos(100_000_001), "100001u"),
            (Duration::from_secs(10), "10000000u"),
            (Duration::from_secs(100), "100000m"),
            (Duration::from_millis(99_999_999_999), "1666667M"),
            (Duration::from_secs(99_999_999), "99999999S"),
            (Duration::from_secs(100_000_000), "1666667M"),
            (Duration::MAX, "99999999H"),
        ] {
            assert_eq!(encode(timeout), expected, "{timeout:?}");
            if timeout < Duration::from_secs(MOST as u64 * 3600) {
                assert!(parse(expected.as_bytes()).unwrap() >= timeout);
            }
        }
    }
}
