//! What a forked session has in common with the sessions it was made of: read in their logs, under names of its own.
//!
//! A fork's log begins with one entry, [`Fact::Forked`], which stands for the entries of others and takes their
//! numbers, so that its own go on from there. Nothing is copied. A run that is shared is told by its name
//! ([`Fork::of_run`]), and is what it was when the fork was made, whatever became of it since.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;

use super::error::Error;
use super::records::{self, RUN};
use crate::domain::document::{Page, Place, Query, Tag};
use crate::domain::fact::{Entry, Fact, RunStart, Seq};
use crate::domain::fork::{Fork, Origin, Shared, Way};
use crate::domain::id::{Owner, RunId, SessionId};
use crate::domain::run::{Run, Session};
use crate::domain::view::RunView;
use crate::store::{Log, Store, StoreError};

/// Where a session comes from.
#[derive(Debug)]
pub(super) struct Lineage {
    owner: Owner,
    fork: Fork,
    /// The session it was made of.
    of: SessionId,
    /// What it reads of others, in order.
    pub(super) shared: Vec<Shared>,
    /// What runs are called here, as far as they were met; nothing for those that were not over.
    names: HashMap<RunId, Option<RunId>>,
}

impl Lineage {
    /// Of a session; `None` if it was made of no other.
    pub(super) async fn of(store: &dyn Store, log: &Log) -> Result<Option<Self>, Error> {
        let Some(fork) = Fork::of_session(&log.session) else { return Ok(None) };
        if begin(store, log).await? != Some(0) {
            return Ok(None);
        }
        let first = store.read(log, 0, 1).await?.into_iter().next().map(|entry| entry.fact);
        let Some(Fact::Forked { of, shared }) = first else { return Ok(None) };
        Ok(Some(Self { owner: log.owner.clone(), fork, of, shared, names: HashMap::new() }))
    }

    /// The last number that is not the session's own.
    pub(super) fn point(&self) -> Seq {
        self.shared.last().map_or(0, |last| last.upto)
    }

    fn log(&self, part: &Shared) -> Log {
        Log { owner: self.owner.clone(), session: part.session.clone() }
    }

    /// Shared entries after a number, up to so many; none if there are no more.
    pub(super) async fn read(
        &mut self,
        store: &dyn Store,
        after: Seq,
        limit: usize,
    ) -> Result<Vec<Entry>, Error> {
        let mut at = after;
        while let Some(part) = self.shared.iter().find(|part| part.upto > at).cloned() {
            at = at.max(part.after);
            let mut page = store.read(&self.log(&part), at, limit).await?;
            at = page.last().map_or(part.upto, |last| last.last_seq().min(part.upto));
            page.retain(|entry| entry.seq <= part.upto);
            let mut found = Vec::with_capacity(page.len());
            for entry in page {
                found.extend(self.told(store, entry, None).await?);
            }
            if !found.is_empty() {
                return Ok(found);
            }
        }
        Ok(Vec::new())
    }

    /// A shared run by its first entry.
    pub(super) async fn run(&mut self, store: &dyn Store, first: Seq) -> Result<Option<Run>, Error> {
        let (runs, _) = self.runs(store, first.checked_add(1), 1).await?;
        Ok(runs.into_iter().find(|run| run.first == first))
    }

    /// Shared runs that begin before an entry, newest first, and the entry before which there may be more; 0 is none.
    pub(super) async fn runs(
        &mut self,
        store: &dyn Store,
        before: Option<Seq>,
        limit: usize,
    ) -> Result<(Vec<Run>, Seq), Error> {
        let mut found: Vec<Run> = Vec::new();
        let mut more = 0;
        // What a later session says of a run counts more than what an earlier one does.
        for part in self.shared.clone().iter().rev() {
            if found.len() >= limit && more > part.upto {
                break;
            }
            let (records, rest) = of_session(store, &self.log(part), before, limit).await?;
            more = more.max(rest);
            for run in records {
                let is_own = run.first > part.after || Fork::of_run(run.id).is_some();
                let known = found.iter().any(|known| known.first == run.first);
                if let Some(run) = run.as_of(part.upto).filter(|_| is_own && !known) {
                    found.push(self.record(store, run).await?);
                }
            }
        }
        found.retain(|run| run.first >= more);
        found.sort_by_key(|run| std::cmp::Reverse(run.first));
        Ok((found, more))
    }

