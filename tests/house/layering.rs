//! Tests the layering of the source: which module may use which, and the form of a file.
//!
//! ```text
//! programs/                a package of its own          the library's public API; its modules as PROGRAMS lists
//! barewire-build/          a package of its own          writes code for the library, and uses nothing of it
//! outer modules            the other modules of src/     the core's traits; another outer module only if OUTER_MODULES lists it
//! server  client           one connection, one call      never each other
//! call                     one RPC on one h2 stream
//! io                       the byte stream under HTTP/2
//! wire                     pure functions over bytes and header maps
//! status metadata protocol code method limits          plain types, each using those behind it
//! ```
//!
//! A module uses only the modules that [`CORE`], [`OUTER_MODULES`] and [`PROGRAMS`] list. The uses are read from its `use` lines and
//! from the paths in its code: `super` is followed, and a re-export of `lib.rs` counts as the module that it comes from. Comments,
//! strings and unit tests are left out. `circles.rs` checks that imports form no circle; the folders of the inspector have an order
//! of their own, in `stages.rs`. docs/ARCHITECTURE.md describes the same rules.

#[path = "layering/circles.rs"]
mod circles;
#[path = "layering/path.rs"]
mod path;
#[path = "layering/source.rs"]
mod source;
#[path = "layering/stages.rs"]
mod stages;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use source::{Source, Token, generator, library, programs};

/// The modules of the core from the lowest up, and the modules each may use: only earlier ones. An entry is the beginning of a
/// path.
const CORE: [(&str, &[&str]); 11] = [
    ("limits", &[]),
    ("method", &[]),
    ("code", &[]),
    ("protocol", &["code"]),
    ("metadata", &["protocol"]),
    ("status", &["code", "protocol", "metadata"]),
    ("wire", &["protocol", "metadata", "status"]),
    ("io", &["limits", "protocol::http2"]),
    ("call", &["limits", "metadata", "status", "wire", "io"]),
    ("server", &["limits", "method", "metadata", "status", "wire", "io", "call"]),
    ("client", &["limits", "method", "metadata", "status", "wire", "io", "call"]),
];

/// The outer modules that use other outer modules. Every outer module may use the core.
const OUTER_MODULES: [(&str, &[&str]); 3] = [
    // The inspector decompresses messages to show their contents.
    ("inspector", &["compression"]),
    // The properties also fuzz the code that decompresses messages, explains bytes and reads captures.
    ("properties", &["compression", "inspector"]),
    // The tests' client and server meet in memory.
    ("testing", &["transport"]),
];

/// The modules of the programs, and the others each may use. All may use the library's public API.
const PROGRAMS: [(&str, &[&str]); 8] = [
    ("cli", &[]),
    ("conformance", &[]),
    // The demonstration names the messages of a recorded call.
    ("demonstration", &["services"]),
    ("interop", &[]),
    // Serves health checks and the descriptors, until a signal.
    ("operator", &["cli", "services"]),
    ("services", &[]),
    // The program `barewire`, which uses nearly all of them.
    ("tool", &["cli", "demonstration", "services", "watch"]),
    // Shows the bytes of a program's connections if the environment variable is set.
    ("watch", &["cli", "services"]),
];

/// The only files that name h2, so that another engine could replace it.
const H2: [&str; 6] = [
    "src/call/answer.rs",
    "src/call/body.rs",
    "src/call/failure.rs",
    "src/call/send.rs",
    "src/server/connection.rs",
    "src/client/connection.rs",
];

/// The modules of bytes and plain types, and the words they must not use.
const PURE: [&str; 6] = ["code", "protocol", "metadata", "status", "method", "wire"];
const IMPURE: [&str; 5] = ["h2", "tokio", "prost", "async", "await"];

/// The modules in which a peer's bytes must not cause a panic, and the lints that forbid it at the top of `mod.rs`.
const PANIC_FREE: [&str; 3] = ["protocol", "wire", "call"];
const PANIC_LINTS: [&str; 4] = ["unwrap_used", "expect_used", "indexing_slicing", "panic"];

