//! What the runtime stands on in these tests: a store that is taped, a model that is told, tools that are counted.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::{self, StreamExt};
use runhold::capability::egress::Egress;
use runhold::capability::registry::Registry;
use runhold::capability::{About, Capability, Contribution, Invocation, Tool};
use runhold::clock::{Clock, WallClock};
use runhold::domain::document::{Key, Page, Query, Record};
use runhold::domain::fact::{Entry, Fact, Failure, Piece, RunOptions, Seq};
use runhold::domain::id::Owner;
use runhold::domain::message::{Finish, Input, Message, ModelCall, Usage};
use runhold::domain::run::{StartRun, Started};
use runhold::domain::spec::{AgentSpec, CapabilityRef, ComponentKind, Limits, Spec};
use runhold::domain::tool::{Effect, Gate as Leave, ToolCall, ToolResult, ToolSpec};
use runhold::llm::{Answer, Chunk, Model, Models};
use runhold::runtime::catalog::Catalog;
use runhold::runtime::{Error, Parts, Runtime};
use runhold::store::{Batch, Log, Store, StoreConfig, StoreError};
use serde_json::{Value, json};
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard, watch};

use crate::facts;

pub(super) fn owner() -> Owner {
    "default".parse().unwrap()
}

/// Holds a model back until the test opens it.
#[derive(Clone)]
pub(super) struct Gate(Arc<watch::Sender<bool>>);

impl Default for Gate {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }
}

impl Gate {
    pub(super) fn open(&self) {
        self.0.send_replace(true);
    }

    async fn passed(&self) {
        self.0.subscribe().wait_for(|open| *open).await.unwrap();
    }
}

