//! Sections 6.1, 6.4 to 6.6 of the Everruns contract, through the real program: who answers, and how turns fail.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::everruns::{Talk, until};
use crate::harness::model_server::{Gate, ModelServer, Reply, calls, says, words};
use crate::harness::server::{Server, Setup, answer};

/// A server with two models: `model`, which answers where nothing is said, and `other`.
async fn server(script: Vec<Reply>) -> (ModelServer, Server) {
    let model = ModelServer::start(script).await;
    let setup = Setup::default().config("default_model = \"test/model\"").model(&model.url());
    let other = "---\nmodel: test/other\n---\nYou are another.\n";
    (model, setup.agent("another", other).start().await)
}

/// The id of `other`.
async fn other(server: &Server) -> Value {
    let agents = server.get("/v1/agents").await.1;
    let found = agents["data"].as_array().unwrap().iter().find(|agent| agent["name"] == "another").unwrap();
    found["default_model_id"].clone()
}

fn message(text: &str, controls: &Value) -> Value {
    json!({"message": {"content": [{"type": "text", "text": text}]}, "controls": controls})
}

/// Who was asked, and how hard they were to think.
fn asked(model: &ModelServer) -> Vec<(String, Value)> {
    let named =
        |request: Value| (request["model"].as_str().unwrap().into(), request["reasoning_effort"].clone());
    model.requests().into_iter().map(named).collect()
}

#[tokio::test]
async fn a_message_that_joins_a_turn_chooses_who_answers_it() {
    let (gate, second) = (Gate::closed(), Gate::closed());
    let (model, server) = server(vec![
        Reply::Gated(words("One "), gate.clone(), words("two.")),
        Reply::Gated(words("Three "), second.clone(), words("four.")),
        says("Five."),
    ])
    .await;
    let talk = Talk::with(&server, json!({})).await;
    let mut frames = talk.follow(&server, "").await;
    talk.say(&server, "First").await;
    until(&mut frames, "output.message.delta").await;
    let controls = json!({"model_id": other(&server).await, "reasoning": {"effort": "high"}});
    let (status, joined) = server.post(&talk.path("/messages"), &message("Second", &controls)).await;
    assert_eq!((status, &joined["controls"]), (201, &controls));
    gate.open();
    until(&mut frames, "output.message.started").await;
    until(&mut frames, "output.message.delta").await;
    // The last message says nothing of it: the session's own model answers again.
    talk.say(&server, "Third").await;
    second.open();
    until(&mut frames, "session.idled").await;
    let none = Value::Null;
    let expected = [("model".into(), none.clone()), ("other".into(), json!("high")), ("model".into(), none)];
    assert_eq!(asked(&model), expected);
    let started = talk.events(&server, "?types=reason.started").await;
    let names: Vec<&Value> = started.iter().map(|event| &event["data"]["metadata"]["model"]).collect();
    assert_eq!(names, ["model", "other", "model"]);
}

#[tokio::test]
async fn a_message_that_ends_a_wait_chooses_who_answers_it_over_a_crash() {
    let gate = Gate::closed();
    let (model, mut server) = server(vec![
        calls([("pick", json!({}))]),
        Reply::Gated(words("Never "), gate, vec![]),
        says("Picked."),
    ])
    .await;
    let tool = json!([{"type": "client_side", "name": "pick", "description": "", "parameters": {}}]);
    let talk = Talk::with(&server, json!({"tools": tool})).await;
    talk.say(&server, "Pick").await;
    until(&mut talk.follow(&server, "").await, "tool.call_requested").await;
    let controls = json!({"model_id": other(&server).await});
    assert_eq!(server.post(&talk.path("/messages"), &message("Never mind", &controls)).await.0, 201);
    let mut frames = talk.follow(&server, "").await;
    until(&mut frames, "output.message.delta").await;
    server.kill();
    server.restart().await;
    until(&mut talk.follow(&server, "").await, "session.idled").await;
    let names: Vec<String> = asked(&model).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["model", "other", "other"]);
}

