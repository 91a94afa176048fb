#![no_main]
#[path = "../../tests/common/hpack_differential.rs"]
mod property;
libfuzzer_sys::fuzz_target!(|data: &[u8]| property::hpack_differential(data));
