//! The feed as the log tells it: what a run does is written into the feed as it goes.
//!
//! Each entry's id follows from the run and what it is about, and with it is written how far the log was told: so a
//! crash in between repeats nothing and leaves nothing out. A run's last fact makes its one closing entry.

use futures::StreamExt;
use serde_json::Value;
use uuid::Uuid;

use super::cancelling::{stopped, stopped_behind};
use super::codes;
use super::prompting::of_run;
use super::reports;
use super::run::{NormRun, RunState};
use super::sessions::AgentSession;
use super::tools::DENIED;
use crate::domain::fact::{Entry, Fact, Failure, Outcome, Seq};
use crate::domain::id::{CallId, RunId, SessionId};
use crate::domain::message::Usage;
use crate::domain::time::Timestamp;
use crate::domain::tool::Verdict;
use crate::domain::view::{Call, RunView};
use crate::runtime;
use crate::triage::Board;
use crate::triage::entry::{EntryType, Saying};
use crate::triage::error::Error;

/// What a run is told that shows no event for too long.
const STALLED: &str = "nothing happened for too long";
/// What a run is told that waits for a person: there is none who could answer.
const UNANSWERED: &str = "a tool waits for somebody, and nobody can answer it here";
/// Longest text of an entry, in bytes.
const MAX_TEXT: usize = 64 * 1024;
/// Longest beginning of a result that is shown, in characters.
const MAX_PREVIEW: usize = 2_000;

/// What a fact has the feed say, and what it makes of the run.
struct News {
    sayings: Vec<(Uuid, Saying)>,
    end: Option<End>,
    /// Whether the issue's draft may be another.
    draft: bool,
}

struct End {
    state: RunState,
    failure: Option<Failure>,
    at: Timestamp,
}

impl Board {
    /// Writes into the feed what a run's log says, until it is over.
    pub(super) async fn tell_of(&self, run: NormRun, first: Seq) -> Result<(), Error> {
        let session = SessionId::from(run.session);
        let tail = self.runtime.tail(self.owner(), &session, first.saturating_sub(1));
        let mut tail = std::pin::pin!(tail);
        let mut view: Option<RunView> = None;
        loop {
            let Ok(next) = tokio::time::timeout(self.crew.patience, tail.next()).await else {
                self.tell_to_stop(run.id, STALLED).await?;
                continue;
            };
            let Some(entry) = next else { return Err(Error::NotFound("Session")) };
            let entry = match entry {
                Ok(entry) => entry,
                Err(runtime::Error::NoSession(_)) => return Err(Error::NotFound("Session")),
                Err(error) => return Err(error.into()),
            };
            if entry.run != RunId(run.id) {
                continue;
            }
            follow(&mut view, &entry);
            let Some(view) = &view else { continue };
            if let Fact::Paused { .. } = &entry.fact {
                self.tell_to_stop(run.id, UNANSWERED).await?;
            }
            let Some(current) = self.norm_run(run.id).await? else { return Ok(()) };
            let Some(news) = news(&current, view, &entry) else { continue };
            let is_end = news.end.is_some();
            if entry.seq > current.told || is_end {
                self.tell(run.id, news, view, entry.seq).await?;
            }
            if is_end {
                return Ok(());
            }
        }
    }

    async fn tell(&self, id: Uuid, news: News, view: &RunView, seq: Seq) -> Result<(), Error> {
        let Some(run) = self.norm_run(id).await? else { return Ok(()) };
        let mut work = self.work(run.issue).await?;
        let Some(mut run) = self.norm_run(id).await?.filter(|run| !run.state.is_over()) else {
            return Ok(());
        };
        for (id, saying) in news.sayings {
            work.say_as(id, saying).await?;
        }
        (run.told, run.usage) = (seq, view.usage());
        run.steps = u32::try_from(view.said().count()).unwrap_or(u32::MAX);
        let is_end = news.end.is_some();
        if let Some(End { state, failure, at }) = news.end {
            (run.state, run.failure, run.finished) = (state, failure, Some(at));
        }
        work.write(|changes| changes.put(&run));
        if is_end {
            let session = self.session_on(run.issue, run.session).await?;
            let session = AgentSession { updated: work.now, ..session };
            work.write(|changes| changes.put(&session));
            self.show_agent(&mut work, Some(&session), Some(&run)).await?;
        } else if news.draft {
            self.show_agent(&mut work, None, Some(&run)).await?;
        }
        work.save().await.map(drop)
    }