/// The most lines of a file.
const LONGEST_FILE: usize = 500;

#[test]
fn dependencies_point_down() {
    let sources = library();
    let exports = exports(sources);
    let modules: Vec<&str> = sources.iter().filter_map(Source::top_module).collect();
    assert!(sources.iter().map(|source| source.paths().len()).sum::<usize>() > 100, "paths are found");
    assert_rule(sources, |source| {
        let Some(module) = source.top_module() else { return Vec::new() };
        let mut wrong = source.paths();
        wrong.retain(|path| !may_use(module, &origin(path, &modules, &exports)));
        wrong.iter().map(|path| format!("{module} may not use crate::{}", path.join("::"))).collect()
    });
}

#[test]
fn program_modules_use_only_listed_modules() {
    let sources = programs();
    let modules: BTreeSet<&str> = sources.iter().filter_map(Source::top_module).collect();
    let listed: BTreeSet<&str> = PROGRAMS.iter().map(|(module, _)| *module).collect();
    assert_eq!(modules, listed, "PROGRAMS lists every module");
    assert_rule(sources, upward);
}

#[test]
fn programs_use_only_the_public_api() {
    assert_rule(programs(), around_the_api);
}

#[test]
fn features_gate_only_modules_and_re_exports() {
    assert_rule(library(), gated_by_feature);
    assert_rule(programs(), gated_by_feature);
    assert_rule(generator(), gated_by_feature);
}

#[test]
fn only_listed_files_name_h2() {
    assert_rule(programs(), |source| names(source, &["h2"]));
    assert_rule(generator(), |source| names(source, &["h2", "barewire"]));
    assert_rule(
        library(),
        |source| if H2.contains(&source.path.as_str()) { Vec::new() } else { names(source, &["h2"]) },
    );
}

#[test]
fn wire_and_plain_types_name_neither_h2_nor_tokio_nor_prost() {
    let is_pure = |source: &Source| source.top_module().is_some_and(|module| PURE.contains(&module));
    assert_rule(library(), |source| if is_pure(source) { names(source, &IMPURE) } else { Vec::new() });
}

#[test]
fn wire_and_call_deny_panics() {
    let sources = library();
    assert_rule(sources, |source| match source.top_module() {
        Some(module) if PANIC_FREE.contains(&module) => may_panic(source),
        _ => Vec::new(),
    });
    for module in PANIC_FREE {
        let path = format!("src/{module}/mod.rs");
        let top = sources.iter().find(|source| source.path == path).expect("a folder of the core has a mod.rs");
        assert!(denies_panics(top), "{path} does not deny {PANIC_LINTS:?}");
    }
}

#[test]
fn files_have_at_most_500_lines() {
    for sources in [library(), programs(), generator()] {
        assert_rule(sources, |source| match source.text.lines().count() {
            lines if lines > LONGEST_FILE => vec![format!("{lines} lines")],
            _ => Vec::new(),
        });
    }
}

#[test]
fn every_module_of_the_core_exists() {
    let sources = library();
    let modules: BTreeSet<&str> =
        sources.iter().filter_map(Source::top_module).filter(|module| is_core(module)).collect();
    assert_eq!(modules.len(), CORE.len(), "{modules:?}");
}

#[test]
fn core_modules_use_only_earlier_ones() {
    for (place, (module, uses)) in CORE.iter().enumerate() {
        for used in *uses {
            let first = used.split("::").next().expect("a path has a first name");
            assert!(CORE[..place].iter().any(|(before, _)| *before == first), "{module} → {used}");
        }
    }
}

/// Applies a rule to every file, and panics with all violations.
fn assert_rule(sources: &[Source], rule: impl Fn(&Source) -> Vec<String>) {
    let wrong: Vec<String> = sources
        .iter()
        .flat_map(|source| rule(source).into_iter().map(|what| format!("{}: {what}", source.path)))
        .collect();
    assert!(sources.len() >= 8, "the source files are found");
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

fn is_core(module: &str) -> bool {
    CORE.iter().any(|(name, _)| *name == module)
}

fn listed(table: &[(&str, &'static [&'static str])], module: &str) -> &'static [&'static str] {
    table.iter().find(|(name, _)| *name == module).map_or(&[], |(_, uses)| uses)
}

