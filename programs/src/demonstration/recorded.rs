//! What the bytes of a recording are.

use crate::services::FILE_DESCRIPTOR_SET;
use barewire::inspector::{Conversation, Direction, Schema};
use barewire::io::Transfer;
use barewire::transport::record::Entry;

/// How many bytes of a connection are recorded: more than the four calls need.
pub(super) const RECORDING_LIMIT: usize = 1 << 20;

/// A conversation to record into, with the names of the messages of `proto/`.
pub(super) fn conversation() -> Conversation {
    // The set was compiled with the program; without names the bytes are still explained.
    Conversation::new(Schema::from_descriptor_set(FILE_DESCRIPTOR_SET).unwrap_or_else(|_| Schema::new()))
}

/// Adds what a client recorded.
pub(super) fn record(conversation: &mut Conversation, entries: &[Entry]) {
    for Entry { transfer, bytes } in entries {
        let direction = match transfer {
            Transfer::Sent => Direction::ToServer,
            Transfer::Received => Direction::ToClient,
        };
        conversation.push(direction, bytes);
    }
}
