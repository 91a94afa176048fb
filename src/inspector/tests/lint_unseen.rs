//! The rules report nothing that depends on uncaptured frames, or on frames that may have crossed on their way.

use super::connection::*;
use super::lint::{found, names};
use super::lint_cases::Case;
use super::*;
use Direction::{ToClient, ToServer};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The findings in a conversation that begins and ends correctly.
fn found_in(script: impl Fn(&mut Connection)) -> Vec<&'static str> {
    let mut connection = Connection::new();
    script(&mut connection);
    names(&found(&connection.go_on().frames()))
}

#[test]
fn one_captured_direction_gives_no_findings_about_the_other() {
    let mut server = Connection::bare();
    server.setting(ToClient, 5, 16_384).frame(ToClient, FrameType::SETTINGS, ACK, 0, &[]);
    server.response(1, &[]).message(ToClient, NONE, 1, &[]).window(ToClient, 3, 7).trailers(1, &[]);
    server.frame(ToClient, FrameType::PING, ACK, 0, &[1; 8]).reset(ToClient, 3, 0);
    server.data(ToClient, NONE, 1, &[0; 20_000]).frame(ToClient, FrameType::PING, NONE, 0, &[1; 8]);
    server.wait(30_000).frame(ToClient, FrameType::PING, NONE, 0, &[2; 8]).finish();
    assert_eq!(found(&server.frames()), []);

    let mut client = Connection::bare();
    client.bytes(ToServer, PREFACE).setting(ToServer, 3, 9).frame(ToServer, FrameType::SETTINGS, ACK, 0, &[]);
    client.request(1, &[(":path", "/a.B/Record"), ("grpc-timeout", "100m")]);
    (0..5).for_each(|_| {
        client.message(ToServer, NONE, 1, &[0x3a; 15_000]);
    });
    client.request(3, &[("key-bin", "\0raw ")]).wait(30_000).message(ToServer, END_STREAM, 1, &[]).finish();
    assert_eq!(found(&client.frames()), []);
}

#[test]
fn ping_intervals_are_not_checked_without_times() {
    let pings = |wait: u64| {
        found_in(move |it| {
            (0..4).for_each(|_| {
                it.wait(wait).ping(ToServer, [1; 8]);
            })
        })
    };
    assert_eq!(pings(0), [""; 0]);
    assert_eq!(pings(10), ["too-many-pings"]);
}

/// A missing packet of the client shows only after the server's response to it.
#[test]
fn gap_suppresses_findings_even_if_it_shows_late() {
    let mut it = Connection::new();
    it.unary(1).frame(ToClient, FrameType::PING, ACK, 0, &[7; 8]).window(ToClient, 3, 5).response(3, &[]);
    it.message(ToClient, NONE, 3, &[]).trailers(3, &[]).frame(ToClient, FrameType::SETTINGS, ACK, 0, &[]);
    it.lose(ToServer, 400).frame(ToServer, FrameType::PING, NONE, 0, &[8; 8]).window(ToServer, 0, 9);
    it.request(5, &[]).message(ToServer, END_STREAM, 5, &[8, 1]);
    it.response(5, &[]).message(ToClient, NONE, 5, &[]).trailers(5, &[]);
    assert_eq!(found(&it.go_on().frames()), []);

    let mut it = Connection::new();
    it.lose(ToServer, 400).frame(ToServer, FrameType::CONTINUATION, END_HEADERS, 1, &block(&[("a", "b")]));
    it.headers(ToServer, END_STREAM, 3, &[("trailer", "of a request that was lost")]).go_on();
    assert_eq!(found(&it.frames()), []);
}

#[test]
fn faults_before_and_beside_a_gap_are_reported() {
    let mut it = Connection::new();
    it.data(ToServer, NONE, 7, &[0; 5]).go_on().lose(ToServer, 9).go_on().request(9, &[("te", "")]).go_on();
    assert_eq!(names(&found(&it.frames())), ["stream-never-opened", "te-missing"]);
}