/// Returns true if a module may use this path from the root of the crate.
fn may_use(module: &str, path: &[String]) -> bool {
    let Some(other) = path.first() else { return false };
    let within = |entry: &&str| entry.split("::").eq(path.iter().take(entry.split("::").count()));
    match is_core(module) {
        _ if other == module => true,
        true => listed(&CORE, module).iter().any(within),
        false => is_core(other) || listed(&OUTER_MODULES, module).contains(&other.as_str()),
    }
}

/// Returns the paths that a file of the programs uses in modules that its own may not use.
fn upward(source: &Source) -> Vec<String> {
    let Some(module) = source.top_module() else { return Vec::new() };
    let may = |other: &str| other == module || listed(&PROGRAMS, module).contains(&other);
    let mut wrong = source.paths();
    wrong.retain(|path| !path.first().is_some_and(|other| may(other)));
    wrong.iter().map(|path| format!("{module} may not use crate::{}", path.join("::"))).collect()
}

/// Returns the places where a file of the programs uses an undocumented module of the library, or includes a file of another
/// folder.
fn around_the_api(source: &Source) -> Vec<String> {
    let paths = source.uses().into_iter().filter(|path| path.starts_with(&["barewire".into(), "properties".into()]));
    let hidden = paths.map(|path| format!("{} is not documented", path.join("::")));
    let files = source.text.lines().zip(1..).filter(|(line, _)| line.contains("\"../"));
    hidden.chain(files.map(|(_, line)| format!("line {line}: includes a file of another folder"))).collect()
}

/// Returns the names that `lib.rs` re-exports, each with its original path.
fn exports(sources: &[Source]) -> BTreeMap<String, Vec<String>> {
    let root = sources.iter().find(|source| source.path == "src/lib.rs").expect("a library has a lib.rs");
    let uses = root.uses();
    uses.into_iter().filter_map(|path| Some((path.last()?.clone(), path))).collect()
}

/// Returns the original path of a re-export of the crate's root; any other path unchanged.
fn origin(path: &[String], modules: &[&str], exports: &BTreeMap<String, Vec<String>>) -> Vec<String> {
    match path.first() {
        Some(first) if !modules.contains(&first.as_str()) => exports.get(first).cloned().unwrap_or_default(),
        _ => path.to_vec(),
    }
}

/// Returns the places where a feature gates anything other than a module or a re-export.
fn gated_by_feature(source: &Source) -> Vec<String> {
    let says_feature = |range: &Range<usize>| {
        range.clone().any(|place| source.word(place) == "feature" && source.word(place + 1) == "=")
    };
    let gates_module = |attribute: &Range<usize>| {
        let item = source.item(attribute);
        let item = [source.word(item), source.word(item + 1)];
        source.word(attribute.start + 2) == "cfg" && matches!(item, ["mod", _] | ["pub", "mod" | "use"])
    };
    let attributes = source.attributes.iter().filter(|attribute| !gates_module(attribute)).cloned();
    let macros = (0..source.tokens.len()).filter(|place| source.word(*place) == "cfg" && source.word(place + 1) == "!");
    attributes
        .chain(macros.map(|place| place..source.closing(place + 2)))
        .filter(says_feature)
        .map(|range| {
            format!("line {}: a feature gates more than a module or a re-export", source.tokens[range.start].line)
        })
        .collect()
}

/// Returns the places outside unit tests that contain one of these words.
fn names(source: &Source, words: &[&str]) -> Vec<String> {
    let named = source.product().filter(|token| words.contains(&token.text.as_str()));
    named.map(|token| format!("line {}: names {}", token.line, token.text)).collect()
}

