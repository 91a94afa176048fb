//! Summaries of calls, and filters over calls and frames.

use std::time::Duration;

use super::connection::*;
use super::lint_cases::Case;
use super::*;
use Direction::{ToClient, ToServer};

fn lines_of(connection: &mut Connection) -> Vec<String> {
    connection.shown(&mut CallLines::new(Connection::schema())).lines().map(str::to_owned).collect()
}

/// The end of the only line.
fn ending(connection: &mut Connection) -> String {
    let lines = lines_of(connection);
    let [line] = lines.as_slice() else { panic!("one call: {lines:?}") };
    line.split("  ").skip(5).collect::<Vec<_>>().join("  ")
}

#[test]
fn unary_call_is_summarised_in_one_line() {
    let mut connection = Connection::new();
    connection.wait(5).request(1, &[]).message(ToServer, END_STREAM, 1, &[8, 42]).wait(12).response(1, &[]);
    connection.wait(3).message(ToClient, NONE, 1, &[10, 2, b'h', b'i']);
    connection.trailers(1, &[("grpc-status", "5"), ("grpc-message", "no %C3%BC")]);
    assert_eq!(
        lines_of(&mut connection),
        [
            "stream 1  /a.B/Get  unary  ↑ 1 message, 168 bytes on the wire  ↓ 1 message, 119 bytes on the wire  first byte 12 ms  total 15 ms  \
          NOT_FOUND: no ü  ended by the server's trailers"
        ]
    );
}

#[test]
fn line_names_the_side_that_ended_the_call() {
    let call = |timeout: &str| {
        let mut connection = Connection::new();
        connection.request(1, &[("grpc-timeout", timeout)]).message(ToServer, END_STREAM, 1, &[]).wait(100);
        connection
    };
    assert_eq!(
        ending(call("").trailers(1, &[])),
        "first byte 100 ms  total 100 ms  OK  ended by the server's trailers"
    );
    assert_eq!(ending(call("").reset(ToServer, 1, 8)), "total 100 ms  ended by the client's RST_STREAM CANCEL");
    assert_eq!(ending(call("1S").reset(ToServer, 1, 8)), "total 100 ms  ended by the client's RST_STREAM CANCEL");
    assert_eq!(ending(call("99m").reset(ToServer, 1, 8)), "total 100 ms  ended by the client at its deadline of 99 ms");
    assert_eq!(ending(call("99m").reset(ToClient, 1, 8)), "total 100 ms  ended by the server's RST_STREAM CANCEL");
    assert_eq!(ending(call("").reset(ToClient, 1, 7)), "total 100 ms  ended by the server's RST_STREAM REFUSED_STREAM");
    assert_eq!(ending(call("").go_away(ToClient, 0, 0)), "total 100 ms  ended by the server's GOAWAY NO_ERROR");
    assert_eq!(ending(call("").go_away(ToClient, 1, 0)), "total 100 ms  ended by the connection's end");
    assert_eq!(
        ending(call("").go_away(ToClient, 1, 11)),
        "total 100 ms  ended by the server's GOAWAY ENHANCE_YOUR_CALM"
    );
    assert_eq!(ending(&mut call("")), "total 0 ms  ended by the connection's end");
    let html = [(":status", "502"), ("content-type", "text/html")];
    let mut foreign = call("");
    foreign.headers(ToClient, END_STREAM, 1, &html);
    assert_eq!(ending(&mut foreign), "first byte 100 ms  total 100 ms  HTTP 502  ended by a response that is not gRPC");
    let mut silent = call("");
    silent.response(1, &[]).headers(ToClient, END_STREAM, 1, &[("a", "b")]);
    assert_eq!(ending(&mut silent), "first byte 100 ms  total 100 ms  no grpc-status  ended by the server's trailers");
}

