//! A run's entries as AgentOS events: a pure projection, so that numbers mean the same live and in replays.
//!
//! Events are numbered from 0 in the order of the entries; nothing but the entries counts. A `Said` of three
//! pieces gives the same three events as three of one piece, and the pieces of a turn carry the time at
//! which the model was asked, because how pieces were gathered into entries must not show.
//!
//! **Attempts that came to nothing.** When a model is asked again for the same turn (after a crash, or
//! with a fallback), pieces of the first attempt may have been shown. A `CustomEvent` with
//! `kind: "attempt_superseded"` then comes before the next `ModelRequestStarted`: clients that know it drop
//! what they gathered for the turn, others are put right by `RunCompleted`, whose content is the verdict.

use serde::Serialize;

use crate::domain::fact::{Entry, Fact, Outcome, Piece};
use crate::domain::id::{CallId, ModelName, RunId};
use crate::domain::spec::ComponentKind;
use crate::domain::time::Timestamp;
use crate::domain::view::{RunView, Turn};

use super::event::Line;
use super::metrics_body::{Metrics, provider_name, time_to_first_piece};
use super::run_body::{self, ComponentBody};
use super::tool_body;

pub use super::event::{Event, Name};

/// Turns the entries of one run into its events.
#[derive(Debug)]
pub struct Projector {
    view: RunView,
    kind: ComponentKind,
    /// The members every event of the run has, as JSON: `"agent_id":…,"nested_depth":0`.
    identity: String,
    /// The frame of a `RunContent` up to the piece; made when a model is asked.
    piece: Vec<u8>,
    next: u64,
}

#[derive(Serialize)]
struct Identity<'a> {
    #[serde(flatten)]
    component: ComponentBody<'a>,
    run_id: RunId,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_run_id: Option<RunId>,
    session_id: &'a str,
    nested_depth: u32,
}

#[derive(Serialize)]
struct Retryable {
    retryable: bool,
}

impl Projector {
    /// For the run that `start` begins; `None` if it begins none. `start` itself is to be projected too.
    pub fn new(start: &Entry) -> Option<Self> {
        let Fact::RunStarted(started) = &start.fact else { return None };
        let mut view = RunView::new(start.run, start.at, started);
        view.input.media.clear(); // No event shows it, and it may be large.
        let identity = identity(&view);
        let mut new = Self { kind: view.spec.kind(), view, identity, piece: Vec::new(), next: 0 };
        new.piece = new.piece_prefix(start.at);
        Some(new)
    }

    /// How many events there were so far.
    pub fn count(&self) -> u64 {
        self.next
    }

    /// What is known of the run so far.
    pub fn view(&self) -> &RunView {
        &self.view
    }

    /// The events of the next entry. Entries of other runs have none.
    pub fn project(&mut self, entry: &Entry) -> Vec<Event> {
        if entry.run != self.view.run {
            return Vec::new();
        }
        let superseded = self.superseded(&entry.fact);
        let unannounced = self.unannounced(&entry.fact);
        let began = unannounced.map(|call| self.tool_started(entry.at, &call));
        self.view.apply(entry);
        let mut events = Vec::new();
        if superseded {
            events.extend(self.attempt_superseded(entry.at));
        }
        events.extend(began);
        self.tell(entry, &mut events);
        events
    }

