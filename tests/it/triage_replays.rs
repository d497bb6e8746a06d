//! Calls that come again after a crash: what they did is not done twice, whatever became of it since.

use std::sync::Arc;

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use runhold::capability::egress::Egress;
use runhold::capability::registry::Registry;
use runhold::clock::WallClock;
use runhold::domain::document::{Key, Page, Query, Record};
use runhold::domain::fact::{Entry, Fact, Failure, Piece, Seq};
use runhold::domain::message::{Finish, Message, ModelCall, Usage};
use runhold::domain::tool::ToolCall;
use runhold::llm::{Answer, Chunk, Model, Models};
use runhold::runtime::catalog::Catalog;
use runhold::runtime::{Claim, Parts, Runtime};
use runhold::store::{Batch, Log, Store, StoreConfig, StoreError};
use runhold::triage::document::{DocumentKind, TriageDocument};
use runhold::triage::documents::{NewDocument, WhichVersion};
use runhold::triage::entry::{Actor, EntryType};
use runhold::triage::feed::FeedQuery;
use runhold::triage::intent::{Asked as Intended, Intent};
use runhold::triage::issue::{NewIssue, Severity, Source, Status};
use runhold::triage::norm::{NewPrompt, RunState, TriageCapability, Via, WhichSession};
use runhold::triage::{Board, Triage};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::harness::board::member;
use crate::harness::model_server::{ModelServer, Reply, says};
use crate::harness::norm::{asked, attached, entries, prompted, quiet, served, session};
use crate::harness::server::PATIENCE;

/// A disk of a process that dies when it is to write what came of a call: nothing it writes from then on is written.
struct Dying {
    store: Arc<dyn Store>,
    died: watch::Sender<bool>,
}

#[async_trait]
impl Store for Dying {
    async fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        let entries = batch.append.iter().flat_map(|append| &append.entries);
        if entries.into_iter().any(|entry| matches!(entry.fact, Fact::ToolFinished { .. })) {
            self.died.send_replace(true);
            std::future::pending::<()>().await;
        }
        self.store.commit(batch).await
    }

    async fn get(&self, key: &Key) -> Result<Option<Record>, StoreError> {
        self.store.get(key).await
    }

    async fn list(&self, query: &Query) -> Result<Page, StoreError> {
        self.store.list(query).await
    }

    async fn read(&self, log: &Log, after: Seq, limit: usize) -> Result<Vec<Entry>, StoreError> {
        self.store.read(log, after, limit).await
    }

    async fn head(&self, log: &Log) -> Result<Seq, StoreError> {
        self.store.head(log).await
    }

    fn elsewhere(&self) -> BoxStream<'static, Log> {
        stream::pending().boxed()
    }
}

/// A model that calls one tool, and then is done.
struct Caller(String, Value);

#[async_trait]
impl Model for Caller {
    async fn answer(&self, call: ModelCall) -> Result<Answer, Failure> {
        let is_done = matches!(call.messages.last(), Some(Message::Tool { .. }));
        let wanted = (!is_done).then(|| ToolCall {
            id: "call_1".parse().unwrap(),
            name: self.0.clone(),
            arguments: self.1.to_string(),
        });
        let finish = if is_done { Finish::Stop } else { Finish::ToolCalls };
        let done = Chunk::Done {
            tool_calls: wanted.into_iter().collect(),
            finish,
            usage: Usage::default(),
            id: None,
        };
        let said = Chunk::Piece(Piece::Text(if is_done { "It is done." } else { "I do it." }.into()));
        Ok(stream::iter([Ok(said), Ok(done)]).boxed())
    }
}

/// A server on this store whose Norm makes this call; it is to be kept.
async fn serving(store: Arc<dyn Store>, tool: &str, arguments: &Value) -> (Triage, Arc<TriageCapability>) {
    let norm = Arc::new(TriageCapability::default());
    let model = Caller(tool.into(), arguments.clone());
    let models = Models::default().with("test", Arc::new(model)).defaulting("test/model".parse().unwrap());
    let parts = Parts {
        extensions: Vec::new(),
        vault: None,
        store,
        models,
        registry: Registry::builtin(Egress::new()).with(norm.clone()),
        catalog: Catalog::default(),
        clock: Arc::new(WallClock::default()),
        queue_depth: 16,
        most_at_once: 16,
        pieces_may_be_lost: false,
        failures_are_kept: false,
    };
    let triage = Triage::new(Runtime::open(parts).await.unwrap());
    norm.serve(&triage);
    triage.resume().await.unwrap();
    (triage, norm)
}

fn board_of(triage: &Triage) -> Board {
    triage.of(&"us".parse().unwrap())
}

