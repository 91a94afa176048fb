//! Rewrites a file that uses editions to proto3, which has the same grammar but for a few statements.
//!
//! <https://protobuf.dev/reference/protobuf/edition-2023-spec/>,
//! <https://protobuf.dev/reference/protobuf/edition-2024-spec/>.

/// Returns the source in proto3 if it begins with `edition`, otherwise `None`. Lines and columns stay as they are, so that
/// errors name the right place.
///
/// # Errors
///
/// A sentence, if the edition is unknown.
pub(super) fn rewrite(source: &str) -> Result<Option<String>, String> {
    let tokens: Vec<Token<'_>> = Tokens { source, at: 0 }.collect();
    let [edition, equals, value, semicolon, ..] = tokens.as_slice() else { return Ok(None) };
    if (edition.text, equals.text, semicolon.text) != ("edition", "=", ";") {
        return Ok(None);
    }
    let year = value.text.trim_matches(['"', '\'']);
    if !matches!(year, "2023" | "2024") {
        return Err(format!(
            "edition \"{year}\" is not supported, only 2023 and 2024; compile with protoc --descriptor_set_out and use \
             --descriptor-set"
        ));
    }
    let mut rewritten = Rewritten { text: source.to_owned() };
    rewritten.replace(edition, "syntax ");
    // `reserved name;` needs quotes in proto3, and says nothing about bytes.
    let mut at_statement = false;
    let mut brackets = 0_u32;
    for (index, token) in tokens.iter().enumerate() {
        let next = tokens.get(index + 1).map_or("", |next| next.text);
        match token.text {
            "reserved" if at_statement && is_name(next) => rewritten.blank_statement(&tokens[index..]),
            "import" if at_statement && next == "option" => rewritten.blank_statement(&tokens[index..]),
            "export" | "local" if at_statement && matches!(next, "message" | "enum") => {
                rewritten.blank(token.start, token.end())
            }
            // proto3 has no default values, which do not change bytes either.
            "default" if brackets > 0 && next == "=" => rewritten.replace(token, "ignored"),
            "[" => brackets += 1,
            "]" => brackets = brackets.saturating_sub(1),
            _ => {}
        }
        at_statement = matches!(token.text, ";" | "{" | "}");
    }
    // Last, because it is longer than what it replaces.
    rewritten.text.replace_range(value.start..value.end(), "\"proto3\"");
    Ok(Some(rewritten.text))
}

struct Rewritten {
    text: String,
}

impl Rewritten {
    /// Replaces a token by another of the same length.
    fn replace(&mut self, token: &Token<'_>, other: &str) {
        debug_assert_eq!(token.text.len(), other.len());
        self.text.replace_range(token.start..token.end(), other);
    }

    /// Replaces the statement that begins these tokens with spaces.
    fn blank_statement(&mut self, tokens: &[Token<'_>]) {
        let end = tokens.iter().find(|token| token.text == ";").or(tokens.last());
        if let (Some(first), Some(end)) = (tokens.first(), end) {
            self.blank(first.start, end.end());
        }
    }

    /// Replaces a range with spaces, except for its line breaks.
    fn blank(&mut self, start: usize, end: usize) {
        let spaces: String = self.text[start..end].bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' }).collect();
        self.text.replace_range(start..end, &spaces);
    }
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
