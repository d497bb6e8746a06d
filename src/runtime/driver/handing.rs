//! What goes on side by side within a run: calls of tools, tasks handed to members, steps of a workflow.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use futures::StreamExt;
use futures::future::{BoxFuture, FutureExt, join_all};
use futures::stream::FuturesUnordered;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::children::{self, Child, ChildOrder};
use super::{Driver, Halt, out_of_time, tasks};
use crate::domain::Object;
use crate::domain::fact::{Failure, Place};
use crate::domain::id::CallId;
use crate::domain::message::Input;
use crate::domain::spec::{DELEGATE_TO_AGENT, InDoubt, Spec, WORK_ON_TASKS};
use crate::domain::state::Change;
use crate::domain::step::{StepKey, StepOutput};
use crate::domain::time::Timestamp;
use crate::domain::tool::{Effect, ToolCall, ToolResult, Verdict};
use crate::machine::{News, Step, StepOrder, StepWork, ToolOrder, workflow};
use crate::runtime::host::RunHost;
use crate::runtime::{settle, subagents, team};

/// What came of a call.
pub(super) enum Called {
    Result(ToolResult),
    /// A member waits for somebody, perhaps not for ever.
    Waits(Option<Timestamp>),
    Halted(Halt),
}

/// What came of a try of a step.
enum Tried {
    Finished {
        output: StepOutput,
        state: Vec<Change>,
    },
    Failed(Failure),
    /// Its run waits for somebody, perhaps not for ever.
    Waits(Option<Timestamp>),
    Halted(Halt),
}

impl Driver {
    /// Calls that may have taken effect, and that nobody but a person may have repeated.
    fn doubtful(&self, orders: &[ToolOrder]) -> Vec<CallId> {
        let asks = settle::agent_of(&self.machine.view().spec)
            .is_some_and(|agent| agent.in_doubt == InDoubt::AskPerson);
        let once = |order: &&ToolOrder| {
            let tool = self.toolbox.get(&order.call.name);
            asks && order.in_doubt && tool.is_some_and(|tool| tool.spec().effect == Effect::Once)
        };
        orders.iter().filter(once).map(|order| order.call.id.clone()).collect()
    }

    pub(super) async fn run_tools(&mut self, orders: Vec<ToolOrder>, deadline: Instant) -> Result<(), Halt> {
        let doubtful = self.doubtful(&orders);
        if !doubtful.is_empty() {
            return self.record(News::ToolsDoubted(doubtful));
        }
        self.write().await?;
        let seconds = self.limits_seconds();
        let host = Arc::new(RunHost::new(&self.inner, &self.room.log.owner, self.machine.view()));
        let mut classes = Classes::default();
        let mut calls: FuturesUnordered<_> = orders
            .into_iter()
            .map(|order| {
                let class = self.toolbox.get(&order.call.name).and_then(|entry| entry.tool.class());
                let call = self.call(&host, order, deadline);
                classes.in_order(class, call)
            })
            .collect();
        let live = self.live.clone();
        let stopped = live.stopped();
        tokio::pin!(stopped);
        let mut waiting = Vec::new();
        loop {
            let next = tokio::select! {
                biased;
                reason = &mut stopped => Some(Err(News::Cancelled { reason })),
                () = tokio::time::sleep_until(deadline) => Some(Err(out_of_time(seconds))),
                () = live.mailed(), if self.given.is_none() => {
                    self.take_mail().await?;
                    continue;
                }
                done = calls.next() => done.map(Ok),
            };
            match next {
                None if waiting.is_empty() => return Ok(()),
                None => return self.record(News::CallsWait(waiting)),
                Some(Err(news)) => return self.record(news),
                Some(Ok((call, Called::Waits(until)))) => {
                    self.waits(until);
                    waiting.push(call);
                }
                Some(Ok((_, Called::Halted(halt)))) => return Err(halt),
                Some(Ok((call, Called::Result(result)))) => {
                    let result = self.looked_over(&call, result);
                    self.record(News::ToolFinished { call, result })?;
                    if self.machine.next() == Step::Stop {
                        return Ok(());
                    }
                    if !calls.is_empty() {
                        self.write().await?;
                    }
                }
            }
        }
    }

    /// A result as it is kept.
    fn looked_over(&self, call: &CallId, result: ToolResult) -> ToolResult {
        match self.machine.view().call(call) {
            Some(found) if !self.toolbox.hooks.is_empty() => {
                self.toolbox.hooks.after_call(&found.call, result)
            }
            Some(_) | None => result,
        }
    }

    /// Notes that a run below waits.
    fn waits(&mut self, until: Option<Timestamp>) {
        self.waits_below = sooner(self.waits_below, until);
    }

