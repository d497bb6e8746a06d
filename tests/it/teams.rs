//! Teams: a leader hands tasks to members, whose runs are runs like any other.

use std::time::Duration;

use futures::StreamExt;
use serde_json::{Value, json};

use crate::harness::model_server::{Gate, ModelServer, Reply, calls, fails, says, words};
use crate::harness::server::{PATIENCE, Server, Setup, events, to_end, until};

fn member(name: &str) -> String {
    format!("---\nmodel: test/{name}\ndescription: Knows {name}.\n---\nYou are {name}.\n")
}

fn team(mode: &str) -> String {
    format!("---\nkind: team\nmode: {mode}\nmodel: test/leader\nmembers: [ann, bob]\n---\nYou lead.\n")
}

/// A server whose team has the members `ann` and `bob`; each model answers by its name.
async fn newsroom(mode: &str, model: &ModelServer) -> Server {
    Setup::default()
        .model(&model.url())
        .agent("ann", &member("ann"))
        .agent("bob", &member("bob"))
        .agent("news", &team(mode))
        .start()
        .await
}

fn asked(request: &Value) -> (&str, bool) {
    let has_result = request["messages"].as_array().unwrap().iter().any(|message| message["role"] == "tool");
    (request["model"].as_str().unwrap(), has_result)
}

fn hands(to: &[(&str, &str)]) -> Reply {
    let call = |(who, task): &(&str, &str)| {
        ("delegate_task_to_member".to_owned(), json!({"member_id": who, "task": task}))
    };
    Reply::Calls(to.iter().map(call).collect())
}

fn result_of(request: &Value) -> Vec<String> {
    let messages = request["messages"].as_array().unwrap().iter();
    let results = messages.filter(|message| message["role"] == "tool");
    results.map(|message| message["content"].as_str().unwrap().to_owned()).collect()
}

async fn ask(server: &Server, message: &str) -> Value {
    let fields = [("message", message), ("session_id", "s"), ("stream", "false")];
    let (status, body) = server.form("/teams/news/runs", &fields).await;
    assert_eq!(status, 200, "{body}");
    body
}

#[tokio::test]
async fn a_leader_hands_tasks_to_members_and_answers_from_what_they_said() {
    let model = ModelServer::answering(|request| match asked(&request.body) {
        ("leader", false) => hands(&[("ann", "Find out"), ("bob", "Write up")]),
        ("leader", true) => says("All of it."),
        (name, _) => says(&format!("{name} did it.")),
    })
    .await;
    let server = newsroom("coordinate", &model).await;
    let body = ask(&server, "News?").await;
    assert_eq!((&body["status"], &body["content"]), (&json!("COMPLETED"), &json!("All of it.")));
    let requests = model.requests();
    assert_eq!(requests.len(), 4);
    let mut results = result_of(requests.last().unwrap());
    results.sort();
    assert_eq!(results, ["ann did it.", "bob did it."]);
    let (_, runs) = server.get("/sessions/s/runs").await;
    let runs = runs.as_array().unwrap();
    let parents: Vec<_> = runs.iter().map(|run| run["parent_run_id"].as_str().unwrap_or_default()).collect();
    let root = body["run_id"].as_str().unwrap();
    assert_eq!(parents.iter().filter(|parent| **parent == root).count(), 2, "{runs:#?}");
    model.assert_clean();
}

#[tokio::test]
async fn a_member_that_was_passed_the_task_gives_the_teams_answer() {
    let model = ModelServer::answering(|request| match asked(&request.body) {
        ("leader", false) => hands(&[("bob", "What is new?")]),
        ("bob", _) => says("Nothing is new."),
        other => panic!("{other:?} was asked"),
    })
    .await;
    let server = newsroom("route", &model).await;
    let body = ask(&server, "What is new?").await;
    assert_eq!((&body["status"], &body["content"]), (&json!("COMPLETED"), &json!("Nothing is new.")));
    assert_eq!(model.requests().len(), 2);
}

#[tokio::test]
async fn all_members_are_asked_the_same_at_once() {
    let model = ModelServer::answering(|request| match asked(&request.body) {
        ("leader", false) => calls([("delegate_task_to_members", json!({"task": "Opinions?"}))]),
        ("leader", true) => says("They differ."),
        (name, _) => says(&format!("{name} thinks so.")),
    })
    .await;
    let server = newsroom("broadcast", &model).await;
    let body = ask(&server, "Well?").await;
    assert_eq!((&body["status"], &body["content"]), (&json!("COMPLETED"), &json!("They differ.")));
    let requests = model.requests();
    assert_eq!(result_of(requests.last().unwrap()), ["## ann\n\nann thinks so.\n\n## bob\n\nbob thinks so."]);
}

