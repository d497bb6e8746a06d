//! Runs as they are stored: their records, their entries, the trees they are in.

use std::cmp::Reverse;
use std::collections::HashSet;

use super::error::Error;
use super::lineage::{self, Lineage};
use super::records;
use super::{Inner, Runtime};
use crate::domain::document::Tag;
use crate::domain::fact::{Entry, Fact, Seq};
use crate::domain::fork::Fork;
use crate::domain::id::{Owner, RunId, SessionId};
use crate::domain::run::Run;
use crate::domain::view::RunView;
use crate::machine::Machine;
use crate::store::Log;

/// Entries of a run, or runs of a session, read at a time.
const READ_STEP: usize = 256;

/// Entries read at a time where not all of them are to be held.
const WALK_STEP: usize = 16;

impl Runtime {
    /// The run's record, its status as of now.
    ///
    /// # Errors
    /// [`Error::NoRun`].
    pub async fn run(&self, owner: &Owner, run: RunId) -> Result<Run, Error> {
        let mut stored = self.0.stored_run(owner, run).await?;
        self.0.refresh(&mut stored);
        Ok(stored)
    }

    /// All runs of a session, child runs too, oldest first.
    ///
    /// # Errors
    /// [`Error::NoSession`].
    pub async fn runs(&self, owner: &Owner, session: &SessionId) -> Result<Vec<Run>, Error> {
        let log = Log { owner: owner.clone(), session: session.clone() };
        let mut runs: Vec<Run> = Vec::new();
        let mut before = None;
        loop {
            let (page, more) = self.0.run_page(&log, before, READ_STEP).await?;
            runs.extend(page);
            before = more;
            if before.is_none() {
                break;
            }
        }
        if runs.is_empty() {
            self.session(owner, session).await?;
        }
        runs.reverse();
        runs.iter_mut().for_each(|run| self.0.refresh(run));
        Ok(runs)
    }

    /// The runs that a run asked for, oldest first.
    ///
    /// # Errors
    /// What the store says.
    pub async fn children(&self, owner: &Owner, run: RunId) -> Result<Vec<Run>, Error> {
        self.0.below(owner, run, records::parent_tag).await
    }

    /// All runs below the run at the top of a tree, oldest first.
    ///
    /// # Errors
    /// What the store says.
    pub async fn tree(&self, owner: &Owner, root: RunId) -> Result<Vec<Run>, Error> {
        self.0.tree(owner, root).await
    }

    /// All entries so far of a run and of those below it, in the log's order.
    ///
    /// # Errors
    /// What the store says.
    pub async fn entries_of_tree(&self, owner: &Owner, run: &Run) -> Result<Vec<Entry>, Error> {
        self.0.entries_below(owner, run).await
    }

    /// Shows all entries so far of a run and of those below it, in the log's order, and holds few of them at a time.
    ///
    /// # Errors
    /// What the store says.
    pub async fn walk_tree(
        &self,
        owner: &Owner,
        run: &Run,
        visit: impl FnMut(Entry) + Send,
    ) -> Result<(), Error> {
        self.0.walk_run(owner, run, (true, WALK_STEP), visit).await
    }

    /// What a run's facts tell so far.
    ///
    /// # Errors
    /// [`Error::NoRun`]; what the store says.
    pub async fn view(&self, owner: &Owner, run: &Run) -> Result<RunView, Error> {
        let entries = self.0.entries(owner, run).await?;
        let mut view = RunView::of(run.id, &entries).ok_or(Error::NoRun(run.id))?;
        view.stands(run.status);
        Ok(view)
    }

    /// All entries of a run so far.
    ///
    /// # Errors
    /// What the store says.
    pub async fn entries(&self, owner: &Owner, run: &Run) -> Result<Vec<Entry>, Error> {
        self.0.entries(owner, run).await
    }

    /// Where a session's log ends.
    ///
    /// # Errors
    /// What the store says.
    pub async fn head(&self, owner: &Owner, session: &SessionId) -> Result<Seq, Error> {
        let log = Log { owner: owner.clone(), session: session.clone() };
        Ok(self.store().head(&log).await?)
    }

    /// Entries of a session's log after `after`, those it shares with others too; at least so many, unless it ends.
    ///
    /// # Errors
    /// What the store says.
    pub async fn log(
        &self,
        owner: &Owner,
        session: &SessionId,
        after: Seq,
        limit: usize,
    ) -> Result<Vec<Entry>, Error> {
        let log = Log { owner: owner.clone(), session: session.clone() };
        let (begin, lineage) = lineage::beginning(self.store(), &log).await?;
        let mut after = after.max(begin);
        let mut found = Vec::new();
        if let Some(mut lineage) = lineage {
            while after < lineage.point() && found.len() < limit {
                let shared = lineage.read(self.store(), after, limit).await?;
                after = shared.last().map_or(lineage.point(), Entry::last_seq);
                found.extend(shared);
            }
        }
        if found.len() < limit {
            let own = self.store().read(&log, after, limit - found.len()).await?;
            found.extend(own.into_iter().map(|entry| entry.beyond(after)));
        }
        Ok(found)
    }
}

impl Inner {
    /// A run's machine, as the log tells it.
    pub(super) async fn replayed(&self, owner: &Owner, stored: &Run) -> Result<Machine, Error> {
        let entries = self.entries(owner, stored).await?;
        if entries.is_empty() {
            // A log that has lost entries is damaged; one without any was taken away since the record was read.
            return Err(Error::NoSession(stored.session.clone()));
        }
        Machine::replay(stored.id, &entries).map_err(|violation| {
            tracing::error!(%violation, "a run's log cannot be replayed");
            Error::Damaged
        })
    }