    /// The records of shared runs that carry a tag which names another shared run, oldest first.
    pub(super) async fn below(
        &mut self,
        store: &dyn Store,
        first: Seq,
        tag: impl Fn(RunId) -> Tag,
    ) -> Result<Vec<Run>, Error> {
        let Some((part, original)) = self.original(store, first).await? else { return Ok(Vec::new()) };
        let mut runs = Vec::new();
        for run in tagged(store, &self.owner, &tag(original.id)).await? {
            if let Some(run) = run.as_of(part.upto) {
                runs.push(self.record(store, run).await?);
            }
        }
        Ok(runs)
    }

    /// The entries of a shared run, and of those below it, as `read` finds them where they are.
    pub(super) async fn entries<R>(
        &mut self,
        store: &dyn Store,
        first: Seq,
        read: impl FnOnce(Log, Run) -> R,
    ) -> Result<Option<Vec<Entry>>, Error>
    where
        R: Future<Output = Result<Vec<Entry>, Error>>,
    {
        let Some((part, original)) = self.original(store, first).await? else { return Ok(None) };
        let entries = read(self.log(&part), original).await?;
        let mut told = Vec::with_capacity(entries.len());
        for entry in &entries {
            let is_start = matches!(entry.fact, Fact::RunStarted(_));
            let view = is_start.then(|| RunView::of(entry.run, &entries)).flatten();
            told.extend(self.told(store, entry.clone(), view.as_ref()).await?);
        }
        Ok(Some(told))
    }

    /// The run that begins with this entry, and what it is part of.
    async fn original(&self, store: &dyn Store, first: Seq) -> Result<Option<(Shared, Run)>, Error> {
        let part = self.shared.iter().find(|part| part.after < first && first <= part.upto);
        let Some(part) = part else { return Ok(None) };
        let (runs, _) = of_session(store, &self.log(part), first.checked_add(1), 1).await?;
        let run = runs.into_iter().find(|run| run.first == first);
        Ok(run.map(|run| (part.clone(), run)))
    }

    /// A record with the names that things have here.
    async fn record(&mut self, store: &dyn Store, run: Run) -> Result<Run, Error> {
        let (mut parent, mut root) = (run.parent, run.root);
        for above in [&mut parent, &mut root].into_iter().flatten() {
            *above = self.name(store, *above).await?;
        }
        let (id, session) = (self.fork.run(run.first), self.fork.session());
        Ok(Run { id, session, parent, root, gone: false, ..run })
    }

    /// What a run is called here; as it is, if it is not shared.
    async fn name(&mut self, store: &dyn Store, run: RunId) -> Result<RunId, Error> {
        Ok(self.named(store, run).await?.unwrap_or(run))
    }

    async fn named(&mut self, store: &dyn Store, run: RunId) -> Result<Option<RunId>, Error> {
        let slot = match self.names.entry(run) {
            Slot::Occupied(known) => return Ok(*known.get()),
            Slot::Vacant(slot) => slot,
        };
        if let Some((_, first)) = Fork::of_run(run) {
            return Ok(*slot.insert(Some(self.fork.run(first))));
        }
        let record = store.get(&records::run_key(&self.owner, run)).await?;
        let shared = record.as_ref().and_then(|record| records::parse::<Run>(record).ok()).and_then(|run| {
            let part = self.shared.iter().find(|part| part.session == run.session)?;
            run.as_of(part.upto)
        });
        Ok(*slot.insert(shared.map(|run| self.fork.run(run.first))))
    }

    /// An entry with the names that things have here; `None` if its run is not shared. `view` is all of a run that
    /// begins with it.
    async fn told(
        &mut self,
        store: &dyn Store,
        mut entry: Entry,
        view: Option<&RunView>,
    ) -> Result<Option<Entry>, Error> {
        let was = entry.run;
        let Some(run) = self.named(store, was).await? else { return Ok(None) };
        entry.run = run;
        if let Fact::RunStarted(start) = &mut entry.fact {
            start.origin = Some(self.origin(store, (was, entry.seq), start, view).await?);
            start.session = self.fork.session();
            if let Some(parent) = &mut start.parent {
                *parent = self.name(store, *parent).await?;
            }
        }
        if let Fact::RunPrepared { history, .. } = &mut entry.fact {
            for run in history {
                *run = self.name(store, *run).await?;
            }
        }
        if let Fact::StepFinished { output, .. } = &mut entry.fact
            && let Some(run) = &mut output.run
        {
            *run = self.name(store, *run).await?;
        }
        Ok(Some(entry))
    }

