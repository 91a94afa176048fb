//! A connection whose bytes are kept, and what they are.

use std::io;

use crate::inspector::{self, Conversation, Schema};
use crate::io::{Connected, Connector};
use crate::services::FILE_DESCRIPTOR_SET;
use crate::transport::record::{Direction, Entry, Recorded, Recording};

/// Connects as another connector does, and records.
pub(super) struct Recorder<C> {
    connector: C,
    recording: Recording,
}

impl<C> Recorder<C> {
    pub(super) fn new(connector: C, recording: Recording) -> Recorder<C> {
        Recorder { connector, recording }
    }
}

impl<C: Connector> Connector for Recorder<C> {
    async fn connect(&self) -> io::Result<Connected> {
        let Connected { io, peer } = self.connector.connect().await?;
        Ok(Connected::new(Recorded::new(io, self.recording.clone()), peer))
    }

    fn authority(&self) -> &str {
        self.connector.authority()
    }

    fn scheme(&self) -> &'static str {
        self.connector.scheme()
    }
}

/// A conversation to record into, with the names of the messages of `proto/`.
pub(super) fn conversation() -> Conversation {
    // The set was compiled with the program; without names the bytes are still explained.
    Conversation::new(Schema::from_descriptor_set(FILE_DESCRIPTOR_SET).unwrap_or_else(|_| Schema::new()))
}

/// Adds what a client recorded.
pub(super) fn record(conversation: &mut Conversation, entries: &[Entry]) {
    for Entry { direction, bytes } in entries {
        let direction = match direction {
            Direction::Sent => inspector::Direction::ToServer,
            Direction::Received => inspector::Direction::ToClient,
        };
        conversation.push(direction, bytes);
    }
}
