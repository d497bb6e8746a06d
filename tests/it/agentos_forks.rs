//! Forks: runs that go on with what was said in another, places to go on from, and sessions made of others.

use serde_json::{Value, json};

use crate::harness::model_server::{Gate, ModelServer, Reply, Request, calls, fails, says, words};
use crate::harness::server::{Server, Setup, answer, events, to_end, until};
use crate::harness::steady::steady;

const RUNS: &str = "/agents/plain/runs";

async fn server(model: &ModelServer) -> Server {
    Setup::default().model(&model.url()).start().await
}

/// A server whose model says these things, one after the other.
async fn talk(replies: impl IntoIterator<Item = Reply>) -> (Server, ModelServer) {
    let model = ModelServer::start(replies).await;
    (server(&model).await, model)
}

async fn ask(server: &Server, message: &str) -> Value {
    let fields = [("message", message), ("session_id", "s"), ("stream", "false")];
    let (status, body) = server.form(RUNS, &fields).await;
    assert_eq!(status, 200, "{body}");
    body
}

fn id(run: &Value) -> &str {
    run["run_id"].as_str().unwrap()
}

async fn goes_on(server: &Server, run: &Value, more: &[(&str, &str)]) -> (u16, Value) {
    let session = run["session_id"].as_str().unwrap();
    let fields = [&[("session_id", session), ("stream", "false")], more].concat();
    server.form(&format!("{RUNS}/{}/continue", id(run)), &fields).await
}

async fn continued(server: &Server, run: &Value, more: &[(&str, &str)]) -> Value {
    let (status, body) = goes_on(server, run, more).await;
    assert_eq!(status, 200, "{body}");
    assert_eq!(body["status"], "COMPLETED", "{body}");
    assert_ne!(body["run_id"], run["run_id"]);
    body
}

/// What the model was shown, without the system message.
fn shown(request: &Value) -> Vec<&str> {
    let messages = request["messages"].as_array().unwrap().iter().filter(|one| one["role"] != "system");
    messages.map(|message| message["content"].as_str().unwrap_or("(calls)")).collect()
}

fn last_shown(model: &ModelServer) -> Vec<String> {
    shown(model.requests().last().unwrap()).into_iter().map(str::to_owned).collect()
}

fn origin(run: &Value) -> (Value, Value, Value) {
    let of = |key: &str| run[key].clone();
    (of("forked_from_run_id"), of("forked_from_message_index"), of("regenerated_from"))
}

async fn statuses(server: &Server, session: &str) -> Vec<Value> {
    let (_, runs) = server.get(&format!("/sessions/{session}/runs")).await;
    runs.as_array().unwrap().iter().map(|run| run["status"].clone()).collect()
}

#[tokio::test]
async fn a_run_that_is_over_goes_on_as_a_run_of_its_own() {
    let (server, model) = talk([says("Paris."), says("Two million.")]).await;
    let first = ask(&server, "The capital?").await;
    let before = server.get(&format!("{RUNS}/{}?session_id=s", id(&first))).await;
    let second = continued(&server, &first, &[("input", "How many live there?")]).await;
    assert_eq!(second["content"], "Two million.");
    assert_eq!(last_shown(&model), ["The capital?", "Paris.", "How many live there?"]);
    assert_eq!(origin(&second), (first["run_id"].clone(), json!(3), Value::Null));
    let after = server.get(&format!("{RUNS}/{}?session_id=s", id(&first))).await;
    assert_eq!(after, before, "the one it comes from stays as it is");
    let history: Vec<_> =
        second["messages"].as_array().unwrap().iter().map(|one| &one["from_history"]).collect();
    assert_eq!(history, [false, true, true, false, false], "what was said before is shown as such");
    model.assert_clean();
}

