//! Parses Rust source as far as the rules of `layering.rs` need it: tokens, their lines, attributes, paths, unit tests.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// A parsed file.
pub struct Source {
    /// The path, for example `src/wire/mod.rs` or `programs/src/cli/mod.rs`.
    pub path: String,
    /// The whole text.
    pub text: String,
    /// The code without comments; strings are reduced to their quotes.
    pub tokens: Vec<Token>,
    /// The token ranges of `#[…]` and `#![…]`.
    pub attributes: Vec<Range<usize>>,
    /// The token ranges of `mod … { … }`.
    inline: Vec<Range<usize>>,
    /// The token ranges of unit tests: `#[cfg(test)] mod … { … }`.
    tests: Vec<Range<usize>>,
    /// True if the whole file is a unit test, by a `#[cfg(test)] mod …;` elsewhere, or by its name.
    is_test: bool,
}

/// A word, `::`, or a single other character.
pub struct Token {
    /// The text of the token.
    pub text: String,
    /// The line of the token, from 1.
    pub line: usize,
}

/// Returns every file of the library, below `src/`.
pub fn library() -> &'static [Source] {
    static LIBRARY: LazyLock<Vec<Source>> = LazyLock::new(|| read("src"));
    &LIBRARY
}

/// Returns every file of the programs, below `programs/src/`.
pub fn programs() -> &'static [Source] {
    static PROGRAMS: LazyLock<Vec<Source>> = LazyLock::new(|| read("programs/src"));
    &PROGRAMS
}

/// Returns every file of the generator, below `barewire-build/src/`.
pub fn generator() -> &'static [Source] {
    static GENERATOR: LazyLock<Vec<Source>> = LazyLock::new(|| read("barewire-build/src"));
    &GENERATOR
}

fn read(folder: &str) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sources: Vec<Source> = files(&root.join(folder))
        .iter()
        .map(|path| {
            let name = path.strip_prefix(root).expect("it is below").to_string_lossy().replace('\\', "/");
            Source::new(&name, &fs::read_to_string(path).expect("source can be read"))
        })
        .collect();
    let tests: Vec<Vec<String>> = sources.iter().flat_map(Source::test_modules).collect();
    for source in &mut sources {
        source.is_test =
            source.path.ends_with("_tests.rs") || tests.iter().any(|module| source.module().starts_with(module));
    }
    sources
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder can be read") {
        let path = entry.expect("a folder can be read").path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false if path.extension().is_some_and(|extension| extension == "rs") => found.push(path),
            false => {}
        }
    }
    found.sort();
    found
}

impl Source {
    /// Reads a file.
    pub fn new(path: &str, text: &str) -> Source {
        let mut source = Source {
            path: path.to_owned(),
            text: text.to_owned(),
            tokens: tokens(text),
            attributes: Vec::new(),
            inline: Vec::new(),
            tests: Vec::new(),
            is_test: false,
        };
        source.attributes = source.find_attributes();
        source.inline = source.find_inline();
        let inline = source.test_items().into_iter().filter(|(_, name)| source.word(name + 1) == "{");
        source.tests = inline.map(|(start, name)| start..source.closing(name + 1)).collect();
        source
    }

    /// Returns the path below `src/`.
    fn below_src(&self) -> &str {
        let package = ["programs/", "barewire-build/"].iter().find_map(|package| self.path.strip_prefix(package));
        let path = package.unwrap_or(&self.path);
        path.strip_prefix("src/").unwrap_or(path)
    }

    /// Returns the top-level module that the file belongs to; `None` for `lib.rs` and files in `bin/`.
    pub fn top_module(&self) -> Option<&str> {
        let rest = self.below_src();
        let module = rest.split('/').next().map(|name| name.trim_end_matches(".rs"))?;
        (module != "lib" && module != "bin").then_some(module)
    }

    /// Returns the path of the file's module.
    pub fn module(&self) -> Vec<String> {
        let path = self.below_src().trim_end_matches(".rs");
        path.split('/').filter(|name| !["mod", "lib"].contains(name)).map(str::to_owned).collect()
    }

    /// Returns the path of the module around a token: the file's, or that of a `mod … { … }` in it.
    fn module_at(&self, place: usize) -> Vec<String> {
        let inline = self.inline.iter().filter(|range| range.contains(&place));
        self.module().into_iter().chain(inline.map(|range| self.word(range.start + 1).to_owned())).collect()
    }

    /// Returns the tokens outside unit tests.
    pub fn product(&self) -> impl Iterator<Item = &Token> {
        self.product_places().map(|place| &self.tokens[place])
    }

    fn product_places(&self) -> impl Iterator<Item = usize> {
        (0..self.tokens.len()).filter(|place| self.is_product(*place))
    }

    /// Returns true if the token at this place is outside all unit tests.
    pub fn is_product(&self, place: usize) -> bool {
        !self.is_test && !self.tests.iter().any(|range| range.contains(&place))
    }