async fn document(board: &Board) -> TriageDocument {
    let content = json!({ "text": "Be rude." });
    let new = NewDocument { name: "Greeting".into(), kind: DocumentKind::Prompt, content, agent: None };
    board.create_document(new, Actor::user("ann")).await.unwrap()
}

/// Has a first server die after this call took effect and before it wrote what came of it; then `meanwhile`, and a second
/// one brings the run to its end.
async fn call_that_comes_again<T>(
    tool: &str,
    arguments: impl Fn(&TriageDocument) -> Value,
    before: impl AsyncFn(&Board, uuid::Uuid, &TriageDocument),
    meanwhile: impl AsyncFn(&Board, &TriageDocument) -> T,
) -> (Triage, Arc<TriageCapability>, uuid::Uuid, TriageDocument) {
    let nowhere = std::path::Path::new("");
    let disk = runhold::store::open(&StoreConfig::Memory {}, nowhere).await.unwrap().store;
    let (maker, _norm) = serving(disk.clone(), "get_issue", &json!({})).await;
    let document = document(&board_of(&maker)).await;
    let new = NewIssue {
        title: "Rude".into(),
        description: String::new(),
        status: Status::Todo,
        severity: Severity::High,
        source: Source::Manual,
        category: "Dialogue".into(),
        owner: None,
        assignee: None,
        evidence: Vec::new(),
    };
    let issue = board_of(&maker).create_issue(new, "ann", &Claim::none()).await.unwrap().id;
    board_of(&maker).concern(issue, &document.id).await.unwrap();
    before(&board_of(&maker), issue, &document).await;
    drop(maker);

    let dying = Arc::new(Dying { store: disk.clone(), died: watch::Sender::new(false) });
    let (first, _norm) = serving(dying.clone(), tool, &arguments(&document)).await;
    let asked = Intended { intent: Some(Intent::Fix), text: "mend it".into() };
    let prompt = NewPrompt { asked, raw: "/fix mend it".into(), via: Via::Prompt, by: Actor::user("ann") };
    board_of(&first).prompt(issue, WhichSession::Latest, prompt, &Claim::none()).await.unwrap();
    let mut died = dying.died.subscribe();
    tokio::time::timeout(PATIENCE, died.wait_for(|died| *died)).await.unwrap().unwrap();

    let (hand, _norm) = serving_nothing(disk.clone()).await;
    meanwhile(&board_of(&hand), &document).await;
    drop(hand);
    let (second, norm) = serving(disk, tool, &arguments(&document)).await;
    let board = board_of(&second);
    let over = async {
        let mut feed = board.watch(issue);
        while board.issue(issue).await.unwrap().agent.is_processing {
            feed.changed().await.unwrap();
        }
    };
    tokio::time::timeout(PATIENCE, over).await.expect("the run to go on");
    let sessions = board.agent_sessions(issue, None, 10).await.unwrap().items;
    let states: Vec<RunState> = sessions[0].runs.iter().map(|run| run.state).collect();
    assert_eq!(states, [RunState::Completed]);
    let kinds: Vec<EntryType> = board
        .feed(issue, FeedQuery::default(), None, 100)
        .await
        .unwrap()
        .items
        .iter()
        .map(|entry| entry.saying.kind)
        .collect();
    let closing = [EntryType::Response, EntryType::Error, EntryType::SessionStopped];
    assert_eq!(kinds.iter().filter(|kind| closing.contains(kind)).count(), 1, "{kinds:?}");
    (second, norm, issue, document)
}

/// Somebody who works on the store while no server drives its runs.
async fn serving_nothing(store: Arc<dyn Store>) -> (Triage, Arc<TriageCapability>) {
    let norm = Arc::new(TriageCapability::default());
    // Its boards are never opened, so no call of its runs ends, and what it writes of them is dropped with it.
    let silent = Arc::new(Dying { store, died: watch::Sender::new(false) });
    let parts = Parts {
        extensions: Vec::new(),
        vault: None,
        store: silent,
        models: Models::default(),
        registry: Registry::builtin(Egress::new()).with(norm.clone()),
        catalog: Catalog::default(),
        clock: Arc::new(WallClock::default()),
        queue_depth: 16,
        most_at_once: 16,
        pieces_may_be_lost: false,
        failures_are_kept: false,
    };
    (Triage::new(Runtime::open(parts).await.unwrap()), norm)
}

fn edit(document: &TriageDocument) -> Value {
    let ops = json!([{ "op": "replace", "path": "/text", "value": "Be kind." }]);
    json!({ "document_id": document.id, "ops": ops, "summary": "Kinder." })
}

async fn nothing_before(_: &Board, _: uuid::Uuid, _: &TriageDocument) {}

