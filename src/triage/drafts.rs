//! Versions on their way: drafted and edited; `publishing` is what becomes of them.
//!
//! Each change reads, decides and writes; if somebody else was faster, it looks again. Whoever makes a version changes
//! its document too, so two of them cannot both believe to be the first.

use serde_json::Value;
use uuid::Uuid;

use super::diff::{Change, ChangeKind, diff};
use super::document::{CallDone, Content, TriageDocument, Version, VersionStatus, drafts_for};
use super::documents::{TRIES, WhichVersion, check_content};
use super::entry::Actor;
use super::error::Error;
use super::form::Given;
use super::patch::{self, Op};
use super::{Board, binding, canonical};
use crate::runtime;
use crate::runtime::documents::{Changes, Stored};

/// An order to make a draft.
#[derive(Debug, Clone)]
pub struct NewDraft {
    /// What it says.
    pub content: Value,
    /// What it changes, for people.
    pub summary: String,
    /// The version it was made from; production if absent.
    pub base: Option<u32>,
}

/// Changes of a draft.
#[derive(Debug, Clone)]
pub struct DraftPatch {
    /// What it says.
    pub content: Option<Value>,
    /// What it changes, for people.
    pub summary: Option<String>,
    /// A short name; `null` takes it away.
    pub label: Given<String>,
}

/// An edit that somebody works out for an issue.
#[derive(Debug, Clone)]
pub struct DraftEdit<'a> {
    /// For which issue.
    pub issue: Uuid,
    /// In which session.
    pub session: &'a str,
    /// Names the edit: one that comes again changes nothing.
    pub key: &'a str,
    /// What is done to the open draft, or to production if there is none.
    pub ops: &'a [Op],
    /// What it changes, for people.
    pub summary: Option<&'a str>,
}

/// A draft that was saved.
#[derive(Debug, Clone, PartialEq)]
pub struct SavedDraft {
    /// The draft.
    pub version: Version,
    /// What it changes in the version it was made from.
    pub changes: Vec<Change>,
}

impl Board {
    /// Makes a draft by hand.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Invalid`]; what the store says.
    pub async fn draft(&self, document: &str, new: NewDraft, by: Actor) -> Result<Version, Error> {
        for _ in 0..TRIES {
            let stored = self.document(document).await?;
            self.check_content(&stored, &new.content).await?;
            let base = new.base.unwrap_or(stored.production());
            if let Err(Error::NotFound(_)) = self.version(&stored, WhichVersion::Number(base)).await {
                return Err(Error::invalid("base_version_number", "there is no such version"));
            }
            let mut draft = self.fork(&stored, base, &new.content, by.clone());
            draft.summary.clone_from(&new.summary);
            let changes = grown(&stored, &draft).create(&draft).create(&content_of(&draft, &new.content));
            if self.written(changes).await? {
                return Ok(draft);
            }
        }
        Err(too_many())
    }

    /// The next version of a document, not written yet.
    fn fork(&self, document: &TriageDocument, base: u32, content: &Value, by: Actor) -> Version {
        let now = self.now();
        Version {
            id: self.runtime.fresh().to_string(),
            document: document.id.clone(),
            number: document.latest.saturating_add(1),
            status: VersionStatus::Draft,
            base: Some(base),
            content_hash: canonical::hash(content),
            summary: String::new(),
            label: None,
            issue: None,
            session: None,
            created_by: by,
            verification: None,
            created: now,
            updated: now,
            published: None,
        }
    }

    /// Changes a draft by hand.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Invalid`], `version_not_draft`; what the store says.
    pub async fn change_draft(
        &self,
        document: &str,
        which: WhichVersion,
        patch: DraftPatch,
    ) -> Result<(Version, Value), Error> {
        for _ in 0..TRIES {
            let stored = self.document(document).await?;
            let (before, old) = self.version_with_content(&stored, which).await?;
            must_be_draft(&before)?;
            let mut after = before.value.clone();
            let mut changes = Changes::default();
            if let Some(content) = &patch.content {
                self.check_content(&stored, content).await?;
                after.hold(canonical::hash(content));
                changes = changes.put(&content_of(&after, content));
            }
            if let Some(summary) = &patch.summary {
                after.summary.clone_from(summary);
            }
            match &patch.label {
                Given::Absent => {}
                Given::Null => after.label = None,
                Given::Value(label) => after.label = Some(label.clone()),
            }
            after.updated = self.now();
            if self.written_and_shown(&after, None, changes.replace(&before, &after)).await? {
                return Ok((after, patch.content.clone().unwrap_or(old)));
            }
        }
        Err(too_many())
    }

