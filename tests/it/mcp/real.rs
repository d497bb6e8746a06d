//! The servers everybody begins with, as their makers publish them.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use serde_json::json;
use tempfile::TempDir;

use super::stage::{KEY, agent, calling, installed, offered, program, run, until};
use crate::harness::everruns::Talk;
use crate::harness::server::Setup;

#[tokio::test]
async fn the_file_system_server_reads_and_writes_over_stdio() {
    let script = installed("filesystem");
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("note.txt");
    let path = file.to_str().unwrap();
    let model = calling(&[
        ("mcp_files__write_file", json!({"path": path, "content": "from afar"})),
        ("mcp_files__read_text_file", json!({"path": path})),
    ])
    .await;
    let command = ["node", script.to_str().unwrap(), folder.path().to_str().unwrap()];
    let server = Setup::default()
        .model(&model.url())
        .config(&program("files", &command, ""))
        .agent("ann", &agent(&["files"]))
        .start()
        .await;
    until(&server, "files", "connected").await;
    let run = run(&server).await;
    assert_eq!(run["content"], "At last: from afar");
    assert_eq!(std::fs::read_to_string(file).unwrap(), "from afar");
}

#[tokio::test]
async fn the_everything_server_answers_over_stdio() {
    let script = installed("everything");
    let model = calling(&[
        ("mcp_all__echo", json!({"message": "hello"})),
        ("mcp_all__get-sum", json!({"a": 40, "b": 2})),
    ])
    .await;
    let server = Setup::default()
        .model(&model.url())
        .config(&program("all", &["node", script.to_str().unwrap(), "stdio"], ""))
        .agent("ann", &agent(&["all"]))
        .start()
        .await;
    until(&server, "all", "connected").await;
    let run = run(&server).await;
    assert_eq!(run["tools"][0]["result"], "Echo: hello");
    assert_eq!(run["tools"][1]["result"], "The sum of 40 and 2 is 42.");
}

/// A program that ends with the test.
struct Ends(Child);

impl Drop for Ends {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _gone = self.0.wait();
    }
}

fn everything(port: u16) -> Ends {
    let mut command = Command::new("node");
    command.arg(installed("everything")).arg("streamableHttp").env("PORT", port.to_string());
    Ends(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
}

#[tokio::test]
async fn a_server_added_over_the_api_answers_over_http_and_again_after_it_was_started_anew() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let first = everything(port);
    let model = calling(&[("mcp_my_tools__echo", json!({"message": "hello"}))]).await;
    let server = Setup::default()
        .model(&model.url())
        .config(&format!("[network]\nallow_private = [\"127.0.0.1:{port}\"]"))
        .config("[runs]\nqueue_depth = 4")
        .env("SECRETS_ENCRYPTION_KEY", KEY)
        .env("RUNHOLD_DEFAULT_MODEL", "test/ann")
        .start()
        .await;
    let body =
        json!({"name": "my tools", "url": format!("http://127.0.0.1:{port}/mcp"), "api_key": "k-123456"});
    let (status, added) = server.post("/v1/mcp-servers", &body).await;
    assert_eq!((status, &added["api_key_set"]), (201, &json!(true)), "{added}");
    // It may have been asked before it was there; a change of the server is a new beginning.
    let path = format!("/v1/mcp-servers/{}", added["id"].as_str().unwrap());
    let connected = async {
        loop {
            let change = json!({"description": "All there is"});
            server.request(reqwest::Method::PATCH, &path).json(&change).send().await.unwrap();
            tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
            if server.get(&path).await.1["connection"] == "connected" {
                return;
            }
        }
    };
    tokio::time::timeout(crate::harness::server::PATIENCE, connected).await.unwrap();

    let capability = json!({"capabilities": [{"ref": added["capability_id"]}]});
    let talk = Talk::with(&server, capability).await;
    talk.say(&server, "Go").await;
    talk.until_idle(&server).await;
    assert!(offered(&model).contains(&"mcp_my_tools__get-sum".into()), "{:?}", offered(&model));
    assert!(said(&talk.messages(&server).await).ends_with("At last: Echo: hello"));

    drop(first);
    let _second = everything(port);
    let listening = async {
        while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(crate::harness::server::PATIENCE, listening).await.unwrap();
    talk.say(&server, "Go").await;
    let idle = async {
        while talk.status(&server).await != "idle" || talk.messages(&server).await.len() < 8 {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(crate::harness::server::PATIENCE, idle).await.unwrap();
    assert!(said(&talk.messages(&server).await).ends_with("At last: Echo: hello"));
    assert!(!server.log().contains("k-123456"), "the key is in the log");
}

/// What was said last.
fn said(messages: &[serde_json::Value]) -> String {
    messages.last().unwrap()["content"][0]["text"].as_str().unwrap_or_default().to_owned()
}
