//! The runs of the triage agent: in which order, how many at once, how they end, and what goes with them.

use serde_json::{Value, json};

use crate::harness::board::{Member, at, failure, member};
use crate::harness::model_server::{Gate, ModelServer, Reply, calls, fails, says, words};
use crate::harness::norm::{asked, entries, prompted, quiet, served, session, setup, text, types};
use crate::harness::server::{PATIENCE, Server, Setup};

/// A run of a session, as it stands.
async fn run(member: &Member, issue: &Value, session: &str, number: usize) -> Value {
    member.data(&format!("{}/agent-sessions/{session}", at(issue))).await["runs"][number].clone()
}

/// Waits until something is so.
async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !is_so().await {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("{what}"));
}

#[tokio::test]
async fn a_question_ends_the_run_at_once_and_the_next_prompt_is_its_answer() {
    let model = ModelServer::answering(|request| match asked(request).user.as_str() {
        "mend it" => calls([
            ("get_issue", json!({})),
            ("ask_user", json!({ "question": "Which one?" })),
            ("update_issue", json!({ "status": "in_review" })),
        ]),
        _ => says("The second it is."),
    })
    .await;
    let (_server, member) = served(&model).await;
    let issue = member.open(json!({})).await;
    let id = session(&member, &issue).await;
    prompted(&member, &issue, &id, "mend it").await;
    let shown = quiet(&member, &issue).await;
    assert_eq!(
        (&shown["latest_agent_session"]["status"], &shown["status"]),
        (&json!("awaiting_input"), &json!("todo"))
    );
    assert_eq!(model.requests().len(), 1, "the model is not asked again");
    let seen = entries(&member, &issue).await;
    let states = |seen: &[Value]| -> Vec<(String, String)> {
        let actions = seen.iter().filter(|entry| entry["type"] == "action");
        let shown = |entry: &Value, name: &str| text(&entry["metadata"], name).to_owned();
        let mut states: Vec<_> = actions.map(|entry| (shown(entry, "tool"), shown(entry, "state"))).collect();
        states.sort();
        states
    };
    let state = |tool: &str, state: &str| (tool.to_owned(), state.to_owned());
    let expected =
        [state("ask_user", "succeeded"), state("get_issue", "succeeded"), state("update_issue", "failed")];
    assert_eq!(states(&seen), expected);
    assert_eq!(seen.last().unwrap()["detail"], "Which one?");

    prompted(&member, &issue, &id, "the second").await;
    quiet(&member, &issue).await;
    let request = model.requests()[1].clone();
    let messages = request["messages"].as_array().unwrap();
    let answered = messages.iter().find(|message| {
        message["role"] == "tool" && message["content"].as_str().is_some_and(|text| text == "the second")
    });
    assert!(answered.is_some(), "the open call is answered: {request}");
    assert_eq!(messages.last().unwrap()["content"], "the second");
}

#[tokio::test]
async fn a_prompt_that_waits_behind_a_question_is_its_answer_and_for_what_that_was_for() {
    let gate = Gate::closed();
    let held = gate.clone();
    let model = ModelServer::answering(move |request| match asked(request).user.as_str() {
        "first" => Reply::Gated(words("Half"), held.clone(), words("whole.")),
        "the greeting" => calls([("ask_user", json!({ "question": "Which one?" }))]),
        _ => says("Good."),
    })
    .await;
    let (_server, member) = served(&model).await;
    let issue = member.open(json!({})).await;
    let id = session(&member, &issue).await;
    prompted(&member, &issue, &id, "first").await;
    model.wait_for_requests(1).await;
    prompted(&member, &issue, &id, "/verify the greeting").await;
    let answer = prompted(&member, &issue, &id, "the second").await;
    prompted(&member, &issue, &id, "and then mend it").await;
    gate.open();
    quiet(&member, &issue).await;
    let runs = member.data(&format!("{}/agent-sessions/{id}", at(&issue))).await["runs"].clone();
    let of =
        |name: &str| -> Vec<&str> { runs.as_array().unwrap().iter().map(|run| text(run, name)).collect() };
    assert_eq!(of("intent"), ["fix", "verify", "verify", "fix"]);
    assert_eq!(of("state"), ["completed", "awaiting_input", "completed", "completed"]);
    let seen = entries(&member, &issue).await;
    let of_answer: Vec<&Value> =
        seen.iter().filter(|entry| entry["metadata"]["run_id"] == answer["run_id"]).collect();
    assert!(of_answer.iter().all(|entry| entry["metadata"]["intent"] == "verify"), "{of_answer:?}");
    let offered = model.requests()[2]["tools"].to_string();
    assert!(!offered.contains("edit_draft") && offered.contains("replay_turn"), "{offered}");
}