#[test]
fn filtered_frames_give_no_findings() {
    let mut it = Connection::new();
    let headers = block(&REQUEST);
    it.frame(ToServer, FrameType::HEADERS, NONE, 1, &headers[..40]);
    it.frame(ToServer, FrameType::CONTINUATION, END_HEADERS, 1, &headers[40..]);
    it.message(ToServer, END_STREAM, 1, &[8, 42]).response(1, &[]).message(ToClient, NONE, 1, &[]).trailers(1, &[]);
    let frames = it.unary(3).go_on().frames();
    for hidden in 0..=9 {
        let mut shown = frames.clone();
        shown.retain(|frame| frame.header().is_none_or(|header| header.kind != FrameType(hidden)));
        assert_eq!(found(&shown), [], "without {}", FrameType(hidden));
        shown = frames.clone();
        shown.retain(|frame| frame.header().is_some_and(|header| header.kind == FrameType(hidden)));
        assert_eq!(found(&shown), [], "only {}", FrameType(hidden));
    }
    let mut it = Connection::new();
    let mut shown = it.unary(1).request(3, &[("te", "")]).response(3, &[(":status", "500")]).go_on().frames();
    shown.retain(|frame| frame.stream() == 3);
    assert_eq!(names(&found(&shown)), ["te-missing", "http-status-not-200"]);
}

#[test]
fn missing_bytes_give_no_findings() {
    let mut it = Connection::bare();
    it.setting(ToClient, 5, 16_384).bytes(ToServer, &PREFACE[..20]).lose(ToServer, 13).frame(
        ToServer,
        FrameType::SETTINGS,
        ACK,
        0,
        &[],
    );
    it.go_on().bytes(ToClient, &[0, 0, 8, 6]).lose(ToClient, 13).go_on().bytes(ToServer, &[0, 0]).finish();
    assert_eq!(found(&it.frames()), []);
}

#[test]
fn raw_binary_metadata_is_reported_unless_the_peer_accepts_it() {
    let headers = |it: &mut Connection| {
        it.request(1, &[("key-bin", "\0a\nb, "), ("other-bin", "\0=")]);
    };
    assert_eq!(
        found_in(headers),
        ["value-illegal", "value-illegal", "value-padded", "binary-malformed", "binary-malformed", "binary-padded"]
    );
    let announced = |value: u32| {
        found_in(move |it| {
            headers(it.setting(ToClient, 0xfe03, value).frame(ToServer, FrameType::SETTINGS, ACK, 0, &[]))
        })
    };
    assert_eq!(announced(1), [""; 0]);
    assert_eq!(announced(0).len(), 6);
    let text = found_in(|it| {
        it.setting(ToClient, 0xfe03, 1).frame(ToServer, FrameType::SETTINGS, ACK, 0, &[]);
        it.request(1, &[("key", "\0a"), ("key-bin", "a\0")]);
    });
    assert_eq!(text, ["value-illegal", "value-illegal", "binary-malformed"]);
}

#[test]
fn messages_are_checked_as_protobuf_only_if_declared() {
    let sent = |path: &'static str, content_type: &'static str| {
        found_in(move |it| {
            it.request(1, &[(":path", path), ("content-type", content_type)]).message(ToServer, NONE, 1, &[0xff]);
        })
    };
    assert_eq!(sent("/x.Y/Z", "application/grpc"), [""; 0]);
    assert_eq!(sent("/x.Y/Z", "application/grpc+proto"), ["message-undecodable"]);
    assert_eq!(sent("/a.B/Get", "application/grpc"), ["message-undecodable"]);
    assert_eq!(sent("/a.B/Get", "application/grpc+json"), [""; 0]);
}

