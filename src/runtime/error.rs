//! The one error the floors above see.

use std::time::Duration;

use crate::domain::id::{ComponentId, RunId, SessionId};
use crate::domain::spec::ComponentKind;
use crate::store::StoreError;

/// Why the runtime did not do it. Messages may be shown to clients.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// There is no such agent, team or workflow.
    #[error("there is no {} `{id}`", kind.as_str())]
    NoComponent {
        /// Of which kind.
        kind: ComponentKind,
        /// Which.
        id: ComponentId,
    },
    /// There is no such session, or it is somebody else's.
    #[error("there is no session `{0}`")]
    NoSession(SessionId),
    /// There is no such run, or it is somebody else's.
    #[error("there is no run `{0}`")]
    NoRun(RunId),
    /// The session exists already.
    #[error("session `{0}` exists already")]
    SessionExists(SessionId),
    /// The session belongs to another user or another component.
    #[error("session `{session}` belongs to another {owner}")]
    SessionTaken {
        /// Which session.
        session: SessionId,
        /// `user` or `agent`, `team`, `workflow`.
        owner: &'static str,
    },
    /// The client's key stands for another order.
    #[error("the Idempotency-Key was used for another request")]
    KeyReused,
    /// What was asked does not fit where the run stands.
    #[error("{0}")]
    Conflict(String),
    /// What was sent is wrong.
    #[error("{field}: {message}")]
    Invalid {
        /// Which part of it.
        field: &'static str,
        /// What is wrong.
        message: String,
    },
    /// Too much is waiting already.
    #[error("{reason}")]
    Busy {
        /// What is full.
        reason: String,
        /// When to try again.
        retry_after: Duration,
    },
    /// What was sent is larger than can be kept.
    #[error("the request is too large to be stored: {bytes} bytes")]
    TooLarge {
        /// Its size once stored.
        bytes: usize,
    },
    /// No room on the disk.
    #[error("the disk is full; nothing was changed")]
    Full,
    /// Not now: the store is away, too many runs are going, or the server is stopping.
    #[error("{0}")]
    Unavailable(String),
    /// What is stored of it cannot be read; which part was logged.
    #[error("what is stored of it is damaged")]
    Damaged,
    /// Our fault; the cause was logged.
    #[error("internal error")]
    Internal,
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::TooLarge { bytes } => Self::TooLarge { bytes },
            StoreError::Full => Self::Full,
            StoreError::Unavailable(reason) => {
                tracing::error!(%reason, "the store is not available");
                Self::Unavailable("the store is not available".into())
            }
            StoreError::Conflict(what) => {
                tracing::warn!(what, "a write lost against another");
                Self::Conflict("changed by somebody else meanwhile; try again".into())
            }
            StoreError::Damaged(what) => {
                tracing::error!(%what, "a stored record is damaged");
                Self::Damaged
            }
        }
    }
}
