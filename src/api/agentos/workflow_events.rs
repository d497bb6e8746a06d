//! A workflow's facts as events: its own, and those of its steps.
//!
//! A step that does something has `StepStarted` and `StepCompleted`; one that holds others has a pair of its own,
//! such as `ParallelExecutionStarted` and `ParallelExecutionCompleted`. What a condition or a router chose is known a
//! moment after it began, so theirs begins with the choice. A step that failed for good has `StepError` and no end.

use crate::domain::fact::{Fact, Outcome};
use crate::domain::spec::{StepAction, StepSpec};
use crate::domain::step::{Choice, StepKey, StepOutput};
use crate::domain::steps::StepView;

use super::event::Line;
use super::events::{Name, Retryable, Teller};
use super::run_body;
use super::step_body::{
    Located, StepIndex, StepOutputBody, inner_outputs, iteration_outputs, locate, step_id, workflow_of,
};
use super::step_requirement::{self, Wait, Waiting};
use super::tree::Node;
use super::workflow_body::{self, Pause, WorkflowBody, WorkflowMetrics};

/// What every event about a step has.
fn put_step(line: &mut Line, key: &StepKey, located: &Located<'_>) {
    line.put("step_id", step_id(key))
        .put("step_name", &located.spec.name)
        .put("step_index", &StepIndex(&located.index));
}

