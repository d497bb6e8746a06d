//! `Idempotency-Key` on the real program: the same request again has the first one's answer, and no other effect.

use futures::StreamExt;
use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::multipart::{Form, Part};
use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};

use crate::harness::model_server::{Gate, ModelServer, Reply, calls, says, words};
use crate::harness::server::{Server, Setup, answer, events, to_end, until};

const RUNS: &str = "/agents/plain/runs";

/// A form under a key.
fn keyed(server: &Server, key: &str, path: &str, fields: &[(&str, &str)]) -> RequestBuilder {
    let body = serde_urlencoded::to_string(fields).unwrap();
    let request = server.request(Method::POST, path).header("idempotency-key", key);
    request.header("content-type", "application/x-www-form-urlencoded").body(body)
}

/// Whether an answer says that it was given before, its status, and its body.
async fn told(request: RequestBuilder) -> (bool, u16, Value) {
    let response = request.send().await.unwrap();
    let again = is_replayed(&response);
    let (status, body) = answer(response).await;
    (again, status, body)
}

fn is_replayed(response: &Response) -> bool {
    response.headers().get("idempotency-replayed").is_some_and(|value| value == "true")
}

async fn runs_of(server: &Server, session: &str) -> usize {
    let (status, runs) = server.get(&format!("/sessions/{session}/runs")).await;
    assert_eq!(status, 200, "{runs}");
    runs.as_array().unwrap().len()
}

fn reused() -> Value {
    json!({"detail": "the Idempotency-Key was used for another request"})
}

/// A form that is answered with one object.
const WHOLE: [(&str, &str); 3] = [("message", "Hello"), ("session_id", "s1"), ("stream", "false")];

#[tokio::test]
async fn a_run_asked_for_twice_is_answered_twice_and_driven_once() {
    let model = ModelServer::start([says("Only once.")]).await;
    let mut server = Setup::default().model(&model.url()).start().await;
    let (again, status, first) = told(keyed(&server, "k1", RUNS, &WHOLE)).await;
    assert_eq!((again, status, &first["content"]), (false, 200, &json!("Only once.")));
    assert_eq!(told(keyed(&server, "k1", RUNS, &WHOLE)).await, (true, 200, first.clone()));

    server.kill();
    server.restart().await;

    assert_eq!(told(keyed(&server, "k1", RUNS, &WHOLE)).await, (true, 200, first));
    assert_eq!(runs_of(&server, "s1").await, 1);
    model.assert_clean();
}

#[tokio::test]
async fn a_stream_killed_in_the_middle_is_asked_for_again_and_is_the_same_run_from_its_first_event() {
    let model = ModelServer::start([
        Reply::Gated(words("Half an "), Gate::closed(), words("answer.")),
        says("A whole answer."),
    ])
    .await;
    let mut server = Setup::default().model(&model.url()).start().await;
    let fields = [("message", "Tell me")];
    let mut stream = events(keyed(&server, "k1", RUNS, &fields).send().await.unwrap());
    let mut seen = until(&mut stream, "RunContent").await;

    server.kill();
    server.restart().await;
    seen.extend(stream.collect::<Vec<_>>().await);

    let response = keyed(&server, "k1", RUNS, &fields).send().await.unwrap();
    assert!(is_replayed(&response));
    let again = to_end(events(response)).await;
    assert_eq!(again[..seen.len()], seen);
    let last = again.last().unwrap();
    assert_eq!((&last["event"], &last["content"]), (&json!("RunCompleted"), &json!("A whole answer.")));
    let response = keyed(&server, "k1", RUNS, &fields).send().await.unwrap();
    assert_eq!(to_end(events(response)).await, again);
    assert_eq!(runs_of(&server, last["session_id"].as_str().unwrap()).await, 1);
    model.assert_clean();
}

