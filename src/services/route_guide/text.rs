//! Formats events and messages as text, exactly as the client of the gRPC project's example prints them.
//!
//! Messages are in the text format of Protocol Buffers (<https://protobuf.dev/reference/protobuf/textformat-spec/>) on
//! one line: fields in the order of their numbers, without empty ones.

use std::fmt::{self, Write};

use super::client::Event;
use super::messages::{Feature, Point, Rectangle, RouteSummary};

impl fmt::Display for Event<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::Getting(point) => write!(f, "Getting feature for point ({}, {})", point.latitude, point.longitude),
            Event::Got(feature) => f.write_str(&feature_text(feature)),
            Event::Looking(area) => write!(f, "Looking for features within {}", rectangle_text(area)),
            Event::Listed(feature) => {
                let Point { latitude, longitude } = feature.location.unwrap_or_default();
                write!(f, "Feature: name: {}, point:({latitude}, {longitude})", quoted(&feature.name))
            }
            Event::Traversing(route) => write!(f, "Traversing {} points.", route.len()),
            Event::Summary(summary) => write!(f, "Route summary: {}", summary_text(summary)),
            Event::Noted(note) => {
                let Point { latitude, longitude } = note.location.unwrap_or_default();
                write!(f, "Got message {} at point({latitude}, {longitude})", printable(&note.message))
            }
        }
    }
}

fn feature_text(feature: &Feature) -> String {
    let name = (!feature.name.is_empty()).then(|| format!("name:{}", quoted(&feature.name)));
    fields([name, submessage("location", feature.location.as_ref().map(point_text))])
}

fn rectangle_text(area: &Rectangle) -> String {
    let corner = |name, corner: &Option<Point>| submessage(name, corner.as_ref().map(point_text));
    fields([corner("lo", &area.lo), corner("hi", &area.hi)])
}

fn point_text(point: &Point) -> String {
    fields([number("latitude", point.latitude), number("longitude", point.longitude)])
}

fn summary_text(summary: &RouteSummary) -> String {
    fields([
        number("point_count", summary.point_count),
        number("feature_count", summary.feature_count),
        number("distance", summary.distance),
        number("elapsed_time", summary.elapsed_time),
    ])
}

fn number(name: &str, value: i32) -> Option<String> {
    (value != 0).then(|| format!("{name}:{value}"))
}

fn submessage(name: &str, text: Option<String>) -> Option<String> {
    text.map(|text| format!("{name}:{{{text}}}"))
}

fn fields<const N: usize>(fields: [Option<String>; N]) -> String {
    fields.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// Returns a string literal.
fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c => push_printable(&mut quoted, c),
        }
    }
    quoted.push('"');
    quoted
}

/// Returns a peer's text with control characters escaped, which could move the cursor of a terminal.
fn printable(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    text.chars().for_each(|c| push_printable(&mut printable, c));
    printable
}

fn push_printable(text: &mut String, c: char) {
    match c {
        '\n' => text.push_str("\\n"),
        '\r' => text.push_str("\\r"),
        '\t' => text.push_str("\\t"),
        c if c.is_ascii_control() => {
            // Writing to a String can't fail.
            let _: fmt::Result = write!(text, "\\x{:02x}", u32::from(c));
        }
        c if c.is_control() => {
            let _: fmt::Result = write!(text, "\\u{:04x}", u32::from(c));
        }
        c => text.push(c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::route_guide::messages::RouteNote;

    fn point(latitude: i32, longitude: i32) -> Point {
        Point { latitude, longitude }
    }

    #[test]
    fn events_print_as_in_the_grpc_go_example() {
        let named = Feature { name: "A \"hill\"\n".to_owned(), location: Some(point(1, -2)) };
        let origin = Feature { name: String::new(), location: Some(point(0, 0)) };
        let area = Rectangle { lo: Some(point(3, 0)), hi: None };
        let summary = RouteSummary { point_count: 2, feature_count: 0, distance: 9, elapsed_time: 0 };
        let note = RouteNote { location: Some(point(0, 1)), message: "Über\u{1b}[2J".to_owned() };
        for (event, text) in [
            (Event::Getting(point(1, -2)), "Getting feature for point (1, -2)"),
            (Event::Got(&named), r#"name:"A \"hill\"\n" location:{latitude:1 longitude:-2}"#),
            (Event::Got(&origin), "location:{}"),
            (Event::Got(&Feature::default()), ""),
            (Event::Looking(area), "Looking for features within lo:{latitude:3}"),
            (Event::Listed(&named), r#"Feature: name: "A \"hill\"\n", point:(1, -2)"#),
            (Event::Listed(&origin), r#"Feature: name: "", point:(0, 0)"#),
            (Event::Traversing(&[point(0, 0); 3]), "Traversing 3 points."),
            (Event::Summary(&summary), "Route summary: point_count:2 distance:9"),
            (Event::Noted(&note), r"Got message Über\x1b[2J at point(0, 1)"),
        ] {
            assert_eq!(event.to_string(), text);
        }
    }
}
