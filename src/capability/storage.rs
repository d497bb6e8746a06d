//! What a session keeps by name: values, and secrets that are encrypted where they are kept.

use async_trait::async_trait;

use crate::domain::time::Timestamp;

/// A session's values and secrets.
#[async_trait]
pub trait Storage: Send + Sync {
    /// A value.
    async fn value(&self, key: &str) -> Result<Option<String>, StorageError>;

    /// Keeps a value, in place of the one there was.
    async fn set_value(&self, key: &str, value: &str) -> Result<(), StorageError>;

    /// Forgets a value; whether there was one.
    async fn delete_value(&self, key: &str) -> Result<bool, StorageError>;

    /// All values, by key.
    async fn values(&self) -> Result<Vec<KeptValue>, StorageError>;

    /// A secret, in clear.
    async fn secret(&self, name: &str) -> Result<Option<String>, StorageError>;

    /// Keeps a secret, in place of the one there was.
    async fn set_secret(&self, name: &str, secret: &str) -> Result<(), StorageError>;

    /// Forgets a secret; whether there was one.
    async fn delete_secret(&self, name: &str) -> Result<bool, StorageError>;

    /// The names of all secrets.
    async fn secrets(&self) -> Result<Vec<KeptSecret>, StorageError>;
}

/// A value that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptValue {
    /// Its name.
    pub key: String,
    /// What it is.
    pub value: String,
    /// When it was first set.
    pub created: Timestamp,
    /// When it was last set.
    pub updated: Timestamp,
}

/// A secret that is kept: all that may be said of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptSecret {
    /// Its name.
    pub name: String,
    /// When it was first set.
    pub created: Timestamp,
    /// When it was last set.
    pub updated: Timestamp,
}

/// Why something could not be kept or read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StorageError {
    /// A name or value that cannot be kept.
    #[error("{0}")]
    Invalid(String),
    /// No key was configured to encrypt secrets with.
    #[error("secrets cannot be kept: the server has no SECRETS_ENCRYPTION_KEY")]
    NoKey,
    /// The store says no; the reason was logged.
    #[error("the storage cannot be reached now")]
    Unavailable,
}
