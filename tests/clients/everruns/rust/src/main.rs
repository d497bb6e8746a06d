//! Everruns' own Rust client, as it comes from the registry, against the server that EVERRUNS_API_URL names: its
//! README's quick start, a stream, a stream taken up again, a client's tool, files, the agent client, errors.

use std::error::Error as Failure;
use std::time::Duration;

use everruns_sdk::sse::StreamOptions;
use everruns_sdk::{
    AgentCapabilityConfig, AgentClient, ClientSideTool, ContentPart, CreateAgentRequest,
    CreateSessionRequest, Error, Everruns, InitialFile, MessageRole, SessionStatus, ToolDefinition,
};
use futures::StreamExt;
use serde_json::{Value, json};

type Done = Result<(), Box<dyn Failure>>;

const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Done {
    let client = Everruns::from_env()?;
    step("quick start", quick_start(&client)).await?;
    step("streaming", streaming(&client)).await?;
    step("a stream taken up again", taken_up(&client)).await?;
    step("a tool of the client", client_tool(&client)).await?;
    step("files", files(&client)).await?;
    step("what is listed and read", listed(&client)).await?;
    step("agents changed, copied, written out and read in", agents(&client)).await?;
    step("the agent client", agent_client()).await?;
    step("errors", errors(&client)).await?;
    step("what is not built", not_built(&client)).await
}

async fn step(name: &str, work: impl Future<Output = Done>) -> Done {
    println!("--- {name}");
    tokio::time::timeout(PATIENCE, work).await?
}

/// As in the README, but for the agent's name: this release refuses `Assistant` before anything is sent.
async fn quick_start(client: &Everruns) -> Done {
    let agent = client.agents().create("assistant", "You are a helpful assistant.").await?;
    let session =
        client.sessions().create_with_options(CreateSessionRequest::new().agent_id(&agent.id)).await?;
    assert_eq!(session.status, SessionStatus::Started);
    client.messages().create(&session.id, "Hello!").await?;
    until(client, &session.id, StreamOptions::default(), "turn.completed").await?;
    let messages = client.messages().list(&session.id).await?.data;
    assert_eq!(roles(&messages), [MessageRole::User, MessageRole::Agent]);
    Ok(())
}

async fn streaming(client: &Everruns) -> Done {
    let session = talk(client, "streamer", None).await?;
    client.messages().create(&session, "/slow 20").await?;
    let seen = until(client, &session, StreamOptions::default(), "turn.completed").await?;
    let expected: Vec<String> = (1..=20).map(|number| number.to_string()).collect();
    assert_eq!(text(&seen), expected.join(" "));
    let stored = client.events().list(&session).await?.data;
    let stored: Vec<&str> = stored.iter().map(|event| event.event_type.as_str()).collect();
    let seen: Vec<&str> = seen.iter().map(|(kind, ..)| kind.as_str()).collect();
    let shown: Vec<&str> = seen.iter().copied().filter(|kind| *kind != "output.message.delta").collect();
    assert_eq!(shown, stored[..shown.len()]);
    // The README's options: without deltas.
    let options = StreamOptions::default().with_exclude(vec!["output.message.delta".into()]);
    let without = until(client, &session, options, "turn.completed").await?;
    assert_eq!(without.iter().map(|(kind, ..)| kind.as_str()).collect::<Vec<_>>(), shown);
    Ok(())
}

async fn taken_up(client: &Everruns) -> Done {
    let session = talk(client, "streamer", None).await?;
    client.messages().create(&session, "/slow 30").await?;
    let mut seen = until(client, &session, StreamOptions::default(), "output.message.delta").await?;
    let cursor = seen.last().map(|(_, id, _)| id.clone()).unwrap_or_default();
    let options = StreamOptions::default().with_since_id(cursor);
    seen.extend(until(client, &session, options, "turn.completed").await?);
    let expected: Vec<String> = (1..=30).map(|number| number.to_string()).collect();
    assert_eq!(text(&seen), expected.join(" "));
    Ok(())
}

