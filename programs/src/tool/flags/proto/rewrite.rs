//! Rewrites a `.proto` file to the grammar that the compiler knows.
//!
//! A file with an edition becomes proto3, which has the same grammar but for a few statements:
//! <https://protobuf.dev/reference/protobuf/edition-2023-spec/>,
//! <https://protobuf.dev/reference/protobuf/edition-2024-spec/>.

use std::ops::Range;

/// The editions that differ from each other in nothing that changes how bytes are decoded.
const EDITIONS: [&str; 3] = ["2023", "2024", "2026"];

/// A file that the compiler can parse. Its lines are those of the original, so that errors name the right one.
pub(super) struct Rewritten {
    pub(super) text: String,
    /// True if the file used an edition, and now says proto3.
    pub(super) was_edition: bool,
}

/// Rewrites a file.
///
/// # Errors
///
/// A sentence, if the edition is unknown.
pub(super) fn rewrite(source: &str) -> Result<Rewritten, String> {
    let tokens: Vec<Token<'_>> = Tokens { source, at: 0 }.collect();
    let edition = edition(&tokens)?;
    let mut text = source.to_owned();
    // From the end, so that the places of the tokens before stay right.
    for index in (0..tokens.len()).rev() {
        let rest = &tokens[index..];
        let at_statement = index == 0 || matches!(tokens[index - 1].text, ";" | "{" | "}");
        let texts = (rest[0].text, rest.get(1).map_or("", |next| next.text));
        let blanked = match texts {
            // The compiler does not know options of a single extension number.
            ("extensions", _) if at_statement => options_of(rest),
            // An option, which does not change bytes. It may have a value that only proto2 allows.
            ("default", "=") if edition.is_some() && !at_statement => {
                let end = until(rest, &[",", "]"]);
                text.replace_range(rest[0].start..end, &format!("ignored = 0{}", blank(&source[rest[0].start..end])));
                continue;
            }
            // Names without quotes, which proto3 does not allow, and which do not change bytes.
            ("reserved", next) if edition.is_some() && at_statement && is_name(next) => {
                rest[0].start..until(rest, &[";"]) + 1
            }
            ("import", "option") if at_statement => rest[0].start..until(rest, &[";"]) + 1,
            ("export" | "local", "message" | "enum") if at_statement => rest[0].start..rest[0].end(),
            _ => continue,
        };
        let blanked = blanked.start..blanked.end.min(text.len());
        text.replace_range(blanked.clone(), &blank(&source[blanked]));
    }
    if let Some(Statement(range)) = &edition {
        text.replace_range(range.clone(), "syntax = \"proto3\"");
    }
    Ok(Rewritten { text, was_edition: edition.is_some() })
}

/// The place of `edition = "…"`.
struct Statement(Range<usize>);

fn edition(tokens: &[Token<'_>]) -> Result<Option<Statement>, String> {
    let [edition, equals, value, ..] = tokens else { return Ok(None) };
    if (edition.text, equals.text) != ("edition", "=") {
        return Ok(None);
    }
    let year = value.text.trim_matches(['"', '\'']);
    match EDITIONS.contains(&year) {
        true => Ok(Some(Statement(edition.start..value.end()))),
        false => Err(format!(
            "edition \"{year}\" is not supported, only {}; compile with protoc --descriptor_set_out and use --descriptor-set",
            EDITIONS.join(", ")
        )),
    }
}

/// Returns the place of the options in brackets within the statement that begins these tokens.
fn options_of(tokens: &[Token<'_>]) -> Range<usize> {
    let end = until(tokens, &["[", ";"]);
    let Some(open) = tokens.iter().position(|token| token.start == end && token.text == "[") else { return end..end };
    let mut depth = 0;
    let close = tokens[open..].iter().find(|token| {
        depth += i32::from(token.text == "[") - i32::from(token.text == "]");
        depth == 0
    });
    end..close.or(tokens.last()).map_or(end, Token::end)
}

/// Returns the start of the first token with one of these texts, or the end of the last token.
fn until(tokens: &[Token<'_>], texts: &[&str]) -> usize {
    let found = tokens.iter().find(|token| texts.contains(&token.text)).map(|token| token.start);
    found.or(tokens.last().map(Token::end)).unwrap_or_default()
}

/// Returns the line breaks of a text, and a space.
fn blank(text: &str) -> String {
    std::iter::once(' ').chain(text.chars().filter(|letter| *letter == '\n')).collect()
}

fn is_name(text: &str) -> bool {
    text.starts_with(|letter: char| letter.is_ascii_alphabetic() || letter == '_')
}

struct Token<'a> {
    text: &'a str,
    start: usize,
}

impl Token<'_> {
    fn end(&self) -> usize {
        self.start + self.text.len()
    }
}

/// The tokens of a file: names and numbers, strings, and single characters. Comments and white space separate them.
struct Tokens<'a> {
    source: &'a str,
    at: usize,
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        loop {
            let rest = &self.source[self.at..];
            let first = rest.chars().next()?;
            let length = match first {
                _ if first.is_whitespace() => first.len_utf8(),
                _ if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
                _ if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
                _ => break,
            };
            self.at += length;
        }
        let rest = &self.source[self.at..];
        let first = rest.chars().next()?;
        let is_word = |letter: char| letter.is_alphanumeric() || letter == '_';
        let length = match first {
            '"' | '\'' => string_length(rest, first),
            _ if is_word(first) => rest.find(|letter| !is_word(letter)).unwrap_or(rest.len()),
            _ => first.len_utf8(),
        };
        let token = Token { text: &rest[..length], start: self.at };
        self.at += length;
        Some(token)
    }
}

/// Returns the length of the string that begins the text, with its quotes. Without a closing quote, it ends with the text.
fn string_length(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, letter) in text.char_indices().skip(1) {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if letter == quote => return at + quote.len_utf8(),
            _ => {}
        }
    }
    text.len()
}
