//! Runs that go on with another run's conversation: accepted, told what was said before, and put in its place.

use super::error::Error;
use super::receipts::Claim;
use super::{Inner, Runtime};
use crate::domain::fork::Origin;
use crate::domain::id::{Owner, RunId};
use crate::domain::message::Message;
use crate::domain::run::{Run, StartRun, Started, Status};
use crate::domain::view::RunView;

impl Runtime {
    /// Accepts a run that begins with what was said in another one of the session, for an order that may have come
    /// before. It waits for its turn like any other; it never joins a run that is going.
    ///
    /// # Errors
    /// As [`Runtime::start_once`].
    pub async fn fork_once(
        &self,
        owner: &Owner,
        order: StartRun,
        origin: Origin,
        claim: Claim,
    ) -> Result<Started, Error> {
        self.accept_once(owner, order, Some(origin), claim).await
    }

    /// The runs whose messages come before a run's own, the first one first, each cut to what of it was kept. Those
    /// that are gone are left out, and what was before them.
    ///
    /// # Errors
    /// What the store says.
    pub async fn origins(&self, owner: &Owner, view: &RunView) -> Result<Vec<RunView>, Error> {
        let origins = self.0.origins(owner, view).await?;
        Ok(origins.into_iter().map(|(view, messages)| view.cut(messages)).collect())
    }
}

impl Inner {
    /// The runs before a run, the first one first, and how many of their own messages were kept.
    async fn origins(&self, owner: &Owner, view: &RunView) -> Result<Vec<(RunView, usize)>, Error> {
        let mut found = Vec::new();
        let mut next = view.begins_with();
        while let Some((run, messages)) = next {
            let Some(view) = self.known(owner, run).await? else { break };
            next = view.begins_with();
            found.push((view, messages));
        }
        found.reverse();
        Ok(found)
    }

    /// What was said before a run's own messages, in the runs it comes from.
    pub(super) async fn said_before(&self, owner: &Owner, view: &RunView) -> Result<Vec<Message>, Error> {
        let origins = self.origins(owner, view).await?;
        Ok(origins.iter().flat_map(|(view, messages)| view.messages().into_iter().take(*messages)).collect())
    }

    /// The earlier runs that were shown to the run this one comes from; `None` if it comes from none that is left.
    pub(super) async fn shown_before(
        &self,
        owner: &Owner,
        view: &RunView,
    ) -> Result<Option<Vec<RunId>>, Error> {
        let Some((run, _)) = view.begins_with() else { return Ok(None) };
        Ok(self.known(owner, run).await?.map(|origin| origin.history))
    }

    /// A run as it is stored, unless it is gone or damaged: the conversation goes on without it.
    async fn known(&self, owner: &Owner, run: RunId) -> Result<Option<RunView>, Error> {
        let read = async {
            let stored = self.stored_run(owner, run).await?;
            Ok(RunView::of(run, &self.entries(owner, &stored).await?))
        };
        match read.await {
            Err(Error::NoRun(_) | Error::Damaged) => Ok(None),
            view => view,
        }
    }

    /// The run that this one takes the place of, as it is before that is done.
    pub(super) async fn replaced_by(&self, owner: &Owner, view: &RunView) -> Result<Option<Run>, Error> {
        let replaced = view.origin.as_ref().and_then(Origin::replaces);
        let Some(run) = replaced.filter(|_| view.status == Status::Completed) else { return Ok(None) };
        match self.stored_run(owner, run).await {
            Ok(run) if run.status.is_over() => Ok(Some(run)),
            Ok(_) | Err(Error::NoRun(_) | Error::Damaged) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
