//! Teams through the real program, as clients of AgentOS see them: one stream, one object, one place to decide.

use futures::StreamExt;
use serde_json::{Value, json};

use crate::harness::model_server::{ModelServer, Request, calls, says};
use crate::harness::server::{Server, Setup, events, names, to_end, until};

const ANN: &str = "\
---
model: test/ann
tools:
  - name: delete
    description: Deletes a file.
    kind: external
    requires_confirmation: false
    parameters: {type: object, required: [path], properties: {path: {type: string}}}
---
You are Ann.
";

const NEWS: &str = "---\nname: News\nkind: team\nmodel: test/leader\nmembers: [ann]\n---\nYou lead.\n";

fn has_result(request: &Request) -> bool {
    request.body["messages"].as_array().unwrap().iter().any(|message| message["role"] == "tool")
}

/// The leader asks Ann, who may have to call her tool first.
async fn newsroom(deletes: bool) -> (Server, ModelServer) {
    let model = ModelServer::answering(move |request| {
        match (request.body["model"].as_str().unwrap(), has_result(request)) {
            ("leader", false) => {
                calls([("delegate_task_to_member", json!({"member_id": "ann", "task": "Tidy up"}))])
            }
            ("ann", false) if deletes => calls([("delete", json!({"path": "x"}))]),
            ("ann", _) => says("Tidy."),
            _ => says("All is tidy."),
        }
    })
    .await;
    let server = Setup::default().model(&model.url()).agent("ann", ANN).agent("news", NEWS).start().await;
    (server, model)
}

async fn streamed(server: &Server, path: &str, fields: &[(&str, &str)]) -> Vec<Value> {
    to_end(events(server.send_form(path, fields).await)).await
}

const FIELDS: [(&str, &str); 2] = [("message", "Tidy up"), ("session_id", "s")];

#[tokio::test]
async fn the_teams_stream_holds_its_members_events_and_counts_them_all() {
    let (server, _model) = newsroom(false).await;
    let seen = streamed(&server, "/teams/news/runs", &FIELDS).await;
    assert_eq!(
        names(&seen),
        [
            "TeamRunStarted",
            "TeamModelRequestStarted",
            "TeamModelRequestCompleted",
            "TeamToolCallStarted",
            "RunStarted",
            "ModelRequestStarted",
            "RunContent",
            "ModelRequestCompleted",
            "RunContentCompleted",
            "RunCompleted",
            "TeamToolCallCompleted",
            "TeamModelRequestStarted",
            "TeamRunContent",
            "TeamModelRequestCompleted",
            "TeamRunContentCompleted",
            "TeamRunCompleted",
        ]
    );
    let indexes: Vec<u64> = seen.iter().map(|event| event["event_index"].as_u64().unwrap()).collect();
    assert_eq!(indexes, (0..seen.len() as u64).collect::<Vec<_>>());
    let (team, member) = (seen[0]["run_id"].as_str().unwrap(), &seen[4]);
    assert_eq!((&member["agent_id"], &member["parent_run_id"]), (&json!("ann"), &json!(team)));
    let last = seen.last().unwrap();
    assert_eq!(last["member_responses"][0]["content"], "Tidy.");

    let resumed = streamed(&server, &format!("/teams/news/runs/{team}/resume"), &[("session_id", "s")]).await;
    assert_eq!(resumed[0]["total_events"], seen.len());
    assert_eq!(resumed[1..], seen);
}

#[tokio::test]
async fn a_members_run_can_be_read_and_watched_by_its_own_name() {
    let (server, _model) = newsroom(false).await;
    let seen = streamed(&server, "/teams/news/runs", &FIELDS).await;
    let member = seen[4]["run_id"].as_str().unwrap().to_owned();
    let (status, body) = server.get(&format!("/agents/ann/runs/{member}?session_id=s")).await;
    assert_eq!(
        (status, &body["content"], &body["parent_run_id"]),
        (200, &json!("Tidy."), &seen[0]["run_id"])
    );
    let resumed =
        streamed(&server, &format!("/agents/ann/runs/{member}/resume"), &[("session_id", "s")]).await;
    assert_eq!(names(&resumed[1..]).first().map(String::as_str), Some("RunStarted"));
    assert_eq!(resumed[1]["event_index"], 0);
    assert_eq!(resumed.last().unwrap()["event"], "RunCompleted");
}

