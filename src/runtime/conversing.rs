//! A session as one conversation: a message finds its place in it whatever goes on, and all that goes on can be
//! stopped.

use super::error::Error;
use super::receipts::Claim;
use super::settle::agent_of;
use super::wake::Told;
use super::{Inner, Runtime, SessionDetail};
use crate::domain::fact::ModelChoice;
use crate::domain::id::{Owner, SessionId};
use crate::domain::run::{Command, Run, Session, StartRun, Started, Status};
use crate::domain::spec::{Additions, ComponentKind, OnSecondMessage};
use crate::store::Log;

/// The latest runs among which those are that are not over.
const LATEST: usize = 64;

impl Runtime {
    /// Has something said in a session: it joins the run that is going; a run that waits hears it in place of what it
    /// waits for; else it begins one.
    ///
    /// # Errors
    /// As [`Runtime::start`].
    pub async fn say(&self, owner: &Owner, order: StartRun, claim: Claim) -> Result<Started, Error> {
        let order = StartRun { on_second_message: Some(OnSecondMessage::Steer), ..order };
        if claim.is_done() {
            return self.start_once(owner, order, claim).await;
        }
        let (runtime, owner) = (self.clone(), owner.clone());
        // On a task of its own, as every start.
        let said = tokio::spawn(async move {
            let Some(session) = order.session.clone() else {
                return runtime.start_once(&owner, order, claim).await;
            };
            let SessionDetail { session, data } = runtime.session(&owner, &session).await?;
            let order = runtime.answered(&owner, order, &data.additions).await?;
            if let Some(joined) = runtime.join_waiting(&owner, &order, session, &claim).await? {
                return Ok(joined);
            }
            runtime.start_once(&owner, order, claim).await
        });
        said.await.map_err(|_| Error::Internal)?
    }

    /// The order with the model that answers it, also if it joins a run that began with another: the one it wants, the
    /// session's, or the component's, the first that is there.
    async fn answered(
        &self,
        owner: &Owner,
        mut order: StartRun,
        additions: &Additions,
    ) -> Result<StartRun, Error> {
        let workspace = self.workspace(owner).await?;
        let found = workspace.catalog.get(order.kind, &order.component);
        let wanted = [order.options.model.as_ref(), additions.model.as_ref()];
        let spec = found.map(|spec| workspace.answered_by(spec, &wanted));
        let model = spec.and_then(|spec| Some(agent_of(&spec)?.model.clone()));
        order.options.model = model.or(order.options.model);
        Ok(order)
    }

    async fn join_waiting(
        &self,
        owner: &Owner,
        order: &StartRun,
        session: Session,
        claim: &Claim,
    ) -> Result<Option<Started>, Error> {
        let Some(run) = session.waiting else { return Ok(None) };
        let stored = match self.0.stored_run(owner, run).await {
            Err(Error::NoRun(_)) => return Ok(None),
            stored => stored?,
        };
        let same = stored.kind == order.kind && stored.component == order.component;
        if !same || stored.kind == ComponentKind::Workflow || stored.status != Status::Paused {
            return Ok(None);
        }
        let effort = order.options.reasoning_effort.clone();
        let choice = order.options.model.clone().map(|model| ModelChoice { model, reasoning_effort: effort });
        let told = Told::Instead(order.input.clone(), choice);
        match self.0.wake(owner, run, told, claim.clone()).await {
            Ok(seq) => Ok(Some(Started {
                owner: owner.clone(),
                session: session.id,
                run,
                first: stored.first,
                queued: false,
                joined: Some(seq),
            })),
            // Somebody woke it meanwhile: it can be joined as any other.
            Err(Error::Conflict(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Stops all that goes on in a session; when this returns, that is stored. Whether there was anything.
    ///
    /// # Errors
    /// What the store says.
    pub async fn halt(&self, owner: &Owner, session: &SessionId, reason: &str) -> Result<bool, Error> {
        let mut any = false;
        for run in self.0.open_roots(owner, session).await? {
            match self.tell(owner, run.id, Command::Cancel { reason: reason.into() }).await {
                Ok(()) => {
                    self.finished(owner, run.id).await?;
                    any = true;
                }
                // It ended meanwhile.
                Err(Error::Conflict(_) | Error::NoRun(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(any)
    }
}

impl Inner {
    /// The runs of a session that are not over, the latest first: what waits for its turn goes before its turn comes.
    async fn open_roots(&self, owner: &Owner, session: &SessionId) -> Result<Vec<Run>, Error> {
        let log = Log { owner: owner.clone(), session: session.clone() };
        let (mut runs, _) = self.run_page(&log, None, LATEST).await?;
        let waiting = super::records::session_key(owner, session);
        let header: Option<Session> =
            self.store.get(&waiting).await?.map(|record| super::records::parse(&record)).transpose()?;
        if let Some(run) = header.and_then(|header| header.waiting)
            && runs.iter().all(|known| known.id != run)
        {
            runs.push(self.stored_run(owner, run).await?);
        }
        runs.retain(|run| run.parent.is_none() && !run.status.is_over());
        Ok(runs)
    }
}
