//! Sections 5 to 8 of the Everruns contract, through the real program: what a turn tells, in which order, and how it
//! is read again.

use serde_json::{Value, json};

use crate::harness::everruns::{Talk, types, until};
use crate::harness::model_server::{Gate, ModelServer, Reply, calls, fails, says, words};
use crate::harness::server::{Server, Setup, answer};

const PLAIN: [&str; 11] = [
    "input.message",
    "session.started",
    "session.activated",
    "turn.started",
    "reason.started",
    "output.message.started",
    "llm.generation",
    "output.message.completed",
    "reason.completed",
    "turn.completed",
    "session.idled",
];

/// A server on this script.
async fn server(script: Vec<Reply>) -> (ModelServer, Server) {
    let model = ModelServer::start(script).await;
    let server = Setup::default().config("default_model = \"test/model\"").model(&model.url()).start().await;
    (model, server)
}

async fn math(server: &Server) -> Talk {
    Talk::with(server, json!({"capabilities": [{"ref": "test_math"}]})).await
}

fn of<'a>(events: &'a [Value], kind: &str) -> &'a Value {
    events.iter().find(|event| event["type"] == kind).unwrap_or_else(|| panic!("no {kind}: {events:#?}"))
}

fn hex(id: &Value) -> &str {
    id.as_str().unwrap().split_once('_').unwrap().1
}