#[test]
fn crossing_frames_give_no_findings() {
    let crossing: [fn(&mut Connection); 18] = [
        |it| {
            it.request(1, &[]).reset(ToClient, 1, 0).reset(ToServer, 1, 8);
        },
        |it| {
            it.request(1, &[])
                .reset(ToServer, 1, 8)
                .wait(900)
                .headers(ToClient, END_STREAM, 1, &[RESPONSE[0], RESPONSE[1], ("grpc-status", "4")])
                .reset(ToClient, 1, 0);
        },
        |it| {
            it.unary(1).wait(900).reset(ToServer, 1, 8);
        },
        // The first call, which this PING ACK follows, was sent before.
        |it| {
            it.unary(1).frame(ToServer, FrameType::PING, NONE, 0, &[1; 8]).request(3, &[]).reset(ToServer, 3, 8);
            it.frame(ToClient, FrameType::PING, ACK, 0, &[1; 8]).reset(ToClient, 3, 8);
        },
        |it| {
            it.go_away(ToClient, 0, 0).request(1, &[]);
        },
        |it| {
            it.setting(ToClient, 6, 100).request(1, &[]).frame(ToServer, FrameType::SETTINGS, ACK, 0, &[]);
        },
        // An answer that was under way when the client reset its stream, whole and in parts.
        |it| {
            it.request(1, &[]).message(ToServer, END_STREAM, 1, &[8, 1]).reset(ToServer, 1, 8);
            it.response(1, &[]).message(ToClient, NONE, 1, &[10, 1, b'a']).trailers(1, &[]);
        },
        |it| {
            it.request(1, &[]).message(ToServer, END_STREAM, 1, &[8, 1]).response(1, &[]);
            it.data(ToClient, NONE, 1, &[0, 0, 0]).reset(ToServer, 1, 8);
            it.data(ToClient, NONE, 1, &[0, 3, 10, 1, b'a']).trailers(1, &[]);
        },
        // The rest of a request that was under way when the server reset the stream.
        |it| {
            it.request(1, &[(":path", "/a.B/Record")])
                .data(ToServer, NONE, 1, &[0, 0, 0, 0, 2, 8])
                .reset(ToClient, 1, 0);
            it.data(ToServer, NONE, 1, &[1, 0, 0]).data(ToServer, END_STREAM, 1, &[0, 0, 2, 8, 1]);
        },
        // Requests that cross a GOAWAY, with an error and without.
        |it| {
            it.request(1, &[]).go_away(ToClient, 1, 0).request(3, &[]).message(ToServer, END_STREAM, 3, &[8, 1]);
            it.response(1, &[]).message(ToClient, NONE, 1, &[]).trailers(1, &[]);
        },
        // More streams than SETTINGS that are not acknowledged allow, and after they were given up.
        |it| {
            it.setting(ToClient, 3, 1).request(1, &[]).request(3, &[]).frame(
                ToServer,
                FrameType::SETTINGS,
                ACK,
                0,
                &[],
            );
        },
        // DATA for a window that SETTINGS take away, and WINDOW_UPDATE of a server that has taken it away already.
        |it| {
            it.request(1, &[(":path", "/a.B/Record")]).setting(ToClient, 4, 0).message(ToServer, NONE, 1, &[8, 1]);
            it.frame(ToServer, FrameType::SETTINGS, ACK, 0, &[]);
        },
        |it| {
            it.setting(ToClient, 4, 0x7fff_ffff).frame(ToServer, FrameType::SETTINGS, ACK, 0, &[]);
            it.request(1, &[(":path", "/a.B/Record")]).setting(ToClient, 4, 10).window(ToClient, 1, 100_000);
            it.frame(ToServer, FrameType::SETTINGS, ACK, 0, &[]).message(ToServer, NONE, 1, &[0x10; 50]);
        },
        // A header block that uses a larger table than SETTINGS that are not acknowledged allow.
        |it| {
            it.setting(ToClient, 1, 0);
            let block = [&[0x3f, 0xe1, 0x1f][..], &block(&REQUEST)].concat();
            it.frame(ToServer, FrameType::HEADERS, END_HEADERS, 1, &block);
            it.frame(ToServer, FrameType::SETTINGS, ACK, 0, &[]);
        },
        // PINGs that cross an answer, which clears their count.
        |it| {
            it.request(1, &[(":path", "/a.B/List")]).message(ToServer, END_STREAM, 1, &[8, 1]);
            for _ in 0..3 {
                it.wait(1_000).ping(ToServer, [1; 8]);
            }
            it.wait(1_000).frame(ToServer, FrameType::PING, NONE, 0, &[2; 8]).response(1, &[]);
            it.frame(ToClient, FrameType::PING, ACK, 0, &[2; 8]);
        },
        // Trailers of the server that cross DATA of the client.
        |it| {
            it.request(1, &[(":path", "/a.B/Chat")]);
            it.headers(ToClient, END_STREAM, 1, &[RESPONSE[0], RESPONSE[1], ("grpc-status", "9")])
                .reset(ToClient, 1, 0);
            it.message(ToServer, NONE, 1, &[8, 1]).message(ToServer, END_STREAM, 1, &[8, 1]);
        },
        // Bytes take a second each way, as the acknowledgement shows.
        |it| {
            it.setting(ToServer, 3, 9).wait(2_000).frame(ToClient, FrameType::SETTINGS, ACK, 0, &[]);
            it.unary(1)
                .request(3, &[("grpc-timeout", "500m")])
                .wait(1_900)
                .reset(ToServer, 1, 8)
                .window(ToClient, 3, 9);
        },
        // A second reset is allowed if the peer goes on sending (RFC 9113, section 5.4.2).
        |it| {
            it.request(1, &[]).reset(ToClient, 1, 0).message(ToServer, NONE, 1, &[8, 1]).reset(ToClient, 1, 0);
        },
    ];
    for (at, script) in crossing.into_iter().enumerate() {
        assert_eq!(found_in(script), [""; 0], "{at}");
    }
    let proven: [Case; 5] = [
        ("reset-twice", |it| {
            it.request(1, &[]).reset(ToClient, 1, 0).reset(ToClient, 1, 8);
        }),
        ("reset-twice", |it| {
            it.request(1, &[]).reset(ToServer, 1, 8).wait(1_000).reset(ToClient, 1, 8);
        }),
        ("reset-twice", |it| {
            it.request(1, &[]).reset(ToClient, 1, 0).setting(ToClient, 3, 9);
            it.frame(ToServer, FrameType::SETTINGS, ACK, 0, &[]).reset(ToServer, 1, 8);
        }),
        // A server that answers the second call has read the reset before it.
        ("reset-twice", |it| {
            it.request(1, &[]).reset(ToServer, 1, 8).request(3, &[]).response(3, &[]).reset(ToClient, 1, 8);
        }),
        ("reset-after-end", |it| {
            it.unary(1).wait(1_000).reset(ToServer, 1, 8);
        }),
    ];
    for (name, script) in proven {
        assert_eq!(found_in(script), [name]);
    }
}

