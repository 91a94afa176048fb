//! The four kinds of call, one of each on one in-memory connection, with all of their frames.

use super::document::chat;
use super::failure::Failure;
use super::recorded::{RECORDING_LIMIT, conversation, record};
use barewire::inspector::Frame;
use barewire::services::route_guide::messages::{Point, Rectangle};
use barewire::services::route_guide::{self, CALL_TIMEOUT, Features, Guide, RouteGuideClient};
use barewire::transport::memory;
use barewire::transport::record::Recording;
use barewire::transport::tap::Tap;
use barewire::{CallOptions, Client, Server, Status};

/// A call and its frames.
#[derive(Clone, Debug)]
pub struct RecordedCall {
    /// The name of the method.
    pub method: &'static str,
    /// The kind of call, in words.
    pub kind: &'static str,
    /// A sentence that tells what happens in the call.
    pub story: &'static str,
    /// The frames of the call in both directions, in order. Those of the first call include the start of the connection.
    pub frames: Vec<Frame>,
    /// The lines that the inspector's views print about it; empty for the four kinds.
    pub said: Vec<String>,
}

/// The method, kind and story of each call.
const CALLS: [(&str, &str, &str); 4] = [
    ("GetFeature", "unary", "One point goes to the server, and the feature at that point comes back."),
    ("ListFeatures", "server streaming", "One rectangle goes to the server, and each feature inside it comes back."),
    ("RecordRoute", "client streaming", "Three points go to the server, and a summary of the route comes back."),
    (
        "RouteChat",
        "bidirectional streaming",
        "Two notes are left at one place. Each is answered at once with all notes at that place.",
    ),
];

/// Makes one call of each of the route guide's four methods.
///
/// # Errors
///
/// [`Failure`] if one of the calls fails.
pub async fn four_kinds() -> Result<Vec<RecordedCall>, Failure> {
    let (listener, connector) = memory::pair();
    let server = Server::new(route_guide::router(Guide::new(Features::published())));
    let server = tokio::spawn(server.serve(listener));
    let recording = Recording::with_limit(RECORDING_LIMIT);
    let client = Client::connect(Tap::to(recording.clone()).around(connector)).await.map_err(Failure::Connect)?;
    let client = RouteGuideClient::new(client).with(CallOptions::new().timeout(CALL_TIMEOUT));

    let mut conversation = conversation();
    let mut seen = 0;
    let mut recorded = Vec::new();
    for (at, (method, kind, story)) in CALLS.into_iter().enumerate() {
        call(&client, at).await.map_err(|status| Failure::Call(format!("{method} failed: {status:#}")))?;
        let entries = recording.entries();
        record(&mut conversation, &entries[seen..]);
        seen = entries.len();
        recorded.push(RecordedCall { method, kind, story, frames: conversation.take_frames(), said: Vec::new() });
    }
    server.abort();
    Ok(recorded)
}

async fn call(client: &RouteGuideClient, at: usize) -> Result<(), Status> {
    let point = |latitude, longitude| Point { latitude, longitude };
    match at {
        0 => client.get_feature(point(409_146_138, -746_188_906)).await.map(drop),
        1 => {
            let (lo, hi) = (point(409_000_000, -746_500_000), point(409_500_000, -745_500_000));
            let mut features = client.list_features(Rectangle { lo: Some(lo), hi: Some(hi) }).await?;
            while features.recv().await?.is_some() {}
            Ok(())
        }
        2 => {
            let (mut points, summary) = client.record_route().await?;
            for (latitude, longitude) in
                [(409_146_138, -746_188_906), (410_248_224, -747_127_767), (407_838_351, -746_143_763)]
            {
                points.send(point(latitude, longitude)).await?;
            }
            points.finish().await?;
            summary.await.map(drop)
        }
        _ => chat(client).await,
    }
}
