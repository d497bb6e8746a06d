//! Section 12 of the Everruns contract, through the real program: tools that the client executes.

use serde_json::{Value, json};

use crate::harness::everruns::{Talk, types, until};
use crate::harness::model_server::{ModelServer, Reply, calls, says};
use crate::harness::server::{Server, Setup};

async fn server(script: Vec<Reply>) -> (ModelServer, Server) {
    let model = ModelServer::start(script).await;
    let server = Setup::default().config("default_model = \"test/model\"").model(&model.url()).start().await;
    (model, server)
}

/// An agent whose client knows two places.
async fn talk(server: &Server) -> Talk {
    let tool = |name: &str| {
        json!({"type": "client_side", "name": name, "description": "Says where.",
            "parameters": {"type": "object", "properties": {}}})
    };
    let tools = json!([tool("here"), tool("there")]);
    Talk::with(server, json!({"tools": tools, "capabilities": [{"ref": "test_math"}]})).await
}

/// Asks, and waits until the client is asked; the calls.
async fn asked(server: &Server, talk: &Talk) -> Vec<Value> {
    talk.say(server, "Where?").await;
    let frames = until(&mut talk.follow(server, "").await, "tool.call_requested").await;
    frames.last().unwrap().data["data"]["tool_calls"].as_array().unwrap().clone()
}

async fn tell(server: &Server, talk: &Talk, results: Value) -> (u16, Value) {
    server.post(&talk.path("/tool-results"), &json!({"tool_results": results})).await
}

#[tokio::test]
async fn the_turn_waits_for_all_results_over_a_restart_and_goes_on_with_them() {
    let (model, mut server) = server(vec![
        calls([("here", json!({})), ("add", json!({"a": 1, "b": 1})), ("there", json!({}))]),
        says("Everywhere."),
    ])
    .await;
    let talk = talk(&server).await;
    let (status, refused) = tell(&server, &talk, json!([{"tool_call_id": "x", "result": 1}])).await;
    assert_eq!(status, 409);
    let text = refused["error"]["message"].as_str().unwrap();
    assert!(text.to_lowercase().contains("not waiting for tool results"), "{text}");
    let asked = asked(&server, &talk).await;
    let ids: Vec<&Value> = asked.iter().map(|call| &call["id"]).collect();
    assert_eq!(asked.len(), 2);
    assert_eq!(talk.status(&server).await, "waitingfortoolresults");
    assert_eq!(tell(&server, &talk, json!([{"tool_call_id": "x", "result": 1}])).await.0, 400);
    assert_eq!(tell(&server, &talk, json!([])).await.0, 422);
    let (status, told) = tell(&server, &talk, json!([{"tool_call_id": ids[0], "result": {"lat": 1}}])).await;
    assert_eq!((status, &told["accepted"]), (200, &json!(1)));
    server.kill();
    server.restart().await;
    assert_eq!(talk.status(&server).await, "waitingfortoolresults");
    let (status, told) = tell(&server, &talk, json!([{"tool_call_id": ids[1], "error": "no idea"}])).await;
    assert_eq!((status, told), (200, json!({"accepted": 1, "status": "active"})));
    let events = talk.until_idle(&server).await;
    let expected = [
        "act.started",
        "tool.started",
        "tool.completed",
        "tool.started",
        "tool.started",
        "tool.call_requested",
        "tool.completed",
        "tool.completed",
        "act.completed",
        "reason.started",
    ];
    assert_eq!(types(&events)[9..19], expected);
    let results: Vec<Value> = talk.messages(&server).await;
    let results: Vec<&Value> = results
        .iter()
        .filter(|message| message["role"] == "tool_result")
        .map(|message| &message["content"][0])
        .collect();
    assert_eq!(results[1]["result"], json!({"lat": 1}));
    assert_eq!(results[2]["error"], "no idea");
    assert_eq!(talk.status(&server).await, "idle");
    model.assert_clean();
}

#[tokio::test]
async fn a_message_ends_the_wait() {
    let (model, server) = server(vec![calls([("here", json!({}))]), says("Never mind.")]).await;
    let talk = talk(&server).await;
    let asked = asked(&server, &talk).await;
    talk.say(&server, "Forget it").await;
    let events = talk.until_idle(&server).await;
    let ended = events.iter().find(|event| event["type"] == "tool.completed").unwrap();
    assert_eq!(ended["data"]["error"], "cancelled: superseded by a new message");
    assert_eq!((&ended["data"]["success"], &ended["data"]["tool_call_id"]), (&json!(false), &asked[0]["id"]));
    assert_eq!(events.iter().filter(|event| event["type"] == "turn.started").count(), 1);
    let sent = model.requests()[1]["messages"].clone();
    let roles: Vec<&Value> = sent.as_array().unwrap().iter().map(|message| &message["role"]).collect();
    assert_eq!(roles, ["system", "user", "assistant", "tool", "user"]);
    model.assert_clean();
}

#[tokio::test]
async fn a_turn_that_waits_is_cancelled_and_the_next_one_is_asked_with_whole_pairs() {
    let (model, server) = server(vec![calls([("here", json!({}))]), says("All right.")]).await;
    let talk = talk(&server).await;
    let asked = asked(&server, &talk).await;
    let (_, cancelled) = server.post(&talk.path("/cancel"), &json!({})).await;
    assert_eq!(cancelled["status"], "cancelled");
    let events = talk.events(&server, "").await;
    assert_eq!(types(&events)[events.len() - 3..], ["turn.cancelled", "input.message", "session.idled"]);
    assert_eq!(talk.status(&server).await, "idle");
    let late = tell(&server, &talk, json!([{"tool_call_id": asked[0]["id"], "result": 1}])).await;
    assert_eq!(late.0, 409);
    talk.say(&server, "Something else").await;
    until(&mut talk.follow(&server, "").await, "turn.completed").await;
    model.assert_clean();
}

#[tokio::test]
async fn a_call_that_the_client_does_not_answer_in_time_has_failed_and_the_turn_goes_on() {
    let script = vec![calls([("here", json!({})), ("add", json!({"a": 1, "b": 1}))]), says("Nowhere.")];
    let model = ModelServer::start(script).await;
    let config = "default_model = \"test/model\"\n[server]\nclient_tool_seconds = 1";
    let server = Setup::default().config(config).model(&model.url()).start().await;
    let talk = talk(&server).await;
    talk.say(&server, "Where?").await;
    let events = talk.until_idle(&server).await;
    let ends: Vec<(&Value, &Value)> = events
        .iter()
        .filter(|event| event["type"] == "tool.completed")
        .map(|event| (&event["data"]["tool_name"], &event["data"]["success"]))
        .collect();
    assert_eq!(ends, [(&json!("add"), &json!(true)), (&json!("here"), &json!(false))]);
    assert_eq!(model.requests().len(), 2);
    let (status, late) = tell(&server, &talk, json!([{"tool_call_id": "x", "result": 1}])).await;
    assert_eq!(status, 409, "{late}");
}