    fn call(
        &self,
        host: &Arc<RunHost>,
        order: ToolOrder,
        deadline: Instant,
    ) -> BoxFuture<'static, (CallId, Called)> {
        if team::hands_on(&self.machine.view().spec, &order.call.name) {
            return self.hand_on(order, deadline);
        }
        let (inner, toolbox, host) = (self.inner.clone(), self.toolbox.clone(), host.clone());
        async move {
            let (call, result) = inner.perform(&host, &toolbox, &order).await;
            (call, Called::Result(result))
        }
        .boxed()
    }

    /// Has members do what a leader's call hands to them.
    fn hand_on(&self, order: ToolOrder, deadline: Instant) -> BoxFuture<'static, (CallId, Called)> {
        let call = order.call.id.clone();
        if order.call.name == WORK_ON_TASKS {
            let (planned, view) = (self.planned(&order.call), self.machine.view());
            let (above, state, media) = (self.above(), view.state.clone(), view.input.media.clone());
            return async move {
                let called = match planned {
                    Ok(tasks) => tasks::work_on(above, &call, tasks, (state, media), deadline).await,
                    Err(why) => Called::Result(ToolResult::new(Verdict::Refused, why)),
                };
                (call, called)
            }
            .boxed();
        }
        let (members, task) = match self.handed(&order.call) {
            Ok(handed) => handed,
            Err(why) => {
                let refused = ToolResult::new(Verdict::Refused, why);
                return async move { (call, Called::Result(refused)) }.boxed();
            }
        };
        let view = self.machine.view();
        let children: Vec<_> = members
            .into_iter()
            .map(|who| {
                let name = who.1.to_string();
                let input = Input { text: task.clone(), media: view.input.media.clone(), extra: None };
                let place = Place::Call(call.clone());
                let state = view.state.clone();
                let child = self.child(ChildOrder { who, input, place, state, deadline });
                child.map(move |done| (name, done))
            })
            .collect();
        async move { (call, summed_up(join_all(children).await)) }.boxed()
    }

    fn planned(&self, call: &ToolCall) -> Result<Vec<team::Task>, String> {
        let arguments = self.toolbox.check(call)?;
        match self.machine.view().spec.as_ref() {
            Spec::Team(team) => team::planned(team, &self.components, &arguments),
            Spec::Agent(_) | Spec::Workflow(_) => Err("Only a team's leader can hand tasks on.".into()),
        }
    }

    fn handed(&self, call: &ToolCall) -> Result<(Vec<team::Member>, String), String> {
        let arguments = self.toolbox.check(call)?;
        let spec = self.machine.view().spec.as_ref();
        if call.name == DELEGATE_TO_AGENT {
            let agent = settle::agent_of(spec).ok_or("Only an agent can hand a task on.")?;
            if self.depth() >= subagents::MAX_DEPTH {
                return Err("Tasks are not handed on any deeper than this: do it yourself.".into());
            }
            return subagents::handed_to(agent, &self.components, &arguments);
        }
        match spec {
            Spec::Team(team) => team::handed_to(team, &self.components, &call.name, &arguments),
            Spec::Agent(_) | Spec::Workflow(_) => Err("Only a team's leader can hand a task on.".into()),
        }
    }

    /// Performs steps until none is going. A step that ends lets others begin beside those that go on.
    pub(super) async fn run_steps(&mut self, orders: Vec<StepOrder>, deadline: Instant) -> Result<(), Halt> {
        let seconds = self.limits_seconds();
        let mut tries = FuturesUnordered::new();
        let mut going: BTreeSet<(StepKey, u32)> = BTreeSet::new();
        let mut orders = orders;
        let mut waiting = Vec::new();
        let live = self.live.clone();
        let stopped = live.stopped();
        tokio::pin!(stopped);
        loop {
            self.write().await?;
            for order in std::mem::take(&mut orders) {
                if going.insert((order.place.step.clone(), order.place.attempt)) {
                    tries.push(self.try_step(order, deadline));
                }
            }
            let next = tokio::select! {
                biased;
                reason = &mut stopped => Err(News::Cancelled { reason }),
                () = tokio::time::sleep_until(deadline) => Err(out_of_time(seconds)),
                done = tries.next() => Ok(done),
            };
            match next {
                Err(news) => return self.record(news),
                Ok(None) if waiting.is_empty() => return Ok(()),
                Ok(None) => return self.record(News::StepsWait(waiting)),
                Ok(Some((step, Tried::Waits(until)))) => {
                    self.waits(until);
                    waiting.push(step);
                }
                Ok(Some((_, Tried::Halted(halt)))) => return Err(halt),
                Ok(Some((step, Tried::Finished { output, state }))) => {
                    self.record(News::StepFinished { step, output, state })?;
                }
                Ok(Some((step, Tried::Failed(failure)))) => {
                    self.record(News::StepFailed { step, failure })?;
                }
            }
            if let Step::RunSteps(more) = self.machine.next() {
                orders = more;
            }
        }
    }

    fn try_step(&self, order: StepOrder, deadline: Instant) -> BoxFuture<'static, (StepKey, Tried)> {
        let step = order.place.step.clone();
        let limit = order.timeout;
        let deadline = limit.map_or(deadline, |limit| deadline.min(Instant::now() + limit));
        let work = match order.work {
            StepWork::Run(kind, id) => {
                let who = (kind, id);
                let state = self.machine.view().state.clone();
                let place = Place::Step(order.place);
                let child = self.child(ChildOrder { who, input: order.input, place, state, deadline });
                child.map(tried).boxed()
            }
            StepWork::Tool(name, arguments) => self.try_tool(&step, name, &arguments, order.in_doubt),
        };
        async move {
            // A run keeps its deadline itself, and says so in its log.
            let patience = deadline + std::time::Duration::from_secs(1);
            let tried = tokio::time::timeout_at(patience, work).await;
            let late = limit.filter(|_| Instant::now() >= deadline);
            let tried = match (tried, late) {
                (Ok(Tried::Failed(failure)), _) if failure.code == workflow::IN_DOUBT => {
                    Tried::Failed(failure)
                }
                (Ok(Tried::Failed(_)) | Err(_), Some(limit)) => {
                    Tried::Failed(Failure::new("timeout", format!("it took longer than {limit:?}")))
                }
                (Ok(tried), _) => tried,
                (Err(_), None) => Tried::Failed(Failure::new("timeout", "it took too long")),
            };
            (step, tried)
        }
        .boxed()
    }

    fn try_tool(
        &self,
        step: &StepKey,
        name: String,
        arguments: &Object,
        in_doubt: bool,
    ) -> BoxFuture<'static, Tried> {
        // All tries of a step have one key: a tool that knows it does its work once.
        let id = self.run().below(&format!("step/{step}")).to_string();
        let Ok(id) = id.parse() else {
            return async { Tried::Failed(Failure::new("internal", "the step has no name")) }.boxed();
        };
        let arguments = serde_json::to_string(arguments).unwrap_or_default();
        let call = ToolCall { id, name, arguments };
        let order = ToolOrder { call, values: Object::new(), in_doubt, approved: true };
        let host = RunHost::new(&self.inner, &self.room.log.owner, self.machine.view());
        let (inner, toolbox) = (self.inner.clone(), self.toolbox.clone());
        async move {
            let (_, result) = inner.perform(&host, &toolbox, &order).await;
            let ToolResult { verdict, content, state, images: _, ends: _ } = result;
            let code = match verdict {
                Verdict::Done => {
                    let output = StepOutput { content, ..StepOutput::default() };
                    return Tried::Finished { output, state };
                }
                Verdict::InDoubt => workflow::IN_DOUBT,
                Verdict::Failed | Verdict::Refused | Verdict::Cancelled => "tool_failed",
            };
            Tried::Failed(Failure::new(code, content))
        }
        .boxed()
    }
}