async fn client_tool(client: &Everruns) -> Done {
    let parameters = json!({"type": "object", "properties": {"unit": {"type": "string"}}});
    let tool = ClientSideTool::new("get_position", "Says where the client is", parameters);
    let session = talk(client, "navigator", Some(ToolDefinition::ClientSide(tool))).await?;
    client.messages().create(&session, "/call get_position {\"unit\": \"m\"}").await?;
    let mut events = client.events().stream(&session);
    let mut answered = false;
    while let Some(event) = events.next().await {
        let event = event?;
        let calls = event.tool_calls();
        if event.event_type == "tool.call_requested" && !calls.is_empty() {
            assert_eq!((calls[0].name, calls[0].arguments), ("get_position", &json!({"unit": "m"})));
            let result = ContentPart::tool_result(calls[0].id, json!({"x": 1}));
            let answer = client.messages().create_tool_results(&session, vec![result]).await?;
            assert_eq!(answer.accepted, 1);
            answered = true;
        }
        if event.event_type == "turn.completed" {
            break;
        }
    }
    assert!(answered);
    let messages = client.messages().list(&session).await?.data;
    let expected = [MessageRole::User, MessageRole::Agent, MessageRole::ToolResult, MessageRole::Agent];
    assert_eq!(roles(&messages), expected);
    Ok(())
}

async fn files(client: &Everruns) -> Done {
    let first = InitialFile::new("/workspace/README.md", "# Demo\n").encoding("text").is_readonly(true);
    client.agents().create("filer", "You file.").await?;
    let request = CreateSessionRequest::new().agent_name("filer").initial_files(vec![first]);
    let session = client.sessions().create_with_options(request).await?.id;
    let workspace = session.replace("session_", "wsp_");
    let files = client.workspace_files();
    assert_eq!(files.read(&workspace, "/README.md").await?.content.as_deref(), Some("# Demo\n"));
    files.create(&workspace, "/notes/welcome.md", "# Welcome\n", Some("text")).await?;
    files.create_dir(&workspace, "/empty").await?;
    files.update(&workspace, "/notes/welcome.md", "# Welcome\nYou.\n", None).await?;
    files.copy_file(&workspace, "/notes/welcome.md", "/notes/copy.md").await?;
    files.move_file(&workspace, "/notes/copy.md", "/moved.md").await?;
    let found = files.grep(&workspace, "^You", None).await?;
    let found: Vec<&str> = found.data.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(found, ["/moved.md", "/notes/welcome.md"]);
    assert_eq!(files.stat(&workspace, "/moved.md").await?.size_bytes, 15);
    let list = files.list(&workspace, None, Some(true)).await?.data;
    let list: Vec<&str> = list.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(list, ["/README.md", "/empty", "/moved.md", "/notes", "/notes/welcome.md"]);
    files.delete(&workspace, "/notes", Some(true)).await?;
    assert_eq!(status(files.read(&workspace, "/notes/welcome.md").await), Some(404));
    client.sessions().delete(&session).await?;
    Ok(())
}

async fn listed(client: &Everruns) -> Done {
    let capabilities = client.capabilities().list().await?.data;
    assert!(capabilities.iter().any(|one| one.id == "current_time"));
    client.capabilities().get("current_time").await?;
    let harnesses = client.harnesses().list().await?.data;
    client.harnesses().get(&harnesses[0].id).await?;
    let models = client.models().list().await?.data;
    client.models().get(&models[0].id).await?;
    let session = talk(client, "listed", None).await?;
    assert!(client.sessions().list().await?.data.iter().any(|one| one.id == session));
    client.sessions().get(&session).await?;
    client.sessions().cancel(&session).await?;
    client.sessions().delete(&session).await?;
    assert_eq!(status(client.sessions().get(&session).await), Some(404));
    Ok(())
}

