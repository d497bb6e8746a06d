//! An agent's run: think, act, perhaps wait, until there is an answer.

use std::collections::BTreeSet;

use super::{Heard, News, Step, ToolOrder, Violation};
use crate::domain::Object;
use crate::domain::fact::{Answer, Decision, Fact, Failure, INTERRUPTED, Outcome, Piece};
use crate::domain::id::{CallId, ModelName};
use crate::domain::message::{Finish, Usage};
use crate::domain::spec::{self, AgentSpec, Limits, Source, TeamMode};
use crate::domain::time::Timestamp;
use crate::domain::tool::{ToolCall, ToolResult, Verdict};
use crate::domain::view::{Call, RunView, Turn};

/// So many calls in a row that could not even be tried end the run (promise P16). Of an agent that a client made they do
/// not: there no tool fails a turn, and the number of questions bounds it.
const MAX_REFUSED_IN_A_ROW: usize = 3;

/// A question that took the process down so often is not asked again.
const MAX_INTERRUPTIONS: usize = 3;

/// Decides for one run of an agent.
#[derive(Debug, Clone)]
pub struct AgentMachine {
    view: RunView,
    limits: Limits,
    /// Who is asked, and who if that one fails.
    models: Vec<ModelName>,
    /// How a leader works with its members.
    mode: Option<TeamMode>,
    /// Who made the agent.
    source: Source,
    /// Calls whose intent was found in the log without an outcome.
    doubted: BTreeSet<CallId>,
}

impl AgentMachine {
    pub(super) fn new(view: RunView, agent: &AgentSpec) -> Self {
        let models = std::iter::once(&agent.model).chain(&agent.fallback_models).cloned().collect();
        Self {
            view,
            limits: agent.limits,
            models,
            mode: None,
            source: agent.source,
            doubted: BTreeSet::new(),
        }
    }

    /// The same at the head of a team.
    pub(super) fn leading(self, mode: TeamMode) -> Self {
        Self { mode: Some(mode), ..self }
    }

    pub(super) fn view(&self) -> &RunView {
        &self.view
    }

    /// After a replay: whoever started these calls is gone.
    pub(super) fn doubt_open_calls(&mut self) {
        self.doubted = self.open_calls().filter(|call| call.started.is_some()).map(id_of).collect();
    }

    /// Whether a question is open: asked, and neither answered nor given up.
    pub(super) fn is_asking(&self) -> bool {
        let open = |turn: &Turn| turn.answered.is_none() && turn.failure.is_none();
        self.view.outcome.is_none() && self.view.turns.last().is_some_and(open)
    }

    pub(super) fn next(&self) -> Step {
        if self.view.outcome.is_some() {
            return Step::Stop;
        }
        if self.view.began.is_none() {
            return Step::Prepare;
        }
        let waits = |call: &Call| self.view.waiting.contains(&call.call.id);
        let ready: Vec<_> = self.open_calls().filter(|call| call.started.is_some() && !waits(call)).collect();
        if !ready.is_empty() {
            return Step::RunTools(ready.into_iter().map(|call| self.order(call)).collect());
        }
        if !self.view.waiting.is_empty() {
            return Step::Wait;
        }
        match self.next_model() {
            Some(model) => Step::CallModel { turn: self.next_turn(), model: model.clone() },
            None => Step::Stop,
        }
    }

    pub(super) fn decide(&self, news: News) -> Vec<Fact> {
        if self.view.outcome.is_some() {
            return Vec::new();
        }
        match news {
            News::Prepared { system, state, stored, history, .. } => {
                vec![Fact::RunPrepared { system, state, stored, history }]
            }
            News::ModelCalled { turn, model, edit } => vec![Fact::ModelCalled { turn, model, edit }],
            News::ModelAnswered { tool_calls, gated, refused, finish, usage, provider_id } => {
                self.on_answer(tool_calls, (&gated, refused), finish, usage, provider_id)
            }
            News::ModelFailed(failure) => self.on_model_failure(failure),
            News::PiecesLost { pieces } => vec![Fact::Lost { pieces }],
            News::ToolFinished { call, result } => self.on_tool_result(call, result),
            News::ToolsDoubted(calls) => self.on_doubt(calls),
            News::Steered(input, choice) => vec![Fact::Steered { input, choice }],
            News::CallsWait(calls) => self.on_calls_wait(&calls),
            News::StepFinished { .. } | News::StepFailed { .. } | News::StepsWait(_) => Vec::new(),
            News::Answered(heard) => self.on_answers(heard),
            News::Cancelled { reason } => self.end(Outcome::Cancelled { reason }),
            News::Broken(failure) => self.end(Outcome::Failed(failure)),
        }
    }

