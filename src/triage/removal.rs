//! Issues that are taken away, with all that hangs on them.
//!
//! What is little goes in one write. Where it is more, the first write takes the issue itself and says what is still to
//! be done; from then on there is no issue. The rest follows in steps, and what a crash cuts off is finished before the
//! board is used again.

use futures::future::try_join_all;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Board;
use super::desk::Leave;
use super::documents::given_up;
use super::entry::{Actor, Change, Entry, EntryType, IssueShown, of_issue};
use super::error::Error;
use super::flag::Flag;
use super::issue::Issue;
use super::link::Link;
use super::relation::{self, Relation};
use super::ties::tied;
use super::views::View;
use super::work::Work;
use crate::domain::document::{RecordKind, Tag, Tags};
use crate::runtime;
use crate::runtime::documents::{Changes, Document, Listing, Stored};

/// Most records that go with an issue in one write.
const LITTLE: u64 = 400;

/// Most relations that go in one write: each changes another issue.
const FEW_RELATIONS: u64 = 16;

/// Records of a step.
const STEP: usize = 200;

/// Relations that are undone at the same time.
const AT_ONCE: usize = 16;

/// An issue that is gone, and whose remains are not.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Removal {
    /// As it was.
    issue: IssueShown,
    /// Who took it away.
    by: Actor,
}

impl Document for Removal {
    const KIND: RecordKind = RecordKind("triage_removal");

    fn id(&self) -> String {
        self.issue.id.to_string()
    }

    fn tags(&self) -> Tags {
        Tags { sort: 0, listed: true, names: Vec::new() }
    }
}

impl Board {
    /// Takes an issue away with all that hangs on it.
    ///
    /// # Errors
    /// [`Error::NotFound`]; what the store says; then it is all there.
    pub async fn delete_issue(&self, id: Uuid, by: &Actor) -> Result<(), Error> {
        self.held().await?;
        let leave = self.leave_with_relations(id).await?;
        let mut work = self.work_with(leave, id).await?;
        let (runs, sessions) = self.let_norm_go(id).await?;
        work.write(|changes| changes.and(runs));
        work.delete_issue();
        let is_little = self.has_little(id).await?;
        if is_little {
            self.take_along(&mut work, by).await?;
        }
        let rest = (!is_little).then(|| Removal { issue: (&work.main.issue).into(), by: by.clone() });
        work.write(|changes| rest.iter().fold(changes, Changes::create));
        let board = self.clone();
        // Once begun it is done, even if whoever asked does not wait any more.
        let going = tokio::spawn(async move {
            work.save().await?;
            if let Some(removal) = rest
                && let Err(error) = board.finish(&removal).await
            {
                tracing::warn!(%error, issue = %id, "what hung on a deleted issue goes when the board is opened again");
            }
            board.end_sessions(&sessions).await;
            Ok(())
        });
        going.await.unwrap_or(Err(Error::Runtime(runtime::Error::Internal)))
    }

    /// A turn to change an issue, and those it is related to.
    async fn leave_with_relations(&self, id: Uuid) -> Result<Leave, Error> {
        let leave = self.desk.leave(id).await;
        if self.relations_of(id).await? == 0 {
            return Ok(leave);
        }
        drop(leave);
        Ok(self.desk.leave_for_all().await)
    }

    async fn relations_of(&self, id: Uuid) -> Result<u64, Error> {
        let made = self.count::<Relation>(relation::source(id)).await?;
        Ok(made.saturating_add(self.count::<Relation>(relation::target(id)).await?))
    }

    /// Whether all that hangs on an issue fits one write well.
    async fn has_little(&self, id: Uuid) -> Result<bool, Error> {
        let here = || of_issue(id);
        let records = [
            self.count::<Entry>(here()).await?,
            self.count::<Change>(here()).await?,
            self.count::<Link>(here()).await?,
            self.count::<View>(here()).await?,
            self.count::<Flag>(here()).await?,
        ];
        let is_little =
            records.iter().sum::<u64>() <= LITTLE && self.relations_of(id).await? <= FEW_RELATIONS;
        Ok(is_little && self.drafts_for(id).await?.len() <= 1)
    }

    async fn count<D: Document>(&self, tag: Tag) -> Result<u64, Error> {
        let listing = Listing { tag: Some(tag), limit: 0, ..Listing::default() };
        Ok(self.documents.list::<D>(listing).await?.total)
    }

