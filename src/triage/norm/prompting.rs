//! Asking Norm: when this is done, the run, its entry in the feed and its place in the queue are on disk, in one write.

use uuid::Uuid;

use super::actor;
use super::run::{NormRun, RunState, Via};
use super::sessions::{AgentSession, SessionStatus};
use crate::domain::message::Usage;
use crate::runtime::{self, Claim};
use crate::triage::Board;
use crate::triage::comments::Dispatch;
use crate::triage::entry::{Actor, AgentPart, EntryType, Saying};
use crate::triage::error::Error;
use crate::triage::form::Fault;
use crate::triage::intent::{Asked, Intent};
use crate::triage::work::Work;

/// Runs of one session that may wait.
const QUEUE_DEPTH: usize = 16;

/// Which session is prompted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhichSession {
    /// That one.
    Id(Uuid),
    /// The issue's newest, or a new one.
    Latest,
}

/// A prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPrompt {
    /// What it asks.
    pub asked: Asked,
    /// As it was sent.
    pub raw: String,
    /// How it came.
    pub via: Via,
    /// Who asks.
    pub by: Actor,
}

impl Board {
    /// Asks Norm something; he begins when it is his turn.
    ///
    /// # Errors
    /// [`Error::NotFound`]; `agent_inactive`, `run_queue_full`; [`runtime::Error::Unavailable`] while the server stops;
    /// what the store says.
    pub async fn prompt(
        &self,
        issue: Uuid,
        which: WhichSession,
        new: NewPrompt,
        claim: &Claim,
    ) -> Result<Dispatch, Error> {
        if let Some(made) = claim.made()? {
            return Ok(made);
        }
        if self.runtime.is_stopping() {
            return Err(runtime::Error::Unavailable("the server is stopping".into()).into());
        }
        self.crew.note(self).await?;
        let mut work = self.work(issue).await?;
        let known = match which {
            WhichSession::Id(id) => Some(self.session_on(issue, id).await?),
            WhichSession::Latest => self.newest_session(issue).await?,
        };
        self.norm_profile().await?.must_be_active()?;
        let (session, runs) = match known {
            Some(session) => (session.clone(), self.runs_of(&session).await?),
            None => {
                let session = self.new_agent_session(issue, work.now);
                work.write(|changes| changes.create(&session));
                (session, Vec::new())
            }
        };
        may_wait(&runs)?;
        let mut run = self.run_of(&session, &runs, new, &work);
        let entry = work.say_as(run.entry("prompt"), prompt_entry(&run)).await?;
        run.place = entry.seq;
        work.write(|changes| changes.create(&run));
        self.show_agent(&mut work, Some(&session), Some(&run)).await?;
        let made = Dispatch { session: session.id, run: run.id, intent: run.intent };
        work.save_once(claim, &made).await?;
        self.rouse(issue);
        Ok(made)
    }

    fn run_of(&self, session: &AgentSession, runs: &[NormRun], new: NewPrompt, work: &Work) -> NormRun {
        let NewPrompt { asked: Asked { intent, text }, raw, via, by } = new;
        let may_answer = intent.is_none();
        let intent = intent.or_else(|| asking(runs)).unwrap_or(Intent::Fix);
        NormRun {
            may_answer,
            id: self.runtime.fresh(),
            issue: session.issue,
            session: session.id,
            intent,
            prompt: if text.is_empty() { intent.default_text().into() } else { text },
            raw,
            via,
            by,
            place: 0,
            state: RunState::Queued,
            created: work.now,
            started: None,
            finished: None,
            failure: None,
            usage: Usage::default(),
            steps: 0,
            stop: None,
            told: 0,
        }
    }
}

/// The intent of the run whose question an ordinary text answers.
fn asking(runs: &[NormRun]) -> Option<Intent> {
    let awaits = SessionStatus::of(runs) == SessionStatus::AwaitingInput;
    runs.last().filter(|_| awaits).map(|run| run.intent)
}

fn may_wait(runs: &[NormRun]) -> Result<(), Error> {
    let open: Vec<&NormRun> = runs.iter().filter(|run| !run.state.is_over()).collect();
    let waiting = open.iter().filter(|run| run.state == RunState::Queued).count();
    if waiting < QUEUE_DEPTH {
        return Ok(());
    }
    let live = open.first().map(|run| Fault { path: "run_id".into(), message: run.id.to_string() });
    Err(Error::Conflict {
        code: "run_queue_full",
        message: format!("{QUEUE_DEPTH} prompts wait in this session already"),
        details: live.into_iter().collect(),
    })
}

pub(super) fn prompt_entry(run: &NormRun) -> Saying {
    let saying = of_run(EntryType::Prompt, run, run.prompt.clone());
    let saying = Saying { actor: Some(run.by.clone()), ..saying };
    saying.with("raw_detail", run.raw.as_str()).with("via", run.via.as_str())
}

/// What a run says in the feed, in Norm's name.
pub(super) fn of_run(kind: EntryType, run: &NormRun, detail: impl Into<String>) -> Saying {
    let agent = AgentPart { session: run.session, run: Some(run.id), artifact: None };
    let saying = Saying { agent: Some(agent), ..Saying::new(kind, actor(), detail) };
    saying.with("run_id", run.id.to_string()).with("intent", run.intent.as_str())
}
