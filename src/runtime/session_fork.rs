//! A session made of another: what was said so far is in both, and each goes on by itself.
//!
//! Runs are copied, a tree at a time, so that neither session needs the other: a log that two sessions shared could
//! not be taken away with the first of them.

use std::collections::HashMap;

use super::error::Error;
use super::{Inner, Runtime};
use crate::domain::fact::{Entry, Fact, RunStart, Seq};
use crate::domain::fork::{Origin, Way};
use crate::domain::id::{Owner, RunId, SessionId};
use crate::domain::message::Usage;
use crate::domain::run::{Run, Session};
use crate::domain::time::Timestamp;
use crate::domain::view::RunView;
use crate::runtime::records;
use crate::runtime::sessions::SessionDetail;
use crate::store::{Append, Batch, Expect, Log, StoreError};

/// Entries written at a time, unless they are large.
const STEP: usize = 256;

/// A copy in the making.
struct Copy<'a> {
    inner: &'a Inner,
    source: SessionId,
    log: Log,
    head: Seq,
    /// What each run is called in the copy.
    names: HashMap<RunId, RunId>,
    runs: u64,
    usage: Usage,
}

impl Runtime {
    /// Copies a session with all of its runs that are over; the others stay where they are. The copy is there whole
    /// once this returns, and nobody knows its name before. Takes as long as reading and writing all of it.
    ///
    /// # Errors
    /// [`Error::NoSession`]; what the store says.
    pub async fn fork_session(&self, owner: &Owner, source: &SessionId) -> Result<SessionId, Error> {
        let (runtime, owner, source) = (self.clone(), owner.clone(), source.clone());
        // On a task of its own: a client that goes away in the middle leaves no half of a session behind.
        tokio::spawn(async move { runtime.copy_session(owner, source).await })
            .await
            .map_err(|_| Error::Internal)?
    }

    async fn copy_session(&self, owner: Owner, source: SessionId) -> Result<SessionId, Error> {
        let detail = self.session(&owner, &source).await?;
        let mut runs = self.runs(&owner, &source).await?;
        runs.retain(|run| run.parent.is_none() && run.status.is_over());
        let (session, _) = self.session_id(None)?;
        let log = Log { owner, session: session.clone() };
        let mut copy = Copy {
            inner: &self.0,
            source: source.clone(),
            log: log.clone(),
            head: 0,
            names: HashMap::new(),
            runs: 0,
            usage: Usage::default(),
        };
        let copied = copy.fill(&runs).await;
        // It may have been taken away meanwhile, and some of its runs before they were read.
        let whole = match copied {
            Ok(()) => self.session(&log.owner, &source).await.map(drop),
            failed => failed,
        };
        if let Err(error) = whole {
            self.take_away(&log).await?;
            return Err(error);
        }
        copy.finish(detail, self.now()).await?;
        Ok(session)
    }
}

