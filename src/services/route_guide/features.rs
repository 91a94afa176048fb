//! The features of the route guide, their JSON, and the geometry of points on Earth.
//!
//! The JSON is an array of `{"location": {"latitude": 407838351, "longitude": -746143763}, "name": "Patriots Path"}`,
//! with angles in units of 1e-7 degrees. A missing key is 0 or "", except for the location, which is required; other
//! keys are ignored.

use std::collections::BTreeMap;
use std::f64::consts::PI;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use serde::Deserialize;

use super::messages::{Feature, Point, Rectangle};

/// The features a route guide knows, in the order of its data.
#[derive(Clone, Debug)]
pub struct Features {
    list: Arc<[Feature]>,
    /// The first feature at each latitude and longitude, by its position in `list`.
    positions: Arc<BTreeMap<(i32, i32), usize>>,
}

impl Features {
    /// Returns the hundred features of the gRPC project's example, which are part of this library.
    pub fn published() -> Features {
        static PUBLISHED: LazyLock<Features> = LazyLock::new(|| {
            let json = include_str!("../../../data/route_guide_db.json");
            // A test reads the compiled-in data, so this can't fail.
            Features::from_json(json).unwrap_or_else(|_| Features::new(Vec::new()))
        });
        PUBLISHED.clone()
    }

    /// Returns a guide to these features. If several have the same location, the first one is found there.
    pub fn new(features: Vec<Feature>) -> Features {
        let mut positions = BTreeMap::new();
        for (position, feature) in features.iter().enumerate() {
            let Point { latitude, longitude } = feature.location.unwrap_or_default();
            positions.entry((latitude, longitude)).or_insert(position);
        }
        Features { list: features.into(), positions: Arc::new(positions) }
    }

    /// Reads features from the text of a JSON file.
    ///
    /// # Errors
    ///
    /// [`LoadError`] with the line and the column of the error.
    pub fn from_json(json: &str) -> Result<Features, LoadError> {
        let entries: Vec<Entry> =
            serde_json::from_str(json).map_err(|error| LoadError { file: None, reason: error.to_string() })?;
        Ok(Features::new(entries.into_iter().map(Entry::into_feature).collect()))
    }

    /// Reads features from a JSON file.
    ///
    /// # Errors
    ///
    /// [`LoadError`] with the name of the file, and the line and the column if the JSON is invalid.
    pub fn from_file(file: impl AsRef<Path>) -> Result<Features, LoadError> {
        let file = file.as_ref();
        let named = |reason: String| LoadError { file: Some(file.to_owned()), reason };
        let json = std::fs::read(file).map_err(|error| named(error.to_string()))?;
        let json = String::from_utf8(json).map_err(|error| named(error.to_string()))?;
        Features::from_json(&json).map_err(|error| named(error.reason))
    }

    /// The features, in the order of the data.
    pub fn iter(&self) -> impl Iterator<Item = &Feature> {
        self.list.iter()
    }

    /// Returns the number of features.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Returns true if the list is empty.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Returns the feature at exactly this point, named or not.
    pub fn at(&self, point: Point) -> Option<&Feature> {
        self.positions.get(&(point.latitude, point.longitude)).and_then(|position| self.list.get(*position))
    }

    /// Returns the features inside a rectangle, borders included. Its corners may be any two diagonally opposite ones;
    /// a missing corner is (0, 0).
    pub fn within(&self, area: Rectangle) -> impl Iterator<Item = &Feature> {
        let (one, other) = (area.lo.unwrap_or_default(), area.hi.unwrap_or_default());
        let latitudes = one.latitude.min(other.latitude)..=one.latitude.max(other.latitude);
        let longitudes = one.longitude.min(other.longitude)..=one.longitude.max(other.longitude);
        self.list.iter().filter(move |feature| {
            let point = feature.location.unwrap_or_default();
            latitudes.contains(&point.latitude) && longitudes.contains(&point.longitude)
        })
    }
}

/// Returns the distance between two points along the surface in whole metres, rounded down.
///
/// The haversine formula on a sphere with a radius of 6,371,000 m. At most 20,015,086.
pub(super) fn distance(from: Point, to: Point) -> u32 {
    const EARTH_RADIUS: f64 = 6_371_000.0;
    let radians = |angle: i32| f64::from(angle) / 1e7 * PI / 180.0;
    let (from_latitude, to_latitude) = (radians(from.latitude), radians(to.latitude));
    let half_sine = |from: f64, to: f64| ((to - from) / 2.0).sin().powi(2);
    let square = half_sine(from_latitude, to_latitude)
        + from_latitude.cos() * to_latitude.cos() * half_sine(radians(from.longitude), radians(to.longitude));
    // Rounding can take the square for opposite points a little over 1, where the arcsine is undefined.
    let square = square.clamp(0.0, 1.0);
    (EARTH_RADIUS * 2.0 * square.sqrt().atan2((1.0 - square).sqrt())) as u32
}

/// The error of loading features.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadError {
    file: Option<PathBuf>,
    reason: String,
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.file {
            Some(file) => write!(f, "can't load features from {}: {}", file.display(), self.reason),
            None => write!(f, "can't load features: {}", self.reason),
        }
    }
}

