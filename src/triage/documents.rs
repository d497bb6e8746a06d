//! The documents of a board: made, read, and found for an issue.

use std::collections::BTreeSet;

use serde_json::Value;
use uuid::Uuid;

use super::document::{
    Binding, CallDone, Concern, Content, DocumentKind, TriageDocument, Version, VersionStatus, drafts_of,
    of_document,
};
use super::entry::{Actor, of_issue};
use super::error::Error;
use super::evidence::ResourceType;
use super::form::{Fault, Faults};
use super::link::Link;
use super::{Board, binding, canonical};
use crate::domain::document::Tag;
use crate::domain::id::ComponentId;
use crate::domain::time::Timestamp;
use crate::runtime;
use crate::runtime::documents::{Changes, Listed, Listing, Stored};

/// Where nothing says so otherwise, how often a change is tried that others keep getting in the way of.
pub(super) const TRIES: usize = 16;

/// An order to make a document.
#[derive(Debug, Clone)]
pub struct NewDocument {
    /// For people.
    pub name: String,
    /// What sort.
    pub kind: DocumentKind,
    /// What its first version says.
    pub content: Value,
    /// The agent whose definition it is from now on.
    pub agent: Option<String>,
}

/// Which version of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhichVersion {
    /// By its number.
    Number(u32),
    /// The one that is live.
    Production,
    /// The newest open draft.
    Draft,
}

impl WhichVersion {
    /// A number, `production` or `draft`.
    pub fn read(text: &str) -> Option<Self> {
        match text {
            "production" => Some(Self::Production),
            "draft" => Some(Self::Draft),
            number => number.parse().ok().map(Self::Number),
        }
    }
}

