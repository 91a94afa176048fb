//! Frames of every type, valid and invalid.

use super::*;
use crate::inspector::decode::http2::dissect;

/// A frame's leaves as "label: value", and its faults.
fn read(digits: &str) -> (Vec<String>, Vec<String>) {
    let bytes = hex(digits);
    let header = FrameHeader::parse(&bytes).unwrap();
    assert_eq!(bytes.len(), 9 + header.length as usize, "{digits}");
    let dissection = dissect(&header, &bytes);
    let mut annotations = dissection.before;
    annotations.push(Annotation::new(dissection.body, Layer::Opaque, "body"));
    annotations.extend(dissection.after);
    assert_eq!(check_tiling(0..bytes.len(), &annotations), Ok(()), "{digits}");
    let faults = annotations.all().iter().filter_map(|annotation| annotation.fault.as_deref());
    let mut faults: Vec<_> = faults.map(str::to_owned).collect();
    faults.dedup();
    let texts = annotations.leaves().skip(4).map(|leaf| format!("{}: {}", leaf.label, leaf.value));
    (texts.collect(), faults)
}

fn sound(digits: &str, expected: &[&str]) {
    let (leaves, faults) = read(digits);
    assert_eq!(leaves, expected, "{digits}");
    assert_eq!(faults, [""; 0], "{digits}");
}

fn faulty(digits: &str, expected: &str) {
    assert_eq!(read(digits).1, [expected], "{digits}");
}

#[test]
fn frame_header_is_parsed() {
    let header = FrameHeader::parse(&hex("010203 01 2d 80000005")).unwrap();
    assert_eq!(header, FrameHeader { length: 0x010203, kind: FrameType::HEADERS, flags: 0x2d, stream: 5 });
    assert_eq!(header.flag_names(), "END_STREAM END_HEADERS PADDED PRIORITY");
    assert!(header.ends_stream());
    assert_eq!(FrameHeader { kind: FrameType::PING, flags: 0x3, ..header }.flag_names(), "ACK 0x2");
    assert_eq!(FrameHeader::parse(&hex("000000 01 2d 800000")), None);
    faulty("000000 00 00 80000001", "the reserved bit is set");
}

#[test]
fn all_fields_of_data_and_headers_are_annotated() {
    sound("000003 00 00 00000001  616263", &["body: "]);
    sound("000005 00 08 00000001  02 6162 0000", &["pad length: 2 bytes", "body: ", "padding: 2 bytes"]);
    sound("000001 00 08 00000001  00", &["pad length: 0 bytes"]);
    sound("000001 01 04 00000001  82", &["body: "]);
    let leaves =
        ["pad length: 1 byte", "stream dependency: stream 3, exclusive", "weight: 16", "body: ", "padding: 1 byte"];
    sound("000008 01 2c 00000005  01 80000003 0f 82 00", &leaves);
    sound("000005 09 04 00000001  8286848182", &["body: "]);
    let leaves = ["pad length: 1 byte", "promised stream: 2", "body: ", "padding: 1 byte"];
    sound("000007 05 0c 00000001  01 00000002 82 00", &leaves);
}

#[test]
fn fields_of_the_other_frame_types_are_annotated() {
    sound("000005 02 00 00000003  00000001 ff", &["stream dependency: stream 1", "weight: 256"]);
    sound("000004 03 00 00000001  00000008", &["error code: CANCEL"]);
    sound("000004 03 00 00000001  000000ff", &["error code: error 0xff"]);
    let leaves = ["identifier: HEADER_TABLE_SIZE", "value: 4096", "identifier: setting 0x99", "value: 1"];
    sound("00000c 04 00 00000000  0001 00001000  0099 00000001", &leaves);
    sound("000000 04 01 00000000", &[]);
    sound("000008 06 01 00000000  0102030405060708", &["opaque data: 0102030405060708"]);
    let leaves = ["last stream: 7", "error code: ENHANCE_YOUR_CALM", "debug data: too_many_pings"];
    sound("000016 07 00 00000000  00000007 0000000b  746f6f5f6d616e795f70696e6773", &leaves);
    sound("000004 08 00 00000000  0000ffff", &["increment: 65535 bytes"]);
    sound("000002 10 00 00000000  753d", &["payload of an unknown type: u="]);
}

#[test]
fn wrong_frame_sizes_are_faults() {
    faulty("000004 02 00 00000003  00000001", "FRAME_SIZE_ERROR: PRIORITY must have 5 bytes");
    faulty("000003 03 00 00000001  000000", "FRAME_SIZE_ERROR: RST_STREAM must have 4 bytes");
    faulty("000005 04 00 00000000  0001000010", "FRAME_SIZE_ERROR: SETTINGS must have 6 bytes for each setting");
    faulty("000006 04 01 00000000  000100001000", "FRAME_SIZE_ERROR: SETTINGS with ACK must be empty");
    faulty("000007 06 00 00000000  01020304050607", "FRAME_SIZE_ERROR: PING must have 8 bytes");
    faulty("000007 07 00 00000000  00000000000000", "FRAME_SIZE_ERROR: GOAWAY must have at least 8 bytes");
    faulty("000000 08 00 00000000", "FRAME_SIZE_ERROR: WINDOW_UPDATE must have 4 bytes");
    faulty("000002 00 08 00000001  02 61", "PROTOCOL_ERROR: more padding than payload");
    faulty("000003 01 2c 00000001  ff 8000", "PROTOCOL_ERROR: more padding than payload");
    read("000002 05 04 00000001  0000");
    read("000000 00 08 00000001");
}

#[test]
fn wrong_field_values_are_faults() {
    faulty("000000 00 00 00000000", "PROTOCOL_ERROR: DATA belongs to a stream");
    faulty("000000 04 00 00000001", "PROTOCOL_ERROR: SETTINGS belongs to the connection");
    faulty("000004 08 00 00000001  80000000", "PROTOCOL_ERROR: the increment must not be 0");
    faulty("000003 00 08 00000001  01 61 01", "padding is not all zeros");
    faulty("000006 04 00 00000000  0002 00000002", "PROTOCOL_ERROR: must be 0 or 1");
    faulty("000006 04 00 00000000  0004 80000000", "FLOW_CONTROL_ERROR: must not exceed 2147483647");
    faulty("000006 04 00 00000000  0005 00003fff", "PROTOCOL_ERROR: must be 16384 to 16777215");
}

#[test]
fn annotations_of_many_settings_are_bounded() {
    let frame = [hex("004650 04 00 00000000"), hex("0003 00000001").repeat(3000)].concat();
    let dissection = dissect(&FrameHeader::parse(&frame).unwrap(), &frame);
    assert_eq!(check_tiling(0..frame.len(), &dissection.before), Ok(()));
    assert_eq!(dissection.before.iter().count(), 1 + 1024 + 1);
}