#[tokio::test]
async fn runs_that_mend_an_issue_go_one_after_the_other_and_others_beside_them() {
    let gate = Gate::closed();
    let held = gate.clone();
    let model = ModelServer::answering(move |request| match asked(request).user.as_str() {
        "look" => says("It stands."),
        _ => Reply::Gated(words("Half"), held.clone(), words("whole.")),
    })
    .await;
    let (_server, member) = served(&model).await;
    let issue = member.open(json!({})).await;
    let (one, two, three) =
        (session(&member, &issue).await, session(&member, &issue).await, session(&member, &issue).await);
    prompted(&member, &issue, &one, "mend one").await;
    model.wait_for_requests(1).await;
    prompted(&member, &issue, &two, "mend two").await;
    prompted(&member, &issue, &three, "/status look").await;
    until("the run that only reads to be over", async || {
        run(&member, &issue, &three, 0).await["state"] == "completed"
    })
    .await;
    let states = (run(&member, &issue, &one, 0).await, run(&member, &issue, &two, 0).await);
    assert_eq!((text(&states.0, "state"), text(&states.1, "state")), ("running", "queued"));
    assert_eq!(states.1["started_at"], Value::Null);
    let shown = member.data(&format!("{}/agent-sessions/{two}", at(&issue))).await;
    assert_eq!(shown["status"], "pending");
    assert_eq!(model.requests().len(), 2);
    gate.open();
    quiet(&member, &issue).await;
    assert_eq!(run(&member, &issue, &two, 0).await["state"], "completed");
}

#[tokio::test]
async fn eight_runs_go_at_once_and_the_next_when_one_is_over() {
    let gate = Gate::closed();
    let model = ModelServer::holding(&gate).await;
    let (server, member) = served(&model).await;
    let mut issues = Vec::new();
    for _ in 0..10 {
        let issue = member.open(json!({})).await;
        prompted(&member, &issue, "latest", "/status").await;
        issues.push(issue);
    }
    model.wait_for_requests(8).await;
    // Of the other surfaces none is counted.
    let fields = vec![("message", "Hello"), ("stream", "true"), ("background", "true")];
    let other = server.send_form("/agents/plain/runs", &fields).await;
    assert_eq!(other.status(), 200);
    model.wait_for_requests(9).await;
    let waiting = async || {
        let stats = member.data("/stats").await;
        stats["processing"].as_u64().unwrap()
    };
    assert_eq!(waiting().await, 10);
    assert_eq!(model.requests().len(), 9);
    gate.open();
    for issue in &issues {
        assert_eq!(quiet(&member, issue).await["latest_agent_session"]["status"], "complete");
    }
}

