//! The kinds of memory that a client can make a server hold, each as what is said on a connection.

use super::common::attack::{id, opens_at};
use super::common::frames::*;
use super::law::{Outcome, READS, Scene};

/// What an attacker says on a connection, stream by stream, and what it reads.
pub struct Kind {
    pub name: &'static str,
    own: Vec<(u16, u32)>,
    room: usize,
    message: usize,
    first: Vec<u8>,
    call: Say,
    rounds: u32,
    then: Say,
}

/// What is said on the stream of this number, from 0.
type Say = Box<dyn Fn(u32) -> Vec<u8>>;

impl Kind {
    /// One whose calls begin with this.
    pub fn new(name: &'static str, own: &[(u16, u32)], call: impl Fn(u32) -> Vec<u8> + 'static) -> Kind {
        let (first, call, then): (_, Say, Say) = (Vec::new(), Box::new(call), Box::new(|_| Vec::new()));
        Kind { name, own: own.to_vec(), room: READS, message: 0, first, call, rounds: 0, then }
    }

    /// It reads only so many bytes of what it is answered.
    pub fn reads(mut self, room: usize) -> Kind {
        self.room = room;
        self
    }

    /// A connection may hold a message that is received or sent, and takes so many bytes.
    pub fn with_message(mut self, bytes: usize) -> Kind {
        self.message += bytes;
        self
    }

    /// A connection begins with these frames.
    pub fn after(mut self, first: Vec<u8>) -> Kind {
        self.first = first;
        self
    }

    /// When all calls have begun, each goes on with this, again and again.
    pub fn then(mut self, rounds: u32, then: impl Fn(u32) -> Vec<u8> + 'static) -> Kind {
        (self.rounds, self.then) = (rounds, Box::new(then));
        self
    }

    /// The window of each call opens byte by byte.
    pub fn dribbled(self, name: &'static str) -> Kind {
        let dribbled = self.then(10, |n| wire([window_update(id(n, 0, 1), 1)]));
        Kind { name, ..dribbled }
    }

    /// Holds a server to the law with so many calls on each of so many connections.
    pub fn is_lawful(&self, connections: usize, streams: u32) -> Outcome {
        let mut scene = Scene::start();
        self.play(&mut scene, connections, streams);
        scene.end(&format!("{}, {connections} x {streams}", self.name), self.message)
    }

    /// Says all of it on new connections.
    pub fn play(&self, scene: &mut Scene, connections: usize, streams: u32) {
        let lines: Vec<usize> = (0..connections).map(|_| scene.connect(&self.own, self.room)).collect();
        for line in &lines {
            let _ = scene.say(*line, &self.first) && self.each(scene, *line, streams, &self.call);
        }
        for _ in 0..self.rounds {
            let goes_on = |line: &usize| self.each(scene, *line, streams, &self.then);
            if !lines.iter().all(goes_on) {
                break;
            }
        }
    }

    /// A few calls at a time, so that it is seen when the server takes no more.
    fn each(&self, scene: &mut Scene, line: usize, streams: u32, say: &Say) -> bool {
        for first in (0..streams).step_by(20) {
            let piece: Vec<u8> = (first..streams.min(first + 20)).flat_map(say).collect();
            if !scene.say(line, &piece) {
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

/// HEADERS of a call, and no more.
pub fn open(n: u32, path: &str) -> Vec<u8> {
    wire([opens_at(id(n, 0, 1), path, 0)])
}

/// A call with its one message, and the half-close.
pub fn ask(n: u32, path: &str, message: &[u8]) -> Vec<u8> {
    let stream = id(n, 0, 1);
    let mut frames = vec![opens_at(stream, path, 0)];
    frames.extend(chunks(stream, message));
    let last = frames.pop().expect("a message").end_stream();
    frames.push(last);
    wire(frames)
}

/// The same without the half-close.
pub fn begin(n: u32, path: &str, message: &[u8]) -> Vec<u8> {
    [open(n, path), wire(chunks(id(n, 0, 1), message))].concat()
}

/// The fields of [`opens_at`] as a header block.
pub fn head(path: &str) -> Vec<u8> {
    match opens_at(1, path, 0) {
        Frame::Raw { payload, .. } => payload.to_vec(),
        other => panic!("{other:?} is not raw"),
    }
}

/// A header block in as many frames as it takes.
pub fn block(stream: u32, flags: u8, block: &[u8]) -> Vec<u8> {
    let count = block.len().div_ceil(MAX_FRAME_SIZE);
    let frames = block.chunks(MAX_FRAME_SIZE).enumerate().map(|(number, piece)| {
        let kind = if number == 0 { HEADERS } else { CONTINUATION };
        let first = if number == 0 { flags } else { 0 };
        let last = if number + 1 == count { END_HEADERS } else { 0 };
        raw(kind, first | last, stream, piece)
    });
    wire(frames.collect::<Vec<_>>())
}

/// Each DATA frame has one byte of it.
pub fn crumbs(n: u32, bytes: &[u8]) -> Vec<u8> {
    wire(bytes.iter().map(|byte| data(id(n, 0, 1), [*byte])))
}
