//! What is remembered of users, as documents. It stays when a session goes: it is the user's.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::Runtime;
use super::documents::{Changes, Document, Documents, Listing, Stored};
use super::error::Error;
use crate::capability::memory::{KeptFact, Memory, MemoryError};
use crate::domain::document::{RecordKind, Tag, Tags};
use crate::domain::id::{Owner, UserId};
use crate::domain::time::Timestamp;

/// Longest name of a fact, in bytes.
const MAX_NAME_BYTES: usize = 255;

/// Longest fact, in bytes.
const MAX_FACT_BYTES: usize = 8 * 1024;

/// Most facts of a user.
const MAX_FACTS: u64 = 1000;

/// A fact as it is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Fact {
    user: Option<UserId>,
    name: String,
    fact: String,
    updated: Timestamp,
}

impl Document for Fact {
    const KIND: RecordKind = RecordKind("memory");

    fn id(&self) -> String {
        id(self.user.as_ref(), &self.name)
    }

    fn tags(&self) -> Tags {
        Tags { sort: self.updated.0, listed: false, names: vec![tag(self.user.as_ref())] }
    }
}

// No user's name holds a line break, so no two pairs are written alike.
fn id(user: Option<&UserId>, name: &str) -> String {
    format!("{}\n{name}", user.map(ToString::to_string).unwrap_or_default())
}

fn tag(user: Option<&UserId>) -> Tag {
    Tag::new("user", user.map(ToString::to_string).unwrap_or_default())
}

/// What is remembered of one user.
#[derive(Clone)]
pub struct UserMemory {
    runtime: Runtime,
    documents: Documents,
    user: Option<UserId>,
}

impl Runtime {
    /// What is remembered of a user; of `None`, of all who have no name.
    pub fn memory(&self, owner: &Owner, user: Option<&UserId>) -> UserMemory {
        UserMemory { runtime: self.clone(), documents: self.documents(owner), user: user.cloned() }
    }
}

#[async_trait]
impl Memory for UserMemory {
    async fn remember(&self, name: &str, fact: &str) -> Result<(), MemoryError> {
        if name.is_empty() || name.len() > MAX_NAME_BYTES || name.chars().any(char::is_control) {
            let message = format!("a name has 1 to {MAX_NAME_BYTES} bytes and no control characters");
            return Err(MemoryError::Invalid(message));
        }
        if fact.len() > MAX_FACT_BYTES {
            return Err(MemoryError::Invalid(format!("a fact has at most {MAX_FACT_BYTES} bytes")));
        }
        let id = id(self.user.as_ref(), name);
        if self.documents.get::<Fact>(&id).await.map_err(unavailable)?.is_none() {
            let listing = Listing { tag: Some(tag(self.user.as_ref())), limit: 0, ..Listing::default() };
            let total = self.documents.list::<Fact>(listing).await.map_err(unavailable)?.total;
            if total >= MAX_FACTS {
                return Err(MemoryError::Invalid(format!("at most {MAX_FACTS} facts are kept; forget some")));
            }
        }
        let fact = Fact {
            user: self.user.clone(),
            name: name.into(),
            fact: fact.into(),
            updated: self.runtime.now(),
        };
        self.documents.write(Changes::default().put(&fact)).await.map_err(unavailable)
    }

    async fn facts(&self) -> Result<Vec<KeptFact>, MemoryError> {
        let kept = self.documents.all::<Fact>(Some(tag(self.user.as_ref()))).await.map_err(unavailable)?;
        let facts = kept.into_iter().rev().map(|kept| {
            let Fact { name, fact, updated, .. } = kept.value;
            KeptFact { name, fact, updated }
        });
        Ok(facts.collect())
    }

    async fn forget(&self, name: &str) -> Result<bool, MemoryError> {
        let id = id(self.user.as_ref(), name);
        let forget = |before: Option<Stored<Fact>>| {
            Ok::<_, Error>((before.is_some(), Changes::default().delete::<Fact>(&id)))
        };
        self.documents.change(&id, forget).await.map_err(unavailable)
    }
}

fn unavailable(error: Error) -> MemoryError {
    tracing::warn!(%error, "what is remembered of a user cannot be reached");
    MemoryError::Unavailable
}
