//! Pauses with a deadline: who is asked may answer, and if nobody does, what was set for that case is the answer.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::model_server::{ModelServer, Reply, calls, says};
use crate::harness::server::{Server, Setup};

fn launcher(on_timeout: &str, within: &str) -> String {
    format!(
        "---\nmodel: test/ann\ntools:\n  - name: launch\n    description: Launches.\n    kind: process\n    \
         command: [sh, -c, 'echo launched >> ../launched; echo done']\n    \
         parameters: {{type: object, properties: {{}}}}\n    requires_confirmation: true\n    \
         answer_within: {within}\n    on_timeout: {on_timeout}\n---\nYou launch.\n"
    )
}

fn has_result(request: &Value) -> bool {
    request["messages"].as_array().unwrap().iter().any(|message| message["role"] == "tool")
}

async fn launches() -> ModelServer {
    ModelServer::answering(|request| {
        if has_result(&request.body) { says("So it went.") } else { calls([("launch", json!({}))]) }
    })
    .await
}

/// Asks, sees it pause, and waits for the end that comes by itself.
async fn left_alone(server: &Server, kind: &str, id: &str) -> Value {
    let fields = [("message", "Launch"), ("session_id", "s"), ("stream", "false")];
    let (status, paused) = server.form(&format!("/{kind}/{id}/runs"), &fields).await;
    assert_eq!((status, &paused["status"]), (200, &json!("PAUSED")), "{paused}");
    server.over(&format!("{kind}/{id}"), "s", paused["run_id"].as_str().unwrap()).await
}

#[tokio::test]
async fn a_call_nobody_agreed_to_in_time_is_rejected_and_the_model_is_told() {
    let model = launches().await;
    let server =
        Setup::default().model(&model.url()).agent("ann", &launcher("reject", "300ms")).start().await;
    let body = left_alone(&server, "agents", "ann").await;
    assert_eq!((&body["status"], &body["content"]), (&json!("COMPLETED"), &json!("So it went.")));
    assert_eq!(body["tools"][0]["result"], "A person rejected this call: nobody answered in time");
    assert!(!server.path("launched").exists());
}

#[tokio::test]
async fn silence_may_mean_yes() {
    let model = launches().await;
    let server =
        Setup::default().model(&model.url()).agent("ann", &launcher("approve", "300ms")).start().await;
    let body = left_alone(&server, "agents", "ann").await;
    assert_eq!(body["tools"][0]["result"], "done\n");
    assert_eq!(std::fs::read_to_string(server.path("launched")).unwrap(), "launched\n");
}

#[tokio::test]
async fn silence_may_end_the_run() {
    let model = launches().await;
    let server =
        Setup::default().model(&model.url()).agent("ann", &launcher("cancel", "300ms")).start().await;
    assert_eq!(left_alone(&server, "agents", "ann").await["status"], "CANCELLED");
    assert!(!server.path("launched").exists());
}

#[tokio::test]
async fn a_deadline_that_passed_while_the_server_was_down_is_kept_at_the_next_start() {
    let model = launches().await;
    let mut server =
        Setup::default().model(&model.url()).agent("ann", &launcher("approve", "1s")).start().await;
    let fields = [("message", "Launch"), ("session_id", "s"), ("stream", "false")];
    let (_, paused) = server.form("/agents/ann/runs", &fields).await;
    assert_eq!(paused["status"], "PAUSED");
    server.kill();
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    assert!(!server.path("launched").exists());
    server.restart().await;
    let body = server.over("agents/ann", "s", paused["run_id"].as_str().unwrap()).await;
    assert_eq!(body["tools"][0]["result"], "done\n");
}