#[test]
fn data_that_cross_a_reset_are_messages_all_the_same() {
    let mut it = Connection::new();
    it.request(1, &[(":path", "/a.B/Record")]).data(ToServer, NONE, 1, &[0, 0, 0, 0, 2, 8]).reset(ToClient, 1, 8);
    it.data(ToServer, END_STREAM, 1, &[42]);
    it.request(3, &[]).message(ToServer, END_STREAM, 3, &[8, 1]).reset(ToServer, 3, 8);
    it.response(3, &[("grpc-encoding", "gzip")]).message(ToClient, NONE, 3, &[10, 1, b'a']).trailers(3, &[]);
    // What the side that reset the stream sends on it is not looked at.
    it.request(5, &[]).reset(ToServer, 5, 8).data(ToServer, NONE, 5, &[0, 0, 0, 0, 0]);
    let frames = it.frames();
    let of = |stream: u32| {
        frames
            .iter()
            .filter(move |frame| frame.stream() == stream)
            .flat_map(|frame| &frame.messages)
            .collect::<Vec<_>>()
    };
    assert_eq!((of(1).len(), of(3).len(), of(5).len()), (1, 2, 0));
    assert_eq!(of(3)[1].type_name.as_deref(), Some("a.Answer"));
    let late = frames.iter().rev().find(|frame| frame.stream() == 5).unwrap();
    assert!(lines(late).contains("DATA  stream 5  data  5 bytes"), "{}", lines(late));
}

