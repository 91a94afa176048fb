//! TLS in captures: decrypted where the secrets are known, and otherwise said not to be.
//!
//! ```text
//! record.rs    bytes to records, and the messages of the handshake          RFC 8446, RFC 5246
//! hello.rs     what client and server agree upon
//! key_log.rs   secrets, by the client's random                              draft-ietf-tls-keylogfile
//! keys.rs      secrets to keys, sealed records to what they say
//! opener.rs    the records of a direction, in their order
//! ```
//!
//! The chunks of a connection become those of what is inside; whoever reads them does not know that there was TLS. Nothing is
//! guessed: a record either opens, which proves both its key and its number, or it is said that it does not.

mod hello;
mod key_log;
mod keys;
mod opener;
mod record;

pub use key_log::KeyLog;

use std::collections::BTreeMap;

use super::recorded::{Capture, Connection};
use crate::inspector::model::frame::Direction;
use hello::ServerHello;
use key_log::{Label, Random};
use keys::{Key, Stage, Suite, TLS12, TLS13};
use opener::Said;
use record::Record;

/// What can be done about it.
const MEND: &str =
    "--key-log names the file that SSLKEYLOGFILE has its client or server write, and barewire tap --tls needs none";

const SIDES: [&str; 2] = ["client", "server"];

/// How many connections a note names.
const NAMED: usize = 8;

/// Decrypts what can be decrypted, and adds a note for each way in which it went.
pub(super) fn decrypt(capture: &mut Capture, keys: &KeyLog) {
    let mut notes: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (at, connection) in capture.connections.iter_mut().enumerate().filter(|(_, it)| it.is_tls()) {
        let note = open(connection, keys).unwrap_or_else(|why| format!("TLS that is not decrypted: {why}"));
        notes.entry(note).or_default().push(at + 1);
    }
    let mut notes: Vec<_> = notes.into_iter().collect();
    notes.sort_by(|(_, one), (_, other)| one.cmp(other));
    capture.notes.extend(notes.iter().map(|(note, numbers)| {
        let named: Vec<_> = numbers.iter().take(NAMED).map(usize::to_string).collect();
        let more = numbers.len() - named.len();
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let connections = if numbers.len() == 1 { "connection" } else { "connections" };
        format!("{connections} {}{more}: {note}", named.join(", "))
    }));
}

/// Whether these bytes begin a connection's TLS: a record that begins with a ClientHello.
pub(super) fn is_client_hello(bytes: &[u8]) -> bool {
    matches!(bytes, [record::HANDSHAKE, 3, _, _, _, 1, ..])
}

impl Connection {
    /// Whether the side that was recorded first begins with the header of a record (RFC 8446, section 5.1).
    fn is_tls(&self) -> bool {
        let Some(first) = self.chunks.first() else { return false };
        let chunks = self.chunks.iter().filter(|chunk| chunk.direction == first.direction);
        let header: Vec<u8> = chunks.flat_map(|chunk| &chunk.bytes).copied().take(5).collect();
        header.len() == 5 && Record::next(&header).is_ok()
    }
}

/// Puts what is inside in the place of what was recorded; says what was found, or why nothing was changed.
fn open(connection: &mut Connection, log: &KeyLog) -> Result<String, String> {
    let client = record::message(connection, Direction::ToServer, hello::client)
        .ok_or("there is no ClientHello, by which secrets are found; its beginning was not recorded")?;
    let server = record::message(connection, Direction::ToClient, hello::server);
    let (version, [to_server, to_client]) = match &server {
        Some(server) => (server.version, keys(&client, server, log)?),
        None => (TLS12, Default::default()),
    };
    let hear = |direction, keys| opener::hear(&connection.chunks, direction, version, keys);
    let said = [hear(Direction::ToServer, to_server), hear(Direction::ToClient, to_client)];
    let [_, from_server] = &said;
    let server = server.ok_or_else(|| format!("there is no ServerHello{}", alerts(&said)))?;
    if said.iter().all(|said| !said.begun) {
        let open_none = said.iter().any(|said| said.trouble.is_some());
        let why = if open_none { "the secrets open none of its records" } else { "its handshake did not end" };
        return Err(format!("{why}{}", alerts(&said)));
    }
    let suite = Suite::of(version, server.suite).map_or("", |suite| suite.name);
    let alpn = from_server.alpn.as_ref().or(server.alpn.as_ref());
    let alpn = alpn.map_or(String::new(), |alpn| format!(", ALPN {alpn}"));
    let mut note = format!("{}, {suite}{alpn}: decrypted{}", version_name(version), alerts(&said));
    for (said, side) in said.iter().zip(SIDES) {
        let how_far = if said.begun { "only up to" } else { "nothing:" };
        note.extend(said.trouble.map(|trouble| format!("; of the {side} {how_far} {trouble}")));
    }
    let mut chunks: Vec<_> = said.into_iter().flat_map(|said| said.chunks).collect();
    chunks.sort_by_key(|(number, _)| *number);
    connection.chunks = chunks.into_iter().map(|(_, chunk)| chunk).collect();
    Ok(note)
}

/// The keys of both directions, in the order of their use; an error where the log has none, or the suite is not known.
fn keys(client: &Random, server: &ServerHello, log: &KeyLog) -> Result<[Vec<Key>; 2], String> {
    let suite = Suite::of(server.version, server.suite).ok_or_else(|| match server.version {
        TLS12 | TLS13 => format!(
            "cipher suite {:#06x} of {} is not known here; those with AES-GCM and ChaCha20 are",
            server.suite,
            version_name(server.version)
        ),
        version => format!("it is version {version:#06x}, and only TLS 1.2 and TLS 1.3 can be"),
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
        false => Err(format!("there is no key log with its secrets; {MEND}")),
    }
}

fn version_name(version: u16) -> &'static str {
    if version == TLS13 { "TLS 1.3" } else { "TLS 1.2" }
}

/// Who ended the connection by an alert, and which: the names of those that one meets (RFC 8446, section 6.2).
fn alerts(said: &[Said; 2]) -> String {
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
