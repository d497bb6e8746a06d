//! Sections 5 to 10 and 12 of the AgentOS contract, through the real program: runs.

use futures::StreamExt;
use reqwest::{Method, multipart};
use serde_json::{Value, json};

use crate::harness::model_server::{Gate, ModelServer, Reply, calls, fails, says, words};
use crate::harness::server::{Server, Setup, answer, events, names, text, to_end, until};
use crate::harness::steady::steady;

const NO_RUN: &str = "01a20444-dea8-7321-bf98-9663b2d3bf99";
const RUNS: &str = "/agents/plain/runs";

fn detail(text: &str) -> Value {
    json!({ "detail": text })
}

async fn idle() -> Server {
    Setup::default().model("http://127.0.0.1:1/v1").start().await
}

/// A server, a run of it that has said `Half an ` and waits at the gate, and its stream.
async fn half_way(
    background: &str,
    agent: &str,
) -> (Server, ModelServer, Gate, String, impl futures::Stream<Item = Value> + Unpin + use<>) {
    let gate = Gate::closed();
    let line = Reply::Gated(words("Half an "), gate.clone(), words("answer."));
    let model = ModelServer::start([line, says("Next.")]).await;
    let patient = "---\nmodel: test/model\non_disconnect: continue\n---\nYou answer.\n";
    let refusing = "---\nmodel: test/model\non_second_message: reject\n---\nYou answer.\n";
    let server = Setup::default()
        .model(&model.url())
        .agent("patient", patient)
        .agent("refusing", refusing)
        .config("[runs]\nqueue_depth = 1")
        .start()
        .await;
    let fields = [("message", "Go"), ("session_id", "s"), ("user_id", "u"), ("background", background)];
    let mut stream = server.stream(agent, &fields).await;
    let mut seen = until(&mut stream, "RunContent").await;
    while text(&seen) != "Half an " {
        seen.push(stream.next().await.unwrap());
    }
    let run = seen[0]["run_id"].as_str().unwrap().to_owned();
    (server, model, gate, run, stream)
}