    /// The events of a fact the view already knows.
    fn tell(&mut self, entry: &Entry, events: &mut Vec<Event>) {
        let at = entry.at;
        match &entry.fact {
            Fact::RunStarted(_) => events.push(self.run_started(at)),
            Fact::RunPrepared { .. } | Fact::ModelFailed { .. } => {}
            Fact::ModelCalled { model, .. } => {
                self.piece = self.piece_prefix(at);
                events.push(self.event(at, Name::ModelRequestStarted, |line| put_model(line, model)));
            }
            Fact::Said { pieces } => events.extend(pieces.iter().map(|piece| self.piece(piece))),
            Fact::ModelAnswered { .. } => events.extend(self.model_completed(at)),
            Fact::ToolStarted { call } => events.push(self.tool_started(at, call)),
            Fact::ToolFinished { call, .. } => self.tool_finished(at, call, events),
            Fact::Lost { pieces } => self.next += pieces,
            Fact::ToolDoubted { calls } => events.extend(calls.iter().map(|call| self.doubted(at, call))),
            Fact::Steered { input } => events.push(self.event(at, Name::CustomEvent, |line| {
                line.put("kind", "message_joined").put("content", &input.text);
            })),
            Fact::Paused { .. } => {
                events.push(self.event(at, Name::RunContentCompleted, |_| {}));
                events.push(self.paused(at));
            }
            Fact::Resumed { .. } => events.push(self.event(at, Name::RunContinued, |_| {})),
            Fact::RunFinished { outcome, .. } => self.finished(at, outcome, events),
        }
    }

    /// One event; `own` adds what only this kind of event has.
    fn event(&mut self, at: Timestamp, name: Name, own: impl FnOnce(&mut Line)) -> Event {
        let mut line = Line::open(at, name, self.kind, &self.identity);
        own(&mut line);
        line.close(name, self.take_number())
    }

    fn take_number(&mut self) -> u64 {
        let number = self.next;
        self.next += 1;
        number
    }

    fn run_started(&mut self, at: Timestamp) -> Event {
        let model = run_body::model(&self.view).cloned();
        self.event(at, Name::RunStarted, |line| {
            if let Some(model) = &model {
                put_model(line, model);
            }
        })
    }

    fn piece_prefix(&self, at: Timestamp) -> Vec<u8> {
        let mut line = Line::open(at, Name::RunContent, self.kind, &self.identity);
        if self.kind == ComponentKind::Agent {
            line.put("workflow_agent", &false);
        }
        line.put("content_type", "str");
        line.into_prefix()
    }

    /// Reasoning comes with an empty `content`: agent-ui appends whatever stands there, even its absence.
    fn piece(&mut self, piece: &Piece) -> Event {
        let mut line = Line::from_prefix(&self.piece);
        match piece {
            Piece::Text(text) => line.put("content", text),
            Piece::Reasoning(text) => line.put("content", "").put("reasoning_content", text),
        };
        line.close(Name::RunContent, self.take_number())
    }

    fn model_completed(&mut self, at: Timestamp) -> Option<Event> {
        let Turn { model, usage, .. } = self.view.turns.last()?;
        let (model, usage) = (model.clone(), *usage);
        let first = self.view.turns.last().and_then(time_to_first_piece);
        Some(self.event(at, Name::ModelRequestCompleted, |line| {
            put_model(line, &model);
            line.put("input_tokens", &usage.input)
                .put("output_tokens", &usage.output)
                .put("total_tokens", &usage.total())
                .put_some("time_to_first_token", first.as_ref())
                .put("reasoning_tokens", &usage.reasoning)
                .put("cache_read_tokens", &usage.cache_read)
                .put("cache_write_tokens", &usage.cache_write);
        }))
    }

    /// Whether this fact asks a model again for a turn that was already begun.
    fn superseded(&self, fact: &Fact) -> bool {
        let (Fact::ModelCalled { turn, .. }, Some(last)) = (fact, self.view.turns.last()) else {
            return false;
        };
        last.number == *turn && last.answered.is_none()
    }

    fn attempt_superseded(&mut self, at: Timestamp) -> Option<Event> {
        let (_, before) = self.view.turns.split_last()?;
        let attempt = before.last()?;
        let (turn, reason) =
            (attempt.number, attempt.failure.as_ref().map(|failure| failure.message.clone()));
        Some(self.event(at, Name::CustomEvent, |line| {
            line.put("kind", "attempt_superseded").put("turn", &turn).put_some("reason", reason.as_ref());
        }))
    }

    /// The call this fact finishes, if nobody said that it began: it was refused, or decided elsewhere.
    fn unannounced(&self, fact: &Fact) -> Option<CallId> {
        let Fact::ToolFinished { call, .. } = fact else { return None };
        let found = self.view.call(call)?;
        found.started.is_none().then(|| call.clone())
    }