    /// Returns the number of lines outside unit tests, including documentation and empty lines.
    pub fn product_lines(&self) -> usize {
        let all = self.text.lines().count();
        let line = |place: usize| self.tokens.get(place).map_or(all, |token| token.line);
        let tests = self.tests.iter().map(|range| line(range.end - 1) + 1 - line(range.start));
        if self.is_test { 0 } else { all - tests.sum::<usize>() }
    }

    fn find_inline(&self) -> Vec<Range<usize>> {
        let begins = |place: &usize| self.word(*place) == "mod" && self.word(place + 2) == "{";
        (0..self.tokens.len()).filter(begins).map(|place| place..self.closing(place + 2)).collect()
    }

    fn find_attributes(&self) -> Vec<Range<usize>> {
        let bracket = |place: usize| if self.word(place + 1) == "!" { place + 2 } else { place + 1 };
        let begins = |place: &usize| self.word(*place) == "#" && self.word(bracket(*place)) == "[";
        (0..self.tokens.len()).filter(begins).map(|place| place..self.closing(bracket(place))).collect()
    }

    /// Returns the modules that the file declares: `mod …;`.
    fn declared(&self) -> Vec<&str> {
        let declares = |place: &usize| self.word(*place) == "mod" && self.word(place + 2) == ";";
        (0..self.tokens.len()).filter(declares).map(|place| self.word(place + 1)).collect()
    }

    /// Returns the paths of this crate that the code names, from the crate's root: paths that begin there, at a module around
    /// this one, or at a child module.
    pub fn paths(&self) -> Vec<Vec<String>> {
        self.paths_at(|_| true)
    }

    /// Returns the paths that the code uses: those of [`Source::paths`] that it does not only re-export. A name that is
    /// re-exported and also used in the code counts.
    pub fn used(&self) -> Vec<Vec<String>> {
        let handed_on = self.re_exports();
        let is_handed_on = |place: usize| handed_on.iter().any(|(lines, _)| lines.contains(&place));
        let stands = |path: &Vec<String>| {
            path.last().is_some_and(|name| {
                self.product_places()
                    .any(|at| self.word(at) == name && !is_handed_on(at) && (at == 0 || self.word(at - 1) != "mod"))
            })
        };
        let names = handed_on.iter().flat_map(|(_, paths)| paths).filter(|path| stands(path)).cloned();
        self.paths_at(|place| !is_handed_on(place)).into_iter().chain(names).collect()
    }

    /// Returns the paths of the `pub use` lines, from the crate's root, with the token range of each line.
    pub fn re_exports(&self) -> Vec<(Range<usize>, Vec<Vec<String>>)> {
        let is_public = |place: usize| match place.checked_sub(1).map(|before| self.word(before)) {
            Some("pub") => true,
            // `pub(crate) use`
            Some(")") => place >= 4 && self.word(place - 4) == "pub",
            _ => false,
        };
        let begins = self.product_places().filter(|place| self.word(*place) == "use" && is_public(*place));
        let end = |place: usize| (place..self.tokens.len()).find(|at| self.word(*at) == ";").unwrap_or(place);
        let lines: Vec<Range<usize>> = begins.map(|place| place..end(place)).collect();
        lines.into_iter().map(|line| (line.clone(), self.paths_at(|place| line.contains(&place)))).collect()
    }

    fn paths_at(&self, asked: impl Fn(usize) -> bool) -> Vec<Vec<String>> {
        let (mut found, declared) = (Vec::new(), self.declared());
        for place in self.product_places().filter(|place| asked(*place)) {
            let word = self.word(place);
            let known = ["crate", "super", "self"].contains(&word) || declared.contains(&word);
            let begins = known && self.word(place + 1) == "::";
            // `a::self::…` does not begin here, and `pub(in crate::…)` says who may use, not what is used.
            let before = |back: usize| place.checked_sub(back).map_or("", |place| self.word(place));
            let is_visibility = before(1) == "in" && before(2) == "(";
            if begins && before(1) != "::" && !is_visibility {
                let base = if self.word(place) == "crate" { Vec::new() } else { self.module_at(place) };
                self.branch(place, &base, &mut found);
            }
        }
        found
    }

    /// Returns the paths of the `use` lines, as written.
    pub fn uses(&self) -> Vec<Vec<String>> {
        let mut found = Vec::new();
        for place in self.product_places().filter(|place| self.word(*place) == "use") {
            self.branch(place + 1, &[], &mut found);
        }
        found
    }

    /// Expands a path with groups, `{…}`. Returns the position after it.
    fn branch(&self, mut place: usize, base: &[String], found: &mut Vec<Vec<String>>) -> usize {
        let mut path = base.to_vec();
        loop {
            match self.word(place) {
                "{" => {
                    let end = self.closing(place);
                    place += 1;
                    while place < end - 1 {
                        place = self.branch(place, &path, found);
                        while place < end - 1 && self.word(place) != "," {
                            place += 1; // `as name`
                        }
                        place += 1;
                    }
                    return end;
                }
                "crate" | "self" | "*" => {}
                "super" => drop(path.pop()),
                word if word.starts_with(is_word) => path.push(word.to_owned()),
                _ => break,
            }
            place += 1;
            if self.word(place) != "::" {
                break;
            }
            place += 1;
        }
        found.push(path);
        place
    }

