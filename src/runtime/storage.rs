//! What a session keeps by name, as documents.

use async_trait::async_trait;

use super::Runtime;
use crate::capability::storage::{KeptSecret, KeptValue, Storage, StorageError};
use crate::domain::id::{Owner, SessionId};

/// The values and secrets of one session.
#[derive(Clone)]
pub struct SessionStorage {
    _runtime: Runtime,
    _owner: Owner,
    _session: SessionId,
}

impl Runtime {
    /// The values and secrets of a session.
    pub fn storage(&self, owner: &Owner, session: &SessionId) -> SessionStorage {
        SessionStorage { _runtime: self.clone(), _owner: owner.clone(), _session: session.clone() }
    }
}

#[async_trait]
impl Storage for SessionStorage {
    async fn value(&self, _: &str) -> Result<Option<String>, StorageError> {
        Err(StorageError::Unavailable)
    }

    async fn set_value(&self, _: &str, _: &str) -> Result<(), StorageError> {
        Err(StorageError::Unavailable)
    }

    async fn delete_value(&self, _: &str) -> Result<bool, StorageError> {
        Err(StorageError::Unavailable)
    }

    async fn values(&self) -> Result<Vec<KeptValue>, StorageError> {
        Err(StorageError::Unavailable)
    }

    async fn secret(&self, _: &str) -> Result<Option<String>, StorageError> {
        Err(StorageError::Unavailable)
    }

    async fn set_secret(&self, _: &str, _: &str) -> Result<(), StorageError> {
        Err(StorageError::Unavailable)
    }

    async fn delete_secret(&self, _: &str) -> Result<bool, StorageError> {
        Err(StorageError::Unavailable)
    }

    async fn secrets(&self) -> Result<Vec<KeptSecret>, StorageError> {
        Err(StorageError::Unavailable)
    }
}