#[tokio::test]
async fn a_plain_turn_is_told_in_its_order() {
    let (model, server) = server(vec![says("Hello you.")]).await;
    let talk = Talk::with(&server, json!({})).await;
    let message = talk.say(&server, "Hi").await;
    let events = talk.until_idle(&server).await;
    assert_eq!(types(&events), PLAIN);
    let sequences: Vec<u64> = events.iter().map(|event| event["sequence"].as_u64().unwrap()).collect();
    assert_eq!(sequences, (1..=11).collect::<Vec<_>>());
    let ids: Vec<&str> = events.iter().map(|event| event["id"].as_str().unwrap()).collect();
    assert!(ids.is_sorted() && ids.iter().all(|id| id.starts_with("event_") && id.len() == 38), "{ids:?}");
    assert_eq!(hex(&message["id"]), hex(&events[0]["id"]));
    assert_eq!(message, events[0]["data"]["message"]);
    let turn = &events[2]["context"]["turn_id"];
    for event in events.iter().filter(|event| event["type"] != "session.started") {
        assert_eq!(
            (&event["context"]["turn_id"], &event["context"]["input_message_id"]),
            (turn, &message["id"])
        );
        assert_eq!(event["session_id"], talk.0);
    }
    let data = &of(&events, "llm.generation")["data"];
    assert_eq!(
        data["messages"],
        json!([
            {"role": "system", "content": [{"type": "text", "text": "You help."}]},
            {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
        ])
    );
    assert_eq!(data["output"], json!({"text": "Hello you.", "tool_calls": []}));
    assert_eq!((&data["metadata"]["success"], &data["metadata"]["model"]), (&json!(true), &json!("model")));
    let said = &of(&events, "output.message.completed")["data"]["message"];
    assert_eq!(
        (&said["role"], &said["content"]),
        (&json!("agent"), &json!([{"type": "text", "text": "Hello you."}]))
    );
    let end = &of(&events, "turn.completed")["data"];
    assert_eq!((&end["iterations"], &end["turn_id"]), (&json!(1), turn));
    assert_eq!(talk.status(&server).await, "idle");
    model.assert_clean();
}

#[tokio::test]
async fn a_turn_with_tools_is_told_in_its_order() {
    let (model, server) = server(vec![
        calls([("add", json!({"a": 2, "b": 3})), ("divide", json!({"a": 1, "b": 0}))]),
        says("5."),
    ])
    .await;
    let talk = math(&server).await;
    talk.say(&server, "2+3?").await;
    let events = talk.until_idle(&server).await;
    let mut kinds = types(&events);
    kinds.drain(..4);
    // Two calls run side by side.
    let ends = kinds.iter().filter(|kind| **kind == "tool.completed").count();
    assert_eq!(ends, 2);
    let expected = [
        "reason.started",
        "output.message.started",
        "llm.generation",
        "output.message.completed",
        "reason.completed",
        "act.started",
        "tool.started",
        "tool.started",
        "tool.completed",
        "tool.completed",
        "act.completed",
        "reason.started",
        "output.message.started",
        "llm.generation",
        "output.message.completed",
        "reason.completed",
        "turn.completed",
        "session.idled",
    ];
    assert_eq!(kinds, expected);
    let act = &of(&events, "act.completed")["data"];
    assert_eq!((&act["success_count"], &act["error_count"]), (&json!(1), &json!(1)));
    let execs: std::collections::BTreeSet<&str> =
        events.iter().filter_map(|event| event["context"]["exec_id"].as_str()).collect();
    assert_eq!(execs.len(), 3, "two questions and an act");
    let messages = talk.messages(&server).await;
    let roles: Vec<&Value> = messages.iter().map(|message| &message["role"]).collect();
    assert_eq!(roles, ["user", "agent", "tool_result", "tool_result", "agent"]);
    assert_eq!(messages[1]["content"][0]["arguments"], json!({"a": 2, "b": 3}));
    assert_eq!(messages[2]["content"][0]["result"]["result"], json!(5));
    assert!(messages[3]["content"][0]["error"].is_string(), "{messages:#?}");
    let second = &events.iter().rev().find(|event| event["type"] == "llm.generation").unwrap()["data"];
    let roles: Vec<&Value> =
        second["messages"].as_array().unwrap().iter().map(|message| &message["role"]).collect();
    assert_eq!(roles, ["system", "user", "agent", "tool_result", "tool_result"]);
    model.assert_clean();
}

#[tokio::test]
async fn a_turn_that_fails_apologises_and_says_nothing_of_the_provider() {
    let (model, server) = server(vec![fails(400, "bad", "secret upstream words"), says("Better.")]).await;
    let talk = Talk::with(&server, json!({})).await;
    talk.say(&server, "Hi").await;
    let events = talk.until_idle(&server).await;
    let expected = [
        "reason.started",
        "output.message.started",
        "llm.generation",
        "output.message.completed",
        "reason.completed",
        "turn.failed",
        "session.idled",
    ];
    assert_eq!(types(&events)[4..], expected);
    assert!(!json!(events).to_string().contains("secret upstream"), "{events:#?}");
    assert_eq!(of(&events, "turn.failed")["data"]["error_code"], "llm_error");
    assert_eq!(of(&events, "llm.generation")["data"]["metadata"]["success"], false);
    let last = events.last().unwrap()["sequence"].as_u64().unwrap();
    talk.say(&server, "Again").await;
    let mut frames = talk.follow(&server, &format!("?after_sequence={last}")).await;
    until(&mut frames, "session.idled").await;
    let asked = model.requests()[1]["messages"].clone();
    let roles: Vec<&Value> = asked.as_array().unwrap().iter().map(|message| &message["role"]).collect();
    assert_eq!(roles, ["system", "user", "assistant", "user"], "the failed turn is part of the conversation");
}

#[tokio::test]
async fn a_cancelled_turn_ends_with_a_note_that_the_next_one_reads() {
    let gate = Gate::closed();
    let (model, server) =
        server(vec![Reply::Gated(words("Half an "), gate, vec![]), says("Something else.")]).await;
    let talk = Talk::with(&server, json!({})).await;
    assert_eq!(server.post(&talk.path("/cancel"), &json!({})).await.1["status"], "no_op");
    talk.say(&server, "Write").await;
    let mut frames = talk.follow(&server, "").await;
    until(&mut frames, "output.message.delta").await;
    assert_eq!(talk.status(&server).await, "active");
    let cancel = server
        .request(reqwest::Method::POST, &talk.path("/cancel"))
        .header("content-type", "application/json");
    let (status, cancelled) = answer(cancel.send().await.unwrap()).await;
    assert_eq!((status, &cancelled["status"]), (200, &json!("cancelled")));
    assert_eq!(talk.status(&server).await, "idle");
    let events = talk.events(&server, "").await;
    assert_eq!(types(&events)[6..], ["turn.cancelled", "input.message", "session.idled"]);
    let turn = &events[3]["context"]["turn_id"];
    assert!(events[6..].iter().all(|event| event["context"]["turn_id"] == *turn));
    let note = "User requested to cancel the work.";
    assert_eq!(events[7]["data"]["message"]["content"][0]["text"], note);
    model.wait_for_hang_ups(1).await;
    talk.say(&server, "Do something else").await;
    until(&mut frames, "turn.completed").await;
    let asked = model.requests()[1]["messages"].clone();
    let texts: Vec<&str> =
        asked.as_array().unwrap().iter().map(|message| message["content"].as_str().unwrap()).collect();
    assert_eq!(texts, ["You help.", "Write", note, "Do something else"]);
}

#[tokio::test]
async fn a_run_that_is_cancelled_before_its_time_came_is_no_turn_of_its_own() {
    let (_model, server) = server(vec![Reply::Gated(words("Half an "), Gate::closed(), vec![])]).await;
    let talk = Talk::with(&server, json!({})).await;
    talk.say(&server, "Write").await;
    let mut frames = talk.follow(&server, "").await;
    until(&mut frames, "output.message.delta").await;
    let (_, session) = server.get(&talk.path("")).await;
    let agent = session["agent_id"].as_str().unwrap();
    let id = hex(&session["id"]).parse::<uuid::Uuid>().unwrap().hyphenated().to_string();
    let queued = [
        ("message", "And then"),
        ("session_id", &id),
        ("on_second_message", "enqueue"),
        ("background", "true"),
        ("stream", "false"),
    ];
    assert_eq!(server.form(&format!("/agents/{agent}/runs"), &queued).await.0, 202);
    assert_eq!(server.post(&talk.path("/cancel"), &json!({})).await.1["status"], "cancelled");
    let events = talk.events(&server, "").await;
    assert_eq!(types(&events)[6..], ["input.message", "turn.cancelled", "input.message", "session.idled"]);
    assert_eq!(talk.status(&server).await, "idle");
}

#[tokio::test]
async fn a_message_during_a_turn_is_answered_by_that_turn() {
    let gate = Gate::closed();
    let (model, server) =
        server(vec![Reply::Gated(words("First "), gate.clone(), words("answer.")), says("Second answer.")])
            .await;
    let talk = Talk::with(&server, json!({})).await;
    talk.say(&server, "One").await;
    let mut frames = talk.follow(&server, "").await;
    until(&mut frames, "output.message.delta").await;
    let message = talk.say(&server, "Two").await;
    gate.open();
    until(&mut frames, "session.idled").await;
    let events = talk.events(&server, "").await;
    let joined = events.iter().find(|event| event["data"]["message"]["id"] == message["id"]).unwrap();
    assert_eq!((&joined["type"], &joined["context"]), (&json!("input.message"), &json!({})));
    assert_eq!(events.iter().filter(|event| event["type"] == "turn.completed").count(), 1);
    assert_eq!(of(&events, "turn.completed")["data"]["iterations"], 2);
    let asked = model.requests()[1]["messages"].clone();
    let roles: Vec<&Value> = asked.as_array().unwrap().iter().map(|message| &message["role"]).collect();
    assert_eq!(roles, ["system", "user", "assistant", "user"]);
}

/// Waits until nothing goes on any more; turns must have come one after the other, and have ended well.
async fn one_turn_at_a_time(server: &Server, talk: &Talk) {
    let mut frames = talk.follow(server, "").await;
    loop {
        until(&mut frames, "session.idled").await;
        if talk.status(server).await == "idle" {
            break;
        }
    }
    let events = talk.events(server, "").await;
    let mut open = 0_i32;
    for kind in types(&events) {
        assert_ne!(kind, "turn.failed", "{events:?}");
        open += i32::from(kind == "turn.started") - i32::from(kind == "turn.completed");
        assert!((0..=1).contains(&open), "never two turns at once: {:?}", types(&events));
    }
}

#[tokio::test]
async fn after_a_crash_the_turn_that_had_begun_ends_before_those_that_waited_begin() {
    let gate = Gate::closed();
    let model = ModelServer::holding(&gate).await;
    let mut server =
        Setup::default().config("default_model = \"test/model\"").model(&model.url()).start().await;
    // Many sessions, because of messages that come at once any may be the first in the log.
    let talks = (0..12).map(|_| async {
        let talk = Talk::with(&server, json!({})).await;
        let all = (0..6).map(|number| {
            let (talk, server) = (&talk, &server);
            async move { talk.say(server, &format!("message {number}")).await }
        });
        futures::future::join_all(all).await;
        until(&mut talk.follow(&server, "").await, "output.message.started").await;
        talk
    });
    let talks = futures::future::join_all(talks).await;
    server.kill();
    gate.open();
    server.restart().await;
    let ends = talks.iter().map(|talk| one_turn_at_a_time(&server, talk));
    futures::future::join_all(ends).await;
}

#[tokio::test]
async fn many_messages_at_once_are_all_stored_and_none_is_lost() {
    let model = ModelServer::answering(|_| says("Yes.")).await;
    let server = Setup::default().config("default_model = \"test/model\"").model(&model.url()).start().await;
    // Many sessions, because a message may join an answer at any of its pieces.
    let talks = (0..16).map(|_| async {
        let talk = Talk::with(&server, json!({})).await;
        let all = (0..10).map(|number| {
            let (talk, server) = (&talk, &server);
            async move { talk.say(server, &format!("message {number}")).await }
        });
        let said = futures::future::join_all(all).await;
        one_turn_at_a_time(&server, &talk).await;
        let listed = talk.messages(&server).await;
        for message in said {
            assert!(listed.contains(&message), "{message}");
        }
    });
    futures::future::join_all(talks).await;
    let asked: String = model.requests().iter().map(|request| request.to_string()).collect();
    assert!((0..10).all(|number| asked.contains(&format!("message {number}"))));
}

#[tokio::test]
async fn deltas_are_live_and_a_client_comes_back_to_the_rest_of_an_answer_even_after_a_crash() {
    let (gate, second) = (Gate::closed(), Gate::closed());
    let (_model, mut server) = server(vec![
        Reply::Gated(words("One two "), gate, words("three.")),
        Reply::Gated(words("Four five "), second.clone(), words("six.")),
    ])
    .await;
    let talk = Talk::with(&server, json!({})).await;
    talk.say(&server, "Count").await;
    let mut frames = talk.follow(&server, "").await;
    let seen = until(&mut frames, "output.message.delta").await;
    let delta = seen.last().unwrap();
    assert_eq!((&delta.id, &delta.data["sequence"]), (&None, &Value::Null));
    assert!(seen.iter().skip(1).all(|frame| frame.retry.is_some()));
    let cursor = delta.data["id"].as_str().unwrap().to_owned();
    assert!(!types(&talk.events(&server, "").await).contains(&"output.message.delta"));

    server.kill();
    server.restart().await;
    let mut frames = talk.follow(&server, &format!("?since_id={cursor}")).await;
    let mut rest = until(&mut frames, "output.message.delta").await;
    second.open();
    rest.extend(until(&mut frames, "session.idled").await);
    let kinds: Vec<&str> = rest
        .iter()
        .map(|frame| frame.event.as_str())
        .filter(|kind| *kind != "output.message.delta")
        .collect();
    let expected = [
        "connected",
        "reason.recovered",
        "llm.generation",
        "output.message.completed",
        "reason.completed",
        "turn.completed",
        "session.idled",
    ];
    assert_eq!(kinds, expected);
    let mut deltas = rest.iter().filter(|frame| frame.event == "output.message.delta");
    let text: String = deltas.clone().map(|frame| frame.data["data"]["delta"].as_str().unwrap()).collect();
    assert_eq!(text, "Four five six.");
    assert_eq!(deltas.next_back().unwrap().data["data"]["accumulated"], "Four five six.");
    let events = talk.events(&server, "").await;
    let mut told = PLAIN.to_vec();
    told.insert(6, "reason.recovered");
    assert_eq!(types(&events), told);
}

#[tokio::test]
async fn a_stream_that_breaks_off_in_an_answer_goes_on_with_the_next_piece() {
    let gate = Gate::closed();
    let (_model, server) =
        server(vec![Reply::Gated(words("One two "), gate.clone(), words("three four."))]).await;
    let talk = Talk::with(&server, json!({})).await;
    talk.say(&server, "Count").await;
    let mut frames = talk.follow(&server, "").await;
    let first = until(&mut frames, "output.message.delta").await.pop().unwrap();
    drop(frames);
    let mut text = first.data["data"]["delta"].as_str().unwrap().to_owned();
    let query = format!("?since_id={}", first.data["id"].as_str().unwrap());
    gate.open();
    talk.until_idle(&server).await;
    let mut frames = talk.follow(&server, &query).await;
    let rest = until(&mut frames, "session.idled").await;
    for frame in rest.iter().filter(|frame| frame.event == "output.message.delta") {
        text.push_str(frame.data["data"]["delta"].as_str().unwrap());
        assert_eq!(frame.data["data"]["accumulated"], text);
    }
    assert_eq!(text, "One two three four.");
    // Who comes later is told the answer, and not its pieces.
    let all = until(&mut talk.follow(&server, "").await, "session.idled").await;
    let kinds: Vec<&str> = all.iter().skip(1).map(|frame| frame.event.as_str()).collect();
    assert_eq!(kinds, PLAIN);
}

#[tokio::test]
async fn every_cursor_finds_its_place_and_ids_outlive_a_restart() {
    let (_model, mut server) = server(vec![says("One."), says("Two.")]).await;
    let talk = Talk::with(&server, json!({})).await;
    talk.say(&server, "1").await;
    talk.until_idle(&server).await;
    talk.say(&server, "2").await;
    until(&mut talk.follow(&server, "?after_sequence=11").await, "session.idled").await;
    let events = talk.events(&server, "").await;
    assert_eq!(events.len(), 21);
    for restarted in [false, true] {
        if restarted {
            server.kill();
            server.restart().await;
        }
        assert_eq!(talk.events(&server, "").await, events);
        for (at, event) in events.iter().enumerate() {
            let query = format!("?since_id={}", event["id"].as_str().unwrap());
            assert_eq!(talk.events(&server, &query).await, events[at + 1..]);
            let query = format!("?after_sequence={}", event["sequence"]);
            assert_eq!(talk.events(&server, &query).await, events[at + 1..]);
        }
    }
    // Ids of nobody: before all, and after all.
    let early = "event_00000000000070008000000000000000";
    assert_eq!(talk.events(&server, &format!("?since_id={early}")).await, events);
    let late = "event_ffffffffffff7fffbfffffffffffffff";
    assert_eq!(talk.events(&server, &format!("?since_id={late}")).await, Vec::<Value>::new());
    assert_eq!(talk.events(&server, "?limit=3&after_sequence=4").await, events[4..7]);
    let latest = talk.events(&server, "?limit=2&order_desc=true").await;
    assert_eq!(latest, [events[20].clone(), events[19].clone()]);
    let ends = talk.events(&server, "?types=turn.completed&types=session.idled").await;
    assert_eq!(types(&ends), ["turn.completed", "session.idled", "turn.completed", "session.idled"]);
    let turn = ends[2]["context"]["turn_id"].as_str().unwrap();
    assert_eq!(talk.events(&server, &format!("?turn_id={turn}")).await.len(), 10);
    assert_eq!(talk.events(&server, "?exclude=llm.generation&exclude=tool.progress").await.len(), 19);
}

#[tokio::test]
async fn what_is_no_message_and_no_cursor_is_refused_and_nothing_is_stored() {
    let (_model, server) = server(vec![]).await;
    let talk = Talk::with(&server, json!({})).await;
    let wrong = [
        json!({}),
        json!({"message": "Hi"}),
        json!({"message": {}}),
        json!({"message": {"content": "Hi"}}),
        json!({"message": {"content": []}}),
        json!({"message": {"content": [{"type": "text"}]}}),
        json!({"message": {"content": [{"type": "text", "text": 1}]}}),
        json!({"message": {"content": [{"type": "text", "text": ""}]}}),
        json!({"message": {"content": [{"type": "tool_result", "tool_call_id": "a"}]}}),
        json!({"message": {"content": [{"type": "image"}]}}),
        json!({"message": {"content": [{"type": "image", "url": "file:///etc/passwd"}]}}),
        json!({"message": {"content": [{"type": "image", "base64": "!", "media_type": "image/png"}]}}),
        json!({"message": {"content": [{"type": "image_file", "image_id": "x"}]}}),
        json!({"message": {"content": [{"type": "text", "text": "Hi"}]}, "controls": {"model_id": "x"}}),
    ];
    for body in wrong {
        let (status, told) = server.post(&talk.path("/messages"), &body).await;
        assert!(status == 400 || status == 422, "{status} {body}");
        assert!(told["error"]["message"].is_string(), "{told}");
    }
    for query in
        ["?since_id=x", "?since_id=event_0", "?types=nothing", "?exclude=x", "?limit=-1", "?after_sequence=x"]
    {
        for path in ["/events", "/sse"] {
            assert_eq!(server.get(&talk.path(&format!("{path}{query}"))).await.0, 400, "{path}{query}");
        }
    }
    assert_eq!(talk.events(&server, "").await, Vec::<Value>::new());
    let nobody = Talk("session_01933b5a000070008000000000000001".into());
    for path in ["/events", "/messages", "/sse"] {
        assert_eq!(server.get(&nobody.path(path)).await.0, 404, "{path}");
    }
    assert_eq!(server.post(&nobody.path("/cancel"), &json!({})).await.0, 404);
}

#[tokio::test]
async fn a_session_is_driven_by_both_surfaces_in_turn() {
    let (model, server) = server(vec![says("One."), says("Two."), says("Three.")]).await;
    let talk = Talk::with(&server, json!({})).await;
    talk.say(&server, "1").await;
    talk.until_idle(&server).await;
    let (_, session) = server.get(&talk.path("")).await;
    let hex = hex(&session["id"]).parse::<uuid::Uuid>().unwrap();
    let agent = session["agent_id"].as_str().unwrap();
    let fields = [("message", "2"), ("session_id", &hex.hyphenated().to_string()), ("stream", "false")];
    let (status, run) = server.form(&format!("/agents/{agent}/runs"), &fields).await;
    assert_eq!((status, &run["content"]), (200, &json!("Two.")), "{run}");
    talk.say(&server, "3").await;
    until(&mut talk.follow(&server, "?after_sequence=21").await, "session.idled").await;
    let said: Vec<Value> =
        talk.messages(&server).await.iter().map(|message| message["content"][0]["text"].clone()).collect();
    assert_eq!(said, ["1", "One.", "2", "Two.", "3", "Three."]);
    let asked = model.requests()[2]["messages"].clone();
    assert_eq!(asked.as_array().unwrap().len(), 6);
}
