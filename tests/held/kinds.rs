//! The kinds of memory that a client can make a server hold, each as the bytes of a connection.

use std::collections::BTreeMap;
use std::sync::Mutex;

use barewire::wire::encoding::Encoding;
use prost::Message as _;

use super::attack_bytes::*;
use super::common::attack::id;
use super::common::frames::*;
use super::common::service::note;
use super::memory_bound::{MIB, OPEN, Outcome, READS, SHUT, Scene, UNREAD};
use super::service::{CHAT, FLOOD, LARGE, SHARED, TAKE_PARTS, TALK, WAIT_PARTS};

/// The largest message that may be received.
pub const LIMIT: usize = 4 << 20;

/// An attack on a connection: the bytes for each stream, and whether the attacker reads.
pub struct Kind {
    pub name: String,
    own: Vec<(u16, u32)>,
    room: usize,
    message: usize,
    first: Vec<u8>,
    call: MakeBytes,
    rounds: u32,
    then: MakeBytes,
}

/// Returns the bytes for the stream of this number, from 0.
type MakeBytes = Box<dyn Fn(u32) -> Vec<u8>>;

impl Kind {
    /// Creates an attack whose calls begin with these bytes.
    pub fn new(name: impl Into<String>, own: &[(u16, u32)], call: impl Fn(u32) -> Vec<u8> + 'static) -> Kind {
        let (first, call, then): (_, MakeBytes, MakeBytes) = (Vec::new(), Box::new(call), Box::new(|_| Vec::new()));
        Kind { name: name.into(), own: own.to_vec(), room: READS, message: 0, first, call, rounds: 0, then }
    }

    /// Limits the bytes of the answers that the attacker reads.
    pub fn reads(mut self, room: usize) -> Kind {
        self.room = room;
        self
    }

    /// Allows each connection a message being received or sent that takes this many bytes.
    pub fn with_message(mut self, bytes: usize) -> Kind {
        self.message += bytes;
        self
    }

    /// Sends these frames at the beginning of each connection.
    pub fn after(mut self, first: Vec<u8>) -> Kind {
        self.first = first;
        self
    }

    /// Once all calls have begun, repeats this on each of them.
    pub fn then(mut self, rounds: u32, then: impl Fn(u32) -> Vec<u8> + 'static) -> Kind {
        (self.rounds, self.then) = (rounds, Box::new(then));
        self
    }

    /// Half-closes each call at once, as a unary handler needs.
    pub fn half_closed(mut self) -> Kind {
        let call = self.call;
        self.call = Box::new(move |n| [call(n), wire([half_close(id(n, 0, 1))])].concat());
        self
    }

    /// Opens the window of each call byte by byte.
    pub fn dribbled(self) -> Kind {
        let name = format!("{}, opened byte by byte", self.name);
        Kind { name, ..self.then(10, |n| wire([window_update(id(n, 0, 1), 1)])) }
    }

    /// Checks the memory bound of a server with this many calls on each of this many connections.
    pub fn check_bound(&self, connections: usize, streams: u32) -> Outcome {
        let mut scene = Scene::start();
        self.play(&mut scene, connections, streams);
        scene.end(&format!("{}, {connections} x {streams}", self.name), self.message)
    }

    /// Sends everything on new connections.
    pub fn play(&self, scene: &mut Scene, connections: usize, streams: u32) {
        let lines: Vec<usize> = (0..connections).map(|_| scene.connect(&self.own, self.room)).collect();
        for line in &lines {
            let _ = scene.send(*line, &self.first) && self.each(scene, *line, streams, &self.call);
        }
        for _ in 0..self.rounds {
            let goes_on = |line: &usize| self.each(scene, *line, streams, &self.then);
            if !lines.iter().all(goes_on) {
                break;
            }
        }
    }

    /// Sends a few calls at a time, to notice when the server accepts no more.
    fn each(&self, scene: &mut Scene, line: usize, streams: u32, bytes_of: &MakeBytes) -> bool {
        for first in (0..streams).step_by(20) {
            let piece: Vec<u8> = (first..streams.min(first + 20)).flat_map(bytes_of).collect();
            if !scene.send(line, &piece) {
                return false;
            }
            if first % 100 == 0 {
                scene.serve();
            }
        }
        scene.serve();
        true
    }
}

/// Returns three variants of an attack: closed windows; open windows and an attacker that does not read; windows that open
/// byte by byte.
pub fn each_way(kind: impl Fn(&[(u16, u32)]) -> Kind) -> [Kind; 3] {
    let named = |kind: Kind, way: &str| Kind { name: format!("{}, {way}", kind.name), ..kind };
    let all_open = wire([window_update(0, 0x7FFF_0000)]);
    [
        named(kind(&SHUT), "no window"),
        named(kind(&OPEN), "no reader").after(all_open).reads(UNREAD),
        kind(&SHUT).dribbled(),
    ]
}

