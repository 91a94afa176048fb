//! Compares two answers.

use std::io::{self, Write};

use super::calls::{Answer, Body, End, Field};
use crate::cli::is_plain;
use barewire::wire::http2::Http2Error;

/// Prints the differences between the captured answer and the new one. Returns true if they differ.
pub(super) fn compare(captured: &Answer, fresh: &Answer, out: &mut dyn Write) -> io::Result<bool> {
    if captured.headers.is_empty() && captured.trailers.is_empty() && captured.end.is_none() {
        writeln!(out, "the capture has no answer to compare with")?;
        return Ok(false);
    }
    let mut differs = fields("headers", &captured.headers, &fresh.headers, out)?;
    differs |= messages(&captured.messages, &fresh.messages, out)?;
    differs |= fields("trailers", &captured.trailers, &fresh.trailers, out)?;
    if captured.end != fresh.end {
        differs = true;
        writeln!(out, "- ended by {}\n+ ended by {}", end(captured.end), end(fresh.end))?;
    }
    if !differs {
        writeln!(out, "the answer equals the captured one")?;
    }
    Ok(differs)
}

fn end(end: Option<End>) -> String {
    match end {
        Some(End::Stream) => "END_STREAM".to_owned(),
        Some(End::Reset(code)) => format!("RST_STREAM {}", Http2Error(code)),
        None => "nothing".to_owned(),
    }
}

/// Prints fields that only one of the two has. Ignores dates, and the order of fields with different names.
fn fields(what: &str, captured: &[Field], fresh: &[Field], out: &mut dyn Write) -> io::Result<bool> {
    let only = |these: &[Field], those: &[Field]| {
        let mut those: Vec<&Field> = those.iter().collect();
        let missing = these.iter().filter(|field| match those.iter().position(|other| other == field) {
            Some(at) => {
                those.swap_remove(at);
                false
            }
            None => !field.is("date"),
        });
        missing.map(text).collect::<Vec<_>>()
    };
    let (gone, new) = (only(captured, fresh), only(fresh, captured));
    for (sign, fields) in [("-", &gone), ("+", &new)] {
        for field in fields {
            writeln!(out, "{sign} {what}: {field}")?;
        }
    }
    Ok(!gone.is_empty() || !new.is_empty())
}

fn text(field: &Field) -> String {
    let part = |part: &Option<std::sync::Arc<[u8]>>| match part {
        Some(octets) => match std::str::from_utf8(octets) {
            Ok(text) if text.chars().all(is_plain) => text.to_owned(),
            _ => octets.escape_ascii().to_string(),
        },
        None => "unknown".to_owned(),
    };
    format!("{}: {}", part(&field.name), part(&field.value))
}

fn messages(captured: &[Body], fresh: &[Body], out: &mut dyn Write) -> io::Result<bool> {
    let mut differs = false;
    for at in 0..captured.len().max(fresh.len()) {
        let (before, now) = (captured.get(at), fresh.get(at));
        if let (Some(before), Some(now)) = (before, now)
            && (before.flag, &before.payload) == (now.flag, &now.payload)
        {
            continue;
        }
        differs = true;
        for (sign, body) in [("-", before), ("+", now)] {
            if let Some(body) = body {
                writeln!(out, "{sign} message {}: {}", at + 1, body.outline)?;
            }
        }
    }
    Ok(differs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(name: &str, value: &str) -> Field {
        Field { name: Some(name.as_bytes().into()), value: Some(value.as_bytes().into()) }
    }

    fn body(outline: &str) -> Body {
        Body { flag: 0, payload: outline.as_bytes().to_vec(), type_name: None, outline: outline.to_owned() }
    }

    fn answer(status: &str, messages: &[&str]) -> Answer {
        Answer {
            headers: vec![field(":status", "200"), field("date", status)],
            messages: messages.iter().map(|message| body(message)).collect(),
            trailers: vec![field("grpc-status", status)],
            end: Some(End::Stream),
        }
    }

    fn compared(captured: &Answer, fresh: &Answer) -> (bool, String) {
        let mut out = Vec::new();
        let differs = compare(captured, fresh, &mut out).unwrap();
        (differs, String::from_utf8(out).unwrap())
    }

    #[test]
    fn only_differences_are_printed() {
        let same = compared(&answer("0", &["a", "b"]), &answer("0", &["a", "b"]));
        assert_eq!(same, (false, "the answer equals the captured one\n".to_owned()));
        let (differs, text) = compared(&answer("0", &["a", "b"]), &answer("5", &["a", "c", "d"]));
        assert!(differs);
        assert_eq!(
            text,
            "- message 2: b\n+ message 2: c\n+ message 3: d\n- trailers: grpc-status: 0\n+ trailers: grpc-status: 5\n"
        );
        let reset = Answer { trailers: Vec::new(), end: Some(End::Reset(8)), ..answer("0", &[]) };
        let (_, text) = compared(&answer("0", &[]), &reset);
        assert_eq!(text, "- trailers: grpc-status: 0\n- ended by END_STREAM\n+ ended by RST_STREAM CANCEL\n");
        let said = |text| Answer { trailers: vec![field("grpc-message", text)], ..answer("0", &[]) };
        let (_, text) = compared(&said("it's \"text/plain\""), &said("a\u{1b}[2J"));
        assert_eq!(text, "- trailers: grpc-message: it's \"text/plain\"\n+ trailers: grpc-message: a\\x1b[2J\n");
        assert_eq!(compared(&Answer::default(), &reset).1, "the capture has no answer to compare with\n");
    }
}
