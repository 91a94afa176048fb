//! Prints frames as text: the bytes, their encoding and their meaning, side by side.
//!
//! ```text
//! frame 6 client ──▶ server  DATA  stream 1  END_STREAM ─────────── Length-Prefixed-Message, EOS
//!      0  00000b 00 01 00000001    frame header             11 bytes, DATA, END_STREAM, stream 1
//!      9  00 00000006              Length-Prefixed-Message  uncompressed, 6 bytes: routeguide.Point
//!     14  08 9a f1 8d c3 01        field 1, VARINT            latitude: 409172122
//!   ▲     ▲                        ▲                        ▲
//!   offset, bytes                  encoding                 meaning
//! ```
//!
//! The frame's number and the offsets in it are decimal, as in findings and JSON lines. Hex digits of one number are printed without spaces. A line has at most 100 columns.

use std::fmt;

use super::explain::{Explanation, explain};
use crate::inspector::decode::headers::status_name;
use crate::inspector::lint::Finding;
use crate::inspector::model::annotation::{Annotation, Form, Layer, Part};
use crate::inspector::model::frame::{Direction, Frame, FrameKind, Meaning, Message, Preamble, Restored};
use crate::inspector::model::text::{self, Count};
use crate::inspector::model::tree::Node;
use crate::wire::http2::{FlagNames, FrameHeader, FrameType};

/// Options for printing frames. The output depends only on the frames and these options, not on the time or the
/// terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrintOptions {
    /// Colours bytes by their layer, with ANSI escape sequences. Off by default.
    pub color: bool,
    /// Bytes of one field that are shown; further bytes are only counted. 128 by default.
    pub bytes_per_field: usize,
    /// Prints an explanation of each frame's fields with links. Off by default.
    pub explain: bool,
}

impl Default for PrintOptions {
    fn default() -> Self {
        Self { color: false, bytes_per_field: 128, explain: false }
    }
}

const WIDTH: usize = 100;
const HEX_WIDTH: usize = 23;
const DETAIL_WIDTH: usize = 23;
const TEXT_WIDTH: usize = 42;

/// Prints frames, separated by empty lines.
pub fn print<'a>(frames: impl IntoIterator<Item = &'a Frame>, options: &PrintOptions) -> String {
    let frames: Vec<_> = frames.into_iter().map(|frame| print_frame(frame, options)).collect();
    frames.join("\n")
}

/// Prints one frame: a title, and a row for each of its fields. Ends with a line break.
pub fn print_frame(frame: &Frame, options: &PrintOptions) -> String {
    let mut printer = Printer { frame, bytes: &frame.bytes, options, out: String::new() };
    printer.title();
    for annotation in &frame.annotations {
        printer.rows(annotation, 0);
        let here = |message: &&Message| message.segments.last() == Some(&(frame.number, annotation.range.clone()));
        if let Some(restored) = frame.messages.iter().find(here).and_then(|message| message.restored.as_ref()) {
            printer.beside(restored, "decoded, not on the wire");
        }
    }
    if let Some(details) = &frame.details {
        printer.beside(details, "google.rpc.Status, base64 on the wire");
    }
    for fault in &frame.faults {
        printer.row(&[], "", "", 0, std::slice::from_ref(fault));
    }
    if options.explain {
        printer.explanations(frame.annotations.all());
    }
    printer.out
}

/// Appends findings of a frame to its output, each on lines of its own.
pub(super) fn push_findings<'a>(out: &mut String, frame: &Frame, findings: impl Iterator<Item = &'a Finding>) {
    for finding in findings {
        let of_bytes = frame.annotations.all().iter().filter_map(|annotation| annotation.fault.as_deref());
        let is_said = frame.faults.iter().map(String::as_str).chain(of_bytes).any(|fault| fault == finding.sentence);
        for (number, line) in wrap(&finding.mark(!is_said), WIDTH - 4).iter().enumerate() {
            out.push_str(if number == 0 { "    " } else { "      " });
            out.push_str(line);
            out.push('\n');
        }
    }
}

/// Returns a line that explains the colours.
pub fn legend(options: &PrintOptions) -> String {
    let layers = [
        (Layer::Before, "before HTTP/2"),
        (Layer::Frame, "frame header"),
        (Layer::Payload, "frame payload"),
        (Layer::Hpack, "HPACK"),
        (Layer::Grpc, "gRPC"),
        (Layer::Protobuf, "Protocol Buffers"),
        (Layer::Opaque, "other bytes"),
    ];
    let names = layers.map(|(layer, name)| paint(options, color(layer), name));
    names.join("  ")
}

struct Printer<'a> {
    frame: &'a Frame,
    /// The bytes that the printed annotations refer to.
    bytes: &'a [u8],
    options: &'a PrintOptions,
    out: String,
}

