//! Frames as lines of text, for bytes that no well-behaved peer would send.
//!
//! ```text
//! # a comment
//! preface                                          PRI * HTTP/2.0 …
//! settings 4=65535 3=100                           SETTINGS, identifier=value in decimal
//! headers 1 END_STREAM :method=POST "x=with space" HEADERS, END_HEADERS unless NO_END_HEADERS is given
//! frame DATA 1 END_STREAM 00 00000002 0801         any frame: type, stream, flags, payload in hex
//! frame 0xfe 1 0xff length=16777215 reserved       with a wrong length, and the reserved bit set
//! message 1 END_STREAM 0801                        DATA with a Length-Prefixed-Message
//! hex 00 00 01                                     raw bytes
//! wait 100                                         milliseconds
//! ```

use std::error::Error;
use std::fmt;
use std::time::Duration;

use super::frame::{RawFrame, header_block, message};
use crate::wire::http2::{FrameHeader, FrameType, PREFACE};

/// The steps of a script, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Script(pub Vec<Step>);

/// One line of a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Bytes to send.
    Send(Vec<u8>),
    /// Pauses for this time.
    Wait(Duration),
}

/// An invalid line of a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptError {
    /// The line, counted from 1.
    pub line: usize,
    /// The problem, and the valid form.
    pub reason: String,
}

impl Script {
    /// Reads a script.
    ///
    /// # Errors
    ///
    /// [`ScriptError`] at the first invalid line.
    pub fn parse(text: &str) -> Result<Script, ScriptError> {
        let mut steps = Vec::new();
        for (at, line) in text.lines().enumerate() {
            let error = |reason| ScriptError { line: at + 1, reason };
            let words = words(line).map_err(error)?;
            if let [verb, rest @ ..] = &words[..] {
                steps.push(step(verb, rest).map_err(error)?);
            }
        }
        Ok(Script(steps))
    }
}

/// Splits a line into words: separated by spaces, or between quotation marks. A word that begins with `#` starts a
/// comment.
fn words(line: &str) -> Result<Vec<String>, String> {
    let (mut words, mut rest) = (Vec::new(), line.trim_start());
    while !rest.is_empty() && !rest.starts_with('#') {
        let (word, tail) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').ok_or("a closing quotation mark is missing")?,
            None => rest.split_once(char::is_whitespace).unwrap_or((rest, "")),
        };
        words.push(word.to_owned());
        rest = tail.trim_start();
    }
    Ok(words)
}

fn step(verb: &str, words: &[String]) -> Result<Step, String> {
    let mut wire = Vec::new();
    match verb {
        "preface" => wire.extend_from_slice(PREFACE),
        "hex" => wire = hex(&words.concat())?,
        "wait" => {
            let [milliseconds] = words else { return Err("wait needs milliseconds: wait 100".to_owned()) };
            return Ok(Step::Wait(Duration::from_millis(number(milliseconds)?.into())));
        }
        "settings" => {
            let pair = |word: &String| {
                let (id, value) = word.split_once('=').ok_or_else(|| format!("{word:?} must be identifier=value"))?;
                let id = number(id)?.try_into().map_err(|_| format!("{id} is over 65535"))?;
                Ok::<(u16, u32), String>((id, number(value)?))
            };
            RawFrame::settings(&words.iter().map(pair).collect::<Result<Vec<_>, _>>()?).write(&mut wire);
        }
        "frame" => {
            let [kind, stream, rest @ ..] = words else { return Err("frame needs a type and a stream".to_owned()) };
            frame(self::kind(kind)?, number(stream)?, rest, |rest| hex(&rest.concat()))?.write(&mut wire);
        }
        "message" => {
            let [stream, rest @ ..] = words else { return Err("message needs a stream".to_owned()) };
            let payload = |rest: &[String]| Ok(message(0, &hex(&rest.concat())?));
            frame(FrameType::DATA, number(stream)?, rest, payload)?.write(&mut wire);
        }
        "headers" => {
            let [stream, rest @ ..] = words else { return Err("headers needs a stream".to_owned()) };
            let mut frame = frame(FrameType::HEADERS, number(stream)?, rest, fields)?;
            frame.flags ^= FrameHeader::END_HEADERS;
            frame.write(&mut wire);
        }
        other => {
            let verbs = "preface, settings, headers, message, frame, hex or wait";
            return Err(format!("unknown command {other:?}: use {verbs}"));
        }
    }
    Ok(Step::Send(wire))
}

/// Parses flags, `length=N` and `reserved`, and the payload after them.
fn frame(
    kind: FrameType,
    stream: u32,
    words: &[String],
    payload: impl FnOnce(&[String]) -> Result<Vec<u8>, String>,
) -> Result<RawFrame, String> {
    let mut frame = RawFrame::new(kind, 0, stream, []);
    let mut rest = words;
    while let [word, tail @ ..] = rest {
        match word.as_str() {
            "END_STREAM" | "ACK" => frame.flags |= FrameHeader::END_STREAM,
            // Read by `headers`, which sets the flag unless NO_END_HEADERS is given.
            "END_HEADERS" | "NO_END_HEADERS" => frame.flags |= FrameHeader::END_HEADERS,
            "PADDED" => frame.flags |= FrameHeader::PADDED,
            "PRIORITY" => frame.flags |= FrameHeader::PRIORITY,
            "reserved" => frame.stream |= 1 << 31,
            word if word.starts_with("0x") => {
                frame.flags = number(word)?.try_into().map_err(|_| format!("{word} is not a valid flag"))?;
            }
            word => match word.strip_prefix("length=") {
                Some(length) => frame.length = Some(number(length)?),
                None => break,
            },
        }
        rest = tail;
    }
    frame.payload = payload(rest)?;
    Ok(frame)
}