async fn agents(client: &Everruns) -> Done {
    let agents = client.agents();
    let request = CreateAgentRequest::new("keeper", "You keep.")
        .capabilities(vec![AgentCapabilityConfig::new("current_time")]);
    let made = agents.create_with_options(request).await?;
    assert_eq!(agents.get(&made.id).await?.name, "keeper");
    assert_eq!(agents.apply(&made.id, "keeper", "You keep well.").await?.id, made.id);
    let copy = agents.copy(&made.id).await?;
    assert_ne!(copy.id, made.id);
    let written = agents.export(&made.id).await?;
    let read = agents.import(&written).await?;
    assert_eq!(read.system_prompt, "You keep well.");
    for id in [made.id, copy.id, read.id] {
        client.with_reason("no longer needed").agents().delete(&id).await?;
    }
    Ok(())
}

async fn agent_client() -> Done {
    let agent = AgentClient::from_env()?;
    agent.card().await?;
    let reply = agent.run("What can you do?", None).await?;
    assert!(!reply.is_empty());
    let alice = agent.for_end_user("customer-42");
    let session = alice.create_session(Some("Billing"), None).await?;
    alice.send_message(&session.id, "Where is my invoice?", Some("msg-key-1")).await?;
    alice.send_message(&session.id, "Where is my invoice?", Some("msg-key-1")).await?;
    assert!(!alice.run("And now?", Some(&session.id)).await?.is_empty());
    Ok(())
}

async fn errors(client: &Everruns) -> Done {
    let url = std::env::var("EVERRUNS_API_URL")?;
    let stranger = Everruns::with_base_url("evr_pat_of_nobody", &url)?;
    assert_eq!(status(stranger.agents().list().await), Some(401));
    let nobody = format!("agent_{}", "0".repeat(32));
    assert_eq!(status(client.agents().get(&nobody).await), Some(404));
    assert_eq!(status(client.agents().get("invalid-id").await), Some(400));
    Ok(())
}

/// What this server does not have is not there, and says so in a way the client reads.
async fn not_built(client: &Everruns) -> Done {
    let session = talk(client, "short-of-much", None).await?;
    let refused = [
        status(client.budgets().list(None, None).await),
        status(client.memories().list().await),
        status(client.connections().list().await),
        status(client.workspaces().list().await),
        status(client.sessions().budgets(&session).await),
    ];
    assert_eq!(refused, [Some(404); 5]);
    // The contract wants an agent, where today's service has one for those that name none.
    assert_eq!(status(client.sessions().create().await), Some(422));
    Ok(())
}

/// The status of a refusal that the client could read.
fn status<T>(answer: Result<T, Error>) -> Option<u16> {
    match answer {
        Err(Error::Api { status, code, .. }) if code != "unknown" => Some(status),
        _ => None,
    }
}

/// An agent, and a session of it.
async fn talk(client: &Everruns, name: &str, tool: Option<ToolDefinition>) -> Result<String, Error> {
    let mut request = CreateAgentRequest::new(name, "You do as you are told.");
    if let Some(tool) = tool {
        request = request.tools(vec![tool]);
    }
    let agent = client.agents().create_with_options(request).await?;
    let request = CreateSessionRequest::new().agent_id(&agent.id);
    Ok(client.sessions().create_with_options(request).await?.id)
}

type Seen = (String, String, Value);

/// Type, id and data of the events up to the first of this type.
async fn until(
    client: &Everruns,
    session: &str,
    options: StreamOptions,
    kind: &str,
) -> Result<Vec<Seen>, Box<dyn Failure>> {
    let mut events = client.events().stream_with_options(session, options);
    let mut seen = Vec::new();
    while let Some(event) = events.next().await {
        let event = event?;
        let is_last = event.event_type == kind;
        seen.push((event.event_type, event.id, event.data));
        if is_last {
            return Ok(seen);
        }
    }
    Err(format!("the stream ended without {kind}: {seen:?}").into())
}

/// What the deltas say.
fn text(seen: &[Seen]) -> String {
    let deltas = seen.iter().filter(|(kind, ..)| kind == "output.message.delta");
    deltas.filter_map(|(.., data)| data["delta"].as_str()).collect()
}

fn roles(messages: &[everruns_sdk::Message]) -> Vec<MessageRole> {
    messages.iter().map(|message| message.role.clone()).collect()
}
