//! HTTP/1.1 before HTTP/2 (RFC 9112; RFC 7540, section 3.2; RFC 9110, section 9.3.6): the heads of messages, and their
//! lines.
//!
//! ```text
//! message → (request line / status line) *(name ":" value CRLF) CRLF body
//! body    → content-length octets / *(size CRLF octets CRLF) "0" CRLF *(line CRLF) CRLF
//! ```

use std::ops::Range;
use std::sync::Arc;

use super::headers::base64;
use crate::inspector::model::annotation::{Annotation, Layer, Part, Rule};
use crate::inspector::model::frame::{Frame, HIDDEN_LINES, HTTP1, HeaderField, UNKNOWN_NAME};
use crate::inspector::model::text::{self, Text};
use crate::inspector::model::tree::Tree;
use crate::wire::http2::settings;

/// The longest head of a message that is buffered.
pub(super) const LONGEST_HEAD: usize = 16 << 10;

/// The longest name of a header; a longer one is not a header.
const LONGEST_NAME: usize = 256;

/// The longest method of a request.
const LONGEST_METHOD: usize = 32;

/// The result of searching for the end of something that arrives in pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scan {
    /// The bytes are something else.
    Other,
    /// More bytes are needed.
    More,
    /// It ends before this offset.
    Until(usize),
}

/// Returns true if the bytes can begin a message, or its beginning.
pub(super) fn begins(bytes: &[u8], is_response: bool) -> bool {
    if is_response { status_line(bytes) } else { request_line(bytes) }
}

/// Searches for the end of a message's head; the first `searched` bytes do not contain it.
pub(super) fn head(bytes: &[u8], searched: &mut usize, is_response: bool) -> Scan {
    if !begins(bytes, is_response) {
        return Scan::Other;
    }
    let mut at = *searched;
    while let Some(found) = bytes.get(at..LONGEST_HEAD.min(bytes.len())).and_then(line_feed) {
        let end = at + found + 1;
        match bytes.get(end..) {
            Some([b'\n', ..]) => return Scan::Until(end + 1),
            Some([b'\r', b'\n', ..]) => return Scan::Until(end + 2),
            Some([] | [b'\r']) => {
                *searched = at + found;
                return Scan::More;
            }
            _ => at = end,
        }
    }
    *searched = bytes.len().max(at);
    if bytes.len() < LONGEST_HEAD { Scan::More } else { Scan::Other }
}

fn line_feed(bytes: &[u8]) -> Option<usize> {
    bytes.iter().position(|byte| *byte == b'\n')
}

/// Returns true if the bytes can begin a request of HTTP/1: method, target, version.
fn request_line(bytes: &[u8]) -> bool {
    let method = bytes.iter().take_while(|byte| byte.is_ascii_uppercase() || **byte == b'-').count();
    let Some(rest) = bytes.get(method..).filter(|rest| !rest.is_empty()) else { return method <= LONGEST_METHOD };
    let Some(rest) = rest.strip_prefix(b" ").filter(|_| (1..=LONGEST_METHOD).contains(&method)) else { return false };
    let target = rest.iter().take_while(|byte| !matches!(byte, 0..=0x20 | 0x7f)).count();
    let Some(rest) = rest.get(target..).filter(|rest| !rest.is_empty()) else { return target <= LONGEST_HEAD };
    let Some(rest) = rest.strip_prefix(b" ").filter(|_| target > 0) else { return false };
    version(rest).is_some_and(|rest| matches!(rest, [] | [b'\r'] | [b'\r', b'\n', ..] | [b'\n', ..]))
}

/// Returns true if the bytes can begin a response of HTTP/1: version, status.
fn status_line(bytes: &[u8]) -> bool {
    let Some(rest) = version(bytes) else { return false };
    let Some((first, rest)) = rest.split_first() else { return true };
    let digits = rest.iter().take(3).take_while(|byte| byte.is_ascii_digit()).count();
    let after = rest.get(digits..).unwrap_or_default();
    *first == b' ' && (after.is_empty() || (digits == 3 && matches!(after, [b' ' | b'\r' | b'\n', ..])))
}

/// Returns the bytes after "HTTP/1.1", or none of them if the bytes end before.
fn version(bytes: &[u8]) -> Option<&[u8]> {
    const NAME: &[u8] = b"HTTP/1.";
    match bytes.strip_prefix(NAME) {
        Some([minor, rest @ ..]) => minor.is_ascii_digit().then_some(rest),
        Some([]) => Some(&[]),
        None => NAME.starts_with(bytes).then_some(&[]),
    }
}