#[tokio::test]
async fn a_list_of_tasks_is_worked_on_in_the_order_in_which_they_build_on_each_other() {
    let model = ModelServer::answering(|request| match asked(&request.body) {
        ("leader", false) => calls([(
            "work_on_tasks",
            json!({"tasks": [
                {"id": "write", "member_id": "bob", "task": "Write up", "depends_on": ["find", "ask"]},
                {"id": "find", "member_id": "ann", "task": "Find out"},
                {"id": "ask", "member_id": "ann", "task": "Ask around"},
            ]}),
        )]),
        ("leader", true) => says("All done."),
        ("ann", _) => says(&format!("ann: {}", told(&request.body))),
        _ => says("bob wrote it up."),
    })
    .await;
    let server = newsroom("tasks", &model).await;
    let body = ask(&server, "News?").await;
    assert_eq!((&body["status"], &body["content"]), (&json!("COMPLETED"), &json!("All done.")), "{body}");
    let requests = model.requests();
    let last = &requests[requests.len() - 2];
    assert_eq!(last["model"], "bob", "who builds on the others comes last");
    assert_eq!(
        told(last),
        "Write up\n\nWhat it builds on:\n\n## find\n\nann: Find out\n\n## ask\n\nann: Ask around"
    );
    assert_eq!(
        result_of(requests.last().unwrap()),
        ["## find\n\nann: Find out\n\n## ask\n\nann: Ask around\n\n## write\n\nbob wrote it up."]
    );
    assert_eq!(body["member_responses"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn a_list_of_tasks_is_told_with_how_far_each_is() {
    let model = ModelServer::answering(|request| match asked(&request.body) {
        ("leader", false) => calls([(
            "work_on_tasks",
            json!({"tasks": [
                {"id": "find", "member_id": "ann", "task": "Find out"},
                {"id": "write", "member_id": "bob", "task": "Write up", "depends_on": ["find"]},
                {"id": "print", "member_id": "ann", "task": "Print", "depends_on": ["write"]},
            ]}),
        )]),
        ("leader", true) => says("As far as it went."),
        ("ann", _) => says("Found."),
        _ => fails(400, "bad_request", "bob is ill"),
    })
    .await;
    let server = newsroom("tasks", &model).await;
    let response = server.send_form("/teams/news/runs", &[("message", "News?"), ("session_id", "s")]).await;
    let seen = to_end(events(response)).await;
    let told = seen.iter().filter(|event| event["event"].as_str().unwrap().starts_with("TeamTask"));
    let told: Vec<String> = told
        .map(|event| {
            let text = |key: &str| event[key].as_str().unwrap_or_default();
            assert_eq!(event["team_id"], "news");
            format!("{} {} {}", &text("event")[8..], text("task_id"), text("status")).trim_end().to_owned()
        })
        .collect();
    assert_eq!(
        told,
        [
            "IterationStarted",
            "Created find pending",
            "Created write pending",
            "Created print pending",
            "Updated find in_progress",
            "Updated find completed",
            "Updated write in_progress",
            "Updated write failed",
            "Updated print blocked",
            "StateUpdated",
            "IterationCompleted",
        ]
    );
    let state = seen.iter().find(|event| event["event"] == "TeamTaskStateUpdated").unwrap();
    assert_eq!((&state["goal_complete"], &state["tasks"][0]["result"]), (&json!(false), &json!("Found.")));
    assert_eq!(state["tasks"][1]["dependencies"], json!(["find"]));
}

fn told(request: &Value) -> &str {
    request["messages"].as_array().unwrap().last().unwrap()["content"].as_str().unwrap()
}

#[tokio::test]
async fn tasks_that_wait_for_each_other_are_refused_before_any_is_begun() {
    let model = ModelServer::answering(|request| match asked(&request.body) {
        ("leader", false) => calls([(
            "work_on_tasks",
            json!({"tasks": [
                {"id": "a", "member_id": "ann", "task": "A", "depends_on": ["b"]},
                {"id": "b", "member_id": "bob", "task": "B", "depends_on": ["a"]},
            ]}),
        )]),
        ("leader", true) => says("That was no plan."),
        other => panic!("{other:?} was asked"),
    })
    .await;
    let server = newsroom("tasks", &model).await;
    let body = ask(&server, "News?").await;
    assert_eq!(body["content"], "That was no plan.");
    let why = result_of(model.requests().last().unwrap()).join("");
    assert_eq!(why, "The tasks a, b depend on tasks that are not there, or on each other.");
}

#[tokio::test]
async fn a_member_that_fails_is_told_to_the_leader_and_one_that_is_not_there_too() {
    let model = ModelServer::answering(|request| match asked(&request.body) {
        ("leader", false) => hands(&[("ann", "Find out"), ("eve", "Listen in")]),
        ("leader", true) => says("It did not work out."),
        _ => Reply::Status(400, json!({"error": {"message": "no"}}).to_string(), vec![]),
    })
    .await;
    let server = newsroom("coordinate", &model).await;
    let body = ask(&server, "News?").await;
    assert_eq!(body["content"], "It did not work out.");
    let results = result_of(model.requests().last().unwrap()).join("\n");
    assert!(results.contains("ann could not do it:"), "{results}");
    assert!(results.contains("eve"), "{results}");
}

#[tokio::test]
async fn a_team_killed_while_a_member_works_goes_on_and_asks_no_member_twice_that_was_done() {
    let gate = Gate::closed();
    let held = gate.clone();
    let model = ModelServer::answering(move |request| match asked(&request.body) {
        ("leader", false) => hands(&[("ann", "Find out"), ("bob", "Write up")]),
        ("leader", true) => says("All of it."),
        ("ann", _) => says("ann did it."),
        _ => Reply::Gated(words("bob "), held.clone(), words("did it.")),
    })
    .await;
    let mut server = newsroom("coordinate", &model).await;
    let fields = [("message", "News?"), ("session_id", "s"), ("background", "true"), ("stream", "false")];
    let (status, started) = server.form("/teams/news/runs", &fields).await;
    assert_eq!(status, 202, "{started}");
    let run = started["run_id"].as_str().unwrap().to_owned();
    let done = async {
        loop {
            let (_, runs) = server.get("/sessions/s/runs").await;
            let runs = runs.as_array().unwrap().clone();
            if runs.iter().any(|run| run["content"] == "ann did it.") && model.requests().len() >= 3 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, done).await.expect("ann to be done");
    server.kill();
    gate.open();
    server.restart().await;
    let body = server.at_rest("teams/news", "s", &run).await;
    assert_eq!((&body["status"], &body["content"]), (&json!("COMPLETED"), &json!("All of it.")));
    let models: Vec<_> =
        model.requests().iter().map(|request| request["model"].as_str().unwrap().to_owned()).collect();
    let times = |name: &str| models.iter().filter(|model| *model == name).count();
    assert_eq!((times("leader"), times("ann"), times("bob")), (2, 1, 2));
}

#[tokio::test]
async fn cancelling_a_team_ends_its_members_too() {
    let gate = Gate::closed();
    let held = gate.clone();
    let model = ModelServer::answering(move |request| match asked(&request.body) {
        ("leader", _) => hands(&[("ann", "Find out")]),
        _ => Reply::Gated(words("Half an "), held.clone(), words("answer.")),
    })
    .await;
    let server = newsroom("coordinate", &model).await;
    let fields = [("message", "News?"), ("session_id", "s"), ("background", "true")];
    let response = server.send_form("/teams/news/runs", &fields).await;
    let mut stream = crate::harness::server::events(response);
    let seen = until(&mut stream, "RunContent").await;
    let run = seen[0]["run_id"].as_str().unwrap().to_owned();
    let (status, _) = server.form(&format!("/teams/news/runs/{run}/cancel"), &[]).await;
    assert_eq!(status, 200);
    let rest = to_end(stream).await;
    assert!(rest.iter().any(|event| event["event"] == "TeamRunCancelled"), "{rest:#?}");
    let (_, runs) = server.get("/sessions/s/runs").await;
    let statuses: Vec<_> = runs.as_array().unwrap().iter().map(|run| run["status"].clone()).collect();
    assert_eq!(statuses, ["CANCELLED", "CANCELLED"]);
}

#[tokio::test]
async fn a_members_tool_waits_for_somebody_and_the_team_goes_on_after_a_restart() {
    let model = ModelServer::answering(|request| match asked(&request.body) {
        ("leader", false) => hands(&[("ann", "Launch it")]),
        ("leader", true) => says("Launched."),
        (_, false) => calls([("launch", json!({}))]),
        _ => says("ann launched it."),
    })
    .await;
    let ann = "---\nmodel: test/ann\ntools:\n  - name: launch\n    description: Launches.\n    kind: process\n    \
               command: [sh, -c, 'echo launched >> ../launched; echo done']\n    \
               parameters: {type: object, properties: {}}\n    requires_confirmation: true\n---\nYou launch.\n";
    let mut server = Setup::default()
        .model(&model.url())
        .agent("ann", ann)
        .agent("bob", &member("bob"))
        .agent("news", &team("coordinate"))
        .start()
        .await;
    let paused = ask(&server, "Launch").await;
    assert_eq!(paused["status"], "PAUSED", "{paused}");
    assert!(!server.path("launched").exists());
    let requirement = paused["requirements"][0].clone();
    assert_eq!(requirement["member_agent_id"], "ann", "{paused:#}");
    server.kill();
    server.restart().await;
    let mut decided = requirement.clone();
    decided["tool_execution"]["confirmed"] = json!(true);
    let requirements = json!([decided]).to_string();
    let run = paused["run_id"].as_str().unwrap();
    let path = format!("/teams/news/runs/{run}/continue");
    let fields = [("session_id", "s"), ("stream", "false"), ("requirements", &requirements)];
    let (one, two) = tokio::join!(server.form(&path, &fields), server.form(&path, &fields));
    let (done, refused) = if one.0 == 200 { (one, two) } else { (two, one) };
    assert_eq!((done.0, &done.1["content"]), (200, &json!("Launched.")), "{done:?}");
    assert_eq!(refused.0, 409, "{refused:?}");
    assert_eq!(std::fs::read_to_string(server.path("launched")).unwrap(), "launched\n");
    let _ = futures::stream::empty::<()>().next().await;
}
