//! Waits for windows: in `flow`, in `calls`, in the drawing, and as a note of the lint rules.

use std::time::Duration;

use super::connection::*;
use super::lint::found;
use super::views::check_svg;
use super::*;
use Direction::{ToClient, ToServer};

/// Fills a stream's window with one message, 65,535 bytes of `length` in all.
fn fill(connection: &mut Connection, stream: u32, length: usize) {
    let message = prefixed(0, &vec![0x3a; length]);
    for chunk in message[..65_535].chunks(16_384) {
        connection.data(ToClient, NONE, stream, chunk);
    }
}

fn listing(stream: u32) -> Connection {
    let mut connection = Connection::new();
    connection.request(stream, &[(":path", "/a.B/List")]).message(ToServer, END_STREAM, stream, &[]);
    connection.response(stream, &[]);
    connection
}

fn flow_of(connection: &mut Connection) -> Flow {
    let mut flow = Flow::new();
    connection.frames().iter().for_each(|frame| drop(flow.advance(frame)));
    flow
}

fn waits(flow: &Flow) -> Vec<String> {
    flow.stalls().iter().copied().chain(flow.waiting()).map(|stall| stall.to_string()).collect()
}

#[test]
fn flow_reports_which_side_waited_for_which_window() {
    let mut connection = listing(5);
    fill(&mut connection, 5, 70_000);
    // The stream has window again, the connection does not.
    connection.wait(10).window(ToServer, 5, 65_535);
    assert_eq!(
        waits(&flow_of(&mut connection)),
        ["stream 5 to the client still waits after 10 ms for the client's WINDOW_UPDATE of the connection"]
    );

    let mut connection = listing(5);
    connection.window(ToServer, 5, 1 << 20);
    fill(&mut connection, 5, 70_000);
    connection.wait(340).window(ToServer, 0, 65_535).data(ToClient, NONE, 5, &[0x3a; 100]);
    let flow = flow_of(&mut connection);
    assert_eq!(waits(&flow), ["stream 5 to the client waited 340 ms for the client's WINDOW_UPDATE of the connection"]);
    let stall = flow.stalls()[0];
    assert_eq!((stall.begun, stall.ended), (Duration::ZERO, Some(Duration::from_millis(340))));

    let mut connection = listing(5);
    connection.window(ToServer, 0, 1 << 20);
    fill(&mut connection, 5, 70_000);
    connection.wait(25).window(ToServer, 5, 1).data(ToClient, NONE, 5, &[0x3a]);
    connection.wait(25).window(ToServer, 5, 9_000).data(ToClient, NONE, 5, &[0x3a; 4_469]);
    let expected = "stream 5 to the client waited 25 ms for the client's WINDOW_UPDATE of the stream";
    assert_eq!(waits(&flow_of(&mut connection)), [expected, expected]);
}

#[test]
fn sender_without_data_is_not_reported_as_waiting() {
    // Whole messages filled the window, and the next one came much later.
    let mut connection = listing(1);
    connection.window(ToServer, 0, 1 << 20);
    fill(&mut connection, 1, 65_530);
    connection.wait(10).window(ToServer, 1, 65_535).wait(500).message(ToClient, NONE, 1, &[]);
    assert_eq!(waits(&flow_of(&mut connection)), [""; 0]);
    // The same, but the sender continues at once.
    let mut connection = listing(1);
    connection.window(ToServer, 0, 1 << 20);
    fill(&mut connection, 1, 65_530);
    connection.wait(10).window(ToServer, 1, 65_535).message(ToClient, NONE, 1, &[]);
    assert_eq!(waits(&flow_of(&mut connection)).len(), 1);
    // Trailers need no window.
    let mut connection = listing(1);
    fill(&mut connection, 1, 65_530);
    connection.wait(10).trailers(1, &[]);
    assert_eq!(waits(&flow_of(&mut connection)), [""; 0]);
}

