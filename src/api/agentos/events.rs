//! A run's entries, and those of the runs below it, as AgentOS events: a pure projection, so that numbers mean the
//! same live and in replays.
//!
//! Events are numbered from 0 in the order of the entries, one numbering for the whole tree; nothing but the entries
//! counts. A `Said` of three pieces gives the same three events as three of one piece, and the pieces of a turn carry
//! the time at which the model was asked, because how pieces were gathered into entries must not show.
//!
//! **Attempts that came to nothing.** When a model is asked again for the same turn (after a crash, or
//! with a fallback), pieces of the first attempt may have been shown. A `CustomEvent` with
//! `kind: "attempt_superseded"` then comes before the next `ModelRequestStarted`: clients that know it drop
//! what they gathered for the turn, others are put right by `RunCompleted`, whose content is the verdict.

use std::collections::HashMap;

use serde::Serialize;

use crate::domain::fact::{Entry, Fact, Outcome, Piece};
use crate::domain::id::{CallId, ModelName, RunId};
use crate::domain::spec::ComponentKind;
use crate::domain::time::Timestamp;
use crate::domain::view::{RunView, Turn};

use super::event::{Ending, Line};
use super::face::Face;
use super::metrics_body::{Metrics, provider_name, time_to_first_piece};
use super::run_body;
use super::task_events::list_of;
use super::tool_body;
use super::tree::{Node, Tree};

pub use super::event::{Event, Name};

/// A projector that forgets does so when runs said, and tools gave, more than so many bytes.
const HELD_BYTES: usize = 16 * 1024;

/// Turns the entries of a run, and of those below it, into events.
#[derive(Debug)]
pub struct Projector {
    tree: Tree,
    root: Face,
    below: HashMap<RunId, Face>,
    next: u64,
    memory: Memory,
}

/// What a projector knows of what was said.
#[derive(Debug)]
enum Memory {
    /// All of it.
    Whole,
    /// What was said lately; so many bytes, and whether there was more.
    Short { held: usize, forgotten: bool },
}

#[derive(Serialize)]
pub(super) struct Retryable {
    pub(super) retryable: bool,
}

impl Projector {
    /// For the run that `start` begins; `None` if it begins none. `start` itself is to be projected too.
    pub fn new(start: &Entry) -> Option<Self> {
        let Fact::RunStarted(started) = &start.fact else { return None };
        let mut tree = Tree::from(RunView::new(start.run, start.at, started));
        tree.root_mut().input.media.clear(); // No event shows it, and it may be large.
        let root = Face::of(tree.root());
        Some(Self { tree, root, below: HashMap::new(), next: 0, memory: Memory::Whole })
    }

    /// The same, forgetting what was said as it goes on. Before an entry that [needs it](Self::needs_texts) it must be
    /// brought back to the tree.
    pub(super) fn forgetful(start: &Entry) -> Option<Self> {
        let memory = Memory::Short { held: 0, forgotten: false };
        Self::new(start).map(|new| Self { memory, ..new })
    }

    /// Whether events of this entry tell what was said before and is forgotten.
    pub(super) fn needs_texts(&self, entry: &Entry) -> bool {
        let forgotten = matches!(self.memory, Memory::Short { forgotten: true, .. });
        forgotten && matches!(entry.fact, Fact::Paused { .. } | Fact::RunFinished { .. })
    }

    /// Where what was forgotten is brought back to.
    pub(super) fn tree_mut(&mut self) -> &mut Tree {
        &mut self.tree
    }

    /// Counts the events of the next entry, which nobody is shown; of what is said nothing is kept.
    pub fn pass(&mut self, entry: &Entry) {
        let Fact::Said { pieces } = &entry.fact else {
            self.project(entry);
            return;
        };
        let silence = Fact::Said { pieces: Vec::new() };
        if self.tree.take(&Entry { seq: entry.seq, run: entry.run, at: entry.at, fact: silence }) {
            self.next += pieces.len() as u64;
        }
    }