impl<'a> Printer<'a> {
    fn title(&mut self) {
        let direction = format!("frame {} {}", self.frame.number, self.frame.direction);
        let what = Description(self.frame).to_string();
        let gloss = Gloss(self.frame).to_string();
        let (title, gloss_width) = (width(&direction) + 2 + width(&what), width(&gloss));
        let (direction, what) = (paint(self.options, BOLD, &direction), paint(self.options, BOLD, &what));
        let line = |columns: usize| paint(self.options, DIM, &"─".repeat(columns));
        let gloss = paint(self.options, BOLD, &gloss);
        match WIDTH.checked_sub(title + gloss_width + 2) {
            Some(columns) if columns > 0 => self.push_line(&format!("{direction}  {what} {} {gloss}", line(columns))),
            _ => {
                self.push_line(&format!("{direction}  {what}"));
                self.push_line(&format!("{} {gloss}", line(WIDTH.saturating_sub(gloss_width + 1))));
            }
        }
    }

    /// Prints the tree over decompressed or decoded bytes, which are not on the wire.
    fn beside(&mut self, restored: &'a Restored, what: &str) {
        let size = text::count(restored.bytes.len() as u64, "byte");
        self.row(&[], "", &format!("┆ {size}, {what}:"), 1, &[]);
        let wire = std::mem::replace(&mut self.bytes, &restored.bytes);
        for annotation in &restored.annotations {
            self.rows(annotation, 1);
        }
        self.bytes = wire;
    }

    /// Prints a row for the leaves at the beginning of a node, and rows for the nodes after them.
    fn rows(&mut self, node: Node<'_>, depth: usize) {
        let mut leaves: Vec<_> = node.children().take_while(|child| child.is_leaf()).map(Node::annotation).collect();
        let nodes = node.children().skip(leaves.len());
        let (detail, text) = self.texts(&node);
        let faults = node.fault.iter().chain(leaves.iter().flat_map(|leaf| &leaf.fault));
        let faults: Vec<_> = faults.map(|fault| fault.to_string()).collect();
        if node.is_leaf() {
            leaves.push(node.annotation());
        }
        self.row(&leaves, &detail, &text, depth, &faults);
        for node in nodes {
            self.rows(node, depth + 1);
        }
    }

    /// Returns the middle and the right column.
    fn texts(&self, annotation: &Annotation) -> (String, String) {
        let Annotation { label, value, detail, part, .. } = annotation;
        let (detail, mut text) = match (detail.is_empty(), label.is_empty(), value.is_empty()) {
            (true, ..) => (label.to_string(), value.to_string()),
            (false, true, _) => (detail.to_string(), value.to_string()),
            (false, false, true) => (detail.to_string(), label.to_string()),
            (false, false, false) => (detail.to_string(), format!("{label}: {value}")),
        };
        if part.is_continued() {
            text = format!("{text} (continued)").trim_start().to_owned();
        } else if *part != Part::Whole {
            text.push_str(" (continues)");
        }
        (detail, text)
    }

    fn row(&mut self, leaves: &[&Annotation], detail: &str, text: &str, depth: usize, faults: &[String]) {
        let indent = (2 * depth).min(16);
        let hex = self.hex(leaves);
        let details = wrap(detail, DETAIL_WIDTH);
        let mut texts = wrap(text, TEXT_WIDTH - indent);
        let sound = texts.len();
        texts.extend(faults.iter().flat_map(|fault| wrap(&format!("✗ {fault}"), TEXT_WIDTH - indent)));

        let offset = leaves.first().map(|leaf| format!("{:>4}", leaf.range.start)).unwrap_or_default();
        for line in 0..hex.len().max(details.len()).max(texts.len()) {
            let (bytes, bytes_width) = hex.get(line).cloned().unwrap_or_default();
            let offset = pad(if line == 0 { &offset } else { "" }, 4);
            let detail = pad(details.get(line).map_or("", String::as_str), DETAIL_WIDTH);
            let text = texts.get(line).map_or("", String::as_str);
            let text = if line < sound { text.to_owned() } else { paint(self.options, RED, text) };
            let (offset, detail) = (paint(self.options, DIM, &offset), paint(self.options, DIM, &detail));
            let gap = " ".repeat(HEX_WIDTH.saturating_sub(bytes_width));
            let indent = " ".repeat(indent);
            self.push_line(&format!("  {offset}  {bytes}{gap}  {detail}  {indent}{text}"));
        }
    }