impl std::error::Error for LoadError {}

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

#[cfg(test)]
mod tests {
    use super::*;

    fn point(latitude: i32, longitude: i32) -> Point {
        Point { latitude, longitude }
    }

    fn square() -> Features {
        Features::from_json(
            r#"[{"location": {"latitude": -10, "longitude": -10}, "name": "south-west"},
                {"location": {"latitude": -10, "longitude": 10}, "name": "south-east"},
                {"location": {"latitude": 10, "longitude": -10}},
                {"location": {"latitude": 10, "longitude": 10}, "name": "north-east", "colour": "red"},
                {"location": {}, "name": "centre"}]"#,
        )
        .unwrap()
    }

    fn names(features: &Features, lo: Option<Point>, hi: Option<Point>) -> Vec<String> {
        features.within(Rectangle { lo, hi }).map(|feature| feature.name.clone()).collect()
    }

    #[test]
    fn published_data_has_a_hundred_features() {
        let features = Features::published();
        assert_eq!((features.len(), features.is_empty()), (100, false));
        assert_eq!(features.iter().filter(|feature| feature.name.is_empty()).count(), 36);
        let found = features.at(point(409146138, -746188906)).unwrap();
        assert_eq!(found.name, "Berkshire Valley Management Area Trail, Jefferson, NJ, USA");
        assert_eq!(features.at(point(0, 0)), None);
    }

    #[test]
    fn rectangle_takes_corners_in_any_order_and_includes_its_borders() {
        let all = ["south-west", "south-east", "", "north-east", "centre"];
        let (north, south, east, west) = (10, -10, 10, -10);
        for (lo, hi) in [
            (point(south, west), point(north, east)),
            (point(north, east), point(south, west)),
            (point(north, west), point(south, east)),
            (point(south, east), point(north, west)),
        ] {
            assert_eq!(names(&square(), Some(lo), Some(hi)), all, "{lo:?} {hi:?}");
        }
        assert_eq!(names(&square(), Some(point(-9, -9)), Some(point(9, 9))), ["centre"]);
        assert_eq!(names(&square(), Some(point(10, 10)), Some(point(10, 10))), ["north-east"]);
        assert_eq!(names(&square(), Some(point(i32::MIN, i32::MIN)), Some(point(i32::MAX, i32::MAX))), all);
    }

    #[test]
    fn missing_corner_is_the_origin() {
        assert_eq!(names(&square(), Some(point(10, 10)), None), ["north-east", "centre"]);
        assert_eq!(names(&square(), None, Some(point(-10, 10))), ["south-east", "centre"]);
        assert_eq!(names(&square(), None, None), ["centre"]);
    }

    #[test]
    fn feature_without_a_name_is_found_at_its_point() {
        assert_eq!(square().at(point(10, -10)).unwrap().name, "");
        assert_eq!(square().at(point(10, -11)), None);
    }

    #[test]
    fn first_of_two_at_one_point_is_found() {
        let features = Features::from_json(r#"[{"location":{},"name":"a"},{"location":{},"name":"b"}]"#).unwrap();
        assert_eq!(features.at(point(0, 0)).unwrap().name, "a");
        assert_eq!(names(&features, None, None), ["a", "b"]);
    }

    #[test]
    fn distances_are_measured_on_a_sphere() {
        const QUARTER: i32 = 900_000_000;
        assert_eq!(distance(point(0, 0), point(0, 0)), 0);
        assert_eq!(distance(point(0, 0), point(10_000_000, 0)), 111_194, "a degree");
        assert_eq!(distance(point(0, 0), point(QUARTER, 0)), 10_007_543, "to the pole");
        assert_eq!(distance(point(-QUARTER, 0), point(QUARTER, 0)), 20_015_086, "from pole to pole");
        assert_eq!(distance(point(QUARTER, 5), point(QUARTER, -1_000_000_000)), 0, "around the pole");
        let (here, there) = (point(407838351, -746143763), point(408122808, -743999179));
        assert_eq!(distance(here, there), distance(there, here));
        assert_eq!(distance(here, there), 18_327);
    }

    #[test]
    fn distance_is_at_most_half_the_circumference() {
        let angles = [i32::MIN, -1_800_000_000, -900_000_000, -1, 0, 1, 450_000_001, 900_000_000, i32::MAX];
        let points = angles.map(|latitude| angles.map(|longitude| point(latitude, longitude)));
        for from in points.as_flattened() {
            for to in points.as_flattened() {
                assert!(distance(*from, *to) <= 20_015_086, "{from:?} {to:?}");
            }
        }
    }

    #[test]
    fn invalid_json_is_reported_with_its_place() {
        let error = |json: &str| Features::from_json(json).unwrap_err().to_string();
        assert_eq!(error(""), "can't load features: EOF while parsing a value at line 1 column 0");
        assert_eq!(error("[\n{\"name\": \"x\"}]"), "can't load features: missing field `location` at line 2 column 13");
        let large = "[{\"location\": {\"latitude\":\n 4294967296}}]";
        assert!(error(large).contains("line 2"), "{}", error(large));
        let missing = Features::from_file("no/such.json").unwrap_err().to_string();
        assert!(missing.starts_with("can't load features from no/such.json: "), "{missing}");
    }
}
