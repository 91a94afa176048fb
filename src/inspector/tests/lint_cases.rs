//! A case for each rule that breaks it.

use super::connection::*;
use super::*;
use Direction::{ToClient, ToServer};

/// A case that breaks a rule, written frame by frame.
pub(super) type Case = (&'static str, fn(&mut Connection));

/// In the order of the tables. SETTINGS were exchanged before.
pub(super) const CASES: &[Case] = &[
    ("frame-over-limit", |it| {
        it.request(1, &[]).message(ToServer, NONE, 1, &[0x3a; 16_440]);
    }),
    ("frame-size", |it| {
        it.frame(ToServer, FrameType::PING, NONE, 0, &[1, 2, 3]);
    }),
    ("frame-on-wrong-stream", |it| {
        it.frame(ToClient, FrameType::PING, NONE, 1, &[0; 8]);
    }),
    ("reserved-bit", |it| {
        it.bytes(ToClient, &[0, 0, 8, 6, 0, 0x80, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]);
    }),
    ("unknown-flags", |it| {
        it.frame(ToClient, FrameType::PING, 0x10, 0, &[0; 8]);
    }),
    ("unknown-type", |it| {
        it.frame(ToClient, FrameType(0x16), NONE, 0, &[1]);
    }),
    ("padding-too-long", |it| {
        it.request(1, &[]).data(ToServer, PADDED, 1, &[9, 0, 0]);
    }),
    ("padding-not-zero", |it| {
        it.request(1, &[]).data(ToServer, PADDED, 1, &[1, 0, 0, 0, 0, 0, 7]);
    }),
    ("empty-data", |it| {
        it.request(1, &[]).data(ToServer, NONE, 1, &[]);
    }),
    ("priority-deprecated", |it| {
        it.frame(ToServer, FrameType::PRIORITY, NONE, 3, &[0, 0, 0, 0, 15]);
    }),
    ("header-block-interrupted", |it| {
        it.frame(ToServer, FrameType::HEADERS, NONE, 1, &block(&REQUEST));
        it.frame(ToServer, FrameType::PING, NONE, 0, &[0; 8]);
    }),
    ("continuation-alone", |it| {
        it.frame(ToServer, FrameType::CONTINUATION, END_HEADERS, 1, &[0x82]);
    }),
    ("header-block-broken", |it| {
        it.frame(ToServer, FrameType::HEADERS, END_HEADERS, 1, &[0x80]);
    }),
    ("table-size-update-late", |it| {
        let late = [block(&REQUEST), vec![0x20]].concat();
        it.frame(ToServer, FrameType::HEADERS, END_HEADERS, 1, &late);
    }),
    ("setting-out-of-range", |it| {
        it.setting(ToServer, 5, 1);
    }),
    ("push-enabled-by-server", |it| {
        it.setting(ToClient, 2, 1);
    }),
    ("push", |it| {
        it.frame(ToServer, FrameType::PUSH_PROMISE, END_HEADERS, 1, &[0, 0, 0, 2, 0x82]);
    }),
    ("settings-not-acknowledged", |it| {
        it.setting(ToServer, 3, 9).wait(30_000).window(ToServer, 0, 1);
    }),
    ("settings-acknowledged-twice", |it| {
        it.frame(ToServer, FrameType::SETTINGS, ACK, 0, &[]);
    }),
    ("ping-not-answered", |it| {
        it.frame(ToClient, FrameType::PING, NONE, 0, &[1; 8]).wait(30_000).window(ToClient, 0, 1);
    }),
    ("ping-answer-differs", |it| {
        it.frame(ToClient, FrameType::PING, NONE, 0, &[1; 8]).frame(ToServer, FrameType::PING, ACK, 0, &[2; 8]);
    }),
    ("too-many-pings", |it| {
        for _ in 0..4 {
            it.wait(10_000).frame(ToServer, FrameType::PING, NONE, 0, &[1; 8]);
            it.frame(ToClient, FrameType::PING, ACK, 0, &[1; 8]);
        }
    }),
    ("goaway-grows", |it| {
        it.go_away(ToClient, 1, 0).go_away(ToClient, 3, 0);
    }),
    ("stream-after-goaway", |it| {
        it.go_away(ToClient, 0, 0).ping(ToClient, [1; 8]).request(1, &[]);
    }),
    ("too-many-streams", |it| {
        it.setting(ToClient, 3, 1).frame(ToServer, FrameType::SETTINGS, ACK, 0, &[]);
        it.request(1, &[]).request(3, &[]);
    }),
    ("stream-even", |it| {
        it.request(2, &[]);
    }),
    ("stream-not-growing", |it| {
        it.request(5, &[]).request(3, &[]);
    }),
    ("stream-never-opened", |it| {
        it.data(ToServer, NONE, 7, &[0; 5]);
    }),
    ("window-update-zero", |it| {
        it.window(ToClient, 0, 0);
    }),
    ("window-overflow", |it| {
        it.window(ToClient, 0, 0x7fff_ffff);
    }),
    ("window-exceeded", |it| {
        it.request(1, &[(":path", "/a.B/Record")]);
        for _ in 0..5 {
            it.message(ToServer, NONE, 1, &[0x3a; 15_000]);
        }
    }),
    ("window-wait", |it| {
        it.setting(ToClient, 4, 3).frame(ToServer, FrameType::SETTINGS, ACK, 0, &[]);
        it.request(1, &[]).data(ToServer, NONE, 1, &[0, 0, 0]).wait(2_000);
    }),
    ("data-after-end", |it| {
        it.unary(1).message(ToClient, NONE, 1, &[]);
    }),
    ("headers-after-end", |it| {
        it.unary(1).trailers(1, &[]);
    }),
    ("frame-after-reset", |it| {
        it.request(1, &[]).reset(ToServer, 1, 8).message(ToServer, NONE, 1, &[]);
    }),
    ("reset-after-end", |it| {
        it.unary(1).ping(ToClient, [1; 8]).reset(ToServer, 1, 0);
    }),
    ("reset-twice", |it| {
        it.request(1, &[]).reset(ToServer, 1, 8).ping(ToServer, [1; 8]).reset(ToClient, 1, 8);
    }),
    ("upper-case", |it| {
        it.request(1, &[("X-Key", "1")]);
    }),
    ("name-illegal", |it| {
        it.request(1, &[("a key", "1")]);
    }),
    ("value-illegal", |it| {
        it.request(1, &[("key", "a\r\nb: c")]);
    }),
    ("value-padded", |it| {
        it.request(1, &[("key", " a")]);
    }),
    ("connection-header", |it| {
        it.request(1, &[("connection", "close")]);
    }),
    ("te-other", |it| {
        it.request(1, &[("te", "gzip")]);
    }),
    ("pseudo-late", |it| {
        let mut headers = REQUEST.to_vec();
        headers.rotate_left(1);
        it.headers(ToServer, NONE, 1, &headers);
    }),
    ("pseudo-twice", |it| {
        let headers = [&[(":method", "POST")], &REQUEST[..]].concat();
        it.headers(ToServer, NONE, 1, &headers);
    }),
    ("pseudo-unknown", |it| {
        let headers = [&[(":status", "200")], &REQUEST[..]].concat();
        it.headers(ToServer, NONE, 1, &headers);
    }),
    ("pseudo-in-trailers", |it| {
        it.request(1, &[(":path", "/a.B/List")]).response(1, &[]);
        it.headers(ToClient, END_STREAM, 1, &[(":status", "200"), ("grpc-status", "0")]);
    }),
    ("header-list-size", |it| {
        it.setting(ToClient, 6, 100).frame(ToServer, FrameType::SETTINGS, ACK, 0, &[]).request(1, &[]);
    }),
    ("single-twice", |it| {
        let headers = [&REQUEST[..], &[("te", "trailers")]].concat();
        it.headers(ToServer, NONE, 1, &headers);
    }),
    ("key-illegal", |it| {
        it.request(1, &[("a+b", "1")]);
    }),
    ("value-not-ascii", |it| {
        it.request(1, &[("key", "ü")]);
    }),
    ("binary-malformed", |it| {
        it.request(1, &[("key-bin", "A")]);
    }),
    ("binary-padded", |it| {
        it.request(1, &[("key-bin", "AQ==")]);
    }),
    ("grpc-header-unknown", |it| {
        it.request(1, &[("grpc-color", "red")]);
    }),
    ("content-length", |it| {
        it.request(1, &[("content-length", "8")]).message(ToServer, END_STREAM, 1, &[8, 1]);
    }),
    ("host-beside-authority", |it| {
        it.request(1, &[("host", "localhost")]);
    }),
    ("method-not-post", |it| {
        it.request(1, &[(":method", "GET")]);
    }),
    ("pseudo-missing", |it| {
        it.request(1, &[(":scheme", "")]);
    }),
    ("scheme-other", |it| {
        it.request(1, &[(":scheme", "ftp")]);
    }),
    ("path-malformed", |it| {
        it.request(1, &[(":path", "/Get")]);
    }),
    ("authority-missing", |it| {
        it.request(1, &[(":authority", "")]);
    }),
    ("te-missing", |it| {
        it.request(1, &[("te", "")]);
    }),
    ("content-type-missing", |it| {
        it.request(1, &[("content-type", "")]);
    }),
    ("content-type-other", |it| {
        it.request(1, &[("content-type", "application/json")]);
    }),
    ("user-agent-missing", |it| {
        it.request(1, &[("user-agent", "")]);
    }),
    ("timeout-malformed", |it| {
        it.request(1, &[("grpc-timeout", "1s")]);
    }),
    ("timeout-leading-zero", |it| {
        it.request(1, &[("grpc-timeout", "010S")]);
    }),
    ("timeout-zero", |it| {
        it.request(1, &[("grpc-timeout", "0n")]);
    }),
    ("deadline-passed", |it| {
        it.request(1, &[("grpc-timeout", "100m")]).wait(5_000).message(ToServer, END_STREAM, 1, &[]);
    }),
    ("request-trailers", |it| {
        it.request(1, &[]).headers(ToServer, END_STREAM, 1, &[("a", "b")]);
    }),
    ("attempts-malformed", |it| {
        it.request(1, &[("grpc-previous-rpc-attempts", "0")]);
    }),
    ("status-in-request", |it| {
        it.request(1, &[("grpc-status", "0")]);
    }),
    ("http-status-missing", |it| {
        it.request(1, &[]).response(1, &[(":status", "")]);
    }),
    ("http-status-not-200", |it| {
        it.request(1, &[]).response(1, &[(":status", "500")]);
    }),
    ("answer-not-grpc", |it| {
        it.request(1, &[]).response(1, &[("content-type", "text/html")]);
    }),
    ("status-too-early", |it| {
        it.request(1, &[]).response(1, &[("grpc-status", "0")]);
    }),
    ("trailers-without-end", |it| {
        it.request(1, &[(":path", "/a.B/List")]).response(1, &[]).headers(ToClient, NONE, 1, &[("a", "b")]);
    }),
    ("status-missing", |it| {
        it.request(1, &[(":path", "/a.B/List")]).response(1, &[]).headers(ToClient, END_STREAM, 1, &[("a", "b")]);
    }),
    ("end-without-trailers", |it| {
        it.request(1, &[]).response(1, &[]).message(ToClient, END_STREAM, 1, &[]);
    }),
    ("data-before-headers", |it| {
        it.request(1, &[]).message(ToClient, NONE, 1, &[]);
    }),
    ("informational-end", |it| {
        it.request(1, &[]).headers(ToClient, END_STREAM, 1, &[(":status", "103")]);
    }),
    ("status-not-a-number", |it| ends(it, &[("grpc-status", "fine")])),
    ("status-leading-zero", |it| ends(it, &[("grpc-status", "05")])),
    ("status-unknown", |it| ends(it, &[("grpc-status", "17")])),
    ("message-not-encoded", |it| ends(it, &[("grpc-message", "ü")])),
    ("message-escape", |it| ends(it, &[("grpc-message", "100%")])),
    ("message-not-utf8", |it| ends(it, &[("grpc-message", "%FF")])),
    ("details-malformed", |it| ends(it, &[("grpc-status-details-bin", "_")])),
    ("details-differ", |it| ends(it, &[("grpc-status", "5"), ("grpc-status-details-bin", "CAM")])),
    ("status-beside-http-error", |it| {
        let headers = [(":status", "503"), ("content-type", "text/html"), ("grpc-status", "14")];
        it.request(1, &[]).headers(ToClient, END_STREAM, 1, &headers);
    }),
    ("pushback-malformed", |it| ends(it, &[("grpc-status", "14"), ("grpc-retry-pushback-ms", "soon")])),
    ("request-header-in-answer", |it| {
        it.request(1, &[]).response(1, &[("te", "trailers")]);
    }),
    ("message-truncated", |it| {
        it.request(1, &[(":path", "/a.B/Record")]).data(ToServer, END_STREAM, 1, &[0, 0, 0, 0, 2, 8]);
    }),
    ("length-doubtful", |it| {
        it.request(1, &[(":path", "/a.B/Record")]).message(ToServer, NONE, 1, &[8, 1]);
        it.data(ToServer, END_STREAM, 1, &[0, 0, 0, 0, 2, 8]);
    }),
    ("flag-reserved", |it| {
        it.request(1, &[]).data(ToServer, NONE, 1, &prefixed(2, &[]));
    }),
    ("compressed-without-encoding", |it| {
        it.request(1, &[]).data(ToServer, NONE, 1, &prefixed(1, &[1]));
    }),
    ("encoding-not-accepted", |it| {
        it.request(1, &[("grpc-accept-encoding", "deflate")]).response(1, &[("grpc-encoding", "gzip")]);
    }),
    ("compressed-broken", |it| {
        it.request(1, &[("grpc-encoding", "gzip")]).data(ToServer, NONE, 1, &prefixed(1, &[1, 2, 3]));
    }),
    ("message-undecodable", |it| {
        it.request(1, &[]).message(ToServer, NONE, 1, &[8]);
    }),
    ("message-large", |it| {
        it.window(ToClient, 0, 9 << 20).request(1, &[]).window(ToClient, 1, 9 << 20);
        let message = prefixed(0, &vec![0x3a; 5 << 20]);
        for chunk in message.chunks(16_384) {
            it.data(ToServer, NONE, 1, chunk);
        }
    }),
    ("two-requests", |it| {
        it.request(1, &[]).data(ToServer, NONE, 1, &[0; 10]);
    }),
    ("two-answers", |it| {
        it.request(1, &[]).response(1, &[]).data(ToClient, NONE, 1, &[0; 10]);
    }),
    ("no-request", |it| {
        it.request(1, &[]).data(ToServer, END_STREAM, 1, &[]);
    }),
    ("no-answer", |it| {
        it.request(1, &[]).response(1, &[]).trailers(1, &[]);
    }),
];

/// A streaming call that ends with these trailers.
fn ends(it: &mut Connection, trailers: &[(&str, &str)]) {
    it.request(1, &[(":path", "/a.B/List")]).message(ToServer, END_STREAM, 1, &[8, 1]).response(1, &[]);
    it.trailers(1, trailers);
}
