//! Runs that a run asks for: a team's members, a workflow's steps.
//!
//! A child is driven inside the driver of the run that asked for it, from wherever its log stands. Its name follows
//! from its place, so after a crash it is found again, and one that is over is never run twice.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use futures::future::BoxFuture;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::{Driver, Halt};
use crate::domain::Object;
use crate::domain::fact::{Fact, Failure, Outcome, Place, RunOptions, RunStart};
use crate::domain::fork::Origin;
use crate::domain::id::{ComponentId, Owner, RunId, UserId};
use crate::domain::message::Input;
use crate::domain::spec::{ComponentKind, Spec};
use crate::domain::state::{self, Change};
use crate::domain::step::StepPlace;
use crate::domain::time::Timestamp;
use crate::domain::view::RunView;
use crate::machine::Machine;
use crate::runtime::error::Error;
use crate::runtime::journal::unpoisoned;

/// A run to have driven.
pub(super) struct ChildOrder {
    /// Who does it.
    pub(super) who: (ComponentKind, ComponentId),
    /// What is asked.
    pub(super) input: Input,
    /// What in this run asks for it.
    pub(super) place: Place,
    /// The session's state as it begins.
    pub(super) state: Object,
    /// When it must have ended.
    pub(super) deadline: Instant,
}

/// How far a child came.
pub(super) enum Child {
    /// It is over.
    Over(Box<RunView>),
    /// It waits for somebody, perhaps not for ever.
    Waits(Option<Timestamp>),
}

/// What a child is given by the run that asked for it.
pub(super) struct Given {
    pub(super) state: Object,
    pub(super) deadline: Instant,
    /// How many runs are above it.
    pub(super) depth: u32,
}

impl Driver {
    /// Drives a run that this one asks for until it is over or waits for somebody.
    pub(super) fn child(&self, order: ChildOrder) -> BoxFuture<'static, Result<Child, Halt>> {
        self.above().child(order)
    }

    /// What runs below this one are driven with.
    pub(super) fn above(&self) -> Above {
        let view = self.machine.view();
        Above {
            inner: self.inner.clone(),
            live: self.live.clone(),
            room: self.room.clone(),
            components: self.components.clone(),
            woken: self.woken.clone(),
            run: view.run,
            depth: self.depth(),
            resumes: view.origin.as_ref().and_then(Origin::resumes),
            user: view.user.clone(),
            options: RunOptions {
                dependencies: view.options.dependencies.clone(),
                history: Some(false),
                ..RunOptions::default()
            },
        }
    }

    /// How many runs are above this one.
    pub(super) fn depth(&self) -> u32 {
        self.given.as_ref().map_or(0, |given| given.depth)
    }

    /// The run at the top of the tree.
    pub(super) fn root(&self) -> RunId {
        self.live.run
    }

    async fn drive_below(mut self) -> Result<Child, Halt> {
        if let Err(halt) = self.go().await {
            self.give_up(halt).await?;
        }
        let view = self.machine.view();
        Ok(if view.outcome.is_some() {
            Child::Over(Box::new(view.clone()))
        } else {
            Child::Waits(view.waits_until)
        })
    }
}