#[tokio::test]
async fn what_is_told_of_a_fork_is_told_as_events_too_and_in_lists() {
    let (server, model) = talk([says("Paris."), says("Two million.")]).await;
    let first = ask(&server, "The capital?").await;
    let fields = [("session_id", "s"), ("input", "How many?")];
    let path = format!("{RUNS}/{}/continue", id(&first));
    let response = server.send_form(&path, &fields).await;
    let all = to_end(events(response)).await;
    assert_eq!(
        (&all[0]["event"], &all.last().unwrap()["event"]),
        (&json!("RunStarted"), &json!("RunCompleted"))
    );
    let fork = &all[0]["run_id"];
    let (_, listed) = server.get("/sessions/s/runs").await;
    assert_eq!(&listed[1]["run_id"], fork);
    assert_eq!(origin(&listed[1]), (first["run_id"].clone(), json!(3), Value::Null));
    assert_eq!(listed[0].get("forked_from_run_id"), None);
    let (_, one) = server.get(&format!("/sessions/s/runs/{}", fork.as_str().unwrap())).await;
    assert_eq!(
        (&one["forked_from_run_id"], one.get("regenerated_from")),
        (&first["run_id"], Some(&Value::Null))
    );
    model.assert_clean();
}

#[tokio::test]
async fn a_run_goes_on_from_the_last_user_message_or_from_any_message() {
    let (server, model) =
        talk([says("Paris."), says("Lyon."), says("Nice."), says("Oslo."), says("Bern.")]).await;
    let first = ask(&server, "The capital?").await;
    let again = continued(&server, &first, &[("continue_from", "last_user")]).await;
    assert_eq!(last_shown(&model), ["The capital?"], "the same is asked again");
    assert_eq!(again["content"], "Lyon.");
    continued(&server, &first, &[("continue_from", "last_user"), ("input", "In Norway, I mean.")]).await;
    assert_eq!(last_shown(&model), ["The capital?", "In Norway, I mean."]);
    let two = continued(&server, &first, &[("continue_from", "3"), ("input", "And?")]).await;
    assert_eq!(last_shown(&model), ["The capital?", "Paris.", "And?"]);
    assert_eq!(two["forked_from_message_index"], 3);
    continued(&server, &first, &[("continue_from", "1"), ("input", "Hello")]).await;
    assert_eq!(last_shown(&model), ["Hello"], "nothing is left but the instructions");
    model.assert_clean();
}

#[tokio::test]
async fn what_cannot_be_meant_is_refused_in_words() {
    let (server, model) = talk([says("Paris.")]).await;
    let first = ask(&server, "The capital?").await;
    let three_forms = "Invalid continue_from. Use 'end', 'last_user', or a numeric message index.";
    let cases: [(&[(&str, &str)], &str); 7] = [
        (&[("continue_from", "somewhere"), ("input", "x")], three_forms),
        (&[("continue_from", "-1"), ("input", "x")], three_forms),
        (&[("continue_from", "9"), ("input", "x")], "message_index must be between 0 and 3"),
        (&[], "input is required to go on from where the run has its answer"),
        (&[("replace_original", "true")], "replace_original only makes sense with regenerate=true."),
        (
            &[("regenerate", "true"), ("continue_from", "2")],
            "regenerate=true finds by itself where to go on: leave continue_from out.",
        ),
        (
            &[("regenerate", "true"), ("input", "x"), ("additional_instructions", "y")],
            "Provide either additional_instructions or input, not both.",
        ),
    ];
    for (fields, why) in cases {
        assert_eq!(goes_on(&server, &first, fields).await, (400, json!({"detail": why})), "{fields:?}");
    }
    assert_eq!(statuses(&server, "s").await, ["COMPLETED"], "nothing was begun");
    model.assert_clean();
}

#[tokio::test]
async fn a_cancelled_run_is_not_gone_on_from() {
    let gate = Gate::closed();
    let (server, _model) = talk([Reply::Gated(words("Half "), gate.clone(), words("done."))]).await;
    let mut stream = server.stream("plain", &[("message", "Go"), ("session_id", "s")]).await;
    let seen = until(&mut stream, "RunContent").await;
    let run = json!({"run_id": seen[0]["run_id"], "session_id": "s"});
    assert_eq!(server.post(&format!("{RUNS}/{}/cancel", id(&run)), &json!({})).await.0, 200);
    to_end(stream).await;
    let (status, body) = goes_on(&server, &run, &[("input", "More")]).await;
    assert_eq!((status, body), (409, json!({"detail": "run is already cancelled"})));
}