#[test]
fn how_a_response_ended() {
    let call = |script: fn(&mut Connection)| {
        let mut connection = Connection::new();
        connection.request(1, &[("grpc-timeout", "1S")]).message(ToServer, END_STREAM, 1, &[8, 1]).wait(990);
        script(&mut connection);
        let line = lines_of(&mut connection).join("\n");
        line.split_once("  total 990 ms  ").unwrap_or_else(|| panic!("{line}")).1.to_owned()
    };
    let cases: [Case; 9] = [
        ("OK  ended by the server's Trailers-Only", |it| {
            it.headers(ToClient, END_STREAM, 1, &[RESPONSE[0], RESPONSE[1], ("grpc-status", "0")]);
        }),
        ("no grpc-status  ended by the server's Trailers-Only", |it| {
            it.headers(ToClient, END_STREAM, 1, &RESPONSE);
        }),
        ("HTTP 503  ended by the server's Trailers-Only", |it| {
            it.headers(ToClient, END_STREAM, 1, &[(":status", "503"), RESPONSE[1]]);
        }),
        ("no grpc-status  ended by the server's END_STREAM on DATA, without trailers", |it| {
            it.response(1, &[]).message(ToClient, END_STREAM, 1, &[]);
        }),
        ("no grpc-status  ended by the server's END_STREAM on DATA, without trailers", |it| {
            it.headers(ToClient, NONE, 1, &[(":status", "103")]).response(1, &[]).data(ToClient, END_STREAM, 1, &[]);
        }),
        ("HTTP 200  ended by a response that is not gRPC", |it| {
            it.response(1, &[("content-type", "text/html")]).data(ToClient, END_STREAM, 1, b"no");
        }),
        ("status unknown  ended by headers of the server that could not be decoded", |it| {
            it.frame(ToClient, FrameType::HEADERS, END_HEADERS | END_STREAM, 1, &[0x80]);
        }),
        ("status unknown  ended by the server's trailers", |it| {
            it.response(1, &[]).frame(ToClient, FrameType::HEADERS, END_HEADERS | END_STREAM, 1, &[0x80]);
        }),
        // The reset left at the deadline, and was less long on its way than the request.
        ("ended by the client at its deadline of 1 s", |it| {
            it.response(1, &[]).reset(ToServer, 1, 8);
        }),
    ];
    for (expected, script) in cases {
        assert_eq!(call(script), expected);
    }
    let mut connection = Connection::new();
    connection.request(1, &[]).go_away(ToServer, 0, 1).wait(30);
    let line = lines_of(connection.go_on()).join("");
    assert!(
        line.ends_with("  total 30 ms  ended by the connection's end after the client's GOAWAY PROTOCOL_ERROR"),
        "{line}"
    );
}

#[test]
fn calls_that_the_connection_cuts_off_last_until_its_end() {
    let mut connection = Connection::new();
    connection.request(1, &[]).wait(10).request(3, &[(":path", "/a.B/Record")]);
    connection.wait(10).response(3, &[]).trailers(3, &[]).wait(10).go_on();
    let frames = connection.frames();
    let mut view = CallLines::new(Connection::schema());
    let shown: String = frames.iter().map(|frame| view.push(frame)).collect();
    view.until(Duration::from_secs(5));
    let lines = shown + &view.clone().finish();
    // In the order of their ends.
    let ends: Vec<_> = lines.lines().map(|line| line.split("  total ").nth(1).unwrap()).collect();
    assert_eq!(ends, ["10 ms  OK  ended by the server's trailers", "5 s  ended by the connection's end"]);
    let left = view.leave();
    assert!(left.ends_with("  5 s so far  still open when the recording ends\n"), "{left}");
}

