//! Tests of the inspector over whole blocks, frames and conversations.

mod before;
mod calls;
mod connection;
mod conversation;
mod explain;
mod frames;
mod hpack;
mod json;
mod law;
mod lint;
mod lint_cases;
mod lint_unseen;
mod print;
mod push;
mod redaction;
mod restored;
mod stalls;
mod values;
mod views;

use super::*;

/// Bytes from hex digits in groups.
fn hex(digits: &str) -> Vec<u8> {
    let digits: Vec<u8> = digits.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

fn route_guide() -> Schema {
    let mut schema = Schema::new();
    schema.add_method("/routeguide.RouteGuide/GetFeature", "routeguide.Point", "routeguide.Feature");
    schema.add_field("routeguide.Point", 1, "latitude", FieldType::Int32);
    schema.add_field("routeguide.Point", 2, "longitude", FieldType::Int32);
    schema.add_field("routeguide.Feature", 1, "name", FieldType::String);
    schema.add_field("routeguide.Feature", 2, "location", FieldType::Message("routeguide.Point".into()));
    schema
}

/// A GetFeature call as a client sees it: pieces of hex, in the order on the wire.
const GET_FEATURE: [(Direction, &str); 11] = [
    (Direction::ToServer, "505249202a20485454502f322e30 0d0a0d0a 534d 0d0a0d0a"), // PRI * HTTP/2.0, SM
    (Direction::ToServer, "00000c 04 00 00000000  0002 00000000  0004 00100000"), // SETTINGS
    (Direction::ToClient, "000006 04 00 00000000  0003 00000064"),                // SETTINGS
    (Direction::ToServer, "000000 04 01 00000000"),                               // SETTINGS ACK
    (
        Direction::ToServer, // HEADERS, END_HEADERS
        "000067 01 04 00000001
         83                                                                     # :method: POST
         86                                                                     # :scheme: http
         44 21 2f726f75746567756964652e526f75746547756964652f47657446656174757265
         41 0f 6c6f63616c686f73743a3530303531
         5f 10 6170706c69636174696f6e2f67727063
         40 02 7465 08 747261696c657273
         40 0c 677270632d74696d656f7574 03 313053",
    ),
    (
        Direction::ToServer, // DATA, END_STREAM
        "000016 00 01 00000001
         00 00000011
         08 9af18dc301
         10 86e2e29bfdffffffff01",
    ),
    (Direction::ToClient, "000000 04 01 00000000"), // SETTINGS ACK
    (
        Direction::ToClient, // HEADERS, END_HEADERS
        "00000e 01 04 00000001
         88
         5f 8b 1d75d0620d263d4c4d6564",
    ),
    (
        Direction::ToClient, // DATA
        "000040 00 00 00000001
         00 0000003b
         0a 26 4265726b73686972652056616c6c6579204d616e6167656d656e74204172656120547261696c
         12 11
            08 9af18dc301
            10 86e2e29bfdffffffff01",
    ),
    (
        Direction::ToClient, // HEADERS, END_STREAM, END_HEADERS: trailers
        "00000c 01 05 00000001
         40 88 9acac8b21234da8f 81 07",
    ),
    (Direction::ToServer, "000008 07 00 00000000 00000000 00000000"), // GOAWAY
];

/// The pieces of a conversation as bytes; `#` on a line starts a comment.
fn bytes_of(pieces: &[(Direction, &str)]) -> Vec<(Direction, Vec<u8>)> {
    let plain = |text: &str| text.lines().map(|line| line.split('#').next().unwrap()).collect::<String>();
    pieces.iter().map(|(direction, text)| (*direction, hex(&plain(text)))).collect()
}

fn decode(schema: Schema, pieces: &[(Direction, Vec<u8>)]) -> Conversation {
    let mut conversation = Conversation::new(schema);
    for (direction, bytes) in pieces {
        conversation.push(*direction, bytes);
    }
    conversation.finish();
    conversation
}
