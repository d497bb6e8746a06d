//! What becomes of a draft: it is verified, goes live, or is given up; and how one goes back to what was live before.

use uuid::Uuid;

use super::document::{CallDone, TriageDocument, Verdict, Verification, Version, VersionStatus};
use super::documents::{TRIES, WhichVersion};
use super::drafts::{must_be_draft, settled, too_many};
use super::entry::{Actor, EntryType, Saying};
use super::error::Error;
use super::{Board, binding};
use crate::runtime::documents::Changes;

impl Board {
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
            let changes = Changes::default().replace(&before, &after);
            if self.written_and_shown(&after, None, changes).await? {
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
        self.give_up(document, which, None).await
    }

    /// Gives the issue's open draft of a document up, in the name of a call; its number, if there was one. A call that
    /// comes again changes nothing.
    ///
    /// # Errors
    /// [`Error::NotFound`]; what the store says.
    pub async fn discard_for(&self, issue: Uuid, document: &str, key: &str) -> Result<Option<u32>, Error> {
        if let Some(done) = self.documents.get::<CallDone>(key).await? {
            return Ok(Some(done.number));
        }
        let Some(draft) = self.open_draft(issue, document).await? else { return Ok(None) };
        let done = CallDone { key: key.into(), issue, number: draft.number };
        let which = WhichVersion::Number(draft.number);
        self.give_up(document, which, Some(&done)).await.map(|given_up| Some(given_up.number))
    }

    async fn give_up(
        &self,
        document: &str,
        which: WhichVersion,
        done: Option<&CallDone>,
    ) -> Result<Version, Error> {
        for _ in 0..TRIES {
            let stored = self.document(document).await?;
            let before = self.version(&stored, which).await?;
            must_be_draft(&before)?;
            let mut after = before.value.clone();
            (after.status, after.updated) = (VersionStatus::Discarded, self.now());
            let changes = done.into_iter().fold(Changes::default().replace(&before, &after), Changes::create);
            if self.written_and_shown(&after, Some(told("Gave up", &stored, &after)), changes).await? {
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
            if self.written_and_shown(&live, Some(told(what, &after, &live)), changes).await? {
                self.runtime.refresh(self.owner());
                return Ok(after);
            }
        }
        Err(too_many())
    }

    /// Writes what became of a version, with what the issue it was made for shows of it and says of it in its feed, if
    /// that is still there; `false` if somebody else was faster.
    pub(super) async fn written_and_shown(
        &self,
        version: &Version,
        saying: Option<Saying>,
        changes: Changes,
    ) -> Result<bool, Error> {
        let Some(issue) = version.issue else { return self.written(changes).await };
        let mut work = match self.work(issue).await {
            Err(Error::NotFound(_)) => return self.written(changes).await,
            work => work?,
        };
        if let Some(saying) = saying {
            work.say(saying);
        }
        self.show_changed_draft(&mut work, version).await?;
        work.write(|more| more.and(changes));
        settled(work.save().await)
    }
}

/// What the feed says of what became of a version.
fn told(what: &str, document: &TriageDocument, version: &Version) -> Saying {
    let detail = format!("{what} version {} of {}", version.number, document.name);
    let saying = Saying::new(EntryType::Comment, Actor::system(), detail);
    saying.with("document_id", document.id.as_str()).with("version_number", version.number)
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
