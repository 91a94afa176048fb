//! Message names from `.proto` files of every syntax and from descriptor sets.

use super::complaint;
use super::process::{Folder, barewire};

fn case(name: &str) -> String {
    format!("{}/tests/tap/cases/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// Returns the bytes of a client that sends one message to `/t.S/Do`.
fn request(message: &[u8]) -> Vec<u8> {
    let headers = [b"\x83\x86\x44\x07/t.S/Do\x5f\x10application/grpc".as_slice()].concat();
    let data = [&[0, 0, 0, 0, message.len() as u8], message].concat();
    let frame = |kind: u8, flags: u8, stream: u8, payload: &[u8]| {
        [&[0, 0, payload.len() as u8, kind, flags, 0, 0, 0, stream], payload].concat()
    };
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    [preface, frame(4, 0, 0, &[]), frame(1, 4, 1, &headers), frame(0, 1, 1, &data)].concat()
}

/// Returns the line of the message, decoded with the names of this source.
async fn decoded(folder: &Folder, source: &str, message: &[u8]) -> String {
    std::fs::write(folder.file("request"), request(message)).unwrap();
    std::fs::write(folder.file("names.proto"), source).unwrap();
    let printed = barewire(&["decode", &folder.file("request"), "--proto", &folder.file("names.proto")]).await;
    printed.lines().find(|line| line.contains("t.M, ")).unwrap_or_else(|| panic!("{printed}")).trim().to_owned()
}

const SERVICE: &str = "service S { rpc Do(M) returns (M); }";

/// Encoded by Google's protobuf for Python.
#[tokio::test]
async fn edition_with_delimited_messages_is_decoded_as_protoc_encodes_it() {
    let source = "/* first */ edition = \"2023\"; package t;
        option features.message_encoding = DELIMITED;
        message A { int32 x = 1; }
        message M {
          A a = 1; map<string, A> m = 2; A lp = 3 [features.message_encoding = LENGTH_PREFIXED];
          repeated int32 un = 4 [features.repeated_field_encoding = EXPANDED]; int32 d = 5 [default = 7];
          reserved foo, bar; extensions 100 to 200 [verification = UNVERIFIED]; extensions 201 [declaration = { number: 201 }];
          double inf = 8 [default = -inf, deprecated = true]; C c = 6; repeated A ra = 7;
          enum C { option features.enum_type = CLOSED; ONE = 1; TWO = 2; }
        }
        extend M { A ext = 100; }"
        .to_owned()
        + SERVICE;
    let bytes =
        b"\x0b\x08\x01\x0c\x12\x07\x0a\x01k\x12\x02\x08\x02\x1a\x02\x08\x03\x20\x01\x20\x02\x30\x01\x3b\x08\x04\x3c\
        \xa3\x06\x08\x05\xa4\x06";
    let line = decoded(&Folder::new("proto-delimited"), &source, bytes).await;
    let expected = "t.M, 33 bytes: a: t.A { x: 1 }, m: t.M.MEntry { key: \"k\", value: t.A { x: 2 } }, lp: t.A { x: 3 }, un: 1, \
                    un: 2, c: ONE (1), ra: t.A { x: 4 }, [t.ext]: t.A { x: 5 }";
    assert_eq!(line, expected);
}

#[tokio::test]
async fn feature_of_a_field_may_be_an_aggregate_and_edition_2024_has_visibility() {
    let source = "edition = '2024'; package t; import option \"custom.proto\";
        option features = { enum_type: OPEN };
        local message A { int32 x = 1; }
        export message M { A a = 1 [features = { message_encoding: DELIMITED }]; A b = 2; }"
        .to_owned()
        + SERVICE;
    let line = decoded(&Folder::new("proto-2024"), &source, b"\x0b\x08\x01\x0c\x12\x02\x08\x02").await;
    assert_eq!(line, "t.M, 8 bytes: a: t.A { x: 1 }, b: t.A { x: 2 }");
}

#[tokio::test]
async fn imports_of_options_may_be_missing() {
    let folder = Folder::new("proto-missing");
    let source = "syntax = \"proto3\"; package t; import \"google/api/annotations.proto\"; import \"gogoproto/gogo.proto\";
        import \"google/rpc/status.proto\";
        option (gogoproto.goproto_getters_all) = false;
        message M { option (gogoproto.equal) = true; int32 a = 1 [(gogoproto.nullable) = false, deprecated = true];
          google.rpc.Status status = 2; oneof o { option (gogoproto.x) = 1; int32 b = 3; } }
        enum E { option (gogoproto.y) = 1; Z = 0 [(gogoproto.enumvalue_customname) = \"z\"]; }
        service S { option (google.api.default_host) = \"a\";
          rpc Do(M) returns (M) { option (google.api.http) = { get: \"/v1/{a}\" additional_bindings { post: \"/b\" } }; } }";
    let line = decoded(&folder, source, b"\x08\x05\x12\x02\x08\x03").await;
    assert_eq!(line, "t.M, 6 bytes: a: 5, status: google.rpc.Status { code: 3 }");
    let (request, names) = (folder.file("request"), folder.file("names.proto"));
    let flags = ["decode", &request, "--proto", &names];
    let (_, stderr) = complaint(&flags).await;
    assert!(
        stderr.contains("imports not found, nothing of them is used: google/api/annotations.proto, gogoproto"),
        "{stderr}"
    );

    let source = source.replace("int32 b = 3", "google.api.HttpBody b = 3");
    std::fs::write(folder.file("names.proto"), source).unwrap();
    let (status, stderr) = complaint(&flags).await;
    assert_eq!(status, Some(2), "{stderr}");
    for part in ["google.api.HttpBody", "imports not found: google/api/annotations.proto", "--proto-path"] {
        assert!(stderr.contains(part), "{part}: {stderr}");
    }
}

#[tokio::test]
async fn unknown_edition_and_syntax_errors_name_the_remedy() {
    let folder = Folder::new("proto-errors");
    std::fs::write(folder.file("request"), request(&[])).unwrap();
    for (source, parts) in [
        ("edition = \"2099\";", ["2099", "--descriptor-set"]),
        ("edition = \"2023\"; message {", ["names.proto", "--proto"]),
        ("syntax = \"proto3\"; message M { Missing m = 1; }", ["Missing", "--proto-path"]),
    ] {
        std::fs::write(folder.file("names.proto"), source).unwrap();
        let flags = ["decode", &folder.file("request"), "--proto", &folder.file("names.proto")];
        let (status, stderr) = complaint(&flags).await;
        assert_eq!(status, Some(2), "{stderr}");
        parts.iter().for_each(|part| assert!(stderr.contains(part), "{part}: {stderr}"));
    }
}

#[tokio::test]
async fn byte_order_mark_and_edition_are_accepted() {
    for name in ["bom.proto", "edition2023.proto"] {
        let folder = Folder::new(&format!("proto-{name}"));
        let source = std::fs::read_to_string(case(name)).unwrap();
        assert_eq!(decoded(&folder, &source, b"\x08\x05").await, "t.M, 2 bytes: a: 5", "{name}");
    }
}

#[tokio::test]
async fn delimited_encoding_is_read_from_a_descriptor_set() {
    let flags = ["decode", &case("ed.pcap"), "--descriptor-set", &case("ed.ds"), "--show", "lines,lint"];
    let printed = barewire(&flags).await;
    assert!(printed.contains("e.D, 14 bytes: a: 5, r: 1, 2, x: 1, d: e.D { a: 9 }, o: Z (0)"), "{printed}");
    assert!(!printed.contains("  error  "), "{printed}");
}

#[tokio::test]
async fn proto2_shows_first_alias_extensions_and_empty_packed_fields() {
    let printed = barewire(&["decode", &case("enum_unknown.pcap"), "--proto", &case("t2.proto")]).await;
    assert!(printed.contains("t.M, 16 bytes: c: 99, c: NEG (-5), al: A1 (1)"), "{printed}");
    let source = std::fs::read_to_string(case("t2.proto")).unwrap();
    let bytes = b"\xa0\x06\x05\xb2\x06\x01i\x82\x01\x00\xfa\xff\xff\xff\x0f\x01e";
    let line = decoded(&Folder::new("proto-2"), &source, bytes).await;
    assert_eq!(line, "t.M, 17 bytes: [t.ext]: 5, [t.Outer.inner_ext]: \"i\", pk: (empty), [t.exts]: \"e\"");
}

#[tokio::test]
async fn single_field_is_not_packed() {
    let source =
        format!("syntax = \"proto3\"; package t; message M {{ int32 a = 1; repeated int32 b = 2; }} {SERVICE}");
    let folder = Folder::new("proto-single");
    let line = decoded(&folder, &source, b"\x0a\x01\x05\x12\x01\x05\x10\x06").await;
    assert_eq!(line, "t.M, 8 bytes: a: 1 byte, b: 5, b: 6");
    let hex =
        barewire(&["decode", &folder.file("request"), "--proto", &folder.file("names.proto"), "--show", "hex"]).await;
    assert!(hex.contains("a can't have wire type LEN"), "{hex}");
}

#[tokio::test]
async fn text_of_a_hidden_part_names_the_flag_that_shows_it() {
    let source =
        format!("syntax = \"proto3\"; package t; message M {{ repeated M m = 1; repeated int32 b = 2; }} {SERVICE}");
    let folder = Folder::new("proto-limits");
    let cases: [(&str, &[u8], &str); 3] = [
        ("annotations=14", &[0x10, 1, 0x10, 2, 0x10, 3], "more fields: not decoded: over --limit annotations"),
        ("depth=1", &[0x0a, 4, 0x0a, 2, 0x10, 7], "2 bytes, not decoded: nested deeper than --limit depth"),
        ("message=5", &[0x10, 1, 0x10, 2, 0x10, 3], "not decoded: over --limit message"),
    ];
    for (limit, message, expected) in cases {
        decoded(&folder, &source, message).await;
        let flags = ["decode", &folder.file("request"), "--proto", &folder.file("names.proto"), "--limit", limit];
        let printed = barewire(&flags).await;
        assert!(printed.contains(expected), "{limit}: {printed}");
        let printed = barewire(&flags[..4]).await;
        assert!(!printed.contains("--limit"), "{printed}");
    }
    let (status, stderr) = complaint(&["decode", "x", "--limit", "fields=1"]).await;
    assert_eq!(status, Some(2), "{stderr}");
    assert!(stderr.contains("annotations, calls, depth"), "{stderr}");
}
