//! Compares what tshark reads in a capture with what this project reads.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;
use tokio::process::Command;

use super::installed::is_installed;

/// The frame types by number.
pub const TYPES: [&str; 9] =
    ["DATA", "HEADERS", "PRIORITY", "RST_STREAM", "SETTINGS", "PUSH_PROMISE", "PING", "GOAWAY", "WINDOW_UPDATE"];

/// Wireshark's dissectors, an independent implementation.
pub struct Tshark(());

impl Tshark {
    /// Finds tshark. If it is not installed, prints a message and returns `None`; on CI that is a failure.
    pub fn find(suite: &str) -> Option<Tshark> {
        is_installed("tshark", "--version", suite).then_some(Tshark(()))
    }

    /// Returns a line for each packet that matches the filter, with the values of these fields.
    async fn read(&self, file: &str, port: &str, filter: &str, fields: &[&str]) -> Vec<Vec<String>> {
        let protos = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("proto");
        let mut command = Command::new("tshark");
        command.args(["-r", file, "-d", &format!("tcp.port=={port},http2"), "-Y", filter, "-T", "fields"]);
        command.args(["-o", &format!("uat:protobuf_search_paths:\"{}\",\"TRUE\"", protos.display())]);
        command.args(["-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE", "-E", "separator=|"]);
        for field in fields {
            command.args(["-e", field]);
        }
        let output = command.output().await.expect("tshark runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).expect("text");
        text.lines().map(|line| line.split('|').map(str::to_owned).collect()).collect()
    }

    /// Returns all values of a field, in order.
    async fn values(&self, file: &str, port: &str, field: &str) -> Vec<String> {
        let lines = self.read(file, port, "http2", &[field]).await;
        let values = lines.iter().flatten().flat_map(|values| values.split(','));
        values.filter(|value| !value.is_empty()).map(str::to_owned).collect()
    }

    /// Compares a capture with the JSON lines of the same connections: frame types and streams, headers, messages with their
    /// lengths, and the names of their fields. No packet may be malformed or missing, and no checksum wrong.
    pub async fn agrees(&self, pcapng: &str, jsonl: &str) {
        let lines = std::fs::read_to_string(jsonl).expect("JSON lines");
        let records: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let server = records[0]["server"].as_str().expect("an address");
        let port = server.rsplit(':').next().expect("a port");
        let wrong = "_ws.malformed || tcp.analysis.flags || tcp.checksum.status == 0 || ip.checksum.status == 0";
        assert_eq!(self.read(pcapng, port, wrong, &["frame.number"]).await, Vec::<Vec<String>>::new());
        assert!(!self.read(pcapng, port, "grpc", &["frame.number"]).await.is_empty(), "tshark sees gRPC");

        let frames: Vec<&Value> = records.iter().filter(|record| record["kind"] == "frame").collect();
        let ours = |of: &dyn Fn(&Value) -> Option<String>| count(frames.iter().filter_map(|frame| of(frame)));
        let by_type = ours(&|frame| {
            let place = TYPES.iter().position(|name| frame["type"] == *name)?;
            Some(place.to_string())
        });
        assert_eq!(count(self.values(pcapng, port, "http2.type").await), by_type, "frames by type");
        let by_stream = ours(&|frame| Some(frame["stream"].to_string()));
        assert_eq!(count(self.values(pcapng, port, "http2.streamid").await), by_stream, "frames by stream");

        let part = |list: &str, key: &str| {
            let all = frames.iter().flat_map(|frame| frame[list].as_array().expect("a list").iter());
            count(all.map(|entry| match &entry[key] {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            }))
        };
        assert_eq!(count(self.values(pcapng, port, "http2.header.name").await), part("headers", "name"));
        assert_eq!(count(self.values(pcapng, port, "grpc.message_length").await), part("messages", "length"));
        let names = count(self.values(pcapng, port, "protobuf.message.name").await);
        for (name, messages) in part("messages", "type") {
            let seen = names.get(&name).copied().unwrap_or_default();
            assert!(seen >= messages, "tshark names {seen} of {messages} {name}: {names:?}");
        }
    }
}

fn count(values: impl IntoIterator<Item = String>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    values.into_iter().for_each(|value| *counts.entry(value).or_default() += 1);
    counts
}
