//! A run as its facts tell it: the one fold that machines, surfaces and histories share.

mod turn;

use std::sync::Arc;
use std::time::Duration;

use super::Object;
use super::fact::{Answer, Below, Entry, Fact, INTERRUPTED, Outcome, Piece, Place, RunOptions, RunStart};
use super::fork::Origin;
use super::id::{CallId, RunId, SessionId, UserId};
use super::message::{Input, Message, Usage};
use super::run::Status;
use super::spec::Spec;
use super::state;
use super::step::{StepAnswer, StepKey};
use super::steps::{StepView, Steps};
use super::time::Timestamp;

pub use turn::{Call, Steer, Turn};

/// Between two facts of a run no more time than this counts as work: the clock may have jumped, or the machine
/// may have been off.
const LONGEST_STEP: Duration = Duration::from_secs(300);

/// Everything known about one run.
#[derive(Debug, Clone, PartialEq)]
pub struct RunView {
    /// Its name.
    pub run: RunId,
    /// Its session.
    pub session: SessionId,
    /// What runs, as it was when the run was accepted.
    pub spec: Arc<Spec>,
    /// Whom the client speaks for.
    pub user: Option<UserId>,
    /// What was asked.
    pub input: Input,
    /// Options of this run.
    pub options: RunOptions,
    /// The run that asked for this one.
    pub parent: Option<RunId>,
    /// What in that run asked for it.
    pub place: Option<Place>,
    /// Everything else it may start.
    pub components: Vec<Arc<Spec>>,
    /// The run whose conversation it goes on with, or that it is a copy of.
    pub origin: Option<Origin>,
    /// When it was accepted.
    pub created: Timestamp,
    /// When its turn came.
    pub began: Option<Timestamp>,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// Where it stands.
    pub status: Status,
    /// How it ended.
    pub outcome: Option<Outcome>,
    /// The system message.
    pub system: Option<String>,
    /// Earlier runs the model is shown.
    pub history: Vec<RunId>,
    /// The session's state as stored when the run's turn came.
    pub stored: Object,
    /// The session's state as the run sees it.
    pub state: Object,
    /// Questions to a model, attempts that failed included.
    pub turns: Vec<Turn>,
    /// Calls that wait for somebody, or whose members do.
    pub waiting: Vec<CallId>,
    /// Steps that wait for somebody, or whose runs do.
    pub waiting_steps: Vec<StepKey>,
    /// When it waits no longer.
    pub waits_until: Option<Timestamp>,
    /// Steps of a workflow, in the order in which they began.
    pub steps: Steps,
    /// Messages that joined it.
    pub steers: Vec<Steer>,
    /// How long it was worked on: without waiting for its turn, for people, or for a server that was down.
    pub worked: Duration,
    /// When the last fact was decided.
    last: Timestamp,
}

impl RunView {
    /// The view of a run that was just accepted.
    pub fn new(run: RunId, at: Timestamp, start: &RunStart) -> Self {
        Self {
            run,
            session: start.session.clone(),
            spec: start.spec.clone(),
            user: start.user.clone(),
            input: start.input.clone(),
            options: start.options.clone(),
            parent: start.parent,
            place: start.place.clone(),
            components: start.components.clone(),
            origin: start.origin.clone(),
            created: at,
            began: None,
            ended: None,
            status: Status::Pending,
            outcome: None,
            system: None,
            history: Vec::new(),
            stored: Object::new(),
            state: Object::new(),
            turns: Vec::new(),
            waiting: Vec::new(),
            waiting_steps: Vec::new(),
            waits_until: None,
            steps: Steps::default(),
            steers: Vec::new(),
            worked: Duration::ZERO,
            last: at,
        }
    }