/// Calls of one class, each after the one before it.
#[derive(Default)]
struct Classes(HashMap<&'static str, oneshot::Receiver<()>>);

impl Classes {
    fn in_order<T: 'static>(
        &mut self,
        class: Option<&'static str>,
        call: BoxFuture<'static, T>,
    ) -> BoxFuture<'static, T> {
        let Some(class) = class else { return call };
        let (done, next) = oneshot::channel::<()>();
        let before = self.0.insert(class, next);
        async move {
            if let Some(before) = before {
                // An error says that it was given up: that is an end too.
                let _ = before.await;
            }
            let answer = call.await;
            drop(done);
            answer
        }
        .boxed()
    }
}

pub(super) fn sooner(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    one.into_iter().chain(other).min()
}

/// What a leader reads of what its members did.
fn summed_up(children: Vec<(String, Result<Child, Halt>)>) -> Called {
    let mut answers = Vec::with_capacity(children.len());
    let mut state = Vec::new();
    let mut waits: Option<Option<Timestamp>> = None;
    let mut failed = 0_usize;
    for (name, child) in children {
        match child {
            Err(halt) => return Called::Halted(halt),
            Ok(Child::Waits(until)) => waits = Some(sooner(waits.flatten(), until)),
            Ok(Child::Over(view)) => {
                let answer = match children::failure(&view) {
                    None => {
                        state.extend(children::changes(&view));
                        view.answer()
                    }
                    Some(failure) => {
                        failed += 1;
                        format!("{name} could not do it: {}", failure.message)
                    }
                };
                answers.push((name, answer));
            }
        }
    }
    if let Some(until) = waits {
        return Called::Waits(until);
    }
    let all_failed = failed > 0 && failed == answers.len();
    let text = team::together(&answers);
    let result = if all_failed { ToolResult::failed(text) } else { ToolResult::done(text) };
    Called::Result(ToolResult { state, ..result })
}

fn tried(child: Result<Child, Halt>) -> Tried {
    match child {
        Err(halt) => Tried::Halted(halt),
        Ok(Child::Waits(until)) => Tried::Waits(until),
        Ok(Child::Over(view)) => match children::failure(&view) {
            Some(failure) => Tried::Failed(failure),
            None => {
                let output =
                    StepOutput { content: view.answer(), run: Some(view.run), ..StepOutput::default() };
                Tried::Finished { output, state: children::changes(&view) }
            }
        },
    }
}