    pub(super) fn apply(&mut self, at: Timestamp, fact: &Fact) -> Result<(), Violation> {
        if self.view.outcome.is_some() {
            let what = format!("a fact after the last one: {fact:?}");
            return Err(Violation { run: self.view.run, what });
        }
        if let Fact::ToolFinished { call, .. } = fact {
            self.doubted.remove(call);
        }
        if let Fact::Steered { choice: Some(choice), .. } = fact
            && let Some(first) = self.models.first_mut()
        {
            first.clone_from(&choice.model);
        }
        if let Fact::ToolDoubted { calls } = fact {
            self.doubted.retain(|call| !calls.contains(call));
        }
        self.view.apply_fact(at, fact);
        Ok(())
    }

    fn open_calls(&self) -> impl Iterator<Item = &Call> {
        self.view.calls().filter(|call| call.result.is_none())
    }

    fn order(&self, call: &Call) -> ToolOrder {
        let values = match call.answer.as_ref().map(|answer| &answer.decision) {
            Some(Decision::Approved { values }) => values.clone(),
            Some(Decision::Rejected { .. } | Decision::Executed { .. }) | None => Object::new(),
        };
        ToolOrder {
            call: call.call.clone(),
            values,
            in_doubt: self.doubted.contains(&call.call.id),
            approved: call.answer.is_some(),
        }
    }

    /// The number of the next question; an attempt that failed is asked again under its own.
    fn next_turn(&self) -> u32 {
        match self.view.turns.last() {
            None => 1,
            Some(turn) if turn.answered.is_some() => turn.number.saturating_add(1),
            Some(turn) => turn.number,
        }
    }

    /// Attempts at the present question that failed, latest first.
    fn failures(&self) -> impl Iterator<Item = &Failure> {
        let open = self.view.turns.iter().rev().take_while(|turn| turn.answered.is_none());
        open.filter_map(|turn| turn.failure.as_ref())
    }

    /// The first model that has not failed at the present question.
    fn next_model(&self) -> Option<&ModelName> {
        let failed = self.failures().filter(|failure| failure.code != INTERRUPTED).count();
        self.models.get(failed).or(self.models.last())
    }

    fn on_answer(
        &self,
        tool_calls: Vec<ToolCall>,
        (gated, refused): (&[CallId], Vec<(usize, String)>),
        finish: Finish,
        usage: Usage,
        provider_id: Option<String>,
    ) -> Vec<Fact> {
        let turn = self.view.turns.last().map_or(1, |turn| turn.number);
        let asked: Vec<CallId> = tool_calls.iter().map(|call| call.id.clone()).collect();
        let tool_calls = self.with_fresh_ids(tool_calls);
        let named: Vec<CallId> = tool_calls.iter().map(|call| call.id.clone()).collect();
        let waits = asked.iter().map(|call| gated.contains(call));
        let mut facts = Vec::with_capacity(named.len().saturating_add(2));
        let wants_more = !named.is_empty() || self.view.has_unread_message();
        let over = self.over_limit(named.len(), &usage);
        facts.push(Fact::ModelAnswered { turn, tool_calls, finish, usage, provider_id });
        match (wants_more, over) {
            (false, _) => facts.extend(self.end(Outcome::Completed)),
            (true, Some(failure)) => facts.extend(self.end(Outcome::Failed(failure))),
            (true, None) if named.is_empty() => {}
            (true, None) => {
                let is_made = |at: &usize| refused.iter().all(|(place, _)| place != at);
                let calls = named.iter().cloned().zip(waits).enumerate();
                let calls = calls.filter(|(at, _)| is_made(at)).map(|(_, call)| call);
                let (held, free): (Vec<_>, Vec<_>) = calls.partition(|(_, waits)| *waits);
                facts.extend(refusals(&named, refused));
                // Calls that wait for nobody go first; the run waits once they are done.
                if free.is_empty() && !held.is_empty() {
                    facts.push(Fact::paused(held.into_iter().map(|(call, _)| call).collect()));
                }
                facts.extend(free.into_iter().map(|(call, _)| Fact::ToolStarted { call }));
            }
        }
        facts
    }

    /// A call's id is its idempotency key, so none may come twice in a run, whatever the model says.
    fn with_fresh_ids(&self, mut calls: Vec<ToolCall>) -> Vec<ToolCall> {
        let mut taken: BTreeSet<CallId> = self.view.calls().map(id_of).collect();
        for call in &mut calls {
            let mut again = 2;
            let stem: String = call.id.as_str().chars().take(24).collect();
            while taken.contains(&call.id) {
                if let Ok(id) = format!("{}-{again}", stem.trim_end()).parse() {
                    call.id = id;
                }
                again += 1;
            }
            taken.insert(call.id.clone());
        }
        calls
    }

