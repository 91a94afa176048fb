//! The drawings: ladder, flow control, header compression.

use super::connection::*;
use super::*;
use Direction::{ToClient, ToServer};

fn slow_call() -> Connection {
    let mut connection = Connection::new();
    connection.request(1, &[]).message(ToServer, END_STREAM, 1, &[8, 42]).wait(340);
    connection.response(1, &[]).message(ToClient, NONE, 1, &[10, 2, b'h', b'i']).trailers(1, &[]);
    connection
}

#[test]
fn ladder_is_drawn_as_text() {
    let mut ladder = Ladder::of_stream(1);
    slow_call().frames().iter().for_each(|frame| ladder.add(frame));
    let text = ladder.text();
    let expected = "\
frame      time        gap  client                                                            server
    6      0 ms             │── HEADERS END_HEADERS: Request-Headers ─────────────────────────────▶│
                            │   /a.B/Get                                                           │
    7      0 ms             │── DATA END_STREAM: Length-Prefixed-Message, EOS ────────────────────▶│
                            │   a.Question, 2 bytes: number: 42                                    │
    8    340 ms    +340 ms  │◀─ HEADERS END_HEADERS: Response-Headers ─────────────────────────────│
    9    340 ms             │◀─ DATA: Length-Prefixed-Message ─────────────────────────────────────│
                            │   a.Answer, 4 bytes: text: \"hi\"                                      │
   10    340 ms             │◀─ HEADERS END_STREAM END_HEADERS: Trailers, grpc-status 0 OK ────────│
";
    assert_eq!(text, expected, "\n{text}");
    let mut all = slow_call().shown(&mut LadderText::default());
    assert_eq!(all.lines().count(), 1 + 8 + 5, "{all}");
    all.retain(|c| c != '\n');
    assert!(all.contains("[1] DATA END_STREAM"), "{all}");
}

#[test]
fn ladder_is_drawn_for_mermaid() {
    let mut connection = slow_call();
    connection.request(3, &[(":path", "/a;b#<script>\"/C")]);
    let mut ladder = Ladder::new();
    connection.frames().iter().for_each(|frame| ladder.add(frame));
    let mermaid = ladder.mermaid();
    assert!(mermaid.starts_with("sequenceDiagram\n    participant C as client\n"), "{mermaid}");
    assert!(mermaid.contains("    C->>S: 7. stream 1: DATA END_STREAM: Length-Prefixed-Message, EOS\n"), "{mermaid}");
    assert!(mermaid.contains("    Note right of S: a.Question, 2 bytes: number: 42\n"), "{mermaid}");
    assert!(mermaid.contains("    Note over C,S: 340 ms\n    S->>C: 8. stream 1: HEADERS"), "{mermaid}");
    assert!(mermaid.contains("    Note right of S: /a#59;b#35;#60;script#62;#34;/C\n"), "{mermaid}");
}

/// Checks that every element of the markup is closed, and that no text of the peer becomes an element.
pub(super) fn check_svg(svg: &str) {
    assert!(svg.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\"") && svg.ends_with("</svg>\n"));
    assert!(svg.contains("prefers-color-scheme:dark"));
    let mut open = Vec::new();
    for tag in svg.split('<').skip(1) {
        let (tag, _) = tag.split_once('>').expect("a tag ends");
        let name = tag.trim_end_matches('/').split_whitespace().next().unwrap();
        match name.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop(), Some(name)),
            None if tag.ends_with('/') => {}
            None => open.push(name),
        }
        assert!(
            ["svg", "title", "style", "rect", "line", "text", "polygon", "polyline"]
                .contains(&name.trim_start_matches('/')),
            "{name}"
        );
    }
    assert!(open.is_empty(), "{open:?}");
    assert!(!svg.contains("http://") || svg.matches("http://").count() == 1, "it needs nothing else");
}

