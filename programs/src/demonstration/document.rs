//! `docs/wire-format.md`, which explains two calls byte by byte.

use super::failure::Failure;
use super::picture::picture;
use super::recorded::{RECORDING_LIMIT, conversation, record};
use barewire::inspector::{Frame, PrintOptions, print};
use barewire::services::route_guide::messages::{Point, RouteNote};
use barewire::services::route_guide::{self, CALL_TIMEOUT, Features, Guide, RouteGuideClient};
use barewire::transport::memory;
use barewire::transport::record::Recording;
use barewire::transport::tap::Tap;
use barewire::{CallOptions, Client, Server, Status};

const HEAD: &str = "\
# The wire format, byte by byte

This page shows two calls of the route guide as they went over a connection, from its first byte. `cargo run -- wire-format`
writes it from a run over the in-memory transport. A test compares the two, so the page is always up to date.

The columns are the offset in the frame, the bytes, their encoding and their meaning. A header block is encoded with HPACK
(RFC 7541): each field is an index into a table or a literal, and most literals are Huffman-coded.
";

const GET_FEATURE: &str = "
## GetFeature: a unary call

The connection begins with a preface from the client and SETTINGS from both sides. Then the client sends HEADERS and DATA, and
the server answers with HEADERS, DATA and HEADERS.
";

const ROUTE_CHAT: &str = "
## RouteChat: a bidirectional call

The client sends two notes for the same place. The server answers each note at once with all notes so far: one message for the
first, two for the second, which share a DATA frame. The headers are shorter than in the first call, because HPACK's table still
has its fields. The client half-closes with an empty DATA frame with END_STREAM, and the server sends the trailers.
";

/// Returns the text of the page.
///
/// # Errors
///
/// [`Failure`] if one of the calls fails.
pub async fn wire_format() -> Result<String, Failure> {
    let mut page = HEAD.to_owned();
    for (introduction, frames) in [GET_FEATURE, ROUTE_CHAT].into_iter().zip(two_calls().await?) {
        let bytes = print(&frames, &PrintOptions::default());
        page.extend([introduction, "\n```text\n", &bytes, "```\n"]);
    }
    Ok(page)
}

/// Draws the first call, from its messages on, as a terminal shows it: `docs/images/get-feature.svg`.
///
/// # Errors
///
/// [`Failure`] if one of the calls fails.
pub async fn wire_format_svg() -> Result<String, Failure> {
    let [get_feature, _] = two_calls().await?;
    let shown = get_feature.iter().filter(|frame| frame.stream() != 0);
    let bytes = print(shown, &PrintOptions { color: true, ..PrintOptions::default() });
    Ok(picture("GetFeature, byte by byte: barewire", &bytes))
}

/// Returns the frames of GetFeature, including the start of the connection, and those of RouteChat.
async fn two_calls() -> Result<[Vec<Frame>; 2], Failure> {
    let (listener, connector) = memory::pair();
    let server = Server::new(route_guide::router(Guide::new(Features::published())));
    let server = tokio::spawn(server.serve(listener));
    let recording = Recording::with_limit(RECORDING_LIMIT);
    let client = Client::connect(Tap::to(recording.clone()).around(connector)).await.map_err(Failure::Connect)?;
    let client = RouteGuideClient::new(client).with(CallOptions::new().timeout(CALL_TIMEOUT));

    let point = Point { latitude: 409_146_138, longitude: -746_188_906 };
    client.get_feature(point).await.map_err(|status| Failure::Call(status.to_string()))?;
    let unary = recording.entries().len();
    chat(&client).await.map_err(|status| Failure::Call(status.to_string()))?;
    server.abort();

    let entries = recording.entries();
    let mut conversation = conversation();
    Ok([&entries[..unary], &entries[unary..]].map(|entries| {
        record(&mut conversation, entries);
        conversation.take_frames()
    }))
}

pub(super) async fn chat(client: &RouteGuideClient) -> Result<(), Status> {
    let location = Some(Point { latitude: 0, longitude: 1 });
    let (mut notes, mut answers) = client.route_chat().await?;
    for (sent, message) in [(1, "First message"), (2, "Second message")] {
        notes.send(RouteNote { location, message: message.to_owned() }).await?;
        for _ in 0..sent {
            answers.recv().await?;
        }
    }
    notes.finish().await?;
    while answers.recv().await?.is_some() {}
    Ok(())
}
