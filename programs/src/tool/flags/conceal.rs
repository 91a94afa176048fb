//! Redacts what is printed, if `--redact` names headers.
//!
//! Views print redacted frames. Findings are about the frames as they were, and may quote a header: its value is replaced.

use std::borrow::Cow;
use std::collections::BTreeSet;

use barewire::inspector::{Frame, Redaction};

/// Maximum number of values of a connection to look for in findings.
const VALUES: usize = 1_000;

/// Values are shortened to this many bytes; findings shorten them to a little more.
const LENGTH: usize = 500;

/// The redacted values of a connection.
#[derive(Debug, Default)]
pub(in crate::tool) struct Concealed {
    values: BTreeSet<String>,
}

impl Concealed {
    /// Returns the frame without its secrets, and remembers them.
    pub(in crate::tool) fn apply<'a>(&mut self, redaction: &Redaction, frame: &'a Frame) -> Cow<'a, Frame> {
        let shown = redaction.apply(frame);
        if matches!(shown, Cow::Borrowed(_)) {
            return shown;
        }
        let pairs = frame.headers.iter().zip(&shown.headers);
        for (own, _) in pairs.filter(|(own, shown)| own.value != shown.value) {
            let Some(value) = own.value.as_deref() else { continue };
            if !value.is_empty() && self.values.len() < VALUES {
                let text: String = String::from_utf8_lossy(value.get(..LENGTH).unwrap_or(value)).into_owned();
                self.values.insert(text.escape_debug().to_string());
                self.values.insert(text);
            }
        }
        shown
    }

    /// Replaces the secrets in a sentence, where they stand as words.
    pub(in crate::tool) fn conceal(&self, sentence: &str) -> String {
        let mut out = sentence.to_owned();
        // The longest first, because a value may be a part of another.
        let mut values: Vec<&String> = self.values.iter().collect();
        values.sort_by_key(|value| std::cmp::Reverse(value.len()));
        for value in values {
            let mut from = 0;
            while let Some(at) = out.get(from..).and_then(|rest| rest.find(value.as_str())).map(|at| from + at) {
                let end = at + value.len();
                let joins = |edge: Option<char>| edge.is_some_and(char::is_alphanumeric);
                let within = |inner: Option<char>, outer: Option<char>| joins(inner) && joins(outer);
                let is_word = !within(value.chars().next(), out[..at].chars().next_back())
                    && !within(value.chars().next_back(), out[end..].chars().next());
                if is_word || value.len() >= LENGTH {
                    out.replace_range(at..end, "redacted");
                    from = at + "redacted".len();
                } else {
                    from = end;
                }
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_values_are_replaced_as_whole_words() {
        let values = ["5", "top secret", "a\"b"].map(str::to_owned).into();
        let concealed = Concealed { values };
        for (sentence, shown) in [
            ("grpc-status is 5", "grpc-status is redacted"),
            ("bytes 5..15: \"5\" of 25", "bytes redacted..15: \"redacted\" of 25"),
            ("\"top secret\" is not one", "\"redacted\" is not one"),
            ("\"a\"b\" and atop secrets", "\"redacted\" and atop secrets"),
        ] {
            assert_eq!(concealed.conceal(sentence), shown);
        }
    }
}
