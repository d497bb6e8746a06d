//! Agent sessions on an issue: made, listed, read.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::run::{NormRun, RunState};
use crate::domain::document::{Place, RecordKind, Tags};
use crate::domain::time::Timestamp;
use crate::runtime::Claim;
use crate::runtime::documents::Document;
use crate::triage::Board;
use crate::triage::entry::{of_issue, of_session};
use crate::triage::error::Error;
use crate::triage::form::words;
use crate::triage::page::Part;

words! {
    /// Where a session stands; none of it is final.
    SessionStatus {
        /// Runs wait for their turn.
        Pending = "pending",
        /// A run is going, or there was none yet.
        Active = "active",
        /// The last run ended with a question.
        AwaitingInput = "awaiting_input",
        /// The last run ended with an answer.
        Complete = "complete",
        /// The last run failed.
        Error = "error",
        /// The last run was stopped.
        Cancelled = "cancelled",
    }
}

impl SessionStatus {
    /// What follows from a session's runs, oldest first.
    pub fn of<'a>(runs: impl IntoIterator<Item = &'a NormRun>) -> Self {
        let (mut queued, mut running, mut last) = (false, false, None);
        for run in runs {
            match run.state {
                RunState::Queued => queued = true,
                RunState::Running => running = true,
                RunState::Completed | RunState::Failed | RunState::Cancelled | RunState::AwaitingInput => {
                    last = Some(run.state);
                }
            }
        }
        match last {
            _ if running => Self::Active,
            _ if queued => Self::Pending,
            None | Some(RunState::Queued | RunState::Running) => Self::Active,
            Some(RunState::Completed) => Self::Complete,
            Some(RunState::AwaitingInput) => Self::AwaitingInput,
            Some(RunState::Failed) => Self::Error,
            Some(RunState::Cancelled) => Self::Cancelled,
        }
    }
}

/// An agent session as it is stored; it has the runtime's session of the same name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentSession {
    /// Names it.
    pub id: Uuid,
    /// On which issue.
    pub issue: Uuid,
    /// When it was made.
    pub created: Timestamp,
    /// When one of its runs last changed.
    pub updated: Timestamp,
    /// Whether a run of it has begun.
    pub begun: bool,
}

impl Document for AgentSession {
    const KIND: RecordKind = RecordKind("triage_session");

    fn id(&self) -> String {
        self.id.to_string()
    }

    fn tags(&self) -> Tags {
        Tags { sort: self.created.0, listed: false, names: vec![of_issue(self.issue)] }
    }
}

/// A session with its runs, oldest first.
#[derive(Debug, Clone, PartialEq)]
pub struct SessionView {
    /// The session.
    pub session: AgentSession,
    /// Its runs.
    pub runs: Vec<NormRun>,
}

impl SessionView {
    /// Where it stands.
    pub fn status(&self) -> SessionStatus {
        SessionStatus::of(&self.runs)
    }
}

/// What an order to stop came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cancelled {
    /// The runs it stopped, oldest first.
    pub runs: Vec<Uuid>,
    /// Where the session stands then.
    pub status: SessionStatus,
}

impl Board {
    /// Makes a session on an issue.
    ///
    /// # Errors
    /// [`Error::NotFound`]; `agent_inactive`; what the store says.
    pub async fn create_agent_session(&self, issue: Uuid, claim: &Claim) -> Result<SessionView, Error> {
        if let Some(session) = claim.made()? {
            return Ok(SessionView { session, runs: Vec::new() });
        }
        let mut work = self.work(issue).await?;
        self.norm_profile().await?.must_be_active()?;
        let session = self.new_agent_session(issue, work.now);
        work.write(|changes| changes.create(&session));
        self.show_agent(&mut work, Some(&session), None).await?;
        work.save_once(claim, &session).await?;
        Ok(SessionView { session, runs: Vec::new() })
    }

    /// A session that is not written yet.
    pub(super) fn new_agent_session(&self, issue: Uuid, now: Timestamp) -> AgentSession {
        AgentSession { id: self.runtime.fresh(), issue, created: now, updated: now, begun: false }
    }

    /// Part of an issue's sessions, newest first.
    ///
    /// # Errors
    /// [`Error::NotFound`]; what the store says.
    pub async fn agent_sessions(
        &self,
        issue: Uuid,
        after: Option<Place>,
        limit: usize,
    ) -> Result<Part<SessionView>, Error> {
        self.issue(issue).await?;
        let part = self.part::<AgentSession>(of_issue(issue), true, after, limit).await?;
        let mut items = Vec::with_capacity(part.items.len());
        for session in part.items {
            let runs = self.runs_of(&session).await?;
            items.push(SessionView { session, runs });
        }
        Ok(Part { items, next: part.next })
    }

    /// A session of an issue.
    ///
    /// # Errors
    /// [`Error::NotFound`]; what the store says.
    pub async fn agent_session(&self, issue: Uuid, session: Uuid) -> Result<SessionView, Error> {
        self.issue(issue).await?;
        let session = self.session_on(issue, session).await?;
        let runs = self.runs_of(&session).await?;
        Ok(SessionView { session, runs })
    }

    pub(super) async fn session_on(&self, issue: Uuid, session: Uuid) -> Result<AgentSession, Error> {
        let found = self.documents.get::<AgentSession>(&session.to_string()).await?;
        let found = found.filter(|session| session.issue == issue);
        found.map(|stored| stored.value).ok_or(Error::NotFound("Session"))
    }

    /// The newest session of an issue.
    pub(super) async fn newest_session(&self, issue: Uuid) -> Result<Option<AgentSession>, Error> {
        let part = self.part::<AgentSession>(of_issue(issue), true, None, 1).await?;
        Ok(part.items.into_iter().next())
    }

    /// A session's runs, oldest first.
    pub(super) async fn runs_of(&self, session: &AgentSession) -> Result<Vec<NormRun>, Error> {
        let found = self.documents.all::<NormRun>(Some(of_session(session.issue, session.id))).await?;
        Ok(found.into_iter().map(|stored| stored.value).collect())
    }
}
