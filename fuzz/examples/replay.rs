//! Runs every property over its corpus alone, so that `coverage.sh` shows which code these inputs reach.
//!
//! ```sh
//! cargo run --example replay                        # in fuzz/: all targets
//! cargo run --example replay message_decoder        # some of them
//! ```

use std::path::Path;

use barewire::properties;

/// A target and its property.
type Target = (&'static str, fn(&[u8]));

const TARGETS: [Target; 12] = [
    ("binary_metadata", properties::binary_metadata),
    ("client_response", properties::client_response),
    ("compressed", properties::compressed),
    ("conversation", properties::conversation),
    ("differential", properties::differential),
    ("message_decoder", properties::message_decoder),
    ("message_roundtrip", properties::message_roundtrip),
    ("percent", properties::percent),
    ("request_headers", properties::request_headers),
    ("response_headers", properties::response_headers),
    ("server_connection", properties::server_connection),
    ("timeout", properties::timeout),
];

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for (target, property) in TARGETS {
        if !wanted.is_empty() && !wanted.iter().any(|name| name == target) {
            continue;
        }
        let files = std::fs::read_dir(corpus.join(target)).expect("a folder of seeds");
        let mut count = 0;
        for file in files {
            property(&std::fs::read(file.expect("a file").path()).expect("a seed"));
            count += 1;
        }
        println!("{target}: {count} inputs");
    }
}