#[tokio::test]
async fn an_archived_agent_takes_no_messages_and_stores_none() {
    let (model, server) = server(vec![says("Hello."), says("Back.")]).await;
    let talk = Talk::with(&server, json!({})).await;
    talk.say(&server, "Hi").await;
    let before = talk.until_idle(&server).await;
    let agent = server.get(&talk.path("")).await.1["agent_id"].as_str().unwrap().to_owned();
    let path = format!("/v1/agents/{agent}");
    assert_eq!(server.request(Method::DELETE, &path).send().await.unwrap().status(), 204);
    let (status, problem) = server.post(&talk.path("/messages"), &message("Hi?", &json!({}))).await;
    assert_eq!((status, &problem["error"]["message"]), (400, &json!("The agent is archived")));
    assert_eq!(talk.events(&server, "").await, before);
    let back = server.request(Method::PATCH, &path).json(&json!({"status": "active"})).send().await.unwrap();
    assert_eq!(answer(back).await.0, 200);
    talk.say(&server, "Hi!").await;
    until(&mut talk.follow(&server, "?after_sequence=11").await, "session.idled").await;
    model.assert_clean();
}

#[tokio::test]
async fn a_tool_that_is_not_there_fails_its_call_and_never_the_turn() {
    let conjure = || calls([("conjure", json!({}))]);
    let (model, server) = server(vec![conjure(), conjure(), conjure(), conjure(), says("I cannot.")]).await;
    let talk = Talk::with(&server, json!({"capabilities": [{"ref": "test_math"}]})).await;
    talk.say(&server, "Conjure").await;
    let events = talk.until_idle(&server).await;
    let ended: Vec<&Value> = events.iter().filter(|event| event["type"] == "tool.completed").collect();
    assert_eq!(ended.len(), 4);
    for event in ended {
        let data = &event["data"];
        assert_eq!(
            [&data["success"], &data["status"], &data["error"]],
            [&json!(false), &json!("error"), &json!("Tool not found: conjure")]
        );
    }
    assert!(events.iter().any(|event| event["type"] == "turn.completed"));
    let told = model.requests()[1]["messages"].as_array().unwrap().last().unwrap()["content"].clone();
    assert!(told.as_str().unwrap().starts_with("Tool not found: conjure\nTools: add, "), "{told}");
    model.assert_clean();
}

/// How a turn ends of an agent with these limits.
async fn limited(limits: &str, script: Vec<Reply>) -> Value {
    let model = ModelServer::start(script).await;
    let agent =
        format!("---\nmodel: test/model\ncapabilities: [test_math]\nlimits: {limits}\n---\nYou add.\n");
    let server = Setup::default().model(&model.url()).agent("adder", &agent).start().await;
    let agents = server.get("/v1/agents?search=adder").await.1;
    let session = server.post("/v1/sessions", &json!({"agent_id": agents["data"][0]["id"]})).await.1;
    let talk = Talk(session["id"].as_str().unwrap().to_owned());
    talk.say(&server, "Add").await;
    let events = talk.until_idle(&server).await;
    events.iter().find(|event| event["type"] == "turn.failed").expect("a failure")["data"].clone()
}

#[tokio::test]
async fn each_limit_is_told_under_its_own_name() {
    let add = || calls([("add", json!({"a": 1, "b": 2}))]);
    let hang = vec![Reply::HangBeforeFirstEvent];
    let limits = [
        (
            "{model_calls: 2}",
            vec![add(), add()],
            "max_iterations",
            "The turn reached its limit of model or tool calls",
        ),
        (
            "{tool_calls: 1}",
            vec![add(), add()],
            "max_iterations",
            "The turn reached its limit of model or tool calls",
        ),
        ("{tokens: 1}", vec![add(), add()], "llm_error", "The turn reached its limit of tokens"),
        ("{seconds: 1}", hang, "llm_error", "The turn reached its limit of time"),
    ];
    for (limits, script, code, sentence) in limits {
        let failed = limited(limits, script).await;
        assert_eq!([&failed["error_code"], &failed["error"]], [code, sentence], "{limits}");
    }
}