/// Returns the places outside unit tests that can panic, or that allow a lint against panics.
fn may_panic(source: &Source) -> Vec<String> {
    let product: Vec<&Token> = source.product().collect();
    let calls = product.windows(3).filter(|window| {
        matches!(
            [&window[0].text, &window[1].text, &window[2].text].map(String::as_str),
            [".", "unwrap" | "expect" | "unwrap_err" | "expect_err", "("]
                | ["panic" | "unreachable" | "todo" | "unimplemented", "!", _]
        )
    });
    let mut wrong: Vec<String> = calls.map(|window| format!("line {}: may panic", window[0].line)).collect();
    for attribute in source.attributes.iter().filter(|attribute| source.is_product(attribute.start)) {
        let words = &source.tokens[attribute.clone()];
        let allows = words.iter().any(|token| ["allow", "expect", "warn"].contains(&token.text.as_str()));
        if allows && words.iter().any(|token| PANIC_LINTS.contains(&token.text.as_str())) {
            wrong.push(format!("line {}: allows what is denied", words[0].line));
        }
    }
    wrong
}

fn denies_panics(source: &Source) -> bool {
    source.attributes.iter().any(|attribute| {
        let says = |word: &str| source.tokens[attribute.clone()].iter().any(|token| token.text == word);
        (says("deny") || says("forbid")) && says("!") && PANIC_LINTS.iter().all(|lint| says(lint))
    })
}

/// Tests the checks themselves: code that they must refuse, and code that they must accept.
mod checker {
    use super::*;

    fn source(path: &str, text: &str) -> Source {
        Source::new(path, text)
    }

    fn uses(path: &str, text: &str) -> Vec<String> {
        let mut paths: Vec<String> = source(path, text).paths().iter().map(|path| path.join("::")).collect();
        paths.sort();
        paths
    }

    #[test]
    fn finds_every_way_to_name_a_module() {
        assert_eq!(
            uses("src/wire/a.rs", "use crate::call::{self, send::{Gone, Sending as S}, *};"),
            ["call", "call", "call::send::Gone", "call::send::Sending",]
        );
        assert_eq!(
            uses("src/wire/a.rs", "use super::error::E; use super::super::client;"),
            ["client", "wire::error::E"]
        );
        assert_eq!(uses("src/wire/mod.rs", "use super::io; use self::a::B;"), ["io", "wire::a::B"]);
        assert_eq!(uses("src/wire/mod.rs", "mod a { use super::B; } use super::call;"), ["call", "wire::B"]);
        assert_eq!(
            uses("src/wire/a.rs", "fn f() -> crate::server::Server { crate::transport::tcp() }"),
            ["server::Server", "transport::tcp",]
        );
        assert_eq!(uses("src/wire/a.rs", "macro_rules! m { () => { $crate::services::X } }"), ["services::X"]);
    }

