//! An observer that records the events of calls as lines of text.

use std::sync::{Arc, Mutex};

use barewire::call::{CallEnd, CallObserver, MessageInfo};
use barewire::io::ConnectionInfo;
use barewire::metadata::Entry;
use barewire::{Metadata, Status};

/// The events of all calls, in order.
#[derive(Clone, Default)]
pub struct Record(Arc<Mutex<Vec<String>>>);

impl Record {
    pub fn push(&self, line: impl Into<String>) {
        self.0.lock().unwrap().push(line.into());
    }

    /// Takes the lines so far.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }

    /// Takes the only line so far that begins with `end`.
    pub fn take_end(&self) -> String {
        let mut ends = self.take();
        ends.retain(|line| line.starts_with("end"));
        assert_eq!(ends.len(), 1, "{ends:?}");
        ends.remove(0)
    }

    /// Returns an observer that writes here, and adds a name to its lines unless it is empty.
    pub fn observer(&self, name: &'static str) -> Recorder {
        Recorder { record: self.clone(), name }
    }
}

/// Writes the events of a call.
pub struct Recorder {
    record: Record,
    name: &'static str,
}

impl Recorder {
    fn push(&self, line: String) {
        self.record.push(format!("{line} {}", self.name).trim_end());
    }
}

fn keys(metadata: &Metadata) -> String {
    let mut keys: Vec<_> = metadata
        .iter()
        .map(|entry| match entry {
            Entry::Ascii(key, _) | Entry::Binary(key, _) => key.to_owned(),
        })
        .collect();
    keys.sort();
    keys.join(",")
}

impl CallObserver for Recorder {
    fn attempt(&mut self, connection: &ConnectionInfo, number: u32) {
        self.push(format!("attempt {number} {}", connection.peer().address));
    }

    fn initial_metadata(&mut self, metadata: &mut Metadata) {
        metadata.append("seen", self.name).unwrap();
        self.push("initial".into());
    }

    fn message_received(&mut self, message: &MessageInfo) {
        self.push(format!("in {} {} {}", message.size, message.wire_size, message.compressed));
    }

    fn message_sent(&mut self, message: &MessageInfo) {
        self.push(format!("out {} {} {}", message.size, message.wire_size, message.compressed));
    }

    fn trailing_metadata(&mut self, status: Result<(), &Status>, metadata: &mut Metadata) {
        metadata.append("cost", self.name).unwrap();
        self.push(format!("trailing {}", status.is_ok()));
    }

    fn end(&mut self, end: &CallEnd<'_>) {
        assert_eq!(end.status().is_ok(), end.code() == barewire::Code::Ok);
        let (seconds, trailing) = (end.elapsed().as_secs(), keys(end.trailing_metadata()));
        self.push(format!("end {} {:?} {seconds}s [{trailing}]", end.code(), end.reason()));
    }
}