#[tokio::test]
async fn two_at_the_same_moment_have_one_effect_and_the_same_answer() {
    let model = ModelServer::start([says("Only once.")]).await;
    let server = Setup::default().model(&model.url()).start().await;
    let one = || told(keyed(&server, "k1", RUNS, &WHOLE));
    let mut told = futures::future::join_all((0..8).map(|_| one())).await;
    told.sort_by_key(|(again, ..)| *again);
    let again: Vec<bool> = told.iter().map(|(again, ..)| *again).collect();
    assert_eq!(again, [false, true, true, true, true, true, true, true]);
    assert!(told.iter().all(|(_, status, body)| (*status, body) == (200, &told[0].2)), "{told:#?}");
    assert_eq!(runs_of(&server, "s1").await, 1);
    model.assert_clean();
}

#[tokio::test]
async fn a_key_that_was_used_for_another_request_is_refused() {
    let model = ModelServer::start([says("Only once.")]).await;
    let agent = "---\nmodel: test/model\n---\nYou answer.\n";
    let server = Setup::default().model(&model.url()).agent("other", agent).start().await;
    told(keyed(&server, "k1", RUNS, &WHOLE)).await;
    let other = [("message", "Another"), ("session_id", "s1"), ("stream", "false")];
    for request in [
        keyed(&server, "k1", RUNS, &other),
        keyed(&server, "k1", "/agents/other/runs", &WHOLE),
        keyed(&server, "k1", &format!("{RUNS}?x=1"), &WHOLE),
        server.request(Method::POST, "/sessions").header("idempotency-key", "k1").json(&json!({})),
    ] {
        assert_eq!(told(request).await, (false, 409, reused()));
    }
    assert_eq!(runs_of(&server, "s1").await, 1);
    model.assert_clean();
}

#[tokio::test]
async fn the_same_form_with_another_boundary_is_the_same_request() {
    let model = ModelServer::start([says("I read it.")]).await;
    let server = Setup::default().model(&model.url()).start().await;
    let request = |text: &'static str, name: &'static str| {
        let file = Part::bytes(text.as_bytes()).file_name(name).mime_str("text/plain").unwrap();
        let form = Form::new().text("message", "Read").text("stream", "false").part("files", file);
        server.request(Method::POST, RUNS).header("idempotency-key", "k1").multipart(form)
    };
    let (again, status, first) = told(request("a text", "a.txt")).await;
    assert_eq!((again, status), (false, 200), "{first}");
    assert_eq!(told(request("a text", "a.txt")).await, (true, 200, first));
    assert_eq!(told(request("another", "a.txt")).await, (false, 409, reused()));
    assert_eq!(told(request("a text", "b.txt")).await, (false, 409, reused()));
    model.assert_clean();
}

#[tokio::test]
async fn a_background_run_asked_for_twice_is_one_run() {
    let gate = Gate::closed();
    let model = ModelServer::start([Reply::Gated(words("Now "), gate.clone(), words("done."))]).await;
    let server = Setup::default().model(&model.url()).start().await;
    let fields = [("message", "Go"), ("session_id", "s1"), ("stream", "false"), ("background", "true")];
    let (_, status, first) = told(keyed(&server, "k1", RUNS, &fields)).await;
    assert_eq!(status, 202);
    assert_eq!(told(keyed(&server, "k1", RUNS, &fields)).await, (true, 202, first));
    gate.open();
    assert_eq!(runs_of(&server, "s1").await, 1);
}

#[tokio::test]
async fn a_run_under_a_key_goes_on_without_its_client() {
    let gate = Gate::closed();
    let model = ModelServer::start([Reply::Gated(words("It "), gate.clone(), words("went on."))]).await;
    let server = Setup::default().model(&model.url()).start().await;
    let fields = [("message", "Go"), ("session_id", "s1")];
    let mut stream = events(keyed(&server, "k1", RUNS, &fields).send().await.unwrap());
    until(&mut stream, "RunContent").await;
    drop(stream);
    gate.open();
    let again = to_end(events(keyed(&server, "k1", RUNS, &fields).send().await.unwrap())).await;
    let last = again.last().unwrap();
    assert_eq!((&last["event"], &last["content"]), (&json!("RunCompleted"), &json!("It went on.")));
    model.assert_clean();
}