    /// Ends a run that could not be started.
    pub(super) async fn fail(&self, run: &NormRun, failure: Failure) -> Result<(), Error> {
        self.end_unstarted(run, Some(codes::told(&failure))).await
    }

    /// Ends a run that somebody stopped before it was started.
    pub(super) async fn stop_unstarted(&self, run: &NormRun) -> Result<(), Error> {
        self.end_unstarted(run, None).await
    }

    async fn end_unstarted(&self, run: &NormRun, failure: Option<Failure>) -> Result<(), Error> {
        let mut work = self.work(run.issue).await?;
        let Some(mut run) = self.norm_run(run.id).await?.filter(|run| !run.state.is_over()) else {
            return Ok(());
        };
        let (state, last) = match &failure {
            Some(failure) => (RunState::Failed, failed(&run, failure)),
            None => (RunState::Cancelled, stopped(&run)),
        };
        work.say_as(run.entry("closing"), last).await?;
        if let Some(behind) = stopped_behind(&run).filter(|_| state != RunState::Cancelled) {
            work.say_as(run.entry("stopped"), behind).await?;
        }
        (run.state, run.failure, run.finished) = (state, failure, Some(work.now));
        work.write(|changes| changes.put(&run));
        self.show_agent(&mut work, None, Some(&run)).await?;
        work.save().await.map(drop)
    }
}

fn follow(view: &mut Option<RunView>, entry: &Entry) {
    match (view, &entry.fact) {
        (Some(view), _) => view.apply(entry),
        (view @ None, Fact::RunStarted(start)) => *view = Some(RunView::new(entry.run, entry.at, start)),
        (None, _) => {}
    }
}

/// What the feed says of a fact; nothing of most.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the feed tells of few facts, and of new ones not by itself"
)]
fn news(run: &NormRun, view: &RunView, entry: &Entry) -> Option<News> {
    let say = |sayings| Some(News { sayings, end: None, draft: false });
    match &entry.fact {
        Fact::ModelAnswered { turn, tool_calls, .. } => {
            say(thoughts(run, view, *turn, !tool_calls.is_empty()))
        }
        Fact::ToolStarted { call } => {
            say(view.call(call).map(|call| action(run, call)).into_iter().collect())
        }
        Fact::ToolFinished { call, .. } => Some(finished(run, view, call)),
        Fact::RunFinished { outcome, .. } => Some(closing(run, view, outcome, entry.at)),
        _ => None,
    }
}

fn thoughts(run: &NormRun, view: &RunView, number: u32, calls: bool) -> Vec<(Uuid, Saying)> {
    let Some(turn) = view.turns.iter().rev().find(|turn| turn.number == number) else { return Vec::new() };
    let texts = [("reasoning", Some(&turn.reasoning)), ("text", Some(&turn.text).filter(|_| calls))];
    let thought = |(what, text): (&str, Option<&String>)| {
        let text = text.filter(|text| !text.trim().is_empty())?;
        Some((run.entry(&format!("thought/{number}/{what}")), cut(run, EntryType::Thought, text)))
    };
    texts.into_iter().filter_map(thought).collect()
}

/// An entry with a text that may be too long for it.
fn cut(run: &NormRun, kind: EntryType, text: &str) -> Saying {
    let end = text.floor_char_boundary(MAX_TEXT);
    let saying = of_run(kind, run, text.get(..end).unwrap_or_default());
    if end < text.len() { saying.with("truncated", true) } else { saying }
}

fn action_id(run: &NormRun, call: &CallId) -> Uuid {
    run.entry(&format!("action/{call}"))
}

