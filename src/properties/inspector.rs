//! Properties of the inspector: for any bytes, every byte belongs to one leaf, and everything can be shown.

use super::cut;
use crate::inspector::{
    CallKind, Conversation, Direction, FieldType, Flow, Frame, FrameKind, HpackView, Ladder, Limits, Lint,
    PrintOptions, Schema, Sieve, VIEWS, check_tiling, lines, print_frame, view,
};

/// Limits that inputs can exceed.
const SMALL: Limits = Limits {
    header_block: 512,
    header_list: 256,
    header_table: 128,
    message: 256,
    restored: 256,
    annotations: 64,
    depth: 3,
    calls: 4,
    waiting: 1 << 10,
    frames: 16 << 10,
};

/// The first byte of the input selects the limits. Records follow: a direction, a length in two bytes, low byte first,
/// and the bytes of that direction.
///
/// Leaves tile the pushed bytes; pieces of records give the same frames as whole records; no view panics; memory does
/// not grow with the pushed bytes.
pub fn inspector_law(data: &[u8]) {
    let Some((choice, mut rest)) = data.split_first() else { return };
    let small = choice & 1 == 1;
    let limits = if small { SMALL } else { Limits { message: 64 << 10, annotations: 1_024, ..Limits::default() } };
    let mut whole = Conversation::with_limits(schema(), limits);
    let mut pieces = Conversation::with_limits(schema(), limits);
    let mut pushed = [Vec::new(), Vec::new()];
    let mut all = Conversation::with_limits(schema(), Limits { frames: usize::MAX, ..SMALL });
    while let Some((head, tail)) = rest.split_first_chunk() {
        let head = u16::from_le_bytes(*head);
        let (bytes, after) = tail.split_at(tail.len().min(usize::from(head & 0x7FFF)));
        let direction = if head >> 15 == 0 { Direction::ToServer } else { Direction::ToClient };
        whole.push(direction, bytes);
        all.push(direction, bytes);
        cut(bytes).for_each(|piece| pieces.push(direction, piece));
        pushed[usize::from(head >> 15)].extend_from_slice(bytes);
        assert_eq!(whole.check(), Ok(()));
        rest = after;
    }
    whole.finish();
    pieces.finish();
    assert_eq!(whole.check(), Ok(()));
    // Bytes that are not HTTP/2 are shown as they arrive. The frames of `whole` do not show whether there are any, because
    // some may have been dropped.
    all.finish();
    if all.frames().all(|frame| frame.kind != FrameKind::NotHttp2) {
        assert!(whole.frames().eq(pieces.frames()), "the split into pieces does not matter");
    }
    let kept: usize = whole.frames().map(|frame| frame.bytes.len()).sum();
    let last = whole.frames().next_back().map_or(0, |frame| frame.bytes.len());
    assert!(kept <= limits.frames + last, "{kept} bytes of frames are kept");

    let dropped = whole.dropped_frames();
    let frames = whole.take_frames();
    if dropped == 0 {
        check_leaves(&frames, &pushed);
    }
    frames.iter().for_each(|frame| check_beside(frame, &limits));
    show(&frames);
}

/// Checks that the leaves contain every pushed byte, in its place.
fn check_leaves(frames: &[Frame], pushed: &[Vec<u8>; 2]) {
    for (direction, pushed) in [Direction::ToServer, Direction::ToClient].into_iter().zip(pushed) {
        let frames = frames.iter().filter(|frame| frame.direction == direction);
        let found: Vec<u8> = frames
            .flat_map(|frame| frame.annotations.leaves().flat_map(|leaf| &frame.bytes[leaf.range.clone()]))
            .copied()
            .collect();
        assert!(found == *pushed, "{} bytes pushed, {} found", pushed.len(), found.len());
    }
}

/// Checks the trees over decompressed and decoded bytes, and their limits.
fn check_beside(frame: &Frame, limits: &Limits) {
    let restored = frame.messages.iter().filter_map(|message| message.restored.as_deref());
    let size: usize = restored.clone().map(|restored| restored.bytes.len()).sum();
    assert!(size <= limits.message, "{size} bytes are restored for one frame");
    for beside in restored.chain(&frame.details) {
        assert_eq!(check_tiling(0..beside.bytes.len(), &beside.annotations), Ok(()));
    }
    for message in &frame.messages {
        if let Some(tree) = frame.message_tree(message) {
            assert_eq!(check_tiling(tree.range.clone(), [tree]), Ok(()));
            assert_eq!(tree.range.len(), 5 + message.length as usize);
        }
    }
}

/// Checks that every view of the frames is text without control characters.
fn show(frames: &[Frame]) {
    let options = PrintOptions { explain: true, ..PrintOptions::default() };
    for name in VIEWS {
        let mut view = view(name, &schema(), &options).expect("each name has a view");
        frames.iter().for_each(|frame| plain(&view.push(frame)));
        plain(&view.finish());
    }
    for frame in frames {
        plain(&lines(frame));
        assert!(print_frame(frame, &options).lines().all(|line| line.chars().count() <= 100));
    }
    let mut lint = Lint::new(schema());
    let mut findings: Vec<_> = frames.iter().flat_map(|frame| lint.check(frame)).collect();
    findings.extend(lint.finish());
    for finding in findings {
        let at = frames.binary_search_by_key(&finding.frame, |frame| frame.number).expect("the frame was seen");
        assert!(!finding.range.is_empty() && finding.range.end <= frames[at].bytes.len(), "{finding}");
    }
    let (mut ladder, mut flow, mut hpack) = (Ladder::new(), Flow::new(), HpackView::new());
    for frame in frames {
        ladder.add(frame);
        flow.advance(frame);
        if let Some(block) = hpack.advance(frame) {
            let known: usize = block.headers.iter().map(|header| header.wire).sum();
            assert!(known <= block.wire, "headers cost no more than their block");
        }
    }
    for drawing in [ladder.text(), ladder.mermaid(), ladder.svg(), flow.svg()] {
        plain(&drawing);
    }
    let mut sieve = Sieve::new("status!=0 method~Guide".parse().expect("it is a filter"), schema());
    let shown: usize = frames.iter().map(|frame| sieve.push(frame.clone()).len()).sum();
    assert!(shown + sieve.finish().len() <= frames.len());
}

fn plain(text: &str) {
    assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
}

fn schema() -> Schema {
    let mut schema = Schema::new();
    for (name, kind) in [("GetFeature", CallKind::Unary), ("RouteChat", CallKind::BidiStreaming)] {
        let path = format!("/routeguide.RouteGuide/{name}");
        schema.add_method(&path, "routeguide.Point", "routeguide.Feature");
        schema.set_kind(&path, kind);
    }
    schema.add_field("routeguide.Point", 1, "latitude", FieldType::Int32);
    schema.add_field("routeguide.Point", 2, "longitude", FieldType::Int32);
    schema.add_field("routeguide.Feature", 1, "name", FieldType::String);
    schema.add_field("routeguide.Feature", 2, "location", FieldType::Message("routeguide.Point".into()));
    schema.add_field("routeguide.Feature", 3, "any", FieldType::Message("google.protobuf.Any".into()));
    schema
}
