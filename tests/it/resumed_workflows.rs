//! Workflows that failed: gone on with from the failed step, by whoever is asked or by a new run.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::model_server::{ModelServer, fails, says};
use crate::harness::server::{Server, Setup, answer, events, names, to_end};

const LINE: &str = "---
kind: workflow
steps:
  - {name: one, agent: ann}
  - {name: two, agent: bob}
  - {name: three, agent: ann}
---
";

const ASKING: &str = "---
kind: workflow
steps:
  - {name: one, agent: ann}
  - {name: two, agent: bob, on_error: pause}
---
";

/// Everything a test stands on; `bob` fails until he is mended.
struct Stage {
    server: Server,
    model: ModelServer,
    is_mended: Arc<AtomicBool>,
}

impl Stage {
    async fn of(flows: &[(&str, &str)]) -> Self {
        let is_mended = Arc::new(AtomicBool::new(false));
        let works = is_mended.clone();
        let model = ModelServer::answering(move |request| match request.body["model"].as_str().unwrap() {
            "bob" if !works.load(Ordering::Relaxed) => fails(400, "bad_request", "bob is ill"),
            name => says(&format!("{name} read {}", said(&request.body))),
        })
        .await;
        let member = |name: &str| format!("---\nmodel: test/{name}\n---\nYou are {name}.\n");
        let setup = Setup::default().model(&model.url());
        let setup = setup.agent("ann", &member("ann")).agent("bob", &member("bob"));
        let setup = flows.iter().fold(setup, |setup, (name, file)| setup.agent(name, file));
        Self { server: setup.start().await, model, is_mended }
    }

    fn mend(&self) {
        self.is_mended.store(true, Ordering::Relaxed);
    }

    async fn run(&self, flow: &str) -> Value {
        let fields = [("message", "it"), ("session_id", "s"), ("stream", "false")];
        let (status, body) = self.server.form(&format!("/workflows/{flow}/runs"), &fields).await;
        assert_eq!(status, 200, "{body}");
        body
    }

    async fn go_on(&self, flow: &str, run: &Value, more: &[(&str, &str)]) -> (u16, Value) {
        let fields = [&[("session_id", "s"), ("stream", "false")], more].concat();
        self.server.form(&path(flow, run), &fields).await
    }

    /// What the model was asked, in order.
    fn asked(&self) -> Vec<String> {
        self.model.requests().iter().map(|request| said(request).to_owned()).collect()
    }
}

fn path(flow: &str, run: &Value) -> String {
    format!("/workflows/{flow}/runs/{}/continue", run["run_id"].as_str().unwrap())
}

fn said(request: &Value) -> &str {
    request["messages"].as_array().unwrap().last().unwrap()["content"].as_str().unwrap()
}

#[tokio::test]
async fn a_workflow_that_failed_goes_on_from_the_failed_step_after_a_restart_too() {
    let mut stage = Stage::of(&[("flow", LINE)]).await;
    let failed = stage.run("flow").await;
    assert_eq!(failed["status"], "ERROR");
    stage.mend();
    stage.server.kill();
    stage.server.restart().await;
    let (status, done) = stage.go_on("flow", &failed, &[]).await;
    assert_eq!((status, &done["status"]), (200, &json!("COMPLETED")), "{done}");
    assert_eq!(done["content"], "ann read bob read ann read it");
    assert_eq!(done["forked_from_run_id"], failed["run_id"]);
    assert_eq!(done["step_results"].as_array().unwrap().len(), 3);
    let two = "ann read it";
    assert_eq!(stage.asked(), ["it", two, two, "bob read ann read it"], "ann was asked once for step one");
    let (_, runs) = stage.server.get("/sessions/s/runs").await;
    let own: Vec<&Value> = runs
        .as_array()
        .unwrap()
        .iter()
        .filter(|run| run["workflow_id"] == "flow")
        .map(|run| &run["status"])
        .collect();
    assert_eq!(own, ["ERROR", "COMPLETED"], "the run that failed stays as it is");
}

#[tokio::test]
async fn a_stream_of_a_resumed_workflow_tells_finished_steps_too() {
    let stage = Stage::of(&[("flow", LINE)]).await;
    let failed = stage.run("flow").await;
    stage.mend();
    let response = stage.server.send_form(&path("flow", &failed), &[("session_id", "s")]).await;
    let seen = to_end(events(response)).await;
    assert_ne!(seen[0]["run_id"], failed["run_id"]);
    let own: Vec<String> = names(&seen)
        .into_iter()
        .filter(|name| name.starts_with("Step") || name.starts_with("Work"))
        .collect();
    let step = ["StepStarted", "StepCompleted"];
    let expected = [&["WorkflowStarted"][..], &step, &step, &step, &["WorkflowCompleted"]].concat();
    assert_eq!(own, expected);
}

