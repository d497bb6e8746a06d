//! Schedules over the Everruns surface: messages that are sent to sessions when their time comes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::board::somebody;
use crate::harness::everruns::Talk;
use crate::harness::model_server::{Gate, ModelServer, Reply, calls, says, words};
use crate::harness::server::{PATIENCE, Server, Setup, answer};

const SCHEDULES: &str = "/v1/durable/schedules";
const EACH_SECOND: &str = "* * * * * * *";
const MODEL: &str = "default_model = \"test/model\"";
const YEARLY: &str = "0 0 1 1 *";

async fn send(server: &Server, method: Method, path: &str, body: &Value) -> (u16, Value) {
    answer(server.request(method, path).json(body).send().await.unwrap()).await
}

async fn patch(server: &Server, path: &str, body: Value) -> (u16, Value) {
    send(server, Method::PATCH, path, &body).await
}

async fn act(server: &Server, schedule: &Value, verb: &str) -> Value {
    let (status, body) = server.post(&at(schedule, &format!("/{verb}")), &json!({})).await;
    assert_eq!(status, 200, "{body}");
    body
}

fn at(schedule: &Value, rest: &str) -> String {
    format!("{SCHEDULES}/{}{rest}", schedule["id"].as_str().unwrap())
}

fn body_of(talk: &Talk, name: &str, cron: &str) -> Value {
    json!({
        "name": name, "cron_expression": cron,
        "target": {
            "type": "workflow", "name": "session_message", "input": {"session_id": talk.0, "text": "Look around."},
        },
    })
}

async fn create(server: &Server, talk: &Talk, more: Value) -> Value {
    let mut body = body_of(talk, "look", YEARLY);
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let (status, schedule) = server.post(SCHEDULES, &body).await;
    assert_eq!(status, 201, "{schedule}");
    schedule
}

