//! What a tool may ask of the server, answered for one run.

use std::sync::{Arc, Mutex, PoisonError};

use super::journal::unpoisoned;
use crate::capability::{Host, Scene};
use crate::clock::Clock;
use crate::domain::Object;
use crate::domain::id::RunId;
use crate::domain::state::{self, Change};
use crate::domain::view::RunView;

/// The server as the tools of one turn see it; they share the session's state.
pub(super) struct RunHost {
    scene: Scene,
    clock: Arc<dyn Clock>,
    state: Mutex<Object>,
}

impl RunHost {
    pub(super) fn new(view: &RunView, clock: &Arc<dyn Clock>) -> Self {
        let scene =
            Scene { session: view.session.clone(), run: view.run, user: view.user.clone(), now: clock.now() };
        Self { scene, clock: clock.clone(), state: Mutex::new(view.state.clone()) }
    }

    pub(super) fn run(&self) -> RunId {
        self.scene.run
    }

    /// The server as one call sees it: what that call changes is kept with its result.
    pub(super) fn for_call(&self) -> CallHost<'_> {
        CallHost { run: self, changes: Mutex::default() }
    }
}

/// The server as one call of a tool sees it.
pub(super) struct CallHost<'a> {
    run: &'a RunHost,
    changes: Mutex<Vec<Change>>,
}

impl CallHost<'_> {
    pub(super) fn into_changes(self) -> Vec<Change> {
        self.changes.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Host for CallHost<'_> {
    fn state(&self) -> Object {
        unpoisoned(&self.run.state).clone()
    }

    fn set_state(&self, new: Object) {
        let mut state = unpoisoned(&self.run.state);
        unpoisoned(&self.changes).extend(state::diff(&state, &new));
        *state = new;
    }

    fn scene(&self) -> Scene {
        Scene { now: self.run.clock.now(), ..self.run.scene.clone() }
    }
}