#[test]
fn reset_after_the_trailers_does_not_change_the_outcome() {
    let mut connection = Connection::new();
    connection.request(1, &[(":path", "/a.B/Record")]).response(1, &[]).wait(7).trailers(1, &[]);
    let before = lines_of(&mut connection);
    assert!(before[0].ends_with("total 7 ms  OK  ended by the server's trailers"), "{before:?}");
    let mut connection = Connection::new();
    connection.request(1, &[(":path", "/a.B/Record")]).response(1, &[]).wait(7).trailers(1, &[]).wait(1);
    connection.reset(ToClient, 1, 0);
    assert!(lines_of(&mut connection)[0].ends_with("total 7 ms  OK  ended by the server's trailers"));
}

#[test]
fn kind_of_a_call_is_from_the_schema_or_guessed() {
    let mut connection = Connection::new();
    for (stream, path) in [(1, "/a.B/Chat"), (3, "/x.Y/Z"), (5, "/x.Y/Z"), (7, "/x.Y/Z"), (9, "/x.Y/Z")] {
        connection.request(stream, &[(":path", path)]).message(ToServer, NONE, stream, &[]).response(stream, &[]);
    }
    connection.message(ToServer, END_STREAM, 5, &[]).message(ToServer, NONE, 9, &[]);
    for stream in [7, 7, 9, 9] {
        connection.message(ToClient, NONE, stream, &[]);
    }
    let lines = lines_of(&mut connection);
    let kinds: Vec<_> = lines.iter().map(|line| line.split("  ").nth(2).unwrap()).collect();
    assert_eq!(
        kinds,
        ["bidi streaming", "kind unknown", "at least client streaming", "at least server streaming", "bidi streaming"]
    );
}

#[test]
fn calls_over_the_limit_are_dropped() {
    let mut connection = Connection::new();
    for stream in [1, 3, 5, 7] {
        connection.request(stream, &[]);
    }
    let mut calls = Calls::with_limit(Schema::new(), 2);
    let gone: Vec<_> = connection.frames().iter().flat_map(|frame| calls.advance(frame)).collect();
    assert_eq!(
        gone.iter().map(|call| (call.stream, call.end)).collect::<Vec<_>>(),
        [(1, CallEnd::Forgotten), (3, CallEnd::Forgotten)]
    );
    assert_eq!(calls.open().map(|call| call.stream).collect::<Vec<_>>(), [5, 7]);
}

/// Three calls beside each other: one succeeds, one fails, one stays open.
fn three_calls() -> Connection {
    let mut connection = Connection::new();
    connection.request(1, &[]).request(3, &[(":path", "/a.B/List")]).request(5, &[(":path", "/x.Y/Get")]);
    for stream in [1, 3, 5] {
        connection.message(ToServer, END_STREAM, stream, &[8, 1]);
    }
    connection.trailers(3, &[("grpc-status", "14")]).response(1, &[]).message(ToClient, NONE, 1, &[]).trailers(1, &[]);
    connection
}

/// The numbers of the frames that a filter shows.
fn passed(filter: &str) -> Vec<u64> {
    let mut sieve = Sieve::new(filter.parse().unwrap(), Connection::schema());
    let frames = three_calls().frames();
    let mut shown: Vec<_> = frames.into_iter().flat_map(|frame| sieve.push(frame)).collect();
    shown.extend(sieve.finish());
    assert_eq!(sieve.dropped_frames(), 0);
    shown.iter().map(|frame| frame.number).collect()
}

#[test]
fn frames_are_filtered_by_stream_method_status_and_type() {
    assert_eq!(passed(""), (1..=15).collect::<Vec<_>>());
    assert_eq!(passed("stream=3"), [7, 10, 12]);
    assert_eq!(passed("stream!=0,1,3"), [8, 11]);
    assert_eq!(passed("frame=HEADERS"), [6, 7, 8, 12, 13, 15]);
    assert_eq!(passed("frame!=HEADERS,DATA,SETTINGS"), [1]);
    assert_eq!(passed("method=/a.B/List"), [7, 10, 12]);
    assert_eq!(passed("method~Get"), [6, 8, 9, 11, 13, 14, 15]);
    assert_eq!(passed("method~Get frame=DATA stream=5"), [11]);
    // Frames of a call whose status matters are shown together when it has ended.
    assert_eq!(passed("status!=0"), [7, 10, 12, 8, 11]);
    assert_eq!(passed("status=UNAVAILABLE"), [7, 10, 12]);
    assert_eq!(passed("status=OK"), [6, 9, 13, 14, 15]);
    assert_eq!(passed("status=none"), [8, 11]);
}