    /// Folds a run's entries; `None` if they do not begin with its start. Entries of other runs are passed over.
    pub fn of<'a>(run: RunId, entries: impl IntoIterator<Item = &'a Entry>) -> Option<Self> {
        let mut entries = entries.into_iter().filter(|entry| entry.run == run);
        let first = entries.next()?;
        let Fact::RunStarted(start) = &first.fact else { return None };
        let mut view = Self::new(run, first.at, start);
        for entry in entries {
            view.apply(entry);
        }
        Some(view)
    }

    /// Takes in the next entry of this run.
    pub fn apply(&mut self, entry: &Entry) {
        self.apply_fact(entry.at, &entry.fact);
    }

    /// Takes in the next fact of this run.
    pub fn apply_fact(&mut self, at: Timestamp, fact: &Fact) {
        self.count_work(at, fact);
        match fact {
            Fact::Forked { .. } | Fact::RunStarted(_) | Fact::Lost { .. } => {}
            Fact::RunPrepared { system, state, stored, history } => {
                self.began = Some(at);
                self.status = Status::Running;
                self.system.clone_from(system);
                self.state.clone_from(state);
                self.stored.clone_from(stored);
                self.history.clone_from(history);
            }
            Fact::ModelCalled { turn, model, edit } => {
                self.turns.push(Turn { edit: edit.clone(), ..Turn::new(*turn, model.clone(), at) });
            }
            Fact::Said { pieces } => self.hear(at, pieces),
            Fact::ModelAnswered { tool_calls, finish, usage, provider_id, .. } => {
                if let Some(turn) = self.turns.last_mut() {
                    turn.answered = Some(at);
                    turn.calls = tool_calls.iter().cloned().map(Call::new).collect();
                    turn.finish = Some(*finish);
                    turn.usage = *usage;
                    turn.provider_id.clone_from(provider_id);
                }
            }
            Fact::ModelFailed { failure, .. } => {
                if let Some(turn) = self.turns.last_mut() {
                    turn.failure = Some(failure.clone());
                }
            }
            Fact::ToolDoubted { calls } => calls.iter().for_each(|call| self.doubt(call)),
            Fact::Steered { input } => self.join(at, input),
            Fact::ToolStarted { call } => self.with_call(call, |found| found.started = Some(at)),
            Fact::ToolFinished { call, result } => {
                state::apply(&mut self.state, &result.state);
                self.with_call(call, |found| {
                    found.finished = Some(at);
                    found.result = Some(result.clone());
                });
            }
            Fact::StepStarted { .. }
            | Fact::StepDecided { .. }
            | Fact::StepFailed { .. }
            | Fact::StepFinished { .. } => self.apply_step(at, fact),
            Fact::Paused { calls, steps, until } => {
                self.status = Status::Paused;
                self.waiting.clone_from(calls);
                self.waiting_steps.clone_from(steps);
                self.waits_until = *until;
                steps.iter().for_each(|step| self.steps.change(at, step, |_| {}));
            }
            Fact::Resumed { answers, decisions, below } => self.resume(at, answers, decisions, below),
            Fact::RunFinished { outcome, .. } => {
                self.ended = Some(at);
                self.status = outcome.into();
                self.outcome = Some(outcome.clone());
            }
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "the others are not about steps")]
    fn apply_step(&mut self, at: Timestamp, fact: &Fact) {
        match fact {
            Fact::StepStarted { step, attempt } => {
                self.steps.change(at, step, |found| {
                    (found.attempt, found.tried) = (*attempt, Some(at));
                    (found.finished, found.output) = (None, None);
                });
            }
            Fact::StepDecided { step, choice } => {
                self.steps.change(at, step, |found| found.choices.push(choice.clone()));
            }
            Fact::StepFailed { step, failure, .. } => {
                self.steps.change(at, step, |found| found.failures.push(failure.clone()));
            }
            Fact::StepFinished { step, output, state: changes } => {
                state::apply(&mut self.state, changes);
                self.steps.change(at, step, |found| {
                    (found.finished, found.output) = (Some(at), Some(output.clone()));
                });
            }
            _ => {}
        }
    }

    fn resume(&mut self, at: Timestamp, answers: &[Answer], decisions: &[StepAnswer], below: &Below) {
        self.status = Status::Running;
        self.waits_until = None;
        self.waiting
            .retain(|call| answers.iter().all(|answer| answer.call != *call) && !below.calls.contains(call));
        for answer in answers {
            self.with_call(&answer.call, |found| found.answer = Some(answer.clone()));
        }
        self.waiting_steps.retain(|step| {
            decisions.iter().all(|answer| answer.step != *step) && !below.steps.contains(step)
        });
        for answer in decisions {
            self.steps.change(at, &answer.step, |found| found.hear(&answer.decision));
        }
    }

    /// The step of that name.
    pub fn step(&self, key: &StepKey) -> Option<&StepView> {
        self.steps.get(key)
    }

    fn doubt(&mut self, call: &CallId) {
        self.with_call(call, |found| (found.started, found.answer, found.doubted) = (None, None, true));
    }

    fn join(&mut self, at: Timestamp, input: &Input) {
        let after = self.said().count();
        self.steers.push(Steer { at, input: input.clone(), after });
    }

    fn count_work(&mut self, at: Timestamp, fact: &Fact) {
        let down = matches!(fact, Fact::Lost { .. })
            || matches!(fact, Fact::ModelFailed { failure, .. } if failure.code == INTERRUPTED);
        if self.status == Status::Running && !down {
            self.worked += at.since(self.last).min(LONGEST_STEP);
        }
        self.last = at;
    }

    fn hear(&mut self, at: Timestamp, pieces: &[Piece]) {
        let Some(turn) = self.turns.last_mut() else { return };
        turn.first_piece.get_or_insert(at);
        for piece in pieces {
            match piece {
                Piece::Text(text) => turn.text.push_str(text),
                Piece::Reasoning(text) => turn.reasoning.push_str(text),
            }
        }
    }

    fn with_call(&mut self, call: &CallId, change: impl FnOnce(&mut Call)) {
        let calls = self.turns.iter_mut().rev().flat_map(|turn| turn.calls.iter_mut());
        if let Some(found) = calls.into_iter().find(|found| found.call.id == *call) {
            change(found);
        }
    }

    /// The call of that name, the latest if the model used a name twice.
    pub fn call(&self, call: &CallId) -> Option<&Call> {
        self.calls_backwards().find(|found| found.call.id == *call)
    }

    fn calls_backwards(&self) -> impl Iterator<Item = &Call> {
        self.turns.iter().rev().flat_map(|turn| turn.calls.iter().rev())
    }

    /// All calls, in the order they were asked for.
    pub fn calls(&self) -> impl Iterator<Item = &Call> {
        self.turns.iter().flat_map(|turn| &turn.calls)
    }

    /// Turns that are part of the conversation: answered, or the one that is being answered or was cut off by
    /// the run's end. Attempts that were superseded are not.
    pub fn said(&self) -> impl Iterator<Item = &Turn> {
        let last = self.turns.len();
        self.turns
            .iter()
            .enumerate()
            .filter(move |(at, turn)| turn.answered.is_some() || (at + 1 == last && turn.failure.is_none()))
            .map(|(_, turn)| turn)
    }

    /// Messages that joined the run when its conversation had so many turns.
    pub fn steers_after(&self, turns: usize) -> impl Iterator<Item = &Steer> {
        self.steers.iter().filter(move |steer| steer.after == turns)
    }

    /// Whether a message joined that no question has shown to a model yet.
    pub fn has_unread_message(&self) -> bool {
        let turns = self.said().count();
        self.steers.iter().any(|steer| steer.after >= turns)
    }

    /// The whole answer so far: the text of all turns together.
    pub fn text(&self) -> String {
        self.said().map(|turn| turn.text.as_str()).collect()
    }

    /// What the run came to, as text: of a workflow, the output of the last of its own steps that was not passed
    /// over.
    pub fn answer(&self) -> String {
        if !matches!(self.spec.as_ref(), Spec::Workflow(_)) {
            return self.text();
        }
        let own = self.steps.iter().rev().filter(|step| step.key.is_top());
        let outputs = own.filter_map(|step| step.output.as_ref());
        outputs
            .into_iter()
            .find(|output| !output.skipped)
            .map(|output| output.content.clone())
            .unwrap_or_default()
    }

    /// The whole reasoning so far.
    pub fn reasoning(&self) -> String {
        self.said().map(|turn| turn.reasoning.as_str()).collect()
    }

    /// The sum over all turns.
    pub fn usage(&self) -> Usage {
        let mut sum = Usage::default();
        for turn in &self.turns {
            sum.add(&turn.usage);
        }
        sum
    }

    /// What the run changed in the session's state.
    pub fn state_changes(&self) -> Vec<state::Change> {
        state::diff(&self.stored, &self.state)
    }

    /// The conversation of this run, without the system message, healed: a call without a result gets one that
    /// says so, because providers refuse a history with open calls.
    pub fn messages(&self) -> Vec<Message> {
        let joined =
            |turns| self.steers_after(turns).map(|steer| Message::User { input: steer.input.clone() });
        let mut messages = vec![Message::User { input: self.input.clone() }];
        if self.input.is_empty() && self.origin.is_some() {
            messages.clear();
        }
        messages.extend(joined(0));
        for (before, turn) in self.said().enumerate() {
            if !turn.text.is_empty() || !turn.calls.is_empty() {
                messages.push(Message::Assistant {
                    text: turn.text.clone(),
                    reasoning: turn.reasoning.clone(),
                    tool_calls: turn.calls.iter().map(|call| call.call.clone()).collect(),
                });
                messages.extend(turn.calls.iter().map(Call::message));
            }
            messages.extend(joined(before + 1));
        }
        messages
    }
}