#[tokio::test]
async fn an_answer_is_made_again_and_takes_the_place_of_the_old_one() {
    let (server, model) = talk([says("Paris."), says("Paris!"), says("So?")]).await;
    let first = ask(&server, "The capital?").await;
    let again =
        continued(&server, &first, &[("regenerate", "true"), ("additional_instructions", "Loud.")]).await;
    assert_eq!(last_shown(&model), ["The capital?\n\nLoud."]);
    assert_eq!(origin(&again), (first["run_id"].clone(), json!(2), first["run_id"].clone()));
    assert_eq!(statuses(&server, "s").await, ["REGENERATED", "COMPLETED"]);
    let (_, old) = server.get(&format!("{RUNS}/{}?session_id=s", id(&first))).await;
    assert_eq!((&old["status"], &old["content"]), (&json!("REGENERATED"), &json!("Paris.")));
    let (_, listed) = server.get(&format!("{RUNS}?session_id=s&status=REGENERATED")).await;
    assert_eq!(listed.as_array().unwrap().len(), 1);
    ask(&server, "Next").await;
    assert_eq!(
        last_shown(&model),
        ["The capital?\n\nLoud.", "Paris!", "Next"],
        "the old one is history no more"
    );
    model.assert_clean();
}

#[tokio::test]
async fn the_old_answer_stays_where_the_client_says_so_or_there_is_no_new_one() {
    let model = ModelServer::start([says("Paris."), says("Paris!"), fails(400, "bad", "no")]).await;
    let server = server(&model).await;
    let first = ask(&server, "The capital?").await;
    continued(&server, &first, &[("regenerate", "true"), ("replace_original", "false")]).await;
    assert_eq!(statuses(&server, "s").await, ["COMPLETED", "COMPLETED"]);
    let (_, failed) = goes_on(&server, &first, &[("regenerate", "true")]).await;
    assert_eq!(failed["status"], "ERROR");
    assert_eq!(statuses(&server, "s").await, ["COMPLETED", "COMPLETED", "ERROR"]);
}

fn adder() -> &'static str {
    "---\nmodel: test/model\ntools:\n  - name: add\n    description: Adds.\n    kind: process\n    \
     command: [sh, -c, 'echo called >> ../calls; echo 5']\n    parameters: {type: object, properties: {}}\n---\nAdd.\n"
}

#[tokio::test]
async fn tools_are_not_called_again_for_an_answer_that_is_made_again() {
    let model = ModelServer::start([calls([("add", json!({}))]), says("Five."), says("It is five.")]).await;
    let server = Setup::default().model(&model.url()).agent("adder", adder()).start().await;
    let fields = [("message", "2+3?"), ("session_id", "s"), ("stream", "false")];
    let (_, first) = server.form("/agents/adder/runs", &fields).await;
    let path = format!("/agents/adder/runs/{}/continue", id(&first));
    let fields = [("regenerate", "true"), ("session_id", "s"), ("stream", "false")];
    let (_, again) = server.form(&path, &fields).await;
    assert_eq!(again["content"], "It is five.", "{again}");
    assert_eq!(last_shown(&model), ["2+3?", "(calls)", "5\n"]);
    assert_eq!(std::fs::read_to_string(server.path("calls")).unwrap(), "called\n");
    model.assert_clean();
}

