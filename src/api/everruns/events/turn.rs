//! One run of the session, told as a turn: questions to the model are `reason` steps, calls of tools `act` steps.

mod ending;

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use super::client_tools;
use super::event::{Context, EventId};
use super::fold::{Fold, Sink, without_bytes};
use super::kind::Kind;
use super::parts::{self, Shown};
use crate::api::everruns::ids::{self, EXEC, PublicId};
use crate::api::everruns::models;
use crate::domain::fact::{Fact, Failure, INTERRUPTED};
use crate::domain::id::CallId;
use crate::domain::message::{Finish, Input, Message};
use crate::domain::run::Status;
use crate::domain::spec::Spec;
use crate::domain::time::Timestamp;
use crate::domain::tool::ToolResult;
use crate::domain::view::{Call, RunView, Turn as Answer};

/// A run that is not over.
#[derive(Debug, Clone)]
pub(super) struct Turn {
    pub(super) view: RunView,
    context: Context,
    /// Whether its start was told.
    pub(super) activated: bool,
    /// The question that is open.
    pub(super) reason: Option<Reason>,
    act: Option<Act>,
    /// What was said without a question: a member's answer that became the run's.
    pub(super) unasked: String,
}

/// A question to a model, until it is answered.
#[derive(Debug, Clone)]
pub(super) struct Reason {
    exec: PublicId,
    began: Timestamp,
    thinks: bool,
}

/// The calls of one answer.
#[derive(Debug, Clone)]
struct Act {
    exec: PublicId,
    began: Timestamp,
    /// Calls that were told to have begun.
    told: BTreeSet<CallId>,
}

impl Turn {
    /// Tells the message that begins it.
    pub(super) fn begin(fold: &mut Fold, view: RunView, sink: &mut dyn Sink) -> Self {
        let input = fold.upcoming();
        let context = Context::of_turn(view.run, input);
        if !(view.input.is_empty() && view.origin.is_some()) {
            input_message(fold, sink, &context, &view.input);
        }
        Self { view, context, activated: false, reason: None, act: None, unasked: String::new() }
    }

    /// Whether it is worked on, or about to be.
    pub(super) fn is_going(&self) -> bool {
        match self.view.status {
            Status::Pending | Status::Running => true,
            Status::Paused | Status::Completed | Status::Cancelled | Status::Failed | Status::Replaced => {
                false
            }
        }
    }

    /// Tells that its time has come.
    pub(super) fn activate(&mut self, fold: &mut Fold, sink: &mut dyn Sink) {
        if std::mem::replace(&mut self.activated, true) {
            return;
        }
        let (context, view) = (&self.context, &self.view);
        if !fold.begun() {
            fold.emit(sink, Kind::SessionStarted, &Context::default(), |_, _| {
                let model = models::leader(&view.spec).map(|agent| ids::model(&agent.model));
                present(json!({ "agent_id": agent_id(&view.spec), "model_id": model }))
            });
        }
        let ends = json!({ "turn_id": context.turn_id, "input_message_id": context.input_message_id });
        fold.emit(sink, Kind::SessionActivated, context, |_, _| ends.clone());
        fold.emit(sink, Kind::TurnStarted, context, |_, _| {
            json!({
                "turn_id": context.turn_id,
                "input_message_id": context.input_message_id,
                "input_content": parts::input(&view.input),
            })
        });
    }

    /// Takes in a fact that is no piece of an answer, and tells it.
    pub(super) fn tell(&mut self, fold: &mut Fold, fact: &Fact, sink: &mut dyn Sink) {
        let is_again =
            if let Fact::ModelCalled { turn, .. } = fact { self.broken_before(*turn) } else { None };
        if matches!(fact, Fact::RunPrepared { .. }) {
            self.activate(fold, sink);
        }
        self.view.apply_fact(fold.now(), fact);
        match fact {
            Fact::ModelCalled { .. } => self.asks(fold, sink, is_again),
            Fact::ModelAnswered { .. } => self.answered(fold, sink),
            Fact::ModelFailed { .. } => sink.answered(fold.seq()),
            Fact::ToolStarted { call } => self.tool_started(fold, sink, call),
            Fact::ToolFinished { call, result } => self.tool_finished(fold, sink, call, result),
            Fact::Steered { input, .. } => {
                input_message(fold, sink, &Context::default(), input);
                if let Some(steer) = self.view.steers.last_mut() {
                    steer.input = without_bytes(input);
                }
            }
            Fact::Paused { calls, .. } => self.paused(fold, sink, calls),
            Fact::RunFinished { outcome, .. } => self.finished(fold, sink, outcome),
            Fact::RunStarted(_)
            | Fact::Forked { .. }
            | Fact::RunPrepared { .. }
            | Fact::Said { .. }
            | Fact::Lost { .. }
            | Fact::ToolDoubted { .. }
            | Fact::StepStarted { .. }
            | Fact::StepDecided { .. }
            | Fact::StepFailed { .. }
            | Fact::StepFinished { .. }
            | Fact::Resumed { .. } => {}
        }
    }

