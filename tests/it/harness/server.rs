//! The real program on a free port, with folders of its own; it can be killed and started again.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use futures::{Stream, StreamExt};
use reqwest::{Method, RequestBuilder, Response};
use serde_json::Value;
use tempfile::TempDir;

use super::described;

/// The token of every test server.
pub(crate) const TOKEN: &str = "rh_a-token-for-tests-only";

/// Longest a test waits for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A program that serves, and what it stands on.
pub(crate) struct Server {
    child: Child,
    url: String,
    folder: TempDir,
    env: Vec<(String, String)>,
    client: reqwest::Client,
}

/// What a test server is given.
#[derive(Default)]
pub(crate) struct Setup {
    agents: Vec<(String, String)>,
    files: Vec<(String, String)>,
    config: String,
    env: Vec<(String, String)>,
}

impl Setup {
    /// One more agent: the file's stem, and the whole file.
    pub(crate) fn agent(mut self, id: &str, file: &str) -> Self {
        self.agents.push((id.into(), file.into()));
        self
    }

    /// One more file, below the server's folder.
    pub(crate) fn file(mut self, path: &str, content: &str) -> Self {
        self.files.push((path.into(), content.into()));
        self
    }

    /// Lines for the configuration.
    pub(crate) fn config(mut self, lines: &str) -> Self {
        self.config.push_str(lines);
        self.config.push('\n');
        self
    }

    /// One more variable of the environment.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// A provider named `test` at this address, and an agent named `plain` that uses it.
    pub(crate) fn model(self, base_url: &str) -> Self {
        self.config(&format!("[providers.test]\nkind = \"openai\"\nbase_url = \"{base_url}\"\ntries = 1"))
            .agent("plain", "---\nmodel: test/model\n---\nYou answer in words.\n")
    }

    /// Starts the program and waits until it is healthy.
    pub(crate) async fn start(self) -> Server {
        let folder = TempDir::new().unwrap();
        let agents = folder.path().join("agents");
        std::fs::create_dir(&agents).unwrap();
        for (id, file) in &self.agents {
            std::fs::write(agents.join(format!("{id}.md")), file).unwrap();
        }
        for (path, content) in &self.files {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        std::fs::write(folder.path().join("config.toml"), &self.config).unwrap();
        let (child, url) = launch(folder.path(), &self.env);
        let server = Server { child, url, folder, env: self.env, client: reqwest::Client::new() };
        server.healthy().await;
        server
    }
}

fn launch(folder: &Path, env: &[(String, String)]) -> (Child, String) {
    let log = std::fs::File::options().append(true).create(true).open(folder.join("log")).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_runhold"))
        .args(["serve", "--port", "0", "--config"])
        .arg(folder.join("config.toml"))
        .arg("--agents")
        .arg(folder.join("agents"))
        .arg("--data")
        .arg(folder.join("data"))
        .env("RUNHOLD_TOKEN", TOKEN)
        .env_remove("OPENAI_API_KEY")
        .envs(env.iter().cloned())
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let greeting = lines.next().unwrap_or_else(|| {
        let log = std::fs::read_to_string(folder.join("log")).unwrap_or_default();
        panic!("the server did not start: {log}")
    });
    let greeting = greeting.unwrap();
    let url = greeting.rsplit(' ').next().unwrap().to_owned();
    std::thread::spawn(move || lines.for_each(drop));
    (child, url)
}

impl Server {
    /// Where it is.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// A place of the test's own, gone with the server.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Ends it as a crash would: without a word.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Its process.
    #[allow(dead_code, reason = "the tests do not, the soak program does")]
    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to end, as a service manager does.
    pub(crate) fn terminate(&self) {
        let process = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(process, rustix::process::Signal::TERM).unwrap();
    }

    /// Its exit code, once it has ended; none if it was killed.
    pub(crate) async fn code(&mut self) -> Option<i32> {
        let ended = async {
            loop {
                if let Some(status) = self.child.try_wait().unwrap() {
                    return status.code();
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, ended).await.expect("the server to end")
    }

    /// Starts it again on the same folders, at another address.
    pub(crate) async fn restart(&mut self) {
        let (child, url) = launch(self.folder.path(), &self.env);
        (self.child, self.url) = (child, url);
        self.healthy().await;
    }

    async fn healthy(&self) {
        let health = self.client.get(format!("{}/health", self.url)).send().await.unwrap();
        assert_eq!(health.status(), 200);
    }

    /// What it logged so far.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// A request with the token.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url)).bearer_auth(TOKEN).timeout(PATIENCE)
    }

    /// Status and JSON of a GET.
    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        self.ask(Method::GET, self.request(Method::GET, path)).await
    }

    /// Status and JSON of a POST of JSON.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        self.ask(Method::POST, self.request(Method::POST, path).json(body)).await
    }

