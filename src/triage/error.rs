//! Why the board did not do it.

use super::form::{Fault, Faults};
use crate::runtime;

/// Why the board did not do it. Messages may be shown to clients.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// There is none, or it is somebody else's; `Issue`, `Resource`, `Flag`, …
    #[error("{0} not found")]
    NotFound(&'static str),
    /// What was sent is wrong, in these places.
    #[error("{0}")]
    Invalid(Faults),
    /// It does not fit what is there.
    #[error("{message}")]
    Conflict {
        /// Stable, for programs: `call_not_attached`, `stale_draft`, …
        code: &'static str,
        /// For people.
        message: String,
        /// What a program may want to know besides.
        details: Vec<Fault>,
    },
    /// What the runtime says.
    #[error(transparent)]
    Runtime(#[from] runtime::Error),
}

impl Error {
    /// A conflict that needs no details.
    pub fn conflict(code: &'static str, message: impl Into<String>) -> Self {
        Self::Conflict { code, message: message.into(), details: Vec::new() }
    }

    /// One thing that is wrong.
    pub fn invalid(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Invalid(Faults(vec![Fault { path: path.into(), message: message.into() }]))
    }
}

impl From<Faults> for Error {
    fn from(faults: Faults) -> Self {
        Self::Invalid(faults)
    }
}
