//! Runs every property over its corpus, and over generated inputs.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use super::Dice;

/// The number of generated inputs for a property, besides the variants of its seeds.
const MADE_UP: usize = 2_000;

/// The time limit of a property; longer means that it hangs.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn message_decoder() {
    check("message_decoder", super::message_decoder, MADE_UP);
}

#[test]
fn message_roundtrip() {
    check("message_roundtrip", super::message_roundtrip, MADE_UP);
}

#[test]
fn request_headers() {
    check("request_headers", super::request_headers, MADE_UP);
}

#[test]
fn response_headers() {
    check("response_headers", super::response_headers, MADE_UP);
}

#[test]
fn timeout() {
    check("timeout", super::timeout, MADE_UP);
}

#[test]
fn percent() {
    check("percent", super::percent, MADE_UP);
}

#[test]
fn binary_metadata() {
    check("binary_metadata", super::binary_metadata, MADE_UP);
}

#[test]
fn server_connection() {
    // A whole connection each.
    check("server_connection", super::server_connection, MADE_UP);
}

#[test]
fn client_response() {
    check("client_response", super::client_response, MADE_UP);
}

#[test]
fn compressed() {
    check("compressed", super::compressed, MADE_UP);
}

#[test]
fn conversation() {
    // Up to sixteen calls each.
    check("conversation", super::conversation, MADE_UP / 10);
}

#[test]
fn capture() {
    check("capture", super::capture, MADE_UP);
}

#[test]
fn inspector_law() {
    // All views of all frames.
    check("inspector_law", super::inspector_law, MADE_UP / 4);
}

#[test]
fn differential() {
    check("differential", super::differential, MADE_UP);
}

/// Checks the property for every seed of the corpus and for generated inputs. Reports the input that failed or did not
/// end.
fn check(target: &'static str, property: fn(&[u8]), made_up: usize) {
    let seeds = corpus(target);
    let tried = Arc::new(Mutex::new(String::new()));
    let (ended, end) = mpsc::channel();
    std::thread::spawn({
        let tried = tried.clone();
        move || {
            let hold = |name: &str, input: &[u8]| {
                *tried.lock().unwrap() = format!("{name}: {:?}, {input:02x?}", String::from_utf8_lossy(input));
                property(input);
            };
            for (name, seed) in &seeds {
                hold(name, seed);
            }
            let mut dice = Dice::of(target.as_bytes());
            for number in 0..made_up {
                let (name, seed) = &seeds[dice.below(seeds.len())];
                match number % 2 {
                    0 => hold(&format!("a variant of {name}"), &vary(&mut dice, seed)),
                    _ => hold("noise", &noise(&mut dice)),
                }
            }
            let _: Result<(), _> = ended.send(());
        }
    });
    let failure = match end.recv_timeout(PATIENCE) {
        Ok(()) => return,
        Err(mpsc::RecvTimeoutError::Timeout) => format!("no end within {PATIENCE:?}"),
        Err(mpsc::RecvTimeoutError::Disconnected) => "does not hold (its panic is above)".to_owned(),
    };
    let input = tried.lock().map_or_else(|poisoned| poisoned.into_inner().clone(), |input| input.clone());
    panic!("{target}: {failure} with {input}");
}

/// The committed seeds. Inputs that libFuzzer found have a digest of 40 digits as their name and are skipped.
fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut seeds: Vec<_> = entries
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), path))
        .filter(|(name, _)| !(name.len() == 40 && name.bytes().all(|digit| digit.is_ascii_hexdigit())))
        .map(|(name, path)| (name, fs::read(path).unwrap()))
        .collect();
    assert!(!seeds.is_empty(), "{} has no seeds", folder.display());
    seeds.sort();
    for (name, seed) in &seeds {
        assert!(seed.len() <= 4 << 10, "{target}/{name} is large for a seed");
    }
    seeds
}

/// Returns the seed with a few bytes changed, removed or repeated.
fn vary(dice: &mut Dice, seed: &[u8]) -> Vec<u8> {
    let mut input = seed.to_vec();
    for _ in 0..=dice.below(4) {
        let at = dice.below(input.len() + 1);
        let end = (at + dice.below(9)).min(input.len());
        match dice.below(5) {
            0 => input.truncate(at),
            1 => drop(input.drain(at..end)),
            2 => {
                let piece = input[at..end].to_vec();
                drop(input.splice(at..at, piece));
            }
            3 => input.insert(at, dice.roll() as u8),
            _ => input[at..end].iter_mut().take(1).for_each(|byte| *byte ^= 1 << dice.below(8)),
        }
    }
    input
}

/// Returns random bytes in which small numbers and letters are frequent, so that some are meaningful.
fn noise(dice: &mut Dice) -> Vec<u8> {
    let bound = 1 << dice.below(9);
    let length = dice.below(bound);
    let kind = dice.below(3);
    (0..length)
        .map(|_| match kind {
            0 => dice.below(4) as u8,
            1 => b" %,:=-+09AFHSZafmnuz\n/"[dice.below(22)],
            _ => dice.roll() as u8,
        })
        .collect()
}