#[tokio::test]
async fn a_resumed_workflow_is_started_once_under_one_key_and_a_late_decision_starts_none() {
    let stage = Stage::of(&[("flow", LINE)]).await;
    let failed = stage.run("flow").await;
    stage.mend();
    let late = [("step_requirements", r#"[{"step_id": "two", "confirmed": true}]"#)];
    assert_eq!(stage.go_on("flow", &failed, &late).await, (409, json!({"detail": "run has errored"})));
    let elsewhere = stage.go_on("flow", &failed, &[("input", "other")]).await;
    assert_eq!(elsewhere.0, 400);
    let mut answers = Vec::new();
    for _ in 0..2 {
        let request =
            stage.server.request(Method::POST, &path("flow", &failed)).header("idempotency-key", "k");
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        answers.push(answer(request.body("session_id=s&stream=false").send().await.unwrap()).await);
    }
    assert_eq!(answers[0], answers[1]);
    assert_eq!(answers[0].1["status"], "COMPLETED");
    assert_eq!(stage.asked().len(), 4);
}

#[tokio::test]
async fn a_nested_workflow_that_failed_goes_on_from_its_own_failed_step() {
    let outer =
        "---\nkind: workflow\nsteps:\n  - {name: inner, workflow: flow}\n  - {name: last, agent: ann}\n---\n";
    let stage = Stage::of(&[("flow", LINE), ("outer", outer)]).await;
    let failed = stage.run("outer").await;
    assert_eq!(failed["status"], "ERROR");
    stage.mend();
    let (_, done) = stage.go_on("outer", &failed, &[]).await;
    assert_eq!(done["content"], "ann read ann read bob read ann read it", "{done}");
    let two = "ann read it";
    assert_eq!(stage.asked(), ["it", two, two, "bob read ann read it", "ann read bob read ann read it"]);
}

#[tokio::test]
async fn a_step_that_asks_when_it_fails_is_tried_again_or_passed_over_as_somebody_decides() {
    let stage = Stage::of(&[("flow", ASKING)]).await;
    let paused = stage.run("flow").await;
    let [error] = &paused["error_requirements"].as_array().unwrap()[..] else { panic!("{paused}") };
    assert_eq!((&paused["status"], &paused["paused_step_name"]), (&json!("PAUSED"), &json!("two")));
    assert_eq!(
        (&error["step_id"], &error["retry_count"], &error["decision"]),
        (&json!("two"), &json!(0), &Value::Null)
    );
    assert!(error["error_message"].as_str().unwrap().contains("bob is ill"), "{error}");
    let wrong = [("error_requirements", r#"[{"step_id": "two", "decision": "dance"}]"#)];
    assert_eq!(stage.go_on("flow", &paused, &wrong).await.0, 400);

    let decided = |decision: &str| {
        let mut errors = paused["error_requirements"].clone();
        errors[0]["decision"] = json!(decision);
        errors.to_string()
    };
    let (_, again) = stage.go_on("flow", &paused, &[("error_requirements", &decided("retry"))]).await;
    assert_eq!(
        (&again["status"], &again["error_requirements"][0]["retry_count"]),
        (&json!("PAUSED"), &json!(1))
    );
    stage.mend();
    let undecided = again["error_requirements"].to_string();
    let mut steps = again["step_requirements"].clone();
    assert_eq!((&steps[0]["requires_confirmation"], &steps[0]["on_reject"]), (&json!(true), &json!("skip")));
    steps[0]["confirmed"] = json!(true);
    let steps = steps.to_string();
    let both = [("error_requirements", undecided.as_str()), ("step_requirements", steps.as_str())];
    let (_, done) = stage.go_on("flow", &paused, &both).await;
    assert_eq!(
        (&done["status"], &done["content"]),
        (&json!("COMPLETED"), &json!("bob read ann read it")),
        "{done}"
    );

    let other = Stage::of(&[("flow", ASKING)]).await;
    let paused = other.run("flow").await;
    let (_, done) = other.go_on("flow", &paused, &[("error_requirements", &decided("skip"))]).await;
    assert_eq!((&done["status"], &done["content"]), (&json!("COMPLETED"), &json!("ann read it")), "{done}");
}
