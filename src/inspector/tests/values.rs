//! Messages of Protocol Buffers, with a schema and without.

use super::*;
use crate::inspector::decode::protobuf::annotate;

fn schema() -> Schema {
    let mut schema = Schema::new();
    let kinds = [
        ("i32", FieldType::Int32),
        ("s32", FieldType::Sint32),
        ("u64", FieldType::Uint64),
        ("flag", FieldType::Bool),
        ("color", FieldType::Enum("Color".into())),
        ("f", FieldType::Float),
        ("d", FieldType::Double),
        ("sf", FieldType::Sfixed32),
        ("text", FieldType::String),
        ("raw", FieldType::Bytes),
        ("inner", FieldType::Message("All".into())),
        ("grp", FieldType::Group("All".into())),
    ];
    for (number, (name, kind)) in (1..).zip(kinds) {
        schema.add_field("All", number, name, kind);
    }
    schema.add_enum_value("Color", 2, "GREEN");
    schema
}

/// The top-level fields as "label: value", and the faults below them.
fn read(bytes: &[u8], message: Option<&str>) -> (Vec<String>, Vec<String>) {
    let tree = annotated(bytes, message, 1000, 4);
    assert_eq!(check_tiling(0..bytes.len(), &tree), Ok(()));
    let faults = tree.all().iter().filter_map(|node| node.fault.as_deref().map(str::to_owned)).collect();
    (tree.iter().map(|node| format!("{}: {}", node.label, node.value)).collect(), faults)
}

fn child(node: Node<'_>, place: usize) -> Node<'_> {
    node.children().nth(place).unwrap()
}

fn annotated(bytes: &[u8], message: Option<&str>, mut budget: usize, depth: usize) -> Tree {
    let mut tree = Tree::default();
    annotate(&mut tree, bytes, 0..bytes.len(), message, &schema(), &mut budget, depth);
    tree
}

fn named(bytes: &[u8], expected: &str) {
    assert_eq!(read(bytes, Some("All")), (vec![expected.to_owned()], vec![]));
}

fn unnamed(bytes: &[u8], expected: &str) {
    assert_eq!(read(bytes, None), (vec![expected.to_owned()], vec![]));
}

#[test]
fn values_are_decoded_by_their_types() {
    named(&[0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01], "i32: -1");
    named(&[0x10, 0x03], "s32: -2");
    named(&[0x18, 0x96, 0x01], "u64: 150");
    named(&[0x20, 0x01], "flag: true");
    named(&[0x28, 0x02], "color: GREEN (2)");
    named(&[0x28, 0x07], "color: 7");
    named(&[0x35, 0, 0, 0xc0, 0x3f], "f: 1.5");
    named(&[0x39, 0, 0, 0, 0, 0, 0, 0xf8, 0xbf], "d: -1.5");
    named(&[0x45, 0xfe, 0xff, 0xff, 0xff], "sf: -2");
    named(&[0x4a, 2, b'h', b'i'], "text: \"hi\"");
    named(&[0x52, 2, b'h', b'i'], "raw: 2 bytes");
    named(&[0x5a, 2, 0x08, 0x01], "inner: All");
    named(&[0x5a, 0], "inner: All");
    named(&[0x63, 0x08, 0x01, 0x64], "grp: All");
    named(&[0x0a, 3, 1, 2, 3], "i32: 1, 2, 3");
    named(&[0x0a, 0], "i32: (empty)");
    named(&[0x32, 8, 0, 0, 0x80, 0x3f, 0, 0, 0, 0x40], "f: 1, 2");
    named(&[0x98, 0x06, 0x01], "99: 1");
}

#[test]
fn values_without_a_schema_are_guessed() {
    unnamed(&[0x08, 0x96, 0x01], "1: 150");
    unnamed(&[0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01], "1: 18446744073709551615 (or -1)");
    unnamed(&[0x0d, 0, 0, 0x80, 0x3f], "1: 0x3f800000 (or 1e0)");
    unnamed(&[0x0a, 0], "1: \"\"");
    unnamed(&[0x0a, 5, b'h', b'e', b'l', b'l', b'o'], "1: \"hello\"");
    unnamed(&[0x0a, 2, 0x08, 0x01], "1: message");
    // A message with one string of ten letters is printable from its first byte to its last, line break included.
    unnamed(&[&[0x0a, 12, 0x0a, 10][..], b"abcdefghij"].concat(), "1: message");
    unnamed(&[0x0a, 3, 0xff, 0xff, 0xff], "1: 3 bytes");
    unnamed(&[0x0b, 0x10, 0x01, 0x0c], "1: group");
}

#[test]
fn faults_are_annotated_where_they_occur() {
    let cases: [(&[u8], &str); 8] = [
        (&[0x0d, 1, 0, 0, 0], "i32 can't have wire type I32"),
        (&[0x4a, 1, 0xff], "the string is not UTF-8"),
        (&[0x0a, 2, 1, 0x80], "the packed numbers end inside a number"),
        (&[0x08, 0x01, 0x00], "0 is not a field number"),
        (&[0x5a, 2, 0x0a, 9], "length 9 exceeds the remaining 0 bytes"),
        (&[0x63, 0x08, 0x01], "the end of the group is missing"),
        (&[0x63], "the end of the group is missing"),
        (&[0x64, 0x08, 0x01], "the end of group 12, which was not started"),
    ];
    for (bytes, fault) in cases {
        assert_eq!(read(bytes, Some("All")).1, [fault], "{bytes:02x?}");
    }
}

#[test]
fn overlong_varint_is_annotated() {
    named(&[0x08, 0x81, 0x00], "i32: 1 (longer than needed)");
    let tree = annotated(&[0x88, 0x00, 1], None, 10, 1);
    assert_eq!(tree.all()[1].value, "field 1, VARINT (longer than needed)");
}

#[test]
fn depth_and_number_of_annotations_are_bounded() {
    let nested = [0x5a, 8, 0x5a, 6, 0x5a, 4, 0x5a, 2, 0x08, 0x01];
    let tree = annotated(&nested, Some("All"), 1000, 2);
    assert_eq!(
        child(child(tree.iter().next().unwrap(), 2), 2).value,
        "4 bytes, not decoded: nested deeper than --limit depth"
    );
    let groups = [0x63; 100];
    let tree = annotated(&groups, Some("All"), 1000, 4);
    assert_eq!(check_tiling(0..100, &tree), Ok(()));

    let many = [0x08, 0x01].repeat(100);
    let mut budget = 40;
    let mut tree = Tree::default();
    annotate(&mut tree, &many, 0..200, Some("All"), &schema(), &mut budget, 4);
    assert_eq!((tree.iter().count(), budget), (11, 0));
    let last = tree.iter().last().unwrap();
    assert_eq!((last.label.to_string(), last.range.clone()), ("more fields".to_owned(), 20..200));
    assert_eq!(last.value, "not decoded: over --limit annotations");
    let packed = [&[0x0a, 100][..], &[1; 100]].concat();
    let tree = annotated(&packed, Some("All"), 20, 4);
    assert_eq!(tree.all()[0].value, "1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1");
    assert_eq!(check_tiling(0..102, &tree), Ok(()));
}
