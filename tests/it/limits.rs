//! Limits of a run, as a client meets them: the run ends with the code `limit`, and the message says which one.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::model_server::{Gate, ModelServer, Reply, calls, says, words};
use crate::harness::server::{Setup, to_end};

/// What ended a run of an agent with these limits: as its last event tells it and as it is stored.
async fn ended_by(limits: &str, script: impl IntoIterator<Item = Reply>) -> String {
    let model = ModelServer::start(script).await;
    let agent =
        format!("---\nmodel: test/model\ncapabilities: [test_math]\nlimits: {limits}\n---\nYou add.\n");
    let server = Setup::default().model(&model.url()).agent("adder", &agent).start().await;
    let events = to_end(server.stream("adder", &[("message", "1+1?"), ("session_id", "s1")]).await).await;
    let last = events.last().unwrap();
    assert_eq!((&last["event"], &last["error_type"]), (&json!("RunError"), &json!("limit")), "{last}");
    let run = last["run_id"].as_str().unwrap();
    let (_, body) = server.get(&format!("/agents/adder/runs/{run}?session_id=s1")).await;
    let error = json!({"code": "limit", "message": last["content"], "retryable": false});
    assert_eq!((&body["status"], &body["error"]), (&json!("ERROR"), &error));
    model.assert_clean();
    last["content"].as_str().unwrap().to_owned()
}

fn adds() -> Reply {
    calls([("add", json!({"a": 1, "b": 1}))])
}

#[tokio::test]
async fn questions_to_a_model_are_counted() {
    assert_eq!(
        ended_by("{model_calls: 2}", [adds(), adds()]).await,
        "the run reached the limit of 2 model calls"
    );
}

#[tokio::test]
async fn calls_of_tools_are_counted_and_none_beyond_the_limit_is_made() {
    let both = Reply::Calls(vec![("add".into(), json!({"a": 1, "b": 1})); 2]);
    assert_eq!(
        ended_by("{tool_calls: 2}", [adds(), both]).await,
        "the run reached the limit of 2 tool calls"
    );
}

#[tokio::test]
async fn tokens_are_counted() {
    // Each answer of the test's provider costs thirty.
    assert_eq!(ended_by("{tokens: 50}", [adds(), adds()]).await, "the run reached the limit of 50 tokens");
}

#[tokio::test]
async fn time_is_up_while_a_model_says_nothing_and_while_it_speaks() {
    let slowly = Reply::SlowPieces(vec!["on ".into(); 1000], Duration::from_millis(20));
    for reply in [Reply::HangBeforeHead, Reply::Gated(words("It is "), Gate::closed(), vec![]), slowly] {
        assert_eq!(ended_by("{seconds: 1}", [reply]).await, "the run reached the limit of 1 seconds");
    }
}

#[tokio::test]
async fn an_answer_that_needs_nothing_more_is_taken_whatever_it_cost() {
    let model = ModelServer::start([says("Two.")]).await;
    let agent = "---\nmodel: test/model\nlimits: {model_calls: 1, tokens: 1}\n---\nYou add.\n";
    let server = Setup::default().model(&model.url()).agent("adder", agent).start().await;
    let (_, body): (u16, Value) =
        server.form("/agents/adder/runs", &[("message", "1+1?"), ("stream", "false")]).await;
    assert_eq!((&body["status"], &body["content"]), (&json!("COMPLETED"), &json!("Two.")));
}