#[tokio::test]
async fn a_prompt_that_is_sent_twice_under_a_key_is_one_run() {
    let model = ModelServer::answering(|_| says("Done.")).await;
    let (_server, member) = served(&model).await;
    let issue = member.open(json!({})).await;
    let path = format!("{}/agent-sessions/latest/prompts", at(&issue));
    let keyed = async |detail: &str| {
        let request = member.request(reqwest::Method::POST, &path).header("idempotency-key", "k1");
        crate::harness::server::answer(request.json(&json!({ "detail": detail })).send().await.unwrap()).await
    };
    let (first, again) = tokio::join!(keyed("/status"), keyed("/status"));
    assert_eq!((first.0, &first), (202, &again));
    let (status, refused) = keyed("/verify").await;
    assert_eq!((status, &refused["errors"][0]["error"]), (409, &json!("idempotency_conflict")));
    quiet(&member, &issue).await;
    assert_eq!(keyed("/status").await, first);
    let sessions = member.items(&format!("{}/agent-sessions", at(&issue))).await;
    assert_eq!((sessions.len(), &sessions[0]["run_count"]), (1, &json!(1)));
    assert_eq!(model.requests().len(), 1);
}

#[tokio::test]
async fn the_latest_session_is_the_newest_one_and_its_name_stands_for_none_elsewhere() {
    let model = ModelServer::answering(|_| says("Done.")).await;
    let (_server, member) = served(&model).await;
    let issue = member.open(json!({})).await;
    let made = prompted(&member, &issue, "latest", "/status").await;
    let newer = session(&member, &issue).await;
    assert_ne!(made["session_id"], json!(newer));
    assert_eq!(prompted(&member, &issue, "latest", "/status").await["session_id"], json!(newer));
    quiet(&member, &issue).await;
    for path in ["agent-sessions/latest", "agent-sessions/newest/prompts"] {
        let (status, refused) = match path {
            "agent-sessions/latest" => member.get(&format!("{}/{path}", at(&issue))).await,
            _ => member.post(&format!("{}/{path}", at(&issue)), json!({ "detail": "x" })).await,
        };
        assert_eq!((status, refused), (404, failure("not_found", "Session not found")), "{path}");
    }
}

#[tokio::test]
async fn a_stop_is_the_closing_entry_of_every_run_it_stopped() {
    let gate = Gate::closed();
    let model = ModelServer::holding(&gate).await;
    let (_server, member) = served(&model).await;
    let issue = member.open(json!({})).await;
    let id = session(&member, &issue).await;
    let going = prompted(&member, &issue, &id, "one").await;
    model.wait_for_requests(1).await;
    let waiting =
        [prompted(&member, &issue, &id, "two").await, prompted(&member, &issue, &id, "three").await];
    let path = format!("{}/agent-sessions/{id}/cancel", at(&issue));
    // One that waits alone, then the others.
    let (_, stopped) = member.post(&path, json!({ "run_id": waiting[0]["run_id"] })).await;
    assert_eq!(stopped["data"]["cancelled_run_ids"], json!([waiting[0]["run_id"]]));
    assert_eq!(stopped["data"]["status"], "active");
    let (_, stopped) = member.post(&path, json!({})).await;
    assert_eq!(stopped["data"]["cancelled_run_ids"], json!([going["run_id"], waiting[1]["run_id"]]));
    for run in [&going, &waiting[0], &waiting[1]] {
        let path = format!("{}/activity?order=asc&run_id={}", at(&issue), text(run, "run_id"));
        let seen = member.items(&path).await;
        let closing = ["response", "error", "session_stopped"];
        let closed: Vec<&str> = types(&seen).into_iter().filter(|kind| closing.contains(kind)).collect();
        assert_eq!(closed, ["session_stopped"], "{seen:?}");
        assert_eq!(seen.last().unwrap()["type"], "session_stopped");
    }
    let (status, refused) = member.post(&path, json!({ "run_id": 7 })).await;
    assert_eq!((status, &refused["errors"][0]["error"]), (400, &json!("bad_request")));
    gate.open();
}

/// No limits, and little patience.
const SHORT: &str = " ";