impl Board {
    /// Makes a document whose first version is live.
    ///
    /// # Errors
    /// [`Error::Invalid`]; `already_exists` if the agent is bound to another document; what the store says.
    pub async fn create_document(&self, new: NewDocument, by: Actor) -> Result<TriageDocument, Error> {
        check_content(new.kind, &new.content)?;
        let NewDocument { name, kind, content, agent } = new;
        let (id, now) = (self.runtime.fresh().to_string(), self.now());
        let document = TriageDocument::new(id, name, kind, agent, now);
        let version = Version {
            id: self.runtime.fresh().to_string(),
            document: document.id.clone(),
            number: 1,
            status: VersionStatus::Published,
            base: None,
            content_hash: canonical::hash(&content),
            summary: String::new(),
            label: None,
            issue: None,
            session: None,
            created_by: by,
            verification: None,
            created: now,
            updated: now,
            published: Some(now),
        };
        let mut changes = Changes::default();
        if let Some(agent) = &document.agent {
            if kind != DocumentKind::AgentConfig {
                return Err(Error::invalid("bound_to", "only an agent_config can be bound to an agent"));
            }
            let bound = Binding { agent: agent.clone(), document: document.id.clone() };
            changes = binding::publish(self, agent, &content).await?.create(&bound);
        }
        let content = Content { version: Version::key(&document.id, 1), content };
        let changes = changes.create(&document).create(&version).create(&content);
        match self.documents.write(changes).await {
            Ok(()) => {
                self.runtime.refresh(self.owner());
                Ok(document)
            }
            Err(runtime::Error::Conflict(_)) => {
                Err(Error::conflict("already_exists", "The agent is bound to another document"))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// A document.
    ///
    /// # Errors
    /// [`Error::NotFound`]; what the store says.
    pub async fn document(&self, id: &str) -> Result<Stored<TriageDocument>, Error> {
        self.documents.get(id).await?.ok_or(Error::NotFound("Document"))
    }

    /// Part of the list of documents.
    ///
    /// # Errors
    /// What the store says.
    pub async fn documents_of(
        &self,
        kind: Option<DocumentKind>,
        listing: Listing,
    ) -> Result<Listed<TriageDocument>, Error> {
        let tag = kind.map(|kind| Tag::new("kind", kind.as_str()));
        Ok(self.documents.list(Listing { tag, ..listing }).await?)
    }

    /// The document an agent's definition comes from.
    ///
    /// # Errors
    /// What the store says.
    pub async fn document_bound_to(&self, agent: &ComponentId) -> Result<Option<TriageDocument>, Error> {
        let Some(bound) = self.documents.get::<Binding>(agent.as_str()).await? else { return Ok(None) };
        Ok(self.documents.get::<TriageDocument>(&bound.document).await?.map(|stored| stored.value))
    }

    /// Part of the list of a document's versions, without what they say.
    ///
    /// # Errors
    /// What the store says.
    pub async fn versions(&self, document: &str, listing: Listing) -> Result<Listed<Version>, Error> {
        let tag = Some(of_document(document));
        Ok(self.documents.list(Listing { tag, ..listing }).await?)
    }

    /// A version, without what it says.
    ///
    /// # Errors
    /// [`Error::NotFound`]; what the store says.
    pub async fn version(
        &self,
        document: &TriageDocument,
        which: WhichVersion,
    ) -> Result<Stored<Version>, Error> {
        let number = match which {
            WhichVersion::Number(number) => number,
            WhichVersion::Production => document.production(),
            WhichVersion::Draft => {
                let tag = Some(drafts_of(&document.id));
                let listing = Listing { tag, newest_first: true, limit: 1, ..Listing::default() };
                let found = self.documents.list::<Version>(listing).await?;
                return found.documents.into_iter().next().ok_or(Error::NotFound("Version"));
            }
        };
        let found = self.documents.get(&Version::key(&document.id, number)).await?;
        found.ok_or(Error::NotFound("Version"))
    }

    /// What a version says.
    ///
    /// # Errors
    /// What the store says; damaged if it is not there.
    pub async fn content(&self, version: &Version) -> Result<Value, Error> {
        let key = Version::key(&version.document, version.number);
        let found = self.documents.get::<Content>(&key).await?;
        Ok(found.ok_or(runtime::Error::Damaged)?.value.content)
    }

    /// A version and what it says, of one moment.
    ///
    /// # Errors
    /// As [`Board::version`] and [`Board::content`].
    pub async fn version_with_content(
        &self,
        document: &TriageDocument,
        which: WhichVersion,
    ) -> Result<(Stored<Version>, Value), Error> {
        for _ in 0..TRIES {
            let version = self.version(document, which).await?;
            let content = self.content(&version).await?;
            if canonical::hash(&content) == version.content_hash {
                return Ok((version, content));
            }
        }
        Err(runtime::Error::Damaged.into())
    }

    /// Says that an issue is about a document.
    ///
    /// # Errors
    /// [`Error::NotFound`]; what the store says.
    pub async fn concern(&self, issue: Uuid, document: &str) -> Result<(), Error> {
        let mut work = self.work(issue).await?;
        self.document(document).await?;
        let concern = Concern { issue, document: document.into(), at: work.now };
        work.write(|changes| changes.put(&concern));
        work.save().await.map(drop)
    }

    /// Takes that back.
    ///
    /// # Errors
    /// [`Error::NotFound`] if nobody said so; what the store says.
    pub async fn unconcern(&self, issue: Uuid, document: &str) -> Result<(), Error> {
        let mut work = self.work(issue).await?;
        let key = Concern::key(issue, document);
        if self.documents.get::<Concern>(&key).await?.is_none() {
            return Err(Error::NotFound("Document"));
        }
        work.write(|changes| changes.delete::<Concern>(&key));
        work.save().await.map(drop)
    }

    /// The documents an issue is about: those its conversations ran on, and those it was linked with; the ones
    /// that are there, without repetition.
    ///
    /// # Errors
    /// What the store says.
    pub async fn documents_about(&self, issue: Uuid) -> Result<Vec<TriageDocument>, Error> {
        let mut ids = Vec::new();
        for link in self.documents.all::<Link>(Some(of_issue(issue))).await? {
            if link.resource_type != ResourceType::File {
                let found = self.circumstances(link.resource_type, &link.resource_id).await?;
                ids.extend(found.and_then(|found| found.document));
            }
        }
        let linked = self.documents.all::<Concern>(Some(of_issue(issue))).await?;
        ids.extend(linked.into_iter().map(|concern| concern.value.document));
        let mut seen = BTreeSet::new();
        let mut found = Vec::new();
        for id in ids {
            if seen.insert(id.clone()) {
                found.extend(self.documents.get::<TriageDocument>(&id).await?.map(|stored| stored.value));
            }
        }
        Ok(found)
    }

    /// What must be written when an issue is deleted: it is about no document any more, and its open drafts are
    /// given up. Versions stay.
    ///
    /// # Errors
    /// What the store says.
    pub(super) async fn let_documents_go(&self, issue: Uuid) -> Result<Changes, Error> {
        let mut changes = Changes::default();
        for concern in self.documents.all::<Concern>(Some(of_issue(issue))).await? {
            changes = changes.delete::<Concern>(&Concern::key(issue, &concern.document));
        }
        for done in self.documents.all::<CallDone>(Some(of_issue(issue))).await? {
            changes = changes.delete::<CallDone>(&done.key);
        }
        for draft in self.drafts_for(issue).await? {
            changes = given_up(changes, &draft, self.now());
        }
        Ok(changes)
    }
}

/// Gives a draft up.
pub(super) fn given_up(changes: Changes, draft: &Stored<Version>, now: Timestamp) -> Changes {
    let mut after = draft.value.clone();
    (after.status, after.updated) = (VersionStatus::Discarded, now);
    changes.replace(draft, &after)
}

/// Whether a content does for its kind.
pub(super) fn check_content(kind: DocumentKind, content: &Value) -> Result<(), Error> {
    let mut faults = kind.faults(content);
    if canonical::canonical(content).len() > super::document::MAX_CONTENT_BYTES {
        let message = format!("must be at most {} bytes", super::document::MAX_CONTENT_BYTES);
        faults.push(Fault { path: "content".into(), message });
    }
    if faults.is_empty() { Ok(()) } else { Err(Faults(faults).into()) }
}
