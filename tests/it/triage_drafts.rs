//! Drafts that are worked out for an issue: edited, verified, published or given up, each edit once.

use std::sync::Arc;

use runhold::capability::egress::Egress;
use runhold::capability::registry::Registry;
use runhold::clock::WallClock;
use runhold::llm::Models;
use runhold::runtime::catalog::Catalog;
use runhold::runtime::{Claim, Parts, Runtime};
use runhold::store::StoreConfig;
use runhold::triage::document::{DocumentKind, TriageDocument, Verdict, VersionStatus};
use runhold::triage::documents::{NewDocument, WhichVersion};
use runhold::triage::drafts::{DraftEdit, DraftPatch};
use runhold::triage::entry::Actor;
use runhold::triage::error::Error;
use runhold::triage::feed::FeedQuery;
use runhold::triage::form::Given;
use runhold::triage::issue::{Issue, NewIssue, Severity, Source, Status};
use runhold::triage::patch::Op;
use runhold::triage::{Board, Triage};
use serde_json::{Value, json};

async fn board() -> Board {
    let nowhere = std::path::Path::new("");
    let parts = Parts {
        extensions: Vec::new(),
        vault: None,
        store: runhold::store::open(&StoreConfig::Memory {}, nowhere).await.unwrap().store,
        models: Models::default(),
        registry: Registry::builtin(Egress::new()),
        catalog: Catalog::default(),
        clock: Arc::new(WallClock::default()),
        queue_depth: 16,
        most_at_once: 16,
        pieces_may_be_lost: false,
        failures_are_kept: false,
    };
    Triage::new(Runtime::open(parts).await.unwrap()).of(&"us".parse().unwrap())
}

async fn issue(board: &Board) -> Issue {
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
    board.create_issue(new, "ann", &Claim::none()).await.unwrap()
}

async fn document(board: &Board) -> TriageDocument {
    let content = json!({ "text": "Be rude. Be quick." });
    let new = NewDocument { name: "Greeting".into(), kind: DocumentKind::Prompt, content, agent: None };
    board.create_document(new, Actor::user("ann")).await.unwrap()
}

fn replacing(old: &str, new: &str) -> Vec<Op> {
    vec![Op::ReplaceText { path: "/text".into(), old: old.into(), new: new.into() }]
}

fn edit<'a>(issue: &Issue, key: &'a str, ops: &'a [Op]) -> DraftEdit<'a> {
    DraftEdit { issue: issue.id, session: "s", key, ops, summary: Some("Friendlier.") }
}

fn norm() -> Actor {
    Actor::agent("norm", "Norm")
}

fn code(refused: Result<impl std::fmt::Debug, Error>) -> &'static str {
    let error = refused.unwrap_err();
    let Error::Conflict { code, .. } = error else { panic!("{error}") };
    code
}

async fn text_of_draft(board: &Board, document: &TriageDocument) -> Value {
    let document = board.document(&document.id).await.unwrap();
    board.version_with_content(&document, WhichVersion::Draft).await.unwrap().1
}

#[tokio::test]
async fn the_first_edit_makes_a_draft_of_production_and_the_next_goes_on_with_it() {
    let board = board().await;
    let (issue, document) = (issue(&board).await, document(&board).await);
    let ops = replacing("rude", "kind");
    let first = board.edit_draft(&document.id, &edit(&issue, "r/1", &ops), norm()).await.unwrap();
    assert_eq!((first.version.number, first.version.base, first.version.issue), (2, Some(1), Some(issue.id)));
    assert_eq!(first.version.created_by, norm());
    let ops = replacing("quick", "patient");
    let second = board.edit_draft(&document.id, &edit(&issue, "r/2", &ops), norm()).await.unwrap();
    assert_eq!((second.version.number, &second.version.id), (2, &first.version.id));
    let changes = json!([{ "op": "replace", "path": "/text", "old": "Be rude. Be quick.",
                           "new": "Be kind. Be patient." }]);
    assert_eq!(serde_json::to_value(&second.changes).unwrap(), changes);
    assert_eq!(text_of_draft(&board, &document).await, json!({ "text": "Be kind. Be patient." }));
    let open = board.drafts_for(issue.id).await.unwrap();
    assert_eq!(open.len(), 1, "one open draft for an issue and a document");
}