    /// How many events there were so far.
    pub fn count(&self) -> u64 {
        self.next
    }

    /// What is known so far of the run and of those below it.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// What is known of the run itself.
    pub fn view(&self) -> &RunView {
        self.tree.root().view
    }

    /// The events of the next entry. Entries of runs that are not below this one have none.
    pub fn project(&mut self, entry: &Entry) -> Vec<Event> {
        let before = self.tree.node(entry.run).map(|node| Before::of(node, &entry.fact)).unwrap_or_default();
        if !self.tree.take(entry) {
            return Vec::new();
        }
        self.meet(entry);
        let mut events = Vec::new();
        if matches!(entry.fact, Fact::RunStarted(_)) {
            events.extend(self.tell_of_task(entry));
        }
        events.extend(self.tell(entry, &before));
        if matches!(entry.fact, Fact::RunFinished { .. }) {
            events.extend(self.tell_of_task(entry));
        }
        events
    }

    fn tell(&mut self, entry: &Entry, before: &Before) -> Vec<Event> {
        if let Fact::ModelCalled { .. } = &entry.fact
            && let Some(face) = self.face_mut(entry.run)
        {
            face.piece = face.piece_prefix(entry.at);
        }
        let Some(mut teller) = self.teller(entry.run, entry.at) else { return Vec::new() };
        if before.superseded {
            teller.attempt_superseded();
        }
        if let Some(call) = &before.unannounced {
            teller.tool_started(call);
        }
        teller.tell(&entry.fact);
        let events = teller.events;
        self.forget_after(&entry.fact);
        events
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "the others hold little")]
    fn forget_after(&mut self, fact: &Fact) {
        let Memory::Short { held, forgotten } = &mut self.memory else { return };
        *held += match fact {
            Fact::Said { pieces } => pieces.iter().map(|piece| piece.text().len()).sum(),
            Fact::ToolFinished { result, .. } => result.content.len(),
            // All of it may just have been brought back.
            Fact::Paused { .. } | Fact::RunFinished { .. } if *forgotten => HELD_BYTES,
            _ => 0,
        };
        if *held >= HELD_BYTES {
            (*held, *forgotten) = (0, true);
            self.tree.forget_texts();
        }
    }

    /// What the first or last fact of a run says about the task it works on, as an event of the leader.
    fn tell_of_task(&mut self, entry: &Entry) -> Vec<Event> {
        let Some((leader, call, task)) = self.tree.node(entry.run).and_then(list_of) else {
            return Vec::new();
        };
        let Some(mut teller) = self.teller(leader, entry.at) else { return Vec::new() };
        if matches!(entry.fact, Fact::RunStarted(_)) {
            teller.task_started(&call, &task);
        } else {
            teller.task_finished(&call, &task);
        }
        teller.events
    }

    fn teller(&mut self, run: RunId, at: Timestamp) -> Option<Teller<'_>> {
        let node = self.tree.node(run)?;
        let face = if node.is_root() { &self.root } else { self.below.get(&run)? };
        Some(Teller { node, face, at, next: &mut self.next, events: Vec::new() })
    }

    fn face_mut(&mut self, run: RunId) -> Option<&mut Face> {
        if run == self.root_run() { Some(&mut self.root) } else { self.below.get_mut(&run) }
    }

    /// Gets to know a run below.
    fn meet(&mut self, entry: &Entry) {
        if entry.run == self.root_run() || !matches!(entry.fact, Fact::RunStarted(_)) {
            return;
        }
        if let Some(view) = self.tree.view_mut(entry.run) {
            view.input.media.clear();
        }
        if let Some(node) = self.tree.node(entry.run) {
            self.below.insert(entry.run, Face::of(node));
        }
    }

    fn root_run(&self) -> RunId {
        self.view().run
    }
}

/// What must be known of a run before a fact is taken in.
#[derive(Default)]
struct Before {
    /// The fact asks a model again for a turn that was already begun.
    superseded: bool,
    /// The call the fact finishes, if nobody said that it began: it was refused, or decided elsewhere.
    unannounced: Option<CallId>,
}

