//! The feed of an issue: what happened to it, in order, and what happens while somebody watches.

use tokio::sync::watch;
use uuid::Uuid;

use super::Board;
use super::entry::{Change, Entry, EntryKind, entry_key, of_issue, of_kind, of_run, of_session};
use super::error::Error;
use super::page::Part;
use crate::domain::document::{Place, Tag};

/// Something that happened to a feed, for who watches.
#[derive(Debug, Clone, PartialEq)]
pub struct Happening {
    /// Its place; to go on after it later.
    pub seq: u64,
    /// The entry as it is now.
    pub entry: Entry,
    /// Whether an entry that was there was changed.
    pub is_change: bool,
}

/// Which entries of a feed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct FeedQuery {
    /// The oldest first.
    pub is_ascending: bool,
    /// Of one sort of writer.
    pub kind: Option<EntryKind>,
    /// Of an agent session.
    pub session: Option<Uuid>,
    /// Of a run.
    pub run: Option<Uuid>,
}

impl FeedQuery {
    /// The shortest list the entries are all in.
    fn tag(&self, issue: Uuid) -> Tag {
        match (self.run, self.session, self.kind) {
            (Some(run), _, _) => of_run(run),
            (None, Some(session), _) => of_session(issue, session),
            (None, None, Some(kind)) => of_kind(issue, kind),
            (None, None, None) => of_issue(issue),
        }
    }

    fn fits(&self, entry: &Entry) -> bool {
        let session = entry.saying.agent.as_ref().map(|agent| agent.session);
        self.kind.is_none_or(|kind| kind == entry.kind())
            && self.session.is_none_or(|wanted| session == Some(wanted))
    }
}

impl Board {
    /// Part of an issue's feed.
    ///
    /// # Errors
    /// [`Error::NotFound`]; what the store says.
    pub async fn feed(
        &self,
        issue: Uuid,
        query: FeedQuery,
        after: Option<Place>,
        limit: usize,
    ) -> Result<Part<Entry>, Error> {
        self.issue(issue).await?;
        let tag = query.tag(issue);
        let mut part = self.part::<Entry>(tag, !query.is_ascending, after, limit).await?;
        // A run's list or a session's holds what fits, or nothing that does: whole pages are kept or dropped.
        if !part.items.iter().all(|entry| entry.issue == issue && query.fits(entry)) {
            part = Part { items: Vec::new(), next: None };
        }
        Ok(part)
    }

    /// What happened to a feed after a number, in order: about `limit` of it. Nothing is left out: an entry that was
    /// changed since is told again, where it was changed.
    ///
    /// # Errors
    /// What the store says.
    pub async fn happenings(&self, issue: Uuid, after: u64, limit: usize) -> Result<Vec<Happening>, Error> {
        let place = || Some(Place { sort: after, id: char::MAX.to_string() });
        let entries = self.part::<Entry>(of_issue(issue), false, place(), limit).await?;
        let changes = self.part::<Change>(of_issue(issue), false, place(), limit).await?;
        let known_up_to = |next: Option<Place>| next.map_or(u64::MAX, |place| place.sort);
        let horizon = known_up_to(entries.next).min(known_up_to(changes.next));
        let mut found: Vec<Happening> = entries
            .items
            .into_iter()
            .map(|entry| Happening { seq: entry.seq, entry, is_change: false })
            .collect();
        for change in changes.items.into_iter().filter(|change| change.seq <= horizon) {
            if let Some(entry) = self.documents.get::<Entry>(&entry_key(issue, change.entry)).await? {
                found.push(Happening { seq: change.seq, entry: entry.value, is_change: true });
            }
        }
        found.retain(|happening| happening.seq <= horizon);
        found.sort_by_key(|happening| happening.seq);
        Ok(found)
    }

    /// Tells when an issue's feed goes on: the last number of it. Ends when the issue is gone.
    pub fn watch(&self, issue: Uuid) -> watch::Receiver<u64> {
        self.desk.watch(issue)
    }

    /// An entry.
    ///
    /// # Errors
    /// What the store says.
    pub async fn entry(&self, issue: Uuid, entry: Uuid) -> Result<Option<Entry>, Error> {
        let found = self.documents.get::<Entry>(&entry_key(issue, entry)).await?;
        Ok(found.map(|stored| stored.value))
    }
}
