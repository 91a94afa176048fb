//! Compares how h2 and the inspector decode h2's header blocks: for the seeds of the fuzz target, and for mutations of them.

#[path = "../common/hpack_differential.rs"]
mod property;

use std::fs;
use std::path::Path;

use property::hpack_differential;

#[test]
fn h2_and_the_inspector_decode_the_corpus_alike() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/hpack_differential");
    let mut seeds: Vec<_> = fs::read_dir(&folder)
        .expect("the corpus is there")
        .map(|entry| fs::read(entry.expect("it can be listed").path()).expect("it can be read"))
        .collect();
    seeds.sort();
    assert!(seeds.len() > 3);
    seeds.iter().for_each(|seed| hpack_differential(seed));
    let mut state = 7_541_u64;
    let mut below = |end: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % end.max(1)
    };
    for _ in 0..300 {
        let mut input = seeds[below(seeds.len())].clone();
        for _ in 0..1 + below(6) {
            let at = below(input.len() + 1);
            match below(3) {
                0 => input.insert(at, below(256) as u8),
                1 => input.truncate(at.max(2)),
                _ => input.extend_from_within(at..),
            }
        }
        hpack_differential(&input);
    }
}
