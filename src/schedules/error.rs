//! Why something about schedules was not done.

use crate::runtime;

/// Why it was not done. Messages may be shown to clients.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// There is no such schedule, or it is somebody else's.
    #[error("there is no such schedule")]
    NoSchedule,
    /// Another schedule of the owner has the name.
    #[error("there is a schedule named {0} already")]
    NameTaken(String),
    /// What was sent is wrong.
    #[error("{field}: {message}")]
    Invalid {
        /// Which part of it.
        field: &'static str,
        /// What is wrong.
        message: String,
    },
    /// There are as many as there may be.
    #[error("{0}")]
    TooMany(String),
    /// What the runtime says.
    #[error(transparent)]
    Runtime(#[from] runtime::Error),
}

impl Error {
    /// What was sent is wrong.
    pub fn invalid(field: &'static str, message: impl Into<String>) -> Self {
        Self::Invalid { field, message: message.into() }
    }
}
