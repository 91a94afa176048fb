//! The route guide of every Rust peer: the same messages, the same features, the same work in the handlers, so that only the
//! libraries differ.
//!
//! `bench.Blobs` adds answers and messages of a chosen size.

mod blobs;
mod messages;

pub use blobs::{Ask, Blob, zeros};
pub use messages::{Feature, Point, Rectangle, RouteNote, RouteSummary};

use std::collections::HashMap;
use std::f64::consts::PI;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use serde::Deserialize;

/// The number of places with notes at which the guide drops all notes. Small, so that the table stays in the cache: otherwise
/// filling and clearing it would be most of the cost of a RouteChat with 100,000 places.
const NOTES: usize = 1000;

/// The data, and the notes that clients left.
#[derive(Debug)]
pub struct Guide {
    features: Vec<Feature>,
    positions: HashMap<(i32, i32), usize>,
    notes: Mutex<HashMap<(i32, i32), Vec<RouteNote>>>,
}

impl Guide {
    /// The hundred features of gRPC's example, `repeat` times over, so that one ListFeatures streams 100 × `repeat` messages.
    ///
    /// # Errors
    ///
    /// If the data are not the published ones.
    pub fn published(repeat: usize) -> Result<Guide, serde_json::Error> {
        let json = include_str!("../../../../data/route_guide_db.json");
        let published: Vec<Feature> =
            serde_json::from_str::<Vec<Entry>>(json)?.into_iter().map(Entry::into_feature).collect();
        let features: Vec<Feature> = std::iter::repeat_n(published, repeat).flatten().collect();
        let mut positions = HashMap::new();
        for (position, feature) in features.iter().enumerate() {
            positions.entry(place(feature.location)).or_insert(position);
        }
        Ok(Guide { features, positions, notes: Mutex::default() })
    }

    /// GetFeature: the feature at this point, or one without a name.
    pub fn feature(&self, point: Point) -> Feature {
        let found = self.at(point).cloned();
        found.unwrap_or_else(|| Feature { name: String::new(), location: Some(point) })
    }

    /// ListFeatures: the features inside a rectangle.
    pub fn within(&self, area: Rectangle) -> impl Iterator<Item = &Feature> {
        let inside = Inside::new(area);
        self.features.iter().filter(move |feature| inside.has(feature))
    }

    /// RouteChat: stores the note, and returns all notes at its place.
    pub fn leave(&self, note: RouteNote) -> Vec<RouteNote> {
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        if notes.len() >= NOTES {
            notes.clear();
        }
        let here = notes.entry(place(note.location)).or_default();
        here.push(note);
        here.clone()
    }

    fn at(&self, point: Point) -> Option<&Feature> {
        self.positions.get(&place(Some(point))).and_then(|position| self.features.get(*position))
    }
}

/// The features inside a rectangle, for libraries whose streams own what they iterate.
#[derive(Debug)]
pub struct Within {
    guide: Arc<Guide>,
    inside: Inside,
    next: usize,
}

impl Within {
    /// Like [`Guide::within`], with a clone of each feature.
    pub fn new(guide: Arc<Guide>, area: Rectangle) -> Within {
        Within { guide, inside: Inside::new(area), next: 0 }
    }
}

impl Iterator for Within {
    type Item = Feature;

    fn next(&mut self) -> Option<Feature> {
        let rest = self.guide.features.get(self.next..)?;
        let found = rest.iter().position(|feature| self.inside.has(feature))?;
        self.next += found + 1;
        rest.get(found).cloned()
    }
}

/// RecordRoute: the summary of the points so far.
#[derive(Debug)]
pub struct Journey {
    begun: Instant,
    summary: RouteSummary,
    last: Option<Point>,
}

impl Journey {
    /// Creates an empty summary.
    #[expect(clippy::new_without_default, reason = "it begins at a time")]
    pub fn new() -> Journey {
        Journey { begun: Instant::now(), summary: RouteSummary::default(), last: None }
    }

    /// Adds a point.
    pub fn pass(&mut self, guide: &Guide, point: Point) {
        self.summary.point_count += 1;
        self.summary.feature_count += i32::from(guide.at(point).is_some());
        let leg = self.last.map_or(0, |last| distance(last, point));
        self.summary.distance = self.summary.distance.wrapping_add(leg);
        self.last = Some(point);
    }

    /// Returns the summary of the route.
    pub fn end(mut self) -> RouteSummary {
        self.summary.elapsed_time = self.begun.elapsed().as_secs() as i32;
        self.summary
    }
}

#[derive(Clone, Debug)]
struct Inside {
    latitudes: RangeInclusive<i32>,
    longitudes: RangeInclusive<i32>,
}

impl Inside {
    fn new(area: Rectangle) -> Inside {
        let (one, other) = (area.lo.unwrap_or_default(), area.hi.unwrap_or_default());
        Inside {
            latitudes: one.latitude.min(other.latitude)..=one.latitude.max(other.latitude),
            longitudes: one.longitude.min(other.longitude)..=one.longitude.max(other.longitude),
        }
    }

    fn has(&self, feature: &Feature) -> bool {
        let (latitude, longitude) = place(feature.location);
        self.latitudes.contains(&latitude) && self.longitudes.contains(&longitude)
    }
}

fn place(point: Option<Point>) -> (i32, i32) {
    point.map_or((0, 0), |point| (point.latitude, point.longitude))
}

/// Returns the distance along the surface in metres, by the haversine formula, as gRPC's example does.
fn distance(from: Point, to: Point) -> i32 {
    const EARTH_RADIUS: f64 = 6_371_000.0;
    let radians = |angle: i32| f64::from(angle) / 1e7 * PI / 180.0;
    let half_sine = |from: f64, to: f64| ((to - from) / 2.0).sin().powi(2);
    let (from_latitude, to_latitude) = (radians(from.latitude), radians(to.latitude));
    let square = half_sine(from_latitude, to_latitude)
        + from_latitude.cos() * to_latitude.cos() * half_sine(radians(from.longitude), radians(to.longitude));
    (EARTH_RADIUS * 2.0 * square.sqrt().atan2((1.0 - square).sqrt())) as i32
}

/// A feature in JSON.
#[derive(Deserialize)]
struct Entry {
    location: Location,
    #[serde(default)]
    name: String,
}

#[derive(Deserialize)]
struct Location {
    #[serde(default)]
    latitude: i32,
    #[serde(default)]
    longitude: i32,
}

impl Entry {
    fn into_feature(self) -> Feature {
        let Location { latitude, longitude } = self.location;
        Feature { name: self.name, location: Some(Point { latitude, longitude }) }
    }
}
