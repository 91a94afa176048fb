//! Properties that hold for any bytes from a peer: one function for each fuzz target, which panics if its property is
//! violated.
//!
//! Each target in `fuzz/fuzz_targets/` calls one of them, and the unit tests of this module run them over the committed
//! corpus and over generated inputs. Where possible, the code is compared with a slow and simple implementation of the
//! specification in `properties/reference.rs`. `docs/fuzzing.md` describes how to run and minimise inputs and how to
//! add seeds.
//!
//! Compiled for tests and behind the feature `properties`, which no other feature needs.

mod capture;
mod client;
mod compressed;
mod conversation;
mod differential;
mod far;
mod headers;
mod inspector;
mod messages;
mod reference;
mod script;
mod server;
#[cfg(test)]
mod tests;
mod values;

pub use capture::capture;
pub use client::client_response;
pub use compressed::compressed;
pub use conversation::conversation;
pub use differential::differential;
pub use headers::{request_headers, response_headers};
pub use inspector::inspector_law;
pub use messages::{message_decoder, message_roundtrip};
pub use server::server_connection;
pub use values::{binary_metadata, percent, timeout};

/// A sequence of numbers determined by its seed (SplitMix64), so that failures are reproducible.
struct Dice(u64);

impl Dice {
    /// Returns numbers determined by these bytes (FNV-1a).
    fn of(bytes: &[u8]) -> Dice {
        Dice(
            bytes
                .iter()
                .fold(0xCBF2_9CE4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01B3)),
        )
    }

    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// Returns a number below `end`, which must not be 0.
    fn below(&mut self, end: usize) -> usize {
        (self.roll() % end as u64) as usize
    }
}

/// Splits the input into mostly short and some long pieces, at places that the input determines.
fn cut(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    let (mut dice, mut rest) = (Dice::of(data), data);
    std::iter::from_fn(move || {
        let longest = 1 << dice.below(11);
        let (piece, after) = rest.split_at(rest.len().min(1 + dice.below(longest)));
        rest = after;
        (!piece.is_empty()).then_some(piece)
    })
}
