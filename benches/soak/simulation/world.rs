//! Everything that outlives a process: the disk, what was done, what clients know.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use runhold::domain::Object;
use runhold::domain::document::Record;
use runhold::domain::fact::{Entry, Fact};
use runhold::domain::id::{CallId, Owner, RunId, SessionId};
use runhold::domain::run::{Run, Status};
use runhold::domain::spec::{AgentSpec, CapabilityRef, InDoubt, Limits, OnDisconnect, OnSecondMessage};
use runhold::domain::view::RunView;
use runhold::store::Log;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::clock::Names;
use super::disk::Disk;
use super::ledger::Ledger;
use super::model::Asked;
use super::story::Story;
use super::tools::Deeds;
use super::watchers::Watch;

/// Sessions that are watched, and never deleted.
pub(super) const LASTING: [&str; 3] = ["s0", "s1", "s2"];

/// A session that is deleted now and then.
pub(super) const FLEETING: &str = "d0";

/// Everything that outlives a process.
pub(super) struct World {
    pub(super) seed: u64,
    pub(super) disk: Arc<Disk>,
    pub(super) deeds: Deeds,
    pub(super) asked: Asked,
    pub(super) names: Arc<Names>,
    pub(super) ledger: Mutex<Ledger>,
    pub(super) watches: Vec<Arc<Watch>>,
    pub(super) story: Story,
    /// Whether the machine lost its power since a process was last ready.
    pub(super) lost_power: AtomicBool,
    wrong: Mutex<Vec<String>>,
}

impl World {
    pub(super) fn new(seed: u64, tells: bool) -> Self {
        let watches = LASTING.iter().flat_map(|session| (0..2).map(|at| Watch::new(session, at)));
        Self {
            seed,
            disk: Arc::default(),
            deeds: Deeds::default(),
            asked: Asked::default(),
            names: Arc::default(),
            ledger: Mutex::default(),
            watches: watches.map(Arc::new).collect(),
            story: Story::new(tells),
            lost_power: AtomicBool::new(false),
            wrong: Mutex::default(),
        }
    }

    /// Notes what is wrong, if it does not hold.
    pub(super) fn must(&self, holds: bool, wrong: impl FnOnce() -> String) {
        if !holds {
            let wrong = wrong();
            self.story.tell("WRONG", || wrong.clone());
            self.wrong.lock().unwrap().push(wrong);
        }
    }

    /// What was wrong so far.
    pub(super) fn wrong(&self) -> Vec<String> {
        self.wrong.lock().unwrap().clone()
    }

    pub(super) fn is_fleeting(&self, session: &SessionId) -> bool {
        session.as_str() == FLEETING
    }

    /// All runs as their records say.
    pub(super) fn runs(&self) -> Vec<Run> {
        self.disk.records("run").iter().map(parsed).collect()
    }

    /// A run as its log tells it.
    pub(super) fn view(&self, run: &Run) -> Option<RunView> {
        RunView::of(run.id, &self.disk.log(&log_of(&run.session)))
    }

    /// How often it was not known whether a call took effect, and a person was asked.
    pub(super) fn doubts(&self, session: &SessionId, run: RunId, call: &CallId) -> usize {
        let doubts = |entry: &Entry| match &entry.fact {
            Fact::ToolDoubted { calls } => entry.run == run && calls.contains(call),
            _ => false,
        };
        self.disk.count(&log_of(session), doubts)
    }

    /// Runs that wait for somebody, as far as they are known.
    pub(super) fn paused(&self) -> Vec<RunView> {
        let paused = self.runs().into_iter().filter(|run| run.status == Status::Paused);
        paused.filter_map(|run| self.view(&run)).collect()
    }
}

pub(super) fn parsed<T: DeserializeOwned>(record: &Record) -> T {
    serde_json::from_slice(&record.body).unwrap()
}

pub(super) fn owner() -> Owner {
    "default".parse().unwrap()
}

pub(super) fn log_of(session: &SessionId) -> Log {
    Log { owner: owner(), session: session.clone() }
}

/// The agents that run; the second asks a person what became of a call in doubt.
pub(super) const AGENTS: [&str; 2] = ["teller", "asker"];

/// One of them.
pub(super) fn agent(id: &str) -> AgentSpec {
    AgentSpec {
        id: id.parse().unwrap(),
        name: "Worker".into(),
        description: None,
        instructions: "Work.".into(),
        model: "sim/one".parse().unwrap(),
        fallback_models: vec!["sim/two".parse().unwrap()],
        capabilities: vec![CapabilityRef { id: "kit".into(), config: Value::Null }],
        tools: vec![],
        history_runs: 2,
        session_state: Object::new(),
        limits: Limits { model_calls: 8, tool_calls: 10, seconds: 8, tokens: 0 },
        on_second_message: OnSecondMessage::Enqueue,
        in_doubt: if id == "asker" { InDoubt::AskPerson } else { InDoubt::TellModel },
        on_disconnect: OnDisconnect::Continue,
        output_schema: None,
        metadata: Object::new(),
        quick_prompts: vec![],
        source: Default::default(),
        additions: Default::default(),
    }
}
