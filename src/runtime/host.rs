//! What a tool may ask of the server, answered for one run.

use std::sync::{Arc, Mutex, PoisonError};

use super::databases::SessionDatabases;
use super::files::SessionFiles;
use super::journal::unpoisoned;
use super::memory::UserMemory;
use super::storage::SessionStorage;
use super::{Inner, Runtime};
use crate::capability::{Databases, Files, Host, Memory, Scene, Storage};
use crate::clock::Clock;
use crate::domain::Object;
use crate::domain::id::{Owner, RunId, SessionId, UserId};
use crate::domain::state::{self, Change};
use crate::domain::view::RunView;

/// The server as the tools of one turn see it; they share the session's state.
pub(super) struct RunHost {
    scene: Scene,
    files: SessionFiles,
    databases: SessionDatabases,
    storage: SessionStorage,
    memory: UserMemory,
    clock: Arc<dyn Clock>,
    state: Mutex<Object>,
}

impl RunHost {
    pub(super) fn new(inner: &Arc<Inner>, owner: &Owner, view: &RunView) -> Self {
        let runtime = Runtime(inner.clone());
        let empty = Self::of(&runtime, owner, (view.session.clone(), view.run), view.user.clone());
        Self { state: Mutex::new(view.state.clone()), ..empty }
    }

    /// The same where nothing has happened yet.
    pub(super) fn empty(runtime: &Runtime, owner: &Owner, session: SessionId, run: RunId) -> Self {
        Self::of(runtime, owner, (session, run), None)
    }

    fn of(
        runtime: &Runtime,
        owner: &Owner,
        (session, run): (SessionId, RunId),
        user: Option<UserId>,
    ) -> Self {
        let clock = runtime.0.clock.clone();
        let files = runtime.files(owner, &session);
        let databases = runtime.databases(owner, &session);
        let storage = runtime.storage(owner, &session);
        let memory = runtime.memory(owner, user.as_ref());
        let scene = Scene { owner: owner.clone(), session, run, user, now: clock.now() };
        Self { scene, files, databases, storage, memory, clock, state: Mutex::default() }
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

    fn files(&self) -> &dyn Files {
        &self.run.files
    }

    fn databases(&self) -> &dyn Databases {
        &self.run.databases
    }

    fn storage(&self) -> &dyn Storage {
        &self.run.storage
    }

    fn memory(&self) -> &dyn Memory {
        &self.run.memory
    }
}