#[tokio::test]
async fn the_places_to_go_on_from_are_listed_and_never_end_in_an_open_call() {
    let model = ModelServer::start([calls([("add", json!({}))]), says("Five.")]).await;
    let server = Setup::default().model(&model.url()).agent("adder", adder()).start().await;
    let fields = [("message", "2+3?"), ("session_id", "s"), ("stream", "false")];
    let (_, run) = server.form("/agents/adder/runs", &fields).await;
    let path = format!("/agents/adder/runs/{}/checkpoints", id(&run));
    let (status, listed) = server.get(&format!("{path}?session_id=s")).await;
    assert_eq!(status, 200);
    let checkpoint = |number: &str, index: usize, reason: &str, role: &str, text: &str| {
        json!({
            "checkpoint_id": number, "run_id": "<uuid>", "session_id": "s", "message_index": index,
            "continue_from": index, "status": "COMPLETED", "reason": reason, "created_at": "<time>",
            "message_id": "<uuid>", "message_role": role, "message_preview": text, "is_latest": reason == "end",
        })
    };
    let expected = [
        checkpoint("1", 2, "checkpoint", "user", "2+3?"),
        checkpoint("2", 4, "checkpoint", "tool", "5"),
        checkpoint("3", 5, "end", "assistant", "Five."),
    ];
    let listed_whole = json!({"run_id": "<uuid>", "session_id": "s", "checkpoints": expected});
    assert_eq!(steady(listed), listed_whole);

    let snapshot = async |index: &str| server.get(&format!("{path}/{index}?session_id=s")).await;
    let (status, at_call) = snapshot("3").await;
    assert_eq!(status, 200);
    let roles: Vec<_> =
        at_call["snapshot"]["messages"].as_array().unwrap().iter().map(|one| &one["role"]).collect();
    assert_eq!(roles, ["system", "user"], "the call has no result there");
    assert_eq!(at_call["checkpoint"]["message_index"], 3);
    let (_, at_result) = snapshot("4").await;
    assert_eq!(at_result["snapshot"]["messages"].as_array().unwrap().len(), 4);
    assert_eq!(at_result["checkpoint"]["checkpoint_id"], "2");
    let (_, at_end) = snapshot("5").await;
    let (_, stored) = server.get(&format!("/agents/adder/runs/{}?session_id=s", id(&run))).await;
    assert_eq!(at_end["snapshot"]["messages"], stored["messages"]);
    for index in ["6", "-1", "x"] {
        assert_eq!(snapshot(index).await.0, 400, "{index}");
    }
    let unknown = format!("{RUNS}/{}/checkpoints?session_id=s", id(&run));
    assert_eq!(server.get(&unknown).await, (404, json!({"detail": "Run not found"})));
}

#[tokio::test]
async fn forks_of_forks_know_all_that_was_said_after_a_restart_too() {
    let (mut server, model) =
        talk([says("One."), says("Two."), says("Three."), says("Other."), says("Last.")]).await;
    let first = ask(&server, "1?").await;
    let second = continued(&server, &first, &[("input", "2?")]).await;
    let third = continued(&server, &second, &[("input", "3?")]).await;
    assert_eq!(last_shown(&model), ["1?", "One.", "2?", "Two.", "3?"]);
    server.kill();
    server.restart().await;
    let other = continued(&server, &third, &[("continue_from", "last_user"), ("input", "Or?")]).await;
    assert_eq!(last_shown(&model), ["1?", "One.", "2?", "Two.", "3?", "Or?"]);
    assert_eq!(origin(&other), (third["run_id"].clone(), json!(2), Value::Null));
    ask(&server, "Plain").await;
    assert_eq!(last_shown(&model).last().unwrap(), "Plain");
    model.assert_clean();
}

#[tokio::test]
async fn a_fork_is_made_once_under_one_key() {
    let (server, model) = talk([says("One."), says("Two.")]).await;
    let first = ask(&server, "1?").await;
    let path = format!("{RUNS}/{}/continue", id(&first));
    let mut answers = Vec::new();
    for _ in 0..2 {
        let request = server.request(reqwest::Method::POST, &path).header("idempotency-key", "k");
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let request = request.body("session_id=s&stream=false&input=2");
        answers.push(answer(request.send().await.unwrap()).await);
    }
    assert_eq!(answers[0], answers[1]);
    assert_eq!(statuses(&server, "s").await.len(), 2);
    model.assert_clean();
}

const ASKER: &str = "---
model: test/m
tools:
  - name: launch
    description: Launches.
    kind: external
    parameters: {type: object, properties: {}}
---
You launch.
";

