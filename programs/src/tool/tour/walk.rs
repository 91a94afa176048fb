//! Moves from frame to frame by keys.

use std::io::{self, Read, Write};

use crate::demonstration::RecordedCall;
use barewire::inspector::{Frame, FrameHeader, FrameKind, FrameType, Meaning, PrintOptions, Rule, legend, print_frame};

/// The ANSI sequence that clears the screen.
const CLEAR: &str = "\x1b[2J\x1b[H";

const KEYS: &str = "Enter, space or n: next · p: back · 1-8: to a call · h: help · q: end";

const HELP: &str = "\
Enter, space, n, →    the next frame
p, Backspace, ←       the previous frame
1 2 3 4               the unary, server streaming, client streaming or bidirectional call
5 6 7 8               a call with an error status, Trailers-Only, a wait for two windows, a reset at the deadline
h, ?                  this help
q, Ctrl-C, Ctrl-D     quit

Each frame is shown with all its bytes. The columns are the offset, the bytes, their encoding and their meaning. Below are the
purpose of the frame, and links to the rules for its bytes.
";

/// The action of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    Next,
    Back,
    Kind(usize),
    Help,
    Quit,
}

/// The frames of all calls, in order.
pub(super) struct Tour<'a> {
    calls: &'a [RecordedCall],
    /// For each frame, the index of its call and its index within the call.
    stops: Vec<(usize, usize)>,
    color: bool,
    /// True if the tour has the screen to itself, in raw mode.
    screen: bool,
}

