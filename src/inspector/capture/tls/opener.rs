//! Decrypts the records of one direction of a connection, in order.
//!
//! ```text
//! keys    early ─▶ handshake ─▶ application ─▶ updated ─▶ updated …       TLS 1.3, if known
//! ```
//!
//! If the current key does not open a record, the later keys are tried. A key opens a record only if the record was
//! sealed with that key and that sequence number (RFC 5116, section 2.1). Trying therefore finds the key changes:
//! without the secrets of the handshake, after early data that was refused, and after a gap, where sequence numbers are
//! tried too.

use std::time::Duration;

use super::super::recorded::Chunk;
use super::hello;
use super::keys::{Key, Stage, TLS12};
use super::record::{ALERT, APPLICATION_DATA, CHANGE_CIPHER_SPEC, HANDSHAKE, Record, first_message};
use crate::inspector::model::frame::Direction;

/// The length of the shortest sealed record with content: header, a byte, the tag.
const SHORTEST: u64 = 5 + 1 + 16;

/// The most records that may be missing in a gap.
const MISSING: u64 = 1 << 10;

/// Bytes of attempts per received byte, which bounds the cost of gaps; also the fixed cost of an attempt besides the
/// bytes of its record.
const EFFORT: u64 = 64;
const TRY: u64 = 256;

const END_OF_EARLY_DATA: u8 = 5;
const ENCRYPTED_EXTENSIONS: u8 = 8;

/// The decrypted content of a direction.
#[derive(Default)]
pub(super) struct Decrypted {
    /// Application data, each with the number of the chunk that completed it.
    pub(super) chunks: Vec<(usize, Chunk)>,
    /// True if an application data key has opened a record.
    pub(super) begun: bool,
    /// The application protocol (ALPN), if EncryptedExtensions contain it.
    pub(super) alpn: Option<String>,
    /// The number of a fatal alert.
    pub(super) alert: Option<u8>,
    /// A description of the part that could not be decrypted.
    pub(super) trouble: Option<&'static str>,
}

/// The state of a direction while its bytes are read.
struct RecordOpener {
    direction: Direction,
    tls12: bool,
    /// The current key, and the keys that may follow it.
    keys: Vec<Key>,
    /// True if TLS 1.2 has begun to encrypt.
    encrypted: bool,
    pending: Vec<u8>,
    /// The most records that may be missing after a gap, until a record is found.
    missing: Option<u64>,
    /// Bytes that may still be tried.
    effort: u64,
    /// Bytes of unopened records before the first application data.
    unopened: u64,
    /// Bytes that were not decrypted since the last chunk.
    lost: u64,
    /// Early data, accepted when EndOfEarlyData arrives (RFC 8446, section 4.5).
    early: Vec<(usize, Chunk)>,
    said: Decrypted,
}

/// Decrypts one direction of these chunks; `keys` are the known keys in the order of their use.
pub(super) fn hear(chunks: &[Chunk], direction: Direction, version: u16, keys: Vec<Key>) -> Decrypted {
    let mut opener = RecordOpener {
        direction,
        tls12: version == TLS12,
        keys,
        encrypted: false,
        pending: Vec::new(),
        missing: None,
        effort: 0,
        unopened: 0,
        lost: 0,
        early: Vec::new(),
        said: Decrypted::default(),
    };
    let mut place = (0, Duration::ZERO);
    for (number, chunk) in chunks.iter().enumerate().filter(|(_, chunk)| chunk.direction == direction) {
        place = (number, chunk.time);
        if chunk.lost > 0 {
            opener.gap(chunk.lost);
        }
        opener.bytes(&chunk.bytes, place);
    }
    opener.finish(place)
}

impl RecordOpener {
    fn gap(&mut self, lost: u64) {
        let count = lost.saturating_add(std::mem::take(&mut self.pending).len() as u64);
        self.lost = self.lost.saturating_add(count);
        self.missing = Some((self.missing.unwrap_or(1) + count / SHORTEST).min(MISSING));
        self.encrypted = true;
    }

    fn bytes(&mut self, bytes: &[u8], place: (usize, Duration)) {
        self.effort = self.effort.saturating_add(EFFORT * bytes.len() as u64);
        let mut pending = std::mem::take(&mut self.pending);
        pending.extend_from_slice(bytes);
        let mut rest = &pending[..];
        while self.said.trouble.is_none() {
            match Record::next(rest) {
                Ok(None) => match self.take_within(rest, place) {
                    Some(after) => rest = after,
                    None => break,
                },
                Ok(Some((record, after))) if self.take(&record, place) => rest = after,
                _ if self.missing.is_some() => {
                    rest = rest.get(1..).unwrap_or_default();
                    self.lost = self.lost.saturating_add(1);
                }
                Ok(Some(_)) => self.said.trouble = Some("a record that the secrets do not open"),
                Err(_) => self.said.trouble = Some("bytes that are not a TLS record"),
            }
        }
        if self.said.trouble.is_some() {
            self.lost = self.lost.saturating_add(rest.len() as u64);
        } else {
            let done = pending.len() - rest.len();
            pending.drain(..done);
            self.pending = pending;
        }
    }