#[tokio::test]
async fn a_deadline_below_a_team_is_kept_too() {
    let model = ModelServer::answering(|request| {
        match (request.body["model"].as_str().unwrap(), has_result(&request.body)) {
            ("leader", false) => Reply::Calls(vec![(
                "delegate_task_to_member".into(),
                json!({"member_id": "ann", "task": "Launch"}),
            )]),
            ("ann", false) => calls([("launch", json!({}))]),
            (name, _) => says(&format!("{name} is done.")),
        }
    })
    .await;
    let team = "---\nkind: team\nmodel: test/leader\nmembers: [ann]\n---\nYou lead.\n";
    let server = Setup::default()
        .model(&model.url())
        .agent("ann", &launcher("approve", "300ms"))
        .agent("crew", team)
        .start()
        .await;
    let body = left_alone(&server, "teams", "crew").await;
    assert_eq!((&body["status"], &body["content"]), (&json!("COMPLETED"), &json!("leader is done.")));
    assert_eq!(std::fs::read_to_string(server.path("launched")).unwrap(), "launched\n");
}

#[tokio::test]
async fn a_step_nobody_agreed_to_in_time_is_passed_over() {
    let model = ModelServer::answering(|request| says(&format!("{} spoke.", request.body["model"]))).await;
    let flow = "---\nkind: workflow\nsteps:\n  - {name: first, agent: plain}\n  \
                - {name: second, agent: plain, requires_confirmation: true, answer_within: 300ms}\n---\n";
    let server = Setup::default().model(&model.url()).agent("flow", flow).start().await;
    let body = left_alone(&server, "workflows", "flow").await;
    assert_eq!(body["status"], "COMPLETED", "{body}");
    assert_eq!(model.requests().len(), 1, "the second step was passed over");
}

#[tokio::test]
async fn a_person_chooses_among_the_answers_a_model_offers_and_the_model_reads_which() {
    let questions = json!({"questions": [
        {"question": "Which day?", "header": "Day", "options": [{"label": "Monday"}, {"label": "Friday", "description": "Late"}]},
        {"question": "Which extras?", "options": [{"label": "Tea"}, {"label": "Cake"}], "multi_select": true},
    ]});
    let model = ModelServer::answering(move |request| {
        if has_result(&request.body) { says("Booked.") } else { calls([("ask_user", questions.clone())]) }
    })
    .await;
    let agent = "---\nmodel: test/ann\ncapabilities: [ask_user]\n---\nYou book.\n";
    let mut server = Setup::default().model(&model.url()).agent("ann", agent).start().await;
    let fields = [("message", "Book"), ("session_id", "s"), ("stream", "false")];
    let (_, paused) = server.form("/agents/ann/runs", &fields).await;
    assert_eq!(paused["status"], "PAUSED", "{paused}");
    assert_eq!(
        paused["tools"][0]["user_feedback_schema"][0],
        json!({
            "question": "Which day?",
            "header": "Day",
            "options": [
                {"label": "Monday", "description": null, "selected": false},
                {"label": "Friday", "description": "Late", "selected": false},
            ],
            "multi_select": false,
            "selected_options": null,
        })
    );
    server.kill();
    server.restart().await;
    let path = format!("/agents/ann/runs/{}/continue", paused["run_id"].as_str().unwrap());
    let decided = async |day: Value| {
        let mut tools = paused["tools"].clone();
        tools[0]["user_feedback_schema"][0]["selected_options"] = day;
        tools[0]["user_feedback_schema"][1]["selected_options"] = json!(["Tea", "Cake"]);
        let tools = tools.to_string();
        server.form(&path, &[("session_id", "s"), ("stream", "false"), ("tools", &tools)]).await
    };
    for wrong in [json!(null), json!(["Sunday"]), json!(["Monday", "Friday"])] {
        assert_eq!(decided(wrong).await.0, 400);
    }
    let (status, body) = decided(json!(["Friday"])).await;
    assert_eq!((status, &body["content"]), (200, &json!("Booked.")), "{body}");
    let requests = model.requests();
    let told = requests[1]["messages"].as_array().unwrap().last().unwrap()["content"].clone();
    assert_eq!(
        told,
        r#"User feedback received: [{"question":"Which day?","selected":["Friday"]},{"question":"Which extras?","selected":["Tea","Cake"]}]"#
    );
    assert_eq!(body["tools"][0]["user_feedback_schema"][0]["options"][1]["selected"], true);
}
