//! How a turn ends: completed, failed or cancelled, and the session idle again.

use serde_json::json;

use super::{Turn, generation, input_message, metadata, millis, output_message, present, shown};
use crate::api::everruns::events::fold::{Fold, Sink};
use crate::api::everruns::events::kind::Kind;
use crate::api::everruns::events::{failure, parts};
use crate::domain::conversation::CANCEL_NOTE;
use crate::domain::fact::{Failure, Outcome};
use crate::domain::message::Input;
use crate::domain::spec::Spec;
use crate::domain::view::RunView;

impl Turn {
    pub(super) fn finished(&mut self, fold: &mut Fold, sink: &mut dyn Sink, outcome: &Outcome) {
        sink.answered(fold.seq());
        self.close_act(fold, sink);
        // One that ends before its time came was never going; but somebody must say that the session is idle.
        if !fold.is_going() {
            self.activate(fold, sink);
        }
        if !self.activated && matches!(outcome, Outcome::Cancelled { .. }) {
            // It ends with the turn it waited for: clients know of no turn of its own.
            return;
        }
        match outcome {
            Outcome::Completed => self.completed(fold, sink),
            Outcome::Failed(failure) => self.failed(fold, sink, failure),
            Outcome::Cancelled { reason } => {
                self.reason = None;
                let context = self.context.clone();
                let usage = self.usage();
                fold.emit(sink, Kind::TurnCancelled, &context, |_, _| {
                    present(json!({ "turn_id": context.turn_id, "reason": reason, "usage": usage }))
                });
                let note = Input { text: CANCEL_NOTE.into(), ..Input::default() };
                input_message(fold, sink, &context, &note);
            }
        }
        if !self.activated {
            return;
        }
        let (context, usage) = (self.context.clone(), self.usage());
        let iterations = self.iterations();
        fold.emit(sink, Kind::SessionIdled, &context, |_, _| {
            present(json!({ "turn_id": context.turn_id, "iterations": iterations, "usage": usage }))
        });
    }

    fn completed(&mut self, fold: &mut Fold, sink: &mut dyn Sink) {
        self.reason = None;
        let context = self.context.clone();
        let unasked = match self.view.spec.as_ref() {
            Spec::Workflow(_) => self.view.answer(),
            Spec::Agent(_) | Spec::Team(_) => std::mem::take(&mut self.unasked),
        };
        if !unasked.is_empty() {
            fold.emit(sink, Kind::OutputCompleted, &context, |fold, _| {
                let shown = shown(fold);
                json!({ "message": shown.message("agent", json!([parts::text(&unasked)]), None) })
            });
        }
        let (view, usage, iterations) = (&self.view, self.usage(), self.iterations());
        fold.emit(sink, Kind::TurnCompleted, &context, |fold, _| {
            let since = view.began.unwrap_or(view.created);
            let first = view.turns.iter().find_map(|turn| turn.first_piece);
            present(json!({
                "turn_id": context.turn_id,
                "iterations": iterations,
                "duration_ms": millis(fold.now().since(since)),
                "usage": usage,
                "input_content": parts::input(&view.input),
                "final_answer_preview": parts::preview(&final_text(view)),
                "time_to_first_token_ms": first.map(|first| millis(first.since(since))),
                "tool_call_count": view.calls().count(),
                "llm_call_count": iterations,
                "status": "completed",
            }))
        });
    }

    fn failed(&mut self, fold: &mut Fold, sink: &mut dyn Sink, why: &Failure) {
        if let (Some(reason), Some(answer)) = (self.reason.take(), self.view.turns.last()) {
            let context = self.context.step(reason.exec);
            let view = &self.view;
            let code = failure::code(why);
            let span = fold.upcoming().public().to_string();
            fold.emit(sink, Kind::Generation, &context.within(span), |fold, sink| {
                let output = json!({ "tool_calls": [] });
                generation(fold, sink, view, output, metadata(answer, fold.now(), Some(code)))
            });
            let content = || json!([parts::text(why.apology())]);
            output_message(fold, sink, &context, answer, content, json!({ "error_code": code }));
            let took = millis(fold.now().since(reason.began));
            fold.emit(sink, Kind::ReasonCompleted, &context, |_, _| {
                json!({
                    "success": false,
                    "has_tool_calls": false,
                    "tool_call_count": 0,
                    "error": code,
                    "duration_ms": took,
                })
            });
        }
        let context = self.context.clone();
        fold.emit(sink, Kind::TurnFailed, &context, |_, _| {
            json!({
                "turn_id": context.turn_id,
                "error": failure::sentence(why),
                "error_code": failure::code(why),
            })
        });
    }
}

/// What a person reads last.
fn final_text(view: &RunView) -> String {
    match view.spec.as_ref() {
        Spec::Workflow(_) => view.answer(),
        Spec::Agent(_) | Spec::Team(_) => view.turns.last().map(|turn| turn.text.clone()).unwrap_or_default(),
    }
}