#[test]
fn flow_control_is_drawn_as_text_and_svg() {
    let mut connection = listing(5);
    fill(&mut connection, 5, 70_000);
    connection.wait(340).window(ToServer, 0, 65_535).window(ToServer, 5, 65_535).data(
        ToClient,
        NONE,
        5,
        &[0x3a; 4_470],
    );
    let frames = connection.frames();
    let mut flow = Flow::new();
    let text: String = frames.iter().map(|frame| flow.push(frame)).collect::<String>() + &flow.finish();
    for expected in [
        "     0 ms      12  DATA           to client  connection         -16383 ░░░░░░░░░░░░            0\n",
        "   340 ms      14  WINDOW_UPDATE  to client  stream 5           +65535 ████████████        65535\n",
        "   340 ms  ◷ stream 5 to the client waited 340 ms for the client's WINDOW_UPDATE of both windows\n",
        "             since 0 ms (frame 12), after 65535 bytes of DATA; 4470 bytes of the message are left\n",
        "1 wait for windows, 340 ms in all\n",
    ] {
        assert!(text.contains(expected), "{expected}\n{text}");
    }
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    let svg = flow.svg();
    check_svg(&svg);
    assert_eq!(svg.matches("<polyline").count(), flow.series().count());
    assert_eq!(svg.matches("class=\"shade\"").count(), 2);
}

/// The lines of a view at the end of the recording, or of the connection, `wait` milliseconds after the last frame.
fn ends(connection: &mut Connection, name: &str, wait: u64, closed: bool) -> String {
    let frames = connection.frames();
    let mut view = view(name, &Connection::schema(), &PrintOptions::default()).unwrap();
    let mut shown: String = frames.iter().map(|frame| view.push(frame)).collect();
    view.until(frames.last().unwrap().time + Duration::from_millis(wait));
    shown += &if closed { view.finish() } else { view.leave() };
    shown
}

/// The findings about waits, at the end of the recording `wait` milliseconds after the last frame.
fn notes(connection: &mut Connection, wait: u64) -> Vec<String> {
    let frames = connection.frames();
    let mut lint = Lint::new(Connection::schema());
    let mut findings: Vec<_> = frames.iter().flat_map(|frame| lint.check(frame)).collect();
    lint.until(frames.last().unwrap().time + Duration::from_millis(wait));
    findings.extend(lint.finish());
    assert!(findings.iter().all(|finding| finding.severity == Severity::Note), "{findings:?}");
    findings.into_iter().map(|finding| finding.to_string()).collect()
}

/// The server has filled the window of the connection with a part of a message.
fn without_window_of_the_connection() -> Connection {
    let mut connection = listing(5);
    connection.window(ToServer, 5, 1 << 20).wait(7);
    fill(&mut connection, 5, 70_000);
    connection
}

#[test]
fn endless_wait_is_shown_in_every_view() {
    let sentence = "stream 5 to the client still waits after 5 s for the client's WINDOW_UPDATE of the connection";
    let details = "since 7 ms (frame 13), after 65535 bytes of DATA; 4470 bytes of the message are left";
    let shown = ends(&mut without_window_of_the_connection(), "flow", 5_000, false);
    assert!(shown.contains(&format!("   5.01 s  ◷ {sentence}\n             {details}\n")), "{shown}");
    assert!(
        shown.ends_with("1 wait for windows, 5 s in all; 1 of them without an open window at the end\n"),
        "{shown}"
    );
    let shown = ends(&mut without_window_of_the_connection(), "calls", 5_000, false);
    assert!(
        shown.contains(
            "  5.01 s so far  still waits after 5 s for the client's WINDOW_UPDATE on the connection  still open"
        ),
        "{shown}"
    );
    let shown = ends(&mut without_window_of_the_connection(), "calls", 5_000, true);
    assert!(
        shown.contains("  waited 5 s for the client's WINDOW_UPDATE on the connection  ended by the connection's end")
    );
    let shown = ends(&mut without_window_of_the_connection(), "flow", 5_000, true);
    assert!(shown.contains("of the message are left; until the connection's end\n"), "{shown}");
    assert_eq!(
        notes(&mut without_window_of_the_connection(), 5_000),
        [format!(
            "note  frame 13 client ◀── server  stream 5  bytes 0..9  window-wait: {sentence}: {details}  (RFC 9113, section \
             5.2.1; rule 57)"
        )]
    );
    assert_eq!(notes(&mut without_window_of_the_connection(), 900), [""; 0]);
    let mut flow = flow_of(&mut without_window_of_the_connection());
    flow.until(Duration::from_secs(6));
    let svg = flow.svg();
    check_svg(&svg);
    assert_eq!(svg.matches("class=\"shade\"").count(), 1);
    assert!(svg.contains("◷ stream 5 to the client still waits after 5.99 s"), "{svg}");
}