impl<'a> Tour<'a> {
    pub(super) fn new(calls: &'a [RecordedCall], color: bool, screen: bool) -> Tour<'a> {
        let stops = calls.iter().enumerate().flat_map(|(call, it)| (0..it.frames.len()).map(move |at| (call, at)));
        Tour { calls, stops: stops.collect(), color, screen }
    }

    pub(super) fn print_all(&self, out: &mut dyn Write) -> io::Result<()> {
        (0..self.stops.len()).try_for_each(|stop| writeln!(out, "{}", self.page(stop)))
    }

    /// Shows a frame after each key, until the user quits or the input ends.
    pub(super) fn walk(&self, keys: &mut dyn Read, out: &mut dyn Write) -> io::Result<()> {
        let mut keys = Keys { keys, line_is_empty: true };
        let mut key = None;
        if !self.screen {
            // Waits for the first key: without any input, everything is printed.
            key = keys.next()?;
            if key.is_none() {
                return self.print_all(out);
            }
        }
        let mut at = 0;
        self.show(out, &self.page(at))?;
        loop {
            let pressed = match key.take() {
                Some(key) => key,
                None => match keys.next()? {
                    Some(key) => key,
                    None => return Ok(()),
                },
            };
            match pressed {
                Key::Quit => return Ok(()),
                Key::Help => self.show(out, HELP)?,
                Key::Next if at + 1 == self.stops.len() => {
                    self.show(out, "That was the last frame. p goes back, 1 to 8 to a call, q ends.\n")?;
                }
                pressed => {
                    at = match pressed {
                        Key::Back => at.saturating_sub(1),
                        Key::Kind(kind) => self.stops.iter().position(|(call, _)| *call == kind).unwrap_or(at),
                        _ => at + 1,
                    };
                    self.show(out, &self.page(at))?;
                }
            }
        }
    }

    fn show(&self, out: &mut dyn Write, page: &str) -> io::Result<()> {
        match self.screen {
            // In raw mode a line feed does not return to the first column.
            true => write!(out, "{CLEAR}{}\r\n{KEYS}\r\n", page.replace('\n', "\r\n"))?,
            false => writeln!(out, "{page}")?,
        }
        out.flush()
    }

    fn page(&self, stop: usize) -> String {
        let Some((number, at)) = self.stops.get(stop).copied() else { return String::new() };
        let call = &self.calls[number];
        let frame = &call.frames[at];
        let options = PrintOptions { color: self.color, ..PrintOptions::default() };
        let title = format!(
            "{} of {}: {}, {}.  Frame {} of {}.",
            number + 1,
            self.calls.len(),
            call.method,
            call.kind,
            at + 1,
            call.frames.len()
        );
        let mut page = format!("{title}\n");
        if at == 0 {
            page.push_str(&format!("{}\n", call.story));
        }
        page.push_str(&format!("\n{}\n{}\n", print_frame(frame, &options), explanation(frame)));
        if self.color {
            page.push_str(&format!("\n{}\n", legend(&options)));
        }
        for rule in rules(frame) {
            page.push_str(&format!("  {rule}: {}\n", rule.link()));
        }
        if at + 1 == call.frames.len() && !call.said.is_empty() {
            page.push_str("\nThe views of barewire tap and barewire decode say about this call:\n");
            call.said.iter().for_each(|line| page.push_str(&format!("  {line}\n")));
        }
        page
    }
}

/// Returns the purpose of a frame.
fn explanation(frame: &Frame) -> &'static str {
    let ends = frame.header().is_some_and(|header| header.ends_stream());
    match (&frame.meaning, frame.kind, frame.header().map(|header| header.kind)) {
        (_, FrameKind::Preface, _) => {
            "Every client begins with these 24 bytes. A server of HTTP/1.1 refuses them, so the two protocols can't be confused."
        }
        (Meaning::RequestHeaders { .. }, ..) => {
            "The call begins: the path names the method, and the metadata precedes all messages."
        }
        (Meaning::Messages, ..) if ends => {
            "Messages, each with a prefix of five bytes. END_STREAM marks the last message of this side: the half-close."
        }
        (Meaning::Messages, ..) => {
            "Messages, each with a prefix of five bytes: a compression flag and the length. Frames and messages \
             need not begin and end together."
        }
        (Meaning::HalfClose, ..) => {
            "No bytes, but END_STREAM: this side has sent its last message. The other side may continue."
        }
        (Meaning::ResponseHeaders, ..) => {
            "The answer begins. Its HTTP status is 200 whatever the outcome of the call, which comes at the end."
        }
        (Meaning::Trailers { status: Some(status) }, ..) if status != "0" => {
            "The call fails: the status and its message come in the trailers, although the HTTP status was 200."
        }
        (Meaning::Trailers { .. }, ..) => {
            "The call ends: grpc-status is in a second header block, after all messages, because it is known only now."
        }
        (Meaning::TrailersOnly { .. }, ..) => "The call ends without a message: headers and trailers are one block.",
        (_, _, Some(FrameType::SETTINGS)) if frame.header().is_some_and(|header| header.has(FrameHeader::ACK)) => {
            "The settings of the other side have been received, and apply from here on."
        }
        (_, _, Some(FrameType::SETTINGS)) => {
            "The limits of this side: windows, concurrent streams, sizes. The other side acknowledges and respects them."
        }
        (_, _, Some(FrameType::WINDOW_UPDATE)) => {
            "Flow control: the other side may send this many more bytes of DATA, on this stream, or on all if it has none. A \
             sender needs room in both windows."
        }
        (_, _, Some(FrameType::PING)) => {
            "Checks that the other side is there, and measures the round trip. It must send the same eight bytes back."
        }
        (_, _, Some(FrameType::RST_STREAM)) => {
            "The stream ends at once. Frames of the other side that are under way still arrive, and count for nothing."
        }
        (_, _, Some(FrameType::GOAWAY)) => "The connection accepts no new streams; open ones may finish.",
        _ => "A frame without a meaning of its own in gRPC.",
    }
}

/// Returns the rules for the bytes of a frame, each once, in the order of the bytes.
fn rules(frame: &Frame) -> Vec<&'static Rule> {
    let mut rules = Vec::new();
    for rule in frame.annotations.all().iter().filter_map(|annotation| annotation.rule) {
        if !rules.contains(&rule) {
            rules.push(rule);
        }
    }
    rules
}

/// Parses keys from bytes.
struct Keys<'a> {
    keys: &'a mut dyn Read,
    /// True if the current line is empty: a line feed is then Enter, and otherwise only ends a line with a key.
    line_is_empty: bool,
}

