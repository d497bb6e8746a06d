//! The program as a user meets it: at its start, at its end, on the command line.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use reqwest::{Client, StatusCode};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::model_server::{Gate, ModelServer, Reply, says, words};
use crate::harness::server::{PATIENCE, events, to_end, until};

const DEMO: &str = "---\nname: Demo\n---\nYou help.\n";

/// A folder with an agent and a configuration, as a user has it.
fn folder(config: &str, agents: &[(&str, &str)]) -> TempDir {
    let folder = TempDir::new().unwrap();
    std::fs::create_dir(folder.path().join("agents")).unwrap();
    for (name, text) in agents {
        std::fs::write(folder.path().join("agents").join(name), text).unwrap();
    }
    std::fs::write(folder.path().join("runhold.toml"), config).unwrap();
    folder
}

/// The program in that folder, with nothing of this machine's environment that could matter.
fn runhold(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_runhold"));
    command.args(arguments).current_dir(folder).env("RUNHOLD_CONFIG", "runhold.toml");
    command.env_remove("RUNHOLD_TOKEN").env_remove("OPENAI_API_KEY").stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn run(folder: &Path, arguments: &[&str]) -> Output {
    runhold(folder, arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A program that serves in a folder.
struct Serving {
    child: Child,
    url: String,
    /// The token it showed, if it made one.
    token: Option<String>,
}

impl Serving {
    fn start(folder: &Path) -> Self {
        let mut child = runhold(folder, &["serve", "--port", "0"]).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(|line| line.unwrap());
        let mut greeting = Vec::new();
        for line in lines.by_ref() {
            greeting.push(line);
            if greeting.last().is_some_and(|line| line.contains("/docs")) {
                break;
            }
        }
        std::thread::spawn(move || lines.for_each(drop));
        let url = greeting.first().expect("a greeting").rsplit(' ').next().unwrap().to_owned();
        let token = greeting.iter().find(|line| line.starts_with("Token (shown this once"));
        let token = token.map(|line| line.rsplit(' ').next().unwrap().to_owned());
        Self { child, url, token }
    }

    fn terminate(&self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
    }

    /// Its exit code, once it has ended.
    async fn code(&mut self) -> Option<i32> {
        let waiting = async {
            loop {
                if let Some(status) = self.child.try_wait().unwrap() {
                    return status.code();
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.expect("the program to end")
    }

    async fn status(&self, token: &str) -> StatusCode {
        let request = Client::new().get(format!("{}/agents", self.url)).bearer_auth(token);
        request.send().await.unwrap().status()
    }

    /// Waits until a token is taken, or is no longer.
    async fn until_status(&self, token: &str, status: StatusCode) {
        let waiting = async {
            while self.status(token).await != status {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), waiting).await.expect("the token to count in time");
    }

    async fn start_run(&self, token: &str) -> reqwest::Response {
        let request = Client::new().post(format!("{}/agents/demo/runs", self.url)).bearer_auth(token);
        let form = request.header("content-type", "application/x-www-form-urlencoded");
        form.body("message=Hello&stream=true").send().await.unwrap()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}

#[tokio::test]
async fn a_second_program_on_the_same_data_is_told_who_has_it() {
    let folder = folder("", &[("demo.md", DEMO)]);
    let first = Serving::start(folder.path());
    let second = run(folder.path(), &["serve", "--port", "0"]);
    let expected = format!("the data folder data is in use by process {}", first.child.id());
    assert_eq!(second.status.code(), Some(1));
    assert!(text(&second.stderr).contains(&expected), "{}", text(&second.stderr));
}

#[tokio::test]
async fn a_program_that_is_told_to_end_while_idle_ends_well() {
    for signal in [Signal::TERM, Signal::INT] {
        let folder = folder("", &[("demo.md", DEMO)]);
        let mut server = Serving::start(folder.path());
        kill_process(Pid::from_child(&server.child), signal).unwrap();
        assert_eq!(server.code().await, Some(0));
    }
}

#[tokio::test]
async fn a_program_that_is_told_to_end_gives_a_run_its_time_and_takes_no_new_one() {
    let gate = Gate::closed();
    let model = ModelServer::start([Reply::Gated(words("Half an "), gate.clone(), words("answer."))]).await;
    let config = format!(
        "default_model = \"test/model\"\n[providers.test]\nkind = \"openai\"\nbase_url = \"{}\"\n",
        model.url()
    );
    let folder = folder(&config, &[("demo.md", DEMO)]);
    let mut server = Serving::start(folder.path());
    let token = server.token.clone().unwrap();
    let mut stream = events(server.start_run(&token).await);
    until(&mut stream, "RunContent").await;
    server.terminate();
    let waiting = async {
        while server.start_run(&token).await.status() != StatusCode::SERVICE_UNAVAILABLE {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect("new runs to be refused");
    gate.open();
    let rest = to_end(stream).await;
    assert_eq!(rest.last().unwrap()["event"], "RunCompleted");
    assert_eq!(rest.last().unwrap()["content"], "Half an answer.");
    assert_eq!(server.code().await, Some(0));
}

#[tokio::test]
async fn a_run_that_hangs_does_not_keep_the_program_from_ending_and_goes_on_at_the_next_start() {
    let model = ModelServer::start([Reply::HangMidStream(words("Half an ")), says("A whole answer.")]).await;
    let config = format!(
        "default_model = \"test/model\"\n[runs]\ndrain_seconds = 1\n[providers.test]\nkind = \"openai\"\n\
         base_url = \"{}\"\n",
        model.url()
    );
    let folder = folder(&config, &[("demo.md", DEMO)]);
    let mut server = Serving::start(folder.path());
    let token = server.token.clone().unwrap();
    let mut stream = events(server.start_run(&token).await);
    let seen = until(&mut stream, "RunContent").await;
    server.terminate();
    assert_eq!(server.code().await, Some(0));
    drop(stream);
    let again = Serving::start(folder.path());
    let id = |name: &str| seen[0][name].as_str().unwrap().to_owned();
    let path = format!("{}/agents/demo/runs/{}?session_id={}", again.url, id("run_id"), id("session_id"));
    let waiting = async {
        loop {
            let answer = Client::new().get(&path).bearer_auth(&token).send().await.unwrap();
            let body: Value = answer.json().await.unwrap();
            if body["status"] != "RUNNING" {
                return body;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let body = tokio::time::timeout(PATIENCE, waiting).await.expect("the run to end");
    assert_eq!((&body["status"], &body["content"]), (&json!("COMPLETED"), &json!("A whole answer.")));
    model.assert_clean();
}

#[test]
fn a_wrong_agent_file_is_refused_with_its_place() {
    let bad = "---\nname: Bad\nmodle: scripted/demo\n---\nYou help.\n";
    let folder = folder("", &[("bad.md", bad)]);
    for command in ["check", "serve"] {
        let refused = run(folder.path(), &[command]);
        assert_eq!(refused.status.code(), Some(1), "{command}");
        assert!(text(&refused.stderr).contains("agents/bad.md:3:1:"), "{command}: {}", text(&refused.stderr));
    }
}

#[test]
fn a_wrong_key_of_the_configuration_is_refused_with_its_place() {
    let folder = folder("name = \"Mine\"\nprot = 1\n", &[("demo.md", DEMO)]);
    for command in ["check", "serve"] {
        let refused = run(folder.path(), &[command]);
        assert_eq!(refused.status.code(), Some(1), "{command}");
        let told = text(&refused.stderr);
        assert!(told.contains("runhold.toml:2:1:") && told.contains("prot"), "{command}: {told}");
    }
}

#[test]
fn good_files_are_counted() {
    let folder = folder("", &[("demo.md", DEMO)]);
    let checked = run(folder.path(), &["check"]);
    assert_eq!(text(&checked.stdout), "OK: 1 agent, 0 teams, 0 workflows in agents\n");
    assert_eq!(checked.status.code(), Some(0));
}

#[test]
fn the_help_names_every_command() {
    let folder = folder("", &[]);
    let help = text(&run(folder.path(), &["--help"]).stdout);
    for command in ["serve", "check", "chat", "token", "export", "import", "verify", "schema"] {
        assert!(
            help.lines().any(|line| line.trim_start().starts_with(&format!("{command} "))),
            "{command}: {help}"
        );
    }
}

#[test]
fn schemas_are_json() {
    let folder = folder("", &[]);
    for what in ["config", "agent"] {
        let schema: Value = serde_json::from_slice(&run(folder.path(), &["schema", what]).stdout).unwrap();
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    }
}

fn holds(folder: &Path, secret: &str) -> bool {
    folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).any(|path| {
        if path.is_dir() {
            return holds(&path, secret);
        }
        let bytes = std::fs::read(path).unwrap_or_default();
        bytes.windows(secret.len()).any(|part| part == secret.as_bytes())
    })
}

#[tokio::test]
async fn the_first_start_shows_a_token_that_works_and_is_kept_nowhere() {
    let folder = folder("", &[("demo.md", DEMO)]);
    let mut server = Serving::start(folder.path());
    let token = server.token.clone().unwrap();
    assert_eq!(server.status(&token).await, StatusCode::OK);
    assert_eq!(server.status("rh_another").await, StatusCode::UNAUTHORIZED);
    assert!(!holds(&folder.path().join("data"), &token));
    server.terminate();
    server.code().await;
    let again = Serving::start(folder.path());
    assert_eq!(again.token, None);
    assert_eq!(again.status(&token).await, StatusCode::OK);
}

#[tokio::test]
async fn tokens_are_made_listed_and_revoked_beside_a_running_server() {
    let folder = folder("", &[("demo.md", DEMO)]);
    let server = Serving::start(folder.path());
    let made = run(folder.path(), &["token", "new", "ci"]);
    let token = text(&made.stdout).trim().to_owned();
    server.until_status(&token, StatusCode::OK).await;
    let listed = text(&run(folder.path(), &["token", "list"]).stdout);
    assert!(listed.lines().any(|line| line.starts_with("ci\tdefault\t…")), "{listed}");
    assert!(!listed.contains(&token) && !holds(&folder.path().join("data"), &token));
    let revoked = run(folder.path(), &["token", "revoke", "ci"]);
    assert_eq!(revoked.status.code(), Some(0));
    server.until_status(&token, StatusCode::UNAUTHORIZED).await;
    assert_eq!(run(folder.path(), &["token", "revoke", "nobody"]).status.code(), Some(1));
}

fn chat(folder: &Path, input: &str) -> Output {
    let mut child = runhold(folder, &["chat", "demo"]).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let mut output = Output { status: Default::default(), stdout: vec![], stderr: vec![] };
    child.stdout.take().unwrap().read_to_end(&mut output.stdout).unwrap();
    child.stderr.take().unwrap().read_to_end(&mut output.stderr).unwrap();
    output.status = child.wait().unwrap();
    output
}

#[test]
fn a_conversation_can_be_piped() {
    let folder = folder("", &[("demo.md", DEMO)]);
    let talked = chat(folder.path(), "Hello\nAnd again\n");
    assert_eq!(talked.status.code(), Some(0), "{}", text(&talked.stderr));
    let said = text(&talked.stdout);
    assert_eq!(said.matches("\n> ").count(), 3, "{said}");
    assert!(said.contains("Go on later with: runhold chat demo --session "), "{said}");
}

#[tokio::test]
async fn a_conversation_is_possible_while_a_server_has_the_data_but_is_not_kept() {
    let folder = folder("", &[("demo.md", DEMO)]);
    let _server = Serving::start(folder.path());
    let talked = chat(folder.path(), "Hello\n");
    assert_eq!(talked.status.code(), Some(0), "{}", text(&talked.stderr));
    assert!(text(&talked.stderr).contains("this conversation is not kept"), "{}", text(&talked.stderr));
    assert!(!text(&talked.stdout).contains("Go on later"), "{}", text(&talked.stdout));
}

#[test]
fn an_open_address_without_a_token_is_refused() {
    let folder = folder("", &[("demo.md", DEMO)]);
    let refused = run(folder.path(), &["serve", "--host", "0.0.0.0", "--port", "0"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("needs a token"), "{}", text(&refused.stderr));
}

#[test]
fn a_port_that_is_taken_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let folder = folder("", &[("demo.md", DEMO)]);
    let refused = run(folder.path(), &["serve", "--port", &port]);
    assert_eq!(refused.status.code(), Some(1));
    let told = text(&refused.stderr);
    assert!(told.contains(&format!("cannot listen on 127.0.0.1:{port}")), "{told}");
}

#[test]
fn a_store_is_exported_imported_with_another_engine_and_verified() {
    let folder = folder("", &[("demo.md", DEMO)]);
    chat(folder.path(), "Hello\n");
    let exported = run(folder.path(), &["export", "all.jsonl"]);
    assert_eq!(exported.status.code(), Some(0), "{}", text(&exported.stderr));
    assert!(text(&exported.stderr).contains("tokens.json is not part of it"), "{}", text(&exported.stderr));
    std::fs::write(folder.path().join("redb.toml"), "[store.redb]\n").unwrap();
    let there = ["--config", "redb.toml", "--data", "there"];
    let imported = run(folder.path(), &[&["import", "all.jsonl"], &there[..]].concat());
    assert_eq!(imported.status.code(), Some(0), "{}", text(&imported.stderr));
    let verified = run(folder.path(), &[&["verify"], &there[..]].concat());
    assert_eq!(verified.status.code(), Some(0), "{}", text(&verified.stdout));
    assert!(text(&verified.stdout).starts_with("OK: 2 records and "), "{}", text(&verified.stdout));
    let again = run(folder.path(), &[&["export", "-"], &there[..]].concat());
    assert_eq!(again.stdout, std::fs::read(folder.path().join("all.jsonl")).unwrap());
    let refused = run(folder.path(), &[&["import", "all.jsonl"], &there[..]].concat());
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("there holds data already"), "{}", text(&refused.stderr));
}

#[test]
fn a_store_that_cannot_be_opened_is_told_in_a_sentence() {
    let folder = folder("", &[("demo.md", DEMO)]);
    chat(folder.path(), "Hello\n");
    let db = folder.path().join("data/sled/db");
    let mut bytes = std::fs::read(&db).unwrap();
    bytes.iter_mut().for_each(|byte| *byte ^= 1);
    std::fs::write(db, bytes).unwrap();
    for command in ["verify", "export", "serve"] {
        let arguments: &[&str] = if command == "export" { &["export", "-"] } else { &[command] };
        let refused = run(folder.path(), arguments);
        let told = text(&refused.stderr) + &text(&refused.stdout);
        assert_eq!(refused.status.code(), Some(1), "{command}: {told}");
        assert!(told.contains("damaged"), "{command}: {told}");
        assert!(!told.contains("panicked") && !told.contains("backtrace"), "{command}: {told}");
    }
}

#[tokio::test]
async fn a_store_that_a_server_has_is_not_exported_imported_or_verified() {
    let folder = folder("", &[("demo.md", DEMO)]);
    let server = Serving::start(folder.path());
    for arguments in [&["export", "-"][..], &["import", "-"], &["verify"]] {
        let refused = run(folder.path(), arguments);
        assert_eq!(refused.status.code(), Some(1));
        let told = format!("in use by process {}", server.child.id());
        assert!(text(&refused.stderr).contains(&told), "{}", text(&refused.stderr));
    }
}
