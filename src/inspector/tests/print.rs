//! The printed output.

use super::*;

fn plain(conversation: &Conversation) -> String {
    print(conversation.frames(), &PrintOptions::default())
}

#[test]
fn get_feature_is_printed_as_expected() {
    let printed = plain(&decode(route_guide(), &bytes_of(&GET_FEATURE)));
    assert!(printed == include_str!("get_feature.txt"), "\n{printed}");
}

#[test]
fn lines_have_at_most_100_columns() {
    let mut schema = route_guide();
    schema.add_field("routeguide.Point", 2, &"long_name".repeat(30), FieldType::Int32);
    let printed = plain(&decode(schema, &bytes_of(&GET_FEATURE)));
    assert!(printed.lines().all(|line| line.chars().count() <= 100), "{printed}");
}

#[test]
fn colour_adds_only_escape_sequences() {
    let conversation = decode(route_guide(), &bytes_of(&GET_FEATURE));
    let options = PrintOptions { color: true, ..PrintOptions::default() };
    let colored = print(conversation.frames(), &options);
    let mut bare = String::new();
    for piece in colored.split('\x1b') {
        bare.push_str(piece.strip_prefix('[').and_then(|piece| piece.split_once('m')).map_or(piece, |(_, text)| text));
    }
    let trimmed: Vec<_> = bare.lines().map(str::trim_end).collect();
    assert_eq!(trimmed, plain(&conversation).lines().collect::<Vec<_>>());
    assert_ne!(colored, bare);
    assert_eq!(legend(&PrintOptions::default()).split("  ").count(), 7);
}

#[test]
fn faults_are_marked_and_control_characters_escaped() {
    let pieces = [
        (Direction::ToServer, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec()),
        (Direction::ToServer, hex("000007 06 00 00000000  01020304050607")),
        (Direction::ToServer, hex("000005 01 04 00000001  00 01 1b 01 0a")),
        (Direction::ToClient, b"HTTP/1.1 400 \x1b[31mno\r\n".to_vec()),
    ];
    let printed = plain(&decode(Schema::new(), &pieces));
    assert!(printed.contains("✗ FRAME_SIZE_ERROR: PING must have 8 bytes"), "{printed}");
    assert!(printed.contains(r"\u{1b}: \n"), "{printed}");
    assert!(printed.chars().all(|c| c == '\n' || !c.is_control()));
}

#[test]
fn long_fields_are_shortened() {
    let bytes = [hex("000069 10 00 00000000"), vec![b'x'; 0x69]].concat();
    let mut pieces = bytes_of(&GET_FEATURE)[..2].to_vec();
    pieces.push((Direction::ToServer, bytes));
    let conversation = decode(Schema::new(), &pieces);
    let options = PrintOptions { bytes_per_field: 16, ..PrintOptions::default() };
    let printed = print_frame(conversation.frames().last().unwrap(), &options);
    assert!(printed.contains("… 89 more"), "{printed}");
}