impl Copy<'_> {
    async fn fill(&mut self, roots: &[Run]) -> Result<(), Error> {
        for root in roots {
            match self.inner.entries_below(&self.log.owner, root).await {
                // Nobody can read it any more; the conversation goes on without it.
                Err(Error::Damaged) => {}
                entries => self.add(root, entries?).await?,
            }
        }
        Ok(())
    }

    /// Copies a run and those below it, and then their records.
    async fn add(&mut self, root: &Run, entries: Vec<Entry>) -> Result<(), Error> {
        let mut runs = vec![root.clone()];
        runs.extend(self.inner.tree(&self.log.owner, root.id).await?);
        for run in &runs {
            self.names.insert(run.id, RunId(self.inner.clock.fresh()));
        }
        let mut places: HashMap<RunId, (Seq, Seq)> = HashMap::new();
        let mut copies = Vec::with_capacity(entries.len());
        for entry in &entries {
            let Some(name) = self.names.get(&entry.run).copied() else { continue };
            let seq = self.head.saturating_add(1);
            let copy = Entry { seq, run: name, at: entry.at, fact: self.fact(entry, &entries) };
            self.head = copy.last_seq();
            places.entry(entry.run).or_insert((seq, seq)).1 = self.head;
            copies.push(copy);
        }
        for part in copies.chunks(STEP) {
            self.write(part).await?;
        }
        let mut batch = Batch::default();
        for run in &runs {
            let Some((first, last)) = places.get(&run.id) else { continue };
            let copy = self.record(run, *first, *last);
            batch.puts.push(records::put_run(&self.log.owner, &copy, Expect::Absent)?);
            self.usage.add(&RunView::of(run.id, &entries).map(|view| view.usage()).unwrap_or_default());
        }
        self.runs = self.runs.saturating_add(1);
        Ok(self.inner.store.commit(batch).await?)
    }

    /// Appends entries; too many at once are written in halves.
    async fn write(&self, entries: &[Entry]) -> Result<(), Error> {
        let mut left = vec![entries];
        while let Some(part) = left.pop() {
            let Some(first) = part.first() else { continue };
            let after = first.seq.saturating_sub(1);
            let append = Append { log: self.log.clone(), after, entries: part.to_vec() };
            match self.inner.store.commit(Batch { append: Some(append), ..Batch::default() }).await {
                Err(StoreError::TooLarge { .. }) if part.len() > 1 => {
                    let (one, other) = part.split_at(part.len() / 2);
                    left.extend([other, one]);
                }
                written => written?,
            }
        }
        Ok(())
    }

    fn name(&self, run: RunId) -> RunId {
        self.names.get(&run).copied().unwrap_or(run)
    }

    fn record(&self, run: &Run, first: Seq, last: Seq) -> Run {
        Run {
            id: self.name(run.id),
            session: self.log.session.clone(),
            parent: run.parent.map(|parent| self.name(parent)),
            root: run.root.map(|root| self.name(root)),
            first,
            last: Some(last),
            ..run.clone()
        }
    }

    /// A fact with the names that things have in the copy.
    fn fact(&self, entry: &Entry, entries: &[Entry]) -> Fact {
        let mut fact = entry.fact.clone();
        if let Fact::RunStarted(start) = &mut fact {
            start.origin = Some(self.origin(entry.run, start, entries));
            start.session = self.log.session.clone();
            start.parent = start.parent.map(|parent| self.name(parent));
        }
        if let Fact::RunPrepared { history, .. } = &mut fact {
            history.iter_mut().for_each(|run| *run = self.name(*run));
        }
        if let Fact::StepFinished { output, .. } = &mut fact {
            output.run = output.run.map(|run| self.name(run));
        }
        fact
    }

    fn origin(&self, run: RunId, start: &RunStart, entries: &[Entry]) -> Origin {
        let view = RunView::of(run, entries);
        let messages = view.as_ref().map_or(0, |view| view.messages().len());
        let system = view.is_some_and(|view| view.system.is_some());
        let origin = start.origin.as_ref().and_then(|origin| self.named(origin)).map(Box::new);
        Origin {
            run,
            session: self.source.clone(),
            messages,
            index: messages.saturating_add(usize::from(system)),
            way: Way::Copied { origin },
        }
    }

    /// Where a run comes from within its session, as that is called in the copy.
    fn named(&self, origin: &Origin) -> Option<Origin> {
        match &origin.way {
            Way::Copied { origin } => origin.as_ref().and_then(|origin| self.named(origin)),
            Way::Continued | Way::Resumed | Way::Regenerated { .. } => Some(Origin {
                run: self.name(origin.run),
                session: self.log.session.clone(),
                ..origin.clone()
            }),
        }
    }

    /// Writes the header, last: from then on there is such a session.
    async fn finish(&self, source: SessionDetail, now: Timestamp) -> Result<(), Error> {
        let session = Session {
            id: self.log.session.clone(),
            created: now,
            updated: now,
            runs: self.runs,
            usage: self.usage,
            ..source.session
        };
        let room = self.inner.journal.room(&self.log);
        self.inner
            .journal
            .write(&room, |desk| {
                desk.session = Some(session.clone());
                desk.data = source.data.clone();
                Ok(())
            })
            .await
    }
}
