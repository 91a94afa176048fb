//! The traffic that the rules were checked on, and the checks that were impossible.

use std::collections::BTreeSet;

use super::state::Place;
use crate::inspector::model::frame::{Direction, Frame, FrameKind, Meaning};
use crate::inspector::model::schema::Schema;
use crate::inspector::model::text::{self, count};

/// The extent of the checks on one connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Coverage {
    frames: u64,
    calls: u64,
    /// True for each direction of which an HTTP/2 frame was seen.
    seen: [bool; 2],
    /// Bytes that were not recorded.
    lost: u64,
    /// True if the beginning was not recorded, or if frames were withheld.
    late: bool,
    /// True for bytes that are not HTTP/2, and for TLS.
    foreign: bool,
    tls: bool,
    /// Header blocks with unknown fields.
    unknown: u64,
    /// Calls of methods that the schema does not have, and the first of these methods.
    untyped: u64,
    methods: BTreeSet<String>,
    /// True if there are more of them.
    more: bool,
}

/// The most methods that are named.
const NAMED: usize = 3;

impl Coverage {
    /// Takes the next frame.
    pub(super) fn add(&mut self, frame: &Frame, place: Option<Place>, schema: &Schema, lossy: bool) {
        self.frames += 1;
        self.lost = self.lost.saturating_add(frame.lost());
        self.late |= lossy && self.lost == 0;
        let is_tls = frame.is_tls();
        (self.tls, self.foreign) = (self.tls || is_tls, self.foreign || (frame.kind == FrameKind::NotHttp2 && !is_tls));
        if let Some(seen) = self.seen.get_mut(usize::from(frame.direction == Direction::ToClient)) {
            *seen |= frame.header().is_some();
        }
        self.unknown += u64::from(frame.headers.iter().any(|field| field.name.is_none() || field.value.is_none()));
        if place == Some(Place::Request) {
            self.calls += 1;
            let Meaning::RequestHeaders { path } = &frame.meaning else { return };
            if schema.method(path).is_none() {
                self.untyped += 1;
                let method = text::plain(path.as_bytes());
                match self.methods.len() {
                    ..NAMED => drop(self.methods.insert(method)),
                    _ => self.more |= !self.methods.contains(&method),
                }
            }
        }
    }

    /// Returns the extent of the checks: "checked: 109 rules on 15 frames, 2 calls".
    pub(super) fn extent(&self, rules: usize) -> String {
        format!("checked: {rules} rules on {}, {}", count(self.frames, "frame"), count(self.calls, "call"))
    }

    /// Returns what could not be checked; `held` findings were neither confirmed nor refuted.
    pub(super) fn gaps(&self, held: u64) -> Vec<String> {
        let mut gaps = Vec::new();
        let mut add = |applies: bool, gap: String| gaps.extend(applies.then_some(gap));
        add(self.tls, "TLS that was not decrypted".to_owned());
        add(self.foreign, "bytes that are not HTTP/2".to_owned());
        add(
            self.lost > 0,
            format!("what depends on {} that were not recorded, and on frames before them", count(self.lost, "byte")),
        );
        add(self.late, "what depends on frames at the beginning that were not recorded".to_owned());
        let [client, server] = self.seen;
        add(client && !server, "what depends on the server: none of its frames was recorded".to_owned());
        add(server && !client, "what depends on the client: none of its frames was recorded".to_owned());
        add(self.unknown > 0, format!("{} with unknown fields", count(self.unknown, "header block")));
        let methods: Vec<_> = self.methods.iter().map(String::as_str).collect();
        let more = if self.more { ", …" } else { "" };
        add(
            self.untyped > 0,
            format!(
                "kind and messages of {}, whose method the schema lacks ({}{more}): give it with --proto, \
                 --descriptor-set or --reflection",
                count(self.untyped, "call"),
                methods.join(", ")
            ),
        );
        add(held > 0, format!("{} that the recording neither confirms nor refutes", count(held, "possible violation")));
        gaps
    }
}