#[tokio::test]
async fn a_session_created_twice_is_one_session_and_shown_as_it_was_made() {
    let mut server = Setup::default().model("http://127.0.0.1:1/v1").start().await;
    let body = json!({"session_name": "Mine", "agent_id": "plain", "session_state": {"a": 1}});
    let request = |server: &Server, body: &Value| {
        let request = server.request(Method::POST, "/sessions?type=agent");
        request.header("idempotency-key", "k1").json(body)
    };
    let (again, status, first) = told(request(&server, &body)).await;
    assert_eq!((again, status), (false, 201), "{first}");
    let id = first["session_id"].as_str().unwrap().to_owned();
    let (status, _) = server.post(&format!("/sessions/{id}/rename"), &json!({"session_name": "Yours"})).await;
    assert_eq!(status, 200);

    server.kill();
    server.restart().await;

    assert_eq!(told(request(&server, &body)).await, (true, 201, first));
    let (_, now) = server.get(&format!("/sessions/{id}")).await;
    assert_eq!(now["session_name"], "Yours");
    let (_, list) = server.get("/sessions").await;
    assert_eq!(list["meta"]["total_count"], 1);
    assert_eq!(told(request(&server, &json!({"session_name": "Other"}))).await, (false, 409, reused()));
}

/// An agent with a tool that waits for a person, and then writes a line into a file.
const CAREFUL: &str = "---\nmodel: test/model\ntools:\n  - name: write_line\n    description: Writes a line.\n    \
     kind: process\n    command: [sh, -c, 'echo ran >> ../written; echo done']\n    \
     parameters: {type: object, properties: {}}\n    requires_confirmation: true\n---\nYou write.\n";

/// A run that waits, and what to answer it with.
async fn waiting(server: &Server) -> (Value, String, String) {
    let fields = [("message", "Write"), ("session_id", "s1"), ("stream", "false")];
    let (_, status, paused) = told(keyed(server, "start", "/agents/careful/runs", &fields)).await;
    assert_eq!((status, &paused["status"]), (200, &json!("PAUSED")));
    let mut tools = paused["tools"].clone();
    tools[0]["confirmed"] = json!(true);
    let path = format!("/agents/careful/runs/{}/continue", paused["run_id"].as_str().unwrap());
    (paused, path, tools.to_string())
}

#[tokio::test]
async fn an_answer_given_twice_at_once_and_again_after_a_kill_is_heard_once() {
    let model = ModelServer::start([calls([("write_line", json!({}))]), says("Written.")]).await;
    let mut server = Setup::default().model(&model.url()).agent("careful", CAREFUL).start().await;
    let (paused, path, tools) = waiting(&server).await;
    let fields = [("session_id", "s1"), ("stream", "false"), ("tools", &tools)];
    let (one, other) =
        tokio::join!(told(keyed(&server, "k1", &path, &fields)), told(keyed(&server, "k1", &path, &fields)));
    let (first, second) = if one.0 { (other, one) } else { (one, other) };
    assert_eq!((first.0, first.1, &first.2["content"]), (false, 200, &json!("Written.")));
    assert_eq!(second, (true, 200, first.2.clone()));

    server.kill();
    server.restart().await;

    assert_eq!(told(keyed(&server, "k1", &path, &fields)).await, second);
    let other = told(keyed(&server, "k2", &path, &fields)).await;
    assert_eq!((other.1, &other.2), (409, &json!({"detail": "run is already completed"})));
    assert_eq!(std::fs::read_to_string(server.path("written")).unwrap(), "ran\n");
    let start = [("message", "Write"), ("session_id", "s1"), ("stream", "false")];
    let started = told(keyed(&server, "start", "/agents/careful/runs", &start)).await;
    assert_eq!(started, (true, 200, paused), "the start is answered as it was: with the pause");
    model.assert_clean();
}