#[test]
fn end_of_a_recording_leaves_the_call_open() {
    let mut view = CallLines::new(Connection::schema());
    three_calls().frames().iter().for_each(|frame| drop(view.push(frame)));
    let left = view.clone().leave();
    assert!(left.contains("stream 5") && left.ends_with("  still open when the recording ends\n"), "{left}");
    assert!(view.finish().ends_with("  ended by the connection's end\n"));
}

#[test]
fn calls_are_filtered() {
    let mut calls = Calls::new(Connection::schema());
    let frames = three_calls().frames();
    let mut ended: Vec<_> = frames.iter().flat_map(|frame| calls.advance(frame)).collect();
    ended.extend(calls.close(None));
    let shown = |filter: &str| {
        let filter: Filter = filter.parse().unwrap();
        ended.iter().filter(|call| filter.shows_call(call)).map(|call| call.stream).collect::<Vec<_>>()
    };
    assert_eq!(shown("status!=0"), [3, 5]);
    assert_eq!(shown("method~/a.B frame=PING"), [3, 1]);
    assert_eq!(shown("stream=1 status=14"), [0; 0]);
}

#[test]
fn filter_reports_open_calls_that_it_shows() {
    let frames = three_calls().frames();
    for (filter, expected) in [("stream=3", 7..=11), ("method~Get", 6..=15), ("status=14", 6..=15)] {
        let mut sieve = Sieve::new(filter.parse().unwrap(), Connection::schema());
        let open = frames.iter().filter(|frame| {
            sieve.push(Frame::clone(frame));
            sieve.has_open_calls()
        });
        assert_eq!(open.map(|frame| frame.number).collect::<Vec<_>>(), expected.collect::<Vec<_>>(), "{filter}");
    }
    let mut sieve = Sieve::new("stream=9".parse().unwrap(), Connection::schema());
    for frame in frames {
        sieve.push(frame);
        assert!(!sieve.has_open_calls());
    }
}

#[test]
fn frames_that_cross_the_end_of_their_call_pass_its_filter() {
    let mut it = Connection::new();
    it.request(1, &[]).request(3, &[(":path", "/a.B/List")]).reset(ToServer, 1, 8).reset(ToServer, 3, 8);
    let frames = it.response(1, &[]).message(ToClient, NONE, 1, &[]).trailers(1, &[]).response(3, &[]).frames();
    let mut sieve = Sieve::new("method=/a.B/Get".parse().unwrap(), Connection::schema());
    let shown: Vec<_> = frames.into_iter().flat_map(|frame| sieve.push(frame)).map(|frame| frame.number).collect();
    assert_eq!(shown, [6, 8, 10, 11, 12]);
}

#[test]
fn frames_waiting_for_a_status_are_bounded() {
    let limits = Limits { waiting: 4_000, ..Limits::default() };
    let mut sieve = Sieve::with_limits("status=0".parse().unwrap(), Schema::new(), &limits);
    let mut connection = Connection::new();
    connection.request(1, &[]).request(3, &[]);
    for _ in 0..100 {
        connection.message(ToServer, NONE, 1, &[8, 1]);
    }
    connection.trailers(3, &[]).data(ToServer, END_STREAM, 3, &[]);
    let shown: Vec<_> = connection.frames().into_iter().flat_map(|frame| sieve.push(frame)).collect();
    assert!(sieve.dropped_frames() > 0);
    assert!(shown.iter().all(|frame| frame.stream() == 3), "{shown:?}");
}