#[test]
fn whose_window_and_whose_turn() {
    let of = |script: fn(&mut Connection)| {
        let mut connection = Connection::new();
        script(&mut connection);
        let mut flow = flow_of(&mut connection);
        flow.until(Duration::from_secs(3));
        waits(&flow)
    };
    let client = "still waits after 3 s for the client's WINDOW_UPDATE of";
    let server = "still waits after 3 s for the server's WINDOW_UPDATE of";
    // The window of the stream, and both.
    let stream = of(|it| {
        it.request(5, &[(":path", "/a.B/List")]).message(ToServer, END_STREAM, 5, &[]).response(5, &[]);
        it.window(ToServer, 0, 1 << 20);
        fill(it, 5, 70_000);
    });
    assert_eq!(stream, [format!("stream 5 to the client {client} the stream")]);
    let both = of(|it| {
        it.request(5, &[(":path", "/a.B/List")]).message(ToServer, END_STREAM, 5, &[]).response(5, &[]);
        fill(it, 5, 70_000);
    });
    assert_eq!(both, [format!("stream 5 to the client {client} both windows")]);
    // To the server, with the prefix cut in two.
    let upwards = of(|it| {
        it.setting(ToClient, 4, 12).frame(ToServer, FrameType::SETTINGS, ACK, 0, &[]).request(1, &[]);
        it.message(ToServer, NONE, 1, &[8, 1]).data(ToServer, NONE, 1, &[0, 0, 0, 0, 9]);
        it.request(3, &[]).data(ToServer, NONE, 3, &[0, 0, 0, 0, 9]).data(ToServer, NONE, 3, &[7; 7]);
        it.request(7, &[]).message(ToServer, NONE, 7, &[8, 1]).data(ToServer, NONE, 7, &[0, 0, 0]);
        it.data(ToServer, NONE, 7, &[0, 9]);
    });
    let expected = [1, 3, 7].map(|stream| format!("stream {stream} to the server {server} the stream"));
    assert_eq!(upwards, expected);
    // The window becomes negative inside a message.
    let negative = of(|it| {
        it.request(1, &[]).data(ToServer, NONE, 1, &[0, 0, 0, 0, 99, 1]).setting(ToClient, 4, 3);
        it.frame(ToServer, FrameType::SETTINGS, ACK, 0, &[]);
    });
    assert_eq!(negative, [format!("stream 1 to the server {server} the stream")]);
    // Several streams share the window of the connection; the last one sends nothing at all.
    let several = of(|it| {
        for stream in [1, 3, 5] {
            it.request(stream, &[(":path", "/a.B/List")])
                .message(ToServer, END_STREAM, stream, &[])
                .response(stream, &[]);
        }
        it.window(ToServer, 1, 1 << 20).data(ToClient, NONE, 3, &[0, 0, 0, 0, 9, 1]).window(ToServer, 0, 6);
        fill(it, 1, 70_000);
    });
    assert_eq!(
        several,
        [
            format!("stream 1 to the client {client} the connection"),
            format!("stream 3 to the client {client} the connection"),
            "stream 5 to the client still has no window after 3 s without the client's WINDOW_UPDATE of the connection"
                .to_owned(),
        ]
    );
    // A window of 0 from the beginning, each way.
    let zero = of(|it| {
        it.setting(ToServer, 4, 0).frame(ToClient, FrameType::SETTINGS, ACK, 0, &[]);
        it.setting(ToClient, 4, 0).frame(ToServer, FrameType::SETTINGS, ACK, 0, &[]);
        it.request(1, &[]).response(1, &[]);
    });
    assert_eq!(
        zero,
        [
            "stream 1 to the server still has no window after 3 s without the server's WINDOW_UPDATE of the stream",
            "stream 1 to the client still has no window after 3 s without the client's WINDOW_UPDATE of the stream",
        ]
    );
}

