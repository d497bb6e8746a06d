//! Who did something.

use serde::{Deserialize, Serialize};

use super::form::words;

words! {
    /// What sort of actor.
    ActorKind {
        /// A person, or a program with a token.
        User = "user",
        /// The server.
        System = "system",
        /// An agent.
        Agent = "agent",
    }
}

/// Who did something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// What sort.
    pub kind: ActorKind,
    /// Which.
    pub id: String,
    /// For people.
    pub label: String,
    /// A picture.
    pub avatar_url: Option<String>,
}
