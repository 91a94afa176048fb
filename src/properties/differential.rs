//! Compares the parsers with a second implementation ([`reference`]), with limits and splits that the input selects.

use http::{HeaderMap, HeaderValue};

use super::messages::decode;
use super::{reference, values};
use crate::status::{Code, Status};
use crate::wire::response::Trailers;

/// The first byte of the input selects the part: messages, `grpc-timeout`, `grpc-message`, or `grpc-status`.
pub fn differential(data: &[u8]) {
    let Some((part, data)) = data.split_first() else { return };
    match part % 4 {
        0 => messages(data),
        1 => values::timeout(data),
        2 => values::percent(data),
        _ => status(data),
    }
}

/// The input: two bytes of limit, then pieces, each after a byte with its length.
fn messages(data: &[u8]) {
    let Some((limit, mut rest)) = data.split_first_chunk() else { return };
    let limit = usize::from(u16::from_le_bytes(*limit));
    let mut pieces = Vec::new();
    while let Some((length, behind)) = rest.split_first() {
        let (piece, behind) = behind.split_at(behind.len().min(usize::from(*length)));
        pieces.push(piece);
        rest = behind;
    }
    let expected = reference::messages(&pieces.concat(), limit);
    for take_every in [1, 2, usize::MAX] {
        assert_eq!(decode(limit, take_every, pieces.iter().copied()), expected, "limit {limit}, {pieces:?}");
    }
}

/// Trailers that contain only this `grpc-status`.
fn status(data: &[u8]) {
    let Ok(value) = HeaderValue::from_bytes(data) else { return };
    let mut fields = HeaderMap::new();
    fields.append("grpc-status", value.clone());
    let read = Trailers::parse(fields).status;
    let number = read.as_ref().map_or_else(Status::number, |()| 0);
    assert_eq!(number, reference::status_number(value.as_bytes()).unwrap_or(Code::Unknown.number()), "{value:?}");
    assert_eq!(read.is_ok(), number == 0);
}