/// Parses fields as `name=value`; a name may begin with a colon, but can't contain `=`.
fn fields(words: &[String]) -> Result<Vec<u8>, String> {
    let pair = |word| str::split_once(word, '=').ok_or_else(|| format!("{word:?} must be name=value"));
    let fields: Vec<(&str, &str)> = words.iter().map(String::as_str).map(pair).collect::<Result<_, _>>()?;
    Ok(header_block(fields))
}

/// Parses a frame type: its name or its number.
fn kind(word: &str) -> Result<FrameType, String> {
    let known = (0..=9).map(FrameType).find(|kind| kind.to_string() == word);
    match known {
        Some(kind) => Ok(kind),
        None => match number(word).map(u8::try_from) {
            Ok(Ok(kind)) => Ok(FrameType(kind)),
            _ => Err(format!("invalid frame type {word:?}: use DATA, HEADERS, … or a number up to 255")),
        },
    }
}

/// Parses a decimal number, or a hex number with the prefix `0x`.
fn number(word: &str) -> Result<u32, String> {
    let number = match word.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16),
        None => word.parse(),
    };
    number.map_err(|_| format!("{word:?} is not a number"))
}

/// Parses bytes from pairs of hex digits; spaces between them are ignored.
///
/// # Errors
///
/// A description of the invalid digit, or of an odd number of digits.
pub fn hex(text: &str) -> Result<Vec<u8>, String> {
    let mut digits = Vec::new();
    for c in text.chars().filter(|c| !c.is_whitespace()) {
        digits.push(c.to_digit(16).ok_or_else(|| format!("{c:?} is not a hex digit"))? as u8);
    }
    let pairs = digits.chunks_exact(2);
    if !pairs.remainder().is_empty() {
        return Err("odd number of hex digits".to_owned());
    }
    Ok(pairs.filter_map(|pair| Some(pair.first()? << 4 | pair.last()?)).collect())
}

impl fmt::Display for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.reason)
    }
}

impl Error for ScriptError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(line: &str) -> Vec<u8> {
        match &Script::parse(line).unwrap().0[..] {
            [Step::Send(bytes)] => bytes.clone(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_script_command_writes_its_bytes() {
        assert_eq!(Script::parse("# nothing\n\n  # here\n"), Ok(Script::default()));
        assert_eq!(sent("preface # the magic"), PREFACE);
        assert_eq!(sent("settings 4=1"), [0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 1]);
        assert_eq!(sent("frame DATA 1 END_STREAM 0a 0b0c"), [0, 0, 3, 0, 1, 0, 0, 0, 1, 10, 11, 12]);
        assert_eq!(sent("frame 0xfe 1 0xff length=16777215 reserved"), [255, 255, 255, 254, 255, 128, 0, 0, 1]);
        assert_eq!(sent("message 3 0801"), [0, 0, 7, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 2, 8, 1]);
        assert_eq!(sent("headers 1 END_STREAM a=b"), [0, 0, 5, 1, 5, 0, 0, 0, 1, 0, 1, b'a', 1, b'b']);
        assert_eq!(sent("headers 1 NO_END_HEADERS \"a=b c\"")[..5], [0, 0, 7, 1, 0]);
        assert_eq!(sent("hex 00 0102"), [0, 1, 2]);
        assert_eq!(Script::parse("wait 20").unwrap().0, [Step::Wait(Duration::from_millis(20))]);
    }

    #[test]
    fn invalid_script_is_reported_with_its_line() {
        for (text, expected) in [
            ("\nfoo", "line 2: unknown command \"foo\": use preface, settings, headers, message, frame, hex or wait"),
            ("hex 0", "line 1: odd number of hex digits"),
            ("hex 0g", "line 1: 'g' is not a hex digit"),
            ("frame DATA", "line 1: frame needs a type and a stream"),
            ("frame FOO 1", "line 1: invalid frame type \"FOO\": use DATA, HEADERS, … or a number up to 255"),
            ("frame 256 1", "line 1: invalid frame type \"256\": use DATA, HEADERS, … or a number up to 255"),
            ("frame DATA x", "line 1: \"x\" is not a number"),
            ("frame DATA 1 0x100", "line 1: 0x100 is not a valid flag"),
            ("headers 1 novalue", "line 1: \"novalue\" must be name=value"),
            ("settings 70000=1", "line 1: 70000 is over 65535"),
            ("hex \"00", "line 1: a closing quotation mark is missing"),
            ("wait", "line 1: wait needs milliseconds: wait 100"),
        ] {
            assert_eq!(Script::parse(text).unwrap_err().to_string(), expected);
        }
    }
}