    /// Why the attempt before came to nothing, if this question was asked before.
    fn broken_before(&self, turn: u32) -> Option<Failure> {
        let last = self.view.turns.last().filter(|last| last.number == turn && last.answered.is_none())?;
        self.reason.as_ref()?;
        Some(last.failure.clone().unwrap_or_else(|| Failure::new(INTERRUPTED, "")))
    }

    fn asks(&mut self, fold: &mut Fold, sink: &mut dyn Sink, again: Option<Failure>) {
        self.close_act(fold, sink);
        let model = self.view.turns.last().map(|turn| turn.model.clone());
        let named =
            json!({ "turn_id": self.context.turn_id, "model": model.as_ref().map(|model| &model.model) });
        match (again, &mut self.reason) {
            (Some(failure), Some(reason)) => {
                reason.thinks = false;
                let context = self.context.step(reason.exec);
                if failure.code == INTERRUPTED {
                    fold.emit(sink, Kind::ReasonRecovered, &context, |_, _| json!({}));
                } else {
                    fold.emit(sink, Kind::OutputStarted, &context, |_, _| named);
                }
                sink.asked(&fold.question(context));
            }
            (_, _) => {
                let exec = fold.upcoming().under(EXEC);
                let context = self.context.step(exec);
                let agent = agent_id(&self.view.spec);
                fold.emit(sink, Kind::ReasonStarted, &context, |_, _| {
                    let metadata = model.as_ref().map(|model| {
                        json!({ "model": model.model, "model_id": ids::model(model), "provider_id": ids::provider(&model.provider) })
                    });
                    present(json!({ "agent_id": agent, "metadata": metadata }))
                });
                fold.emit(sink, Kind::OutputStarted, &context, |_, _| named);
                self.reason = Some(Reason { exec, began: fold.now(), thinks: false });
                sink.asked(&fold.question(context));
            }
        }
    }

    /// Tells that the model thinks, with the first piece of that.
    pub(super) fn thinks(&mut self, fold: &mut Fold, sink: &mut dyn Sink) {
        let model = self.view.turns.last().map(|turn| turn.model.model.clone());
        let Some(reason) = self.reason.as_mut().filter(|reason| !reason.thinks) else { return };
        reason.thinks = true;
        let context = self.context.step(reason.exec);
        let turn = self.context.turn_id;
        fold.emit(sink, Kind::ThinkingStarted, &context, |_, _| json!({ "turn_id": turn, "model": model }));
    }

    fn answered(&mut self, fold: &mut Fold, sink: &mut dyn Sink) {
        sink.answered(fold.seq());
        let (Some(reason), Some(answer)) = (self.reason.take(), self.view.turns.last()) else { return };
        let context = self.context.step(reason.exec);
        let turn = context.turn_id;
        if reason.thinks {
            let thinking = || json!({ "turn_id": turn, "thinking": answer.reasoning });
            fold.emit(sink, Kind::ThinkingCompleted, &context, |_, _| thinking());
        }
        let view = &self.view;
        let span = fold.upcoming().public().to_string();
        fold.emit(sink, Kind::Generation, &context.within(span), |fold, sink| {
            let tools: Vec<Value> = answer.calls.iter().map(|call| parts::call(&call.call)).collect();
            let text = (!answer.text.is_empty()).then_some(answer.text.as_str());
            let output = present(json!({ "tool_calls": tools, "text": text }));
            generation(fold, sink, view, output, metadata(answer, fold.now(), None))
        });
        let calls = || answer.calls.iter().map(|call| &call.call);
        let content = || parts::answer(&answer.text, calls());
        let usage = parts::usage(&answer.usage);
        output_message(fold, sink, &context, answer, content, json!({ "usage": usage }));
        let took = millis(fold.now().since(reason.began));
        fold.emit(sink, Kind::ReasonCompleted, &context, |_, _| {
            let preview = (!answer.text.is_empty()).then(|| parts::preview(&answer.text));
            present(json!({
                "success": true,
                "has_tool_calls": !answer.calls.is_empty(),
                "tool_call_count": answer.calls.len(),
                "text_preview": preview,
                "usage": usage,
                "duration_ms": took,
            }))
        });
    }

