//! Writes what a run's machine decided, and beside it what has to be true at the same moment.

use super::{Driver, Halt, RETRY_WRITE};
use crate::domain::fact::Seq;
use crate::domain::fork::Fork;
use crate::domain::id::RunId;
use crate::domain::run::Status;
use crate::domain::spec::Spec;
use crate::machine::Machine;
use crate::runtime::desk::Desk;
use crate::runtime::error::Error;
use crate::runtime::journal::{Dated, unpoisoned};
use crate::runtime::lanes::Stage;
use crate::runtime::receipts::{Claim, MadeRun};
use crate::runtime::{records, settle};
use crate::store::Expect;

impl Driver {
    /// Writes what is not written.
    pub(super) async fn write(&mut self) -> Result<(), Halt> {
        while let Err(error) = self.write_once().await {
            self.await_store(error).await?;
        }
        Ok(())
    }

    /// A run that was accepted waits for a store that is away; any other error ends the waiting.
    pub(super) async fn await_store(&self, error: Error) -> Result<(), Halt> {
        let is_away = matches!(error, Error::Full | Error::Unavailable(_));
        if is_away && self.is_accepted() && !self.inner.is_stopping() {
            tokio::time::sleep(RETRY_WRITE).await;
            return Ok(());
        }
        Err(error.into())
    }

    /// Writes facts of this run, and with its last one the ends of all runs below that are open, so that none of
    /// them looks as if it were going; or, of a run that was told something, what the runs below were told.
    async fn write_facts(&self, facts: &[Dated]) -> Result<Seq, Error> {
        let view = self.machine.view();
        let may_have_children = match view.spec.as_ref() {
            Spec::Agent(agent) => agent.subagents().is_some(),
            Spec::Team(_) | Spec::Workflow(_) => true,
        };
        if !(view.outcome.is_some() && may_have_children && self.first.is_some()) {
            return self.write_parts(None, facts, &self.below).await;
        }
        loop {
            // What a child was just writing may still come: then the log goes further than this, and its end is
            // looked at again.
            let head = self.inner.journal.head(&self.room).await?;
            let parts = self.inner.open_below(&self.room.log.owner, self.root(), view).await?;
            match self.write_parts(Some(head), facts, &parts).await {
                Err(Error::Conflict(_)) => {}
                written => return written,
            }
        }
    }

    async fn write_parts(&self, head: Option<Seq>, facts: &[Dated], parts: &[Part]) -> Result<Seq, Error> {
        let view = self.machine.view();
        let mut all: Vec<(RunId, &[Dated])> =
            parts.iter().map(|part| (part.machine.view().run, part.facts.as_slice())).collect();
        all.push((view.run, facts));
        let owner = &self.room.log.owner;
        let replaced = self.inner.replaced_by(owner, view).await?;
        let fill = |desk: &mut Desk| {
            if let Some(run) = &replaced {
                // Of a run that is shared with another session there is no record of its own yet.
                let expect = if Fork::of_run(run.id).is_some() { Expect::Any } else { Expect::Present };
                let run = run.clone().replaced(desk.head().saturating_add(1));
                desk.put(records::put_run(owner, &run, expect)?);
            }
            let mut after = desk.head();
            for part in parts {
                settle::beside(
                    desk,
                    owner,
                    part.machine.view(),
                    &part.facts,
                    Some(part.first),
                    (after, self.root()),
                )?;
                after = after.saturating_add(width(&part.facts));
            }
            let made = MadeRun::of(view.run, facts, after);
            self.claim.receipt(&made)?.into_iter().for_each(|receipt| desk.put(receipt));
            self.inner.mark_failure(desk, owner, view)?;
            settle::beside(desk, owner, view, facts, self.first, (after, self.root()))
        };
        let first = self.inner.journal.append(&self.room, head, &all, fill).await?;
        self.inner.failures.tell(view);
        let below: u64 = parts.iter().map(|part| width(&part.facts)).sum();
        Ok(first.saturating_add(below))
    }

    pub(super) async fn write_once(&mut self) -> Result<(), Error> {
        if self.unwritten.is_empty() {
            return Ok(());
        }
        let facts = std::mem::take(&mut self.unwritten);
        let written = self.write_facts(&facts).await;
        let view = self.machine.view();
        match written {
            Ok(first) => {
                self.claim = Claim::none();
                let woken = self.below.drain(..).map(|part| (part.machine.view().run, part.machine));
                unpoisoned(&self.woken).extend(woken);
                if view.waits_until.is_some() {
                    self.inner.deadlines.notify_one();
                }
                self.last = first.saturating_add(width(&facts)).saturating_sub(1);
                if self.first.is_none() {
                    self.first = Some(first);
                    if self.given.is_none() {
                        let status = if view.began.is_some() { Status::Running } else { Status::Pending };
                        self.live.reach(Stage::Going { first, status });
                    }
                }
                Ok(())
            }
            Err(error) => {
                self.unwritten = facts;
                Err(error)
            }
        }
    }
}

/// Facts of a run below one that is told something, written in the same batch.
pub(in crate::runtime) struct Part {
    /// The run, with these facts.
    pub(in crate::runtime) machine: Machine,
    /// Its first entry.
    pub(in crate::runtime) first: Seq,
    /// Not written yet.
    pub(in crate::runtime) facts: Vec<Dated>,
}

pub(super) fn width(facts: &[Dated]) -> u64 {
    facts.iter().map(|(_, fact)| fact.width()).sum()
}