/// The head of a message.
pub(super) struct Head<'a> {
    /// The words of the first line, without the line break.
    first: Vec<&'a [u8]>,
    fields: Vec<(String, Vec<u8>)>,
}

impl<'a> Head<'a> {
    /// Reads a head, without or with the empty line at its end.
    pub(super) fn read(bytes: &'a [u8]) -> Self {
        let mut lines = bytes.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        let first = lines.next().unwrap_or_default().splitn(3, |byte| *byte == b' ').collect();
        let mut fields: Vec<(String, Vec<u8>)> = Vec::new();
        for line in lines {
            let folded = matches!(line, [b' ' | b'\t', ..]);
            match (folded, fields.last_mut(), line.iter().position(|byte| *byte == b':')) {
                (true, Some((_, value)), _) => {
                    value.push(b' ');
                    value.extend_from_slice(line.trim_ascii());
                }
                (false, _, Some(colon)) => {
                    let (name, value) = line.split_at(colon);
                    let name = String::from_utf8_lossy(name.trim_ascii()).to_ascii_lowercase();
                    fields.push((name, value.get(1..).unwrap_or_default().trim_ascii().to_vec()));
                }
                _ => {}
            }
        }
        Self { first, fields }
    }

    fn word(&self, at: usize) -> &'a [u8] {
        self.first.get(at).copied().unwrap_or_default()
    }

    pub(super) fn is_connect(&self) -> bool {
        self.word(0) == b"CONNECT"
    }

    /// Returns the target of a request.
    pub(super) fn target(&self) -> String {
        text::plain_text(self.word(1)).into_owned()
    }

    /// Returns the status of a response; 0 if it is malformed.
    pub(super) fn status(&self) -> u16 {
        std::str::from_utf8(self.word(1)).ok().and_then(|digits| digits.parse().ok()).unwrap_or_default()
    }

    /// Returns the values of a header.
    fn values(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        self.fields.iter().filter(move |(own, _)| own == name).map(|(_, value)| value.as_slice())
    }

    /// Returns true if the message has the header at all.
    pub(super) fn has(&self, name: &str) -> bool {
        self.values(name).next().is_some()
    }

    /// Returns true if one of the comma-separated values of a header is `token`.
    pub(super) fn has_token(&self, name: &str, token: &str) -> bool {
        let mut tokens = self.values(name).flat_map(|value| value.split(|byte| *byte == b','));
        tokens.any(|own| own.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
    }

    /// Returns the length of the body; `None` for a body in chunks.
    pub(super) fn body(&self) -> Option<u64> {
        if self.has_token("transfer-encoding", "chunked") {
            return None;
        }
        let length = self.values("content-length").next();
        Some(length.and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok()).unwrap_or_default())
    }

    /// Returns the pseudo-headers that HTTP/2 has for a request, and the other headers as they are.
    pub(super) fn request_fields(&self) -> Vec<HeaderField> {
        let field = |name: &str, value: &[u8]| HeaderField {
            name: Some(name.as_bytes().into()),
            value: Some(Arc::from(value)),
            never_indexed: false,
        };
        let mut fields = vec![field(":method", self.word(0)), field(":path", self.word(1))];
        fields.extend(self.fields.iter().map(|(name, value)| field(name, value)));
        fields
    }
}

/// Searches for the end of a chunk of a body, which may be the last one with its trailers.
pub(super) fn chunk(bytes: &[u8]) -> Scan {
    /// The longest line with the size of a chunk.
    const LONGEST_LINE: usize = 256;
    /// The longest chunk: a frame of HTTP/2 is not longer either.
    const LONGEST: usize = 1 << 24;
    let Some(line) = bytes.get(..LONGEST_LINE.min(bytes.len())).and_then(line_feed) else {
        return if bytes.len() < LONGEST_LINE { Scan::More } else { Scan::Other };
    };
    let Some(size) = chunk_size(bytes).filter(|size| *size <= LONGEST) else { return Scan::Other };
    let end = line + 1 + size;
    if size > 0 {
        return match bytes.get(end..) {
            Some([b'\n', ..]) => Scan::Until(end + 1),
            Some([b'\r', b'\n', ..]) => Scan::Until(end + 2),
            None | Some([] | [b'\r']) => Scan::More,
            _ => Scan::Other,
        };
    }
    // The trailers end with an empty line.
    let mut at = line + 1;
    loop {
        match bytes.get(at..) {
            Some([b'\n', ..]) => return Scan::Until(at + 1),
            Some([b'\r', b'\n', ..]) => return Scan::Until(at + 2),
            Some(rest) if at < LONGEST_HEAD => match line_feed(rest) {
                Some(found) => at += found + 1,
                None => return if bytes.len() < LONGEST_HEAD { Scan::More } else { Scan::Other },
            },
            _ => return Scan::Other,
        }
    }
}