impl Above {
    /// Drives a run below until it is over or waits for somebody.
    pub(super) fn child(&self, order: ChildOrder) -> BoxFuture<'static, Result<Child, Halt>> {
        let (kind, id) = &order.who;
        let spec = self.components.iter().find(|spec| spec.kind() == *kind && spec.id() == id).cloned();
        let start = spec.map(|spec| RunStart {
            spec,
            session: self.room.log.session.clone(),
            user: self.user.clone(),
            input: order.input,
            options: self.options.clone(),
            parent: Some(self.run),
            place: Some(order.place.clone()),
            components: Vec::new(),
            origin: None,
        });
        let run = child_id(self.run, &order.place, id);
        let given =
            Given { state: order.state, deadline: order.deadline, depth: self.depth.saturating_add(1) };
        let missing = order.who;
        let above = self.clone();
        // On a task of its own, for it may hold the session's pen while its parent waits for that.
        let driven = tokio::spawn(async move {
            let Some(start) = start else {
                let message = format!("there is no {} `{}`", missing.0.as_str(), missing.1);
                return Err(Halt::Store(Error::Invalid { field: "component", message }));
            };
            let driver = above.driver(run, start, given).await?;
            driver.drive_below().await
        });
        let driven = AbortOnDropHandle::new(driven);
        Box::pin(async move { driven.await.unwrap_or(Err(Halt::Store(Error::Internal))) })
    }

    /// A nested workflow that failed goes on from there when its step is tried again.
    async fn origin(&self, owner: &Owner, start: &RunStart) -> Result<Option<Origin>, Error> {
        let (Some(Place::Step(place)), Spec::Workflow(workflow)) = (&start.place, start.spec.as_ref()) else {
            return Ok(None);
        };
        let tried = place.attempt.saturating_sub(1);
        let (above, attempt) = match self.resumes {
            Some(resumed) if tried == 0 => (resumed, self.inner.last_try(owner, resumed, &place.step).await?),
            Some(_) | None => (self.run, tried),
        };
        let before = Place::Step(StepPlace { attempt, ..place.clone() });
        let run = child_id(above, &before, &workflow.id);
        self.inner.resumable(owner, run, &start.input).await
    }

    /// The driver of a child, new or as its log left it.
    async fn driver(self, run: RunId, mut start: RunStart, given: Given) -> Result<Driver, Halt> {
        let owner = self.room.log.owner.clone();
        let stored = match self.inner.stored_run(&owner, run).await {
            Ok(stored) => Some(stored),
            Err(Error::NoRun(_)) => None,
            Err(error) => return Err(error.into()),
        };
        if stored.is_none() {
            start.origin = self.origin(&owner, &start).await?;
        }
        let at = self.inner.clock.now();
        let woken = unpoisoned(&self.woken).remove(&run);
        let machine = match &stored {
            Some(_) if let Some(woken) = woken => woken,
            Some(stored) => self.inner.replayed(&owner, stored).await?,
            None => Machine::accept(run, at, &start).map_err(Halt::Violation)?,
        };
        let workspace = self.inner.workspace(&owner).await?;
        let (toolbox, broken) = match workspace.toolbox(&machine.view().spec, &self.components) {
            Ok(toolbox) => (toolbox, None),
            Err(why) => (Arc::default(), Some(why)),
        };
        let Self { inner, live, room, components, woken, .. } = self;
        let mut driver = Driver::new(inner, live, room, machine, toolbox, components);
        driver.given = Some(given);
        driver.woken = woken;
        driver = match stored {
            Some(stored) => driver.resuming(stored.first),
            None => driver.opening((at, Fact::RunStarted(Box::new(start)))),
        };
        if let Some(why) = broken.filter(|_| driver.view().outcome.is_none()) {
            driver.take(crate::machine::News::Broken(Failure::new("invalid_agent", why)))?;
        }
        Ok(driver)
    }
}

/// What drivers of one tree share, and what a run gives to those it asks for.
#[derive(Clone)]
pub(super) struct Above {
    inner: Arc<crate::runtime::Inner>,
    live: Arc<crate::runtime::lanes::LiveRun>,
    room: Arc<crate::runtime::journal::Room>,
    components: Arc<[Arc<Spec>]>,
    woken: Arc<Mutex<HashMap<RunId, Machine>>>,
    run: RunId,
    depth: u32,
    /// The run that the one above resumes.
    resumes: Option<RunId>,
    user: Option<UserId>,
    options: RunOptions,
}

/// The name of the run that a run asks for at a place.
fn child_id(run: RunId, place: &Place, who: &ComponentId) -> RunId {
    match place {
        Place::Task(call, task) => run.below(&format!("call/{call}/{who}/{task}")),
        Place::Call(call) => run.below(&format!("call/{call}/{who}")),
        Place::Step(place) => run.below(&format!("step/{}/{}/{who}", place.step, place.attempt)),
    }
}

/// What a child changed of the state it was given.
pub(super) fn changes(view: &RunView) -> Vec<Change> {
    state::diff(&view.stored, &view.state)
}

/// Why a child came to nothing; `None` if it did not.
pub(super) fn failure(view: &RunView) -> Option<Failure> {
    match &view.outcome {
        Some(Outcome::Completed) | None => None,
        Some(Outcome::Failed(failure)) => Some(failure.clone()),
        Some(Outcome::Cancelled { reason }) => Some(Failure::new("cancelled", reason.clone())),
    }
}
