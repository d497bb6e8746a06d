//! What is remembered of a user from session to session.

use async_trait::async_trait;

use crate::domain::time::Timestamp;

/// Facts about the user of a run, or of all who have no name.
#[async_trait]
pub trait Memory: Send + Sync {
    /// Keeps a fact, in place of the one of its name.
    async fn remember(&self, name: &str, fact: &str) -> Result<(), MemoryError>;

    /// All facts, the latest first.
    async fn facts(&self) -> Result<Vec<KeptFact>, MemoryError>;

    /// Forgets a fact; whether there was one.
    async fn forget(&self, name: &str) -> Result<bool, MemoryError>;
}

/// A fact that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptFact {
    /// Its name.
    pub name: String,
    /// What it says.
    pub fact: String,
    /// When it was last kept.
    pub updated: Timestamp,
}

/// Why something could not be remembered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MemoryError {
    /// A fact that cannot be kept.
    #[error("{0}")]
    Invalid(String),
    /// The store says no; the reason was logged.
    #[error("the memory cannot be reached now")]
    Unavailable,
}
