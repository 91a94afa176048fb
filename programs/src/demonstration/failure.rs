//! Why a demonstration fails.

use std::{fmt, io};

use barewire::Status;

/// The reason for which a demonstration failed.
#[derive(Debug)]
pub enum Failure {
    /// The output could not be written.
    Output(io::Error),
    /// The server could not listen on the loopback interface.
    Listen(io::Error),
    /// The client could not connect.
    Connect(Status),
    /// A call failed; the text says which, and why.
    Call(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Output(error) => write!(f, "can't write the output: {error}"),
            Failure::Listen(error) => write!(f, "can't listen on the loopback interface: {error}"),
            Failure::Connect(status) => write!(f, "the client can't connect: {status:#}"),
            Failure::Call(failure) => write!(f, "{failure}"),
        }
    }
}

impl std::error::Error for Failure {}