    /// Takes all that hangs on an issue along in the same write.
    async fn take_along(&self, work: &mut Work, by: &Actor) -> Result<(), Error> {
        let (id, documents) = (work.main.issue.id, &self.documents);
        let here = || Some(of_issue(id));
        for flag in documents.all::<Flag>(here()).await? {
            work.lower(flag.value);
        }
        for tag in [relation::source(id), relation::target(id)] {
            for relation in documents.all::<Relation>(Some(tag)).await? {
                self.untie(work, &relation, by).await?;
            }
        }
        let entries = without(&documents.all::<Entry>(here()).await?);
        let changes = without(&documents.all::<Change>(here()).await?);
        let links = without(&documents.all::<Link>(here()).await?);
        let views = without(&documents.all::<View>(here()).await?);
        let drafts = self.let_documents_go(id).await?;
        work.write(|all| all.and(entries).and(changes).and(links).and(views).and(drafts));
        Ok(())
    }

    /// Finishes what was cut off when the server ended; before anybody uses the board.
    pub(super) async fn finish_removals(&self) {
        let begun = self.documents.all::<Removal>(None).await;
        for removal in begun.into_iter().flatten() {
            if let Err(error) = self.finish(&removal.value).await {
                tracing::warn!(%error, issue = %removal.value.issue.id, "a deleted issue left something behind");
            }
        }
    }

    /// Takes away what is left of an issue that is gone, and the word that there is something to be done.
    async fn finish(&self, removal: &Removal) -> Result<(), Error> {
        let id = removal.issue.id;
        for tag in [relation::source(id), relation::target(id)] {
            for relations in self.documents.all::<Relation>(Some(tag)).await?.chunks(AT_ONCE) {
                let undone = relations.iter().map(|relation| self.undo(relation.value.id, removal));
                try_join_all(undone).await?;
            }
        }
        self.sweep::<Flag>(id, |flag| {
            if let Some(held) = self.desk.held_already() {
                held.flag_types_mut().remove(flag);
            }
        })
        .await?;
        self.sweep::<Entry>(id, |_| {}).await?;
        self.sweep::<Change>(id, |_| {}).await?;
        self.sweep::<Link>(id, |_| {}).await?;
        self.sweep::<View>(id, |_| {}).await?;
        for draft in self.drafts_for(id).await? {
            self.documents.write(given_up(Changes::default(), &draft, self.now())).await?;
        }
        let last = self.let_documents_go(id).await?.delete::<Removal>(&removal.id());
        Ok(self.documents.write(last).await?)
    }

    /// Takes a relation away, and says so on the side that is still there.
    async fn undo(&self, relation: Uuid, removal: &Removal) -> Result<(), Error> {
        let gone = &removal.issue;
        let Some(found) = self.documents.get::<Relation>(&relation.to_string()).await? else { return Ok(()) };
        let other = found.other(gone.id);
        let _leave = self.desk.leave(other).await;
        let Some(relation) = self.documents.get::<Relation>(&relation.to_string()).await? else {
            return Ok(());
        };
        let changes = Changes::default().delete::<Relation>(&relation.id.to_string());
        let Some(before) = self.documents.get::<Issue>(&other.to_string()).await? else {
            return Ok(self.documents.write(changes).await?);
        };
        let (mut issue, now) = (before.value.clone(), self.now());
        let removed = EntryType::RelationRemoved;
        issue.count_relation(removed, now);
        let entry = issue.enter(self.fresh(), tied(removed, &relation, &removal.by, gone.clone()), now);
        self.documents.write(changes.replace(&before, &issue).create(&entry)).await?;
        if let Some(held) = self.desk.held_already() {
            held.index_mut().put(&issue);
        }
        self.desk.tell(issue.id, issue.feed);
        Ok(())
    }

    /// Takes all documents of a kind away that hang on an issue, some at a time.
    async fn sweep<D: Document>(&self, issue: Uuid, gone: impl Fn(&D)) -> Result<(), Error> {
        let mut after = None;
        loop {
            let tag = Some(of_issue(issue));
            let part =
                self.documents.list::<D>(Listing { tag, after, limit: STEP, ..Listing::default() }).await?;
            self.documents.write(without(&part.documents)).await?;
            part.documents.iter().for_each(|document| gone(&document.value));
            after = part.next;
            if after.is_none() {
                return Ok(());
            }
        }
    }
}

/// Takes documents away.
fn without<D: Document>(documents: &[Stored<D>]) -> Changes {
    documents.iter().fold(Changes::default(), |changes, found| changes.delete::<D>(&found.value.id()))
}
