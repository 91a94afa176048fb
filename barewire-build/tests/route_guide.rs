//! Compares the route guide of the library, which is written by hand, with the code that is generated for its `.proto` file.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use proc_macro2::{Delimiter, Group, Spacing, TokenStream, TokenTree};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// The items of a service, by name, with the same spelling for both ways to write them.
type Items = BTreeMap<String, String>;

#[test]
fn handwritten_route_guide_equals_the_generated_one() {
    let handwritten = read(&Path::new(ROOT).join("src/services/route_guide/mod.rs"));
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("route_guide");
    fs::create_dir_all(&folder).expect("a folder can be made");
    let proto = Path::new(ROOT).join("proto");
    barewire_build::configure()
        .client(true)
        .server(true)
        .out_dir(&folder)
        .compile(&[proto.join("routeguide/route_guide.proto")], &[&proto])
        .expect("it compiles");
    let generated = read(&folder.join("routeguide.rs"));

    let mut handwritten = items(handwritten);
    // The handwritten module also has the messages, and names of its other files.
    handwritten.retain(|name, _| name != "mod messages");
    let module = module(generated, "route_guide");
    let generated = items(module);

    assert_eq!(handwritten.keys().collect::<Vec<_>>(), generated.keys().collect::<Vec<_>>());
    for (name, item) in &handwritten {
        assert_eq!(item, &generated[name], "{name}");
    }
    let names = ["const GET_FEATURE", "const LIST_FEATURES", "const RECORD_ROUTE", "const ROUTE_CHAT", "fn router"];
    let types = ["impl RouteGuideClient", "struct RouteGuideClient", "trait RouteGuide"];
    assert_eq!(generated.keys().collect::<Vec<_>>(), [&names[..], &types[..]].concat());
}

#[test]
fn comparison_sees_paths_kinds_types_and_signatures() {
    let item = |text: &str| items(text.parse().expect("it is Rust"));
    let constant = "pub const A: Method<Req, Resp, Unary> = Method::new(\"/s.S/A\");";
    let function =
        "impl C { pub async fn f(&self, x: Req) -> Result<Response<Resp>, Status> { self.client.unary(A, x).await } }";
    for (text, from, to) in [
        (constant, "/s.S/A", "/s.S/B"),
        (constant, "Unary", "BidiStreaming"),
        (constant, "Resp", "Req"),
        (function, "x: Req", "x: Resp"),
        (function, "unary", "server_streaming"),
        (function, "pub async", "async"),
        (function, "fn f", "fn g"),
    ] {
        assert_ne!(item(text), item(&text.replace(from, to)), "{from} → {to}");
    }
    for (one, other) in [
        (constant, constant.replace("Method", "::barewire::Method").replace("Req", "super::Req")),
        (constant, format!("/// A comment.\n{constant}")),
        (function, function.replace('x', "request")),
        (function, function.replace("Result", "::core::result::Result")),
        (function, function.replace("x: Req", "x: Req,")),
    ] {
        assert_eq!(item(one), item(&other), "{other}");
    }
}

fn read(path: &Path) -> TokenStream {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.parse().expect("it is Rust")
}

/// Returns the tokens inside `mod name { … }`.
fn module(tokens: TokenStream, name: &str) -> TokenStream {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let found = tokens.windows(3).find_map(|window| match window {
        [TokenTree::Ident(word), TokenTree::Ident(found), TokenTree::Group(body)] if word == "mod" && found == name => {
            Some(body.stream())
        }
        _ => None,
    });
    found.unwrap_or_else(|| panic!("mod {name}"))
}

/// Returns the public items: constants, types, traits, functions. `use` and private modules are left out.
fn items(tokens: TokenStream) -> Items {
    let mut found = Items::new();
    let mut item: Vec<TokenTree> = Vec::new();
    for token in without_attributes(tokens) {
        let ends = match &token {
            TokenTree::Punct(mark) => mark.as_char() == ';',
            TokenTree::Group(group) => group.delimiter() == Delimiter::Brace && !is_use(&item),
            _ => false,
        };
        item.push(token);
        if ends {
            let item = std::mem::take(&mut item);
            let words: Vec<String> = item.iter().map(ToString::to_string).filter(|word| word != "pub").collect();
            let other_file = words[0] == "mod" && words.last().is_some_and(|word| word == ";");
            if !is_use(&item) && !other_file {
                found.insert(words[..2].join(" "), spelled(item));
            }
        }
    }
    assert!(item.is_empty(), "an item ends");
    found
}