#[tokio::test]
async fn an_edit_whose_outcome_was_not_written_is_not_made_again() {
    let (triage, _norm, issue, document) =
        call_that_comes_again("edit_draft", edit, nothing_before, async |_, _| {}).await;
    let board = board_of(&triage);
    assert_eq!(board.document(&document.id).await.unwrap().latest, 2);
    let open = board.open_draft(issue, &document.id).await.unwrap().unwrap();
    assert_eq!(open.number, 2);
}

#[tokio::test]
async fn an_edit_that_comes_again_after_its_draft_went_live_makes_no_other() {
    let publish = async |board: &Board, document: &TriageDocument| {
        board.publish(&document.id, WhichVersion::Number(2), true).await.unwrap();
    };
    let (triage, _norm, issue, document) =
        call_that_comes_again("edit_draft", edit, nothing_before, publish).await;
    let board = board_of(&triage);
    let stored = board.document(&document.id).await.unwrap();
    assert_eq!((stored.latest, stored.production()), (2, 2));
    assert!(board.drafts_for(issue).await.unwrap().is_empty());
    let feed = board.feed(issue, FeedQuery::default(), None, 100).await.unwrap().items;
    let made = feed.iter().find_map(|entry| entry.saying.agent.as_ref()?.artifact.clone()).unwrap();
    assert_eq!(made["payload"]["version_number"], 2, "the run is told of the draft it made");
}

#[tokio::test]
async fn an_edit_that_comes_again_after_its_draft_was_given_up_makes_no_other() {
    let discard = async |board: &Board, document: &TriageDocument| {
        board.discard(&document.id, WhichVersion::Number(2)).await.unwrap();
    };
    let (triage, _norm, issue, document) =
        call_that_comes_again("edit_draft", edit, nothing_before, discard).await;
    let board = board_of(&triage);
    assert_eq!(board.document(&document.id).await.unwrap().latest, 2);
    assert!(board.drafts_for(issue).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_draft_that_was_given_up_is_the_one_that_is_told_of_when_the_call_comes_again() {
    let draft = async |board: &Board, issue: uuid::Uuid, document: &TriageDocument| {
        let ops = [runhold::triage::patch::Op::Add { path: "/more".into(), value: json!(1) }];
        let edit =
            runhold::triage::drafts::DraftEdit { issue, session: "s", key: "k", ops: &ops, summary: None };
        board.edit_draft(&document.id, &edit, Actor::user("ann")).await.unwrap();
    };
    let arguments = |document: &TriageDocument| json!({ "document_id": document.id });
    let (triage, _norm, issue, _) =
        call_that_comes_again("discard_draft", arguments, draft, async |_, _| {}).await;
    let feed = board_of(&triage).feed(issue, FeedQuery::default(), None, 100).await.unwrap().items;
    let action = feed.iter().find(|entry| entry.saying.kind == EntryType::Action).unwrap();
    let preview = action.saying.metadata.as_ref().unwrap()["result_preview"].as_str().unwrap();
    assert_eq!(serde_json::from_str::<Value>(preview).unwrap()["discarded"], 2);
}

#[tokio::test]
async fn a_server_that_is_killed_the_moment_a_draft_is_seen_makes_no_other() {
    let model = ModelServer::answering(|request| {
        let asked = asked(request);
        let documents = asked.snapshot["documents"].as_array().unwrap().clone();
        match asked.results.len() {
            0 => {
                let edit = |document: &Value| {
                    let ops = json!([{ "op": "replace", "path": "/text", "value": "Be kind." }]);
                    let sent = json!({ "document_id": document["document_id"], "ops": ops });
                    ("edit_draft".to_owned(), sent)
                };
                Reply::Calls(documents.iter().map(edit).collect())
            }
            _ => says("It is done."),
        }
    })
    .await;
    let (mut server, mut ours) = served(&model).await;
    for _ in 0..4 {
        let issue = ours.open(json!({})).await;
        let ids = [attached(&ours, &issue, "one").await, attached(&ours, &issue, "two").await];
        let id = session(&ours, &issue).await;
        prompted(&ours, &issue, &id, "mend it").await;
        let seen = async { while ours.get(&format!("/documents/{}/versions/2", ids[0])).await.0 == 404 {} };
        tokio::time::timeout(PATIENCE, seen).await.expect("a draft");
        server.kill();
        server.restart().await;
        ours = member(&server);
        let shown = quiet(&ours, &issue).await;
        assert_eq!(shown["latest_agent_session"]["status"], "complete");
        for id in &ids {
            assert_eq!(ours.items(&format!("/documents/{id}/versions")).await.len(), 2);
        }
        let seen = entries(&ours, &issue).await;
        let of = |kind: &str| seen.iter().filter(|entry| entry["type"] == kind).count();
        assert_eq!((of("artifact"), of("action"), of("response"), of("error")), (2, 2, 1, 0), "{seen:?}");
    }
}