/// Asks again until the answer is as it should be.
async fn until(server: &Server, path: &str, mut fits: impl FnMut(&Value) -> bool) -> Value {
    let mut seen = Value::Null;
    let asking = async {
        loop {
            seen = server.get(path).await.1;
            if fits(&seen) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let in_time = tokio::time::timeout(PATIENCE, asking).await.is_ok();
    assert!(in_time, "{path} did not become what it should: {seen:#}");
    seen
}

fn list(body: &Value) -> &[Value] {
    body["data"].as_array().unwrap()
}

/// What schedules said in a session: of which execution each message is.
async fn said(server: &Server, talk: &Talk) -> Vec<String> {
    let messages = talk.messages(server).await;
    let ids = messages.iter().filter_map(|message| message["metadata"]["execution_id"].as_str());
    ids.map(str::to_owned).collect()
}

/// A model that always has an answer.
async fn patient_model() -> ModelServer {
    ModelServer::answering(|_| says("Nothing new.")).await
}

async fn started(model: &ModelServer) -> (Server, Talk) {
    let server = Setup::default().config(MODEL).model(&model.url()).start().await;
    let talk = Talk::with(&server, json!({})).await;
    (server, talk)
}

#[tokio::test]
async fn a_schedule_is_kept_as_it_was_sent_with_what_was_left_out() {
    let model = patient_model().await;
    let (server, talk) = started(&model).await;
    let policy = json!({"max_attempts": 3, "backoff": "own"});
    let more = json!({
        "description": "Once a year", "timezone": "Europe/Berlin", "max_concurrent": 2, "catch_up_missed": true,
        "max_catch_up": 5, "retry_policy": policy,
    });
    let schedule = create(&server, &talk, more).await;
    let mut expected = body_of(&talk, "look", YEARLY);
    expected.as_object_mut().unwrap().extend(
        json!({
            "id": schedule["id"], "description": "Once a year", "timezone": "Europe/Berlin", "enabled": true,
            "max_concurrent": 2, "catch_up_missed": true, "max_catch_up": 5, "retry_policy": policy,
            "next_trigger_at": schedule["next_trigger_at"], "created_at": schedule["created_at"],
            "updated_at": schedule["updated_at"],
        })
        .as_object()
        .unwrap()
        .clone(),
    );
    assert_eq!(schedule, expected);
    assert!(schedule["next_trigger_at"].as_str().unwrap().ends_with("-12-31T23:00:00.000000Z"), "{schedule}");
    assert_eq!(server.get(&at(&schedule, "")).await, (200, schedule.clone()));

    let plain = create(&server, &talk, json!({"name": "plain"})).await;
    assert_eq!(
        [&plain["timezone"], &plain["enabled"], &plain["max_concurrent"], &plain["catch_up_missed"]],
        [&json!("UTC"), &json!(true), &json!(1), &json!(false)]
    );
    let resting = create(&server, &talk, json!({"name": "resting", "enabled": false})).await;
    assert_eq!(resting.get("next_trigger_at"), None);
    let names = |body: &Value| list(body).iter().map(|one| one["name"].clone()).collect::<Vec<_>>();
    let (_, all) = server.get(SCHEDULES).await;
    assert_eq!(
        (names(&all), &all["total"]),
        (vec!["resting".into(), "plain".into(), "look".into()], &json!(3))
    );
    let (_, page) =
        server.get(&format!("{SCHEDULES}?enabled=true&limit=1&offset=1&target_type=workflow")).await;
    assert_eq!((names(&page), &page["total"]), (vec!["look".into()], &json!(2)));
    let (_, off) = server.get(&format!("{SCHEDULES}?enabled=false")).await;
    assert_eq!(names(&off), ["resting"]);
    let (_, activities) = server.get(&format!("{SCHEDULES}?target_type=activity")).await;
    assert_eq!(activities, json!({"data": [], "total": 0}));
    for wrong in ["enabled=maybe", "target_type=thing", "limit=x"] {
        assert_eq!(server.get(&format!("{SCHEDULES}?{wrong}")).await.0, 400, "{wrong}");
    }
}

#[tokio::test]
async fn what_does_not_fit_is_named_and_nothing_is_kept() {
    let model = patient_model().await;
    let (server, talk) = started(&model).await;
    let nobody = format!("session_{}", "0".repeat(32));
    let wrong = [
        ("name", json!({"name": null})),
        ("name", json!({"name": " "})),
        ("cron_expression", json!({"cron_expression": null})),
        ("cron_expression", json!({"cron_expression": "* * * * * *"})),
        ("cron_expression", json!({"cron_expression": "61 * * * *"})),
        ("cron_expression", json!({"cron_expression": "@daily"})),
        ("cron_expression", json!({"cron_expression": "0 0 30 2 *"})),
        ("cron_expression", json!({"cron_expression": "0 0 0 1 1 * 2020"})),
        ("timezone", json!({"timezone": "Mars/Olympus"})),
        ("timezone", json!({"timezone": ""})),
        ("max_concurrent", json!({"max_concurrent": 101})),
        ("max_catch_up", json!({"max_catch_up": 101})),
        ("retry_policy", json!({"retry_policy": {"max_attempts": 0}})),
        ("description", json!({"description": "x".repeat(10 * 1024 + 1)})),
        ("target", json!({"target": null})),
        ("target.type", json!({"target": {"type": "activity", "name": "x", "input": {}}})),
        ("target.type", json!({"target": {"name": "session_message"}})),
        ("target.name", json!({"target": {"type": "workflow", "name": "x", "input": {}}})),
        ("target.input", json!({"target": {"type": "workflow", "name": "session_message"}})),
    ];
    let input =
        |input: Value| json!({"target": {"type": "workflow", "name": "session_message", "input": input}});
    let wrong = wrong.into_iter().chain([
        ("target.input.session_id", input(json!({"text": "x"}))),
        ("target.input.session_id", input(json!({"session_id": "x", "text": "x"}))),
        ("target.input.session_id", input(json!({"session_id": nobody, "text": "x"}))),
        ("target.input.text", input(json!({"session_id": talk.0}))),
        ("target.input.text", input(json!({"session_id": talk.0, "text": " "}))),
    ]);
    let kept = create(&server, &talk, json!({"name": "kept"})).await;
    for (field, more) in wrong {
        let mut body = body_of(&talk, "look", YEARLY);
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let (status, failure) = server.post(SCHEDULES, &body).await;
        assert_eq!(
            (status, &failure["error"]["code"]),
            (400, &json!("invalid_request")),
            "{more}: {failure}"
        );
        assert!(failure["error"]["message"].as_str().unwrap().starts_with(field), "{more}: {failure}");
        if more.as_object().unwrap().values().all(|value| !value.is_null()) {
            let (status, failure) = patch(&server, &at(&kept, ""), more.clone()).await;
            assert_eq!(status, 400, "{more}: {failure}");
        }
    }
    for more in [json!({"enabled": "perhaps"}), json!({"target": "x"}), json!({"max_concurrent": 0})] {
        let mut body = body_of(&talk, "look", YEARLY);
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        assert_eq!(server.post(SCHEDULES, &body).await.0, 422, "{more}");
    }
    assert_eq!(list(&server.get(SCHEDULES).await.1), [kept]);
}

#[tokio::test]
async fn names_are_taken_once_and_given_back() {
    let model = patient_model().await;
    let (server, talk) = started(&model).await;
    let one = create(&server, &talk, json!({"name": "one"})).await;
    let two = create(&server, &talk, json!({"name": "two"})).await;
    assert_eq!(server.post(SCHEDULES, &body_of(&talk, "one", YEARLY)).await.0, 409);
    assert_eq!(patch(&server, &at(&two, ""), json!({"name": "one"})).await.0, 409);
    assert_eq!(patch(&server, &at(&one, ""), json!({"name": "three"})).await.0, 200);
    assert_eq!(patch(&server, &at(&two, ""), json!({"name": "one"})).await.1["name"], "one");
    assert_eq!(send(&server, Method::DELETE, &at(&two, ""), &json!({})).await.0, 204);
    create(&server, &talk, json!({"name": "one"})).await;
}

#[tokio::test]
async fn a_change_counts_from_now_and_a_rest_is_no_time() {
    let model = patient_model().await;
    let (server, talk) = started(&model).await;
    let schedule = create(&server, &talk, json!({})).await;
    let change = json!({"cron_expression": "0 12 1 7 *", "timezone": "Asia/Tokyo", "description": "Summer"});
    let (status, changed) = patch(&server, &at(&schedule, ""), change).await;
    assert_eq!((status, &changed["description"]), (200, &json!("Summer")));
    assert!(changed["next_trigger_at"].as_str().unwrap().ends_with("-07-01T03:00:00.000000Z"), "{changed}");
    assert_eq!(changed["target"], schedule["target"]);

    let paused = act(&server, &schedule, "pause").await;
    assert_eq!((&paused["enabled"], paused.get("next_trigger_at")), (&json!(false), None));
    assert_eq!(act(&server, &schedule, "pause").await["enabled"], false);
    let resumed = act(&server, &schedule, "resume").await;
    assert_eq!(
        (&resumed["enabled"], &resumed["next_trigger_at"]),
        (&json!(true), &changed["next_trigger_at"])
    );
    assert_eq!(patch(&server, &at(&schedule, ""), json!({"enabled": false})).await.1["enabled"], false);

    assert_eq!(send(&server, Method::DELETE, &at(&schedule, ""), &json!({})).await.0, 204);
    for (method, rest) in [
        (Method::GET, ""),
        (Method::PATCH, ""),
        (Method::DELETE, ""),
        (Method::POST, "/pause"),
        (Method::POST, "/resume"),
        (Method::POST, "/trigger"),
        (Method::GET, "/stats"),
        (Method::GET, "/executions"),
    ] {
        let (status, body) = send(&server, method, &at(&schedule, rest), &json!({})).await;
        assert_eq!((status, &body["error"]["code"]), (404, &json!("not_found")), "{rest}: {body}");
    }
    for id in ["x", "019DFED4", &"0".repeat(32)] {
        assert_eq!(server.get(&format!("{SCHEDULES}/{id}")).await.0, 400, "{id}");
        assert_eq!(server.get(&format!("/v1/durable/executions/{id}")).await.0, 400, "{id}");
    }
    let nobody = "00000000-0000-7000-8000-000000000000";
    assert_eq!(server.get(&format!("/v1/durable/executions/{nobody}")).await.0, 404);
}

#[tokio::test]
async fn a_schedule_that_is_triggered_sends_its_message_and_has_it_answered() {
    let model = patient_model().await;
    let (server, talk) = started(&model).await;
    let schedule = create(&server, &talk, json!({"enabled": false})).await;
    let id = act(&server, &schedule, "trigger").await["execution_id"].as_str().unwrap().to_owned();
    let path = format!("/v1/durable/executions/{id}");
    let execution = until(&server, &path, |body| body["status"] == "completed").await;
    assert_eq!((&execution["id"], &execution["schedule_id"]), (&json!(id), &schedule["id"]));
    assert!(execution["turn_id"].as_str().unwrap().starts_with("turn_"));
    let messages = talk.messages(&server).await;
    let told: Vec<_> =
        messages.iter().map(|one| (one["role"].clone(), one["content"][0]["text"].clone())).collect();
    assert_eq!(told, [(json!("user"), json!("Look around.")), (json!("agent"), json!("Nothing new."))]);
    assert_eq!(messages[0]["metadata"], json!({"schedule_id": schedule["id"], "execution_id": id}));
    let (_, all) = server.get(&at(&schedule, "/executions")).await;
    assert_eq!(all, json!({"data": [execution], "total": 1}));
    assert_eq!(server.get(&at(&schedule, "/executions?status=failed")).await.1["total"], 0);
    assert_eq!(server.get(&at(&schedule, "/executions?status=odd")).await.0, 400);
    let (_, stats) = server.get(&at(&schedule, "/stats")).await;
    let expected = json!({
        "total_executions": 1, "successful_executions": 1, "failed_executions": 0, "skipped_executions": 0,
        "avg_duration_ms": execution["duration_ms"], "last_execution_status": "completed",
    });
    assert_eq!(stats, expected);
    let after = server.get(&at(&schedule, "")).await.1;
    assert_eq!((&after["last_triggered_at"], &after["enabled"]), (&execution["scheduled_at"], &json!(false)));
}

#[tokio::test]
async fn what_is_due_is_sent_again_and_again_until_it_rests() {
    let model = patient_model().await;
    let (server, talk) = started(&model).await;
    let schedule = create(&server, &talk, json!({"cron_expression": EACH_SECOND})).await;
    let path = at(&schedule, "/executions?status=completed");
    let done = until(&server, &path, |body| list(body).len() >= 3).await;
    let ticks: BTreeSet<&str> = list(&done).iter().map(|one| one["scheduled_at"].as_str().unwrap()).collect();
    assert_eq!(ticks.len(), list(&done).len());
    assert!(ticks.iter().all(|tick| tick.ends_with(".000000Z")), "{ticks:?}");
    let paused = act(&server, &schedule, "pause").await;
    let open =
        |body: &Value| list(body).iter().any(|one| one["status"] == "pending" || one["status"] == "running");
    let rest = until(&server, &at(&schedule, "/executions?limit=100"), |body| !open(body)).await;
    assert_eq!(paused["last_triggered_at"], list(&rest)[0]["scheduled_at"]);
    let (said, sent) =
        (said(&server, &talk).await, list(&rest).iter().filter(|one| one["status"] == "completed"));
    assert_eq!(said.iter().collect::<BTreeSet<_>>().len(), said.len());
    assert_eq!(said.len(), sent.count());
}

#[tokio::test]
async fn what_comes_while_as_many_go_as_may_is_left_out() {
    let gate = Gate::closed();
    let first = gate.clone();
    let mut asked = 0;
    let model = ModelServer::answering(move |_| {
        asked += 1;
        if asked == 1 {
            Reply::Gated(Vec::new(), first.clone(), words("At last."))
        } else {
            says("Nothing new.")
        }
    })
    .await;
    let (server, talk) = started(&model).await;
    let schedule = create(&server, &talk, json!({"cron_expression": EACH_SECOND})).await;
    until(&server, &at(&schedule, "/executions?status=skipped"), |body| list(body).len() >= 2).await;
    let going = server.get(&at(&schedule, "/executions?status=running")).await.1;
    assert_eq!(going["total"], 1, "{going}");
    assert_eq!(said(&server, &talk).await.len(), 1);
    gate.open();
    until(&server, &at(&schedule, "/executions?status=completed"), |body| list(body).len() >= 2).await;
    let stats = server.get(&at(&schedule, "/stats")).await.1;
    assert!(stats["skipped_executions"].as_u64().unwrap() >= 2, "{stats}");
}

#[tokio::test]
async fn executions_that_wait_or_go_are_carried_out_once_after_a_kill() {
    let gate = Gate::closed();
    let first = gate.clone();
    let mut asked = 0;
    let model = ModelServer::answering(move |_| {
        asked += 1;
        if asked == 1 {
            Reply::Gated(words("Half "), first.clone(), words("never"))
        } else {
            says("Nothing new.")
        }
    })
    .await;
    let (mut server, talk) = started(&model).await;
    let schedule = create(&server, &talk, json!({})).await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(act(&server, &schedule, "trigger").await["execution_id"].as_str().unwrap().to_owned());
    }
    model.wait_for_requests(1).await;
    server.kill();
    server.restart().await;
    let path = at(&schedule, "/executions?status=completed");
    until(&server, &path, |body| list(body).len() == 3).await;
    assert_eq!(said(&server, &talk).await, ids);
    let stats = server.get(&at(&schedule, "/stats")).await.1;
    assert_eq!((&stats["total_executions"], &stats["successful_executions"]), (&json!(3), &json!(3)));
    drop(gate);
}

#[tokio::test]
async fn no_tick_is_lost_or_taken_twice_however_often_the_server_is_killed() {
    let model = patient_model().await;
    let (mut server, talk) = started(&model).await;
    let schedule =
        create(&server, &talk, json!({"cron_expression": EACH_SECOND, "max_concurrent": 10})).await;
    for round in 1..=4 {
        model.wait_for_requests(round * 2).await;
        server.kill();
        server.restart().await;
    }
    act(&server, &schedule, "pause").await;
    let open =
        |body: &Value| list(body).iter().any(|one| one["status"] == "pending" || one["status"] == "running");
    let rest = until(&server, &at(&schedule, "/executions?limit=100"), |body| !open(body)).await;
    let ids: BTreeSet<String> = list(&rest)
        .iter()
        .filter(|one| one["status"] != "skipped")
        .map(|one| one["id"].as_str().unwrap().to_owned())
        .collect();
    let said = said(&server, &talk).await;
    assert_eq!(said.len(), ids.len(), "{said:?} {rest:#}");
    assert_eq!(said.into_iter().collect::<BTreeSet<_>>(), ids);
    let statuses: BTreeSet<&str> = list(&rest).iter().map(|one| one["status"].as_str().unwrap()).collect();
    assert!(!statuses.contains("failed"), "{rest:#}");
}

/// What was made up for at once after a time away: when it was due.
async fn after_a_time_away(more: Value) -> Vec<String> {
    let model = patient_model().await;
    let (mut server, talk) = started(&model).await;
    let schedule = create(&server, &talk, more).await;
    let path = at(&schedule, "/executions?limit=100");
    until(&server, &path, |body| !list(body).is_empty()).await;
    server.kill();
    // The time away is what this is about.
    tokio::time::sleep(Duration::from_secs(6)).await;
    server.restart().await;
    let mut ticks = Vec::new();
    until(&server, &path, |body| {
        ticks = first_after_a_gap(list(body));
        !ticks.is_empty()
    })
    .await;
    ticks
}

/// When those were due that were written down together after nothing was for more than five seconds.
fn first_after_a_gap(executions: &[Value]) -> Vec<String> {
    let mut together: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for one in executions.iter().rev() {
        let due = one["scheduled_at"].as_str().unwrap().to_owned();
        together.entry(one["created_at"].as_str().unwrap()).or_default().push(due);
    }
    let groups: Vec<_> = together.into_iter().collect();
    let found = groups.windows(2).find(|pair| seconds(pair[1].0) - seconds(pair[0].0) > 5.0);
    found.map(|pair| pair[1].1.clone()).unwrap_or_default()
}

fn seconds(moment: &str) -> f64 {
    moment.parse::<jiff::Timestamp>().unwrap().as_microsecond() as f64 / 1e6
}

#[tokio::test]
async fn the_latest_of_what_was_missed_is_made_up_for_where_that_is_wished() {
    let more = json!({
        "cron_expression": EACH_SECOND, "max_concurrent": 5, "catch_up_missed": true, "max_catch_up": 3,
    });
    let ticks = after_a_time_away(more).await;
    assert_eq!(ticks.len(), 3, "{ticks:?}");
    assert_eq!(seconds(&ticks[2]) - seconds(&ticks[0]), 2.0, "{ticks:?}");
}

#[tokio::test]
async fn what_was_missed_is_passed_over_where_nothing_is_said() {
    let ticks = after_a_time_away(json!({"cron_expression": EACH_SECOND, "max_concurrent": 5})).await;
    assert_eq!(ticks.len(), 1, "{ticks:?}");
}

#[tokio::test]
async fn a_session_that_goes_takes_its_schedules_along() {
    let model = patient_model().await;
    let (server, talk) = started(&model).await;
    let other = Talk::with(&server, json!({})).await;
    let schedule = create(&server, &talk, json!({})).await;
    let id = act(&server, &schedule, "trigger").await["execution_id"].as_str().unwrap().to_owned();
    let path = format!("/v1/durable/executions/{id}");
    until(&server, &path, |body| body["status"] == "completed").await;
    let kept = create(&server, &other, json!({"name": "kept"})).await;
    assert_eq!(send(&server, Method::DELETE, &talk.path(""), &json!({})).await.0, 204);
    assert_eq!(server.get(&at(&schedule, "")).await.0, 404);
    assert_eq!(server.get(&path).await.0, 404);
    assert_eq!(list(&server.get(SCHEDULES).await.1), [kept]);
}

#[tokio::test]
async fn a_message_that_cannot_be_answered_fails_openly_and_the_schedule_goes_on() {
    let model = ModelServer::answering(|_| {
        crate::harness::model_server::fails(400, "bad", "The provider does not like it")
    })
    .await;
    let (server, talk) = started(&model).await;
    let schedule = create(&server, &talk, json!({})).await;
    act(&server, &schedule, "trigger").await;
    let path = at(&schedule, "/executions?status=failed");
    let failed = until(&server, &path, |body| list(body).len() == 1).await;
    assert_eq!(list(&failed)[0]["error"], "the turn failed: model_provider_error");
    assert_eq!(server.get(&at(&schedule, "")).await.1["enabled"], true);
    assert_eq!(server.get(&at(&schedule, "/stats")).await.1["failed_executions"], 1);
}

#[tokio::test]
async fn owners_see_nothing_of_each_other() {
    let model = patient_model().await;
    let (server, talk) = started(&model).await;
    let schedule = create(&server, &talk, json!({})).await;
    let id = act(&server, &schedule, "trigger").await["execution_id"].as_str().unwrap().to_owned();
    let stranger = somebody(&server, "stranger", "elsewhere").await;
    assert_eq!(stranger.get("/../durable/schedules").await, (200, json!({"data": [], "total": 0})));
    for rest in ["", "/stats", "/executions"] {
        let path = at(&schedule, rest).replace("/v1", "/..");
        assert_eq!(stranger.get(&path).await.0, 404, "{path}");
    }
    assert_eq!(stranger.get(&format!("/../durable/executions/{id}")).await.0, 404);
    let (status, failure) = stranger.post("/../durable/schedules", body_of(&talk, "look", YEARLY)).await;
    assert_eq!(status, 400, "{failure}");
    assert!(
        failure["error"]["message"].as_str().unwrap().starts_with("target.input.session_id"),
        "{failure}"
    );
}

/// A session whose agent makes schedules, and a model that plays these lines.
async fn scheduling(script: Vec<Reply>) -> (ModelServer, Server, Talk) {
    let model = ModelServer::start(script).await;
    let server = Setup::default().config(MODEL).model(&model.url()).start().await;
    let more = json!({"capabilities": [{"ref": "session_schedule"}]});
    let talk = Talk::with(&server, more).await;
    (model, server, talk)
}

/// What a tool answered, as the model read it.
fn read_by(model: &ModelServer, request: usize) -> Value {
    let requests = model.requests();
    let last = requests[request]["messages"].as_array().unwrap().last().unwrap().clone();
    let text = last["content"].as_str().unwrap();
    serde_json::from_str(text).unwrap_or_else(|_| json!(text))
}

#[tokio::test]
async fn an_agent_has_something_said_to_its_session_later() {
    let order = json!({"message": "Did the build pass?", "in_seconds": 1});
    let (model, server, talk) =
        scheduling(vec![calls([("create_schedule", order)]), says("I will look."), says("It passed.")]).await;
    talk.say(&server, "Look at the build in a second").await;
    model.wait_for_requests(3).await;
    let made = read_by(&model, 1);
    assert_eq!((&made["once"], &made["message"]), (&json!(true), &json!("Did the build pass?")));
    let last = |messages: &[Value]| messages.last().unwrap()["content"][0]["text"].clone();
    until(&server, &talk.path("/messages"), |body| last(list(body)) == "It passed.").await;
    // It is done, and gone.
    until(&server, SCHEDULES, |body| body["total"] == 0).await;
    let path = format!("{SCHEDULES}/{}", made["schedule_id"].as_str().unwrap());
    assert_eq!(server.get(&path).await.0, 404);
    assert_eq!(talk.messages(&server).await.iter().filter(|one| one["role"] == "user").count(), 2);
    model.assert_clean();
}

#[tokio::test]
async fn an_agent_sees_and_cancels_the_schedules_of_its_own_session_alone() {
    let (model, server, talk) = scheduling(vec![
        calls([("create_schedule", json!({"message": "Morning.", "cron_expression": "0 8 * * *", "timezone": "Europe/Berlin", "name": "morning"}))]),
        calls([("list_schedules", json!({}))]),
        says("There it is."),
        calls([("create_schedule", json!({"message": "x"}))]),
        calls([("create_schedule", json!({"message": "x", "at": "2020-01-01T00:00:00Z"}))]),
        calls([("create_schedule", json!({"message": "x", "cron_expression": "nonsense"}))]),
        calls([("create_schedule", json!({"message": "x", "cron_expression": "0 8 * * *", "name": "morning"}))]),
        calls([("cancel_schedule", json!({"schedule_id": "of another"}))]),
        says("None of that."),
    ])
    .await;
    let other = Talk::with(&server, json!({})).await;
    let foreign = create(&server, &other, json!({"name": "foreign"})).await;
    talk.say(&server, "Wish me a good morning").await;
    talk.until_idle(&server).await;
    let listed = read_by(&model, 2);
    assert_eq!((&listed["count"], &listed["schedules"][0]), (&json!(1), &read_by(&model, 1)));
    let schedule = server
        .get(&format!("{SCHEDULES}/{}", listed["schedules"][0]["schedule_id"].as_str().unwrap()))
        .await
        .1;
    assert_eq!(
        (&schedule["name"], &schedule["target"]["input"]["session_id"]),
        (&json!("morning"), &json!(talk.0))
    );
    assert_eq!(schedule["timezone"], "Europe/Berlin");

    talk.say(&server, "Now the wrong ones").await;
    model.wait_for_requests(9).await;
    let answers: Vec<String> = (4..9).map(|request| read_by(&model, request).to_string()).collect();
    for (answer, told) in answers.iter().zip([
        "exactly one of",
        "at: it is past",
        "5 fields",
        "morning already",
        "no such schedule",
    ]) {
        assert!(answer.contains(told), "{told}: {answer}");
    }
    model.assert_clean();
    assert_eq!(server.get(&at(&foreign, "")).await.0, 200);
    let capability = server.get("/v1/capabilities/session_schedule").await.1;
    assert_eq!(
        (&capability["features"], &capability["status"]),
        (&json!(["schedules"]), &json!("available"))
    );
}