    /// Which cap keeps the run from doing what the model wants next.
    fn over_limit(&self, new_calls: usize, usage: &Usage) -> Option<Failure> {
        let limits = self.limits;
        let mut spent = self.view.usage();
        spent.add(usage);
        let calls = self.view.calls().count().saturating_add(new_calls);
        let what = if self.view.turns.len() >= limits.model_calls as usize {
            format!("the limit of {} model calls", limits.model_calls)
        } else if calls > limits.tool_calls as usize {
            format!("the limit of {} tool calls", limits.tool_calls)
        } else if limits.tokens > 0 && spent.total() > limits.tokens {
            format!("the limit of {} tokens", limits.tokens)
        } else {
            return None;
        };
        Some(Failure::new("limit", format!("the run reached {what}")))
    }

    fn on_model_failure(&self, failure: Failure) -> Vec<Fact> {
        let turn = self.view.turns.last().map_or(1, |turn| turn.number);
        let interrupted = failure.code == INTERRUPTED;
        let failed_before =
            self.failures().filter(|before| (before.code == INTERRUPTED) == interrupted).count();
        let tries = if interrupted { MAX_INTERRUPTIONS } else { self.models.len() };
        let attempts = self.view.turns.len();
        let mut facts = vec![Fact::ModelFailed { turn, failure: failure.clone() }];
        if failed_before.saturating_add(1) >= tries || attempts >= self.limits.model_calls as usize {
            facts.extend(self.end(Outcome::Failed(failure)));
        }
        facts
    }

    /// A person is asked once nothing is going any more.
    fn on_doubt(&self, doubted: Vec<CallId>) -> Vec<Fact> {
        let waits = |call: &&Call| call.started.is_none() || doubted.contains(&call.call.id);
        let (held, running): (Vec<_>, Vec<_>) = self.open_calls().partition(waits);
        let mut facts = vec![Fact::ToolDoubted { calls: doubted.clone() }];
        if running.is_empty() {
            facts.push(Fact::paused(held.into_iter().map(id_of).collect()));
        }
        facts
    }

    /// Members wait; so does the run, if nothing else is going.
    fn on_calls_wait(&self, waiting: &[CallId]) -> Vec<Fact> {
        let waits = |call: &&Call| call.started.is_none() || waiting.contains(&call.call.id);
        let (held, running): (Vec<_>, Vec<_>) = self.open_calls().partition(waits);
        if !running.is_empty() || held.is_empty() {
            return Vec::new();
        }
        vec![Fact::paused(held.into_iter().map(id_of).collect())]
    }

    /// Whether this result is the run's answer: of a member that the task was passed on to.
    fn is_answer(&self, call: &CallId, result: &ToolResult) -> bool {
        let is_passed_on =
            || self.view.call(call).is_some_and(|call| call.call.name == spec::DELEGATE_TO_ONE);
        self.mode == Some(TeamMode::Route) && result.verdict == Verdict::Done && is_passed_on()
    }

    fn on_tool_result(&self, call: CallId, result: ToolResult) -> Vec<Fact> {
        let (running, held): (Vec<_>, Vec<_>) = self.open_calls().partition(|call| call.started.is_some());
        if running.iter().all(|open| open.call.id != call) {
            return Vec::new();
        }
        let refused =
            if result.verdict == Verdict::Refused { self.refused_in_a_row().saturating_add(1) } else { 0 };
        let why = result.content.clone();
        let mut changed = self.view.state.clone();
        crate::domain::state::apply(&mut changed, &result.state);
        let is_last = running.len() == 1 && held.is_empty() && !self.view.has_unread_message();
        let is_answer = is_last && self.is_answer(&call, &result);
        let ends = is_last && (result.ends || self.has_ended());
        let mut facts = vec![Fact::ToolFinished { call: call.clone(), result }];
        if is_answer || ends {
            if is_answer {
                facts.push(Fact::Said { pieces: vec![Piece::Text(why)] });
            }
            facts.push(Fact::RunFinished { outcome: Outcome::Completed, state: self.changes_of(&changed) });
        } else if refused >= MAX_REFUSED_IN_A_ROW && self.source == Source::File {
            let message =
                format!("the model made {refused} tool calls in a row that could not be tried: {why}");
            let outcome = Outcome::Failed(Failure::new("invalid_tool_calls", message));
            facts.extend(running.iter().filter(|open| open.call.id != call).map(|open| given_up(open)));
            facts.push(Fact::RunFinished { outcome, state: self.changes_of(&changed) });
        } else if running.len() == 1 && !held.is_empty() {
            facts.push(Fact::paused(held.into_iter().map(id_of).collect()));
        }
        facts
    }

