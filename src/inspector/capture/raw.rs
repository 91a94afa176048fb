//! Raw dumps: the bytes of one direction, beginning with the client's preface or with a frame.

use std::time::{Duration, SystemTime};

use super::recorded::{Capture, Chunk, Connection, NOWHERE};
use super::roles;
use crate::inspector::decode::opening;
use crate::inspector::model::frame::Direction;
use crate::wire::http2::{FrameHeader, FrameType, PREFACE};

/// The longest frame accepted at the beginning of a dump: the default SETTINGS_MAX_FRAME_SIZE.
const LONGEST: u32 = 1 << 14;

/// Reads a capture of one direction of a connection; returns `None` if the bytes are not HTTP/2.
pub(super) fn read(file: &[u8]) -> Option<Capture> {
    let direction = direction(file)?;
    let mut connection = Connection::new(NOWHERE, NOWHERE);
    connection.from_the_beginning =
        file.starts_with(PREFACE) || opening::begins(file).is_some() || first_is_settings(file);
    connection.chunks.push(Chunk { time: Duration::ZERO, direction, lost: 0, bytes: file.to_vec() });
    // Without the preface, the frames show the sender.
    if direction == Direction::ToClient && roles::client_is_client(&connection) == Some(false) {
        connection.swap_roles();
        connection.from_the_beginning = false;
    }
    let mut capture = Capture::new(SystemTime::UNIX_EPOCH);
    capture.connections.push(connection);
    Some(capture)
}

/// Returns the direction: a preface, or what may come before it, means the client. Without one the first frame must be of a known type and fit in
/// the file.
fn direction(file: &[u8]) -> Option<Direction> {
    if file.starts_with(PREFACE) {
        return Some(Direction::ToServer);
    }
    if let Some(client) = opening::begins(file) {
        return Some(if client { Direction::ToServer } else { Direction::ToClient });
    }
    let header = FrameHeader::parse(file)?;
    let whole = header.length <= LONGEST && header.length as usize <= file.len().saturating_sub(9);
    (whole && header.kind.0 <= FrameType::CONTINUATION.0).then_some(Direction::ToClient)
}

fn first_is_settings(file: &[u8]) -> bool {
    FrameHeader::parse(file).is_some_and(|header| header.kind == FrameType::SETTINGS && header.stream == 0)
}

#[cfg(test)]
mod tests {
    use super::super::read;
    use super::*;
    use crate::inspector::Schema;

    #[test]
    fn long_dump_is_read_completely() {
        let ping = [&[0, 0, 8, 6, 0, 0, 0, 0, 0][..], &[7; 8]].concat();
        let dump = [PREFACE, &ping.repeat(250_000)].concat();
        let capture = read(&dump).unwrap();
        let connection = &capture.connections[0];
        let bytes: Vec<u8> = connection.chunks.iter().flat_map(|chunk| chunk.bytes.clone()).collect();
        assert!(bytes == dump, "the chunks are not the file");

        let mut conversation = connection.begin(Schema::new());
        let mut frames = 0;
        for chunk in &connection.chunks {
            chunk.push_into(&mut conversation);
            frames += conversation.take_frames().len();
        }
        assert_eq!((frames, conversation.dropped_frames()), (250_001, 0));
    }
}