#[test]
fn ladder_is_drawn_as_svg() {
    let mut connection = slow_call();
    connection.request(3, &[(":path", "/a.B/<script>&\"")]).data(ToServer, END_STREAM, 3, &[0, 0]);
    let mut ladder = Ladder::new();
    connection.frames().iter().for_each(|frame| ladder.add(frame));
    let svg = ladder.svg();
    check_svg(&svg);
    assert_eq!(svg.matches("<polygon").count(), ladder.steps().len());
    assert!(svg.contains("340 ms without a frame"));
    assert!(svg.contains("/a.B/&lt;script&gt;&amp;&quot;"));
    assert!(svg.contains("class=\"warn\""), "the message that is cut short is marked");
}

#[test]
fn limited_ladder_keeps_its_last_steps() {
    let mut ladder = Ladder::new().limited(3);
    slow_call().frames().iter().for_each(|frame| ladder.add(frame));
    assert_eq!((ladder.steps().len(), ladder.dropped()), (3, 7));
    assert!(ladder.steps().last().unwrap().label.starts_with("HEADERS END_STREAM"));
}

#[test]
fn windows_follow_settings_updates_and_padding() {
    let mut connection = Connection::new();
    connection.request(1, &[(":path", "/a.B/Record")]);
    connection.data(ToServer, PADDED, 1, &[&[3][..], &prefixed(0, &[8, 1]), &[0; 3]].concat());
    let last = |connection: &mut Connection, stream| {
        let mut flow = Flow::new();
        connection.frames().iter().for_each(|frame| drop(flow.advance(frame)));
        flow.series().find(|series| series.direction == ToServer && series.stream == stream).map(WindowSeries::window)
    };
    // Padding and its length count.
    assert_eq!(last(&mut connection, 0), Some(65_535 - 11));
    let script = |larger: u32, ack: bool| {
        let mut connection = Connection::new();
        connection.request(1, &[(":path", "/a.B/Record")]).setting(ToClient, 4, larger);
        if ack {
            connection.frame(ToServer, FrameType::SETTINGS, ACK, 0, &[]);
        }
        connection.message(ToServer, NONE, 1, &[8, 1]);
        last(&mut connection, 1).unwrap()
    };
    // A larger window counts at once, a smaller one from its acknowledgement, and the window can become negative.
    assert_eq!((script(100_000, false), script(100_000, true)), (100_000 - 7, 100_000 - 7));
    assert_eq!((script(5, false), script(5, true)), (65_535 - 7, 5 - 7));
}

#[test]
fn memory_of_the_flow_view_is_bounded() {
    let mut flow = Flow::new();
    let mut connection = Connection::new();
    for stream in 0..2_000 {
        connection.request(2 * stream + 1, &[]).message(ToServer, NONE, 2 * stream + 1, &[]);
        connection.window(ToClient, 0, 5);
    }
    connection.frames().iter().for_each(|frame| drop(flow.advance(frame)));
    assert!(flow.series().count() <= 256);
    assert!(flow.series().all(|series| series.points.len() <= 2_048));
    assert!(format!("{flow:?}").len() < 4_000_000);
}

#[test]
fn hpack_view_shows_the_cost_of_each_header_and_the_table() {
    let mut view = HpackView::new();
    let conversation = decode(route_guide(), &bytes_of(&GET_FEATURE));
    let blocks: Vec<_> = conversation.frames().filter_map(|frame| view.advance(frame)).collect();
    assert_eq!(blocks.len(), 3);
    let request = &blocks[0];
    assert_eq!((request.headers.len(), request.wire, request.table_limit), (7, 0x67, 4_096));
    assert_eq!(request.headers.iter().map(|header| header.wire).sum::<usize>(), request.wire);
    let method = &request.headers[0];
    assert_eq!((method.wire, method.plain, method.how.as_str()), (1, 3 + 7 + 4, "static 3"));
    assert_eq!((request.before.len(), request.after.len(), request.added().len()), (0, 5, 5));
    assert_eq!(request.after[0], TableEntry { name: "grpc-timeout".into(), value: "10S".into(), size: 47 });
    let text: String = conversation.frames().map(|frame| HpackView::push(&mut view, frame)).collect();
    assert!(text.contains("      + 62 grpc-timeout: 10S  47 bytes\n"), "{text}");
    assert!(text.contains("      1 of    14  :method: POST"), "{text}");
}