fn is_use(item: &[TokenTree]) -> bool {
    item.iter().take(2).any(|token| token.to_string() == "use")
}

/// Takes away `#[…]` and comments, except `#[derive(…)]` and `#[must_use]`.
fn without_attributes(tokens: TokenStream) -> Vec<TokenTree> {
    let mut kept: Vec<TokenTree> = Vec::new();
    for token in tokens {
        let mark =
            |token: Option<&TokenTree>, mark| matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == mark);
        if let TokenTree::Group(group) = &token {
            let text = group.stream().to_string();
            let attribute = group.delimiter() == Delimiter::Bracket;
            let kept_one = text.starts_with("derive") || text.starts_with("must_use");
            if attribute && mark(kept.last(), '!') {
                kept.truncate(kept.len() - 2);
                continue;
            }
            if attribute && mark(kept.last(), '#') {
                kept.pop();
                if kept_one {
                    // Behind `pub` it would not be Rust, but here only equality counts.
                    kept.push(token);
                }
                continue;
            }
        }
        kept.push(token);
    }
    // Attributes of items do not count, those of functions do.
    kept.retain(|token| !matches!(token, TokenTree::Group(group) if group.stream().to_string().starts_with("derive")));
    kept
}

/// Spells an item in one way: types by their last name, parameters and type parameters by number, no commas before a bracket.
fn spelled(item: Vec<TokenTree>) -> String {
    let words = words(item);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let mut names: BTreeMap<&str, String> = BTreeMap::new();
    let mut spelled: Vec<String> = Vec::new();
    for (place, word) in words.iter().enumerate() {
        let before = |distance: usize| place.checked_sub(distance).map_or("", |place| words[place]);
        let next = words.get(place + 1).copied().unwrap_or_default();
        if *word == "fn" {
            // The names of one function mean nothing in the next.
            names.clear();
        }
        let parameter = next == ":" && matches!(before(1), "(" | "," | "<") && *word != "client";
        if parameter {
            names.insert(word, format!("parameter{}", names.len()));
        }
        match names.get(word) {
            Some(name) if before(1) != "." && before(1) != "fn" => spelled.push(name.clone()),
            _ if *word == "," && matches!(next, ")" | ">" | "}") => {}
            _ => spelled.push((*word).to_owned()),
        }
    }
    spelled.join(" ")
}

/// Returns the words of an item; of a path of a type only the last one.
fn words(tokens: Vec<TokenTree>) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut tokens = tokens.into_iter();
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Group(group) => {
                let (open, close) = brackets(&group);
                words.push(open.to_owned());
                words.extend(self::words(without_attributes(group.stream())));
                words.push(close.to_owned());
            }
            TokenTree::Punct(mark) if mark.as_char() == ':' && mark.spacing() == Spacing::Joint => {
                words.push("::".to_owned());
                tokens.next();
            }
            other => words.push(other.to_string()),
        }
    }
    shortened(&words)
}

fn brackets(group: &Group) -> (&'static str, &'static str) {
    match group.delimiter() {
        Delimiter::Parenthesis => ("(", ")"),
        Delimiter::Brace => ("{", "}"),
        Delimiter::Bracket => ("[", "]"),
        Delimiter::None => ("", ""),
    }
}

/// Takes away `super::`, `::barewire::`, `::core::…::` and the like: module names, which are in lower case.
fn shortened(words: &[String]) -> Vec<String> {
    let mut kept: Vec<String> = Vec::new();
    let mut words = words.iter().peekable();
    while let Some(word) = words.next() {
        let lower = |letter: char| letter.is_lowercase() || letter == '_' || letter.is_ascii_digit();
        let behind_a_type = kept.last().is_some_and(|last| last != "impl" && last.ends_with(char::is_alphanumeric));
        match word.as_str() {
            "::" if !behind_a_type => {}
            "impl" => kept.push(word.clone()),
            module if module.chars().all(lower) && words.peek().is_some_and(|next| *next == "::") => {
                words.next();
            }
            other => kept.push(other.to_owned()),
        }
    }
    kept
}