    /// Status and JSON of an answer, which is as its surface describes it.
    async fn ask(&self, method: Method, request: RequestBuilder) -> (u16, Value) {
        let response = request.send().await.unwrap();
        let url = response.url().clone();
        let (status, body) = answer(response).await;
        // Programs that measure use this too, and should measure the server alone.
        let is_theirs = cfg!(test) && url.path().starts_with("/v1/");
        if is_theirs && !url.path().starts_with("/v1/triage") {
            described::hold_everruns(&url, &method, status, &body).await;
        }
        (status, body)
    }

    /// Status and JSON of a form.
    pub(crate) async fn form(&self, path: &str, fields: &[(&str, &str)]) -> (u16, Value) {
        answer(self.send_form(path, fields).await).await
    }

    /// Sends a form.
    pub(crate) async fn send_form(&self, path: &str, fields: &[(&str, &str)]) -> Response {
        let body = serde_urlencoded::to_string(fields).unwrap();
        let request = self.request(Method::POST, path).body(body);
        request.header("content-type", "application/x-www-form-urlencoded").send().await.unwrap()
    }

    /// Waits until a run is over or waits for somebody; the run. `of` is its component, as in `agents/plain`.
    pub(crate) async fn at_rest(&self, of: &str, session: &str, run: &str) -> Value {
        self.run_without(&["PENDING", "RUNNING"], of, session, run).await
    }

    /// Waits until a run is over, whatever it waits for meanwhile; the run.
    pub(crate) async fn over(&self, of: &str, session: &str, run: &str) -> Value {
        self.run_without(&["PENDING", "RUNNING", "PAUSED"], of, session, run).await
    }

    async fn run_without(&self, statuses: &[&str], of: &str, session: &str, run: &str) -> Value {
        let path = format!("/{of}/runs/{run}?session_id={session}");
        let waiting = async {
            loop {
                let (status, body) = self.get(&path).await;
                assert_eq!(status, 200, "run {run} was accepted and is gone: {body}");
                if !statuses.contains(&body["status"].as_str().unwrap()) {
                    return body;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.expect("the run to come to rest")
    }

    /// Starts a streaming run and reads its events as they come.
    pub(crate) async fn stream(
        &self,
        agent: &str,
        fields: &[(&str, &str)],
    ) -> impl Stream<Item = Value> + Unpin + use<> {
        let response = self.send_form(&format!("/agents/{agent}/runs"), fields).await;
        assert_eq!(response.status(), 200);
        events(response)
    }
}

impl Drop for Server {
    #[expect(clippy::print_stderr, reason = "shown beside the failure of the test")]
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _gone = self.child.wait();
        if std::thread::panicking() {
            eprintln!("the server's log:\n{}", self.log());
        }
    }
}

/// Status and JSON of an answer; `null` where it has no body.
pub(crate) async fn answer(response: Response) -> (u16, Value) {
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    let json = if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap() };
    (status, json)
}

/// The events of an SSE answer; ends when the stream does, however it does.
pub(crate) fn events(response: Response) -> impl Stream<Item = Value> + Unpin + use<> {
    let bytes = Box::pin(response.bytes_stream());
    let state = (bytes, Vec::<u8>::new());
    Box::pin(futures::stream::unfold(state, |(mut bytes, mut text)| async move {
        loop {
            if let Some(end) = text.windows(2).position(|pair| pair == b"\n\n") {
                let frame: Vec<u8> = text.drain(..end + 2).collect();
                let frame = String::from_utf8(frame).unwrap();
                let data = frame.lines().find_map(|line| line.strip_prefix("data: "));
                if let Some(data) = data {
                    return Some((serde_json::from_str(data).unwrap(), (bytes, text)));
                }
                continue;
            }
            text.extend(bytes.next().await?.ok()?);
        }
    }))
}

/// Reads events up to and with the first of this kind.
pub(crate) async fn until(events: &mut (impl Stream<Item = Value> + Unpin), kind: &str) -> Vec<Value> {
    let mut seen = Vec::new();
    let reading = async {
        while let Some(event) = events.next().await {
            let found = event["event"] == kind;
            seen.push(event);
            if found {
                return;
            }
        }
        panic!("the stream ended without {kind}: {seen:#?}");
    };
    tokio::time::timeout(PATIENCE, reading).await.expect("an event in time");
    seen
}

/// All events to the end.
pub(crate) async fn to_end(events: impl Stream<Item = Value> + Unpin) -> Vec<Value> {
    tokio::time::timeout(PATIENCE, events.collect()).await.expect("an end in time")
}

/// The names of events, pieces that follow each other counted as one.
pub(crate) fn names(events: &[Value]) -> Vec<String> {
    let mut names: Vec<String> =
        events.iter().map(|event| event["event"].as_str().unwrap_or("?").to_owned()).collect();
    names.dedup_by(|next, before| next == before && next.ends_with("RunContent"));
    names
}

/// The text of all pieces together.
pub(crate) fn text(events: &[Value]) -> String {
    let pieces = events.iter().filter(|event| event["event"] == "RunContent");
    pieces.filter_map(|event| event["content"].as_str()).collect()
}