#[tokio::test]
async fn a_fork_of_a_run_that_waits_is_made_once_under_one_key_though_that_went_on_meanwhile() {
    let launch = || calls([("launch", json!({}))]);
    let model = ModelServer::start([launch(), says("Not now."), says("Launched.")]).await;
    let server = Setup::default().model(&model.url()).agent("plain", ASKER).start().await;
    let paused = ask(&server, "Launch").await;
    assert_eq!(paused["status"], "PAUSED", "{paused}");
    let path = format!("{RUNS}/{}/continue", id(&paused));
    let fork = async || {
        let request = server.request(reqwest::Method::POST, &path).header("idempotency-key", "k");
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        answer(request.body("session_id=s&stream=false&fork=true").send().await.unwrap()).await
    };
    let first = fork().await;
    assert_eq!((first.0, &first.1["content"]), (200, &json!("Not now.")), "{first:?}");
    assert_eq!(first.1["forked_from_run_id"], paused["run_id"]);
    let mut tools = paused["tools"].clone();
    tools[0]["result"] = json!("gone");
    let (_, done) = goes_on(&server, &paused, &[("tools", &tools.to_string())]).await;
    assert_eq!((&done["status"], &done["run_id"]), (&json!("COMPLETED"), &paused["run_id"]), "{done}");
    assert_eq!(fork().await, first);
    model.assert_clean();
}

#[tokio::test]
async fn a_run_that_failed_is_gone_on_from_where_it_failed() {
    let (server, model) = talk([fails(400, "bad_request", "no"), says("Better.")]).await;
    let failed = ask(&server, "Try").await;
    assert_eq!(failed["status"], "ERROR");
    let done = continued(&server, &failed, &[]).await;
    assert_eq!(done["content"], "Better.");
    assert_eq!(last_shown(&model), ["Try"]);
    assert_eq!(statuses(&server, "s").await, ["ERROR", "COMPLETED"]);
}

async fn forked(server: &Server) -> String {
    let (status, body) = server.post("/agents/plain/sessions/s/fork", &json!({})).await;
    assert_eq!((status, &body["forked_from_session_id"]), (200, &json!("s")), "{body}");
    body["session_id"].as_str().unwrap().to_owned()
}

async fn ask_in(server: &Server, session: &str, message: &str) -> Value {
    let fields = [("message", message), ("session_id", session), ("stream", "false")];
    server.form(RUNS, &fields).await.1
}