#[test]
fn waits_that_end_otherwise_than_with_a_window() {
    let of = |script: fn(&mut Connection)| {
        let mut connection = without_window_of_the_connection();
        script(connection.wait(2_000));
        let flow = flow_of(&mut connection);
        assert_eq!(flow.waiting(), []);
        let [stall] = flow.stalls() else { panic!("{:?}", flow.stalls()) };
        assert_eq!((stall.waited, stall.sent, stall.unsent), (Duration::from_secs(2), 65_535, Unsent::Message(4_470)));
        stall.end
    };
    assert_eq!(
        of(|it| {
            it.reset(ToServer, 5, 8);
        }),
        StallEnd::Reset(ToServer)
    );
    assert_eq!(
        of(|it| {
            it.reset(ToClient, 5, 2);
        }),
        StallEnd::Reset(ToClient)
    );
    assert_eq!(
        of(|it| {
            it.trailers(5, &[("grpc-status", "4")]);
        }),
        StallEnd::GivenUp
    );
    assert_eq!(
        of(|it| {
            it.go_away(ToClient, 3, 0);
        }),
        StallEnd::GoAway
    );
    // The window opened, and the sender did not go on before the reset.
    assert_eq!(
        of(|it| {
            it.window(ToServer, 0, 9).wait(500).reset(ToServer, 5, 8);
        }),
        StallEnd::Opened
    );
    // The client waits until the server answers.
    let mut connection = Connection::new();
    connection.setting(ToClient, 4, 3).frame(ToServer, FrameType::SETTINGS, ACK, 0, &[]);
    connection.request(1, &[("grpc-timeout", "9S")]).data(ToServer, NONE, 1, &[0, 0, 0]).wait(70);
    connection.headers(ToClient, END_STREAM, 1, &[RESPONSE[0], RESPONSE[1], ("grpc-status", "8")]);
    connection.wait(9_000).reset(ToServer, 1, 8);
    let shown = ends(&mut connection, "calls", 0, true);
    assert!(
        shown.contains("  total 70 ms  waited 70 ms for the server's WINDOW_UPDATE on stream 1  RESOURCE_EXHAUSTED  "),
        "{shown}"
    );
    let mut connection = without_window_of_the_connection();
    let shown = ends(connection.wait(3_000).reset(ToServer, 5, 8), "calls", 0, true);
    assert!(
        shown.contains("  waited 3 s for the client's WINDOW_UPDATE on the connection  ended by the client's"),
        "{shown}"
    );
    let mut connection = without_window_of_the_connection();
    assert_eq!(notes(connection.wait(3_000).reset(ToServer, 5, 8), 0).len(), 1);
}

#[test]
fn window_at_zero_alone_is_not_a_wait() {
    let conversation = |script: fn(&mut Connection)| {
        let mut connection = Connection::new();
        connection.setting(ToClient, 4, 7).frame(ToServer, FrameType::SETTINGS, ACK, 0, &[]);
        connection.request(1, &[(":path", "/a.B/Chat")]);
        script(&mut connection);
        connection.wait(5_000).go_on();
        connection
    };
    let quiet: [fn(&mut Connection); 7] = [
        // The message ends where the window ends.
        |it| {
            it.message(ToServer, NONE, 1, &[8, 1]);
        },
        |it| {
            it.message(ToServer, END_STREAM, 1, &[8, 1]);
        },
        |it| {
            it.message(ToServer, NONE, 1, &[8, 1]).wait(50).data(ToServer, END_STREAM, 1, &[]);
        },
        |it| {
            it.message(ToServer, NONE, 1, &[8, 1]).reset(ToServer, 1, 8);
        },
        |it| {
            it.message(ToServer, NONE, 1, &[8, 1]).response(1, &[]).trailers(1, &[]);
        },
        |it| {
            it.message(ToServer, NONE, 1, &[8, 1]).go_away(ToClient, 0, 0);
        },
        // Late DATA of a stream that was reset begin nothing.
        |it| {
            it.reset(ToClient, 1, 8).data(ToServer, NONE, 1, &[0, 0, 0, 0, 9, 8, 1]);
        },
    ];
    for (at, script) in quiet.into_iter().enumerate() {
        assert_eq!(notes(&mut conversation(script), 5_000), [""; 0], "{at}");
        assert_eq!(waits(&flow_of(&mut conversation(script))), [""; 0], "{at}");
    }
}