impl Teller<'_> {
    /// Where a workflow stands.
    #[expect(clippy::wildcard_enum_match_arm, reason = "the other facts are told for every kind of run")]
    pub(super) fn tell_workflow(&mut self, fact: &Fact) {
        match fact {
            Fact::RunStarted(_) => self.event(Name::WorkflowStarted, |_| {}),
            Fact::Paused { .. } => self.workflow_paused(),
            Fact::Resumed { decisions, below, .. } => {
                for answer in decisions {
                    self.step_event(Name::StepContinued, &answer.step, |_, _| {});
                }
                for step in &below.steps {
                    let run = self.node.of_step(step);
                    self.step_event(Name::StepExecutorContinued, step, |line, _| put_executor(line, run));
                }
            }
            Fact::RunFinished { outcome, .. } => self.workflow_finished(outcome),
            _ => {}
        }
    }

    /// What became of a step.
    #[expect(clippy::wildcard_enum_match_arm, reason = "the other facts are about no step")]
    pub(super) fn tell_step(&mut self, fact: &Fact) {
        match fact {
            Fact::StepStarted { step, .. } => self.step_started(step),
            Fact::StepDecided { step, choice } => self.step_decided(step, choice),
            Fact::StepFailed { step, failure, .. } => {
                self.step_event(Name::StepError, step, |line, _| {
                    line.put("error", &failure.message);
                });
            }
            Fact::StepFinished { step, output, .. } => self.step_finished(step, output),
            _ => {}
        }
    }

    /// One event about a step of the file.
    fn step_event(&mut self, name: Name, key: &StepKey, own: impl FnOnce(&mut Line, &Located<'_>)) {
        let Some(located) = self.located(key) else { return };
        self.event(name, |line| {
            put_step(line, key, &located);
            own(line, &located);
        });
    }

    fn step_started(&mut self, key: &StepKey) {
        let Some(Located { spec, .. }) = self.located(key) else { return };
        match &spec.action {
            StepAction::Agent(_) | StepAction::Team(_) | StepAction::Tool(_) | StepAction::Workflow(_) => {
                self.step_event(Name::StepStarted, key, |_, _| {});
            }
            StepAction::Parallel(steps) => {
                self.step_event(Name::ParallelExecutionStarted, key, |line, _| {
                    line.put("parallel_step_count", &steps.len());
                });
            }
            StepAction::Loop { max_iterations, .. } => {
                self.step_event(Name::LoopExecutionStarted, key, |line, _| {
                    line.put("max_iterations", max_iterations);
                });
                self.iteration_started(key, 1, *max_iterations);
            }
            StepAction::Condition { .. } | StepAction::Router { .. } => {}
        }
    }

    fn iteration_started(&mut self, key: &StepKey, iteration: usize, most: u32) {
        self.step_event(Name::LoopIterationStarted, key, |line, _| {
            line.put("iteration", &iteration).put("max_iterations", &most);
        });
    }

    fn iteration_completed(&mut self, key: &StepKey, spec: &StepSpec, iteration: usize, again: bool) {
        let StepAction::Loop { max_iterations, .. } = spec.action else { return };
        let node = self.node;
        let number = u32::try_from(iteration).unwrap_or(u32::MAX);
        self.step_event(Name::LoopIterationCompleted, key, |line, located| {
            line.put("iteration", &iteration)
                .put("max_iterations", &max_iterations)
                .put("iteration_results", &iteration_outputs(node, located.spec, key, number))
                .put("should_continue", &again);
        });
    }

    fn step_decided(&mut self, key: &StepKey, choice: &Choice) {
        let Some(Located { spec, .. }) = self.located(key) else { return };
        match (choice, &spec.action) {
            (Choice::Branch(holds), _) => {
                self.step_event(Name::ConditionExecutionStarted, key, |line, _| {
                    line.put("condition_result", holds);
                });
            }
            (Choice::Routes(routes), _) => {
                self.step_event(Name::RouterExecutionStarted, key, |line, _| {
                    line.put("selected_steps", routes);
                });
            }
            (Choice::Again(again), StepAction::Loop { max_iterations, .. }) => {
                let done = self.node.view.step(key).map_or(0, |step| step.choices.len());
                self.iteration_completed(key, spec, done, *again);
                if *again {
                    self.iteration_started(key, done.saturating_add(1), *max_iterations);
                }
            }
            (Choice::Again(_), _) => {}
        }
    }

    /// A step that failed for good, or was given up, has said so.
    fn step_finished(&mut self, key: &StepKey, output: &StepOutput) {
        let Some(Located { spec, .. }) = self.located(key) else { return };
        let Some(step) = self.node.view.step(key) else { return };
        if output.error.is_some() && !output.skipped {
            return;
        }
        match &spec.action {
            StepAction::Agent(_) | StepAction::Team(_) | StepAction::Tool(_) | StepAction::Workflow(_) => {
                self.step_completed(key, output);
            }
            // What never began has no end either.
            _ if step.attempt == 0 => self.step_completed(key, output),
            StepAction::Loop { .. } => self.loop_completed(key, spec, step),
            StepAction::Parallel(_) => self.holder_completed(Name::ParallelExecutionCompleted, key, step),
            StepAction::Condition { .. } => {
                self.holder_completed(Name::ConditionExecutionCompleted, key, step);
            }
            StepAction::Router { .. } => self.holder_completed(Name::RouterExecutionCompleted, key, step),
        }
    }

    fn step_completed(&mut self, key: &StepKey, output: &StepOutput) {
        let node = self.node;
        self.step_event(Name::StepCompleted, key, |line, located| {
            line.put("content", &output.content)
                .put("content_type", "str")
                .put_some("step_response", StepOutputBody::of(node, located.spec, key).as_ref());
        });
    }

    fn loop_completed(&mut self, key: &StepKey, spec: &StepSpec, step: &StepView) {
        let StepAction::Loop { max_iterations, .. } = spec.action else { return };
        let (node, decided) = (self.node, step.choices.len());
        // A loop that came to its cap need not have decided anything after its last iteration.
        let is_open = step.choices.last().is_none_or(|choice| *choice == Choice::Again(true));
        let total = decided + usize::from(is_open);
        if is_open {
            self.iteration_completed(key, spec, total, false);
        }
        self.step_event(Name::LoopExecutionCompleted, key, |line, located| {
            let numbers = 1..=u32::try_from(total).unwrap_or(u32::MAX);
            let all: Vec<_> =
                numbers.map(|number| iteration_outputs(node, located.spec, key, number)).collect();
            line.put("total_iterations", &total)
                .put("max_iterations", &max_iterations)
                .put("all_results", &all);
        });
    }

    fn holder_completed(&mut self, name: Name, key: &StepKey, step: &StepView) {
        let node = self.node;
        self.step_event(name, key, |line, located| {
            let results = inner_outputs(node, located.spec, key);
            match (&located.spec.action, step.choices.last()) {
                (StepAction::Parallel(steps), _) => {
                    line.put("parallel_step_count", &steps.len());
                }
                (StepAction::Condition { otherwise, .. }, Some(Choice::Branch(holds))) => {
                    let branch = if *holds { Some("if") } else { (!otherwise.is_empty()).then_some("else") };
                    line.put("condition_result", holds)
                        .put("executed_steps", &results.len())
                        .put_some("branch", branch.as_ref());
                }
                (_, Some(Choice::Routes(routes))) => {
                    line.put("selected_steps", routes).put("executed_steps", &results.len());
                }
                (_, Some(Choice::Branch(_) | Choice::Again(_)) | None) => {}
            }
            line.put("step_results", &results);
        });
    }

    /// First what each step waits for, then the run as a whole, then the same once more as one object.
    fn workflow_paused(&mut self) {
        let node = self.node;
        for waiting in step_requirement::waiting(node) {
            self.step_waits(&waiting);
        }
        self.event(Name::WorkflowPaused, |line| {
            line.put("status", run_body::status(node.view.status))
                .put_members(&Pause::of(node))
                .put("step_results", &workflow_body::step_results(node))
                .put("step_executor_runs", &workflow_body::executor_runs(node))
                .put_some("content", run_body::content(node.view).as_ref())
                .put_some("metadata", node.view.options.metadata.as_ref());
        });
        if let Some(paused) = self.events.pop() {
            self.events.push(paused.followed_by(&Line::object("WorkflowRunOutput", &WorkflowBody::of(node))));
        }
    }

    fn step_waits(&mut self, waiting: &Waiting<'_>) {
        let name = match waiting.wait {
            Wait::Run(_) => Name::StepExecutorPaused,
            Wait::Review => Name::StepOutputReview,
            Wait::Routes => Name::RouterPaused,
            Wait::Leave | Wait::Failure(_) => Name::StepPaused,
        };
        self.event(name, |line| {
            line.put("step_id", step_id(waiting.key))
                .put("step_name", &waiting.spec.name)
                .put("step_index", &waiting.step_index());
            match waiting.wait {
                Wait::Run(run) => {
                    put_executor(line, Some(run));
                    line.put("executor_requirements", &step_requirement::executor_requirements(run));
                }
                Wait::Review => {
                    line.put("requires_output_review", &true)
                        .put_some("output_review_message", waiting.message().as_ref());
                }
                Wait::Routes => {
                    line.put_some("available_choices", waiting.routes().as_ref())
                        .put_some("user_input_message", waiting.message().as_ref())
                        .put("allow_multiple_selections", &waiting.takes_several());
                }
                Wait::Leave => put_leave(line, waiting),
                Wait::Failure(failure) => {
                    line.put("requires_confirmation", &true)
                        .put("confirmation_message", &failure.message)
                        .put("requires_user_input", &false);
                }
            }
        });
    }

    fn workflow_finished(&mut self, outcome: &Outcome) {
        let node = self.node;
        match outcome {
            Outcome::Completed => self.event(Name::WorkflowCompleted, |line| {
                line.put_some("content", run_body::content(node.view).as_ref())
                    .put("content_type", "str")
                    .put("step_results", &workflow_body::step_results(node))
                    .put("step_executor_runs", &workflow_body::executor_runs(node))
                    .put_some("metadata", node.view.options.metadata.as_ref())
                    .put("metrics", &WorkflowMetrics::of(node));
            }),
            Outcome::Cancelled { reason } => self.event(Name::WorkflowCancelled, |line| {
                line.put("reason", reason).put_some("content", run_body::content(node.view).as_ref());
            }),
            Outcome::Failed(failure) => self.event(Name::WorkflowError, |line| {
                line.put("error", &failure.message)
                    .put("error_type", &failure.code)
                    .put("additional_data", &Retryable { retryable: failure.retryable });
            }),
        }
    }
}

impl<'a> Teller<'a> {
    fn located(&self, key: &StepKey) -> Option<Located<'a>> {
        locate(workflow_of(self.node)?, key)
    }
}

fn put_leave(line: &mut Line, waiting: &Waiting<'_>) {
    let (confirms, gives) = (waiting.asks_to_confirm(), waiting.asks_for_input());
    line.put("requires_confirmation", &confirms)
        .put_some("confirmation_message", waiting.message().filter(|_| confirms).as_ref())
        .put("requires_user_input", &gives)
        .put_some("user_input_message", waiting.message().filter(|_| gives).as_ref())
        .put_some("user_input_schema", waiting.fields().as_ref());
}

fn put_executor(line: &mut Line, run: Option<Node<'_>>) {
    let Some(run) = run else { return };
    line.put("executor_id", run.view.spec.id().as_str())
        .put("executor_name", run.view.spec.name())
        .put("executor_run_id", &run.view.run)
        .put("executor_type", run.view.spec.kind().as_str());
}
