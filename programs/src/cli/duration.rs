//! Durations in the notation of Go's `time.ParseDuration`.

use std::time::Duration;

/// The units, in nanoseconds. The micro sign (U+00B5) and the Greek letter mu (U+03BC) look the same.
const UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("\u{b5}s", 1_000),
    ("\u{3bc}s", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// Digits behind a decimal point that matter: a longer fraction of an hour is less than a nanosecond.
const FRACTION: usize = 18;

/// Parses a duration such as `300ms`, `1.5s` or `1h30m`: numbers, each with its unit, and `0` without one. Like Go's, it is at
/// most some 292 years.
///
/// # Errors
///
/// A line that shows valid forms, for any other text and for negative durations.
pub fn duration(text: &str) -> Result<Duration, String> {
    nanoseconds(text.strip_prefix('+').unwrap_or(text)).map(Duration::from_nanos).ok_or_else(|| {
        "a duration is a number with its unit (ns, us, ms, s, m, h), such as 300ms, 2s, 5m or 1h30m".to_owned()
    })
}

/// Like [`duration`], but refuses zero.
///
/// # Errors
///
/// A line that shows valid forms.
pub fn positive_duration(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err("the duration must be longer than 0s".to_owned()),
        duration => Ok(duration),
    }
}

fn nanoseconds(text: &str) -> Option<u64> {
    if text == "0" {
        return Some(0);
    }
    let (mut rest, mut sum) = (text, 0_u64);
    while !rest.is_empty() || text.is_empty() {
        let (number, behind) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit() && c != '.')?);
        let end = behind.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(behind.len());
        let (unit, next) = behind.split_at(end);
        let (_, nanoseconds) = UNITS.into_iter().find(|(name, _)| *name == unit)?;
        sum = sum.checked_add(product(number, nanoseconds)?)?;
        rest = next;
    }
    i64::try_from(sum).is_ok().then_some(sum)
}

/// Multiplies a decimal number by a unit.
fn product(number: &str, unit: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let digits = |text: &str| if text.is_empty() { Some(0) } else { text.parse::<u64>().ok() };
    let (fraction, _) = fraction.split_at_checked(FRACTION).filter(|_| fraction.is_ascii()).unwrap_or((fraction, ""));
    let scale = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
    let part = u128::from(digits(fraction)?) * u128::from(unit) / scale;
    digits(whole)?.checked_mul(unit)?.checked_add(u64::try_from(part).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_reads_them() {
        for (text, nanoseconds) in [
            ("0", 0),
            ("0s", 0),
            ("+5s", 5_000_000_000),
            ("300ms", 300_000_000),
            ("2s", 2_000_000_000),
            ("5m", 300_000_000_000),
            ("1h30m", 5_400_000_000_000),
            ("1.5s", 1_500_000_000),
            (".5s", 500_000_000),
            ("5.s", 5_000_000_000),
            ("1h15m30.918273645s", 4_530_918_273_645),
            ("10ns", 10),
            ("11us", 11_000),
            ("12\u{b5}s12\u{3bc}s", 24_000),
            ("0.100000000000000000000h", 360_000_000_000),
            ("0.9223372036854775807h", 3_320_413_933_267),
            ("9223372036854775807ns", 9_223_372_036_854_775_807),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_nanos(nanoseconds)), "{text}");
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "3",
            "-5s",
            "s",
            ".",
            "-.5s",
            "1x",
            "1 s",
            "x",
            "5s3",
            ".s",
            "+",
            "++5s",
            "1.1.1s",
            "1d",
            "1S",
            "9223372036854775808ns",
            "3000000h",
            "18446744073709551616s",
            "5\u{e9}",
            "1.\u{e9}s",
        ] {
            let error = duration(text).expect_err(text);
            assert!(error.contains("300ms") && error.lines().count() == 1, "{error}");
        }
        assert!(positive_duration("0s").is_err_and(|error| error.contains("longer than 0s")));
        assert_eq!(positive_duration("1ns"), Ok(Duration::from_nanos(1)));
    }
}