    fn tool_started(&mut self, at: Timestamp, call: &CallId) -> Event {
        let mut line = Line::open(at, Name::ToolCallStarted, self.kind, &self.identity);
        line.put_some("tool", tool_body::tool(&self.view, call).as_ref());
        line.close(Name::ToolCallStarted, self.take_number())
    }

    fn doubted(&mut self, at: Timestamp, call: &CallId) -> Event {
        let mut line = Line::open(at, Name::CustomEvent, self.kind, &self.identity);
        line.put("kind", "tool_in_doubt").put_some("tool", tool_body::tool(&self.view, call).as_ref());
        line.close(Name::CustomEvent, self.take_number())
    }

    fn tool_finished(&mut self, at: Timestamp, call: &CallId, events: &mut Vec<Event>) {
        let Some(tool) = tool_body::tool(&self.view, call) else { return };
        let mut number = self.next;
        let mut line = Line::open(at, Name::ToolCallCompleted, self.kind, &self.identity);
        line.put("content", &tool.completed_sentence()).put("tool", &tool);
        events.push(line.close(Name::ToolCallCompleted, number));
        number += 1;
        if let Some(error) = tool.error() {
            let mut line = Line::open(at, Name::ToolCallError, self.kind, &self.identity);
            line.put("tool", &tool).put("error", error);
            events.push(line.close(Name::ToolCallError, number));
            number += 1;
        }
        self.next = number;
    }

    fn paused(&mut self, at: Timestamp) -> Event {
        let mut line = Line::open(at, Name::RunPaused, self.kind, &self.identity);
        line.put("content", &tool_body::pause_sentence(&self.view))
            .put("tools", &tool_body::waiting(&self.view))
            .put("requirements", &tool_body::requirements(&self.view));
        line.close(Name::RunPaused, self.take_number())
    }

    fn finished(&mut self, at: Timestamp, outcome: &Outcome, events: &mut Vec<Event>) {
        match outcome {
            Outcome::Completed => {
                events.push(self.event(at, Name::RunContentCompleted, |_| {}));
                events.push(self.completed(at));
            }
            Outcome::Cancelled { reason } => {
                let text = self.view.text();
                events.push(self.event(at, Name::RunCancelled, |line| {
                    line.put("content", &text).put("reason", reason);
                }));
            }
            Outcome::Failed(failure) => {
                events.push(self.event(at, Name::RunError, |line| {
                    line.put("content", &failure.message)
                        .put("error_type", &failure.code)
                        .put("additional_data", &Retryable { retryable: failure.retryable });
                }));
            }
        }
    }

    fn completed(&mut self, at: Timestamp) -> Event {
        let view = &self.view;
        let reasoning = Some(view.reasoning()).filter(|text| !text.is_empty());
        let mut line = Line::open(at, Name::RunCompleted, self.kind, &self.identity);
        line.put_some("content", run_body::content(view).as_ref())
            .put("content_type", &run_body::content_type(view))
            .put_some("reasoning_content", reasoning.as_ref())
            .put_some("model_provider_data", run_body::provider_data(view).as_ref())
            .put_some("metadata", view.options.metadata.as_ref())
            .put("metrics", &Metrics::of_run(view))
            .put("session_state", &view.state);
        if self.kind == ComponentKind::Team {
            line.put("member_responses", &[(); 0]);
        }
        line.close(Name::RunCompleted, self.take_number())
    }
}

fn put_model(line: &mut Line, model: &ModelName) {
    line.put("model", &model.model).put("model_provider", &provider_name(model));
}

fn identity(view: &RunView) -> String {
    let identity = Identity {
        component: ComponentBody::of(&view.spec),
        run_id: view.run,
        parent_run_id: view.parent,
        session_id: view.session.as_str(),
        nested_depth: 0,
    };
    let object = serde_json::to_string(&identity).unwrap_or_default();
    object.trim_start_matches('{').trim_end_matches('}').to_owned()
}
