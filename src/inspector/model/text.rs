//! Texts of annotations, formatted when they are read and safe to show, whatever bytes a peer sent.
//!
//! A conversation has far more annotations than are ever displayed. A [`Text`] therefore stores a number and a format
//! function, or shares the bytes it is made from.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A text of an annotation. It contains no control characters and no bidirectional overrides, and its length is
/// limited: bytes from a peer are escaped and shortened.
#[derive(Clone)]
pub struct Text(Kind);

/// Formats a number and a second number that belongs to it.
pub(crate) type Format = fn(u64, u32, &mut fmt::Formatter<'_>) -> fmt::Result;

#[derive(Clone)]
enum Kind {
    Static(&'static str),
    Shared(Arc<str>),
    Owned(Box<str>),
    Octets(Arc<[u8]>),
    Numbers { number: u64, beside: u32, format: Format },
    Uncompressed { length: u32, name: Arc<str> },
}

impl Text {
    pub(crate) const EMPTY: Self = Self(Kind::Static(""));

    /// A text formatted from two numbers when it is read.
    pub(crate) fn format(number: u64, beside: u32, format: Format) -> Self {
        Self(Kind::Numbers { number, beside, format })
    }

    /// "uncompressed, 6 bytes: routeguide.Point".
    pub(crate) fn uncompressed(length: u32, name: Arc<str>) -> Self {
        Self(Kind::Uncompressed { length, name })
    }

    pub(crate) fn number(number: u64) -> Self {
        Self::format(number, 0, |number, _, f| write!(f, "{number}"))
    }

    pub(crate) fn signed(number: i64) -> Self {
        Self::format(number as u64, 0, |number, _, f| write!(f, "{}", number as i64))
    }

    /// "1 byte", "5 bytes".
    pub(crate) fn bytes(number: u64) -> Self {
        Self::format(number, 0, |number, _, f| write!(f, "{}", Count(number, "byte")))
    }

    /// The octets of a header's name or value.
    pub(crate) fn octets(octets: &Arc<[u8]>) -> Self {
        Self(Kind::Octets(octets.clone()))
    }

    /// Returns true if the text is empty.
    pub fn is_empty(&self) -> bool {
        match &self.0 {
            Kind::Static(text) => text.is_empty(),
            Kind::Shared(text) => text.is_empty(),
            Kind::Owned(text) => text.is_empty(),
            Kind::Octets(octets) => octets.is_empty(),
            Kind::Numbers { .. } | Kind::Uncompressed { .. } => false,
        }
    }

    /// Returns the octets that the text shows, neither escaped nor shortened.
    pub(crate) fn octets_of(&self) -> Cow<'_, [u8]> {
        match &self.0 {
            Kind::Static(text) => Cow::Borrowed(text.as_bytes()),
            Kind::Shared(text) => Cow::Borrowed(text.as_bytes()),
            Kind::Owned(text) => Cow::Borrowed(text.as_bytes()),
            Kind::Octets(octets) => Cow::Borrowed(octets),
            Kind::Numbers { .. } | Kind::Uncompressed { .. } => Cow::Owned(self.to_string().into_bytes()),
        }
    }

    /// Returns the memory that this text alone uses, without shared bytes.
    pub(crate) fn cost(&self) -> usize {
        match &self.0 {
            Kind::Owned(text) => text.len(),
            Kind::Octets(octets) => octets.len(),
            Kind::Static(_) | Kind::Shared(_) | Kind::Numbers { .. } | Kind::Uncompressed { .. } => 0,
        }
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Static(text) => f.write_str(text),
            Kind::Shared(text) => f.write_str(text),
            Kind::Owned(text) => f.write_str(text),
            Kind::Octets(octets) => write!(f, "{}", Plain(octets)),
            Kind::Numbers { number, beside, format } => format(*number, *beside, f),
            Kind::Uncompressed { length, name } => {
                write!(f, "uncompressed, {}: {name}", Count((*length).into(), "byte"))
            }
        }
    }
}

impl Default for Text {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.to_string(), f)
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        *self == *other.to_string()
    }
}

impl Eq for Text {}

impl PartialEq<str> for Text {
    fn eq(&self, other: &str) -> bool {
        match &self.0 {
            Kind::Static(text) => *text == other,
            Kind::Shared(text) => **text == *other,
            Kind::Owned(text) => **text == *other,
            Kind::Octets(_) | Kind::Numbers { .. } | Kind::Uncompressed { .. } => {
                let text = self.to_string();
                text == other
            }
        }
    }
}

impl PartialEq<&str> for Text {
    fn eq(&self, other: &&str) -> bool {
        *self == **other
    }
}

impl From<&'static str> for Text {
    fn from(text: &'static str) -> Self {
        Self(Kind::Static(text))
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self(Kind::Owned(text.into()))
    }
}

impl From<Arc<str>> for Text {
    fn from(text: Arc<str>) -> Self {
        Self(Kind::Shared(text))
    }
}

/// Bytes of a text shown in a value; longer ones are shortened.
const SHOWN: usize = 512;

/// Returns `text` between quotes, with unprintable characters escaped.
pub(crate) fn quoted(text: &str) -> String {
    let (shown, hidden) = shorten(text);
    let mut out = String::with_capacity(shown.len() + 2);
    out.push('"');
    // Writing to a String can't fail.
    let _ = escape(&mut out, shown, true);
    out.push('"');
    let _ = more(&mut out, hidden);
    out
}