/// Reads a run until it stands where it should.
async fn until_status(server: &Server, agent: &str, run: &str, status: &str) -> Value {
    let path = format!("/agents/{agent}/runs/{run}?session_id=s");
    let waiting = async {
        loop {
            let (found, body) = server.get(&path).await;
            assert_eq!(found, 200, "{body}");
            if body["status"] == status {
                return body;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(crate::harness::server::PATIENCE, waiting).await.expect("the status in time")
}

#[tokio::test]
async fn an_answer_in_one_piece_is_the_run_whole() {
    let model = ModelServer::start([says("Hi there."), says("Fine.")]).await;
    let server = Setup::default().model(&model.url()).start().await;
    for message in ["hello", "again"] {
        let metadata = json!({"m": null}).to_string();
        let fields = [
            ("message", message),
            ("stream", "FALSE"),
            ("session_id", "s"),
            ("user_id", "u"),
            ("metadata", metadata.as_str()),
            ("anything", "else"),
        ];
        let (status, body) = server.form(RUNS, &fields).await;
        assert_eq!(status, 200, "{body}");
        if message == "again" {
            insta::assert_json_snapshot!(steady(body.clone()));
            let run = body["run_id"].as_str().unwrap();
            let stored = server.get(&format!("{RUNS}/{run}?session_id=s")).await;
            let history = |body: &Value| {
                let all = body["messages"].as_array().unwrap();
                all.iter().filter(|message| message["from_history"] == true).count()
            };
            assert_eq!((history(&body), history(&stored.1)), (2, 0));
            let without = |mut body: Value| {
                body["messages"].as_array_mut().unwrap().retain(|message| message["from_history"] == false);
                body
            };
            assert_eq!(stored, (200, without(body)));
        }
    }
    model.assert_clean();
}

#[tokio::test]
async fn a_form_may_be_multipart_urlencoded_or_json_and_carries_files() {
    let model = ModelServer::answering(|_| says("ok")).await;
    let server = Setup::default().model(&model.url()).start().await;
    let part = |name: &str, bytes: &'static [u8], kind: &str| {
        multipart::Part::bytes(bytes).file_name(name.to_owned()).mime_str(kind).unwrap()
    };
    let form = multipart::Form::new()
        .text("message", "Look")
        .text("stream", "no")
        .text("session_id", "")
        .part("files", part("a.png", b"png", "image/png"))
        .part("files", part("b.TXT", b"text", "application/octet-stream"))
        .part("files", part("c.bin", b"", "application/x-whatever"));
    let (status, body) =
        answer(server.request(Method::POST, RUNS).multipart(form).send().await.unwrap()).await;
    assert_eq!(status, 200, "{body}");
    assert_eq!(
        body["input"],
        json!({
            "input_content": "Look",
            "images": [{"id": "media-1", "content": "cG5n", "format": "png", "mime_type": "image/png",
                        "filename": "a.png"}],
            "files": [{"id": "media-2", "content": "dGV4dA==", "format": "txt",
                       "mime_type": "application/octet-stream", "filename": "b.TXT"}],
        })
    );
    let (status, body) = server.post(RUNS, &json!({"message": "Hi", "stream": false})).await;
    assert_eq!((status, &body["content"]), (200, &json!("ok")));
    let (status, body) = server.form(RUNS, &[("message", "Hi + %"), ("stream", "0")]).await;
    assert_eq!((status, &body["input"]["input_content"]), (200, &json!("Hi + %")));

    let odd = multipart::Form::new()
        .text("message", "Look")
        .part("files", part("a.exe", b"MZ", "application/x-msdownload"));
    let refused = server.request(Method::POST, RUNS).multipart(odd).send().await.unwrap();
    assert_eq!(answer(refused).await, (400, detail("Unsupported file type")));
}

#[tokio::test]
async fn every_field_that_is_wrong_is_named() {
    let server = idle().await;
    let cases = [
        ("stream", "perhaps", "bool_parsing"),
        ("background", "2", "bool_parsing"),
        ("stream_events", "null", "bool_parsing"),
        ("add_history_to_context", "x", "bool_parsing"),
        ("session_id", " x", "value_error"),
        ("user_id", "a\u{1}", "value_error"),
        ("message", "nul\0", "value_error"),
        ("session_state", "{\"a\":\"\\u0000\"}", "value_error"),
    ];
    for (field, value, kind) in cases {
        let fields: Vec<_> = [("message", "Hi")].into_iter().filter(|(name, _)| *name != field).collect();
        let (status, body) = server.form(RUNS, &[&fields[..], &[(field, value)]].concat()).await;
        let found = (&body["detail"][0]["loc"], &body["detail"][0]["type"]);
        assert_eq!((status, found), (422, (&json!(["body", field]), &json!(kind))), "{body}");
    }
    let missing =
        json!([{"type": "missing", "loc": ["body", "message"], "msg": "Field required", "input": null}]);
    assert_eq!(server.form(RUNS, &[("stream", "false")]).await, (422, json!({"detail": missing})));
    let number = json!({"message": 1});
    let wrong = json!([{"type": "string_type", "loc": ["body", "message"], "msg": "Input should be a valid string", "input": 1}]);
    assert_eq!(server.post(RUNS, &number).await, (422, json!({"detail": wrong})));
    for (field, value) in
        [("images", "[{}]"), ("audio", "[1]"), ("videos", "[{\"filepath\":\"/etc/passwd\"}]")]
    {
        let (status, body) = server.form(RUNS, &[("message", "Hi"), (field, value)]).await;
        assert!(status == 400 && body["detail"].as_str().unwrap().starts_with(field), "{status} {body}");
    }
    assert_eq!(server.get("/sessions").await.1["data"], json!([]));
}

#[tokio::test]
async fn what_is_not_there_is_named() {
    let server = idle().await;
    for (kind, text) in [("agents", "Agent"), ("teams", "Team"), ("workflows", "Workflow")] {
        let missing = (404, detail(&format!("{text} not found")));
        assert_eq!(server.get(&format!("/{kind}/x")).await, missing);
        let run = format!("/{kind}/x/runs/{NO_RUN}");
        assert_eq!(server.form(&format!("/{kind}/x/runs"), &[("message", "Hi")]).await, missing);
        assert_eq!(server.get(&format!("/{kind}/x/runs?session_id=s")).await, missing);
        assert_eq!(server.get(&format!("{run}?session_id=s")).await, missing);
        assert_eq!(server.form(&format!("{run}/cancel"), &[]).await, missing);
        assert_eq!(server.form(&format!("{run}/resume"), &[]).await, missing);
    }
    let run_missing = (404, detail("Run not found"));
    assert_eq!(server.get(&format!("{RUNS}/{NO_RUN}?session_id=s")).await, run_missing);
    assert_eq!(server.get(&format!("{RUNS}/no-uuid?session_id=s")).await, run_missing);
    assert_eq!(server.get(&format!("{RUNS}?session_id=s")).await, (404, detail("Session not found")));
    for path in [RUNS.to_owned(), format!("{RUNS}/{NO_RUN}")] {
        let (status, body) = server.get(&path).await;
        assert_eq!((status, &body["detail"][0]["loc"]), (422, &json!(["query", "session_id"])));
    }
    for run in [NO_RUN, "no-uuid"] {
        assert_eq!(server.form(&format!("{RUNS}/{run}/cancel"), &[]).await, (200, json!({})));
        let frames = server.send_form(&format!("{RUNS}/{run}/resume"), &[]).await;
        let error = format!("Run {run} not found in buffer or database");
        assert_eq!(to_end(events(frames)).await, [json!({"event": "error", "error": error})]);
    }
}

#[tokio::test]
async fn a_failing_model_is_no_http_error() {
    let model =
        ModelServer::start([fails(400, "bad", "no such model"), fails(400, "bad", "no such model")]).await;
    let server = Setup::default().model(&model.url()).start().await;
    let (status, body) =
        server.form(RUNS, &[("message", "Hi"), ("stream", "false"), ("session_id", "s")]).await;
    assert_eq!((status, &body["status"]), (200, &json!("ERROR")));
    assert!(body["content"].as_str().unwrap().contains("no such model"), "{body}");
    let all = to_end(server.stream("plain", &[("message", "Hi"), ("session_id", "s")]).await).await;
    assert_eq!(names(&all), ["RunStarted", "ModelRequestStarted", "RunError"]);
    let (_, listed) = server.get(&format!("{RUNS}?session_id=s&status=error&status=PAUSED")).await;
    assert_eq!(listed.as_array().unwrap().len(), 2);
    assert_eq!(server.get(&format!("{RUNS}?session_id=s&status=COMPLETED")).await, (200, json!([])));
    assert_eq!(server.get(&format!("{RUNS}?session_id=s&status=over")).await.0, 422);
    model.assert_clean();
}

#[tokio::test]
async fn fewer_events_are_the_pieces_and_the_end() {
    let model = ModelServer::start([calls([("add", json!({"a": 2, "b": 3}))]), says("It is five.")]).await;
    let adder = "---\nmodel: test/model\ncapabilities: [test_math]\n---\nYou add.\n";
    let server = Setup::default().model(&model.url()).agent("adder", adder).start().await;
    let all = to_end(server.stream("adder", &[("message", "2+3"), ("stream_events", "false")]).await).await;
    assert_eq!(names(&all), ["RunContent", "RunCompleted"]);
    assert_eq!((text(&all), &all.last().unwrap()["content"]), ("It is five.".into(), &json!("It is five.")));
    model.assert_clean();
}

#[tokio::test]
async fn a_run_in_the_background_is_accepted_at_once_and_can_be_read_at_once() {
    let gate = Gate::closed();
    let model = ModelServer::start([Reply::Gated(words("Half "), gate.clone(), words("whole."))]).await;
    let server = Setup::default().model(&model.url()).start().await;
    let fields = [("message", "Go"), ("background", "true"), ("stream", "false"), ("session_id", "s")];
    let (status, accepted) = server.form(RUNS, &fields).await;
    let run = accepted["run_id"].as_str().unwrap().to_owned();
    let expected = json!({"run_id": run, "session_id": "s", "status": "PENDING"});
    assert_eq!((status, accepted), (202, expected));
    assert_eq!(server.get(&format!("{RUNS}/{run}?session_id=s")).await.0, 200);
    assert_eq!(server.get(&format!("{RUNS}/{run}?session_id=other")).await, (404, detail("Run not found")));
    model.wait_for_requests(1).await;
    until_status(&server, "plain", &run, "RUNNING").await;
    gate.open();
    let done = until_status(&server, "plain", &run, "COMPLETED").await;
    assert_eq!(done["content"], "Half whole.");
    model.assert_clean();
}

#[tokio::test]
async fn a_cancelled_run_keeps_its_text_and_is_left_out_of_the_history() {
    let (server, model, _gate, run, stream) = half_way("false", "plain").await;
    let cancel = format!("{RUNS}/{run}/cancel");
    assert_eq!(server.form(&format!("{cancel}?session_id=other"), &[]).await, (200, json!({})));
    assert_eq!(server.form(&format!("{cancel}?session_id=s"), &[]).await, (200, json!({})));
    let rest = to_end(stream).await;
    let last = rest.last().unwrap();
    assert_eq!((&last["event"], &last["content"]), (&json!("RunCancelled"), &json!("Half an ")));
    let stored = until_status(&server, "plain", &run, "CANCELLED").await;
    assert_eq!(stored["content"], "Half an ");
    assert_eq!(server.form(&cancel, &[]).await, (200, json!({})), "cancelling what is over");
    let next = [("message", "Next"), ("session_id", "s"), ("stream", "false")];
    assert_eq!(server.form(RUNS, &next).await.1["content"], "Next.");
    let asked = model.requests()[1]["messages"].clone();
    let asked: Vec<_> = asked.as_array().unwrap().iter().map(|message| message["content"].clone()).collect();
    assert_eq!(asked[1..], [json!("Next")]);
}

#[tokio::test]
async fn a_run_that_waits_can_be_cancelled_before_it_begins() {
    let (server, model, gate, first, stream) = half_way("true", "plain").await;
    let fields = [("message", "2"), ("session_id", "s"), ("background", "true"), ("stream", "false")];
    let (status, queued) = server.form(RUNS, &fields).await;
    assert_eq!(status, 202);
    let second = queued["run_id"].as_str().unwrap();
    assert_eq!(server.form(&format!("{RUNS}/{second}/cancel"), &[]).await, (200, json!({})));
    until_status(&server, "plain", second, "CANCELLED").await;
    gate.open();
    to_end(stream).await;
    until_status(&server, "plain", &first, "COMPLETED").await;
    assert_eq!(model.requests().len(), 1);
}

#[tokio::test]
async fn a_client_that_leaves_a_plain_stream_ends_its_run() {
    let (server, model, _gate, run, stream) = half_way("false", "plain").await;
    drop(stream);
    model.wait_for_hang_ups(1).await;
    let stored = until_status(&server, "plain", &run, "CANCELLED").await;
    assert_eq!(stored["content"], "Half an ");
}

#[tokio::test]
async fn a_client_that_leaves_does_not_end_a_run_that_goes_on_without_it() {
    for (background, agent) in [("true", "plain"), ("false", "patient")] {
        let (server, _model, gate, run, stream) = half_way(background, agent).await;
        drop(stream);
        gate.open();
        let stored = until_status(&server, agent, &run, "COMPLETED").await;
        assert_eq!(stored["content"], "Half an answer.", "{agent}");
    }
}

/// What a stream of resumption says about itself, without the message for people; names of the rest.
async fn resumed(server: &Server, run: &str, fields: &[(&str, &str)], gate: &Gate) -> (Vec<Value>, Vec<u64>) {
    let response = server.send_form(&format!("{RUNS}/{run}/resume"), fields).await;
    let mut stream = events(response);
    let mut control = Vec::new();
    let mut numbers = Vec::new();
    while let Some(mut event) = stream.next().await {
        if let Some(number) = event["event_index"].as_u64() {
            numbers.push(number);
        } else {
            event.as_object_mut().unwrap().remove("message");
            gate.open();
            control.push(event);
        }
    }
    (control, numbers)
}

#[tokio::test]
async fn a_run_is_taken_up_again_while_it_goes_and_after_it_ended() {
    let (server, _model, gate, run, stream) = half_way("true", "plain").await;
    drop(stream);
    let (control, numbers) = resumed(&server, &run, &[("last_event_index", "1")], &gate).await;
    let count = control[0]["current_event_count"].as_u64().unwrap();
    let catch_up = json!({
        "event": "catch_up", "run_id": run, "status": "running", "missed_events": count - 2,
        "current_event_count": count,
    });
    let subscribed =
        json!({"event": "subscribed", "run_id": run, "status": "running", "current_event_count": count});
    assert_eq!(control, [catch_up, subscribed]);
    let last = *numbers.last().unwrap();
    assert_eq!(numbers, (2..=last).collect::<Vec<_>>());

    let replay = |asked: i64, following: u64| {
        json!({
            "event": "replay", "run_id": run, "status": "COMPLETED", "total_events": following,
            "total_buffered": last + 1, "last_event_index_requested": asked,
        })
    };
    let all = resumed(&server, &run, &[("session_id", "s")], &gate).await;
    assert_eq!(all, (vec![replay(-1, last + 1)], (0..=last).collect()));
    let end = resumed(&server, &run, &[("last_event_index", &(last - 1).to_string())], &gate).await;
    assert_eq!(end, (vec![replay(last as i64 - 1, 1)], vec![last]));
    let none = resumed(&server, &run, &[("last_event_index", "999999")], &gate).await;
    assert_eq!(none, (vec![replay(999_999, 0)], vec![]));
    for bad in ["-2", "x", "1.5", "99999999999999999999"] {
        let (status, body) = server.form(&format!("{RUNS}/{run}/resume"), &[("last_event_index", bad)]).await;
        assert_eq!((status, &body["detail"][0]["loc"]), (422, &json!(["body", "last_event_index"])), "{bad}");
    }
}

#[tokio::test]
async fn another_users_session_is_not_run_in() {
    let (server, _model, gate, run, stream) = half_way("true", "plain").await;
    gate.open();
    to_end(stream).await;
    until_status(&server, "plain", &run, "COMPLETED").await;
    let fields = [("message", "Hi"), ("session_id", "s"), ("user_id", "other"), ("stream", "false")];
    let (status, body) = server.form(RUNS, &fields).await;
    assert_eq!((status, body), (409, detail("session `s` belongs to another user")));
    assert_eq!(server.get("/sessions/s/runs").await.1.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_full_queue_says_when_to_come_again() {
    let (server, _model, _gate, _run, _stream) = half_way("true", "plain").await;
    let fields = [("message", "2"), ("session_id", "s"), ("background", "true"), ("stream", "false")];
    assert_eq!(server.form(RUNS, &fields).await.0, 202);
    let refused = server.send_form(RUNS, &fields).await;
    assert_eq!(refused.headers()["retry-after"], "2");
    assert_eq!(answer(refused).await, (429, detail("too many runs of this session are waiting")));
    let elsewhere = [("message", "2"), ("session_id", "t"), ("stream", "false")];
    assert_eq!(server.form(RUNS, &elsewhere).await.0, 200);
}

#[tokio::test]
async fn an_agent_may_refuse_a_second_message() {
    let (server, _model, _gate, _run, _stream) = half_way("true", "refusing").await;
    let fields = [("message", "2"), ("session_id", "s"), ("stream", "false")];
    let refused = server.send_form("/agents/refusing/runs", &fields).await;
    assert_eq!(refused.headers()["retry-after"], "2");
    assert_eq!(answer(refused).await, (429, detail("a run of this session is going")));
}

#[tokio::test]
async fn of_twenty_messages_at_once_an_agent_that_refuses_a_second_takes_exactly_one() {
    let gate = Gate::closed();
    let model = ModelServer::start([Reply::Gated(words("One "), gate.clone(), words("answer."))]).await;
    let refusing = "---\nmodel: test/model\non_second_message: reject\n---\nYou answer.\n";
    let server = Setup::default().model(&model.url()).agent("refusing", refusing).start().await;
    let fields = [("message", "Go"), ("session_id", "s"), ("background", "true"), ("stream", "false")];
    let starts = (0..20).map(|_| server.form("/agents/refusing/runs", &fields));
    let mut statuses: Vec<u16> =
        futures::future::join_all(starts).await.into_iter().map(|(status, _)| status).collect();
    statuses.sort_unstable();
    gate.open();
    assert_eq!(statuses, [[202].as_slice(), &[429; 19]].concat());
    let (_, runs) = server.get("/sessions/s/runs").await;
    assert_eq!(runs.as_array().unwrap().len(), 1);
}
