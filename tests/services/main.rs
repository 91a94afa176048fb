//! Tests the services that come with the library for operators, and the details of errors.

#[path = "../common/mod.rs"]
mod common;

mod error_details;
mod health;
mod messages;
mod reflection;
mod server;
