//! Findings and waits as JSON lines, beside the frames that they are about.
//!
//! ```text
//! {"record":"finding","connection":1,"frame":6,"stream":1,"severity":"error","name":"te-missing","range":[0,9],…}
//! {"record":"wait","connection":1,"frame":26,"stream":3,"direction":"to_client","begun":1.3,"ended":7.4,…}
//! ```
//!
//! A finding has its `sentence`, its `rule` as text with `url`, and `number` in `docs/rules.md` if it has one. A wait has
//! `waited` seconds, `windows` (`stream`, `connection` or `both`), `text`, `details` and `certain`; `ended` is absent while
//! it is open.

use serde::Serialize;

use super::json::{JsonLines, line};
use crate::inspector::follow::stall::{Stall, UsedUp};
use crate::inspector::lint::Finding;
use crate::inspector::model::frame::{Direction, Frame};
use crate::inspector::model::text;

#[derive(Serialize)]
#[serde(tag = "record", rename = "finding")]
struct FindingLine<'a> {
    connection: u64,
    frame: u64,
    stream: u32,
    severity: String,
    name: &'a str,
    range: [usize; 2],
    sentence: &'a str,
    rule: String,
    url: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    number: Option<u8>,
}

#[derive(Serialize)]
#[serde(tag = "record", rename = "wait")]
struct WaitLine {
    connection: u64,
    frame: u64,
    stream: u32,
    direction: &'static str,
    windows: &'static str,
    begun: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended: Option<f64>,
    waited: f64,
    certain: bool,
    text: String,
    details: String,
}

impl JsonLines {
    /// Returns the line of a finding, which `frame` or an earlier frame caused. Secret values of that frame are not shown.
    pub fn finding(&self, connection: u64, finding: &Finding, frame: Option<&Frame>) -> String {
        let secret = frame.into_iter().flat_map(|frame| &frame.headers).filter(|field| self.redaction.hides(field));
        let mut values = secret.filter_map(|field| field.value.as_deref()).filter(|value| !value.is_empty());
        let leaks = values.any(|value| finding.sentence.contains(&text::plain(value)));
        line(&FindingLine {
            connection,
            frame: finding.frame,
            stream: finding.stream,
            severity: finding.severity.to_string(),
            name: finding.name,
            range: [finding.range.start, finding.range.end],
            sentence: if leaks { "the sentence contains a secret value" } else { &finding.sentence },
            rule: finding.rule.to_string(),
            url: finding.rule.link(),
            number: finding.number,
        })
    }

    /// Returns the line of a wait for a window.
    pub fn wait(&self, connection: u64, stall: &Stall) -> String {
        line(&WaitLine {
            connection,
            frame: stall.frame,
            stream: stall.stream,
            direction: match stall.direction {
                Direction::ToServer => "to_server",
                Direction::ToClient => "to_client",
            },
            windows: match stall.windows {
                UsedUp::Stream => "stream",
                UsedUp::Connection => "connection",
                UsedUp::Both => "both",
            },
            begun: stall.begun.as_secs_f64(),
            ended: stall.ended.map(|ended| ended.as_secs_f64()),
            waited: stall.waited.as_secs_f64(),
            certain: stall.is_certain(),
            text: stall.of_call(),
            details: stall.details(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspector::{HeaderField, Redaction, Rule, Severity};
    use std::time::Duration;

    #[test]
    fn findings_hide_secrets() {
        let finding = Finding {
            name: "te-other",
            severity: Severity::Error,
            rule: Rule::http2("8.2.2"),
            number: Some(3),
            frame: 6,
            direction: Direction::ToServer,
            kind: None,
            stream: 1,
            range: 9..14,
            sentence: "te is \"trailers, ü\"".to_owned(),
        };
        let mut conversation = crate::inspector::Conversation::new(crate::inspector::Schema::new());
        conversation.push(Direction::ToServer, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        let mut frame = conversation.take_frames().remove(0);
        let field = |value: &[u8]| HeaderField {
            name: Some(b"te"[..].into()),
            value: Some(value.into()),
            never_indexed: false,
        };
        frame.headers = vec![field("trailers, ü".as_bytes())];
        let shown = |redaction: Redaction| JsonLines::new(redaction).finding(1, &finding, Some(&frame));
        assert!(shown(Redaction::default()).contains("trailers"));
        let redacted = shown(Redaction::default().header("te"));
        assert!(redacted.contains("secret value") && !redacted.contains("trailers"), "{redacted}");
        let value: serde_json::Value = serde_json::from_str(&redacted).unwrap();
        assert_eq!((&value["record"], &value["frame"], &value["number"]), (&"finding".into(), &6.into(), &3.into()));
        assert_eq!(value["url"], "https://www.rfc-editor.org/rfc/rfc9113#section-8.2.2");
    }

    #[test]
    fn open_wait_has_an_unknown_end() {
        let stall = Stall {
            direction: Direction::ToClient,
            stream: 3,
            windows: UsedUp::Both,
            frame: 26,
            begun: Duration::from_millis(1_300),
            ended: None,
            end: crate::inspector::StallEnd::Open,
            waited: Duration::from_secs(6),
            sent: 5_530,
            unsent: crate::inspector::Unsent::Message(9_475),
            cause: (crate::wire::http2::FrameType::DATA, Direction::ToClient),
            told: false,
        };
        let value = JsonLines::new(Redaction::default()).wait(1, &stall);
        let value: serde_json::Value = serde_json::from_str(&value).unwrap();
        assert_eq!(
            (&value["windows"], &value["waited"], &value["certain"]),
            (&"both".into(), &6.0.into(), &true.into())
        );
        assert_eq!(value.get("ended"), None);
        assert_eq!(
            value["text"],
            "still waits after 6 s for the client's WINDOW_UPDATE on stream 3 and the connection"
        );
    }
}
