//! TLS in captures: decrypted if the secrets are known, otherwise reported in the notes.
//!
//! ```text
//! record.rs    bytes to records, and the messages of the handshake          RFC 8446, RFC 5246
//! hello.rs     the negotiated version and cipher suite
//! key_log.rs   secrets, by the client's random                              draft-ietf-tls-keylogfile
//! keys.rs      keys from secrets, and decryption of records
//! opener.rs    the records of a direction, in their order
//! ```
//!
//! Decrypted chunks replace the recorded ones, so that later stages do not see TLS. Nothing is guessed: if a record
//! opens, that proves its key and its number; otherwise a note reports it.

mod hello;
mod key_log;
mod keys;
mod opener;
mod record;

pub use key_log::KeyLog;

use std::collections::BTreeMap;

use super::recorded::{Capture, Chunk, Connection, named};
use crate::inspector::decode::opening;
use crate::inspector::model::frame::Direction;
use hello::ServerHello;
use key_log::{Label, Random};
use keys::{Key, Stage, Suite, TLS12, TLS13};
use opener::Decrypted;
use record::Record;

/// The remedy that the notes name.
const MEND: &str =
    "pass --key-log with the file that the client or server writes to SSLKEYLOGFILE, or record with barewire tap --tls";

const SIDES: [&str; 2] = ["client", "server"];

/// Decrypts all connections as far as possible, and adds a note for each outcome.
pub(super) fn decrypt(capture: &mut Capture, keys: &KeyLog) {
    let mut notes: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (at, connection) in capture.connections.iter_mut().enumerate() {
        let before = connection.take_opening();
        if connection.is_tls() {
            let note = open(connection, keys).unwrap_or_else(|why| format!("TLS that is not decrypted: {why}"));
            notes.entry(note).or_default().push(at + 1);
        }
        connection.chunks.splice(..0, before);
    }
    let mut notes: Vec<_> = notes.into_iter().collect();
    notes.sort_by(|(_, one), (_, other)| one.cmp(other));
    capture.notes.extend(notes.iter().map(|(note, numbers)| format!("{}: {note}", named(numbers))));
}

/// Returns true if these bytes begin a TLS connection: a record that begins with a ClientHello.
pub(super) fn is_client_hello(bytes: &[u8]) -> bool {
    matches!(bytes, [record::HANDSHAKE, 3, _, _, _, 1, ..])
}

impl Connection {
    /// Removes what both sides sent before TLS: a PROXY protocol header, a request for a tunnel and its response.
    fn take_opening(&mut self) -> Vec<Chunk> {
        let mut lengths = [Direction::ToServer, Direction::ToClient].map(|direction| {
            let chunks = self.chunks.iter().filter(|chunk| chunk.direction == direction);
            let whole = chunks.clone().take_while(|chunk| chunk.lost == 0);
            let beginning: Vec<u8> = whole.flat_map(|chunk| &chunk.bytes).copied().take(opening::LONGEST).collect();
            opening::length(&beginning, direction == Direction::ToServer)
        });
        let (mut before, mut rest) = (Vec::new(), Vec::new());
        for mut chunk in std::mem::take(&mut self.chunks) {
            let [to_server, to_client] = &mut lengths;
            let left = if chunk.direction == Direction::ToServer { to_server } else { to_client };
            if *left == 0 {
                rest.push(chunk);
                continue;
            }
            let behind = chunk.bytes.split_off((*left).min(chunk.bytes.len()));
            *left -= chunk.bytes.len();
            let (time, direction) = (chunk.time, chunk.direction);
            before.push(chunk);
            if !behind.is_empty() {
                rest.push(Chunk { time, direction, lost: 0, bytes: behind });
            }
        }
        self.chunks = rest;
        before
    }

    /// Returns true if the side recorded first begins with a record header (RFC 8446, section 5.1).
    fn is_tls(&self) -> bool {
        let Some(first) = self.chunks.first() else { return false };
        let chunks = self.chunks.iter().filter(|chunk| chunk.direction == first.direction);
        let header: Vec<u8> = chunks.flat_map(|chunk| &chunk.bytes).copied().take(5).collect();
        header.len() == 5 && Record::next(&header).is_ok()
    }
}

