//! Calls that fail or wait, written frame by frame, because a healthy server would not make them on demand.

use std::time::Duration;

use super::kinds::RecordedCall;
use super::recorded::conversation;
use barewire::inspector::write::{RawFrame, header_block, message};
use barewire::inspector::{Conversation, Direction, Flow, FrameHeader, FrameType, PrintOptions, Schema, View, view};

use Direction::{ToClient, ToServer};

/// The calls of a connection that is written by hand.
struct Connection {
    conversation: Conversation,
    time: Duration,
    calls: Box<dyn View>,
    flow: Flow,
    recorded: Vec<RecordedCall>,
}

const CONTENT_TYPE: (&str, &str) = ("content-type", "application/grpc");

/// Returns a call that ends with an error, one that is refused at once, one that waits for two windows, and one that its client
/// gives up at the deadline. They share a connection, and each has the lines that `calls` and `flow` print about it.
pub fn failures() -> Vec<RecordedCall> {
    let conversation = conversation();
    let calls = view("calls", conversation.schema(), &PrintOptions::default());
    let mut it = Connection {
        calls: calls.unwrap_or_else(|| Box::new(barewire::inspector::CallLines::new(Schema::new()))),
        conversation,
        time: Duration::ZERO,
        flow: Flow::new(),
        recorded: Vec::new(),
    };
    it.begin();
    it.error();
    it.refused();
    it.two_windows();
    it.deadline();
    it.recorded
}