/// A unary answer of 1 MiB each.
pub fn large(own: &[(u16, u32)]) -> Kind {
    Kind::new("unary answers of 1 MiB", own, |n| ask(n, LARGE.path(), &number(MIB as u64))).with_message(3 * MIB)
}

/// Endless messages of 1 MiB.
pub fn flood(own: &[(u16, u32)]) -> Kind {
    Kind::new("streams of 1 MiB messages", own, |n| ask(n, FLOOD.path(), &number(1))).with_message(2 * MIB)
}

/// All calls get the same message of 4 MiB.
pub fn chat(own: &[(u16, u32)]) -> Kind {
    Kind::new("one note of 4 MiB to all", own, |n| begin(n, CHAT.path(), &number(1))).with_message(2 * SHARED)
}

/// Endless small messages.
pub fn talk(own: &[(u16, u32)]) -> Kind {
    Kind::new("small messages without end", own, |n| open(n, TALK.path()))
}

/// Fields that refer to one entry, this many times, in the headers of requests.
pub fn in_headers(path: &'static str, value: usize, times: usize) -> Kind {
    Kind::new(format!("{times} fields of {value} bytes in headers of {path}"), &OPEN, move |n| {
        block(id(n, 0, 1), 0, &[head(path), amplified(n == 0, value, times)].concat())
    })
}

/// Such fields in the trailers of requests, after this DATA.
pub fn in_trailers(path: &'static str, before: &'static [u8], value: usize, times: usize) -> Kind {
    Kind::new(format!("{times} fields of {value} bytes in trailers of {path}"), &OPEN, move |n| {
        let stream = id(n, 0, 1);
        let trailers = block(stream, END_STREAM, &amplified(n == 0, value, times));
        [open(n, path), wire([data(stream, before)]), trailers].concat()
    })
}

/// Returns a compressed message of the largest size. Made once for each encoding, as that takes seconds without optimisation.
pub fn text_of_4_mib(encoding: Encoding) -> Vec<u8> {
    static MADE: Mutex<BTreeMap<&str, Vec<u8>>> = Mutex::new(BTreeMap::new());
    let mut made = MADE.lock().expect("compressing does not panic");
    let make = || compressed(encoding, &note("x".repeat(LIMIT - 16)).encode_to_vec());
    made.entry(encoding.name()).or_insert_with(make).clone()
}

/// A compressed message of 4 MiB to a handler that decompresses it.
pub fn texts(path: &'static str, encoding: Encoding) -> Kind {
    let message = text_of_4_mib(encoding);
    // The state of a decoder: brotli's holds a window of the size that the stream declares.
    let state = if encoding == Encoding::Brotli { 9 * MIB } else { MIB / 2 };
    let name = format!("4 MiB in {} bytes of {encoding} to {path}", message.len());
    // The decompressed bytes and the decoded message exist together; the buffer is there twice while it grows.
    Kind::new(name, &OPEN, move |n| compressed_call(n, path, encoding, &message)).with_message(3 * LIMIT + state)
}

/// Structures of two bytes each, to a unary or a streaming handler.
pub fn structures(unary: bool) -> Kind {
    let message = message(parts(4 << 10));
    let path = if unary { WAIT_PARTS.path() } else { TAKE_PARTS.path() };
    let bytes_of = move |n| if unary { ask(n, path, &message) } else { begin(n, path, &message) };
    Kind::new(format!("4,096 structures to {path}"), &OPEN, bytes_of).with_message(MIB)
}

/// The same, compressed. Each message takes some 3 MiB, and twice as much while it grows.
pub fn compressed_structures(unary: bool) -> Kind {
    let message = compressed(Encoding::Gzip, &parts(32 << 10));
    let path = if unary { WAIT_PARTS.path() } else { TAKE_PARTS.path() };
    let bytes_of = move |n| compressed_call(n, path, Encoding::Gzip, &message);
    let kind = Kind::new(format!("32,768 structures in gzip to {path}"), &OPEN, bytes_of).with_message(12 * MIB);
    if unary { kind.half_closed() } else { kind }
}

/// The beginning of a message that is never completed: `each` bytes in each round, one byte in each frame.
pub fn crumbling(own: &[(u16, u32)], path: &'static str, rounds: u32, each: usize) -> Kind {
    Kind::new(format!("frames of a byte to {path}"), own, move |n| {
        [open(n, path), wire([data(id(n, 0, 1), prefix(0, 1 << 20))])].concat()
    })
    .then(rounds, move |n| crumbs(n, &vec![b'c'; each]))
}
