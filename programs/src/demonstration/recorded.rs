//! Turns recorded bytes into frames.

use crate::services::FILE_DESCRIPTOR_SET;
use barewire::inspector::{Conversation, Direction, Schema};
use barewire::io::Transfer;
use barewire::transport::record::Entry;

/// Size limit of a recording, in bytes: more than the four calls need.
pub(super) const RECORDING_LIMIT: usize = 1 << 20;

/// Returns an empty conversation that knows the names of the messages in `proto/`.
pub(super) fn conversation() -> Conversation {
    // The descriptors are compiled in. If they could not be read, the bytes would be explained without names.
    Conversation::new(Schema::from_descriptor_set(FILE_DESCRIPTOR_SET).unwrap_or_else(|_| Schema::new()))
}

/// Adds the bytes that a client recorded.
pub(super) fn record(conversation: &mut Conversation, entries: &[Entry]) {
    for Entry { transfer, bytes } in entries {
        let direction = match transfer {
            Transfer::Sent => Direction::ToServer,
            Transfer::Received => Direction::ToClient,
        };
        conversation.push(direction, bytes);
    }
}