impl Connection {
    fn begin(&mut self) {
        self.conversation.push(ToServer, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        self.send(ToServer, RawFrame::settings(&[])).send(ToClient, RawFrame::settings(&[]));
        let ack = || RawFrame::acknowledgement(FrameType::SETTINGS, []);
        self.send(ToServer, ack()).send(ToClient, ack());
    }

    fn error(&mut self) {
        self.request(1, "/routeguide.RouteGuide/GetFeature", "10S", &[8, 1]).wait(3);
        self.headers(ToClient, 1, &[(":status", "200"), CONTENT_TYPE], false);
        let trailers = [("grpc-status", "5"), ("grpc-message", "no feature at this point")];
        self.headers(ToClient, 1, &trailers, true);
        self.end(
            "GetFeature",
            "an error status",
            "The server has begun its answer when it finds no feature: the trailers say why.",
        );
    }

    fn refused(&mut self) {
        self.wait(20).request(3, "/routeguide.RouteGuide/GetFeatures", "10S", &[8, 1]).wait(1);
        let answer =
            [(":status", "200"), CONTENT_TYPE, ("grpc-status", "12"), ("grpc-message", "no method GetFeatures")];
        self.headers(ToClient, 3, &answer, true);
        self.end(
            "GetFeatures",
            "Trailers-Only",
            "The method does not exist. The answer is one block of headers, with the status.",
        );
    }

    fn two_windows(&mut self) {
        self.wait(20).request(5, "/routeguide.RouteGuide/ListFeatures", "10S", &[]).wait(2);
        self.headers(ToClient, 5, &[(":status", "200"), CONTENT_TYPE], false);
        // A Feature whose name is 69,996 bytes long.
        let name = "a long name, ".repeat(5_385);
        let name = &name.as_bytes()[..69_996];
        let feature = message(0, &[&[0x0a, 0xec, 0xa2, 0x04][..], name].concat());
        let (fits, rest) = feature.split_at(65_535);
        for chunk in fits.chunks(16_384) {
            self.send(ToClient, RawFrame::data(5, chunk, false));
        }
        self.wait(120).send(ToServer, RawFrame::window_update(5, 65_535));
        self.wait(220).send(ToServer, RawFrame::window_update(0, 65_535));
        self.send(ToClient, RawFrame::data(5, rest, false)).headers(ToClient, 5, &[("grpc-status", "0")], true);
        self.end(
            "ListFeatures",
            "a wait for two windows",
            "The message is larger than the windows of the stream and of the connection. The server waits until the client \
             has opened both.",
        );
    }

    fn deadline(&mut self) {
        self.wait(20).request(7, "/routeguide.RouteGuide/GetFeature", "300m", &[8, 1]).wait(300);
        self.send(ToServer, RawFrame::reset(7, 8)).wait(4);
        self.headers(ToClient, 7, &[(":status", "200"), CONTENT_TYPE], false);
        self.send(ToClient, RawFrame::data(7, message(0, &[]), false)).headers(
            ToClient,
            7,
            &[("grpc-status", "0")],
            true,
        );
        self.end(
            "GetFeature",
            "a reset at the deadline",
            "The client gives up at its deadline. The answer was under way already: the two cross, and nobody broke a rule.",
        );
    }

    /// Adds a request with one message, and the client's END_STREAM.
    fn request(&mut self, stream: u32, path: &str, timeout: &str, content: &[u8]) -> &mut Self {
        let fields = [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", path),
            (":authority", "localhost:50051"),
            ("grpc-timeout", timeout),
            CONTENT_TYPE,
            ("te", "trailers"),
            ("user-agent", "tour"),
        ];
        self.headers(ToServer, stream, &fields, false);
        self.send(ToServer, RawFrame::data(stream, message(0, content), true))
    }

    fn headers(&mut self, way: Direction, stream: u32, fields: &[(&str, &str)], ends: bool) -> &mut Self {
        let flags = FrameHeader::END_HEADERS | if ends { FrameHeader::END_STREAM } else { 0 };
        let block = header_block(fields.iter().copied());
        self.send(way, RawFrame::new(FrameType::HEADERS, flags, stream, block))
    }

    fn send(&mut self, way: Direction, frame: RawFrame) -> &mut Self {
        let mut wire = Vec::new();
        frame.write(&mut wire);
        self.conversation.set_time(self.time);
        self.conversation.push(way, &wire);
        self
    }

    fn wait(&mut self, milliseconds: u64) -> &mut Self {
        self.time += Duration::from_millis(milliseconds);
        self
    }

    /// Ends a call, and adds what the views print about it.
    fn end(&mut self, method: &'static str, kind: &'static str, story: &'static str) {
        let frames = self.conversation.take_frames();
        let mut said = Vec::new();
        for frame in &frames {
            let stalls = self.flow.advance(frame);
            said.extend(stalls.iter().map(|stall| format!("--show flow:   ◷ {stall}: {}", stall.details())));
            said.extend(self.calls.push(frame).lines().map(|line| format!("--show calls:  {line}")));
        }
        self.recorded.push(RecordedCall { method, kind, story, frames, said });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use barewire::inspector::{Lint, Meaning};

    #[test]
    fn each_failure_is_what_its_story_tells() {
        let calls = failures();
        let said: Vec<_> = calls.iter().map(|call| call.said.join("\n")).collect();
        assert!(said[0].ends_with("NOT_FOUND: no feature at this point  ended by the server's trailers"), "{said:?}");
        assert!(
            said[1].ends_with("UNIMPLEMENTED: no method GetFeatures  ended by the server's Trailers-Only"),
            "{said:?}"
        );
        assert!(said[2].contains("waited 340 ms for the client's WINDOW_UPDATE of both windows: since"), "{said:?}");
        assert!(said[3].ends_with("ended by the client at its deadline of 300 ms"), "{said:?}");
        let mut lint = Lint::new(conversation().schema().clone());
        let frames: Vec<_> = calls.iter().flat_map(|call| &call.frames).collect();
        let mut findings: Vec<_> = frames.iter().flat_map(|frame| lint.check(frame)).collect();
        findings.extend(lint.finish());
        assert_eq!(findings, []);
        // The message is decoded with the names of its fields, and that of the crossing answer too.
        let messages = frames.iter().flat_map(|frame| &frame.messages).filter_map(|it| it.type_name.as_deref());
        assert_eq!(messages.filter(|name| *name == "routeguide.Feature").count(), 2);
        assert!(frames.iter().all(|frame| frame.faults.is_empty() && frame.meaning != Meaning::Data));
    }
}
