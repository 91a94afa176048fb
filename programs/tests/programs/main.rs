//! Tests of the programs: output, lifecycle, memory, and the documents that show their output.

#[allow(dead_code)]
#[path = "../../../tests/held/attack_bytes.rs"]
mod attack_bytes;
#[path = "../../../tests/common/mod.rs"]
mod common;
mod documents;
#[cfg(target_os = "linux")]
mod held;
#[allow(dead_code)]
#[path = "../../../tests/held/law.rs"]
mod law;
mod lifecycle;
#[path = "../../../tests/held/line.rs"]
mod line;
mod route_guide;
#[allow(dead_code)]
#[path = "../../../tests/held/service.rs"]
mod service;
mod unread_stderr;
