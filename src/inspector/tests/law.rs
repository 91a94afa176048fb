//! The law: every byte belongs to exactly one leaf, and the leaves tile the input exactly, whatever the input is.

use super::*;

/// A deterministic sequence of numbers (xorshift64*).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % end.max(1)
    }

    fn byte(&mut self) -> u8 {
        self.below(256) as u8
    }
}

const SMALL: Limits = Limits {
    header_block: 256,
    header_list: 200,
    header_table: 100,
    message: 64,
    restored: 64,
    annotations: 24,
    depth: 2,
    calls: 2,
    waiting: 96,
    frames: usize::MAX,
};

/// Decodes pieces, and checks that the leaves contain every byte of both directions.
fn hold(pieces: &[(Direction, Vec<u8>)], limits: Limits) -> Conversation {
    let mut conversation = Conversation::with_limits(route_guide(), limits);
    for (direction, bytes) in pieces {
        conversation.push(*direction, bytes);
    }
    conversation.finish();
    assert_eq!(conversation.check(), Ok(()));
    for direction in [Direction::ToServer, Direction::ToClient] {
        let pushed = pieces.iter().filter(|piece| piece.0 == direction);
        let pushed: Vec<u8> = pushed.flat_map(|(_, bytes)| bytes).copied().collect();
        let frames = conversation.frames().filter(|frame| frame.direction == direction);
        let found: Vec<u8> = frames
            .flat_map(|frame| frame.annotations.leaves().flat_map(|leaf| &frame.bytes[leaf.range.clone()]))
            .copied()
            .collect();
        assert!(pushed == found, "{} bytes pushed, {} found", pushed.len(), found.len());
    }
    for (frame, message) in conversation.frames().flat_map(|frame| frame.messages.iter().map(move |it| (frame, it))) {
        if let Some(tree) = frame.message_tree(message) {
            assert_eq!(check_tiling(tree.range.clone(), [tree]), Ok(()));
            assert_eq!(tree.range.len(), 5 + message.length as usize);
        }
    }
    conversation
}

/// Checks that the conversation can be printed, within 100 columns.
fn printable(conversation: &Conversation) {
    for line in print(conversation.frames(), &PrintOptions::default()).lines() {
        assert!(line.chars().count() <= 100, "{line}");
    }
}

/// Padding, priorities, blocks in several frames, messages across frames, several messages in one frame, compression.
const AWKWARD: [(Direction, &str); 9] = [
    (Direction::ToServer, "505249202a20485454502f322e30 0d0a0d0a 534d 0d0a0d0a"),
    (Direction::ToServer, "000006 04 00 00000000  0001 00002000"),
    (Direction::ToClient, "000006 04 00 00000000  0005 00004000"),
    (Direction::ToServer, "00000f 01 28 00000001  02 80000000 0f 83 86 44 21 2f72 6f 0000"),
    (Direction::ToServer, "000010 09 00 00000001  75746567756964652e526f7574654775"),
    (Direction::ToServer, "00000e 09 04 00000001  6964652f47657446656174757265"),
    (
        Direction::ToServer,
        "000004 00 00 00000001  00 000000
         000003 00 00 00000001  0508c8
         000011 00 08 00000001  02 011007 00 00000000 00 00000002 08 0000
         000001 00 00 00000001  05
         000009 00 01 00000001  01 00000005 deadbeef",
    ),
    (
        Direction::ToClient,
        "00000b 01 04 00000001  88 40 07 677270632d7374 00
         000005 00 00 00000001  00 0000000b
         00000b 00 00 00000001  2308012408 96 0c 12 02 0802
         00000a 05 04 00000001  00000002 8286 40 01 61 00
         000004 03 00 00000001  0000000d",
    ),
    (Direction::ToClient, "000004 00 01 00000005 00000000 000008 06 00 00000000 0000000000000000"),
];

fn conversations() -> [Vec<(Direction, Vec<u8>)>; 2] {
    [bytes_of(&GET_FEATURE), bytes_of(&AWKWARD)]
}

#[test]
fn bytes_before_http2_decode_in_any_pieces_and_when_changed() {
    let mut numbers = Numbers(9112);
    for (_, _, pieces) in super::before::openings() {
        printable(&hold(&pieces, SMALL));
        for size in [1, 4, 13] {
            let cut: Vec<_> = pieces
                .iter()
                .flat_map(|(direction, bytes)| bytes.chunks(size).map(|chunk| (*direction, chunk.to_vec())))
                .collect();
            hold(&cut, SMALL);
        }
        for _ in 0..80 {
            let mut broken = pieces.clone();
            let place = numbers.below(broken.len());
            let bytes = &mut broken[place].1;
            let at = numbers.below(bytes.len());
            match numbers.below(4) {
                0 => bytes[at] = numbers.byte(),
                1 => bytes.insert(at, b"\r\n: 0\0"[numbers.below(6)]),
                2 => drop(bytes.drain(at..)),
                _ => bytes.extend_from_within(at..),
            }
            hold(&broken, if numbers.below(2) == 0 { SMALL } else { Limits::default() });
        }
    }
}

