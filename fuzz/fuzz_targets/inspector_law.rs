#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| barewire::properties::inspector_law(data));
