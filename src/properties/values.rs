//! Properties of single header values: `grpc-timeout`, `grpc-message`, `-bin` metadata.

use std::time::Duration;

use super::{Dice, reference};
use crate::metadata::{Entry, Metadata};
use crate::wire::{binary, percent as percent_encoding, timeout as grpc_timeout};

/// The longest timeout: 99,999,999 hours.
const LONGEST: Duration = Duration::from_secs(99_999_999 * 3600);

/// The input is a value of `grpc-timeout` and, if it is long enough, a duration. Values are read as the grammar says. A
/// written value is never shorter than the duration, less than a unit longer, and in the finest possible unit.
pub fn timeout(data: &[u8]) {
    let read = grpc_timeout::parse(data);
    assert_eq!(read.clone().ok(), reference::timeout(data), "{:?}", String::from_utf8_lossy(data));
    if let Ok(read) = read {
        assert!(read <= LONGEST);
        assert_eq!(check_written(read), read, "a duration read from the wire is written without loss");
    }
    if let Some((seconds, rest)) = data.split_first_chunk() {
        let nanos = rest.first_chunk().map_or(0, |nanos| u32::from_le_bytes(*nanos) % 1_000_000_000);
        // Most durations are unrealistically long, so this also tests shorter ones.
        let seconds = u64::from_le_bytes(*seconds);
        for shift in [0, 16, 28, 36, 48, 64] {
            check_written(Duration::new(seconds.checked_shr(shift).unwrap_or(0), nanos));
        }
    }
}

/// Returns the duration that a peer reads.
fn check_written(duration: Duration) -> Duration {
    const UNITS: [(char, u128); 6] = [
        ('n', 1),
        ('u', 1_000),
        ('m', 1_000_000),
        ('S', 1_000_000_000),
        ('M', 60 * 1_000_000_000),
        ('H', 3_600 * 1_000_000_000),
    ];
    let written = grpc_timeout::encode(duration);
    let read = reference::timeout(written.as_bytes()).unwrap_or_else(|| panic!("{written:?} is not a timeout"));
    assert_eq!(grpc_timeout::parse(written.as_bytes()), Ok(read));
    if duration > LONGEST {
        assert_eq!(read, LONGEST, "{duration:?}");
        return read;
    }
    let position = UNITS.iter().position(|(unit, _)| written.ends_with(*unit)).expect("reads as a timeout");
    let excess = read.checked_sub(duration).unwrap_or_else(|| panic!("{written:?} is shorter than {duration:?}"));
    assert!(excess.as_nanos() < UNITS[position].1, "{written:?} is too long for {duration:?}");
    if let Some((_, finer)) = position.checked_sub(1).map(|finer| UNITS[finer]) {
        assert!(duration.as_nanos().div_ceil(finer) > 99_999_999, "{written:?} could be finer");
    }
    read
}

/// The input is a value of `grpc-message` and a text. Any value can be decoded, as the grammar says. Encoding gives
/// printable ASCII with upper-case escapes, which decodes to the text.
pub fn percent(data: &[u8]) {
    assert_eq!(percent_encoding::decode(data), reference::percent_decoded(data));
    let text = String::from_utf8_lossy(data);
    let encoded = percent_encoding::encode(&text);
    let mut bytes = encoded.bytes();
    while let Some(byte) = bytes.next() {
        assert!(matches!(byte, 0x20..=0x7E), "{encoded:?}");
        if byte == b'%' {
            let digits = [bytes.next(), bytes.next()];
            assert!(digits.iter().all(|digit| matches!(digit, Some(b'0'..=b'9' | b'A'..=b'F'))), "{encoded:?}");
            let escaped = digits.map(|digit| char::from(digit.unwrap_or_default()).to_digit(16).unwrap_or_default());
            let needless = matches!(escaped[0] * 16 + escaped[1], 0x20..=0x24 | 0x26..=0x7E);
            assert!(!needless, "{encoded:?} escapes what needs no escape");
        }
    }
    assert_eq!(percent_encoding::decode(encoded.as_bytes()), text);
    assert_eq!(reference::percent_decoded(encoded.as_bytes()), text);
}

/// The input is a `-bin` field line and a list of values. Reading follows RFC 4648, with and without padding; writing
/// uses no padding. One line of many values and many lines of one value read the same.
pub fn binary_metadata(data: &[u8]) {
    let expected = reference::base64_list(data);
    let read: Vec<_> = binary::decode_list(data).map(Result::ok).collect();
    assert_eq!(read, expected, "{:?}", String::from_utf8_lossy(data));
    assert_eq!(binary::is_valid_list(data), expected.iter().all(Option::is_some));
    if !data.contains(&b',') {
        assert_eq!(binary::decode(data).ok(), reference::base64_decoded(data));
    }

    let mut dice = Dice::of(data);
    let values: Vec<&[u8]> = super::cut(data).collect();
    let (mut metadata, mut line) = (Metadata::new(), Vec::new());
    for value in &values {
        let encoded = binary::encode(value);
        let unpadded = encoded.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/');
        assert!(unpadded, "{encoded:?}");
        assert_eq!(reference::base64_decoded(encoded.as_bytes()).as_deref(), Some(*value));
        metadata.append_bin("values-bin", value).unwrap();
        if !line.is_empty() {
            line.extend_from_slice([&b","[..], b", ", b" ,"][dice.below(3)]);
        }
        line.extend_from_slice(encoded.as_bytes());
        line.resize(line.len() + dice.below((4 - encoded.len() % 4) % 4 + 1), b'=');
    }
    if !values.is_empty() {
        let read: Result<Vec<_>, _> = binary::decode_list(&line).collect();
        assert_eq!(read.as_deref(), Ok(&values.iter().map(|value| value.to_vec()).collect::<Vec<_>>()[..]));
    }
    let read: Result<Vec<_>, _> = metadata.get_all_bin("values-bin").collect();
    assert_eq!(read.unwrap(), values);
    assert!(metadata.iter().eq(values.iter().map(|value| Entry::Binary("values-bin", value.to_vec()))));
}
