//! Text from files and peers for a terminal.

/// Returns true for characters that neither control a terminal nor change the direction of the text around them.
pub fn is_plain(c: char) -> bool {
    let directs = matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    // The two separators of Unicode end a line, too.
    !c.is_control() && !directs && !matches!(c, '\u{2028}' | '\u{2029}')
}

/// Returns text on one line: what is not plain becomes a single space.
pub fn plain(text: &str) -> String {
    let words = text.split(|c: char| !is_plain(c)).map(str::trim).filter(|words| !words.is_empty());
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_and_bidi_marks_are_removed() {
        assert_eq!(plain("a \n\t b\r\nc\u{1b}[2J\n\u{9b}31m"), "a b c [2J 31m");
        for c in "\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2066}\u{2067}\u{2068}\u{2069}\u{200e}\u{200f}\u{61c}\u{7f}"
            .chars()
        {
            assert_eq!(plain(&format!("x{c}y")), "x y", "{c:?}");
        }
        assert_eq!(plain("Grüße 🌍 שלום"), "Grüße 🌍 שלום");
    }
}
