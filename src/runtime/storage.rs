//! What a session keeps by name, as documents; secrets are sealed.

use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::sync::MutexGuard;

use super::documents::{Changes, Document, Documents, Stored};
use super::error::Error;
use super::vault::{Vault, VaultError};
use super::{Runtime, records};
use crate::capability::storage::{KeptSecret, KeptValue, Storage, StorageError};
use crate::domain::document::{RecordKind, Tags};
use crate::domain::id::{Owner, SessionId};
use crate::domain::time::Timestamp;

/// Longest name of a value or secret, in bytes.
pub const MAX_NAME_BYTES: usize = 255;

/// Longest value or secret, in bytes.
pub const MAX_VALUE_BYTES: usize = 256 * 1024;

/// A value that a session keeps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Value {
    session: SessionId,
    name: String,
    value: String,
    created: Timestamp,
    updated: Timestamp,
}

/// A secret that a session keeps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Sealed {
    session: SessionId,
    name: String,
    sealed: String,
    created: Timestamp,
    updated: Timestamp,
}

impl Document for Value {
    const KIND: RecordKind = RecordKind("session_value");

    fn id(&self) -> String {
        id(&self.session, &self.name)
    }

    fn tags(&self) -> Tags {
        Tags { sort: self.created.0, listed: false, names: vec![records::session_tag(&self.session)] }
    }
}

impl Document for Sealed {
    const KIND: RecordKind = RecordKind("session_secret");

    fn id(&self) -> String {
        id(&self.session, &self.name)
    }

    fn tags(&self) -> Tags {
        Tags { sort: self.created.0, listed: false, names: vec![records::session_tag(&self.session)] }
    }
}

// No session's name holds a line break, so no two pairs are written alike.
fn id(session: &SessionId, name: &str) -> String {
    format!("{session}\n{name}")
}

/// The values and secrets of one session.
#[derive(Clone)]
pub struct SessionStorage {
    documents: Documents,
    session: SessionId,
    vault: Option<Arc<Vault>>,
    runtime: Runtime,
}

impl Runtime {
    /// The values and secrets of a session.
    pub fn storage(&self, owner: &Owner, session: &SessionId) -> SessionStorage {
        SessionStorage {
            documents: self.documents(owner),
            session: session.clone(),
            vault: self.vault().cloned(),
            runtime: self.clone(),
        }
    }

    /// What is to be taken away with a session.
    pub(super) async fn values_to_forget(
        &self,
        owner: &Owner,
        session: &SessionId,
    ) -> Result<Changes, Error> {
        let documents = self.documents(owner);
        let tag = records::session_tag(session);
        let mut changes = Changes::default();
        for value in documents.all::<Value>(Some(tag.clone())).await? {
            changes = changes.delete::<Value>(&value.id());
        }
        for secret in documents.all::<Sealed>(Some(tag)).await? {
            changes = changes.delete::<Sealed>(&secret.id());
        }
        Ok(changes)
    }
}

impl SessionStorage {
    fn vault(&self) -> Result<&Vault, StorageError> {
        self.vault.as_deref().ok_or(StorageError::NoKey)
    }

    /// Where a secret is kept, as its seal knows it.
    fn place(&self, name: &str) -> String {
        format!("{}\n{}", self.documents.owner(), id(&self.session, name))
    }

    /// Keeps several secrets, all or none.
    ///
    /// # Errors
    /// Of the first that cannot be kept.
    pub async fn set_secrets(&self, secrets: &[(String, String)]) -> Result<(), StorageError> {
        let _turn = self.turn().await?;
        let mut changes = Changes::default();
        for (name, secret) in secrets {
            check(name, secret)?;
            let before = self.documents.get::<Sealed>(&id(&self.session, name)).await;
            let before = before.map_err(unavailable)?;
            changes = changes.put(&self.sealed(name, secret, before.as_ref())?);
        }
        self.documents.write(changes).await.map_err(unavailable)
    }