    #[test]
    fn ignores_comments_strings_and_unit_tests() {
        let text = r##"
            //! crate::client
            /* crate::client /* nested */ crate::client */
            const A: &str = "use crate::client; \" crate::client";
            const B: &str = r#"crate::client " "#;
            const C: (char, char, &'static str) = ('"', '\'', "crate::client");
            use crate::status::Status;
            #[cfg(test)]
            mod tests { use crate::client::Client; fn f() { "}".len(); } }
        "##;
        assert_eq!(uses("src/wire/a.rs", text), ["status::Status"]);
        assert_eq!(source("src/wire/a.rs", text).product_lines(), 8);
    }

    #[test]
    fn refuses_uses_of_higher_or_equal_layers() {
        let path = |text: &str| text.split("::").map(str::to_owned).collect::<Vec<_>>();
        for (module, used) in [
            ("wire", "call"),
            ("wire", "io"),
            ("io", "wire"),
            ("metadata", "wire::request"),
            ("metadata", "status"),
            ("protocol", "status"),
            ("call", "server"),
            ("server", "client"),
            ("client", "server"),
            ("server", "transport::memory"),
            ("services", "inspector"),
        ] {
            assert!(!may_use(module, &path(used)), "{module} → {used}");
        }
        for (module, used) in
            [("metadata", "protocol::binary"), ("server", "call"), ("services", "client"), ("call", "call::send")]
        {
            assert!(may_use(module, &path(used)), "{module} → {used}");
        }
        assert!(!may_use("wire", &[]), "the whole crate");
    }

    #[test]
    fn refuses_upward_uses_and_private_items_in_the_programs() {
        for wrong in ["use crate::tool::names;", "use super::super::demonstration;", "use crate::{interop, cli};"] {
            assert_eq!(upward(&source("programs/src/watch/a.rs", wrong)).len(), 1, "{wrong}");
        }
        for right in ["use crate::cli::say; use super::file;", "use barewire::inspector::Frame;"] {
            assert_eq!(upward(&source("programs/src/watch/a.rs", right)), [""; 0], "{right}");
        }
        for wrong in ["use barewire::{Client, properties::text};", "#[path = \"../../src/limits.rs\"] mod limits;"] {
            assert_eq!(around_the_api(&source("programs/src/cli/a.rs", wrong)).len(), 1, "{wrong}");
        }
        assert_eq!(around_the_api(&source("programs/src/cli/a.rs", "use barewire::{Client, Server};")), [""; 0]);
    }

    #[test]
    fn finds_the_module_behind_a_re_export() {
        let sources = [source("src/lib.rs", "pub mod client; pub use client::{Client, call::Answer};")];
        let exports = exports(&sources);
        let origin = |name: &str| origin(&[name.to_owned()], &["client"], &exports).join("::");
        assert_eq!((origin("Client"), origin("Answer")), ("client::Client".into(), "client::call::Answer".into()));
        assert_eq!((origin("client"), origin("Elsewhere")), ("client".into(), String::new()));
    }

    #[test]
    fn refuses_features_inside_code() {
        for wrong in [
            "#[cfg(feature = \"a\")] fn f() {}",
            "#[cfg(not(feature = \"a\"))] use x::Y;",
            "fn f() { if cfg!(feature = \"a\") {} }",
            "#[cfg_attr(feature = \"a\", derive(Debug))] pub mod x;",
            "struct S { #[cfg(feature = \"a\")] field: u8 }",
        ] {
            assert_eq!(gated_by_feature(&source("src/a.rs", wrong)).len(), 1, "{wrong}");
        }
        for right in [
            "#[cfg(feature = \"a\")] mod x;",
            "#[cfg(any(test, feature = \"a\"))] #[doc(hidden)] pub mod x;",
            "#[cfg(feature = \"a\")] pub use x::Y;",
            "#[cfg(unix)] fn f() {} // #[cfg(feature = \"a\")]",
            "fn f() { let feature = 1; }",
        ] {
            assert_eq!(gated_by_feature(&source("src/a.rs", right)), [""; 0], "{right}");
        }
    }

    #[test]
    fn refuses_h2_async_and_panics_in_wire() {
        let engine = source("src/wire/a.rs", "use h2::Reason; async fn f(http2: u8) {}");
        assert_eq!(names(&engine, &IMPURE), ["line 1: names h2", "line 1: names async"]);
        for wrong in
            ["x.unwrap();", "x.expect(\"y\");", "panic!();", "unreachable!()", "#[allow(clippy::panic)] fn f() {}"]
        {
            assert_eq!(may_panic(&source("src/wire/a.rs", wrong)).len(), 1, "{wrong}");
        }
        let harmless = "x.unwrap_or(1); /* x.unwrap() */ #[cfg(test)] mod tests { fn f() { x.unwrap() } }";
        assert_eq!(may_panic(&source("src/wire/a.rs", harmless)), [""; 0]);
        let three = "#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic)]";
        assert!(!denies_panics(&source("src/wire/mod.rs", three)));
        let all = three.replace("panic", "panic, clippy::indexing_slicing");
        assert!(denies_panics(&source("src/wire/mod.rs", &all)));
        assert!(!denies_panics(&source("src/wire/mod.rs", &format!("// {all}"))));
    }
}