    /// Where a shared run comes from: the session this one was made of, in which it may be shared too.
    async fn origin(
        &mut self,
        store: &dyn Store,
        (run, first): (RunId, Seq),
        start: &RunStart,
        view: Option<&RunView>,
    ) -> Result<Origin, Error> {
        let messages = view.map_or(0, |view| view.messages().len());
        let system = view.is_some_and(|view| view.system.is_some());
        let mut own = start.origin.as_ref();
        while let Some(Origin { way: Way::Copied { origin }, .. }) = own {
            own = origin.as_deref();
        }
        let mut own = own.cloned();
        if let Some(own) = &mut own {
            (own.run, own.session) = (self.name(store, own.run).await?, self.fork.session());
        }
        let there = if start.session == self.of { None } else { Fork::of_session(&self.of) };
        Ok(Origin {
            run: there.map_or(run, |there| there.run(first)),
            session: self.of.clone(),
            messages,
            index: messages.saturating_add(usize::from(system)),
            way: Way::Copied { origin: own.map(Box::new) },
        })
    }
}

/// The number after which a log is its session's; `None` if there is no such session.
pub(super) async fn begin(store: &dyn Store, log: &Log) -> Result<Option<Seq>, Error> {
    let header = match store.get(&records::session_key(&log.owner, &log.session)).await {
        // What can be read of its log is still the session's.
        Err(StoreError::Damaged(_)) => return Ok(Some(0)),
        header => header?,
    };
    Ok(header.map(|header| records::parse::<Session>(&header).map_or(0, |session| session.since)))
}

/// The number after which whoever watches a log may see it, and where the session comes from. What is left of a
/// session that was taken away is for its forks alone.
pub(super) async fn beginning(store: &dyn Store, log: &Log) -> Result<(Seq, Option<Lineage>), Error> {
    let head = store.head(log).await?;
    if head == 0 {
        return Ok((0, None));
    }
    match begin(store, log).await? {
        Some(0) => Ok((0, Lineage::of(store, log).await?)),
        begin => Ok((begin.unwrap_or(head), None)),
    }
}

/// The records of a session's own runs that begin before an entry, newest first, those too that are kept for others;
/// and the entry before which there may be more; 0 is none.
pub(super) async fn of_session(
    store: &dyn Store,
    log: &Log,
    before: Option<Seq>,
    limit: usize,
) -> Result<(Vec<Run>, Seq), Error> {
    let query = Query {
        owner: log.owner.clone(),
        kind: RUN,
        tag: Some(records::session_tag(&log.session)),
        newest_first: true,
        after: before.map(|sort| Place { sort, id: String::new() }),
        skip: 0,
        limit,
    };
    let page = store.list(&query).await?;
    let last = page.records.last().filter(|_| is_full(&page, limit));
    Ok((runs_of(&page), last.map_or(0, |last| last.sort)))
}

/// The records of runs that carry a tag, oldest first, those too that are kept for others.
pub(super) async fn tagged(store: &dyn Store, owner: &Owner, tag: &Tag) -> Result<Vec<Run>, Error> {
    const STEP: usize = 256;
    let mut runs = Vec::new();
    let mut after = None;
    loop {
        let query = Query {
            owner: owner.clone(),
            kind: RUN,
            tag: Some(tag.clone()),
            newest_first: false,
            after: after.take(),
            skip: 0,
            limit: STEP,
        };
        let page = store.list(&query).await?;
        runs.extend(runs_of(&page));
        after = page.records.last().map(|last| Place { sort: last.sort, id: last.key.id.clone() });
        if after.is_none() || !is_full(&page, STEP) {
            return Ok(runs);
        }
    }
}

fn runs_of(page: &Page) -> Vec<Run> {
    page.records.iter().filter_map(|record| records::parse(record).ok()).collect()
}

fn is_full(page: &Page, limit: usize) -> bool {
    page.records.len().saturating_add(page.damaged) >= limit
}