    /// Returns the modules of `#[cfg(test)] mod …;`.
    fn test_modules(&self) -> Vec<Vec<String>> {
        let files = self.test_items().into_iter().filter(|(_, name)| self.word(name + 1) == ";");
        files.map(|(_, name)| [self.module(), vec![self.word(name).to_owned()]].concat()).collect()
    }

    /// Returns the positions of each `#[cfg(test)] mod …` and of its name.
    fn test_items(&self) -> Vec<(usize, usize)> {
        let says = |range: &Range<usize>| range.clone().map(|place| self.word(place)).collect::<String>();
        let tests = self.attributes.iter().filter(|attribute| says(attribute) == "#[cfg(test)]");
        let items = tests.map(|attribute| (attribute.start, self.item(attribute)));
        items.filter(|(_, item)| self.word(*item) == "mod").map(|(start, item)| (start, item + 1)).collect()
    }

    /// Returns the position of the item that an attribute belongs to, after all its attributes.
    pub fn item(&self, attribute: &Range<usize>) -> usize {
        let mut item = attribute.end;
        while let Some(next) = self.attributes.iter().find(|next| next.start == item) {
            item = next.end;
        }
        item
    }

    /// Returns the position after the bracket that closes this one.
    pub fn closing(&self, open: usize) -> usize {
        let mut depth = 0;
        for place in open..self.tokens.len() {
            match self.word(place) {
                "(" | "[" | "{" => depth += 1,
                ")" | "]" | "}" => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return place + 1;
            }
        }
        self.tokens.len()
    }

    /// Returns the text of the token at this place; empty after the last.
    pub fn word(&self, place: usize) -> &str {
        self.tokens.get(place).map_or("", |token| token.text.as_str())
    }
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// Splits code into tokens, without comments and without the contents of strings and characters.
fn tokens(text: &str) -> Vec<Token> {
    let (mut found, mut rest, mut line) = (Vec::new(), text, 1);
    while let Some(first) = rest.chars().next() {
        let length = match rest {
            _ if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            _ if rest.starts_with("/*") => comment(rest),
            _ if first == '\'' => character(rest),
            _ => literal(rest).unwrap_or(0),
        };
        let (token, length) = match length {
            0 if first.is_whitespace() => (None, first.len_utf8()),
            0 if is_word(first) => {
                let end = rest.find(|character| !is_word(character)).unwrap_or(rest.len());
                (Some(&rest[..end]), end)
            }
            0 if rest.starts_with("::") => (Some("::"), 2),
            0 => (Some(&rest[..first.len_utf8()]), first.len_utf8()),
            length if rest.starts_with('/') => (None, length),
            length => (Some("\""), length),
        };
        found.extend(token.map(|text| Token { text: text.to_owned(), line }));
        line += rest[..length].matches('\n').count();
        rest = &rest[length..];
    }
    found
}

/// Returns the length of a block comment, which may be nested.
fn comment(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        match text.as_bytes().get(at..at + 2) {
            Some(b"/*") => (depth, at) = (depth + 1, at + 2),
            Some(b"*/") => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    text.len()
}

/// Returns the length of a character literal, or of the quote of a lifetime.
fn character(text: &str) -> usize {
    let mut characters = text.char_indices().skip(1);
    match (characters.next(), characters.next()) {
        (Some((_, '\\')), Some((at, escaped))) => {
            let after = at + escaped.len_utf8();
            text[after..].find('\'').map_or(text.len(), |end| after + end + 1)
        }
        (_, Some((at, '\''))) => at + 1,
        _ => 0,
    }
}

/// Returns the length of a string literal of any kind, if one begins here.
fn literal(text: &str) -> Option<usize> {
    let start = ["", "b", "c"].into_iter().map(str::len).find(|start| {
        let (prefix, rest) = text.split_at_checked(*start).unwrap_or(("", ""));
        ["", "b", "c"].contains(&prefix) && (rest.starts_with('"') || is_raw(rest))
    })?;
    let rest = &text[start..];
    if let Some(raw) = rest.strip_prefix('r') {
        let fence = &raw[..raw.find('"')?];
        let body = start + 1 + fence.len() + 1;
        let close = format!("\"{fence}");
        return Some(text[body..].find(&close).map_or(text.len(), |end| body + end + close.len()));
    }
    let mut escaped = false;
    for (at, character) in rest.char_indices().skip(1) {
        match character {
            '"' if !escaped => return Some(start + at + 1),
            _ => escaped = character == '\\' && !escaped,
        }
    }
    Some(text.len())
}

fn is_raw(text: &str) -> bool {
    text.strip_prefix('r').is_some_and(|rest| rest.trim_start_matches('#').starts_with('"'))
}