/// A call as it stands.
fn action(run: &NormRun, call: &Call) -> (Uuid, Saying) {
    let arguments =
        call.call.parsed().map_or_else(|| Value::from(call.call.arguments.as_str()), Value::Object);
    let (state, error) = match &call.result {
        None => ("running", None),
        Some(result) => match result.verdict {
            Verdict::Done => ("succeeded", None),
            Verdict::Refused => ("denied", Some(result.content.as_str())),
            Verdict::Failed | Verdict::InDoubt | Verdict::Cancelled => {
                ("failed", Some(result.content.as_str()))
            }
        },
    };
    // Arguments that do not fit are a mistake, not a thing that is forbidden.
    let is_denied = error.is_some_and(|why| why.starts_with(&format!(r#"{{"error":"{DENIED}""#)));
    let state = match state {
        "denied" if error.is_some_and(|why| why.starts_with("The arguments of")) => "failed",
        "failed" if is_denied => "denied",
        state => state,
    };
    let preview =
        call.result.as_ref().map(|result| result.content.chars().take(MAX_PREVIEW).collect::<String>());
    let times = call.started.zip(call.finished);
    let took = times.map(|(from, to)| u64::try_from(to.since(from).as_millis()).unwrap_or(u64::MAX));
    let saying = of_run(EntryType::Action, run, reports::headline(&call.call.name, &arguments))
        .with("tool", call.call.name.as_str())
        .with("tool_call_id", call.call.id.as_str())
        .with("arguments", arguments)
        .with("state", state)
        .with("result_preview", preview)
        .with("duration_ms", took)
        .with("error", error.map(|text| text.chars().take(MAX_PREVIEW).collect::<String>()));
    (action_id(run, &call.call.id), saying)
}

fn finished(run: &NormRun, view: &RunView, id: &CallId) -> News {
    let Some(call) = view.call(id) else { return News { sayings: Vec::new(), end: None, draft: false } };
    let mut sayings = vec![action(run, call)];
    let entry = run.entry(&format!("artifact/{id}"));
    let artifact = reports::artifact(view, call, entry);
    if let Some((title, artifact)) = artifact {
        let mut saying = of_run(EntryType::Artifact, run, title);
        if let Some(agent) = &mut saying.agent {
            agent.artifact = Some(artifact);
        }
        sayings.push((entry, saying));
    }
    News { sayings, end: None, draft: reports::touches_draft(&call.call.name) }
}

fn closing(run: &NormRun, view: &RunView, outcome: &Outcome, at: Timestamp) -> News {
    let open = view.calls().filter(|call| call.started.is_some() && call.result.is_none());
    let mut sayings: Vec<(Uuid, Saying)> = open
        .map(|call| {
            let (id, saying) = action(run, call);
            (id, saying.with("state", "failed"))
        })
        .collect();
    let question = reports::question(view);
    let failing = |failure: Failure| {
        let last = failed(run, &failure);
        (RunState::Failed, Some(failure), last)
    };
    let (state, failure, last) = match outcome {
        Outcome::Completed => {
            let state = if question.is_some() { RunState::AwaitingInput } else { RunState::Completed };
            (state, None, response(run, view, question))
        }
        Outcome::Failed(failure) => failing(codes::told(failure)),
        Outcome::Cancelled { reason } if reason == STALLED => {
            failing(Failure::new("run_timeout", STALLED).retryable())
        }
        Outcome::Cancelled { reason } if reason == UNANSWERED => {
            failing(Failure::new("internal", UNANSWERED))
        }
        Outcome::Cancelled { .. } => (RunState::Cancelled, None, stopped(run)),
    };
    sayings.push((run.entry("closing"), last));
    if state != RunState::Cancelled {
        sayings.extend(stopped_behind(run).map(|saying| (run.entry("stopped"), saying)));
    }
    News { sayings, end: Some(End { state, failure, at }), draft: true }
}

fn response(run: &NormRun, view: &RunView, question: Option<(String, Value)>) -> Saying {
    let Usage { input, output, .. } = view.usage();
    let awaits = question.is_some();
    // What was said beside calls has entries of its own.
    let last = || view.turns.last().map(|turn| turn.text.clone()).unwrap_or_default();
    let (text, options) = question.unwrap_or_else(|| (last(), Value::Null));
    let saying = cut(run, EntryType::Response, &text)
        .with("awaiting_input", awaits)
        .with("usage", serde_json::json!({ "input_tokens": input, "output_tokens": output }));
    if awaits { saying.with("options", options) } else { saying }
}

fn failed(run: &NormRun, failure: &Failure) -> Saying {
    of_run(EntryType::Error, run, failure.message.as_str())
        .with("code", failure.code.as_str())
        .with("retryable", failure.retryable)
}