impl Before {
    #[expect(clippy::wildcard_enum_match_arm, reason = "two facts need it")]
    fn of(node: Node<'_>, fact: &Fact) -> Self {
        match fact {
            Fact::ModelCalled { turn, .. } => {
                let last = node.view.turns.last();
                let superseded = last.is_some_and(|last| last.number == *turn && last.answered.is_none());
                Self { superseded, unannounced: None }
            }
            Fact::ToolFinished { call, .. } => {
                let found = node.view.call(call).filter(|found| found.started.is_none());
                Self { superseded: false, unannounced: found.map(|_| call.clone()) }
            }
            _ => Self::default(),
        }
    }
}

/// Tells the events of one fact, which the tree already knows.
pub(super) struct Teller<'a> {
    pub(super) node: Node<'a>,
    face: &'a Face,
    at: Timestamp,
    next: &'a mut u64,
    pub(super) events: Vec<Event>,
}

impl Teller<'_> {
    fn tell(&mut self, fact: &Fact) {
        match fact {
            Fact::Lost { pieces } => *self.next += pieces,
            Fact::Forked { .. } | Fact::RunPrepared { .. } | Fact::ModelFailed { .. } => {}
            Fact::ModelCalled { model, .. } => {
                self.event(Name::ModelRequestStarted, |line| put_model(line, model));
            }
            Fact::Said { pieces } => pieces.iter().for_each(|piece| self.piece(piece)),
            Fact::ModelAnswered { .. } => self.model_completed(),
            Fact::ToolStarted { call } => self.tool_started(call),
            Fact::ToolFinished { call, .. } => {
                self.list_finished(call);
                self.tool_finished(call);
            }
            Fact::ToolDoubted { calls } => calls.iter().for_each(|call| self.doubted(call)),
            Fact::Steered { input, .. } => self.event(Name::CustomEvent, |line| {
                line.put("kind", "message_joined").put("content", &input.text);
            }),
            Fact::StepStarted { .. }
            | Fact::StepDecided { .. }
            | Fact::StepFailed { .. }
            | Fact::StepFinished { .. } => self.tell_step(fact),
            Fact::RunStarted(_) | Fact::Paused { .. } | Fact::Resumed { .. } | Fact::RunFinished { .. } => {
                if self.face.kind == ComponentKind::Workflow {
                    self.tell_workflow(fact);
                } else {
                    self.tell_agent(fact);
                }
            }
        }
    }

    /// Where an agent or a team stands.
    #[expect(clippy::wildcard_enum_match_arm, reason = "the other facts are told for every kind of run")]
    fn tell_agent(&mut self, fact: &Fact) {
        match fact {
            Fact::RunStarted(_) => self.run_started(),
            Fact::Paused { .. } => {
                self.event(Name::RunContentCompleted, |_| {});
                self.paused();
            }
            Fact::Resumed { .. } => self.event(Name::RunContinued, |_| {}),
            Fact::RunFinished { outcome, .. } => self.finished(outcome),
            _ => {}
        }
    }

    /// One event; `own` adds what only this kind of event has.
    pub(super) fn event(&mut self, name: Name, own: impl FnOnce(&mut Line)) {
        let mut line = Line::open(self.at, name, self.face.kind, &self.face.identity);
        own(&mut line);
        self.close(line, name);
    }

    fn close(&mut self, line: Line, name: Name) {
        let ending = if self.face.is_root { name.ending() } else { Ending::No };
        self.events.push(line.close(name, ending, *self.next));
        *self.next += 1;
    }

    /// Reasoning comes with an empty `content`: agent-ui appends whatever stands there, even its absence.
    fn piece(&mut self, piece: &Piece) {
        let mut line = Line::from_prefix(&self.face.piece);
        match piece {
            Piece::Text(text) => line.put("content", text),
            Piece::Reasoning(text) => line.put("content", "").put("reasoning_content", text),
        };
        self.close(line, Name::RunContent);
    }

    fn run_started(&mut self) {
        let model = run_body::model(self.node.view);
        self.event(Name::RunStarted, |line| {
            if let Some(model) = model {
                put_model(line, model);
            }
        });
    }

    fn model_completed(&mut self) {
        let Some(turn) = self.node.view.turns.last() else { return };
        let Turn { model, usage, .. } = turn;
        let first = time_to_first_piece(turn);
        self.event(Name::ModelRequestCompleted, |line| {
            put_model(line, model);
            line.put("input_tokens", &usage.input)
                .put("output_tokens", &usage.output)
                .put("total_tokens", &usage.total())
                .put_some("time_to_first_token", first.as_ref())
                .put("reasoning_tokens", &usage.reasoning)
                .put("cache_read_tokens", &usage.cache_read)
                .put("cache_write_tokens", &usage.cache_write);
        });
    }

    fn attempt_superseded(&mut self) {
        let before = self.node.view.turns.split_last().and_then(|(_, before)| before.last());
        let Some(attempt) = before else { return };
        let reason = attempt.failure.as_ref().map(|failure| &failure.message);
        self.event(Name::CustomEvent, |line| {
            line.put("kind", "attempt_superseded").put("turn", &attempt.number).put_some("reason", reason);
        });
    }

    fn tool_started(&mut self, call: &CallId) {
        let tool = tool_body::tool(self.node, call);
        self.event(Name::ToolCallStarted, |line| {
            line.put_some("tool", tool.as_ref());
        });
    }

    fn doubted(&mut self, call: &CallId) {
        let tool = tool_body::tool(self.node, call);
        self.event(Name::CustomEvent, |line| {
            line.put("kind", "tool_in_doubt").put_some("tool", tool.as_ref());
        });
    }

    fn tool_finished(&mut self, call: &CallId) {
        let Some(tool) = tool_body::tool(self.node, call) else { return };
        self.event(Name::ToolCallCompleted, |line| {
            line.put("content", &tool.completed_sentence()).put("tool", &tool);
        });
        if let Some(error) = tool.error() {
            self.event(Name::ToolCallError, |line| {
                line.put("tool", &tool).put("error", error);
            });
        }
    }

    fn paused(&mut self) {
        let node = self.node;
        self.event(Name::RunPaused, |line| {
            line.put("content", &tool_body::pause_sentence(node))
                .put("tools", &tool_body::waiting(node))
                .put("requirements", &tool_body::requirements(node));
        });
    }

    fn finished(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Completed => {
                self.event(Name::RunContentCompleted, |_| {});
                self.completed();
            }
            Outcome::Cancelled { reason } => {
                let text = self.node.view.text();
                self.event(Name::RunCancelled, |line| {
                    line.put("content", &text).put("reason", reason);
                });
            }
            Outcome::Failed(failure) => self.event(Name::RunError, |line| {
                line.put("content", &failure.message)
                    .put("error_type", &failure.code)
                    .put("additional_data", &Retryable { retryable: failure.retryable });
            }),
        }
    }

    fn completed(&mut self) {
        let (node, view) = (self.node, self.node.view);
        let reasoning = Some(view.reasoning()).filter(|text| !text.is_empty());
        self.event(Name::RunCompleted, |line| {
            line.put_some("content", run_body::content(view).as_ref())
                .put("content_type", &run_body::content_type(view))
                .put_some("reasoning_content", reasoning.as_ref())
                .put_some("model_provider_data", run_body::provider_data(view).as_ref())
                .put_some("metadata", view.options.metadata.as_ref())
                .put("metrics", &Metrics::of_run(view))
                .put("session_state", &view.state)
                .put_some("member_responses", run_body::members(node).as_ref());
        });
    }
}

fn put_model(line: &mut Line, model: &ModelName) {
    line.put("model", &model.model).put("model_provider", &provider_name(model));
}
