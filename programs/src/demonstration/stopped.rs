//! Why a demonstration fails.

use std::{fmt, io};

use barewire::Status;

/// The reason for which a demonstration failed.
#[derive(Debug)]
pub enum Stopped {
    /// The output could not be written.
    Output(io::Error),
    /// The server could not listen on the loopback interface.
    Listen(io::Error),
    /// The client could not connect.
    Connect(Status),
    /// A call failed; the text says which, and why.
    Call(String),
}

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Stopped::Output(error) => write!(f, "can't write the output: {error}"),
            Stopped::Listen(error) => write!(f, "can't listen on the loopback interface: {error}"),
            Stopped::Connect(status) => write!(f, "the client can't connect: {status:#}"),
            Stopped::Call(failure) => write!(f, "{failure}"),
        }
    }
}

impl std::error::Error for Stopped {}
