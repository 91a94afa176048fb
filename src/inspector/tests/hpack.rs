//! The examples of RFC 7541, Appendix C, and invalid blocks.

use super::*;

fn list(block: &Block) -> Vec<(String, String)> {
    let text = |bytes: &Option<std::sync::Arc<[u8]>>| String::from_utf8(bytes.as_ref().unwrap().to_vec()).unwrap();
    block.fields.iter().map(|field| (text(&field.name), text(&field.value))).collect()
}

/// A block's digits, its headers, and the dynamic table's entries and size after it.
type Example<'a> = (&'a str, &'a [(&'a str, &'a str)], usize, usize);

/// Decodes blocks one after the other.
fn check(decoder: &mut Decoder, blocks: &[Example<'_>]) {
    for (digits, expected, entries, size) in blocks {
        let bytes = hex(digits);
        let block = decoder.decode(&bytes);
        let expected: Vec<_> = expected.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        assert_eq!(block.error, None);
        assert_eq!(list(&block), expected);
        assert_eq!(check_tiling(0..bytes.len(), &block.annotations), Ok(()));
        assert_eq!((decoder.table_len(), decoder.table_size()), (*entries, *size));
    }
}

fn decoder() -> Decoder {
    Decoder::new(Limits::default())
}

/// A decoder whose table has the 256 bytes of the response examples, set by a size update.
fn small_decoder() -> Decoder {
    let mut decoder = decoder();
    assert_eq!(decoder.decode(&hex("3fe101")).annotations.all()[0].value, "256");
    decoder
}

#[test]
fn c_2_header_field_representations() {
    let custom = "400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572";
    check(&mut decoder(), &[(custom, &[("custom-key", "custom-header")], 1, 55)]);
    check(&mut decoder(), &[("040c 2f73 616d 706c 652f 7061 7468", &[(":path", "/sample/path")], 0, 0)]);
    let password = "1008 7061 7373 776f 7264 0673 6563 7265 74";
    check(&mut decoder(), &[(password, &[("password", "secret")], 0, 0)]);
    assert!(decoder().decode(&hex(password)).fields[0].never_indexed);
    check(&mut decoder(), &[("82", &[(":method", "GET")], 0, 0)]);
}

const REQUESTS: [&[(&str, &str)]; 3] = [
    &[(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "www.example.com")],
    &[
        (":method", "GET"),
        (":scheme", "http"),
        (":path", "/"),
        (":authority", "www.example.com"),
        ("cache-control", "no-cache"),
    ],
    &[
        (":method", "GET"),
        (":scheme", "https"),
        (":path", "/index.html"),
        (":authority", "www.example.com"),
        ("custom-key", "custom-value"),
    ],
];

#[test]
fn c_3_requests_without_huffman() {
    let blocks = [
        ("8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d", REQUESTS[0], 1, 57),
        ("8286 84be 5808 6e6f 2d63 6163 6865", REQUESTS[1], 2, 110),
        ("8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65", REQUESTS[2], 3, 164),
    ];
    check(&mut decoder(), &blocks);
}

#[test]
fn c_4_requests_with_huffman() {
    let blocks = [
        ("8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff", REQUESTS[0], 1, 57),
        ("8286 84be 5886 a8eb 1064 9cbf", REQUESTS[1], 2, 110),
        ("8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf", REQUESTS[2], 3, 164),
    ];
    check(&mut decoder(), &blocks);
}

const RESPONSES: [&[(&str, &str)]; 3] = [
    &[
        (":status", "302"),
        ("cache-control", "private"),
        ("date", "Mon, 21 Oct 2013 20:13:21 GMT"),
        ("location", "https://www.example.com"),
    ],
    &[
        (":status", "307"),
        ("cache-control", "private"),
        ("date", "Mon, 21 Oct 2013 20:13:21 GMT"),
        ("location", "https://www.example.com"),
    ],
    &[
        (":status", "200"),
        ("cache-control", "private"),
        ("date", "Mon, 21 Oct 2013 20:13:22 GMT"),
        ("location", "https://www.example.com"),
        ("content-encoding", "gzip"),
        ("set-cookie", "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1"),
    ],
];

#[test]
fn c_5_responses_without_huffman_evict() {
    let blocks = [
        (
            "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32
             3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
            RESPONSES[0],
            4,
            222,
        ),
        ("4803 3330 37c1 c0bf", RESPONSES[1], 4, 222),
        (
            "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970
             7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61
             6765 3d33 3630 303b 2076 6572 7369 6f6e 3d31",
            RESPONSES[2],
            3,
            215,
        ),
    ];
    check(&mut small_decoder(), &blocks);
}

#[test]
fn c_6_responses_with_huffman_evict() {
    let blocks = [
        (
            "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad
             1718 63c7 8f0b 97c8 e9ae 82ae 43d3",
            RESPONSES[0],
            4,
            222,
        ),
        ("4883 640e ffc1 c0bf", RESPONSES[1], 4, 222),
        (
            "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2
             e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07",
            RESPONSES[2],
            3,
            215,
        ),
    ];
    check(&mut small_decoder(), &blocks);
}

#[test]
fn instruction_is_annotated_in_parts() {
    let block = decoder().decode(&hex("400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572 82"));
    let parts: Vec<_> = block.annotations.leaves().map(|leaf| (leaf.range.clone(), leaf.label.to_string())).collect();
    let expected = [
        (0..1, "index"),
        (1..2, "name length"),
        (2..12, "name"),
        (12..13, "value length"),
        (13..26, "value"),
        (26..27, ":method"),
    ];
    assert_eq!(parts, expected.map(|(range, label)| (range, label.to_owned())));
    assert_eq!(block.annotations.all()[0].detail, "new name, added");
}

#[test]
fn invalid_header_blocks_are_errors() {
    let allowed = HpackError::TableSize { size: 4097, allowed: 4096 };
    for (digits, error) in [
        ("80", HpackError::IndexZero),
        ("be", HpackError::Index { index: 62, entries: 61 }),
        ("7e 00", HpackError::Index { index: 62, entries: 61 }),
        ("ff", HpackError::Truncated),
        ("ff ff ff ff ff ff 7f", HpackError::Integer),
        ("ff ff ff ff ff 0f", HpackError::Integer),
        ("40", HpackError::Truncated),
        ("40 05 6162", HpackError::Truncated),
        ("40 01 61", HpackError::Truncated),
        ("40 81 ff 00", HpackError::HuffmanPadding),
        ("40 84 ffffffff 00", HpackError::HuffmanEos),
        ("3f e2 1f", allowed),
    ] {
        let bytes = hex(&format!("82 {digits}"));
        let block = decoder().decode(&bytes);
        assert_eq!(block.error, Some(error), "{digits}");
        assert_eq!(block.fields.len(), 1);
        assert_eq!(check_tiling(0..bytes.len(), &block.annotations), Ok(()));
        assert_eq!(block.annotations.all().last().unwrap().fault.as_deref(), Some(&*error.to_string()));
    }
}

#[test]
fn larger_table_is_valid_once_the_peer_allowed_it() {
    let mut decoder = decoder();
    decoder.allow_table_size(8192);
    assert_eq!(decoder.decode(&hex("3f e1 3f 82")).error, None);
    assert_eq!(decoder.decode(&hex("3f e2 3f")).error, Some(HpackError::TableSize { size: 8193, allowed: 8192 }));
}

#[test]
fn size_update_after_a_field_is_a_fault() {
    let block = decoder().decode(&hex("20 20 82"));
    assert!(block.annotations.all().iter().all(|node| node.fault.is_none()));
    let block = decoder().decode(&hex("82 20"));
    assert!(block.annotations.iter().nth(1).unwrap().fault.is_some());
}

#[test]
fn table_is_unknown_after_missing_bytes() {
    let mut decoder = decoder();
    decoder.decode(&hex("4001 6101 62"));
    decoder.lose_track();
    // Index 62 was "a: b"; now it is unknown. A literal is known, and its index too.
    let block = decoder.decode(&hex("be 4001 6301 64 be bf"));
    assert_eq!(block.error, None);
    let names: Vec<_> = block.fields.iter().map(|field| field.name.as_deref()).collect();
    assert_eq!(names, [None, Some(&b"c"[..]), Some(&b"c"[..]), None]);
    assert_eq!(block.annotations.all()[0].label, "unknown name");
}

#[test]
fn table_over_the_limit_of_the_decoder_becomes_unknown() {
    let mut decoder = Decoder::new(Limits { header_table: 40, ..Limits::default() });
    assert_eq!(decoder.decode(&hex("4001 6101 62")).error, None);
    let block = decoder.decode(&hex("4001 6301 64 be bf"));
    assert_eq!(block.error, None);
    assert_eq!((decoder.table_len(), decoder.table_size()), (1, 34));
    assert_eq!(block.fields[2].name, None);
}

#[test]
fn header_list_over_the_limit_ends_in_one_leaf() {
    let mut decoder = Decoder::new(Limits { header_list: 100, ..Limits::default() });
    let bytes = [&hex("400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572")[..], &[0xbe; 1000]].concat();
    let block = decoder.decode(&bytes);
    assert_eq!((block.error, block.fields.len(), block.annotations.iter().count()), (None, 1, 2));
    assert_eq!(check_tiling(0..bytes.len(), &block.annotations), Ok(()));
}