/// What a model does when it is asked.
#[derive(Clone)]
pub(super) enum Line {
    /// Text in pieces.
    Say(Vec<&'static str>),
    /// Text in one piece.
    SayText(String),
    /// Calls: id and tool.
    Calls(Vec<(&'static str, &'static str)>),
    /// Text, then a call.
    SayThenCall(&'static str, &'static str, &'static str),
    /// Once the gate is open: these pieces, each for itself.
    Slowly(Vec<String>, Gate),
    /// Pieces, and then nothing for ever.
    Hang(Vec<&'static str>),
    /// Not even an answer.
    Silence,
    /// Pieces, and then an end without an end.
    Cut(&'static str),
    /// Panics when it is asked.
    Panic,
    /// Panics after a piece.
    PanicAfter(&'static str),
}

struct Puppet(Box<dyn Fn(&ModelCall) -> Line + Send + Sync>);

type Chunks = Vec<Result<Chunk, Failure>>;

fn text<T: Into<String>>(piece: T) -> Result<Chunk, Failure> {
    Ok(Chunk::Piece(Piece::Text(piece.into())))
}

fn end(calls: &[(&str, &str)]) -> Result<Chunk, Failure> {
    let call = |(id, name): &(&str, &str)| ToolCall {
        id: id.parse().unwrap(),
        name: (*name).into(),
        arguments: String::new(),
    };
    Ok(Chunk::Done {
        tool_calls: calls.iter().map(call).collect(),
        finish: if calls.is_empty() { Finish::Stop } else { Finish::ToolCalls },
        usage: Usage::default(),
        id: None,
    })
}

#[async_trait]
impl Model for Puppet {
    async fn answer(&self, call: ModelCall) -> Result<Answer, Failure> {
        let whole = |chunks: Chunks| stream::iter(chunks).boxed();
        Ok(match (self.0)(&call) {
            Line::Say(pieces) => whole(pieces.into_iter().map(text).chain([end(&[])]).collect()),
            Line::SayText(piece) => whole(vec![text(piece), end(&[])]),
            Line::Calls(calls) => whole(vec![end(&calls)]),
            Line::SayThenCall(piece, id, tool) => whole(vec![text(piece), end(&[(id, tool)])]),
            Line::Slowly(pieces, gate) => {
                gate.passed().await;
                let chunks = pieces.into_iter().map(text).chain([end(&[])]);
                stream::iter(chunks.collect::<Chunks>()).then(in_its_own_time).boxed()
            }
            Line::Hang(pieces) => stream::iter(pieces.into_iter().map(text)).chain(stream::pending()).boxed(),
            Line::Silence => std::future::pending().await,
            Line::Cut(piece) => whole(vec![text(piece)]),
            Line::Panic => panic!("as the test wants it"),
            Line::PanicAfter(piece) => {
                let panics = stream::once(async { panic!("as the test wants it") });
                stream::iter([text(piece)]).chain(panics).boxed()
            }
        })
    }
}

async fn in_its_own_time(chunk: Result<Chunk, Failure>) -> Result<Chunk, Failure> {
    tokio::task::yield_now().await;
    chunk
}

/// How many results of tools a model is shown.
pub(super) fn results(asked: &ModelCall) -> usize {
    asked.messages.iter().filter(|message| matches!(message, Message::Tool { .. })).count()
}

/// The text a model is asked.
pub(super) fn last_input(asked: &ModelCall) -> String {
    let mut inputs = asked.messages.iter().filter_map(|message| match message {
        Message::User { input } => Some(input.text.clone()),
        _ => None,
    });
    inputs.next_back().unwrap()
}

/// The text of an entry.
pub(super) fn said(entry: &Entry) -> String {
    let Fact::Said { pieces } = &entry.fact else { return String::new() };
    let texts = pieces.iter().filter_map(|piece| match piece {
        Piece::Text(text) => Some(text.as_str()),
        Piece::Reasoning(_) => None,
    });
    texts.collect()
}

/// The names of tools that were called, in order.
type Deeds = Arc<watch::Sender<Vec<String>>>;

struct Counted {
    spec: ToolSpec,
    deeds: Deeds,
}

#[async_trait]
impl Tool for Counted {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    async fn call(&self, _call: Invocation<'_>) -> ToolResult {
        self.deeds.send_modify(|deeds| deeds.push(self.spec.name.clone()));
        match self.spec.name.as_str() {
            "panic" => panic!("as the test wants it"),
            "hang" => std::future::pending().await,
            name => ToolResult::done(format!("{name}: done")),
        }
    }
}

struct Kit {
    about: About,
    deeds: Deeds,
}

/// The tools there are, sorted.
pub(super) fn tools() -> [&'static str; 5] {
    ["hang", "launch", "look", "panic", "pay"]
}

impl Capability for Kit {
    fn about(&self) -> &About {
        &self.about
    }

    fn contribute(&self, _config: &Value) -> Result<Contribution, String> {
        let tool = |name: &str| -> Arc<dyn Tool> {
            let spec = ToolSpec {
                name: name.into(),
                description: "For tests.".into(),
                parameters: json!({"type": "object", "properties": {}}),
                effect: if name == "look" { Effect::Pure } else { Effect::Once },
                timeout: Duration::from_secs(60),
                gate: Leave { confirmation: name == "launch", ..Leave::default() },
            };
            Arc::new(Counted { spec, deeds: self.deeds.clone() })
        };
        Ok(Contribution { tools: tools().into_iter().map(tool).collect(), ..Contribution::default() })
    }
}

/// The agent that runs.
pub(super) fn agent() -> AgentSpec {
    AgentSpec {
        model: "test/model".parse().unwrap(),
        tools: vec![],
        capabilities: vec![CapabilityRef { id: "kit".into(), config: Value::Null }],
        limits: Limits { seconds: 2, ..Limits::default() },
        ..facts::agent()
    }
}

/// An order to run the agent.
pub(super) fn order(session: Option<&str>, text: &str) -> StartRun {
    StartRun {
        kind: ComponentKind::Agent,
        component: agent().id,
        session: session.map(|session| session.parse().unwrap()),
        user: None,
        input: Input { text: text.into(), media: vec![], extra: None },
        options: RunOptions::default(),
        on_second_message: None,
    }
}

/// Everything around a runtime.
pub(super) struct Stage {
    pub(super) tape: Tape,
    model: Arc<Puppet>,
    deeds: Deeds,
    clock: Arc<dyn Clock>,
}

impl Stage {
    pub(super) fn new(tape: Tape, tells: impl Fn(&ModelCall) -> Line + Send + Sync + 'static) -> Self {
        Self {
            tape,
            model: Arc::new(Puppet(Box::new(tells))),
            deeds: Arc::new(watch::Sender::default()),
            clock: Arc::new(WallClock::default()),
        }
    }

    pub(super) fn on_clock(self, clock: Arc<dyn Clock>) -> Self {
        Self { clock, ..self }
    }

    /// The same on another store.
    pub(super) fn with(&self, tape: Tape) -> Self {
        Self { tape, model: self.model.clone(), deeds: self.deeds.clone(), clock: self.clock.clone() }
    }

    pub(super) async fn open(&self) -> Runtime {
        self.open_after(false).await
    }

    pub(super) async fn open_after_power_cut(&self) -> Runtime {
        self.open_after(true).await
    }

    async fn open_after(&self, pieces_may_be_lost: bool) -> Runtime {
        let about = About::new("kit", "Kit", "For tests.")
            .listed("Tests", "wrench")
            .configured(json!({"type": "object"}));
        let kit = Kit { about, deeds: self.deeds.clone() };
        let parts = Parts {
            extensions: Vec::new(),
            vault: None,
            store: Arc::new(self.tape.clone()),
            models: Models::default().with("test", self.model.clone()),
            registry: Registry::builtin(Egress::new()).with(Arc::new(kit)),
            catalog: Catalog::from_iter([Spec::Agent(agent())]),
            clock: self.clock.clone(),
            queue_depth: 16,
            most_at_once: 1000,
            pieces_may_be_lost,
            failures_are_kept: false,
        };
        Runtime::open(parts).await.unwrap()
    }

    pub(super) async fn order(&self, runtime: &Runtime, session: &str, text: &str) -> Result<Started, Error> {
        runtime.start(&owner(), order(Some(session), text)).await
    }

    pub(super) async fn start(&self, runtime: &Runtime, session: &str) -> Started {
        self.order(runtime, session, "Go").await.unwrap()
    }

    pub(super) fn deeds(&self) -> Vec<String> {
        self.deeds.borrow().clone()
    }

    pub(super) async fn wait_for_deeds(&self, count: usize) {
        let mut deeds = self.deeds.subscribe();
        super::soon(deeds.wait_for(|deeds| deeds.len() >= count)).await.unwrap();
    }
}

/// A store in memory that remembers every write, and refuses them for a while when told.
#[derive(Clone)]
pub(super) struct Tape {
    store: Arc<dyn Store>,
    batches: Arc<Mutex<Vec<Batch>>>,
    failure: Arc<Mutex<Option<StoreError>>>,
    damaged: Arc<Mutex<Option<Log>>>,
    refused: Arc<watch::Sender<usize>>,
    lists: Arc<AsyncMutex<()>>,
}

impl Tape {
    pub(super) async fn blank() -> Self {
        let nowhere = std::path::Path::new("");
        Self {
            store: runhold::store::open(&StoreConfig::Memory {}, nowhere).await.unwrap().store,
            batches: Arc::default(),
            failure: Arc::default(),
            damaged: Arc::default(),
            refused: Arc::new(watch::Sender::new(0)),
            lists: Arc::default(),
        }
    }

    /// As a process left it that ended after these writes.
    pub(super) async fn of(batches: &[Batch]) -> Self {
        let tape = Self::blank().await;
        for batch in batches {
            tape.commit(batch.clone()).await.unwrap();
        }
        tape
    }

    pub(super) fn batches(&self) -> Vec<Batch> {
        self.batches.lock().unwrap().clone()
    }

    /// What the first so many writes appended.
    pub(super) fn entries(&self, writes: usize) -> Vec<Entry> {
        let batches = self.batches();
        batches
            .into_iter()
            .take(writes)
            .filter_map(|batch| batch.append)
            .flat_map(|append| append.entries)
            .collect()
    }

    /// A session's log as it is now.
    pub(super) async fn log(&self, session: &str) -> Vec<Entry> {
        let log = Log { owner: owner(), session: session.parse().unwrap() };
        self.read(&log, 0, usize::MAX).await.unwrap()
    }

    /// What every write is refused with, from now on.
    pub(super) fn fail_with(&self, failure: Option<StoreError>) {
        *self.failure.lock().unwrap() = failure;
    }

    /// Nothing of this session's log can be read any more.
    pub(super) fn damage(&self, session: &str) {
        let log = Log { owner: owner(), session: session.parse().unwrap() };
        *self.damaged.lock().unwrap() = Some(log);
    }

    /// Lists of runs are read, and not answered as long as this is held. Whoever waits has it first.
    pub(super) async fn hold_lists(&self) -> OwnedMutexGuard<()> {
        self.lists.clone().lock_owned().await
    }

    /// Waits until so many writes were refused.
    pub(super) async fn refused(&self, count: usize) {
        self.refused.subscribe().wait_for(|refused| *refused >= count).await.unwrap();
    }
}

#[async_trait]
impl Store for Tape {
    async fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        let failure = self.failure.lock().unwrap().clone();
        if let Some(failure) = failure {
            self.refused.send_modify(|count| *count += 1);
            return Err(failure);
        }
        self.store.commit(batch.clone()).await?;
        self.batches.lock().unwrap().push(batch);
        Ok(())
    }

    async fn get(&self, key: &Key) -> Result<Option<Record>, StoreError> {
        self.store.get(key).await
    }

    async fn list(&self, query: &Query) -> Result<Page, StoreError> {
        let page = self.store.list(query).await;
        if query.kind.0 == "run" {
            drop(self.lists.lock().await);
        }
        page
    }

    async fn read(&self, log: &Log, after: Seq, limit: usize) -> Result<Vec<Entry>, StoreError> {
        if self.damaged.lock().unwrap().as_ref() == Some(log) {
            return Err(StoreError::Damaged("an entry".into()));
        }
        self.store.read(log, after, limit).await
    }

    async fn head(&self, log: &Log) -> Result<Seq, StoreError> {
        self.store.head(log).await
    }
}