    /// The run's record; that of a run which is shared with another session is found there.
    pub(super) async fn stored_run(&self, owner: &Owner, run: RunId) -> Result<Run, Error> {
        let found = match self.store.get(&records::run_key(owner, run)).await? {
            Some(record) => Some(records::parse::<Run>(&record)?),
            None => self.shared_run(owner, run).await?,
        };
        found.filter(|run| !run.gone).ok_or(Error::NoRun(run))
    }

    async fn shared_run(&self, owner: &Owner, run: RunId) -> Result<Option<Run>, Error> {
        match self.shared(owner, run).await? {
            Some((mut lineage, first)) => lineage.run(&*self.store, first).await,
            None => Ok(None),
        }
    }

    /// Of a run that is shared: where its session comes from, and the run's first entry.
    async fn shared(&self, owner: &Owner, run: RunId) -> Result<Option<(Lineage, Seq)>, Error> {
        let Some((fork, first)) = Fork::of_run(run) else { return Ok(None) };
        let log = Log { owner: owner.clone(), session: fork.session() };
        Ok(Lineage::of(&*self.store, &log).await?.map(|lineage| (lineage, first)))
    }

    pub(super) async fn entries(&self, owner: &Owner, run: &Run) -> Result<Vec<Entry>, Error> {
        self.read_run(owner, run, false).await
    }

    pub(super) async fn entries_below(&self, owner: &Owner, run: &Run) -> Result<Vec<Entry>, Error> {
        self.read_run(owner, run, true).await
    }

    async fn read_run(&self, owner: &Owner, run: &Run, tree: bool) -> Result<Vec<Entry>, Error> {
        let mut entries = Vec::new();
        self.walk_run(owner, run, (tree, READ_STEP), |entry| entries.push(entry)).await?;
        Ok(entries)
    }

    /// Shows the entries of a run, and of those below it where `tree` says so; so many are read at a time. Those of a
    /// run that is shared are held all at once: their names are told by the whole of it.
    async fn walk_run(
        &self,
        owner: &Owner,
        run: &Run,
        (tree, step): (bool, usize),
        mut visit: impl FnMut(Entry) + Send,
    ) -> Result<(), Error> {
        if let Some((mut lineage, first)) = self.shared(owner, run.id).await? {
            let read = async |log: Log, run: Run| {
                let mut entries = Vec::new();
                self.walk_log(&log, &run, (tree, step), |entry| entries.push(entry)).await?;
                Ok(entries)
            };
            let entries = lineage.entries(&*self.store, first, read).await?;
            entries.ok_or(Error::NoRun(run.id))?.into_iter().for_each(visit);
            return Ok(());
        }
        let log = Log { owner: owner.clone(), session: run.session.clone() };
        self.walk_log(&log, run, (tree, step), &mut visit).await
    }

    async fn walk_log(
        &self,
        log: &Log,
        run: &Run,
        (tree, step): (bool, usize),
        mut visit: impl FnMut(Entry) + Send,
    ) -> Result<(), Error> {
        let mut known = HashSet::from([run.id]);
        let mut at = run.first.saturating_sub(1);
        loop {
            // A run that is over is read to its last entry and no further.
            let left = run.last.map_or(step as u64, |last| last.saturating_sub(at));
            let limit = usize::try_from(left).unwrap_or(step).clamp(1, step);
            let page = self.store.read(log, at, limit).await?;
            let Some(last) = page.last() else { return Ok(()) };
            let before = std::mem::replace(&mut at, last.last_seq());
            for entry in page.into_iter().map(|entry| entry.beyond(before)) {
                let ended = entry.run == run.id && matches!(entry.fact, Fact::RunFinished { .. });
                if tree
                    && let Fact::RunStarted(start) = &entry.fact
                    && start.parent.is_some_and(|parent| known.contains(&parent))
                {
                    known.insert(entry.run);
                }
                if known.contains(&entry.run) {
                    visit(entry);
                }
                if ended {
                    return Ok(());
                }
            }
        }
    }

    /// All runs below the run at the top of a tree, oldest first.
    pub(super) async fn tree(&self, owner: &Owner, root: RunId) -> Result<Vec<Run>, Error> {
        self.below(owner, root, records::root_tag).await
    }

    async fn below(&self, owner: &Owner, run: RunId, tag: fn(RunId) -> Tag) -> Result<Vec<Run>, Error> {
        if let Some((mut lineage, first)) = self.shared(owner, run).await? {
            return lineage.below(&*self.store, first, tag).await;
        }
        let mut runs = lineage::tagged(&*self.store, owner, &tag(run)).await?;
        runs.retain(|run| !run.gone);
        Ok(runs)
    }

    /// Runs of a session that begin before an entry, newest first, about so many; and the entry before which there
    /// may be more.
    pub(super) async fn run_page(
        &self,
        log: &Log,
        before: Option<Seq>,
        limit: usize,
    ) -> Result<(Vec<Run>, Option<Seq>), Error> {
        let (mut runs, mut more) = lineage::of_session(&*self.store, log, before, limit).await?;
        if let Some(mut lineage) = Lineage::of(&*self.store, log).await?
            && more <= lineage.point()
        {
            let (shared, rest) = lineage.runs(&*self.store, before, limit).await?;
            more = more.max(rest);
            let others = shared.into_iter().filter(|run| !runs.iter().any(|own| own.id == run.id));
            let others: Vec<Run> = others.collect();
            runs.extend(others);
            runs.sort_by_key(|run| Reverse(run.first));
        }
        runs.retain(|run| !run.gone && run.first >= more);
        Ok((runs, Some(more).filter(|more| *more > 0)))
    }

    /// What the record says, and what is known since.
    fn refresh(&self, run: &mut Run) {
        if let Some(status) = self.lanes.live(run.id).and_then(|live| live.status()) {
            run.status = status;
        }
    }
}