    /// The step that the calls of the last answer are, begun if nobody has told that yet.
    fn act(&mut self, fold: &mut Fold, sink: &mut dyn Sink) -> Context {
        let exec = match &self.act {
            Some(act) => act.exec,
            None => {
                let exec = fold.upcoming().under(EXEC);
                let calls = self.view.turns.iter().rev().find(|turn| turn.answered.is_some());
                fold.emit(sink, Kind::ActStarted, &self.context.step(exec), |_, _| {
                    let calls = calls.into_iter().flat_map(|turn| &turn.calls);
                    let calls = calls.map(|call| json!({ "id": call.call.id, "name": call.call.name }));
                    json!({ "tool_calls": calls.collect::<Vec<_>>() })
                });
                self.act = Some(Act { exec, began: fold.now(), told: BTreeSet::new() });
                exec
            }
        };
        self.context.step(exec)
    }

    fn tool_started(&mut self, fold: &mut Fold, sink: &mut dyn Sink, id: &CallId) {
        let context = self.act(fold, sink);
        let Some(call) = self.view.call(id) else { return };
        let is_new = self.act.as_mut().is_some_and(|act| act.told.insert(id.clone()));
        if is_new {
            fold.emit(
                sink,
                Kind::ToolStarted,
                &of_call(&context, id),
                |_, _| json!({ "tool_call": parts::call(&call.call) }),
            );
        }
    }

    fn tool_finished(&mut self, fold: &mut Fold, sink: &mut dyn Sink, id: &CallId, result: &ToolResult) {
        self.tool_started(fold, sink, id);
        let context = self.act(fold, sink);
        let Some(call) = self.view.call(id) else { return };
        let (now, name) = (fold.now(), &call.call.name);
        let took = call.started.map(|started| millis(now.since(started)));
        fold.emit(sink, Kind::ToolCompleted, &of_call(&context, id), |_, _| {
            let mut data = present(json!({ "tool_call_id": id, "tool_name": name, "duration_ms": took }));
            if let Some(fields) = data.as_object_mut() {
                fields.extend(parts::outcome(result));
            }
            data
        });
        if self.calls().iter().all(|call| call.result.is_some()) {
            self.close_act(fold, sink);
        }
    }

    /// The calls of the last answer.
    fn calls(&self) -> &[Call] {
        let last = self.view.turns.iter().rev().find(|turn| turn.answered.is_some());
        last.map_or(&[], |turn| &turn.calls)
    }

    fn close_act(&mut self, fold: &mut Fold, sink: &mut dyn Sink) {
        let Some(act) = self.act.take() else { return };
        let took = millis(fold.now().since(act.began));
        let failed = self.calls().iter().filter_map(Call::failed);
        let (bad, good): (Vec<bool>, Vec<bool>) = failed.partition(|failed| *failed);
        fold.emit(sink, Kind::ActCompleted, &self.context.step(act.exec), |_, _| {
            json!({
                "completed": true,
                "success_count": good.len(),
                "error_count": bad.len(),
                "duration_ms": took,
            })
        });
    }

