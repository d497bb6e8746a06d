//! Norm as clients see him, on a model that plays a script.

use serde_json::{Value, json};

use super::board::{Member, at, member};
use super::model_server::{ModelServer, Request};
use super::server::{PATIENCE, Server, Setup};

/// A board whose Norm asks this model, and an agent that may be mended.
pub(crate) async fn served(model: &ModelServer) -> (Server, Member) {
    let server = setup(model).start().await;
    let member = member(&server);
    (server, member)
}

/// The same, to be added to.
pub(crate) fn setup(model: &ModelServer) -> Setup {
    let support = "---\nname: Support\nmodel: test/model\n---\nRefunds take 90 days.\n";
    let setup = Setup::default().config("default_model = \"test/model\"");
    setup.model(&model.url()).agent("support", support)
}

pub(crate) fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("{name} of {value}"))
}

pub(crate) async fn session(member: &Member, issue: &Value) -> String {
    let (status, made) = member.post(&format!("{}/agent-sessions", at(issue)), json!({})).await;
    assert_eq!(status, 201, "{made}");
    text(&made["data"], "id").to_owned()
}

pub(crate) async fn prompted(member: &Member, issue: &Value, session: &str, detail: &str) -> Value {
    let path = format!("{}/agent-sessions/{session}/prompts", at(issue));
    let (status, made) = member.post(&path, json!({ "detail": detail })).await;
    assert_eq!((status, &made["errors"]), (202, &Value::Null), "{made}");
    made["data"].clone()
}

/// Waits until nothing goes on on an issue; the issue.
pub(crate) async fn quiet(member: &Member, issue: &Value) -> Value {
    let waiting = async {
        loop {
            let issue = member.data(&at(issue)).await;
            if issue["is_processing"] == false {
                return issue;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect("the run to be over")
}

/// The agent's entries, oldest first.
pub(crate) async fn entries(member: &Member, issue: &Value) -> Vec<Value> {
    member.items(&format!("{}/activity?order=asc&entry_kind=agent&limit=100", at(issue))).await
}

pub(crate) fn types(entries: &[Value]) -> Vec<&str> {
    entries.iter().map(|entry| text(entry, "type")).collect()
}

/// What a model is asked: its instructions, the last message of a person, and the results since.
pub(crate) struct Asked {
    pub(crate) system: String,
    pub(crate) snapshot: Value,
    pub(crate) user: String,
    pub(crate) results: Vec<String>,
}

pub(crate) fn asked(request: &Request) -> Asked {
    let messages = request.body["messages"].as_array().unwrap();
    let content = |message: &Value| message["content"].as_str().unwrap_or_default().to_owned();
    let last = messages.iter().rposition(|message| message["role"] == "user").unwrap();
    Asked {
        system: messages.first().filter(|first| first["role"] == "system").map(content).unwrap_or_default(),
        snapshot: messages
            .iter()
            .map(content)
            .find_map(|text| {
                text.split_once("<evidence_snapshot>\n")?
                    .1
                    .split_once("\n</evidence_snapshot>")
                    .map(|(json, _)| serde_json::from_str(json).unwrap())
            })
            .unwrap_or_default(),
        user: content(&messages[last]),
        results: messages[last..].iter().filter(|message| message["role"] == "tool").map(content).collect(),
    }
}

/// A document an issue is about.
pub(crate) async fn attached(member: &Member, issue: &Value, name: &str) -> String {
    let sent = json!({ "name": name, "kind": "prompt", "content": { "text": "Be rude." } });
    let (status, made) = member.post("/documents", sent).await;
    assert_eq!(status, 201, "{made}");
    let id = text(&made["data"], "id").to_owned();
    assert_eq!(member.put(&format!("{}/documents/{id}", at(issue))).await.0, 200);
    id
}
