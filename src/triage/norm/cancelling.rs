//! Stopping runs: those that wait end without starting, one that goes is told to.

use std::time::Duration;

use uuid::Uuid;

use super::prompting::of_run;
use super::run::{NormRun, RunState, Stop};
use super::sessions::{AgentSession, Cancelled, SessionStatus};
use crate::domain::document::Tag;
use crate::domain::id::{RunId, SessionId};
use crate::domain::run::Command;
use crate::runtime;
use crate::runtime::documents::Changes;
use crate::triage::Board;
use crate::triage::entry::{Actor, EntryType, Saying, of_issue};
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
            changes = changes.delete::<AgentSession>(&id.to_string());
        }
        Ok((changes, ids))
    }

    /// Takes the runtime's sessions away with what goes on in them.
    pub(in crate::triage) async fn end_sessions(&self, sessions: &[Uuid]) {
        for id in sessions {
            match self.runtime.delete_session(self.owner(), &SessionId::from(*id), None).await {
                Ok(_) | Err(runtime::Error::NoSession(_)) => {}
                Err(error) => tracing::warn!(%error, session = %id, "a session of a deleted issue stays"),
            }
        }
    }
}

/// Says that a run was stopped, and those that waited behind it.
pub(super) fn stopped(run: &NormRun) -> Saying {
    let (by, runs) = match &run.stop {
        Some(stop) => (Some(&stop.by), stop.runs.clone()),
        None => (None, vec![run.id]),
    };
    let detail = by.map_or_else(|| "Stopped".to_owned(), |by| format!("Stopped by {}", by.label));
    let saying = of_run(EntryType::SessionStopped, run, detail);
    let runs: Vec<String> = runs.iter().map(Uuid::to_string).collect();
    let saying = saying.with("cancelled_run_ids", runs).with("by", by.map(|by| by.id.clone()));
    Saying { actor: by.cloned().or(saying.actor.clone()), ..saying }
}
