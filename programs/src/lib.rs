//! The programs that use [`barewire`], and the code that only they need.
//!
//! | module | contents |
//! |---|---|
//! | [`tool`] | the program `barewire`, with a folder for each of its commands |
//! | [`interop`], [`conformance`] | the services and cases of the official suites |
//! | [`demonstration`] | the route guide over a recorded connection, for the README and the documentation |
//! | [`watch`] | shows and records the bytes of a program's connections, as `BAREWIRE_WIRE` asks |
//! | [`operator`] | health checks and reflection beside a server's own services; limits and shutdown |
//! | [`services`] | the descriptors of the messages in `proto/` |
//! | [`cli`] | flags, signals, stderr and memory of a program |
//!
//! They use only the public API of the library, like any other program.

pub mod cli;
pub mod conformance;
pub mod demonstration;
pub mod interop;
pub mod operator;
pub mod services;
pub mod tool;
pub mod watch;