#[test]
fn waits_of_what_is_not_grpc_are_not_certain() {
    let mut connection = Connection::new();
    connection.setting(ToServer, 4, 8).frame(ToClient, FrameType::SETTINGS, ACK, 0, &[]);
    connection.request(1, &[(":path", "/x.Y/Z"), ("content-type", "application/json")]);
    connection.data(ToServer, END_STREAM, 1, b"{}").response(1, &[("content-type", "application/json")]);
    connection.data(ToClient, NONE, 1, b"{\"a\": 12");
    let shown = ends(&mut connection, "flow", 1_000, false);
    assert!(
        shown.contains("◷ stream 1 to the client still has no window after 1 s without the client's WIN"),
        "{shown}"
    );
    assert!(
        shown.contains("8 bytes of DATA; the DATA are not gRPC, so whether more is to come is unknown\n"),
        "{shown}"
    );
    assert!(shown.ends_with("unknown\n1 stream had no window, and may have had more to send\n"));
}

#[test]
fn waits_are_not_guessed_from_a_part_of_a_recording() {
    // One direction alone, a gap, and a beginning that is missing.
    let mut one = Connection::bare();
    one.bytes(ToServer, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").setting(ToServer, 3, 9);
    one.request(1, &[]).data(ToServer, NONE, 1, &[0, 0, 1, 0x11, 0x70]);
    for _ in 0..5 {
        one.data(ToServer, NONE, 1, &[1; 15_000]);
    }
    let mut gap = listing(5);
    gap.lose(ToServer, 13);
    fill(&mut gap, 5, 70_000);
    for (connection, reason) in [
        (&mut one, "no frame of the server was recorded: its windows are unknown\n"),
        (&mut gap, "bytes were not recorded: windows are unknown after that\n"),
    ] {
        let shown = ends(connection, "flow", 5_000, false);
        assert!(shown.ends_with(&format!("{reason}no waits for windows were found\n")), "{shown}");
    }
    let frames = without_window_of_the_connection().frames();
    let mut flow = Flow::new();
    frames[4..].iter().for_each(|frame| drop(flow.advance(frame)));
    assert_eq!((flow.waiting(), flow.stalls()), (Vec::new(), &[][..]));
    assert_eq!(found(&frames[4..]), []);
}

#[test]
fn line_of_a_call_prefers_the_endless_wait() {
    let mut connection = without_window_of_the_connection();
    connection.wait(3_000).window(ToServer, 0, 4_000).data(ToClient, NONE, 5, &[7; 4_000]).wait(40).go_on();
    let shown = ends(&mut connection, "calls", 0, false);
    let expected = "still waits after 40 ms for the client's WINDOW_UPDATE on the connection (3.04 s in 2 waits)";
    assert!(shown.contains(expected), "{shown}");
}

#[test]
fn long_wait_is_noted_while_it_lasts() {
    let mut connection = without_window_of_the_connection();
    connection.wait(1_100).go_on().wait(5_000).window(ToServer, 0, 9_000).data(ToClient, NONE, 5, &[7; 4_470]).go_on();
    let mut lint = Lint::new(Connection::schema());
    let frames = connection.frames();
    let mut waits = |frame: &Frame| lint.check(frame).iter().any(|finding| finding.name == "window-wait");
    let at: Vec<_> = frames.iter().filter(|frame| waits(frame)).map(|frame| frame.time).collect();
    assert_eq!(at, [Duration::from_millis(1_107)], "once, and when the client has gone on");
    assert!(lint.finish().is_empty());
}
