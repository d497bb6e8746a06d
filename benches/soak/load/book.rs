//! What was asked for and what was acknowledged.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;

/// Where a session stands: so many patches, and so many renames since the last.
pub(crate) type Mark = (u64, u64);

/// A session that is created and changed, and in which nothing runs.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    /// What was asked for last.
    pub(crate) tried: Mark,
    /// What was acknowledged last, if anything was.
    pub(crate) known: Option<Mark>,
    /// When it was changed last.
    pub(crate) round: u64,
}

/// A run of which a client has heard.
#[derive(Debug, Clone, Default)]
pub(crate) struct Run {
    pub(crate) session: String,
    /// What it answered, if that was acknowledged.
    pub(crate) content: Option<Value>,
    /// The events that were shown.
    pub(crate) events: Vec<Value>,
    pub(crate) round: u64,
}

/// All of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pages {
    pub(crate) round: u64,
    pub(crate) sessions: BTreeMap<String, Session>,
    pub(crate) runs: BTreeMap<String, Run>,
    /// Sessions in which runs were asked for, and when last; they may not have come to be.
    pub(crate) chats: BTreeMap<String, u64>,
    pub(crate) acknowledged: u64,
    /// Requests that were refused with 503 or 507.
    pub(crate) refused: u64,
}

/// Written by several clients.
#[derive(Debug, Default)]
pub(crate) struct Book(Mutex<Pages>);

impl Book {
    pub(crate) fn pages(&self) -> MutexGuard<'_, Pages> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same, to be written on apart.
    pub(crate) fn copy(&self) -> Self {
        Self(Mutex::new(self.pages().clone()))
    }

    pub(crate) fn next_round(&self) -> u64 {
        let mut pages = self.pages();
        pages.round += 1;
        pages.round
    }

    /// A session is asked to become this.
    pub(crate) fn try_session(&self, id: &str, mark: Mark) {
        let mut pages = self.pages();
        let round = pages.round;
        let session = pages.sessions.entry(id.into()).or_insert(Session { tried: mark, known: None, round });
        (session.tried, session.round) = (mark, round);
    }

    /// It was said to be this.
    pub(crate) fn know_session(&self, id: &str, mark: Mark) {
        let mut pages = self.pages();
        pages.acknowledged += 1;
        pages.sessions.get_mut(id).unwrap().known = Some(mark);
    }

    /// A run is asked for.
    pub(crate) fn try_run(&self, session: &str) {
        let mut pages = self.pages();
        let round = pages.round;
        pages.chats.insert(session.into(), round);
    }

    /// A run was heard of.
    pub(crate) fn know_run(&self, session: &str, id: &str, change: impl FnOnce(&mut Run)) {
        let mut pages = self.pages();
        pages.acknowledged += 1;
        let round = pages.round;
        let run = pages.runs.entry(id.into()).or_insert(Run { session: session.into(), ..Run::default() });
        run.round = round;
        change(run);
    }
}