/// How a run ends that this model answers, with these lines in the configuration and these limits.
async fn ends(model: &ModelServer, config: &str, patience: &str, limits: &str) -> (Value, Value) {
    let norm = format!("---\nname: Norm\ncapabilities: [triage]\n{limits}\n---\nYou are Norm.\n");
    let server = Setup::default()
        .config("default_model = \"test/model\"")
        .config(config)
        .config(&format!("[providers.test]\nkind = \"openai\"\nbase_url = \"{}\"\ntries = 1", model.url()))
        .config(&format!("first_byte = \"{patience}\"\nidle = \"60s\""))
        .agent("norm", &norm)
        .start()
        .await;
    let member = member(&server);
    let issue = member.open(json!({})).await;
    prompted(&member, &issue, "latest", "/status").await;
    let shown = quiet(&member, &issue).await;
    assert_eq!(shown["latest_agent_session"]["status"], "error");
    let last = entries(&member, &issue).await.pop().unwrap();
    assert_eq!(last["type"], "error", "{last}");
    assert_eq!(shown["latest_agent_session"]["run"]["error"]["code"], last["metadata"]["code"]);
    (last["metadata"]["code"].clone(), last["metadata"]["retryable"].clone())
}

#[tokio::test]
async fn a_run_that_fails_says_why_in_the_words_of_the_contract() {
    let told = async |reply: Reply, limits: &str| {
        let model = ModelServer::answering(move |_| reply.clone()).await;
        let patience = if limits == SHORT { "500ms" } else { "60s" };
        ends(&model, "", patience, limits.trim()).await
    };
    let code = |code: &str, retryable: bool| (json!(code), json!(retryable));
    assert_eq!(told(fails(400, "bad", "no"), "").await, code("llm_error", false));
    assert_eq!(told(fails(401, "no_key", "no key"), "").await, code("llm_auth", false));
    assert_eq!(told(fails(403, "no_key", "no key"), "").await, code("llm_auth", false));
    assert_eq!(told(Reply::HangBeforeHead, SHORT).await.0, json!("llm_timeout"));
    assert_eq!(told(Reply::Html200, "").await.0, json!("llm_protocol"));
    assert_eq!(told(Reply::Garbage(words("Half an")), "").await.0, json!("llm_protocol"));
    assert_eq!(told(Reply::CutStream(words("Half an")), "").await.0, json!("llm_protocol"));
    let seconds = "limits: {seconds: 1}";
    assert_eq!(told(Reply::HangMidStream(words("Half an")), seconds).await.0, json!("run_timeout"));
    let steps = "limits: {model_calls: 2}";
    assert_eq!(told(calls([("get_issue", json!({}))]), steps).await.0, json!("max_steps_exceeded"));
}

#[tokio::test]
async fn instructions_that_cannot_be_given_are_an_internal_failure() {
    let model = ModelServer::answering(|_| says("Never asked.")).await;
    let norm = "---\nname: Norm\ncapabilities: [triage]\n---\nYou are {{ nobody.knows }}.\n";
    let server = setup(&model).agent("norm", norm).start().await;
    let ours = member(&server);
    let issue = ours.open(json!({})).await;
    prompted(&ours, &issue, "latest", "/status").await;
    assert_eq!(quiet(&ours, &issue).await["latest_agent_session"]["run"]["error"]["code"], "internal");
    assert!(model.requests().is_empty());
}

#[tokio::test]
async fn a_run_in_which_nothing_happens_is_given_up() {
    let model = ModelServer::answering(|_| Reply::HangMidStream(words("Half an"))).await;
    let (code, retryable) = ends(&model, "triage.watchdog_seconds = 1", "60s", "").await;
    assert_eq!((code, retryable), (json!("run_timeout"), json!(true)));
}

#[tokio::test]
async fn a_run_that_takes_the_server_down_again_and_again_is_given_up() {
    let gate = Gate::closed();
    let model = ModelServer::holding(&gate).await;
    let (mut server, ours) = served(&model).await;
    let issue = ours.open(json!({})).await;
    prompted(&ours, &issue, "latest", "/status").await;
    prompted(&ours, &issue, "latest", "/status").await;
    for asked in 1..=3 {
        model.wait_for_requests(asked).await;
        server.kill();
        server.restart().await;
    }
    gate.open();
    let ours = member(&server);
    quiet(&ours, &issue).await;
    let seen = entries(&ours, &issue).await;
    let closed: Vec<&str> = types(&seen).into_iter().filter(|kind| *kind != "prompt").collect();
    assert_eq!(closed, ["session_started", "error", "response"]);
    let error = seen.iter().find(|entry| entry["type"] == "error").unwrap();
    assert_eq!(error["metadata"]["code"], "interrupted");
}