    /// Edits the issue's open draft of a document; the first edit makes one from production.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Invalid`] if an edit does not fit, or what comes out does not do; what the
    /// store says.
    pub async fn edit_draft(
        &self,
        document: &str,
        edit: &DraftEdit<'_>,
        by: Actor,
    ) -> Result<SavedDraft, Error> {
        for _ in 0..TRIES {
            let mut work = self.work(edit.issue).await?;
            let stored = self.document(document).await?;
            if let Some(done) = self.documents.get::<CallDone>(edit.key).await? {
                let which = WhichVersion::Number(done.number);
                let (made, content) = self.version_with_content(&stored, which).await?;
                return self.saved(&stored, made.value, &content).await;
            }
            let open = self.open_draft(edit.issue, document).await?;
            let which =
                open.as_ref().map_or(WhichVersion::Production, |open| WhichVersion::Number(open.number));
            let (before, old) = self.version_with_content(&stored, which).await?;
            let misfit =
                |misfit: patch::Misfit| Error::invalid(format!("ops.{}", misfit.index), misfit.reason);
            let content = patch::apply(&old, edit.ops).map_err(misfit)?;
            self.check_content(&stored, &content).await?;
            let mut draft = match &open {
                Some(_) => before.value.clone(),
                None => self.fork(&stored, before.number, &content, by.clone()),
            };
            (draft.issue, draft.session) = (Some(edit.issue), Some(edit.session.into()));
            draft.hold(canonical::hash(&content));
            draft.updated = self.now();
            if let Some(summary) = edit.summary {
                draft.summary = summary.into();
            }
            let changes = Changes::default().put(&content_of(&draft, &content));
            let changes = match &open {
                Some(_) => changes.replace(&before, &draft),
                None => changes.and(grown(&stored, &draft)).create(&draft),
            };
            let done = CallDone { key: edit.key.into(), issue: edit.issue, number: draft.number };
            work.write(|more| more.and(changes).create(&done));
            self.show_changed_draft(&mut work, &draft).await?;
            if settled(work.save().await)? {
                return self.saved(&stored, draft, &content).await;
            }
        }
        Err(too_many())
    }

    async fn saved(
        &self,
        document: &TriageDocument,
        version: Version,
        content: &Value,
    ) -> Result<SavedDraft, Error> {
        let base = WhichVersion::Number(version.base.unwrap_or(document.production()));
        let (_, base) = self.version_with_content(document, base).await?;
        Ok(SavedDraft { version, changes: diff(&base, content) })
    }

    /// The open drafts for an issue, oldest first.
    ///
    /// # Errors
    /// What the store says.
    pub async fn drafts_for(&self, issue: Uuid) -> Result<Vec<Stored<Version>>, Error> {
        let mut found = self.documents.all::<Version>(Some(drafts_for(issue))).await?;
        found.sort_by_key(|draft| (draft.created, draft.id.clone()));
        Ok(found)
    }

    /// The open draft of a document for an issue; there is at most one.
    ///
    /// # Errors
    /// What the store says.
    pub async fn open_draft(&self, issue: Uuid, document: &str) -> Result<Option<Stored<Version>>, Error> {
        let drafts = self.drafts_for(issue).await?;
        Ok(drafts.into_iter().find(|draft| draft.document == document))
    }

    /// What leads from one version of a document to another; by default from the one it was made from.
    ///
    /// # Errors
    /// [`Error::NotFound`]; what the store says.
    pub async fn difference(
        &self,
        document: &TriageDocument,
        to: WhichVersion,
        from: Option<WhichVersion>,
    ) -> Result<(Option<u32>, u32, Vec<Change>), Error> {
        let (version, content) = self.version_with_content(document, to).await?;
        match from.or(version.base.map(WhichVersion::Number)) {
            Some(from) => {
                let (base, before) = self.version_with_content(document, from).await?;
                Ok((Some(base.number), version.number, diff(&before, &content)))
            }
            None => {
                let whole =
                    Change { op: ChangeKind::Add, path: String::new(), old: Value::Null, new: content };
                Ok((None, version.number, vec![whole]))
            }
        }
    }

    /// Whether a content does for a document, and for the agent it is bound to.
    async fn check_content(&self, document: &TriageDocument, content: &Value) -> Result<(), Error> {
        check_content(document.kind, content)?;
        match &document.agent {
            Some(agent) => binding::check(self, agent, content).await,
            None => Ok(()),
        }
    }

    /// Whether changes were written; `false` if somebody else was faster.
    pub(super) async fn written(&self, changes: Changes) -> Result<bool, Error> {
        settled(self.documents.write(changes).await.map_err(Error::from))
    }
}

pub(super) fn settled<T>(written: Result<T, Error>) -> Result<bool, Error> {
    match written {
        Ok(_) => Ok(true),
        Err(Error::Runtime(runtime::Error::Conflict(_))) => Ok(false),
        Err(error) => Err(error),
    }
}

pub(super) fn must_be_draft(version: &Version) -> Result<(), Error> {
    if version.status == VersionStatus::Draft {
        return Ok(());
    }
    let message = format!("Version {} is {}", version.number, version.status);
    Err(Error::conflict("version_not_draft", message))
}

/// The document, with one version more.
fn grown(document: &Stored<TriageDocument>, draft: &Version) -> Changes {
    let mut after = document.value.clone();
    (after.latest, after.updated) = (draft.number, draft.created);
    Changes::default().replace(document, &after)
}

fn content_of(version: &Version, content: &Value) -> Content {
    Content { version: Version::key(&version.document, version.number), content: content.clone() }
}

pub(super) fn too_many() -> Error {
    runtime::Error::Conflict("changed by others again and again; try again".into()).into()
}
