//! The programs that run on [`barewire`], and what only they need.
//!
//! | room | what it is |
//! |---|---|
//! | [`tool`] | the program `barewire`: a folder for each of its commands |
//! | [`interop`], [`conformance`] | the services and cases of the official suites |
//! | [`demonstration`] | the route guide over a recorded connection, for the README and the documents |
//! | [`watch`] | shows and records the bytes of a program's connections, as its environment says |
//! | [`services`] | server reflection, and the names of the messages in `proto/` |
//! | [`cli`] | flags, signals, stderr and memory of a program |
//!
//! They use the library as any other program does: by what it makes public.

pub mod cli;
pub mod conformance;
pub mod demonstration;
pub mod interop;
pub mod services;
pub mod tool;
pub mod watch;