/// The sessions of the runtime that a board's agent has.
async fn runtime_sessions(server: &Server) -> Vec<Value> {
    let (status, found) = server.get("/sessions?type=agent&limit=100").await;
    assert_eq!(status, 200, "{found}");
    found["data"].as_array().unwrap().clone()
}

#[tokio::test]
async fn an_issue_that_is_deleted_takes_its_run_along_wherever_that_stands() {
    let gate = Gate::closed();
    let model = ModelServer::holding(&gate).await;
    let (mut server, ours) = served(&model).await;
    let issue = ours.open(json!({})).await;
    prompted(&ours, &issue, "latest", "mend it").await;
    prompted(&ours, &issue, "latest", "and then").await;
    model.wait_for_requests(1).await;
    assert_eq!(ours.delete(&at(&issue)).await, (204, Value::Null));
    model.wait_for_hang_ups(1).await;
    assert_eq!(ours.get(&at(&issue)).await.0, 404);
    // At every moment of a run's beginning.
    for round in 0..40_u64 {
        let issue = ours.open(json!({})).await;
        prompted(&ours, &issue, "latest", "mend it").await;
        tokio::time::sleep(std::time::Duration::from_millis(round % 8)).await;
        assert_eq!(ours.delete(&at(&issue)).await, (204, Value::Null));
    }
    until("no session to be left", async || runtime_sessions(&server).await.is_empty()).await;
    // The seats are free again.
    gate.open();
    for _ in 0..9 {
        let issue = ours.open(json!({})).await;
        prompted(&ours, &issue, "latest", "/status").await;
        assert_eq!(quiet(&ours, &issue).await["latest_agent_session"]["status"], "complete");
        assert_eq!(ours.delete(&at(&issue)).await.0, 204);
    }
    server.kill();
    server.restart().await;
    assert_eq!(runtime_sessions(&server).await, Vec::<Value>::new());
    assert!(!server.log().contains("ERROR"), "{}", server.log());
}

#[tokio::test]
async fn every_run_that_fails_has_one_issue_whenever_the_server_dies() {
    let model = ModelServer::answering(|_| fails(400, "bad", "no such thing")).await;
    let mut server = Setup::default()
        .config("default_model = \"test/model\"\n[triage]\nopen_issues_for_failed_runs = true")
        .model(&model.url())
        .start()
        .await;
    const ROUNDS: usize = 6;
    for round in 0..ROUNDS {
        let name = format!("s{round}");
        let fields = [("message", "Hello"), ("session_id", name.as_str()), ("stream", "false")];
        server.form("/agents/plain/runs", &fields).await;
        server.kill();
        server.restart().await;
    }
    let ours = member(&server);
    until("an issue for each", async || ours.items("/issues").await.len() >= ROUNDS).await;
    server.kill();
    server.restart().await;
    let ours = member(&server);
    // Another failure is seen to after all that was left: when it has its issue, nothing is left.
    let fields = [("message", "Hello"), ("session_id", "last"), ("stream", "false")];
    server.form("/agents/plain/runs", &fields).await;
    let links = async || {
        let mut links = Vec::new();
        for issue in ours.items("/issues").await {
            let found = ours.items(&format!("{}/resources", at(&issue))).await;
            links.push(text(&found[0], "resource_id").to_owned());
        }
        links.sort();
        links
    };
    until("the last one's issue", async || links().await.contains(&"last".to_owned())).await;
    assert_eq!(links().await, ["last", "s0", "s1", "s2", "s3", "s4", "s5"]);
}
