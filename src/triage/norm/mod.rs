//! Norm, the agent who works on issues: an ordinary agent of the runtime, set to work from here.
//!
//! An agent session is a session of the runtime, a prompt a run of it. A prompt is written down with its place in the
//! queue, its entry in the feed and how the issue stands, in one write (`prompting`); then the `crew` starts the runs
//! whose turn it is, each under the name it was given, and `telling` writes into the feed what the run's log says. What
//! Norm may do follows from the intent of the run: `toolbelt` says which tools, `hands` what they get hold of.

mod cancelling;
mod capability;
mod codes;
mod crew;
mod fitting;
mod hands;
mod prompting;
mod recording;
mod replay;
mod reports;
mod run;
mod sessions;
mod showing;
mod snapshot;
mod telling;
mod toolbelt;
mod tools;

use uuid::Uuid;

pub use capability::TriageCapability;
pub(super) use crew::Crew;
pub use fitting::Profile;
pub use prompting::{NewPrompt, WhichSession};
pub use run::{NormRun, RunState, Via};
pub use sessions::{AgentSession, Cancelled, SessionStatus, SessionView};

use super::entry::Actor;

/// What the agent is called among agents.
pub const NORM: &str = "norm";

/// What people call him.
pub const NAME: &str = "Norm";

/// Names the profile in this interface: the same at every start.
pub fn profile_id() -> Uuid {
    Uuid::new_v5(&Uuid::NAMESPACE_OID, b"runhold/triage/norm")
}

/// Norm, as who did something.
pub fn actor() -> Actor {
    Actor::agent(&profile_id().to_string(), NAME)
}
