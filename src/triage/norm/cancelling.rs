//! Stopping runs: those that wait end without starting, one that goes is told to.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::prompting::of_run;
use super::run::{NormRun, RunState, Stop};
use super::sessions::{AgentSession, Cancelled, SessionStatus};
use crate::domain::document::{RecordKind, Tag, Tags};
use crate::domain::id::{RunId, SessionId};
use crate::domain::run::Command;
use crate::runtime;
use crate::runtime::documents::{Changes, Document};
use crate::triage::Board;
use crate::triage::entry::{Actor, CANCELLED_RUNS, EntryType, Saying, of_issue};
use crate::triage::error::Error;

/// How long an order to stop is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

impl Board {
    /// Stops a session's runs, or one of them. There being nothing to stop is fine.
    ///
    /// # Errors
    /// [`Error::NotFound`]; what the store says.
    pub async fn cancel_runs(
        &self,
        issue: Uuid,
        session: Uuid,
        only: Option<Uuid>,
        by: &Actor,
    ) -> Result<Cancelled, Error> {
        let mut feed = self.watch(issue);
        let mut work = self.work(issue).await?;
        let session = self.session_on(issue, session).await?;
        let open = self.runs_of(&session).await?.into_iter().filter(|run| {
            !run.state.is_over() && run.stop.is_none() && only.is_none_or(|only| only == run.id)
        });
        let mut runs: Vec<NormRun> = open.collect();
        let ids: Vec<Uuid> = runs.iter().map(|run| run.id).collect();
        let live = runs.iter().any(|run| run.state == RunState::Running);
        for run in &mut runs {
            run.stop = Some(Stop { by: by.clone(), runs: ids.clone() });
            if run.state == RunState::Queued {
                (run.state, run.finished) = (RunState::Cancelled, Some(work.now));
            }
            work.write(|changes| changes.put(&*run));
        }
        // Where a run goes, its end says so for all of them.
        if let Some(first) = runs.first().filter(|_| !live) {
            work.say_as(first.entry("closing"), stopped(first)).await?;
        }
        let changed: Vec<&NormRun> = runs.iter().collect();
        self.show_agents(&mut work, None, &changed).await?;
        work.save().await?;
        self.rouse(issue);
        for run in runs.iter().filter(|run| run.state == RunState::Running) {
            self.tell_to_stop(run.id, &by.label).await?;
        }
        let over = async {
            loop {
                feed.mark_unchanged();
                let runs = self.runs_of(&session).await?;
                let are_over = runs.iter().all(|run| run.state.is_over() || !ids.contains(&run.id));
                if are_over || feed.changed().await.is_err() {
                    return Ok::<_, Error>(SessionStatus::of(&runs));
                }
            }
        };
        let status = match tokio::time::timeout(PATIENCE, over).await {
            Ok(status) => status?,
            Err(_) => SessionStatus::of(&self.runs_of(&session).await?),
        };
        Ok(Cancelled { runs: ids, status })
    }

    /// Tells the runtime's run; one that has not begun hears of it when it does.
    pub(super) async fn tell_to_stop(&self, run: Uuid, reason: &str) -> Result<(), Error> {
        let command = Command::Cancel { reason: reason.into() };
        match self.runtime.tell(self.owner(), RunId(run), command).await {
            Ok(()) | Err(runtime::Error::NoRun(_) | runtime::Error::Conflict(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// What must be written when an issue is deleted, and which sessions go with it.
    pub(in crate::triage) async fn let_norm_go(&self, issue: Uuid) -> Result<(Changes, Vec<Uuid>), Error> {
        let here = |tag: Tag| Some(tag);
        let mut changes = Changes::default();
        for run in self.documents.all::<NormRun>(here(of_issue(issue))).await? {
            changes = changes.delete::<NormRun>(&run.id.to_string());
        }
        let sessions = self.documents.all::<AgentSession>(here(of_issue(issue))).await?;
        let ids: Vec<Uuid> = sessions.iter().map(|session| session.id).collect();
        for id in &ids {
            let left = LeftSession { id: *id };
            changes = changes.delete::<AgentSession>(&id.to_string()).put(&left);
        }
        Ok((changes, ids))
    }

    /// Takes the runtime's sessions away with what goes on in them.
    pub(in crate::triage) async fn end_sessions(&self, sessions: &[Uuid]) {
        for id in sessions {
            if let Err(error) = self.end_session(*id).await {
                tracing::warn!(%error, session = %id, "a session of a deleted issue stays until the next start");
            }
        }
    }

    async fn end_session(&self, id: Uuid) -> Result<(), Error> {
        self.runtime.delete_session(self.owner(), &SessionId::from(id), None).await?;
        Ok(self.documents.write(Changes::default().delete::<LeftSession>(&id.to_string())).await?)
    }

    /// Does the same for what a crash left of deleted issues.
    pub(super) async fn end_left_sessions(&self) -> Result<(), Error> {
        for left in self.documents.all::<LeftSession>(None).await? {
            self.end_session(left.id).await?;
        }
        Ok(())
    }
}

/// A session whose issue is gone, and which has to go too.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct LeftSession {
    id: Uuid,
}

impl Document for LeftSession {
    const KIND: RecordKind = RecordKind("triage_left_session");

    fn id(&self) -> String {
        self.id.to_string()
    }

    fn tags(&self) -> Tags {
        Tags { listed: true, ..Tags::default() }
    }
}

/// Says that a run was stopped, and those that waited behind it.
pub(super) fn stopped(run: &NormRun) -> Saying {
    let runs = run.stop.as_ref().map_or_else(|| vec![run.id], |stop| stop.runs.clone());
    stopped_by(run, &runs)
}

/// Says that those were stopped that waited behind a run which was to be stopped with them, and ended by itself.
pub(super) fn stopped_behind(run: &NormRun) -> Option<Saying> {
    let stop = run.stop.as_ref()?;
    let behind: Vec<Uuid> = stop.runs.iter().copied().filter(|id| *id != run.id).collect();
    let first = *behind.first()?;
    let mut saying = stopped_by(run, &behind).with("run_id", first.to_string());
    if let Some(agent) = &mut saying.agent {
        agent.run = Some(first);
    }
    Some(saying)
}

fn stopped_by(run: &NormRun, runs: &[Uuid]) -> Saying {
    let by = run.stop.as_ref().map(|stop| &stop.by);
    let detail = by.map_or_else(|| "Stopped".to_owned(), |by| format!("Stopped by {}", by.label));
    let saying = of_run(EntryType::SessionStopped, run, detail);
    let runs: Vec<String> = runs.iter().map(Uuid::to_string).collect();
    let saying = saying.with(CANCELLED_RUNS, runs).with("by", by.map(|by| by.id.clone()));
    Saying { actor: by.cloned().or(saying.actor.clone()), ..saying }
}