#[tokio::test]
async fn the_events_that_follow_an_answer_are_shown_alike_when_it_is_given_again() {
    let model = ModelServer::start([calls([("write_line", json!({}))]), says("Written.")]).await;
    let server = Setup::default().model(&model.url()).agent("careful", CAREFUL).start().await;
    let (_, path, tools) = waiting(&server).await;
    let fields = [("session_id", "s1"), ("tools", tools.as_str())];
    let first = to_end(events(keyed(&server, "k1", &path, &fields).send().await.unwrap())).await;
    assert_eq!(first.last().unwrap()["event"], "RunCompleted");
    let response = keyed(&server, "k1", &path, &fields).send().await.unwrap();
    assert!(is_replayed(&response));
    assert_eq!(to_end(events(response)).await, first);
    model.assert_clean();
}

#[tokio::test]
async fn a_request_that_was_refused_leaves_its_key_free() {
    let model = ModelServer::start([says("At last.")]).await;
    let server = Setup::default().model(&model.url()).start().await;
    let refused = [
        (404, keyed(&server, "k1", "/agents/nobody/runs", &WHOLE)),
        (422, keyed(&server, "k1", RUNS, &[("stream", "false")])),
        (404, keyed(&server, "k1", "/sessions?db_id=nowhere", &[])),
    ];
    for (expected, request) in refused {
        let (_, status, body) = told(request).await;
        assert_eq!(status, expected, "{body}");
    }
    let (again, status, body) = told(keyed(&server, "k1", RUNS, &WHOLE)).await;
    assert_eq!((again, status, &body["content"]), (false, 200, &json!("At last.")));
    model.assert_clean();
}

#[tokio::test]
async fn a_key_that_is_none_is_refused_by_name() {
    let server = Setup::default().model("http://127.0.0.1:1/v1").start().await;
    let long = "k".repeat(256);
    let malformed = "Idempotency-Key must be 1 to 255 visible ASCII characters";
    let bad: [(&[&[u8]], &str); 5] = [
        (&[b""], malformed),
        (&[b"two words"], malformed),
        (&["schlüssel".as_bytes()], malformed),
        (&[long.as_bytes()], malformed),
        (&[b"k1", b"k1"], "Idempotency-Key must be sent once"),
    ];
    for (keys, message) in bad {
        let mut headers = HeaderMap::new();
        for key in keys {
            headers.append("idempotency-key", HeaderValue::from_bytes(key).unwrap());
        }
        let request = server.request(Method::POST, "/sessions").headers(headers.clone()).json(&json!({}));
        let expected = json!({"detail": [{
            "type": "value_error", "loc": ["header", "Idempotency-Key"], "msg": message, "input": null,
        }]});
        assert_eq!(told(request).await, (false, 422, expected));
        // Where nothing is made the header says nothing.
        let (_, status, _) = told(server.request(Method::GET, "/sessions").headers(headers.clone())).await;
        assert_eq!(status, 200);
        let path = format!("{RUNS}/00000000-0000-7000-8000-000000000001/cancel");
        let (_, status, _) = told(server.request(Method::POST, &path).headers(headers)).await;
        assert_eq!(status, 200);
    }
    let (_, list) = server.get("/sessions").await;
    assert_eq!(list["meta"]["total_count"], 0);
}

#[tokio::test]
async fn a_browser_may_send_a_key_and_read_whether_the_answer_was_given_before() {
    let server = Setup::default().model("http://127.0.0.1:1/v1").start().await;
    let origin = "https://os.agno.com";
    let preflight = server
        .request(Method::OPTIONS, "/sessions")
        .header("origin", origin)
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "authorization,content-type,idempotency-key");
    let preflight = preflight.send().await.unwrap();
    let allowed = preflight.headers()["access-control-allow-headers"].to_str().unwrap().to_lowercase();
    assert!(allowed.contains("idempotency-key"), "{allowed}");
    for replayed in [false, true] {
        let request = server.request(Method::POST, "/sessions").header("origin", origin);
        let response = request.header("idempotency-key", "k1").json(&json!({})).send().await.unwrap();
        assert_eq!(is_replayed(&response), replayed);
        let exposed = response.headers()["access-control-expose-headers"].to_str().unwrap().to_lowercase();
        assert_eq!(exposed.contains("idempotency-replayed"), replayed, "{exposed}");
    }
}