    /// Returns lines of hex digits with their width: the digits of a number together, other bytes separately.
    fn hex(&self, leaves: &[&Annotation]) -> Vec<(String, usize)> {
        let mut lines = Vec::new();
        let (mut line, mut line_width) = (String::new(), 0);
        let mut left = self.options.bytes_per_field;
        let mut hidden = 0;
        for leaf in leaves {
            let bytes = self.bytes.get(leaf.range.clone()).unwrap_or_default();
            let group = if leaf.form == Form::Number { bytes.len().max(1) } else { 1 };
            for token in bytes.chunks(group) {
                if token.len() > left {
                    hidden += token.len();
                    continue;
                }
                left -= token.len();
                if line_width > 0 && line_width + 1 + 2 * token.len() > HEX_WIDTH {
                    lines.push((std::mem::take(&mut line), line_width));
                    line_width = 0;
                }
                if line_width > 0 {
                    line.push(' ');
                    line_width += 1;
                }
                let digits: String = match leaf.form {
                    Form::Redacted => "··".repeat(token.len()),
                    Form::Number | Form::Bytes => token.iter().map(|byte| format!("{byte:02x}")).collect(),
                };
                line.push_str(&paint(self.options, color(leaf.layer), &digits));
                line_width += 2 * token.len();
            }
        }
        if line_width > 0 {
            lines.push((line, line_width));
        }
        if hidden > 0 {
            let more = format!("… {hidden} more");
            lines.push((more.clone(), width(&more)));
        }
        lines
    }

    /// Prints the explanations of fields, each sentence once.
    fn explanations(&mut self, annotations: &[Annotation]) {
        let mut said = Vec::new();
        for annotation in annotations {
            let name = if annotation.label.is_empty() { &annotation.detail } else { &annotation.label };
            for Explanation { sentence, rule } in explain(annotation) {
                if said.contains(&sentence) {
                    continue;
                }
                said.push(sentence);
                let lines = wrap(&format!("{name}: {sentence}"), WIDTH - 4);
                for (number, line) in lines.iter().enumerate() {
                    let indent = if number == 0 { "  " } else { "    " };
                    self.push_line(&format!("{indent}{line}"));
                }
                let link = paint(self.options, DIM, &rule.link());
                self.push_line(&format!("    {link}"));
            }
        }
    }

    fn push_line(&mut self, line: &str) {
        self.out.push_str(line.trim_end());
        self.out.push('\n');
    }
}

/// Displays the kind of a frame: "HEADERS  stream 1  END_STREAM END_HEADERS", "connection preface".
pub(super) struct Description<'a>(pub(super) &'a Frame);

impl fmt::Display for Description<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let header = match &self.0.kind {
            FrameKind::Http2(header) => header,
            FrameKind::Before(preamble) => return write!(f, "{preamble}"),
            FrameKind::Preface => return f.write_str("connection preface"),
            FrameKind::Truncated => return f.write_str("incomplete"),
            FrameKind::NotHttp2 => return f.write_str("bytes"),
            FrameKind::Fragment => return f.write_str("part of a frame"),
            FrameKind::Lost { .. } => return f.write_str("lost"),
        };
        write!(f, "{}", header.kind)?;
        if header.stream != 0 {
            write!(f, "  stream {}", header.stream)?;
        }
        if header.flags != 0 { write!(f, "  {}", FlagNames(*header)) } else { Ok(()) }
    }
}

/// Displays the purpose of a frame in a few words, with gRPC's terms if it has them.
pub(super) struct Gloss<'a>(pub(super) &'a Frame);

impl fmt::Display for Gloss<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(frame) = self;
        let meaning = &frame.meaning;
        let eos = match frame.header() {
            Some(header) if header.ends_stream() => ", EOS",
            _ => "",
        };
        match meaning {
            Meaning::None => f.write_str(connection_gloss(frame)),
            Meaning::RequestHeaders { .. } if frame.is_upgrade() => write!(f, "{meaning}, asks for HTTP/2"),
            Meaning::HttpResponse { status } if frame.is_http1() => {
                write!(f, "not HTTP/2: refused with {} in HTTP/1.1", shorten(status))
            }
            Meaning::RequestHeaders { .. } if frame.direction == Direction::ToClient => write!(f, "promised {meaning}"),
            Meaning::RequestHeaders { .. } => write!(f, "{meaning}{eos}"),
            Meaning::Headers if frame.headers.iter().any(|field| field.name.is_none() || field.value.is_none()) => {
                write!(f, "{meaning} that are partly unknown{eos}")
            }
            Meaning::HttpResponse { status } => write!(f, "{meaning}: {}", shorten(status)),
            Meaning::Trailers { status: Some(code) } | Meaning::TrailersOnly { status: code } => {
                match status_name(code.as_bytes()) {
                    Some(name) => write!(f, "{meaning}, grpc-status {code} {name}"),
                    None => write!(f, "{meaning}, grpc-status {}", shorten(code)),
                }
            }
            Meaning::Messages => match frame.messages.len() {
                0 => write!(f, "part of a {meaning}{eos}"),
                1 => write!(f, "{meaning}{eos}"),
                count => write!(f, "{}{eos}", Count(count as u64, "Length-Prefixed-Message")),
            },
            Meaning::HalfClose if frame.direction == Direction::ToServer => {
                f.write_str("EOS: the client has sent everything")
            }
            other => write!(f, "{other}"),
        }
    }
}