    /// Tells which calls wait for the client.
    fn paused(&mut self, fold: &mut Fold, sink: &mut dyn Sink, waiting: &[CallId]) {
        let theirs = |id: &&CallId| {
            let call = self.view.call(id);
            let is_new = self.act.as_ref().is_none_or(|act| !act.told.contains(*id));
            is_new && call.is_some_and(|call| client_tools::is_for_client(&self.view, call))
        };
        let asked: Vec<CallId> = waiting.iter().filter(theirs).cloned().collect();
        if asked.is_empty() {
            return;
        }
        for call in &asked {
            self.tool_started(fold, sink, call);
        }
        let context = self.act(fold, sink);
        let calls = asked.iter().filter_map(|id| self.view.call(id)).map(|call| parts::call(&call.call));
        let calls: Vec<Value> = calls.collect();
        fold.emit(sink, Kind::ToolCallRequested, &context, |_, _| json!({ "tool_calls": calls }));
    }

    /// Questions to a model, those asked again counted once.
    fn iterations(&self) -> usize {
        let asked = |turn: &&Answer| turn.answered.is_some();
        let broken = self.view.broken_question().is_some();
        self.view.turns.iter().filter(asked).count() + usize::from(broken)
    }

    fn usage(&self) -> Option<Value> {
        let usage = self.view.usage();
        (usage.total() > 0).then(|| parts::usage(&usage))
    }
}

fn input_message(fold: &mut Fold, sink: &mut dyn Sink, context: &Context, input: &Input) -> EventId {
    fold.emit(sink, Kind::InputMessage, context, |fold, _| {
        json!({ "message": shown(fold).message("user", parts::input(input), input.extra.as_ref()) })
    })
}

/// A message that the event tells which is being made.
fn shown(fold: &Fold) -> Shown {
    Shown { id: fold.last().message(), session: fold.session(), sequence: fold.count(), at: fold.now() }
}

fn output_message(
    fold: &mut Fold,
    sink: &mut dyn Sink,
    context: &Context,
    answer: &Answer,
    content: impl FnOnce() -> Value,
    more: Value,
) {
    let span = fold.upcoming().public().to_string();
    fold.emit(sink, Kind::OutputCompleted, &context.within(span), |fold, _| {
        let model = &answer.model;
        let mut data = json!({
            "message": shown(fold).message("agent", content(), None),
            "metadata": {
                "model": model.model,
                "model_id": ids::model(model),
                "provider_id": ids::provider(&model.provider),
            },
        });
        if let (Some(fields), Value::Object(more)) = (data.as_object_mut(), more) {
            fields.extend(more);
        }
        data
    });
}

/// What the last question was, and what came of it.
fn generation(fold: &Fold, sink: &dyn Sink, view: &RunView, output: Value, metadata: Value) -> Value {
    let mut asked = view.clone();
    // As it was when it was asked: without the answer.
    asked.turns.pop();
    let system = view.system.iter().map(|text| Message::System { text: text.clone() });
    let history = view.history.iter().flat_map(|run| fold.said_by(*run)).cloned();
    let conversation = history.chain(asked.messages()).collect();
    let edit = view.turns.last().map(|turn| &turn.edit);
    let shown = edit.map_or_else(Vec::new, |edit| edit.applied_to(conversation));
    let messages: Vec<Value> = system.chain(shown).map(|message| parts::sent(&message)).collect();
    json!({ "messages": messages, "tools": sink.tools(view), "output": output, "metadata": metadata })
}

fn metadata(answer: &Answer, now: Timestamp, error: Option<&str>) -> Value {
    let finish = answer.finish.map(|finish| match finish {
        Finish::Stop => "stop",
        Finish::ToolCalls => "tool_calls",
        Finish::Length => "length",
        Finish::ContentFilter => "content_filter",
    });
    present(json!({
        "model": answer.model.model,
        "provider": answer.model.provider,
        "success": error.is_none(),
        "error": error,
        "usage": answer.answered.map(|_| parts::usage(&answer.usage)),
        "duration_ms": millis(now.since(answer.called)),
        "time_to_first_token_ms": answer.first_piece.map(|first| millis(first.since(answer.called))),
        "finish_reasons": finish.map(|finish| vec![finish]),
        "response_id": answer.provider_id,
    }))
}

fn of_call(act: &Context, call: &CallId) -> Context {
    let span = act.span_id.as_deref().unwrap_or_default();
    act.within(format!("{span}/{call}"))
}

fn agent_id(spec: &Spec) -> PublicId {
    ids::agent(spec.kind(), spec.id())
}

/// Without the fields that have no value.
fn present(mut data: Value) -> Value {
    if let Some(fields) = data.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    }
    data
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
