//! Draws windows over time as an SVG: a chart for each, with the waits shaded.

use std::time::Duration;

use super::flow::{Flow, WindowSeries};
use super::svg::Svg;
use crate::inspector::follow::stall::{Stall, StallEnd, UsedUp};
use crate::inspector::model::frame::Direction;
use crate::inspector::model::text;

/// The edges of the charts, their height, and their distance.
const LEFT: usize = 170;
const RIGHT: usize = 960;
const TOP: usize = 60;
const HEIGHT: usize = 70;
const STEP: usize = 110;

/// The most charts in one drawing; those of the connection come first.
const MOST: usize = 18;

/// The most waits without an end that are listed below the charts.
const LISTED: usize = 12;

impl Flow {
    /// Returns the windows over time as a self-contained SVG with light and dark colours.
    pub fn svg(&self) -> String {
        let count = self.series().count().min(MOST);
        let waits = self.listed();
        let mut svg = Svg::new(1_000, TOP + STEP * count + 30 + 36 * waits.len(), "Flow-control windows over time");
        svg.text(20, 26, "bold", "start", "Window for DATA in bytes, over time; shaded while a sender waited");
        let begin = self.series().flat_map(|series| series.points.first()).map(|point| point.time).min();
        let scale = Scale { begin: begin.unwrap_or_default(), end: self.last() };
        for (place, series) in self.series().take(MOST).enumerate() {
            self.chart(&mut svg, series, TOP + STEP * place, &scale);
        }
        let bottom = TOP + STEP * count;
        svg.text(LEFT, bottom, "dim", "start", &text::time(scale.begin));
        svg.text(RIGHT, bottom, "dim", "end", &text::time(scale.end));
        if let Some(more) = self.series().count().checked_sub(MOST).filter(|more| *more > 0) {
            svg.text(
                LEFT,
                bottom + 20,
                "dim",
                "start",
                &format!("{} not drawn", text::count(more as u64, "more window")),
            );
        }
        for (place, stall) in waits.iter().enumerate() {
            let line = bottom + 40 + 36 * place;
            svg.text(20, line, "warn", "start", &format!("◷ {stall}"));
            svg.text(36, line + 16, "dim", "start", &stall.details());
        }
        svg.finish()
    }

    /// Returns the waits to list: the longest of those that did not end with an open window.
    fn listed(&self) -> Vec<Stall> {
        let all = self.stalls().iter().copied().chain(self.waiting());
        let mut waits: Vec<_> = all.filter(|stall| stall.end != StallEnd::Opened).collect();
        waits.sort_by_key(|stall| std::cmp::Reverse(stall.waited));
        waits.truncate(LISTED);
        waits
    }

    fn chart(&self, svg: &mut Svg, series: &WindowSeries, top: usize, scale: &Scale) {
        let bottom = top + HEIGHT;
        let to_server = series.direction == Direction::ToServer;
        for stall in self.stalls().iter().copied().chain(self.waiting()) {
            let own = match stall.windows {
                UsedUp::Stream => series.stream == stall.stream,
                UsedUp::Connection => series.stream == 0,
                UsedUp::Both => series.stream == stall.stream || series.stream == 0,
            };
            if stall.direction == series.direction && own {
                let (from, to) = (scale.x(stall.begun), scale.x(stall.ended.unwrap_or(scale.end)));
                svg.rect("shade", [from, top, (to - from.min(to)).max(2), HEIGHT]);
            }
        }
        let name = if series.stream == 0 { "connection".to_owned() } else { format!("stream {}", series.stream) };
        svg.text(20, top + 14, "bold", "start", &name);
        svg.text(20, top + 32, "dim", "start", if to_server { "to the server" } else { "to the client" });
        svg.text(LEFT - 8, top + 10, "dim", "end", &series.largest.to_string());
        svg.text(LEFT - 8, bottom, "dim", "end", &series.smallest.min(0).to_string());
        svg.line("rule", [LEFT, bottom, RIGHT, bottom]);
        let floor = series.smallest.min(0);
        let span = (series.largest - floor).max(1);
        let y = |window: i64| {
            let filled = (i128::from(window - floor) * HEIGHT as i128 / i128::from(span)).clamp(0, HEIGHT as i128);
            bottom - filled as usize
        };
        let mut corners: Vec<(usize, usize)> = Vec::new();
        for point in &series.points {
            let x = scale.x(point.time);
            // Steps: a window keeps its value until a frame changes it.
            corners.extend(corners.last().map(|(_, before)| (x, *before)));
            corners.push((x, y(point.window)));
        }
        corners.extend(corners.last().map(|(_, last)| (RIGHT, *last)));
        svg.corners(if to_server { "out" } else { "in" }, true, &corners);
    }
}

/// Maps times to horizontal positions.
struct Scale {
    begin: Duration,
    end: Duration,
}

impl Scale {
    fn x(&self, time: Duration) -> usize {
        let span = self.end.saturating_sub(self.begin).as_nanos().max(1);
        let at = time.saturating_sub(self.begin).as_nanos().min(span);
        LEFT + (at * (RIGHT - LEFT) as u128 / span) as usize
    }
}
