//! What an issue shows of the agent's work, worked out anew whenever that changes and written with it.

use serde_json::{Value, json};
use uuid::Uuid;

use super::run::{NormRun, open_on};
use super::sessions::{AgentSession, SessionStatus};
use super::{NAME, profile_id};
use crate::domain::time::Timestamp;
use crate::triage::Board;
use crate::triage::document::{TriageDocument, Version, VersionStatus};
use crate::triage::error::Error;
use crate::triage::issue::AgentWork;
use crate::triage::moment::written;
use crate::triage::work::Work;

/// Sessions whose status an issue keeps for its feed.
const SHOWN_SESSIONS: usize = 64;

impl Board {
    /// Has the issue show how things stand with this session and this run as they will be.
    pub(super) async fn show_agent(
        &self,
        work: &mut Work,
        session: Option<&AgentSession>,
        run: Option<&NormRun>,
    ) -> Result<(), Error> {
        let changed: Vec<&NormRun> = run.into_iter().collect();
        self.show_agents(work, session, &changed).await
    }

    /// The same with several runs.
    pub(super) async fn show_agents(
        &self,
        work: &mut Work,
        session: Option<&AgentSession>,
        changed: &[&NormRun],
    ) -> Result<(), Error> {
        let issue = work.main.issue.id;
        let stored = self.newest_session(issue).await?;
        let newest = match (stored, session) {
            (Some(stored), Some(new)) if new.id == stored.id || new.created > stored.created => new.clone(),
            (Some(stored), _) => stored,
            (None, Some(new)) => new.clone(),
            (None, None) => return Ok(()),
        };
        let runs = overlaid(self.runs_of(&newest).await?, changed, |run| run.session == newest.id);
        let open = self.documents.all::<NormRun>(Some(open_on(issue))).await?;
        let open = overlaid(open.into_iter().map(|run| run.value).collect(), changed, |_| true);
        let status = SessionStatus::of(&runs);
        let before = std::mem::take(&mut work.main.issue.agent);
        let mut statuses = before.statuses;
        put(&mut statuses, newest.id, status);
        for id in changed.iter().map(|run| run.session).filter(|id| *id != newest.id) {
            let others = self.session_on(issue, id).await?;
            let others = overlaid(self.runs_of(&others).await?, changed, |run| run.session == id);
            put(&mut statuses, id, SessionStatus::of(&others));
        }
        let draft = self.draft_shown(issue).await?;
        work.main.issue.agent = AgentWork {
            latest_session: Some(session_shown(&newest, status, runs.last(), draft)),
            is_processing: open.iter().any(|run| !run.state.is_over()),
            awaits_input: status == SessionStatus::AwaitingInput,
            statuses,
        };
        Ok(())
    }

    /// The issue's newest open draft as it is shown.
    async fn draft_shown(&self, issue: Uuid) -> Result<Value, Error> {
        let Some(draft) = self.drafts_for(issue).await?.pop() else { return Ok(Value::Null) };
        let document = self.document(&draft.document).await?;
        Ok(draft_shown(&document, &draft))
    }

    /// Has the issue show its newest open draft, as it is once this version is written.
    pub(in crate::triage) async fn show_changed_draft(
        &self,
        work: &mut Work,
        version: &Version,
    ) -> Result<(), Error> {
        let drafts = self.drafts_for(work.main.issue.id).await?.into_iter().map(|draft| draft.value);
        let mut drafts: Vec<Version> = drafts.filter(|draft| draft.id != version.id).collect();
        drafts.extend(Some(version).filter(|version| version.status == VersionStatus::Draft).cloned());
        let newest = drafts.into_iter().max_by_key(|draft| (draft.created, draft.id.clone()));
        let shown = match newest {
            Some(draft) => draft_shown(&*self.document(&draft.document).await?, &draft),
            None => Value::Null,
        };
        work.main.issue.agent.show_draft(shown);
        Ok(())
    }
}

fn put(statuses: &mut Vec<(Uuid, SessionStatus)>, id: Uuid, status: SessionStatus) {
    statuses.retain(|(known, _)| *known != id);
    statuses.push((id, status));
    let over = statuses.len().saturating_sub(SHOWN_SESSIONS);
    statuses.drain(..over);
}

/// Runs as they will be, in the order of the queue.
fn overlaid(mut runs: Vec<NormRun>, changed: &[&NormRun], fits: impl Fn(&NormRun) -> bool) -> Vec<NormRun> {
    for new in changed.iter().filter(|run| fits(run)) {
        runs.retain(|run| run.id != new.id);
        runs.push((*new).clone());
    }
    runs.sort_by_key(|run| run.place);
    runs
}

fn session_shown(
    session: &AgentSession,
    status: SessionStatus,
    newest: Option<&NormRun>,
    draft: Value,
) -> Value {
    json!({
        "id": session.id,
        "agent_profile_id": profile_id(),
        "agent_name": NAME,
        "status": status,
        "run": newest.map(run_shown),
        "draft_version": draft,
        "created_at": written(session.created),
        "updated_at": written(session.updated),
    })
}

fn run_shown(run: &NormRun) -> Value {
    json!({
        "id": run.id,
        "intent": run.intent,
        "state": run.state,
        "started_at": run.started.map(written),
        "finished_at": run.finished.map(written),
        "error": run.failure.as_ref().map(|failure| json!({ "code": failure.code, "message": failure.message })),
    })
}

/// A draft in few words.
pub(super) fn draft_shown(document: &TriageDocument, draft: &Version) -> Value {
    let at = |at: Timestamp| written(at);
    json!({
        "document_id": document.id,
        "document_name": document.name,
        "version_id": draft.id,
        "version_number": draft.number,
        "base_version_number": draft.base,
        "status": draft.status,
        "verification": draft.verification.as_ref().map(|one| json!({
            "verdict": one.verdict, "run_id": one.run_id, "content_hash": one.content_hash, "at": at(one.at),
        })),
    })
}
