//! Runs as they are stored: their records, their entries, the trees they are in.

use std::collections::HashSet;

use super::error::Error;
use super::records::{self, RUN};
use super::{Inner, Runtime};
use crate::domain::document::{self, Query, Tag};
use crate::domain::fact::{Entry, Fact, Seq};
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
        let mut runs: Vec<Run> = Vec::new();
        loop {
            let before = runs.last().map(|run| (run.first, run.id));
            let page = self.0.run_page(owner, session, before, READ_STEP).await?;
            let last = page.len() < READ_STEP;
            runs.extend(page);
            if last {
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
        self.0.tagged(owner, records::parent_tag(run)).await
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

    /// The latest runs of a session, newest first, before a given one.
    pub(super) async fn run_page(
        &self,
        owner: &Owner,
        session: &SessionId,
        before: Option<(Seq, RunId)>,
        limit: usize,
    ) -> Result<Vec<Run>, Error> {
        self.0.run_page(owner, session, before, limit).await
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

    pub(super) async fn stored_run(&self, owner: &Owner, run: RunId) -> Result<Run, Error> {
        let record = self.store.get(&records::run_key(owner, run)).await?;
        records::parse(&record.ok_or(Error::NoRun(run))?)
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

    /// Shows the entries of a run, and of those below it where `tree` says so; so many are read at a time.
    async fn walk_run(
        &self,
        owner: &Owner,
        run: &Run,
        (tree, step): (bool, usize),
        mut visit: impl FnMut(Entry) + Send,
    ) -> Result<(), Error> {
        let mut known = HashSet::from([run.id]);
        let log = Log { owner: owner.clone(), session: run.session.clone() };
        let mut at = run.first.saturating_sub(1);
        loop {
            // A run that is over is read to its last entry and no further.
            let left = run.last.map_or(step as u64, |last| last.saturating_sub(at));
            let limit = usize::try_from(left).unwrap_or(step).clamp(1, step);
            let page = self.store.read(&log, at, limit).await?;
            let Some(last) = page.last() else { return Ok(()) };
            at = last.last_seq();
            for entry in page {
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
        self.tagged(owner, records::root_tag(root)).await
    }

    async fn tagged(&self, owner: &Owner, tag: Tag) -> Result<Vec<Run>, Error> {
        let mut runs: Vec<Run> = Vec::new();
        loop {
            let query = Query {
                owner: owner.clone(),
                kind: RUN,
                tag: Some(tag.clone()),
                newest_first: false,
                after: runs.last().map(|run| document::Place { sort: run.first, id: run.id.to_string() }),
                skip: 0,
                limit: READ_STEP,
            };
            let page = self.store.list(&query).await?;
            let count = page.records.len().saturating_add(page.damaged);
            runs.extend(page.records.iter().filter_map(|record| records::parse(record).ok()));
            if count < READ_STEP {
                return Ok(runs);
            }
        }
    }

    pub(super) async fn run_page(
        &self,
        owner: &Owner,
        session: &SessionId,
        before: Option<(Seq, RunId)>,
        limit: usize,
    ) -> Result<Vec<Run>, Error> {
        let query = Query {
            owner: owner.clone(),
            kind: RUN,
            tag: Some(records::session_tag(session)),
            newest_first: true,
            after: before.map(|(sort, id)| document::Place { sort, id: id.to_string() }),
            skip: 0,
            limit,
        };
        let page = self.store.list(&query).await?;
        Ok(page.records.iter().filter_map(|record| records::parse(record).ok()).collect())
    }

    /// What the record says, and what is known since.
    fn refresh(&self, run: &mut Run) {
        if let Some(status) = self.lanes.live(run.id).and_then(|live| live.status()) {
            run.status = status;
        }
    }
}