#[test]
fn evicted_entries_are_named() {
    let field = |name: &str, value: &str| {
        [&[0x40, name.len() as u8], name.as_bytes(), &[value.len() as u8], value.as_bytes()].concat()
    };
    let mut connection = Connection::new();
    // A table for two entries of 35 bytes.
    let first = [&[0x3f, 0x31][..], &field("a", "11"), &field("b", "22")].concat();
    connection.frame(ToServer, FrameType::HEADERS, END_HEADERS, 1, &first);
    connection.frame(ToServer, FrameType::HEADERS, NONE, 3, &field("c", "33")[..2]);
    connection.frame(ToServer, FrameType::CONTINUATION, END_HEADERS, 3, &[&field("c", "33")[2..], &[0xbe]].concat());
    let mut view = HpackView::new();
    let blocks: Vec<_> = connection.frames().iter().filter_map(|frame| view.advance(frame)).collect();
    let names = |entries: &[TableEntry]| entries.iter().map(|entry| entry.name.clone()).collect::<Vec<_>>();
    let second = &blocks[1];
    assert_eq!(
        (names(&second.before), names(&second.after)),
        (vec!["b".into(), "a".into()], vec!["c".into(), "b".into()])
    );
    assert_eq!((names(second.added()), names(second.evicted())), (vec!["c".to_owned()], vec!["a".to_owned()]));
    let text = second.text();
    assert!(text.contains("    table of 80: 2 entries, 70 bytes → 2 entries, 70 bytes\n"), "{text}");
    assert!(text.contains("      + 62 c: 33  35 bytes\n      - 63 a: 11  35 bytes\n"), "{text}");
    assert!(text.contains("      1 of     6  c: 33"), "{text}");
}

#[test]
fn views_do_not_judge_missing_bytes() {
    let pieces = bytes_of(&GET_FEATURE);
    let mut late = Conversation::joined_late(route_guide());
    pieces[3..].iter().for_each(|(direction, bytes)| late.push(*direction, bytes));
    let mut gap = Conversation::new(route_guide());
    pieces[..4].iter().for_each(|(direction, bytes)| gap.push(*direction, bytes));
    gap.lose(ToServer, 1_000);
    gap.lose(ToClient, 1_000);
    pieces[4..].iter().for_each(|(direction, bytes)| gap.push(*direction, bytes));
    for frames in [late.take_frames(), gap.take_frames()] {
        assert!(frames.len() > 5, "{frames:?}");
        let mut lint = Lint::new(route_guide());
        let findings: Vec<_> = frames.iter().flat_map(|frame| lint.check(frame)).collect();
        assert!(
            findings.iter().all(|finding| ["user-agent-missing", "cut-short"].contains(&finding.name)),
            "{findings:?}"
        );
        for name in VIEWS {
            let mut view = view(name, &route_guide(), &PrintOptions::default()).unwrap();
            frames.iter().for_each(|frame| drop(view.push(frame)));
            view.finish();
        }
    }
}

/// Shows frames in a view that gets their findings.
fn marked(name: &str, connection: &mut Connection) -> String {
    let mut lint = Lint::new(Connection::schema());
    let mut view = view(name, &Connection::schema(), &PrintOptions::default()).unwrap();
    let mut shown = String::new();
    for frame in connection.frames() {
        let findings = lint.check(&frame);
        shown.extend(findings.iter().filter(|finding| finding.frame == frame.number).map(|finding| view.mark(finding)));
        shown += &view.push(&frame);
        shown.extend(findings.iter().filter(|finding| finding.frame != frame.number).map(|finding| view.mark(finding)));
    }
    let late: String = lint.finish().iter().map(|finding| view.mark(finding)).collect();
    shown + &late + &view.finish()
}