#[tokio::test]
async fn a_session_lists_the_team_and_its_members_and_tells_its_own_conversation_only() {
    let (server, _model) = newsroom(false).await;
    streamed(&server, "/teams/news/runs", &FIELDS).await;
    let (_, runs) = server.get("/sessions/s/runs?type=team").await;
    let runs = runs.as_array().unwrap();
    assert_eq!(runs.len(), 2);
    assert_eq!((&runs[0]["team_id"], &runs[0]["parent_run_id"]), (&json!("news"), &json!("")));
    assert_eq!((&runs[1]["agent_id"], &runs[1]["parent_run_id"]), (&json!("ann"), &runs[0]["run_id"]));
    let told = |run: &Value| names(run["events"].as_array().unwrap());
    assert_eq!(told(&runs[0]).len(), 14);
    assert_eq!(told(&runs[1]).first().map(String::as_str), Some("RunStarted"));
    assert_eq!(told(&runs[1]).last().map(String::as_str), Some("RunCompleted"));
    let (_, session) = server.get("/sessions/s?type=team").await;
    let said: Vec<_> =
        session["chat_history"].as_array().unwrap().iter().map(|said| &said["content"]).collect();
    assert_eq!(said, [&json!("Tidy up"), &Value::Null, &json!("All is tidy.")]);
}

#[tokio::test]
async fn what_a_member_waits_for_is_decided_at_the_team() {
    let (server, _model) = newsroom(true).await;
    let mut stream = events(server.send_form("/teams/news/runs", &FIELDS).await);
    let seen = until(&mut stream, "TeamRunPaused").await;
    assert!(stream.next().await.is_none());
    let paused = seen.last().unwrap();
    let run = paused["run_id"].as_str().unwrap();
    let mut requirements = paused["requirements"].clone();
    assert_eq!(requirements[0]["member_agent_id"], "ann");
    let path = format!("/teams/news/runs/{run}/continue");

    let wrong = server.form(&path, &[("session_id", "s"), ("requirements", "[")]).await;
    assert_eq!(wrong, (400, json!({"detail": "Invalid JSON in requirements field"})));
    let undecided = requirements.to_string();
    let (status, body) = server.form(&path, &[("session_id", "s"), ("requirements", &undecided)]).await;
    assert_eq!(status, 400, "{body}");
    let nowhere = server.form(&path, &[("requirements", &undecided)]).await;
    assert_eq!(nowhere, (400, json!({"detail": "session_id is required for this action"})));

    requirements[0]["external_execution_result"] = json!("gone");
    let decided = requirements.to_string();
    let more = streamed(&server, &path, &[("session_id", "s"), ("requirements", &decided)]).await;
    assert!(names(&more).contains(&"TeamRunContinued".to_owned()), "{:?}", names(&more));
    assert!(names(&more).contains(&"RunContinued".to_owned()), "{:?}", names(&more));
    assert_eq!(more[0]["event_index"], seen.len());
    let last = more.last().unwrap();
    assert_eq!((&last["event"], &last["content"]), (&json!("TeamRunCompleted"), &json!("All is tidy.")));

    let again = server.form(&path, &[("session_id", "s"), ("requirements", &decided)]).await;
    assert_eq!(again, (409, json!({"detail": "run is already completed"})));
}

#[tokio::test]
async fn a_paused_team_answers_as_an_object_and_goes_on_as_one() {
    let (server, _model) = newsroom(true).await;
    let fields = [FIELDS[0], FIELDS[1], ("stream", "false")];
    let (status, paused) = server.form("/teams/news/runs", &fields).await;
    assert_eq!((status, &paused["status"]), (200, &json!("PAUSED")));
    assert_eq!(paused["member_responses"][0]["status"], "PAUSED");
    let mut requirements = paused["requirements"].clone();
    requirements[0]["tool_execution"]["result"] = json!("gone");
    let path = format!("/teams/news/runs/{}/continue", paused["run_id"].as_str().unwrap());
    let decided = requirements.to_string();
    let fields = [("session_id", "s"), ("requirements", decided.as_str()), ("stream", "false")];
    let (status, whole) = server.form(&path, &fields).await;
    assert_eq!(
        (status, &whole["status"], &whole["content"]),
        (200, &json!("COMPLETED"), &json!("All is tidy."))
    );
    assert_eq!(whole["member_responses"][0]["tools"][0]["result"], "gone");
}
