//! How a program ends early.

/// Why a program ends before its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Help was asked for, and goes to stdout; exit status 0.
    Help(String),
    /// The user has to change something: the line says what, and how. Exit status 2.
    Usage(String),
    /// It did not work: the line says why. Exit status 1.
    Failed(String),
}
