//! Reads the JSON lines that this program writes, and returns their bytes as a capture.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use serde_json::Value;

use super::recorded::{Capture, Chunk, Connection, NOWHERE};
use crate::inspector::model::frame::Direction;
use crate::inspector::model::text;

/// Reads a capture from JSON lines; returns `None` if the first line is not that of a connection or a frame.
pub(super) fn read(file: &[u8]) -> Option<Capture> {
    let text = std::str::from_utf8(file).ok()?;
    let mut capture = Capture::new(SystemTime::UNIX_EPOCH);
    let mut numbers: Vec<u64> = Vec::new();
    for (place, line) in text.lines().enumerate().filter(|(_, line)| !line.is_empty()) {
        let record: Option<Value> = serde_json::from_str(line).ok();
        let Some(record) = record.filter(|record| record.get("record").is_some()) else {
            if capture.connections.is_empty() {
                return None;
            }
            capture.cut_short = Some(format!("the file is truncated: line {} is not a record", place + 1));
            break;
        };
        let text = |key: &str| record.get(key).and_then(Value::as_str);
        if let (Some("limit"), Some(text)) = (text("record"), text("text")) {
            let note = text::plain(text.as_bytes());
            if capture.notes.is_empty() {
                capture.notes.push(note);
            }
        }
        let Some(number) = record.get("connection").and_then(Value::as_u64) else { continue };
        let at = numbers.iter().position(|known| *known == number).unwrap_or_else(|| {
            numbers.push(number);
            capture.connections.push(Connection::new(NOWHERE, NOWHERE));
            numbers.len() - 1
        });
        let Some(connection) = capture.connections.get_mut(at) else { continue };
        match record.get("record").and_then(Value::as_str) {
            Some("connection") => {
                let address = |key: &str| record.get(key)?.as_str()?.parse::<SocketAddr>().ok();
                connection.client = address("client").unwrap_or(NOWHERE);
                connection.server = address("server").unwrap_or(NOWHERE);
                connection.roles_guessed = record.get("roles_guessed").and_then(Value::as_bool).unwrap_or_default();
                if let Some(began) = record.get("began").and_then(Value::as_f64) {
                    let began = Duration::try_from_secs_f64(began).unwrap_or_default();
                    capture.began = SystemTime::UNIX_EPOCH.checked_add(began).unwrap_or(SystemTime::UNIX_EPOCH);
                }
            }
            Some("frame") => {
                let mut chunk = chunk(&record);
                // Edited lines may go back in time; a capture must not.
                chunk.time = chunk.time.max(connection.chunks.last().map_or(Duration::ZERO, |last| last.time));
                connection.chunks.push(chunk);
            }
            _ => {}
        }
    }
    (!capture.connections.is_empty()).then_some(capture)
}

/// Returns the bytes of a frame, or the number of missing bytes.
fn chunk(record: &Value) -> Chunk {
    let time = record.get("time").and_then(Value::as_f64).unwrap_or_default();
    let to_server = record.get("direction").and_then(Value::as_str) == Some("to_server");
    Chunk {
        time: Duration::try_from_secs_f64(time).unwrap_or_default(),
        direction: if to_server { Direction::ToServer } else { Direction::ToClient },
        lost: record.get("lost").and_then(Value::as_u64).unwrap_or_default(),
        bytes: record.get("bytes").and_then(Value::as_str).map(hex).unwrap_or_default(),
    }
}

/// Decodes hex digits; an invalid digit counts as 0.
fn hex(digits: &str) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).unwrap_or_default() as u8;
    digits.as_bytes().chunks_exact(2).map(|pair| pair.iter().fold(0, |byte, half| byte << 4 | digit(*half))).collect()
}