/// Replaces the recorded bytes with the decrypted ones; returns a description, or the reason why nothing changed.
fn open(connection: &mut Connection, log: &KeyLog) -> Result<String, String> {
    let client = record::message(connection, Direction::ToServer, hello::client)
        .ok_or("the ClientHello, which selects the secrets, was not recorded")?;
    let server = record::message(connection, Direction::ToClient, hello::server);
    let (version, [to_server, to_client]) = match &server {
        Some(server) => (server.version, keys(&client, server, log)?),
        None => (TLS12, Default::default()),
    };
    let hear = |direction, keys| opener::hear(&connection.chunks, direction, version, keys);
    let said = [hear(Direction::ToServer, to_server), hear(Direction::ToClient, to_client)];
    let [_, from_server] = &said;
    let server = server.ok_or_else(|| format!("the ServerHello is missing{}", alerts(&said)))?;
    if said.iter().all(|said| !said.begun) {
        let open_none = said.iter().any(|said| said.trouble.is_some());
        let why = if open_none { "the secrets do not open any of its records" } else { "its handshake did not end" };
        return Err(format!("{why}{}", alerts(&said)));
    }
    let suite = Suite::of(version, server.suite).map_or("", |suite| suite.name);
    let alpn = from_server.alpn.as_ref().or(server.alpn.as_ref());
    let alpn = alpn.map_or(String::new(), |alpn| format!(", ALPN {alpn}"));
    let mut note = format!("{}, {suite}{alpn}: decrypted{}", version_name(version), alerts(&said));
    for (said, side) in said.iter().zip(SIDES) {
        let how_far = if said.begun { "only up to" } else { "nothing," };
        note.extend(said.trouble.map(|trouble| format!("; of the {side} {how_far} {trouble}")));
    }
    let mut chunks: Vec<_> = said.into_iter().flat_map(|said| said.chunks).collect();
    chunks.sort_by_key(|(number, _)| *number);
    connection.decrypted = true;
    connection.chunks = chunks.into_iter().map(|(_, chunk)| chunk).collect();
    Ok(note)
}

/// Returns the keys of both directions, in the order of their use; an error if the log lacks them, or if the suite is
/// not supported.
fn keys(client: &Random, server: &ServerHello, log: &KeyLog) -> Result<[Vec<Key>; 2], String> {
    let suite = Suite::of(server.version, server.suite).ok_or_else(|| match server.version {
        TLS12 | TLS13 => format!(
            "cipher suite {:#06x} of {} is not supported; AES-GCM and ChaCha20 suites are",
            server.suite,
            version_name(server.version)
        ),
        version => format!("version {version:#06x} is not supported; TLS 1.2 and TLS 1.3 are"),
    })?;
    let keys = if suite.version == TLS12 {
        let master = log.secret(client, Label::Master);
        let keys = master.and_then(|master| suite.keys(master, client, &server.random));
        keys.map_or([Vec::new(), Vec::new()], |keys| keys.map(|key| vec![key]))
    } else {
        let key = |(stage, label)| suite.key(stage, log.secret(client, label)?);
        let of = |labels: &[(Stage, Label)]| labels.iter().copied().filter_map(key).collect();
        [
            of(&[
                (Stage::Early, Label::ClientEarly),
                (Stage::Handshake, Label::ClientHandshake),
                (Stage::Application, Label::ClientTraffic),
            ]),
            of(&[(Stage::Handshake, Label::ServerHandshake), (Stage::Application, Label::ServerTraffic)]),
        ]
    };
    match keys.iter().any(|keys| !keys.is_empty()) {
        true => Ok(keys),
        false => Err(format!("no key log has its secrets; {MEND}")),
    }
}

fn version_name(version: u16) -> &'static str {
    if version == TLS13 { "TLS 1.3" } else { "TLS 1.2" }
}

/// Formats the alert that ended the connection and its sender, with the names of common alerts (RFC 8446, section 6.2).
fn alerts(said: &[Decrypted; 2]) -> String {
    let sent = said.iter().zip(SIDES).filter_map(|(said, side)| Some((side, said.alert?)));
    let told = sent.map(|(side, number)| {
        let name = match number {
            20 => "bad_record_mac ",
            40 => "handshake_failure ",
            42 => "bad_certificate ",
            45 => "certificate_expired ",
            46 => "certificate_unknown ",
            48 => "unknown_ca ",
            70 => "protocol_version ",
            116 => "certificate_required ",
            120 => "no_application_protocol ",
            _ => "",
        };
        format!("; the {side} ended it with alert {name}({number})")
    });
    told.collect()
}

#[cfg(test)]
mod rfc8448;
#[cfg(test)]
mod tests;