/// Returns header names and values as text, with unprintable characters escaped.
pub(crate) fn plain(bytes: &[u8]) -> String {
    Plain(bytes).to_string()
}

/// As [`plain`]; borrows the text if nothing has to be escaped.
pub(crate) fn plain_text(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) if bytes.len() <= SHOWN && is_plain(text) => Cow::Borrowed(text),
        _ => Cow::Owned(plain(bytes)),
    }
}

/// Returns true if no byte needs an escape, which is so for most text.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, 0x20..=0x7e) && byte != b'"' && byte != b'\\')
}

/// Displays bytes as [`plain`] does.
pub(crate) struct Plain<'a>(pub(crate) &'a [u8]);

impl fmt::Display for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(bytes) = self;
        let head = bytes.get(..SHOWN).unwrap_or(bytes);
        for chunk in head.utf8_chunks() {
            escape(f, chunk.valid(), false)?;
            chunk.invalid().iter().try_for_each(|byte| write!(f, "\\x{byte:02x}"))?;
        }
        more(f, bytes.len() - head.len())
    }
}

/// Formats a duration to about three digits: "340 ms", "1.25 s".
pub(crate) fn time(span: Duration) -> String {
    Time(span).to_string()
}

/// Displays a duration as [`time`] does.
pub(crate) struct Time(pub(crate) Duration);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanoseconds = self.0.as_nanos();
        let (unit, name) = match nanoseconds {
            0 => return f.write_str("0 ms"),
            1..1_000 => (1, "ns"),
            1_000..1_000_000 => (1_000, "µs"),
            1_000_000..1_000_000_000 => (1_000_000, "ms"),
            _ => (1_000_000_000, "s"),
        };
        let digits = match nanoseconds / unit {
            0..10 => 2,
            10..100 => 1,
            _ => 0,
        };
        // Rounded to `digits` decimals, then expressed in hundredths.
        let hundredths = (nanoseconds * 10_u128.pow(digits) + unit / 2) / unit * 10_u128.pow(2 - digits);
        match (hundredths / 100, hundredths % 100) {
            (whole, 0) => write!(f, "{whole} {name}"),
            (whole, part) if part % 10 == 0 => write!(f, "{whole}.{} {name}", part / 10),
            (whole, part) => write!(f, "{whole}.{part:02} {name}"),
        }
    }
}

/// Formats a number with its noun: "1 byte", "5 bytes".
pub(crate) fn count(number: u64, thing: &str) -> String {
    Count(number, thing).to_string()
}

/// Displays a number with its noun as [`count`] does.
pub(crate) struct Count<'a>(pub(crate) u64, pub(crate) &'a str);

impl fmt::Display for Count<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(number, thing) = self;
        write!(f, "{number} {thing}{}", if *number == 1 { "" } else { "s" })
    }
}

fn shorten(text: &str) -> (&str, usize) {
    let mut end = SHOWN.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.split_at_checked(end).map_or((text, 0), |(shown, rest)| (shown, rest.len()))
}

fn more(out: &mut impl fmt::Write, more: usize) -> fmt::Result {
    if more > 0 { write!(out, " … {more} more bytes") } else { Ok(()) }
}

fn escape(out: &mut impl fmt::Write, text: &str, quotes: bool) -> fmt::Result {
    if is_plain(text) {
        return out.write_str(text);
    }
    text.chars().try_for_each(|c| match c {
        '\'' => out.write_char(c),
        '"' if !quotes => out.write_char(c),
        _ => c.escape_debug().try_for_each(|c| out.write_char(c)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_unchanged_except_for_escaped_control_characters() {
        assert_eq!(quoted("Berkshire Valley's \"trail\""), r#""Berkshire Valley's \"trail\"""#);
        assert_eq!(quoted("Grüße 🌍"), "\"Grüße 🌍\"");
        assert_eq!(plain(b"a\x1b[31m\r\n\xff\"'"), r#"a\u{1b}[31m\r\n\xff"'"#);
        assert_eq!(plain("x\u{202e}y".as_bytes()), "x\\u{202e}y");
        assert_eq!(Text::octets(&b"a\0"[..].into()), "a\\0");
    }

    #[test]
    fn durations_have_three_significant_digits() {
        for (nanoseconds, expected) in [
            (0, "0 ms"),
            (999, "999 ns"),
            (1_000, "1 µs"),
            (1_250, "1.25 µs"),
            (1_047_000, "1.05 ms"),
            (9_996_000, "10 ms"),
            (12_340_000, "12.3 ms"),
            (12_350_000, "12.4 ms"),
            (1_500_000_000, "1.5 s"),
            (1_005_000_000, "1.01 s"),
            (340_000_000, "340 ms"),
            (61_000_000_000, "61 s"),
            (3_600_000_000_000, "3600 s"),
        ] {
            assert_eq!(time(Duration::from_nanos(nanoseconds)), expected);
        }
    }

    #[test]
    fn long_text_is_shortened_at_a_character() {
        let long = "é".repeat(400);
        assert_eq!(quoted(&long), format!("\"{}\" … 288 more bytes", "é".repeat(256)));
        assert!(plain(&[b'x'; 600]).ends_with("x … 88 more bytes"));
        let odd = format!("x{}", "é".repeat(400));
        assert!(quoted(&odd).starts_with("\"xé"));
    }
}