#[test]
fn frames_and_calls_with_findings_are_marked() {
    let connection = || {
        let mut it = Connection::new();
        it.request(1, &[("te", ""), ("user-agent", "")]).message(ToServer, END_STREAM, 1, &[8, 1]);
        it.response(1, &[]).message(ToClient, END_STREAM, 1, &[10, 1, b'a']);
        // Found when the client goes on.
        it.window(ToClient, 3, 5).go_on();
        it
    };
    let shown = marked("lines", &mut connection());
    for expected in [
        "    te: trailers\n",
        "\n    ✗ error  bytes 0..9  te-missing: te: trailers is missing: a proxy may drop the trailers\n",
        "\n    · note  bytes 0..9  user-agent-missing: user-agent is missing\nframe 7 client ──▶ server  DATA",
        "\nframe 9 client ◀── server  DATA  stream 1  END_STREAM",
        "\n    ✗ error  bytes 0..9  end-without-trailers: A response must end with trailers, not with DATA.\n",
        "\n✗ error  frame 10 client ◀── server  stream 3  bytes 5..9  stream-never-opened: ",
    ] {
        assert_eq!(shown.contains(expected), expected != "    te: trailers\n", "{expected}: {shown}");
    }
    let shown = marked("hex", &mut connection());
    assert!(shown.contains("\n    ✗ error  bytes 0..9  te-missing: te: trailers is missing: a proxy"), "{shown}");
    assert!(
        shown.contains(
            "drop the trailers\n    · note  bytes 0..9  user-agent-missing: user-agent is missing\n\nframe 7"
        ),
        "{shown}"
    );
    let shown = marked("ladder", &mut connection());
    assert!(shown.contains("│   ✗ error  bytes 0..9  end-without-trailers: A response must end"), "{shown}");
    assert!(shown.contains("│ frame 10: ✗ error  bytes 5..9  stream-never-opened: DATA"), "{shown}");
    assert!(shown.lines().all(|line| line.chars().count() <= 100), "{shown}");
    let shown = marked("calls", &mut connection());
    assert!(
        shown.contains(
            "without trailers  ✗ 2 errors, 1 note: te-missing in frame 6, end-without-trailers in frame 9, \
             user-agent-missing in frame 6\n"
        ),
        "{shown}"
    );
    assert!(shown.ends_with("stream 3  ✗ 1 error: stream-never-opened in frame 10\n"), "{shown}");
    let mut ladder = Ladder::new();
    let frames = connection().frames();
    frames.iter().for_each(|frame| ladder.add(frame));
    super::lint::found(&frames).iter().for_each(|finding| ladder.mark(finding));
    assert!(ladder.svg().contains("✗ error  bytes 0..9  te-missing"));
}

#[test]
fn split_prefix_is_shown_where_it_ends() {
    let mut it = Connection::new();
    it.request(1, &[(":path", "/x.Y/Z")]).data(ToServer, NONE, 1, &[0, 0, 0]);
    let first = it.frames().pop().unwrap();
    let second = it.data(ToServer, NONE, 1, &[0, 3, 8, 1]).frames().pop().unwrap();
    let third = it.data(ToServer, END_STREAM, 1, &[8]).frames().pop().unwrap();
    let hex = |frame: &Frame| print_frame(frame, &PrintOptions::default());
    assert!(
        hex(&first).contains("     9  00 0000                  Length-Prefixed-Message  message 1: inside the prefix")
    );
    assert!(
        hex(&second).contains("     9  0003 08 01               Length-Prefixed-Message  message 1: bytes 0 to 2 of 3"),
        "{}",
        hex(&second)
    );
    assert!(!hex(&third).contains("uncompressed"), "{}", hex(&third));
    it.request(3, &[(":path", "/x.Y/Z")]).data(ToServer, NONE, 3, &[0, 0]).frames();
    let last = it.data(ToServer, NONE, 3, &[0, 0, 2, 8, 1]).frames().pop().unwrap();
    assert!(hex(&last).contains("Length-Prefixed-Message  uncompressed, 2 bytes (continued)"), "{}", hex(&last));
}