#[tokio::test]
async fn a_forked_session_and_its_source_go_on_independently() {
    let (mut server, model) = talk([says("One."), says("Two."), says("Here."), says("There.")]).await;
    let first = ask(&server, "1?").await;
    let second = continued(&server, &first, &[("input", "2?")]).await;
    let patch = json!({"session_name": "N", "session_state": {"k": 1}});
    let request = server.request(reqwest::Method::PATCH, "/sessions/s").json(&patch);
    assert_eq!(request.send().await.unwrap().status(), 200);
    let copy = forked(&server).await;
    let (_, source) = server.get("/sessions/s").await;
    let (_, made) = server.get(&format!("/sessions/{copy}")).await;
    for same in ["session_name", "session_state", "agent_id", "metrics"] {
        assert_eq!(made[same], source[same], "{same}");
    }
    let contents = |session: &Value| {
        let said = session["chat_history"].as_array().unwrap().iter();
        said.map(|one| one["content"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(contents(&made), contents(&source));
    let (_, copies) = server.get(&format!("/sessions/{copy}/runs")).await;
    for (copied, run) in copies.as_array().unwrap().iter().zip([&first, &second]) {
        assert_ne!(copied["run_id"], run["run_id"]);
        assert_eq!(copied["forked_from_run_id"], run["run_id"]);
        assert_eq!(
            (&copied["forked_from_session_id"], &copied["status"]),
            (&json!("s"), &json!("COMPLETED"))
        );
    }
    ask_in(&server, "s", "Here?").await;
    assert_eq!(last_shown(&model), ["1?", "One.", "2?", "Two.", "Here?"]);
    server.kill();
    server.restart().await;
    let last = json!({"run_id": copies[1]["run_id"], "session_id": copy});
    continued(&server, &last, &[("input", "There?")]).await;
    assert_eq!(last_shown(&model), ["1?", "One.", "2?", "Two.", "There?"], "through the copies of both");
    assert_eq!(statuses(&server, "s").await.len(), 3);
    assert_eq!(statuses(&server, &copy).await.len(), 3);
    model.assert_clean();
}

#[tokio::test]
async fn neither_session_is_harmed_when_the_other_is_deleted() {
    let (server, model) = talk([says("One."), says("Two."), says("Three.")]).await;
    ask(&server, "1?").await;
    let (one, two) = (forked(&server).await, forked(&server).await);
    let delete = async |session: &str| {
        let request = server.request(reqwest::Method::DELETE, &format!("/sessions/{session}"));
        assert_eq!(request.send().await.unwrap().status(), 204);
    };
    delete(&one).await;
    ask(&server, "2?").await;
    assert_eq!(last_shown(&model), ["1?", "One.", "2?"]);
    delete("s").await;
    ask_in(&server, &two, "3?").await;
    assert_eq!(last_shown(&model), ["1?", "One.", "3?"]);
    model.assert_clean();
}

#[tokio::test]
async fn a_session_that_is_not_there_or_not_the_agents_is_not_forked() {
    let (server, _model) = talk([]).await;
    assert_eq!(
        server.post("/sessions", &json!({"session_id": "u", "user_id": "ann", "agent_id": "plain"})).await.0,
        201
    );
    assert_eq!(server.post("/sessions?type=team", &json!({"session_id": "t"})).await.0, 201);
    for path in ["x/fork", "t/fork", "u/fork?user_id=bob"] {
        let (status, body) = server.post(&format!("/agents/plain/sessions/{path}"), &json!({})).await;
        assert_eq!(status, 400, "{path}: {body}");
    }
    assert_eq!(server.post("/agents/plain/sessions/u/fork?user_id=ann", &json!({})).await.0, 200);
}

#[tokio::test]
async fn a_team_goes_on_and_is_copied_with_its_members() {
    let by_name = |request: &Request| match request.body["model"].as_str().unwrap() {
        "ann" => says("Sunny."),
        _ if request.body["messages"].as_array().unwrap().iter().any(|one| one["role"] == "tool") => {
            says("It is sunny.")
        }
        _ => calls([("delegate_task_to_member", json!({"member_id": "ann", "task": "Weather?"}))]),
    };
    let model = ModelServer::answering(by_name).await;
    let server = Setup::default()
        .model(&model.url())
        .agent("ann", "---\nmodel: test/ann\n---\nYou are ann.\n")
        .agent("news", "---\nkind: team\nmodel: test/leader\nmembers: [ann]\n---\nYou lead.\n")
        .start()
        .await;
    let fields = [("message", "Weather?"), ("session_id", "s"), ("stream", "false")];
    let (_, first) = server.form("/teams/news/runs", &fields).await;
    assert_eq!(first["content"], "It is sunny.", "{first}");
    let path = format!("/teams/news/runs/{}/continue", id(&first));
    let (_, second) =
        server.form(&path, &[("session_id", "s"), ("stream", "false"), ("input", "Sure?")]).await;
    assert_eq!(
        (&second["content"], &second["forked_from_run_id"]),
        (&json!("It is sunny."), &first["run_id"])
    );
    let (status, made) = server.post("/teams/news/sessions/s/fork", &json!({})).await;
    assert_eq!(status, 200, "{made}");
    let copy = made["session_id"].as_str().unwrap();
    let (_, runs) = server.get(&format!("/sessions/{copy}/runs")).await;
    let runs = runs.as_array().unwrap();
    let (leader, member) = runs[..2].split_at(1);
    assert_eq!((leader[0]["run_id"].as_str(), runs.len()), (member[0]["parent_run_id"].as_str(), 3));
    let whole = server.get(&format!("/teams/news/runs/{}?session_id={copy}", id(&leader[0]))).await.1;
    assert_eq!(whole["member_responses"][0]["content"], "Sunny.", "{whole}");
}