#[tokio::test]
async fn an_edit_that_comes_again_changes_nothing_and_one_that_does_not_fit_neither() {
    let board = board().await;
    let (issue, document) = (issue(&board).await, document(&board).await);
    let ops =
        vec![Op::ReplaceText { path: "/text".into(), old: "Be quick.".into(), new: "Be quick. Hm.".into() }];
    let first = board.edit_draft(&document.id, &edit(&issue, "r/1", &ops), norm()).await.unwrap();
    let again = board.edit_draft(&document.id, &edit(&issue, "r/1", &ops), norm()).await.unwrap();
    assert_eq!(again, first);
    let ops = [replacing("rude", "kind"), replacing("nothing", "x")].concat();
    let refused = board.edit_draft(&document.id, &edit(&issue, "r/2", &ops), norm()).await.unwrap_err();
    assert_eq!(refused.to_string(), "ops.1: `old` does not occur in the text");
    let ops = vec![Op::Replace { path: String::new(), value: json!(7) }];
    let refused = board.edit_draft(&document.id, &edit(&issue, "r/3", &ops), norm()).await.unwrap_err();
    assert_eq!(refused.to_string(), "content: must be a string or an object");
    assert_eq!(text_of_draft(&board, &document).await, json!({ "text": "Be rude. Be quick. Hm." }));
}

#[tokio::test]
async fn a_draft_for_an_issue_goes_live_only_as_it_was_verified() {
    let board = board().await;
    let (issue, document) = (issue(&board).await, document(&board).await);
    let (id, draft) = (document.id.as_str(), WhichVersion::Draft);
    let ops = replacing("rude", "kind");
    let saved = board.edit_draft(id, &edit(&issue, "r/1", &ops), norm()).await.unwrap();
    assert_eq!(code(board.publish(id, draft, false).await), "draft_not_verified");
    let hash = saved.version.content_hash;
    board.note_verification(id, draft, Verdict::Fail, "r", &hash).await.unwrap();
    assert_eq!(code(board.publish(id, draft, false).await), "draft_not_verified");
    board.note_verification(id, draft, Verdict::Pass, "r", &hash).await.unwrap();

    let content = Some(json!({ "text": "By hand." }));
    let by_hand = DraftPatch { content, summary: None, label: Given::Absent };
    let (changed, _) = board.change_draft(id, draft, by_hand).await.unwrap();
    assert_eq!(changed.verification, None);
    assert_eq!(code(board.publish(id, draft, false).await), "draft_not_verified");
    board.note_verification(id, draft, Verdict::Pass, "r", &hash).await.unwrap();
    assert_eq!(code(board.publish(id, draft, false).await), "draft_not_verified", "it was another content");
    board.note_verification(id, draft, Verdict::Pass, "r", &changed.content_hash).await.unwrap();
    let live = board.publish(id, draft, false).await.unwrap();
    assert_eq!((live.production(), live.latest), (2, 2));

    let feed = board.feed(issue.id, FeedQuery::default(), None, 1).await.unwrap();
    let last = &feed.items[0].saying;
    assert_eq!(
        (last.kind.as_str(), last.actor.clone().unwrap(), last.detail.as_str()),
        ("comment", Actor::system(), "Published version 2 of Greeting")
    );
}

#[tokio::test]
async fn a_person_can_force_a_draft_that_was_not_verified() {
    let board = board().await;
    let (issue, document) = (issue(&board).await, document(&board).await);
    let ops = replacing("rude", "kind");
    board.edit_draft(&document.id, &edit(&issue, "r/1", &ops), norm()).await.unwrap();
    let live = board.publish(&document.id, WhichVersion::Draft, true).await.unwrap();
    assert_eq!(live.production(), 2);
}

#[tokio::test]
async fn a_deleted_issue_gives_its_open_drafts_up_and_keeps_the_versions() {
    let board = board().await;
    let (issue, document) = (issue(&board).await, document(&board).await);
    let ops = replacing("rude", "kind");
    board.edit_draft(&document.id, &edit(&issue, "r/1", &ops), norm()).await.unwrap();
    board.concern(issue.id, &document.id).await.unwrap();
    assert_eq!(board.documents_about(issue.id).await.unwrap().len(), 1);
    board.delete_issue(issue.id, &Actor::user("ann")).await.unwrap();
    let document = board.document(&document.id).await.unwrap();
    let version = board.version(&document, WhichVersion::Number(2)).await.unwrap();
    assert_eq!(version.status, VersionStatus::Discarded);
    assert!(board.drafts_for(issue.id).await.unwrap().is_empty());
    assert!(board.documents_about(issue.id).await.unwrap().is_empty());
}

#[tokio::test]
async fn many_who_draft_at_once_get_versions_of_their_own_and_one_issue_gets_one() {
    let board = board().await;
    let (issue, document) = (issue(&board).await, document(&board).await);
    let edits = (0..8).map(|at| {
        let (board, issue, id) = (board.clone(), issue.clone(), document.id.clone());
        tokio::spawn(async move {
            let ops = [Op::Add { path: format!("/{at}"), value: json!(at) }];
            board.edit_draft(&id, &edit(&issue, &format!("r/{at}"), &ops), norm()).await.unwrap();
        })
    });
    for edit in edits.collect::<Vec<_>>() {
        edit.await.unwrap();
    }
    let document = board.document(&document.id).await.unwrap();
    assert_eq!(document.latest, 2);
    let text = text_of_draft(&board, &document).await;
    assert_eq!(text.as_object().unwrap().len(), 9, "no edit was lost: {text}");
}
