//! The route guide's server, which responds like the one of the gRPC project's example.
//!
//! It differs where the example would crash or grow without bound: a missing point in a rectangle or a note is (0, 0),
//! distances do not overflow, and notes are bounded (`notes.rs`).

use tokio::time::Instant;

use super::features::{Features, distance};
use super::messages::{Feature, Point, Rectangle, RouteNote, RouteSummary};
use super::{Notes, RouteGuide};
use crate::{Inbound, Outbound, Request, Response, Status};

/// A guide with features to look up and notes that clients leave.
#[derive(Debug)]
pub struct Guide {
    features: Features,
    notes: Notes,
}

impl Guide {
    /// Returns a guide to these features, without notes.
    pub fn new(features: Features) -> Guide {
        Guide { features, notes: Notes::default() }
    }

    /// Replaces the notes, for example to set another limit than the default.
    #[must_use]
    pub fn with_notes(mut self, notes: Notes) -> Guide {
        self.notes = notes;
        self
    }
}

impl Default for Guide {
    /// Returns a guide to the published features.
    fn default() -> Guide {
        Guide::new(Features::published())
    }
}

impl RouteGuide for Guide {
    /// Returns the feature at exactly that point, or an unnamed feature at that location.
    async fn get_feature(&self, request: Request<Point>) -> Result<Response<Feature>, Status> {
        let point = request.into_message();
        let unnamed = || Feature { name: String::new(), location: Some(point) };
        Ok(self.features.at(point).cloned().unwrap_or_else(unnamed).into())
    }

    /// Sends the features inside the rectangle, in the order of the data.
    async fn list_features(&self, request: Request<Rectangle>, mut features: Outbound<Feature>) -> Result<(), Status> {
        for feature in self.features.within(request.into_message()) {
            features.send(feature).await?;
        }
        Ok(())
    }

    /// Counts the points and the points with a feature, named or not, and adds up the distances. The time is measured
    /// from the beginning of the call to the client's half-close.
    async fn record_route(&self, mut points: Inbound<Point>) -> Result<Response<RouteSummary>, Status> {
        let start = Instant::now();
        let (mut visited, mut known, mut metres) = (0_u64, 0_u64, 0_u64);
        let mut last = None;
        while let Some(point) = points.recv().await? {
            visited += 1;
            known += u64::from(self.features.at(point).is_some());
            metres += last.map_or(0, |last| u64::from(distance(last, point)));
            last = Some(point);
        }
        let summary = RouteSummary {
            point_count: saturating(visited),
            feature_count: saturating(known),
            distance: saturating(metres),
            elapsed_time: saturating(start.elapsed().as_secs()),
        };
        Ok(summary.into())
    }

    /// Responds to each note at once with all notes so far at its location, itself included, across calls and clients.
    async fn route_chat(&self, mut notes: Inbound<RouteNote>, mut answers: Outbound<RouteNote>) -> Result<(), Status> {
        while let Some(note) = notes.recv().await? {
            for answer in self.notes.leave(note) {
                answers.send(&*answer).await?;
            }
        }
        Ok(())
    }
}

/// Converts a count to the message's type; larger counts become the maximum.
fn saturating(count: u64) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn point_without_a_feature_gets_an_unnamed_one() {
        let guide = Guide::default();
        for point in [Point { latitude: 0, longitude: 0 }, Point { latitude: 409146138, longitude: -746188905 }] {
            let answer = guide.get_feature(Request::new(point)).await.unwrap();
            // At (0, 0) the location is empty on the wire, but must be present.
            assert_eq!(*answer.message(), Feature { name: String::new(), location: Some(point) });
        }
        let point = Point { latitude: 409146138, longitude: -746188906 };
        let found = guide.get_feature(Request::new(point)).await.unwrap();
        assert_eq!(found.name, "Berkshire Valley Management Area Trail, Jefferson, NJ, USA");
        assert_eq!(found.location, Some(point));
    }

    #[test]
    fn counts_saturate_at_i32_max() {
        assert_eq!(saturating(i32::MAX as u64), i32::MAX);
        assert_eq!(saturating(u64::from(u32::MAX)), i32::MAX);
        assert_eq!(saturating(7), 7);
    }
}