/// Returns the size that a chunk begins with.
fn chunk_size(bytes: &[u8]) -> Option<usize> {
    let digits = bytes.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let rest = bytes.get(digits..)?;
    let ends = matches!(rest.trim_ascii_start(), [b';', ..]) || matches!(rest, [b' ' | b'\t' | b'\r' | b'\n', ..]);
    usize::from_str_radix(std::str::from_utf8(bytes.get(..digits)?).ok()?, 16).ok().filter(|_| ends)
}

/// Returns the places of a whole chunk: its size line, its octets, and the rest.
pub(super) fn chunk_places(bytes: &[u8]) -> [Range<usize>; 3] {
    let line = line_feed(bytes).map_or(bytes.len(), |end| end + 1);
    let end = line.saturating_add(chunk_size(bytes).unwrap_or_default()).min(bytes.len());
    [0..line, line..end, end..bytes.len()]
}

/// The position in lines of text, which may be cut anywhere.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lines {
    /// The name of the current header, or its beginning; that of the last header at the beginning of a line.
    name: Vec<u8>,
    place: Place,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    /// The beginning of a line. A space continues the header before (RFC 9112, section 5.2).
    #[default]
    Start,
    Name,
    Value,
    /// A line that is not a header.
    Text,
    /// A line whose beginning is unknown.
    Unknown,
}

impl Lines {
    /// Forgets the position after missing bytes.
    pub(crate) fn lose_track(&mut self) {
        *self = Self { name: Vec::new(), place: Place::Unknown };
    }

    /// Adds a node for each header line, and leaves with this label for the text between them; at most `most` nodes
    /// for headers, and one for the rest.
    pub(crate) fn annotate(&mut self, bytes: &[u8], layer: Layer, label: &'static str, most: usize) -> Tree {
        let mut tree = Tree::default();
        let (mut at, mut text, mut count) = (0, 0, 0);
        while at < bytes.len() {
            let was = self.place;
            let line = self.line(bytes, at);
            at = line.end;
            let is_header = matches!(self.place, Place::Value | Place::Unknown);
            if is_header && count < most {
                count += 1;
                tree.push(text_leaf(text..line.start, bytes, layer, label));
                self.header(&line, was, bytes, layer, &mut tree);
                text = line.end;
            }
            if line.breaks {
                self.place = Place::Start;
            }
        }
        let rest = text..bytes.len();
        match count < most {
            true => tree.push(text_leaf(rest, bytes, layer, label)),
            false => tree.push(Annotation::new(rest, layer, HIDDEN_LINES)),
        }
        tree
    }

    /// Reads up to the end of the line, and leaves `place` as it is there.
    fn line(&mut self, bytes: &[u8], start: usize) -> Line {
        let mut line = Line { start, value: start, end: bytes.len(), breaks: false };
        for (at, &byte) in bytes.iter().enumerate().skip(start) {
            self.place = match (self.place, byte) {
                (_, b'\n') => {
                    (line.end, line.breaks) = (at + 1, true);
                    match self.place {
                        Place::Value => {}
                        // The next line may continue it.
                        Place::Unknown => self.name = UNKNOWN_NAME.into(),
                        // A line without a colon is not a header.
                        Place::Start | Place::Name | Place::Text => {
                            self.name.clear();
                            self.place = Place::Text;
                        }
                    }
                    return line;
                }
                (Place::Start, b' ' | b'\t') if !self.name.is_empty() => Place::Value,
                (Place::Start, _) => {
                    self.name.clear();
                    self.name_at(byte)
                }
                (Place::Name, b':') => {
                    line.value = at + 1;
                    match self.name.trim_ascii() {
                        [] => Place::Text,
                        name if name.iter().any(|byte| matches!(byte, b' ' | b'\t')) => Place::Text,
                        name => {
                            self.name = name.to_vec();
                            Place::Value
                        }
                    }
                }
                (Place::Name, _) => self.name_at(byte),
                (place, _) => place,
            };
        }
        line
    }

