//! How a demonstration ends early.

use std::{fmt, io};

use barewire::Status;

/// Why a demonstration did not come to its end.
#[derive(Debug)]
pub enum Stopped {
    /// What it says could not be written.
    Output(io::Error),
    /// No port on the loopback interface.
    Listen(io::Error),
    /// The client could not connect.
    Connect(Status),
    /// A call failed, in words.
    Call(String),
}

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Stopped::Output(error) => write!(f, "what happened can't be written: {error}"),
            Stopped::Listen(error) => write!(f, "no port on the loopback interface: {error}"),
            Stopped::Connect(status) => write!(f, "the client can't connect: {status:#}"),
            Stopped::Call(failure) => write!(f, "{failure}"),
        }
    }
}

impl std::error::Error for Stopped {}
