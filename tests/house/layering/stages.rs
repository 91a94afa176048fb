//! Checks the stages of the inspector and of the program `barewire`: which of their folders may use which.
//!
//! ```text
//! model ◀─ decode ◀─ follow ◀─ lint ◀─ show        bytes, frames, calls, rules, text
//!   ▲        ▲
//! write    capture
//!
//! feed ◀─ flags ◀─ page ◀─ decode ◀─ tap replay tour
//! ```

use std::collections::BTreeSet;

use super::source::{Source, library, programs};

/// Folders, and the folders that each may use.
type Stages = [(&'static str, &'static [&'static str])];

/// The folders of the inspector.
const INSPECTOR: &Stages = &[
    ("model", &[]),
    ("decode", &["model"]),
    ("follow", &["model", "decode"]),
    ("lint", &["model", "decode", "follow"]),
    ("show", &["model", "decode", "follow", "lint"]),
    ("capture", &["model", "decode"]),
    ("write", &["model"]),
];

/// The folders of the program `barewire`, and the files that they share.
const TOOL: &Stages = &[
    ("feed", &[]),
    ("stdout", &[]),
    ("together", &[]),
    ("flags", &["feed"]),
    ("page", &["feed", "flags"]),
    ("decode", &["flags", "page", "stdout"]),
    ("replay", &["decode", "flags", "stdout", "together"]),
    ("tap", &["feed", "flags", "page", "together"]),
    ("tour", &["stdout", "together"]),
];

/// The most folders and files directly in the inspector, in addition to `mod.rs` and `tests/`.
const AT_THE_TOP: usize = 8;

#[test]
fn inspector_folders_use_only_listed_ones() {
    let seen = in_stages(library(), "src/inspector/", INSPECTOR);
    assert!(seen <= AT_THE_TOP, "{seen} names at the top of the inspector");
}

#[test]
fn command_folders_use_only_listed_ones() {
    in_stages(programs(), "programs/src/tool/", TOOL);
}

/// Asserts that the folders below this one use only the listed ones. Returns their number.
fn in_stages(sources: &[Source], folder: &str, stages: &Stages) -> usize {
    super::assert_rule(sources, |source| upward(source, folder, stages));
    let seen: BTreeSet<&str> = sources.iter().filter_map(|source| stage(source, folder)).collect();
    let listed: BTreeSet<&str> = stages.iter().map(|(stage, _)| *stage).collect();
    assert_eq!(seen, listed, "every folder has its place among the stages");
    seen.len()
}

/// Returns the name of the folder or file directly below `folder` that a file belongs to.
fn stage<'a>(source: &'a Source, folder: &str) -> Option<&'a str> {
    let name = source.path.strip_prefix(folder)?.split('/').next()?.trim_end_matches(".rs");
    (!["mod", "tests"].contains(&name)).then_some(name)
}

/// Returns the names that a file of a stage uses although its stage may not.
fn upward(source: &Source, folder: &str, stages: &Stages) -> Vec<String> {
    let Some(stage) = stage(source, folder) else { return Vec::new() };
    let whole = folder.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    let uses = stages.iter().find(|(name, _)| *name == stage).map_or(&[][..], |(_, uses)| uses);
    let may = |other: &str| other == stage || uses.contains(&other);
    let mut wrong = source.paths();
    wrong.retain(|path| {
        let [module, other @ ..] = path.as_slice() else { return true };
        module == whole && !other.first().is_some_and(|other| may(other))
    });
    wrong.iter().map(|path| format!("{stage} may not use crate::{}", path.join("::"))).collect()
}

/// Tests the check itself: code that it must refuse, and code that it must accept.
mod checker {
    use super::*;

    fn upward_in(path: &str, text: &str) -> Vec<String> {
        let (folder, stages) =
            if path.starts_with("src/") { ("src/inspector/", INSPECTOR) } else { ("programs/src/tool/", TOOL) };
        upward(&Source::new(path, text), folder, stages)
    }

    #[test]
    fn refuses_upward_uses_and_uses_of_the_top() {
        for (path, wrong) in [
            ("src/inspector/model/a.rs", "use crate::inspector::decode::half::Half;"),
            ("src/inspector/decode/a.rs", "use super::super::follow::calls::Calls;"),
            ("src/inspector/follow/a.rs", "fn f() { crate::inspector::lint::g() }"),
            ("src/inspector/lint/a.rs", "use crate::inspector::show::view::View;"),
            ("src/inspector/show/a.rs", "use crate::inspector::{capture, model::frame};"),
            ("src/inspector/show/a.rs", "use crate::inspector::Frame;"),
            ("src/inspector/write/a.rs", "use crate::inspector::decode;"),
            ("src/inspector/new.rs", "use crate::inspector::model::frame::Frame;"),
            ("programs/src/tool/flags/a.rs", "use super::super::page::told::LineWriter;"),
            ("programs/src/tool/page/a.rs", "use crate::tool::written;"),
        ] {
            let wrong = upward_in(path, wrong);
            assert_eq!(wrong.len(), 1, "{path}: {wrong:?}");
        }
        for (path, right) in [
            ("src/inspector/decode/a.rs", "use crate::inspector::model::frame::Frame; use super::half::Half;"),
            ("src/inspector/show/a.rs", "use crate::inspector::lint::Lint; use crate::wire::http2;"),
            ("src/inspector/mod.rs", "mod capture; pub use capture::read;"),
            ("programs/src/tool/flags/a.rs", "pub(in crate::tool) struct A; use crate::tool::feed::Feed;"),
        ] {
            assert_eq!(upward_in(path, right), [""; 0], "{path}: {right}");
        }
    }
}
