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

/// Who did it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// What sort.
    pub kind: ActorKind,
    /// Names the actor.
    pub id: String,
    /// For people.
    pub label: String,
}

impl Actor {
    /// The principal behind a token.
    pub fn user(name: &str) -> Self {
        Self { kind: ActorKind::User, id: name.into(), label: name.into() }
    }
}
