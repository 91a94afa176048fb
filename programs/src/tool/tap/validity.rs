//! The time for which a certificate is valid, read from its DER (RFC 5280, section 4.1).
//!
//! ```text
//! Certificate    → SEQUENCE { TBSCertificate … }
//! TBSCertificate → SEQUENCE { [0] version, serialNumber, signature, issuer, validity, … }
//! Validity       → SEQUENCE { notBefore Time, notAfter Time }       UTCTime or GeneralizedTime, in UTC
//! ```

use std::ops::Range;

const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

const DAY: i64 = 24 * 60 * 60;

/// Returns the first and the last second at which a certificate is valid, since 1970; `None` if it is malformed.
pub(super) fn validity(certificate: &[u8]) -> Option<Range<i64>> {
    let mut to_be_signed = sequence(sequence(certificate)?)?;
    if to_be_signed.first() == Some(&VERSION) {
        (_, to_be_signed) = element(to_be_signed)?;
    }
    for _ in ["serialNumber", "signature", "issuer"] {
        (_, to_be_signed) = element(to_be_signed)?;
    }
    let (from, rest) = element(sequence(to_be_signed)?)?;
    let (to, _) = element(rest)?;
    Some(time(from)?..time(to)?)
}

/// Returns the content of the sequence that comes first.
fn sequence(bytes: &[u8]) -> Option<&[u8]> {
    let ((tag, content), _) = element(bytes)?;
    (tag == SEQUENCE).then_some(content)
}

/// The tag and the content of an element.
type Element<'a> = (u8, &'a [u8]);

/// Returns the first element, and the bytes after it.
fn element(bytes: &[u8]) -> Option<(Element<'_>, &[u8])> {
    let (tag, rest) = bytes.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        short @ 0..0x80 => (usize::from(*short), rest),
        long => {
            let (digits, rest) = rest.split_at_checked(usize::from(long & 0x7f)).filter(|(it, _)| it.len() <= 4)?;
            (digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)), rest)
        }
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some(((*tag, content), rest))
}

/// Parses YYMMDDHHMMSSZ or YYYYMMDDHHMMSSZ.
fn time((tag, text): Element<'_>) -> Option<i64> {
    let digits = text.strip_suffix(b"Z").filter(|digits| digits.iter().all(u8::is_ascii_digit))?;
    let (year, rest) = digits.split_at_checked(digits.len().checked_sub(10)?)?;
    let number = |digits: &[u8]| digits.iter().fold(0, |number, digit| 10 * number + i64::from(digit - b'0'));
    let year = match (tag, year.len(), number(year)) {
        (UTC_TIME, 2, year @ 50..) => 1900 + year,
        (UTC_TIME, 2, year) => 2000 + year,
        (GENERALIZED_TIME, 4, year) => year,
        _ => return None,
    };
    let parts: Vec<i64> = rest.chunks(2).map(number).collect();
    let [month @ 1..=12, day @ 1..=31, hour, minute, second] = parts[..] else { return None };
    Some(days(year, month, day) * DAY + 3600 * hour + 60 * minute + second)
}

/// Returns the days from 1 January 1970. Years begin in March here, so that a leap day is the last of its year.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    // 1 March of the year 0 is 719,468 days before 1970; months from March on have 153 days in five.
    365 * year + leap_days + (153 * month + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    #[test]
    fn validity_of_a_certificate_is_read() {
        for (from, to) in
            [((1999, 12, 31), (2049, 12, 31)), ((2024, 2, 29), (2050, 3, 1)), ((1970, 1, 1), (2100, 2, 28))]
        {
            let mut params = CertificateParams::new(["a.example".to_owned()]).unwrap();
            let [from, to] = [from, to].map(|(year, month, day)| date_time_ymd(year, month, day));
            (params.not_before, params.not_after) = (from, to);
            let signed = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
            let expected = from.unix_timestamp()..to.unix_timestamp();
            assert_eq!(validity(signed.der()), Some(expected));
            for end in 0..signed.der().len() {
                assert_eq!(validity(&signed.der()[..end]), None, "a part of a certificate");
            }
        }
    }
}