#[test]
fn conversations_are_tiled_for_every_chunk_size() {
    for pieces in conversations() {
        hold(&pieces, Limits::default());
        hold(&pieces, SMALL);
        printable(&hold(&pieces, SMALL));
        for size in 1..40 {
            let cut: Vec<_> = pieces
                .iter()
                .flat_map(|(direction, bytes)| bytes.chunks(size).map(|chunk| (*direction, chunk.to_vec())))
                .collect();
            hold(&cut, SMALL);
        }
    }
}

#[test]
fn chunk_size_does_not_change_the_frames() {
    for pieces in conversations() {
        let whole = decode(route_guide(), &pieces);
        let bytewise: Vec<_> =
            pieces.iter().flat_map(|(direction, bytes)| bytes.iter().map(|byte| (*direction, vec![*byte]))).collect();
        assert!(whole.frames().eq(decode(route_guide(), &bytewise).frames()));
    }
}

#[test]
fn conversation_truncated_at_any_offset_is_tiled() {
    for pieces in conversations() {
        let total: usize = pieces.iter().map(|(_, bytes)| bytes.len()).sum();
        for end in 0..total {
            let mut left = end;
            let cut: Vec<_> = pieces
                .iter()
                .map(|(direction, bytes)| {
                    let taken = left.min(bytes.len());
                    left -= taken;
                    (*direction, bytes[..taken].to_vec())
                })
                .collect();
            hold(&cut, Limits::default());
        }
    }
}

#[test]
fn conversation_with_any_byte_changed_is_tiled() {
    for pieces in conversations() {
        for (place, (_, bytes)) in pieces.iter().enumerate() {
            for at in 0..bytes.len() {
                for change in [0x01, 0x80, 0xff] {
                    let mut broken = pieces.clone();
                    broken[place].1[at] ^= change;
                    hold(&broken, Limits::default());
                }
            }
        }
    }
}

#[test]
fn randomly_damaged_conversations_are_tiled() {
    let mut numbers = Numbers(7541);
    for round in 0..1500 {
        let mut pieces = conversations()[round % 2].clone();
        for _ in 0..1 + numbers.below(8) {
            let count = pieces.len();
            // The preface stays unchanged: without it nothing is decoded.
            let bytes = &mut pieces[1 + numbers.below(count - 1)].1;
            let at = numbers.below(bytes.len());
            match numbers.below(4) {
                0 if !bytes.is_empty() => bytes[at] = numbers.byte(),
                1 => bytes.insert(at, numbers.byte()),
                2 => drop(bytes.drain(at..)),
                _ => bytes.extend_from_within(at..),
            }
        }
        let limits = if numbers.below(2) == 0 { SMALL } else { Limits::default() };
        let conversation = hold(&pieces, limits);
        if round % 8 < 2 {
            printable(&conversation);
        }
    }
}

#[test]
fn random_payloads_of_every_frame_type_are_tiled() {
    let mut numbers = Numbers(9113);
    for _ in 0..1500 {
        let mut pieces = bytes_of(&GET_FEATURE)[..5].to_vec();
        for _ in 0..1 + numbers.below(12) {
            let length = numbers.below(40);
            let mut frame = vec![0, 0, length as u8, numbers.below(11) as u8];
            frame.push(numbers.byte());
            frame.extend([0, 0, 0, [0, 1, 1, 1, 3][numbers.below(5)]]);
            frame.extend(
                (0..length).map(|_| if numbers.below(3) == 0 { numbers.below(4) as u8 } else { numbers.byte() }),
            );
            let direction = if numbers.below(3) == 0 { Direction::ToServer } else { Direction::ToClient };
            pieces.push((direction, frame));
        }
        let limits = if numbers.below(2) == 0 { SMALL } else { Limits::default() };
        let conversation = hold(&pieces, limits);
        if numbers.below(8) == 0 {
            printable(&conversation);
        }
    }
}

#[test]
fn random_messages_are_tiled() {
    let mut numbers = Numbers(1);
    for _ in 0..2000 {
        let bytes: Vec<u8> = (0..numbers.below(60))
            .map(
                |_| if numbers.below(2) == 0 { [8, 10, 0, 1, 2, 18, 35, 36][numbers.below(8)] } else { numbers.byte() },
            )
            .collect();
        let range = numbers.below(4).min(bytes.len())..bytes.len();
        for name in [None, Some("routeguide.Feature")] {
            for (mut budget, depth) in [(1000, 4), (9, 1), (0, 0)] {
                let (mut tree, schema) = (Tree::default(), route_guide());
                crate::inspector::decode::protobuf::annotate(
                    &mut tree,
                    &bytes,
                    range.clone(),
                    name,
                    &schema,
                    &mut budget,
                    depth,
                );
                assert_eq!(check_tiling(range.clone(), &tree), Ok(()), "{bytes:02x?}");
            }
        }
    }
}
