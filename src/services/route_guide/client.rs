//! The client of the gRPC project's example: two GetFeature, a ListFeatures, a RecordRoute, a RouteChat.
//!
//! [`run`] reports its progress as [`Event`]s. Their text is the output of the example, word for word (`text.rs`); a
//! caller can also format the events itself.

use std::fmt;
use std::time::Duration;

use super::RouteGuideClient;
use super::messages::{Feature, Point, Rectangle, RouteNote, RouteSummary};
use crate::{CallOptions, Status};

/// The timeout of each call.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// A point with a feature, and one without.
const POINTS: [Point; 2] = [point(409_146_138, -746_188_906), point(0, 0)];

/// A step of the client, or a message that it received.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Event<'a> {
    /// The client requests the feature at this point.
    Getting(Point),
    /// The response to GetFeature.
    Got(&'a Feature),
    /// The client requests the features inside this rectangle.
    Looking(Rectangle),
    /// One of these features.
    Listed(&'a Feature),
    /// The client will send these points as a route.
    Traversing(&'a [Point]),
    /// The summary of the route.
    Summary(&'a RouteSummary),
    /// A note at a location where the client left one.
    Noted(&'a RouteNote),
}

/// Calls all four methods as the example does, and reports events to `hear`. The `seed` determines the points of the
/// route; everything else is constant. Each call has [`CALL_TIMEOUT`].
///
/// # Errors
///
/// Returns the first call that failed.
pub async fn run(client: &RouteGuideClient, seed: u64, mut hear: impl FnMut(Event<'_>)) -> Result<(), Failure> {
    let client = client.with(CallOptions::new().timeout(CALL_TIMEOUT));
    for point in POINTS {
        get_feature(&client, point, &mut hear).await.map_err(failure("GetFeature"))?;
    }
    list_features(&client, search_area(), &mut hear).await.map_err(failure("ListFeatures"))?;
    record_route(&client, random_route(seed), &mut hear).await.map_err(failure("RecordRoute"))?;
    route_chat(&client, chat_notes(), &mut hear).await.map_err(failure("RouteChat"))
}

async fn get_feature(client: &RouteGuideClient, point: Point, hear: &mut impl FnMut(Event<'_>)) -> Result<(), Status> {
    hear(Event::Getting(point));
    let feature = client.get_feature(point).await?;
    hear(Event::Got(&feature));
    Ok(())
}

async fn list_features(
    client: &RouteGuideClient,
    area: Rectangle,
    hear: &mut impl FnMut(Event<'_>),
) -> Result<(), Status> {
    hear(Event::Looking(area));
    let mut features = client.list_features(area).await?;
    while let Some(feature) = features.recv().await? {
        hear(Event::Listed(&feature));
    }
    Ok(())
}

async fn record_route(
    client: &RouteGuideClient,
    route: Vec<Point>,
    hear: &mut impl FnMut(Event<'_>),
) -> Result<(), Status> {
    hear(Event::Traversing(&route));
    let (mut points, summary) = client.record_route().await?;
    for point in route {
        points.send(point).await?;
    }
    points.finish().await?;
    hear(Event::Summary(&*summary.await?));
    Ok(())
}

/// Sends in a separate task, so that notes are received at the same time.
async fn route_chat(
    client: &RouteGuideClient,
    notes: [RouteNote; 6],
    hear: &mut impl FnMut(Event<'_>),
) -> Result<(), Status> {
    let (mut sent, mut received) = client.route_chat().await?;
    let sending = tokio::spawn(async move {
        for note in notes {
            sent.send(note).await?;
        }
        sent.finish().await
    });
    while let Some(note) = received.recv().await? {
        hear(Event::Noted(&note));
    }
    sending.await.map_err(|error| Status::internal(error.to_string()))?
}

/// The area whose features are listed.
fn search_area() -> Rectangle {
    Rectangle { lo: Some(point(400_000_000, -750_000_000)), hi: Some(point(420_000_000, -730_000_000)) }
}

/// Two notes at each of three locations.
fn chat_notes() -> [RouteNote; 6] {
    [("First", 1), ("Second", 2), ("Third", 3), ("Fourth", 1), ("Fifth", 2), ("Sixth", 3)].map(
        |(ordinal, longitude)| RouteNote { location: Some(point(0, longitude)), message: format!("{ordinal} message") },
    )
}

const fn point(latitude: i32, longitude: i32) -> Point {
    Point { latitude, longitude }
}

/// 2 to 101 points of whole degrees anywhere on Earth.
fn random_route(seed: u64) -> Vec<Point> {
    const DEGREE: i32 = 10_000_000;
    let mut random = Random(seed);
    let count = random.below(100) + 2;
    (0..count).map(|_| point((random.below(180) - 90) * DEGREE, (random.below(360) - 180) * DEGREE)).collect()
}

/// SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014): the same numbers for the
/// same seed on every machine. Not for secrets.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 to `end` - 1.
    fn below(&mut self, end: u32) -> i32 {
        (((self.next() >> 32) * u64::from(end)) >> 32) as i32
    }
}

/// A call that failed.
#[derive(Clone, Debug)]
pub struct Failure {
    method: &'static str,
    status: Status,
}

impl Failure {
    /// The name of the method.
    pub fn method(&self) -> &'static str {
        self.method
    }

    /// The status of the call.
    pub fn status(&self) -> &Status {
        &self.status
    }
}

fn failure(method: &'static str) -> impl FnOnce(Status) -> Failure {
    move |status| Failure { method, status }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "client.{} failed: ", self.method)?;
        self.status.fmt(f)
    }
}

impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_routes_have_whole_degrees_on_earth() {
        for seed in 0..1000 {
            let route = random_route(seed);
            assert!((2..=101).contains(&route.len()));
            for point in route {
                assert!(point.latitude % 10_000_000 == 0 && (-90..=89).contains(&(point.latitude / 10_000_000)));
                assert!(point.longitude % 10_000_000 == 0 && (-180..=179).contains(&(point.longitude / 10_000_000)));
            }
        }
    }

    #[test]
    fn route_depends_only_on_the_seed() {
        assert_eq!(random_route(7), random_route(7));
        assert_ne!(random_route(7), random_route(8));
    }

    #[test]
    fn random_numbers_equal_the_published_ones() {
        let mut random = Random(1_234_567);
        assert_eq!([random.next(), random.next()], [6_457_827_717_110_365_317, 3_203_168_211_198_807_973]);
    }
}