    /// Whether a call of the present answer was one that the run ends with.
    fn has_ended(&self) -> bool {
        let calls = self.view.turns.last().into_iter().flat_map(|turn| &turn.calls);
        calls.filter_map(|call| call.result.as_ref()).any(|result| result.ends)
    }

    /// How many of the latest finished calls were refused without one between that was tried.
    fn refused_in_a_row(&self) -> usize {
        let mut finished: Vec<_> = self
            .view
            .calls()
            .filter_map(|call| Some((call.finished?, call.result.as_ref()?.verdict)))
            .collect();
        finished.sort_by_key(|(at, _)| *at);
        finished.iter().rev().take_while(|(_, verdict)| *verdict == Verdict::Refused).count()
    }

    /// Of two answers for one call the first counts. Calls that somebody agreed to begin together, once
    /// nobody is waited for any more: a call that was begun and not made would be in doubt.
    fn on_answers(&self, heard: Heard) -> Vec<Fact> {
        let Heard { answers, mut below, .. } = heard;
        let mut left = self.view.waiting.clone();
        below.calls.retain(|call| left.contains(call));
        left.retain(|call| !below.calls.contains(call));
        let mut known: Vec<Answer> = Vec::with_capacity(answers.len());
        for answer in answers {
            if let Some(at) = left.iter().position(|call| *call == answer.call) {
                left.remove(at);
                known.push(answer);
            }
        }
        if known.is_empty() && below.is_empty() {
            return Vec::new();
        }
        let settled: Vec<Fact> = known.iter().filter_map(|answer| self.result_of(answer)).collect();
        let agreed_now = known.iter().filter(|answer| is_approval(answer)).map(|answer| answer.call.clone());
        let agreed_before = self.open_calls().filter(|call| call.answer.is_some()).map(id_of);
        let agreed: BTreeSet<CallId> = agreed_before.chain(agreed_now).collect();
        let agreed = self.open_calls().map(id_of).filter(|call| agreed.contains(call));
        let mut facts = vec![Fact::Resumed { answers: known, decisions: Vec::new(), below }];
        facts.extend(settled);
        if left.is_empty() {
            facts.extend(agreed.map(|call| Fact::ToolStarted { call }));
        } else {
            facts.push(Fact::paused(left));
        }
        facts
    }

    /// The result a decision gives its call at once; a call that may go ahead has none yet.
    fn result_of(&self, answer: &Answer) -> Option<Fact> {
        let call = self.view.call(&answer.call)?;
        let result = match &answer.decision {
            Decision::Approved { .. } => return None,
            Decision::Rejected { note } => {
                let note = note.as_deref().unwrap_or("no reason given");
                if call.doubted {
                    let message = format!(
                        "It is not known whether `{}` took effect, and a person decided not to call it again: {note}",
                        call.call.name
                    );
                    ToolResult::new(Verdict::InDoubt, message)
                } else {
                    ToolResult::failed(format!("A person rejected this call: {note}"))
                }
            }
            Decision::Executed { result, failed: false } => ToolResult::done(result.clone()),
            Decision::Executed { result, failed: true } => ToolResult::failed(result.clone()),
        };
        Some(Fact::ToolFinished { call: answer.call.clone(), result })
    }

    /// The last fact, and before it a result for each call that is going.
    fn end(&self, outcome: Outcome) -> Vec<Fact> {
        let going = self.open_calls().filter(|call| call.started.is_some());
        let mut facts: Vec<Fact> = going.map(given_up).collect();
        facts.push(Fact::RunFinished { outcome, state: self.changes_of(&self.view.state) });
        facts
    }

    fn changes_of(&self, state: &Object) -> Vec<crate::domain::state::Change> {
        crate::domain::state::diff(&self.view.stored, state)
    }
}

/// What is said of calls that are not made: begun and over at once.
fn refusals(calls: &[CallId], refused: Vec<(usize, String)>) -> impl Iterator<Item = Fact> {
    refused.into_iter().flat_map(|(at, reason)| {
        let call = calls.get(at).cloned();
        let over = |call| Fact::ToolFinished { call, result: ToolResult::failed(reason) };
        [call.clone().map(|call| Fact::ToolStarted { call }), call.map(over)].into_iter().flatten()
    })
}

fn id_of(call: &Call) -> CallId {
    call.call.id.clone()
}

fn is_approval(answer: &Answer) -> bool {
    matches!(answer.decision, Decision::Approved { .. })
}

/// What is said of a call whose run ends before it does.
fn given_up(call: &Call) -> Fact {
    let message = format!("`{}` was given up when its run ended. It may have taken effect.", call.call.name);
    Fact::ToolFinished { call: id_of(call), result: ToolResult::new(Verdict::Cancelled, message) }
}
