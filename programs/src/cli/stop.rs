//! Why a program ends early.

/// The reason for which a program ends early.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The user asked for help, which goes to stdout; exit status 0.
    Help(String),
    /// The user has to change something: the line names the mistake and the remedy. Exit status 2.
    Usage(String),
    /// The operation failed: the line says why. Exit status 1.
    Failed(String),
}
