//! A second, slow and simple implementation of the specification for comparison. It shares no code with `wire/`.

use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;

use crate::metadata::Entry;
use crate::wire::ProtocolError;
use crate::wire::message::EncodedMessage;

/// Returns the messages in a stream of bytes, and the end of the stream.
///
/// `Length-Prefixed-Message → Compressed-Flag Message-Length Message`: 1 byte, 4 bytes, as many as they say.
pub(super) fn messages(stream: &[u8], limit: usize) -> (Vec<EncodedMessage>, Result<(), ProtocolError>) {
    let mut found = Vec::new();
    let mut at = 0;
    let end = loop {
        let left = stream.len() - at;
        if left == 0 {
            break Ok(());
        }
        if left < 5 {
            break Err(ProtocolError::TruncatedPrefix { received: left });
        }
        let flag = stream[at];
        if flag > 1 {
            break Err(ProtocolError::ReservedFlag { flag });
        }
        let length = stream[at + 1..at + 5].iter().fold(0u64, |length, byte| length * 256 + u64::from(*byte));
        if length > limit as u64 {
            break Err(ProtocolError::MessageTooLarge { length, limit });
        }
        let length = length as usize;
        if left - 5 < length {
            break Err(ProtocolError::TruncatedMessage { received: left - 5, length });
        }
        let payload = Bytes::copy_from_slice(&stream[at + 5..at + 5 + length]);
        found.push(EncodedMessage { compressed: flag == 1, payload });
        at += 5 + length;
    };
    (found, end)
}

/// `Timeout → "grpc-timeout" TimeoutValue TimeoutUnit`, zero included.
pub(super) fn timeout(value: &[u8]) -> Option<Duration> {
    let text = std::str::from_utf8(value).ok()?;
    let (text, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if text.is_empty() || text.len() > 8 || !text.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let count: u64 = text.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(count * 3600)),
        "M" => Some(Duration::from_secs(count * 60)),
        "S" => Some(Duration::from_secs(count)),
        "m" => Some(Duration::from_millis(count)),
        "u" => Some(Duration::from_micros(count)),
        "n" => Some(Duration::from_nanos(count)),
        _ => None,
    }
}

/// Decodes percent escapes: `%` with two hexadecimal digits is a byte, anything else is itself. Invalid UTF-8 becomes
/// U+FFFD.
pub(super) fn percent_decoded(value: &[u8]) -> String {
    let mut bytes = Vec::new();
    let mut at = 0;
    while at < value.len() {
        let escaped =
            value.get(at..at + 3).filter(|three| three[0] == b'%' && three[1..].iter().all(u8::is_ascii_hexdigit));
        match escaped {
            Some(three) => {
                let digits = std::str::from_utf8(&three[1..]).unwrap();
                bytes.push(u8::from_str_radix(digits, 16).unwrap());
                at += 3;
            }
            None => {
                bytes.push(value[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The alphabet of RFC 4648 section 4.
const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Decodes base64, six bits a character, with full, partial or no padding; bits beyond the last byte are ignored. White
/// space around the value is not part of it.
pub(super) fn base64_decoded(value: &[u8]) -> Option<Vec<u8>> {
    let value = value.trim_ascii();
    let body = &value[..value.iter().rposition(|byte| *byte != b'=').map_or(0, |last| last + 1)];
    let padding = value.len() - body.len();
    if body.len() % 4 == 1 || padding > (4 - body.len() % 4) % 4 {
        return None;
    }
    let (mut bytes, mut bits, mut count) = (Vec::new(), 0u32, 0);
    for character in body {
        let digit = BASE64.iter().position(|known| known == character)?;
        bits = bits << 6 | digit as u32;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    Some(bytes)
}

/// A `-bin` field line: values between commas.
pub(super) fn base64_list(line: &[u8]) -> Vec<Option<Vec<u8>>> {
    line.split(|byte| *byte == b',').map(base64_decoded).collect()
}

/// Returns the custom metadata among headers: those without a meaning in gRPC or HTTP/2.
pub(super) fn entries(headers: &HeaderMap) -> Vec<Entry<'_>> {
    const HTTP: [&str; 9] = [
        "connection",
        "content-length",
        "content-type",
        "host",
        "keep-alive",
        "proxy-connection",
        "te",
        "transfer-encoding",
        "upgrade",
    ];
    let mut found = Vec::new();
    for (name, value) in headers {
        let (name, value) = (name.as_str(), value.as_bytes());
        let of_retries = name == "grpc-previous-rpc-attempts" || name == "grpc-retry-pushback-ms";
        if HTTP.contains(&name) || (name.starts_with("grpc-") && !of_retries) {
            continue;
        }
        match name.ends_with("-bin") {
            true => found.extend(base64_list(value).into_iter().flatten().map(|value| Entry::Binary(name, value))),
            false => found.push(Entry::Ascii(name, value)),
        }
    }
    found
}

/// `Content-Type → "application/grpc" [("+proto" / …)]`, with parameters or without, in any case.
pub(super) fn is_grpc(content_type: &[u8]) -> bool {
    let lower = content_type.to_ascii_lowercase();
    let media_type = lower.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii_end();
    media_type == b"application/grpc" || media_type == b"application/grpc+proto"
}

/// Parses `Status → "grpc-status" 1*DIGIT`; a number over the range of int32 counts as the largest one.
pub(super) fn status_number(value: &[u8]) -> Option<i32> {
    let digits = std::str::from_utf8(value).ok().filter(|text| !text.is_empty())?;
    if !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let significant = digits.trim_start_matches('0');
    Some(if significant.len() > 10 { i32::MAX } else { format!("0{significant}").parse().unwrap_or(i32::MAX) })
}
