//! What tests of MCP servers have in common: the servers, a model that calls what it is told to, and a word with them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::model_server::{ModelServer, calls, says};
use crate::harness::server::{PATIENCE, Server};

/// A key to seal secrets with.
pub(super) const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

/// Where the real servers' programs are, installed once from the npm registry as `tests/mcp/package.json` names them.
pub(super) fn installed(server: &str) -> PathBuf {
    static INSTALLING: Mutex<()> = Mutex::new(());
    let _one = INSTALLING.lock();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (wanted, folder) = (root.join("tests/mcp/package.json"), root.join("target/mcp-servers"));
    let wanted = std::fs::read_to_string(wanted).unwrap();
    std::fs::create_dir_all(&folder).unwrap();
    // Tests run as processes of their own, several at once.
    let lock = std::fs::File::create(folder.join("lock")).unwrap();
    lock.lock().unwrap();
    let done = folder.join("installed.json");
    if std::fs::read_to_string(&done).ok().as_ref() != Some(&wanted) {
        std::fs::write(folder.join("package.json"), &wanted).unwrap();
        let npm = Command::new("npm")
            .args(["install", "--no-audit", "--no-fund", "--loglevel=error"])
            .current_dir(&folder)
            .output();
        let npm = npm.expect("npm, which the tests of MCP need: install Node.js");
        assert!(npm.status.success(), "{}", String::from_utf8_lossy(&npm.stderr));
        std::fs::write(done, wanted).unwrap();
    }
    folder.join(format!("node_modules/@modelcontextprotocol/server-{server}/dist/index.js"))
}

/// Lines that configure a server.
pub(super) fn program(name: &str, command: &[&str], more: &str) -> String {
    format!("[mcp.{name}]\ncommand = {}\n{more}", json!(command))
}

/// Lines that configure the server that means no good, with this folder.
pub(super) fn hostile(folder: &Path, more: &str) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mcp/hostile.py");
    program("hostile", &["python3", script.to_str().unwrap(), folder.to_str().unwrap()], more)
}

/// An agent with the tools of these servers.
pub(super) fn agent(servers: &[&str]) -> String {
    let refs: String =
        servers.iter().map(|name| format!("  - {{ref: mcp, config: {{server: {name}}}}}\n")).collect();
    format!("---\nmodel: test/ann\ncapabilities:\n{refs}---\nYou use tools.\n")
}

/// A model that makes these calls, one after the other, and then says the last one's result.
pub(super) async fn calling(script: &[(&'static str, Value)]) -> ModelServer {
    let script = script.to_vec();
    ModelServer::answering(move |request| {
        let results = results(&request.body);
        match script.get(results.len()) {
            Some((name, arguments)) => calls([(*name, arguments.clone())]),
            None => says(&format!("At last: {}", results.last().map_or("", String::as_str))),
        }
    })
    .await
}

/// What the model was told of its calls since the user last spoke.
fn results(body: &Value) -> Vec<String> {
    let messages = body["messages"].as_array().unwrap();
    let asked = messages.iter().rposition(|message| message["role"] == "user").unwrap();
    let told = messages[asked..].iter().filter(|message| message["role"] == "tool");
    told.map(|message| message["content"].as_str().unwrap().to_owned()).collect()
}

/// The names of the tools the model was offered when it was last asked.
pub(super) fn offered(model: &ModelServer) -> Vec<String> {
    let last = model.requests().pop().unwrap();
    let tools = last["tools"].as_array().cloned().unwrap_or_default();
    tools.iter().map(|tool| tool["function"]["name"].as_str().unwrap().to_owned()).collect()
}

/// Runs the agent `ann` to its end; the run.
pub(super) async fn run(server: &Server) -> Value {
    let fields = [("message", "Go"), ("stream", "false")];
    let (status, run) = server.form("/agents/ann/runs", &fields).await;
    assert_eq!((status, &run["status"]), (200, &json!("COMPLETED")), "{run}");
    run
}

/// Waits until a server is connected, or whatever else it shall be; what is shown of it.
pub(super) async fn until(server: &Server, name: &str, connection: &str) -> Value {
    let waiting = async {
        loop {
            let shown = shown(server, name).await;
            if shown["connection"] == connection {
                return shown;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect("the MCP server to get there")
}

/// What is shown of a server.
pub(super) async fn shown(server: &Server, name: &str) -> Value {
    let (status, list) = server.get("/v1/mcp-servers").await;
    assert_eq!(status, 200, "{list}");
    list["data"].as_array().unwrap().iter().find(|one| one["name"] == name).unwrap().clone()
}
