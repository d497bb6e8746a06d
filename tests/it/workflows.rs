//! Workflows through the whole server: steps are runs like any other, and their outputs go from one to the next.

use serde_json::{Value, json};

use crate::harness::model_server::{ModelServer, says};
use crate::harness::server::Setup;

const FLOW: &str = "---
kind: workflow
steps:
  - {name: find, agent: ann}
  - name: check
    condition:
      if: \"'twice' in previous.content\"
      then: [{name: both, parallel: [{name: one, agent: ann}, {name: two, agent: bob}]}]
---
";

fn member(name: &str) -> String {
    format!("---\nmodel: test/{name}\n---\nYou are {name}.\n")
}

#[tokio::test]
async fn steps_are_runs_that_are_given_what_the_step_before_made() {
    let model = ModelServer::answering(|request| {
        says(&format!("{} read {} twice", request.body["model"].as_str().unwrap(), said(&request.body)))
    })
    .await;
    let server = Setup::default()
        .model(&model.url())
        .agent("ann", &member("ann"))
        .agent("bob", &member("bob"))
        .agent("flow", FLOW)
        .start()
        .await;
    let fields = [("message", "it"), ("session_id", "s"), ("stream", "false")];
    let (status, body) = server.form("/workflows/flow/runs", &fields).await;
    assert_eq!((status, &body["status"]), (200, &json!("COMPLETED")), "{body}");
    let told: Vec<String> = model.requests().iter().map(|request| said(request).to_owned()).collect();
    assert_eq!(told, ["it", "ann read it twice", "ann read it twice"]);
    model.assert_clean();
}

fn said(request: &Value) -> &str {
    request["messages"].as_array().unwrap().last().unwrap()["content"].as_str().unwrap()
}