#[test]
fn server_may_abandon_a_message_with_an_error() {
    let given_up = |status: &'static str| {
        found_in(move |it| {
            it.request(1, &[(":path", "/a.B/List")]).message(ToServer, END_STREAM, 1, &[8, 1]).response(1, &[]);
            it.data(ToClient, NONE, 1, &[0, 0, 0, 0, 9, 10]).trailers(1, &[("grpc-status", status)]);
        })
    };
    assert_eq!(given_up("4"), [""; 0]);
    assert_eq!(given_up("0"), ["message-truncated"]);
}

#[test]
fn broken_headers_do_not_cause_further_findings() {
    let broken = found_in(|it| {
        it.request(1, &[]).message(ToServer, END_STREAM, 1, &[8, 1]);
        it.frame(ToClient, FrameType::HEADERS, END_HEADERS, 1, &[0x80])
            .message(ToClient, NONE, 1, &[])
            .reset(ToClient, 1, 0);
    });
    assert_eq!(broken, ["header-block-broken"]);
}

#[test]
fn settings_that_are_never_acknowledged_bind_nobody() {
    let findings = found_in(|it| {
        it.setting(ToClient, 3, 1).setting(ToClient, 6, 50).setting(ToServer, 2, 0).wait(30_000).go_on();
        it.request(1, &[]).request(3, &[]).frame(ToClient, FrameType::PUSH_PROMISE, END_HEADERS, 1, &[0, 0, 0, 2]);
    });
    assert_eq!(findings, ["settings-not-acknowledged"; 2]);
}

#[test]
fn each_of_equal_pings_needs_an_ack() {
    let answers = |count: usize| {
        found_in(move |it| {
            (0..2).for_each(|_| {
                it.frame(ToClient, FrameType::PING, NONE, 0, &[1; 8]);
            });
            (0..count).for_each(|_| {
                it.frame(ToServer, FrameType::PING, ACK, 0, &[1; 8]);
            });
        })
    };
    assert_eq!(answers(2), [""; 0]);
    assert_eq!(answers(3), ["ping-answer-differs"]);
}

#[test]
fn invalid_headers_still_open_their_stream() {
    let broken = found_in(|it| {
        it.frame(ToServer, FrameType::HEADERS, END_HEADERS, 1, &[0x80]).data(ToServer, NONE, 1, &[0; 5]);
    });
    assert_eq!(broken, ["header-block-broken"]);
}

#[test]
fn not_http2_is_reported_once_for_each_direction() {
    let mut it = Connection::bare();
    (0..3).for_each(|_| {
        it.bytes(ToServer, b"GET / HTTP/1.1\r\n\r\n").bytes(ToClient, b"HTTP/1.1 200 OK\r\n\r\n");
    });
    assert_eq!(names(&found(&it.finish().frames())), ["not-http2"; 2]);

    let mut it = Connection::bare();
    // A TLS record whose third length byte is the type of SETTINGS.
    (0..3).for_each(|_| {
        it.bytes(ToServer, &[0x16, 3, 1, 2, 0, 1]).bytes(ToClient, &[0x16, 3, 3, 4, 0x7a, 2]);
    });
    assert_eq!(names(&found(&it.finish().frames())), ["tls-not-decrypted"; 2]);
}

#[test]
fn late_start_gives_no_findings_about_the_beginning() {
    let mut late = Conversation::joined_late(Connection::schema());
    let wire = |frames: &mut Connection| frames.frames().into_iter().flat_map(|frame| frame.bytes).collect::<Vec<_>>();
    let answer = wire(Connection::new().request(1, &[]).response(1, &[]).trailers(1, &[]));
    // The response to an earlier call, without the preface and the SETTINGS.
    let from = answer.windows(9).rposition(|head| head[3..] == [1, 4, 0, 0, 0, 1]).unwrap();
    late.push(ToClient, &answer[from..]);
    late.push(ToClient, &wire(Connection::bare().window(ToClient, 0, 5)));
    late.push(
        ToServer,
        &wire(Connection::bare().frame(ToServer, FrameType::SETTINGS, ACK, 0, &[]).window(ToServer, 0, 5)),
    );
    assert!(late.frames().len() > 2);
    assert_eq!(found(&late.take_frames()), []);
}