/// Shortens a status, because a peer may send any text.
fn shorten(status: &str) -> String {
    status.chars().take(16).collect()
}

fn connection_gloss(frame: &Frame) -> &'static str {
    let Some(header) = frame.header() else {
        return match frame.kind {
            FrameKind::Preface => "this is HTTP/2",
            FrameKind::NotHttp2 if frame.begins_tls() => {
                "TLS: decrypt with barewire tap --tls, or a recording with decode --key-log"
            }
            FrameKind::NotHttp2 if frame.is_tls() => "TLS",
            FrameKind::NotHttp2 if frame.is_http1() => "not HTTP/2: HTTP/1.1",
            FrameKind::NotHttp2 => "not HTTP/2",
            FrameKind::Before(Preamble::Proxy) => "the client's address, told by a proxy",
            FrameKind::Before(Preamble::Upgrade) => "asks for HTTP/2",
            FrameKind::Before(Preamble::Connect) => "asks for a tunnel",
            FrameKind::Before(Preamble::Response | Preamble::Body) => "",
            FrameKind::Fragment => "its beginning was not captured",
            FrameKind::Lost { .. } => "bytes that were not captured",
            FrameKind::Http2(_) | FrameKind::Truncated => "the bytes end here",
        };
    };
    match header.kind {
        FrameType::SETTINGS if header.has(FrameHeader::ACK) => "the settings are in effect",
        FrameType::SETTINGS => "settings of the sender",
        FrameType::WINDOW_UPDATE => "room for more DATA",
        FrameType::PING if header.has(FrameHeader::ACK) => "the answer to a PING",
        FrameType::PING => "asks for an answer",
        FrameType::RST_STREAM => "the stream ends now",
        FrameType::GOAWAY => "no more new streams",
        _ => "",
    }
}

const BOLD: &str = "1";
const DIM: &str = "2";
const RED: &str = "31";

/// Returns the colour of a layer, one of the sixteen that every terminal has.
fn color(layer: Layer) -> &'static str {
    match layer {
        Layer::Before => "96",
        Layer::Frame => "94",
        Layer::Payload => "36",
        Layer::Hpack => "33",
        Layer::Grpc => "95",
        Layer::Protobuf => "32",
        Layer::Opaque => "37",
    }
}

fn paint(options: &PrintOptions, color: &str, text: &str) -> String {
    if options.color && !text.trim().is_empty() { format!("\x1b[{color}m{text}\x1b[0m") } else { text.to_owned() }
}

fn pad(text: &str, columns: usize) -> String {
    let gap = " ".repeat(columns.saturating_sub(width(text)));
    format!("{text}{gap}")
}

/// Wraps text into lines of at most `columns`, at spaces if possible. Empty text gives no line.
pub(super) fn wrap(text: &str, columns: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (mut used, mut end, mut space) = (0, rest.len(), None);
        for (at, c) in rest.char_indices() {
            if used + char_width(c) > columns {
                end = at.max(c.len_utf8());
                break;
            }
            if c == ' ' {
                space = Some(at);
            }
            used += char_width(c);
        }
        let fits = end == rest.len();
        // A space directly after the line is a good break too.
        let behind = rest.get(end..).is_some_and(|rest| rest.starts_with(' '));
        let cut = if fits || behind { end } else { space.filter(|&space| space > 0).unwrap_or(end) };
        let (line, tail) = rest.split_at_checked(cut).unwrap_or((rest, ""));
        lines.push(line.to_owned());
        rest = tail.trim_start_matches(' ');
    }
    lines
}

pub(super) fn width(text: &str) -> usize {
    text.chars().map(char_width).sum()
}

/// Returns the columns of a character on a terminal: two for East Asian characters and emoji.
fn char_width(c: char) -> usize {
    let wide = matches!(u32::from(c),
        0x1100..=0x115f | 0x2e80..=0xa4cf | 0xac00..=0xd7a3 | 0xf900..=0xfaff | 0xfe30..=0xfe6f
        | 0xff00..=0xff60 | 0xffe0..=0xffe6 | 0x1f300..=0x1faff | 0x20000..=0x3fffd);
    if wide { 2 } else { 1 }
}