impl Keys<'_> {
    /// Returns the next key, or `None` at the end of the input. Skips bytes that are not keys.
    fn next(&mut self) -> io::Result<Option<Key>> {
        loop {
            let Some(byte) = self.byte()? else { return Ok(None) };
            let line_was_empty = std::mem::replace(&mut self.line_is_empty, byte == b'\n');
            let key = match byte {
                b'\n' if line_was_empty => Key::Next,
                b'\r' | b' ' | b'n' => Key::Next,
                b'p' | 0x7f | 0x08 => Key::Back,
                b'1'..=b'8' => Key::Kind(usize::from(byte - b'1')),
                b'h' | b'?' => Key::Help,
                b'q' | 0x03 | 0x04 => Key::Quit,
                0x1b => match self.arrow()? {
                    Some(key) => key,
                    None => continue,
                },
                _ => continue,
            };
            return Ok(Some(key));
        }
    }

    /// Reads the rest of an arrow key after its ESC: `[C` or `[D`.
    fn arrow(&mut self) -> io::Result<Option<Key>> {
        if self.byte()? != Some(b'[') {
            return Ok(None);
        }
        Ok(match self.byte()? {
            Some(b'C' | b'B') => Some(Key::Next),
            Some(b'D' | b'A') => Some(Key::Back),
            _ => None,
        })
    }

    fn byte(&mut self) -> io::Result<Option<u8>> {
        let mut byte = [0];
        loop {
            match self.keys.read(&mut byte) {
                Ok(0) => return Ok(None),
                Ok(_) => return Ok(Some(byte[0])),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demonstration;

    fn keys(bytes: &[u8]) -> Vec<Key> {
        let mut bytes = bytes;
        let mut keys = Keys { keys: &mut bytes, line_is_empty: true };
        std::iter::from_fn(|| keys.next().unwrap()).collect()
    }

    #[test]
    fn keys_are_parsed_and_a_line_feed_after_a_key_is_skipped() {
        use Key::{Back, Help, Kind, Next, Quit};
        assert_eq!(keys(b"\n\nn\np\n\n"), [Next, Next, Next, Back, Next]);
        assert_eq!(keys(b"\r n"), [Next, Next, Next]);
        assert_eq!(keys(b"189h?q\x03\x04"), [Kind(0), Kind(7), Help, Help, Quit, Quit, Quit]);
        assert_eq!(keys(b"\x1b[C\x1b[D\x1b[Z\x7f"), [Next, Back, Back]);
        assert_eq!(keys(b"x9\x1b"), []);
    }

    /// Returns the titles of the pages that these keys show.
    async fn titles(bytes: &[u8]) -> Vec<String> {
        let calls = demonstration::four_kinds().await.unwrap();
        let mut out = Vec::new();
        Tour::new(&calls, false, false).walk(&mut &bytes[..], &mut out).unwrap();
        let out = String::from_utf8(out).unwrap();
        let titles = out.lines().filter(|line| line.contains(".  Frame "));
        titles.map(|line| line.rsplit_once(" of ").unwrap().0.to_owned()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn keys_move_between_frames_and_kinds_of_call() {
        assert_eq!(
            titles(b"n3n1p").await,
            [
                "1 of 4: GetFeature, unary.  Frame 1",
                "1 of 4: GetFeature, unary.  Frame 2",
                "3 of 4: RecordRoute, client streaming.  Frame 1",
                "3 of 4: RecordRoute, client streaming.  Frame 2",
                "1 of 4: GetFeature, unary.  Frame 1",
                "1 of 4: GetFeature, unary.  Frame 1",
            ]
            .map(|title| title.to_owned())
        );
        let failures = demonstration::failures();
        for (at, call) in failures.iter().enumerate() {
            let tour = Tour::new(&failures, false, false);
            let last = failures.iter().take(at + 1).map(|call| call.frames.len()).sum::<usize>() - 1;
            assert!(tour.page(last).contains(&format!("  {}\n", call.said[0])), "{}", call.kind);
        }
        assert_eq!(titles(b"q n").await.len(), 1);
        let all = titles(b"").await;
        assert!(all.len() > 20, "without a key everything is printed");
        assert_eq!(titles(&[b'n'; 1000]).await, all, "the tour stays at the last frame");
    }

    #[tokio::test(start_paused = true)]
    async fn every_frame_of_the_four_kinds_is_explained() {
        for frame in demonstration::failures().iter().flat_map(|call| &call.frames) {
            assert!(!explanation(frame).contains("without a meaning") && !rules(frame).is_empty());
        }
        let calls = demonstration::four_kinds().await.unwrap();
        for call in &calls {
            let path = format!("/routeguide.RouteGuide/{}", call.method);
            let begins = |frame: &Frame| matches!(&frame.meaning, Meaning::RequestHeaders { path: it } if *it == path);
            let ends = |frame: &Frame| frame.meaning == Meaning::Trailers { status: Some("0".to_owned()) };
            assert!(call.frames.iter().any(begins) && call.frames.iter().any(ends), "{}", call.method);
            for frame in &call.frames {
                assert!(
                    !explanation(frame).contains("without a meaning"),
                    "{}",
                    print_frame(frame, &PrintOptions::default())
                );
                assert!(!rules(frame).is_empty() && frame.faults.is_empty());
            }
        }
    }
}
