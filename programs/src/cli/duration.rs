//! Durations in the form of Go's `time.ParseDuration`: `300ms`, `2s`, `5m`, `1h30m`, `1.5s`, `0`.

use std::time::Duration;

/// The units, with their lengths in nanoseconds. A unit that begins another one comes after it.
const UNITS: [(&str, u128); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// The longest duration of Go, about 292 years, in nanoseconds.
const LONGEST: u128 = i64::MAX as u128;

/// The most digits of a number; more of a fraction would be less than a nanosecond of an hour.
const DIGITS: usize = 18;

const FORM: &str = "use a number with a unit, such as 300ms, 2s, 5m or 1h30m";

/// Parses a duration. `0` needs no unit.
///
/// # Errors
///
/// A text for the user that gives the form.
pub fn duration(text: &str) -> Result<Duration, String> {
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest.starts_with('-') {
        return Err("must not be negative".to_owned());
    }
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    let invalid = || FORM.to_owned();
    let mut nanos: u128 = 0;
    if rest.is_empty() {
        return Err(invalid());
    }
    while !rest.is_empty() {
        let (whole, behind) = digits(rest);
        let (fraction, behind) = match behind.strip_prefix('.') {
            Some(behind) => digits(behind),
            None => ("", behind),
        };
        if whole.is_empty() && fraction.is_empty() {
            return Err(invalid());
        }
        let (unit, behind) =
            UNITS.iter().find_map(|(name, unit)| Some((unit, behind.strip_prefix(name)?))).ok_or_else(invalid)?;
        let number = |digits: &str| format!("0{digits}").parse::<u128>().ok();
        let too_long = || "is too long: at most 2540400h".to_owned();
        if whole.len() > DIGITS {
            return Err(too_long());
        }
        let fraction = &fraction[..fraction.len().min(DIGITS)];
        let scale = 10u128.pow(fraction.len() as u32);
        nanos += number(whole).ok_or_else(invalid)? * unit + number(fraction).ok_or_else(invalid)? * unit / scale;
        if nanos > LONGEST {
            return Err(too_long());
        }
        rest = behind;
    }
    Ok(Duration::from_nanos(u64::try_from(nanos).map_err(|_| invalid())?))
}

/// Splits a text behind its leading digits.
fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_parsed_as_in_go() {
        for (text, nanos) in [
            ("0", 0),
            ("+0", 0),
            ("0s", 0),
            ("1ns", 1),
            ("11us", 11_000),
            ("11µs", 11_000),
            ("11μs", 11_000),
            ("300ms", 300_000_000),
            ("2s", 2_000_000_000),
            ("+5s", 5_000_000_000),
            ("5m", 300_000_000_000),
            ("1h30m", 5_400_000_000_000),
            ("1.5s", 1_500_000_000),
            (".5h", 1_800_000_000_000),
            ("5.s", 5_000_000_000),
            ("3h2m1s7ms", 10_921_007_000_000),
            ("0.3333333333333333333333h", 1_200_000_000_000 - 1),
            ("2540400h", 9_145_440_000_000_000_000),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_nanos(nanos)), "{text}");
        }
    }

    #[test]
    fn errors_give_the_form() {
        for text in ["", "3", "+", ".", ".s", "s", "1x", "1 s", "1h30", "x5m", "0x5s", "1e3s", "١s", "5m-3s", "1s "] {
            assert_eq!(duration(text), Err(FORM.to_owned()), "{text}");
        }
        assert_eq!(duration("-5m").unwrap_err(), "must not be negative");
        for text in ["2562048h", "9999999999999999999s", "999999999999999999h"] {
            assert_eq!(duration(text).unwrap_err(), "is too long: at most 2540400h", "{text}");
        }
    }
}
