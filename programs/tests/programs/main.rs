//! Tests of the programs: output, lifecycle, memory, and the documents that show their output.

#[allow(dead_code)]
#[path = "../../../tests/held/attack_bytes.rs"]
mod attack_bytes;
#[path = "../../../tests/common/mod.rs"]
mod common;
mod documents;
#[cfg(unix)]
mod ending;
#[cfg(target_os = "linux")]
mod held;
mod lifecycle;
#[path = "../../../tests/held/line.rs"]
mod line;
#[allow(dead_code)]
#[path = "../../../tests/held/memory_bound.rs"]
mod memory_bound;
mod operator;
mod route_guide;
#[allow(dead_code)]
#[path = "../../../tests/held/service.rs"]
mod service;
mod unread_stderr;
