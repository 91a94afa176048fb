//! The inspector by its stages: which of its folders may name which.
//!
//! ```text
//! model ◀─ decode ◀─ follow ◀─ lint ◀─ show        bytes, frames, calls, rules, words
//!   ▲        ▲
//! write    capture
//! ```

use std::collections::BTreeSet;

use super::source::{Source, tree};

/// The folders of the inspector, and which others each may use.
const STAGES: [(&str, &[&str]); 7] = [
    ("model", &[]),
    ("decode", &["model"]),
    ("follow", &["model", "decode"]),
    ("lint", &["model", "decode", "follow"]),
    ("show", &["model", "decode", "follow", "lint"]),
    ("capture", &["model", "decode"]),
    ("write", &["model"]),
];

/// How many names may stand at the top of the inspector, beside `mod.rs` and `tests/`.
const AT_THE_TOP: usize = 8;

#[test]
fn the_inspectors_folders_use_those_before_them() {
    let house = tree();
    super::hold(house, upward);
    let seen: BTreeSet<&str> = house.iter().filter_map(stage).collect();
    assert!(seen.len() <= AT_THE_TOP, "the top of the inspector: {seen:?}");
    let listed: BTreeSet<&str> = STAGES.iter().map(|(stage, _)| *stage).collect();
    assert_eq!(seen, listed, "every folder has its place among the stages");
}

/// The name at the top of the inspector under which a file stands.
fn stage(source: &Source) -> Option<&str> {
    let name = source.path.strip_prefix("src/inspector/")?.split('/').next()?.trim_end_matches(".rs");
    (!["mod", "tests"].contains(&name)).then_some(name)
}

/// What a file of a stage names that does not stand before it.
fn upward(source: &Source) -> Vec<String> {
    let Some(stage) = stage(source) else { return Vec::new() };
    let uses = STAGES.iter().find(|(name, _)| *name == stage).map_or(&[][..], |(_, uses)| uses);
    let may = |other: &str| other == stage || uses.contains(&other);
    let mut wrong = source.paths();
    wrong.retain(|path| {
        let [room, other @ ..] = path.as_slice() else { return true };
        room == "inspector" && !other.first().is_some_and(|other| may(other))
    });
    wrong.iter().map(|path| format!("{stage} may not use crate::{}", path.join("::"))).collect()
}

/// What must be refused, and what must not.
mod the_checker {
    use super::*;

    #[test]
    fn refuses_what_runs_up_and_what_goes_by_the_top() {
        for (path, wrong) in [
            ("src/inspector/model/a.rs", "use crate::inspector::decode::half::Half;"),
            ("src/inspector/decode/a.rs", "use super::super::follow::calls::Calls;"),
            ("src/inspector/follow/a.rs", "fn f() { crate::inspector::lint::g() }"),
            ("src/inspector/lint/a.rs", "use crate::inspector::show::view::View;"),
            ("src/inspector/show/a.rs", "use crate::inspector::{capture, model::frame};"),
            ("src/inspector/show/a.rs", "use crate::inspector::Frame;"),
            ("src/inspector/write/a.rs", "use crate::inspector::decode;"),
            ("src/inspector/new.rs", "use crate::inspector::model::frame::Frame;"),
        ] {
            assert_eq!(upward(&Source::new(path, wrong)).len(), 1, "{path}: {wrong}");
        }
        for (path, right) in [
            ("src/inspector/decode/a.rs", "use crate::inspector::model::frame::Frame; use super::half::Half;"),
            ("src/inspector/show/a.rs", "use crate::inspector::lint::Lint; use crate::wire::http2;"),
            ("src/inspector/mod.rs", "mod capture; pub use capture::read;"),
        ] {
            assert_eq!(upward(&Source::new(path, right)), [""; 0], "{path}: {right}");
        }
    }
}