#[tokio::test]
async fn the_interfaces_description_names_the_header_where_something_is_made() {
    let server = Setup::default().model("http://127.0.0.1:1/v1").start().await;
    let (_, document) = server.get("/openapi.json").await;
    let mut once: Vec<String> = Vec::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            if parameters.clone().any(|it| it["in"] == "header" && it["name"] == "Idempotency-Key") {
                assert!(operation["responses"]["409"].is_object(), "{path}");
                once.push(format!("{method} {path}"));
            }
        }
    }
    once.sort();
    assert_eq!(
        once,
        [
            "post /agents/{agent_id}/runs",
            "post /agents/{agent_id}/runs/{run_id}/continue",
            "post /agents/{agent_id}/sessions/{session_id}/fork",
            "post /sessions",
            "post /teams/{team_id}/runs",
            "post /teams/{team_id}/runs/{run_id}/continue",
            "post /teams/{team_id}/sessions/{session_id}/fork",
            "post /workflows/{workflow_id}/runs",
            "post /workflows/{workflow_id}/runs/{run_id}/continue",
        ]
    );
}

/// An agent with a tool that writes down the key of its call, and then waits to be let go.
const NOTING: &str = "---\nmodel: test/model\ntools:\n  - name: note\n    description: Notes its key.\n    \
     kind: process\n    effect: idempotent\n    \
     command: [sh, -c, 'echo $RUNHOLD_IDEMPOTENCY_KEY >> ../keys; while [ ! -e ../go ]; do sleep 0.02; done']\n    \
     parameters: {type: object, properties: {}}\n---\nYou note.\n";

#[tokio::test]
async fn a_tool_that_is_called_again_after_a_kill_is_given_the_same_key_and_each_call_another() {
    let two = calls([("note", json!({})), ("note", json!({}))]);
    let model = ModelServer::start([two, says("Noted.")]).await;
    let mut server = Setup::default().model(&model.url()).agent("noting", NOTING).start().await;
    let fields = [("message", "Note"), ("session_id", "s1"), ("stream", "false"), ("background", "true")];
    let (_, status, _) = told(keyed(&server, "k1", "/agents/noting/runs", &fields)).await;
    assert_eq!(status, 202);
    let keys = |server: &Server| {
        let text = std::fs::read_to_string(server.path("keys")).unwrap_or_default();
        let mut keys: Vec<String> = text.lines().map(Into::into).collect();
        keys.sort();
        keys
    };
    while keys(&server).len() < 2 {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let before = keys(&server);
    server.kill();
    std::fs::write(server.path("go"), "").unwrap();
    server.restart().await;
    model.wait_for_requests(2).await;
    assert_ne!(before[0], before[1]);
    let twice: Vec<String> = before.iter().flat_map(|key| [key.clone(), key.clone()]).collect();
    assert_eq!(keys(&server), twice);
    model.assert_clean();
}

#[tokio::test]
async fn a_message_that_joined_a_run_joins_it_once_also_after_a_kill() {
    let model = ModelServer::start([
        Reply::Gated(words("Half an "), Gate::closed(), words("answer.")),
        says("A whole answer."),
        says("And in French."),
    ])
    .await;
    let mut server = Setup::default().model(&model.url()).start().await;
    let mut stream = events(server.send_form(RUNS, &[("message", "Go"), ("session_id", "s1")]).await);
    until(&mut stream, "RunContent").await;
    let fields = [("message", "In French"), ("session_id", "s1"), ("on_second_message", "steer")];
    let mut joined = events(keyed(&server, "k1", RUNS, &fields).send().await.unwrap());
    let first = joined.next().await.unwrap();
    assert_eq!(first["kind"], "message_joined");

    server.kill();
    server.restart().await;

    let response = keyed(&server, "k1", RUNS, &fields).send().await.unwrap();
    assert!(is_replayed(&response));
    let again = to_end(events(response)).await;
    assert_eq!(again[0], first);
    assert_eq!(again.last().unwrap()["content"], "A whole answer.And in French.");
    assert_eq!(again.iter().filter(|event| event["kind"] == "message_joined").count(), 1);
    assert_eq!(runs_of(&server, "s1").await, 1);
    model.assert_clean();
}
