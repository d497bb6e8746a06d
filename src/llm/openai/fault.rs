//! What can go wrong between us and a provider, which of it is worth another try, and how it is told.

use std::time::Duration;

use crate::domain::fact::Failure;
use crate::llm::secret::{Secret, quotable};

/// Something went wrong. Texts in here are the provider's and not yet fit to be shown.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Fault {
    /// Refused, reset, no such host: with the cause's own words.
    Unreachable(String),
    /// Too slow.
    Slow(Wait),
    /// Another status than success.
    Status {
        /// As in 429.
        status: u16,
        /// The provider's own message, or the start of the body.
        said: String,
        /// The account is used up: waiting does not help.
        quota: bool,
        /// How long it asks us to wait.
        retry_after: Option<Duration>,
    },
    /// Success, and then no event stream.
    NotAStream {
        /// What it calls itself.
        content_type: String,
    },
    /// An event that reports an error.
    Reported {
        /// The provider's own message.
        said: String,
        /// Whether it says that the fault is not ours.
        passing: bool,
    },
    /// An event that is no JSON object.
    BrokenEvent,
    /// More than this number of bytes.
    TooLong(usize),
    /// The stream ended before the answer did.
    Truncated,
    /// The connection broke before the answer ended: with the cause's own words.
    BrokenOff(String),
    /// We could not even ask.
    Request(String),
}

/// Which patience ran out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wait {
    /// To connect.
    Connect(Duration),
    /// For the first event.
    FirstEvent(Duration),
    /// For the next event.
    NextEvent(Duration),
}

impl Fault {
    /// Whether the same request may be sent again, as long as nothing was answered.
    pub(super) fn deserves_another_try(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::BrokenOff(_) => true,
            Self::Status { status, quota, .. } => !quota && is_passing(*status),
            Self::Reported { passing, .. } => *passing,
            Self::Slow(_)
            | Self::NotAStream { .. }
            | Self::BrokenEvent
            | Self::TooLong(_)
            | Self::Truncated
            | Self::Request(_) => false,
        }
    }

    /// How long the provider asks us to wait.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        if let Self::Status { retry_after, .. } = self { *retry_after } else { None }
    }

    /// The fault as the run's log and clients are told.
    pub(super) fn told(&self, provider: &str, secrets: &[Secret]) -> Failure {
        let quote = |text: &str| quotable(text, secrets);
        let (code, what) = match self {
            Self::Unreachable(cause) => (PROVIDER, format!("could not be reached: {}", quote(cause))),
            Self::Slow(wait) => ("model_timeout", wait.told()),
            Self::Status { status, said, .. } if said.is_empty() => (PROVIDER, format!("answered {status}")),
            Self::Status { status, said, .. } => (PROVIDER, format!("answered {status}: {}", quote(said))),
            Self::NotAStream { content_type } => (
                PROVIDER,
                format!(
                    "answered with `{}` instead of an event stream: is its base URL right?",
                    quote(content_type)
                ),
            ),
            Self::Reported { said, .. } => (PROVIDER, format!("reported an error: {}", quote(said))),
            Self::BrokenEvent => (PROVIDER, "sent an event that is no JSON object".into()),
            Self::TooLong(bytes) => (PROVIDER, format!("sent more than the {bytes} bytes allowed")),
            Self::Truncated => ("truncated", "ended its answer without saying that it was complete".into()),
            Self::BrokenOff(cause) => ("truncated", format!("broke its answer off: {}", quote(cause))),
            Self::Request(cause) => (PROVIDER, format!("could not be asked: {}", quote(cause))),
        };
        let failure = Failure::new(code, format!("model provider `{provider}` {what}"));
        if self.may_pass() { failure.retryable() } else { failure }
    }

    /// Whether asking again later may well succeed.
    fn may_pass(&self) -> bool {
        match self {
            Self::Slow(_) | Self::BrokenEvent | Self::Truncated | Self::BrokenOff(_) => true,
            Self::Unreachable(_)
            | Self::Status { .. }
            | Self::NotAStream { .. }
            | Self::Reported { .. }
            | Self::TooLong(_)
            | Self::Request(_) => self.deserves_another_try(),
        }
    }
}

/// The code of whatever the provider did wrong.
const PROVIDER: &str = "model_provider_error";

/// Statuses that say "not now" rather than "not so".
pub(super) fn is_passing(status: u16) -> bool {
    matches!(status, 408 | 409 | 429 | 500..=599)
}

impl Wait {
    fn told(self) -> String {
        match self {
            Self::Connect(patience) => format!("did not accept a connection within {patience:?}"),
            Self::FirstEvent(patience) => format!("did not begin to answer within {patience:?}"),
            Self::NextEvent(patience) => format!("fell silent for {patience:?} in the middle of its answer"),
        }
    }
}