    /// The turn to write.
    async fn turn(&self) -> Result<Option<MutexGuard<'_, ()>>, StorageError> {
        let turn = self.runtime.turn_to_write(self.documents.owner(), &self.session).await;
        turn.map_err(|error| {
            let is_gone = matches!(error, Error::NoSession(_));
            if is_gone {
                StorageError::Invalid("the session is not there any more".into())
            } else {
                unavailable(error)
            }
        })
    }

    fn sealed(
        &self,
        name: &str,
        secret: &str,
        before: Option<&Stored<Sealed>>,
    ) -> Result<Sealed, StorageError> {
        let now = self.runtime.now();
        Ok(Sealed {
            session: self.session.clone(),
            name: name.into(),
            sealed: self.vault()?.seal(&self.place(name), secret).map_err(unsealed)?,
            created: before.map_or(now, |before| before.created),
            updated: now,
        })
    }

    async fn forget<D: Document>(&self, name: &str) -> Result<bool, StorageError> {
        let id = id(&self.session, name);
        let forget = |before: Option<Stored<D>>| {
            Ok::<_, Error>((before.is_some(), Changes::default().delete::<D>(&id)))
        };
        self.documents.change(&id, forget).await.map_err(unavailable)
    }
}

#[async_trait]
impl Storage for SessionStorage {
    async fn value(&self, key: &str) -> Result<Option<String>, StorageError> {
        let value = self.documents.get::<Value>(&id(&self.session, key)).await.map_err(unavailable)?;
        Ok(value.map(|kept| kept.value.value))
    }

    async fn set_value(&self, key: &str, value: &str) -> Result<(), StorageError> {
        check(key, value)?;
        let _turn = self.turn().await?;
        let now = self.runtime.now();
        let set = |before: Option<Stored<Value>>| {
            let after = Value {
                session: self.session.clone(),
                name: key.into(),
                value: value.into(),
                created: before.as_ref().map_or(now, |before| before.created),
                updated: now,
            };
            Ok::<_, Error>(((), Changes::default().put(&after)))
        };
        self.documents.change(&id(&self.session, key), set).await.map_err(unavailable)
    }

    async fn delete_value(&self, key: &str) -> Result<bool, StorageError> {
        self.forget::<Value>(key).await
    }

    async fn values(&self) -> Result<Vec<KeptValue>, StorageError> {
        let tag = records::session_tag(&self.session);
        let kept = self.documents.all::<Value>(Some(tag)).await.map_err(unavailable)?;
        let mut values: Vec<KeptValue> = kept
            .into_iter()
            .map(|Stored { value: Value { name, value, created, updated, .. }, .. }| KeptValue {
                key: name,
                value,
                created,
                updated,
            })
            .collect();
        values.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(values)
    }

    async fn secret(&self, name: &str) -> Result<Option<String>, StorageError> {
        let vault = self.vault()?;
        let sealed = self.documents.get::<Sealed>(&id(&self.session, name)).await.map_err(unavailable)?;
        let open = |kept: Stored<Sealed>| vault.open(&self.place(name), &kept.sealed);
        sealed.map(open).transpose().map_err(unsealed)
    }

    async fn set_secret(&self, name: &str, secret: &str) -> Result<(), StorageError> {
        self.set_secrets(&[(name.to_owned(), secret.to_owned())]).await
    }

    async fn delete_secret(&self, name: &str) -> Result<bool, StorageError> {
        self.forget::<Sealed>(name).await
    }

    async fn secrets(&self) -> Result<Vec<KeptSecret>, StorageError> {
        let tag = records::session_tag(&self.session);
        let kept = self.documents.all::<Sealed>(Some(tag)).await.map_err(unavailable)?;
        let mut secrets: Vec<KeptSecret> = kept
            .into_iter()
            .map(|kept| KeptSecret { name: kept.name.clone(), created: kept.created, updated: kept.updated })
            .collect();
        secrets.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(secrets)
    }
}

fn check(name: &str, value: &str) -> Result<(), StorageError> {
    if name.is_empty() || name.len() > MAX_NAME_BYTES || name.chars().any(char::is_control) {
        let message = format!("a name has 1 to {MAX_NAME_BYTES} bytes and no control characters");
        return Err(StorageError::Invalid(message));
    }
    if value.len() > MAX_VALUE_BYTES {
        return Err(StorageError::Invalid(format!("a value has at most {MAX_VALUE_BYTES} bytes")));
    }
    Ok(())
}

fn unavailable(error: Error) -> StorageError {
    tracing::warn!(%error, "a session's storage cannot be reached");
    StorageError::Unavailable
}

fn unsealed(error: VaultError) -> StorageError {
    tracing::error!("{error}");
    StorageError::Unavailable
}