#[test]
fn findings_of_a_call_that_is_shown_come_later() {
    let mut it = Connection::new();
    it.unary(1).wait(2_000).go_on().reset(ToServer, 1, 0).go_on();
    let shown = marked("calls", &mut it);
    assert!(shown.contains("stream 1  ! found later: warning  frame 13 client ──▶ server  stream 1"), "{shown}");
}

#[test]
fn unchecked_rules_are_listed() {
    let summary = |connection: &mut Connection| {
        let mut lint = Lint::new(Connection::schema());
        connection.frames().iter().for_each(|frame| drop(lint.check(frame)));
        lint.finish();
        lint.summary()
    };
    let all = summary(Connection::new().unary(1).lose(ToServer, 70).request(3, &[(":path", "/x.Y/Z")]));
    assert_eq!(
        all,
        [
            "no violations found  (checked: 109 rules on 12 frames, 2 calls)",
            "not checked: what depends on 70 bytes that were not recorded, and on frames before them",
            "not checked: kind and messages of 1 call, whose method the schema lacks (/x.Y/Z): give it with --proto, \
             --descriptor-set or --reflection",
        ]
    );
    let mut one = Connection::bare();
    one.setting(ToClient, 5, 16_384).frame(ToClient, FrameType::PING, NONE, 0, &[1; 8]).data(ToClient, NONE, 7, &[0]);
    assert_eq!(
        summary(&mut one)[1..],
        [
            "not checked: what depends on the client: none of its frames was recorded",
            "not checked: 1 possible violation that the recording neither confirms nor refutes",
        ]
    );
    let mut late = Connection::bare();
    late.window(ToClient, 0, 9).bytes(ToServer, &[0x16, 3, 1, 2, 0, 1]);
    assert!(summary(&mut late).contains(&"not checked: TLS that was not decrypted".to_owned()));
}

#[test]
fn filtered_ladder_keeps_its_heading_and_computes_its_own_gaps() {
    let mut connection = slow_call();
    connection.request(3, &[]).wait(60).trailers(3, &[]);
    let mut view = LadderText::default();
    let steps: Vec<_> = connection.frames().iter().map(|frame| view.step(frame)).collect();
    let shown: String = steps.iter().filter(|step| step.stream == 3).map(|step| view.show(step)).collect();
    let lines: Vec<_> = shown.lines().collect();
    assert!(lines[0].starts_with("frame      time        gap  client"), "{shown}");
    assert!(lines[1].starts_with("   11    340 ms             │"), "{shown}");
    assert!(lines[3].starts_with("   12    400 ms     +60 ms  │"), "{shown}");
}

#[test]
fn undecodable_header_block_is_reported() {
    let mut connection = Connection::new();
    connection.frame(ToServer, FrameType::HEADERS, END_HEADERS, 1, &[0x82, 0x80]);
    let shown = connection.shown(&mut HpackView::new());
    assert!(shown.contains("1 header: 13 bytes plain, 2 on the wire, 84 % saved\n"), "{shown}");
    assert!(shown.contains("the rest can't be decoded"), "{shown}");
}

#[test]
fn every_view_has_a_name_and_shows_a_call() {
    for name in VIEWS {
        let mut view = view(name, &Connection::schema(), &PrintOptions::default()).unwrap();
        let shown = slow_call().shown(&mut *view);
        assert!(!shown.is_empty() && shown.ends_with('\n'), "{name}: {shown}");
    }
    assert!(view("picture", &Schema::new(), &PrintOptions::default()).is_none());
}
