//! Versions on their way: drafted, edited, verified, published, given up, gone back to.
//!
//! Each change reads, decides and writes; if somebody else was faster, it looks again. Whoever makes a version changes
//! its document too, so two of them cannot both believe to be the first.

use serde_json::Value;
use uuid::Uuid;

use super::diff::{Change, ChangeKind, diff};
use super::document::{Content, TriageDocument, Verdict, Verification, Version, VersionStatus, drafts_for};
use super::documents::{TRIES, WhichVersion, check_content};
use super::entry::{Actor, EntryType, Saying};
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
            edits: Vec::new(),
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
            if self.written(changes.replace(&before, &after)).await? {
                if let Some(issue) = after.issue {
                    self.show_draft(issue).await?;
                }
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
            let open = self.open_draft(edit.issue, document).await?;
            let which =
                open.as_ref().map_or(WhichVersion::Production, |open| WhichVersion::Number(open.number));
            let (before, old) = self.version_with_content(&stored, which).await?;
            if open.is_some() && before.edits.iter().any(|done| done == edit.key) {
                return self.saved(&stored, before.value, &old).await;
            }
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
            draft.note_edit(edit.key.into());
            draft.updated = self.now();
            if let Some(summary) = edit.summary {
                draft.summary = summary.into();
            }
            let changes = Changes::default().put(&content_of(&draft, &content));
            let changes = match &open {
                Some(_) => changes.replace(&before, &draft),
                None => changes.and(grown(&stored, &draft)).create(&draft),
            };
            work.write(|more| more.and(changes));
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

    /// Notes what came of verifying a draft whose content had that hash.
    ///
    /// # Errors
    /// [`Error::NotFound`], `version_not_draft`; what the store says.
    pub async fn note_verification(
        &self,
        document: &str,
        which: WhichVersion,
        verdict: Verdict,
        run: &str,
        content_hash: &str,
    ) -> Result<Version, Error> {
        for _ in 0..TRIES {
            let before = self.version(&*self.document(document).await?, which).await?;
            must_be_draft(&before)?;
            let mut after = before.value.clone();
            let (run_id, content_hash, at) = (run.to_owned(), content_hash.to_owned(), self.now());
            after.verification = Some(Verification { verdict, run_id, content_hash, at });
            if self.written(Changes::default().replace(&before, &after)).await? {
                return Ok(after);
            }
        }
        Err(too_many())
    }

    /// Gives a draft up.
    ///
    /// # Errors
    /// [`Error::NotFound`], `version_not_draft`; what the store says.
    pub async fn discard(&self, document: &str, which: WhichVersion) -> Result<Version, Error> {
        for _ in 0..TRIES {
            let stored = self.document(document).await?;
            let before = self.version(&stored, which).await?;
            must_be_draft(&before)?;
            let mut after = before.value.clone();
            (after.status, after.updated) = (VersionStatus::Discarded, self.now());
            let changes = Changes::default().replace(&before, &after);
            if self.written_and_told(&stored, &after, "Gave up", changes).await? {
                return Ok(after);
            }
        }
        Err(too_many())
    }

    /// Makes a draft live, or goes back to a version that was. A bound agent changes in the same write; runs in
    /// flight keep the definition they began with.
    ///
    /// # Errors
    /// [`Error::NotFound`]; `stale_draft` if another version went live since it was made; `draft_not_verified` if
    /// it was made for an issue and has not passed as it is, unless `force`; `version_not_draft` if it was given
    /// up; what the store says.
    pub async fn publish(
        &self,
        document: &str,
        which: WhichVersion,
        force: bool,
    ) -> Result<TriageDocument, Error> {
        for _ in 0..TRIES {
            let stored = self.document(document).await?;
            let (before, content) = self.version_with_content(&stored, which).await?;
            if before.status == VersionStatus::Published && before.number == stored.production() {
                return Ok(stored.value);
            }
            may_go_live(&stored, &before, force)?;
            let now = self.now();
            let mut live = before.value.clone();
            if live.status == VersionStatus::Draft {
                (live.status, live.updated, live.published) = (VersionStatus::Published, now, Some(now));
            }
            let mut after = stored.value.clone();
            after.publish(live.number, now);
            let changes = Changes::default().replace(&stored, &after).replace(&before, &live);
            let changes = match &after.agent {
                Some(agent) => changes.and(binding::publish(self, agent, &content).await?),
                None => changes,
            };
            let what = if before.status == VersionStatus::Draft { "Published" } else { "Went back to" };
            if self.written_and_told(&after, &live, what, changes).await? {
                self.runtime.refresh(self.owner());
                return Ok(after);
            }
        }
        Err(too_many())
    }

    /// Whether a content does for a document, and for the agent it is bound to.
    async fn check_content(&self, document: &TriageDocument, content: &Value) -> Result<(), Error> {
        check_content(document.kind, content)?;
        match &document.agent {
            Some(agent) => binding::check(self, agent, content).await,
            None => Ok(()),
        }
    }

    /// The same, with a comment in the feed of the issue that the version was made for, if it is still there.
    async fn written_and_told(
        &self,
        document: &TriageDocument,
        version: &Version,
        what: &str,
        changes: Changes,
    ) -> Result<bool, Error> {
        let Some(issue) = version.issue else { return self.written(changes).await };
        let mut work = match self.work(issue).await {
            Err(Error::NotFound(_)) => return self.written(changes).await,
            work => work?,
        };
        let detail = format!("{what} version {} of {}", version.number, document.name);
        let saying = Saying::new(EntryType::Comment, Actor::system(), detail);
        work.say(saying.with("document_id", document.id.as_str()).with("version_number", version.number));
        work.main.issue.agent.close_draft(&version.id);
        work.write(|more| more.and(changes));
        settled(work.save().await)
    }

    /// Whether changes were written; `false` if somebody else was faster.
    async fn written(&self, changes: Changes) -> Result<bool, Error> {
        settled(self.documents.write(changes).await.map_err(Error::from))
    }
}

fn settled<T>(written: Result<T, Error>) -> Result<bool, Error> {
    match written {
        Ok(_) => Ok(true),
        Err(Error::Runtime(runtime::Error::Conflict(_))) => Ok(false),
        Err(error) => Err(error),
    }
}

fn may_go_live(document: &TriageDocument, version: &Version, force: bool) -> Result<(), Error> {
    match version.status {
        VersionStatus::Published => Ok(()),
        VersionStatus::Discarded => must_be_draft(version),
        VersionStatus::Draft if version.base != Some(document.production()) => {
            let production = document.production();
            let message = format!("Version {production} has gone live since this draft was made");
            Err(Error::conflict("stale_draft", message))
        }
        VersionStatus::Draft if version.issue.is_some() && !version.has_passed() && !force => {
            let message = "The draft has not passed a verification as it is now";
            Err(Error::conflict("draft_not_verified", message))
        }
        VersionStatus::Draft => Ok(()),
    }
}

fn must_be_draft(version: &Version) -> Result<(), Error> {
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

fn too_many() -> Error {
    runtime::Error::Conflict("changed by others again and again; try again".into()).into()
}
