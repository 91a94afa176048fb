//! Checks that the imports of the library, the programs and the generator form no circle.
//!
//! An arrow leads from a file to the file that defines an item it uses. Re-exports are followed: a `mod.rs` that only re-exports
//! its children's names does not use them, and a file that imports such a name from it uses the child.

use std::collections::{BTreeMap, BTreeSet};

use super::source::{Source, generator, library, programs};

/// Maps each file to the files that it uses.
pub(super) type Arrows<'a> = BTreeMap<&'a str, BTreeSet<&'a str>>;

#[test]
fn imports_form_no_circle() {
    for (sources, least) in [(library(), 500), (programs(), 100), (generator(), 10)] {
        assert_no_circles(&sources.iter().collect::<Vec<_>>(), least);
    }
}

/// Asserts that no file uses itself through others, and that at least `least` arrows were found.
fn assert_no_circles(files: &[&Source], least: usize) {
    let arrows = arrows(files);
    assert!(arrows.values().map(BTreeSet::len).sum::<usize>() >= least, "imports are found: {arrows:?}");
    let circles = circles(&arrows);
    assert!(circles.is_empty(), "the files of each of these groups use each other: {circles:#?}");
}

/// Returns which of these files each file uses.
pub(super) fn arrows<'a>(files: &[&'a Source]) -> Arrows<'a> {
    let modules: BTreeMap<Vec<String>, &str> =
        files.iter().map(|source| (source.module(), source.path.as_str())).collect();
    let exports: BTreeMap<Vec<String>, Vec<String>> = files.iter().flat_map(|source| handed_on(source)).collect();
    let file = |path: &[String]| {
        let path = origin(path, &exports);
        (0..=path.len()).rev().find_map(|length| modules.get(&path[..length]).copied())
    };
    let mut arrows: Arrows<'_> = BTreeMap::new();
    for source in files {
        let used = source.used().iter().filter_map(|path| file(path)).filter(|to| *to != source.path).collect();
        arrows.insert(&source.path, used);
    }
    arrows
}

/// Returns the names that a file re-exports, as paths, and their original paths.
fn handed_on(source: &Source) -> Vec<(Vec<String>, Vec<String>)> {
    let paths = source.re_exports().into_iter().flat_map(|(_, paths)| paths);
    let named = |path: Vec<String>| Some(([source.module(), vec![path.last()?.clone()]].concat(), path));
    paths.filter_map(named).collect()
}

/// Follows a path through re-exports to the definition of its name.
fn origin(path: &[String], exports: &BTreeMap<Vec<String>, Vec<String>>) -> Vec<String> {
    let step = |path: &[String]| {
        (1..=path.len()).find_map(|length| {
            let behind = exports.get(&path[..length])?;
            Some([behind, &path[length..]].concat())
        })
    };
    let mut path = path.to_vec();
    // A chain of re-exports is at most as long as their number.
    for _ in 0..exports.len() {
        match step(&path) {
            Some(next) if next != path => path = next,
            _ => break,
        }
    }
    path
}

/// Returns the groups of files in which arrows lead from each file to every other.
fn circles<'a>(arrows: &Arrows<'a>) -> Vec<Vec<&'a str>> {
    let reached: BTreeMap<&str, BTreeSet<&str>> = arrows.keys().map(|file| (*file, reached(file, arrows))).collect();
    let reaches = |from: &str, to: &str| reached.get(from).is_some_and(|files| files.contains(to));
    let groups: BTreeSet<Vec<&str>> = arrows
        .keys()
        .filter(|file| reaches(file, file))
        .map(|file| arrows.keys().copied().filter(|other| reaches(file, other) && reaches(other, file)).collect())
        .collect();
    groups.into_iter().collect()
}

fn reached<'a>(start: &'a str, arrows: &Arrows<'a>) -> BTreeSet<&'a str> {
    let (mut seen, mut next) = (BTreeSet::new(), vec![start]);
    while let Some(file) = next.pop() {
        let fresh = arrows.get(file).into_iter().flatten().filter(|to| seen.insert(**to));
        next.extend(fresh);
    }
    seen
}

/// Tests the check itself: files that it must refuse, and files that it must accept.
mod checker {
    use super::*;

    const TOP: &str = "src/m/mod.rs";
    const A: &str = "src/m/a.rs";
    const B: &str = "src/m/b.rs";
    const C: &str = "src/m/c.rs";

    fn found(texts: &[(&str, &str)]) -> Vec<Vec<String>> {
        let files: Vec<Source> = texts.iter().map(|(path, text)| Source::new(path, text)).collect();
        let arrows = arrows(&files.iter().collect::<Vec<_>>());
        circles(&arrows).iter().map(|files| files.iter().map(|file| (*file).to_owned()).collect()).collect()
    }

    #[test]
    fn finds_circles_of_two_or_more_files() {
        let two = [(A, "use super::b::B;"), (B, "use super::a::A;"), (C, "use super::a::A;")];
        assert_eq!(found(&two), [[A, B]]);
        let three = [(A, "use super::b::B;"), (B, "use super::c::C;"), (C, "fn f() { super::a::g() }")];
        assert_eq!(found(&three), [[A, B, C]]);
        let apart = [
            (A, "use super::b::B;"),
            (B, "use crate::m::a;"),
            (C, "use crate::n::N;"),
            ("src/n.rs", "use crate::m::c;"),
        ];
        assert_eq!(found(&apart), [vec![A, B], vec![C, "src/n.rs"]]);
        let none = [(A, "use super::b::B; use self::D;"), (B, "use super::c::C;"), (C, "mod a;")];
        assert_eq!(found(&none), [[""; 0]; 0]);
    }

    #[test]
    fn re_export_in_a_mod_file_is_not_a_use() {
        for used in ["mod a; fn f() { a::g() }", "mod a; use a::A;", "mod a; pub use a::A; struct N(A);"] {
            assert_eq!(found(&[(TOP, used), (A, "use super::N;")]), [[A, TOP]], "{used}");
        }
        for handed_on in
            ["mod a; pub use a::A;", "mod a; pub(crate) use a::{self, A}; struct N;", "mod N; pub use a::N;"]
        {
            assert_eq!(found(&[(TOP, handed_on), (A, "use super::N;")]), [[""; 0]; 0], "{handed_on}");
        }
    }

    #[test]
    fn follows_re_exports_to_the_file_behind_them() {
        let handed_on = "mod a; mod b; pub use a::A; pub use b::B;";
        assert_eq!(found(&[(TOP, handed_on), (A, "use super::B;"), (B, "use crate::m::A;")]), [[A, B]]);
        let root =
            [("src/lib.rs", "pub use m::A; mod m;"), (TOP, handed_on), (A, "use super::B;"), (B, "use crate::A;")];
        assert_eq!(found(&root), [[A, B]], "through two of them");
        assert_eq!(found(&[(TOP, handed_on), (A, ""), (B, "use crate::m::A;")]), [[""; 0]; 0]);
        let to_itself = "pub use self::A; pub use self::B::A as B;";
        assert_eq!(found(&[(TOP, to_itself), (A, "use super::A;")]), [[""; 0]; 0], "a re-export of itself ends");
    }

    #[test]
    fn ignores_unit_tests() {
        let texts = [(A, "use super::b::B;"), (B, "#[cfg(test)] mod tests { use crate::m::a::A; }")];
        assert_eq!(found(&texts), [[""; 0]; 0]);
    }
}