    /// Searches for a record behind the first byte, if these bytes follow a gap. They may begin with ciphertext that looks like
    /// the header of a longer record, and waiting for the end of that record could lose all others. Returns the bytes after
    /// the record.
    fn take_within<'a>(&mut self, bytes: &'a [u8], place: (usize, Duration)) -> Option<&'a [u8]> {
        let cost = bytes.len() as u64;
        if self.missing.is_none() || self.effort < cost {
            return None;
        }
        self.effort -= cost;
        let lost = self.lost;
        for at in 1..bytes.len() {
            let Some(Ok(Some((record, after)))) = bytes.get(at..).map(Record::next) else { continue };
            self.lost = lost.saturating_add(at as u64);
            if self.take(&record, place) {
                return Some(after);
            }
        }
        self.lost = lost;
        None
    }

    /// Returns true if this is a record of the connection; a sealed record must open.
    fn take(&mut self, record: &Record<'_>, place: (usize, Duration)) -> bool {
        let sealed = if self.tls12 { self.encrypted } else { record.kind == APPLICATION_DATA };
        if sealed {
            let Some((stage, kind, content)) = self.open(record) else {
                // It may belong to the handshake, whose secret is unknown, or to early data that was refused.
                let excused = self.missing.is_none() && !self.said.begun && !self.tls12;
                self.unopened += if excused { record.length() } else { 0 };
                return excused;
            };
            self.content(stage, kind, content, place);
        } else if self.missing.is_none() {
            self.encrypted |= record.kind == CHANGE_CIPHER_SPEC;
            self.alert(record.kind, record.fragment);
        }
        sealed || self.missing.is_none()
    }

    fn open(&mut self, record: &Record<'_>) -> Option<(Stage, u8, Vec<u8>)> {
        let cost = TRY + record.fragment.len() as u64;
        let ahead = self.missing.unwrap_or_default().min(self.effort / cost);
        let opened = self.keys.iter().enumerate().find_map(|(at, key)| {
            let mut numbers = key.next..=key.next.saturating_add(ahead);
            numbers.find_map(|number| Some((at, number - key.next, number, key.open(number, record)?)))
        });
        self.effort -= cost * opened.as_ref().map_or(ahead, |(_, tried, ..)| *tried);
        let (at, _, number, (kind, content)) = opened?;
        self.keys.drain(..at);
        let key = self.keys.first_mut()?;
        key.next = number.saturating_add(1);
        let stage = key.stage;
        if let [key] = &self.keys[..] {
            self.keys.extend(key.updated());
        }
        if stage == Stage::Application && number == 0 {
            // The missing bytes belonged to the handshake.
            self.lost = 0;
        }
        self.said.begun |= matches!(stage, Stage::Application | Stage::Updated);
        self.missing = None;
        Some((stage, kind, content))
    }

    fn content(&mut self, stage: Stage, kind: u8, content: Vec<u8>, (number, time): (usize, Duration)) {
        self.alert(kind, &content);
        match (kind, stage) {
            (APPLICATION_DATA, _) if !content.is_empty() => {
                let lost = std::mem::take(&mut self.lost);
                let chunk = Chunk { time, direction: self.direction, lost, bytes: content };
                let to = if stage == Stage::Early { &mut self.early } else { &mut self.said.chunks };
                to.push((number, chunk));
            }
            (HANDSHAKE, Stage::Early) if content.starts_with(&[END_OF_EARLY_DATA]) => {
                self.said.chunks.append(&mut self.early);
            }
            (HANDSHAKE, Stage::Handshake) => {
                if let Some((ENCRYPTED_EXTENSIONS, extensions, _)) = first_message(&content) {
                    self.said.alpn = hello::alpn(extensions);
                }
            }
            (CHANGE_CIPHER_SPEC, _) => self.said.trouble = Some("a renegotiation, which is not followed"),
            _ => {}
        }
    }

    fn alert(&mut self, kind: u8, content: &[u8]) {
        if let (ALERT, [2, description]) = (kind, content) {
            self.said.alert = Some(*description);
        }
    }

    fn finish(mut self, (number, time): (usize, Duration)) -> Decrypted {
        let begun = self.said.begun;
        self.said.trouble = self.said.trouble.or(match self.missing {
            Some(_) => Some("a gap, after which no record was found"),
            None if begun && !self.pending.is_empty() => Some("an incomplete record"),
            None if !begun && self.unopened > 0 => Some("records that the secrets do not open"),
            None => None,
        });
        let unopened = if begun { 0 } else { self.unopened };
        let lost = self.lost.saturating_add(unopened + self.pending.len() as u64);
        if (begun || self.said.trouble.is_some()) && lost > 0 {
            let end = Chunk { time, direction: self.direction, lost, bytes: Vec::new() };
            self.said.chunks.push((number, end));
        }
        self.said
    }
}