    fn name_at(&mut self, byte: u8) -> Place {
        // The characters of a token (RFC 9110, section 5.6.2), and spaces around it, which some senders add.
        let token = byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~ \t".contains(&byte);
        if !token || self.name.len() >= LONGEST_NAME {
            return Place::Text;
        }
        self.name.push(byte);
        Place::Name
    }

    fn header(&self, line: &Line, was: Place, bytes: &[u8], layer: Layer, tree: &mut Tree) {
        let mut end = line.end - usize::from(line.breaks);
        if line.breaks && bytes.get(..end).is_some_and(|before| before.ends_with(b"\r")) {
            end = (end - 1).max(line.start);
        }
        // The value begins with the line if the name was in an earlier piece, or on an earlier line.
        let value = line.value.min(end)..end;
        let content = bytes.get(value.clone()).unwrap_or_default().trim_ascii();
        let label = match self.place {
            Place::Unknown => UNKNOWN_NAME.into(),
            _ => Text::from(text::plain(&self.name)),
        };
        let settings = self.name.eq_ignore_ascii_case(b"http2-settings").then(|| settings_text(content)).flatten();
        let shown = match settings.filter(|settings| !settings.is_empty()) {
            Some(settings) => format!("{} ({settings})", text::plain(content)),
            None => text::plain(content),
        };
        let mut node = Annotation::new(line.start..line.end, layer, label).value(shown).rule(FIELDS);
        if line.value == line.start && was != Place::Start {
            node.part = Part::Tail;
        } else if !line.breaks {
            node.part = Part::Head;
        }
        let open = tree.open(node);
        tree.push(Annotation::new(line.start..value.start, layer, "name").rule(FIELDS));
        tree.push(Annotation::new(value.clone(), layer, "value").rule(FIELDS));
        tree.push(Annotation::new(value.end..line.end, layer, "line break").rule(FIELDS));
        tree.close(open);
    }
}

const FIELDS: &Rule = &Rule::http1("5");

/// A line, or the part of it in a piece.
struct Line {
    start: usize,
    /// The beginning of a header's value.
    value: usize,
    end: usize,
    breaks: bool,
}

fn text_leaf(range: Range<usize>, bytes: &[u8], layer: Layer, label: &'static str) -> Annotation {
    let value = text::plain(bytes.get(range.clone()).unwrap_or_default());
    Annotation::new(range, layer, label).value(value)
}

/// Returns the annotations of a whole message head of HTTP/1, or of the beginning of one, that does not lead to HTTP/2.
pub(super) fn foreign_head(bytes: &[u8], most: usize) -> Tree {
    under(HTTP1, Lines::default().annotate(bytes, Layer::Opaque, HTTP1, most), bytes.len())
}

/// Puts a node without a value above a tree over the whole frame.
pub(super) fn under(label: &'static str, mut tree: Tree, length: usize) -> Tree {
    let mut whole = Tree::with_room_for(tree.len() + 1);
    let open = whole.open(Annotation::new(0..length, Layer::Opaque, label));
    whole.append(&mut tree);
    whole.close(open);
    whole
}

/// Returns the settings of a request that asks for HTTP/2, as a payload of SETTINGS.
pub(crate) fn upgrade_settings(frame: &Frame) -> Option<Vec<u8>> {
    let field = frame.headers.iter().find(|field| field.is("http2-settings")).filter(|_| frame.is_upgrade())?;
    settings_payload(field.value.as_deref()?)
}

/// Returns the value of HTTP2-Settings as text.
fn settings_text(value: &[u8]) -> Option<String> {
    let payload = settings_payload(value)?;
    let settings: Vec<_> = settings(&payload).map(|(id, value)| format!("{id}: {value}")).collect();
    Some(settings.join(", "))
}

/// Decodes the value of HTTP2-Settings (RFC 7540, section 3.2.1): base64url, with or without padding.
fn settings_payload(value: &[u8]) -> Option<Vec<u8>> {
    let plain = |byte: &u8| match byte {
        b'-' => b'+',
        b'_' => b'/',
        other => *other,
    };
    let payload = base64(&value.iter().map(plain).collect::<Vec<_>>())?;
    (payload.len() % 6 == 0).then_some(payload)
}
