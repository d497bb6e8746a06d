//! Workflows that failed and are gone on with: what a new run takes over from the old one.

use super::Inner;
use super::error::Error;
use super::settle::Unprepared;
use crate::domain::fact::{Entry, Fact, Failure};
use crate::domain::fork::Origin;
use crate::domain::id::{Owner, RunId};
use crate::domain::message::Input;
use crate::domain::run::{Run, Status};
use crate::domain::spec::ComponentKind;
use crate::domain::step::StepKey;
use crate::domain::view::RunView;
use crate::machine::workflow;

impl Inner {
    /// The facts of finished steps that a run begins with, if it resumes one that failed. What they changed in the
    /// session's state is stored since that run ended, unless it was below another: then its changes went nowhere.
    pub(super) async fn kept_steps(&self, owner: &Owner, view: &RunView) -> Result<Vec<Fact>, Unprepared> {
        let Some(run) = view.origin.as_ref().and_then(Origin::resumes) else { return Ok(Vec::new()) };
        let gone = || Failure::new("no_origin", format!("the run {run}, which this one resumes, is gone"));
        let read = async {
            let stored = self.stored_run(owner, run).await?;
            Ok((stored.parent.is_none(), self.entries(owner, &stored).await?))
        };
        let (is_stored, entries) = match read.await {
            Err(Error::NoRun(_) | Error::Damaged) => return Err(Unprepared::Broken(gone())),
            read => read.map_err(Unprepared::Store)?,
        };
        let of_run = |entry: &&Entry| entry.run == run;
        let old = RunView::of(run, &entries).ok_or_else(|| Unprepared::Broken(gone()))?;
        let mut kept = workflow::kept(&old, entries.iter().filter(of_run).map(|entry| &entry.fact));
        for fact in kept.iter_mut().filter(|_| is_stored) {
            if let Fact::StepFinished { state, .. } = fact {
                state.clear();
            }
        }
        Ok(kept)
    }

    /// The last try of a step in a run that failed; 0 if it has none.
    pub(super) async fn last_try(&self, owner: &Owner, run: RunId, step: &StepKey) -> Result<u32, Error> {
        let entries = match self.stored_run(owner, run).await {
            Err(Error::NoRun(_)) => return Ok(0),
            run => self.entries(owner, &run?).await?,
        };
        Ok(RunView::of(run, &entries).and_then(|view| Some(view.step(step)?.attempt)).unwrap_or(0))
    }

    /// Where a nested workflow's run comes from: the run that failed in the same place before, in this tree or in
    /// the one that it resumes, if that was asked the same.
    pub(super) async fn resumable(
        &self,
        owner: &Owner,
        before: RunId,
        input: &Input,
    ) -> Result<Option<Origin>, Error> {
        let run = match self.stored_run(owner, before).await {
            Err(Error::NoRun(_)) => return Ok(None),
            run => run?,
        };
        if !is_resumable(&run) {
            return Ok(None);
        }
        let view = RunView::of(run.id, &self.entries(owner, &run).await?);
        let is_same = view.is_some_and(|view| view.input == *input);
        Ok(is_same.then(|| Origin::resuming(run.id, run.session)))
    }
}

/// Whether a run of its own may go on from where this one failed.
pub(super) fn is_resumable(run: &Run) -> bool {
    run.kind == ComponentKind::Workflow && run.status == Status::Failed
}
