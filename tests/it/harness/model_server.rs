//! An OpenAI-compatible provider that plays a script, and misbehaves where the script says so.
//!
//! It speaks HTTP by hand, because a real HTTP library would not let it break the rules. It also looks at what it is
//! asked: each tool call must be followed by its result, and nothing may be asked that the script has no line for.

mod playing;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use self::playing::Answer;

/// Nothing a test waits for takes this long.
const PATIENCE: Duration = Duration::from_secs(20);

/// One line of a script: what one request is answered with.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// Text in these pieces.
    Say(Vec<String>),
    /// Tool calls: name and arguments.
    Calls(Vec<(String, Value)>),
    /// Text, then tool calls.
    SayThenCalls(Vec<String>, Vec<(String, Value)>),
    /// These events as they are, then `[DONE]`.
    Events(Vec<Value>),
    /// These bytes as a stream's body, as they are.
    Raw(Vec<u8>),
    /// These bytes, and then nothing.
    RawThenHang(Vec<u8>),
    /// A failure: status, body, headers.
    Status(u16, String, Vec<(String, String)>),
    /// The connection is closed before anything is answered.
    Refuse,
    /// Nothing, for ever.
    HangBeforeHead,
    /// A head, and then nothing.
    HangBeforeFirstEvent,
    /// These pieces, and then nothing.
    HangMidStream(Vec<String>),
    /// These pieces, and then comments for ever.
    Drip(Vec<String>),
    /// These pieces, and then the connection breaks.
    CutStream(Vec<String>),
    /// A page for people, with status 200.
    Html200,
    /// These pieces and `[DONE]`, but no word of why it stopped.
    NoFinishReason(Vec<String>),
    /// These pieces, and then an event that is no JSON.
    Garbage(Vec<String>),
    /// A call of this tool with arguments that are no JSON.
    BadToolArguments(String),
    /// Pieces without end, at least so many bytes.
    HugeAnswer(usize),
    /// Text in pieces, with a pause before each.
    SlowPieces(Vec<String>, Duration),
    /// These pieces, then a wait for the gate, then this.
    Gated(Vec<String>, Gate, Vec<String>),
}

/// Text, cut into words.
pub(crate) fn says(text: &str) -> Reply {
    Reply::Say(words(text))
}

/// Tool calls: name and arguments.
pub(crate) fn calls<const N: usize>(calls: [(&str, Value); N]) -> Reply {
    Reply::Calls(calls.into_iter().map(|(name, arguments)| (name.into(), arguments)).collect())
}

/// A failure as OpenAI writes it.
pub(crate) fn fails(status: u16, code: &str, message: &str) -> Reply {
    Reply::Status(status, json!({"error": {"message": message, "code": code}}).to_string(), Vec::new())
}

/// A failure that asks for another try at once.
pub(crate) fn fails_for_now(status: u16, message: &str) -> Reply {
    let body = json!({"error": {"message": message}}).to_string();
    Reply::Status(status, body, vec![("retry-after".into(), "0".into())])
}

/// Words with the spaces after them.
pub(crate) fn words(text: &str) -> Vec<String> {
    text.split_inclusive(' ').map(Into::into).collect()
}

/// Holds an answer back until the test opens it.
#[derive(Debug, Clone)]
pub(crate) struct Gate(Arc<watch::Sender<bool>>);

impl Gate {
    /// A closed gate.
    pub(crate) fn closed() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }

    /// Lets the answer go on.
    pub(crate) fn open(&self) {
        self.0.send_replace(true);
    }

    async fn passed(&self) {
        self.0.subscribe().wait_for(|open| *open).await.unwrap();
    }
}

/// One request, as it came.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// As in `/v1/chat/completions`.
    pub(crate) path: String,
    /// Names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    /// The body.
    pub(crate) body: Value,
}

type Answering = Box<dyn FnMut(&Request) -> Option<Reply> + Send>;

struct Book {
    script: Answering,
    requests: Vec<Request>,
    violations: Vec<String>,
}

struct Shared {
    book: Mutex<Book>,
    asked: watch::Sender<usize>,
    hung_up: watch::Sender<usize>,
    left: watch::Sender<usize>,
}

/// The server; it ends when this is dropped.
pub(crate) struct ModelServer {
    shared: Arc<Shared>,
    address: std::net::SocketAddr,
    task: JoinHandle<()>,
}

impl ModelServer {
    /// Plays the lines in order, one for each request.
    pub(crate) async fn start(script: impl IntoIterator<Item = Reply>) -> Self {
        let mut lines: VecDeque<Reply> = script.into_iter().collect();
        let left = lines.len();
        let server = Self::play(Box::new(move |_| lines.pop_front())).await;
        server.shared.left.send_replace(left);
        server
    }

    /// Decides on each request.
    pub(crate) async fn answering(mut decide: impl FnMut(&Request) -> Reply + Send + 'static) -> Self {
        Self::play(Box::new(move |request| Some(decide(request)))).await
    }

    /// Says half of each answer, and the rest when the gate is open.
    pub(crate) async fn holding(gate: &Gate) -> Self {
        let gate = gate.clone();
        Self::answering(move |_| Reply::Gated(words("Half"), gate.clone(), words("whole."))).await
    }

    async fn play(script: Answering) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let book = Book { script, requests: Vec::new(), violations: Vec::new() };
        let shared = Arc::new(Shared {
            book: Mutex::new(book),
            asked: watch::Sender::new(0),
            hung_up: watch::Sender::new(0),
            left: watch::Sender::new(0),
        });
        let task = tokio::spawn(accept(listener, shared.clone()));
        Self { shared, address, task }
    }

    /// The base URL, with `/v1`.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// The bodies of all requests so far.
    pub(crate) fn requests(&self) -> Vec<Value> {
        self.whole_requests().into_iter().map(|request| request.body).collect()
    }

    /// All requests so far, with their headers.
    pub(crate) fn whole_requests(&self) -> Vec<Request> {
        self.shared.book.lock().unwrap().requests.clone()
    }

    /// Forgets the requests so far, which would fill the memory of a long trial.
    #[allow(dead_code, reason = "the tests do not, the soak program does")]
    pub(crate) fn forget(&self) {
        self.shared.book.lock().unwrap().requests.clear();
    }

    /// Waits until so many requests came.
    pub(crate) async fn wait_for_requests(&self, count: usize) {
        reaches(&self.shared.asked, count, "requests").await;
    }

    /// Waits until so many clients closed their connection before their answer was over.
    pub(crate) async fn wait_for_hang_ups(&self, count: usize) {
        reaches(&self.shared.hung_up, count, "clients that hung up").await;
    }

    /// Fails the test if a request was wrong or unexpected, or a line of the script was not used.
    pub(crate) fn assert_clean(&self) {
        let violations = self.shared.book.lock().unwrap().violations.clone();
        assert_eq!(violations, Vec::<String>::new());
        let left = *self.shared.left.borrow();
        assert_eq!(left, 0, "lines of the model's script were not used");
    }
}

impl Drop for ModelServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn reaches(counter: &watch::Sender<usize>, count: usize, what: &str) {
    let mut seen = counter.subscribe();
    let reached = tokio::time::timeout(PATIENCE, seen.wait_for(|seen| *seen >= count)).await;
    assert!(reached.is_ok(), "waited in vain for {count} {what}, got {}", *counter.borrow());
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((socket, _)) = listener.accept().await {
        let shared = shared.clone();
        connections.spawn(async move {
            if converse(socket, &shared).await.is_err() {
                shared.hung_up.send_modify(|count| *count += 1);
            }
        });
    }
}

/// One request and its answer; an error is a client that went away.
async fn converse(mut socket: TcpStream, shared: &Shared) -> io::Result<()> {
    let Some(request) = read_request(&mut socket).await? else { return Ok(()) };
    let reply = {
        let mut book = shared.book.lock().unwrap();
        let number = book.requests.len() + 1;
        let mut found: Vec<_> =
            violations(&request.body).map(|what| format!("request {number}: {what}")).collect();
        book.violations.append(&mut found);
        let reply = (book.script)(&request);
        if reply.is_none() {
            book.violations.push(format!("request {number}: the script has no line for it"));
        }
        book.requests.push(request);
        reply
    };
    shared.left.send_modify(|left| *left = left.saturating_sub(1));
    let number = shared.book.lock().unwrap().requests.len();
    shared.asked.send_replace(number);
    let mut answer = Answer { socket, number };
    answer.give(reply.unwrap_or_else(|| fails(400, "script_over", "the script is over"))).await
}

async fn read_request(socket: &mut TcpStream) -> io::Result<Option<Request>> {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at;
        }
        if socket.read_buf(&mut bytes).await? == 0 {
            return Ok(None);
        }
    };
    let mut body = bytes.split_off(head_end + 4);
    let head = String::from_utf8(bytes).unwrap();
    let (first, fields) = head.split_once("\r\n").unwrap_or((&head, ""));
    let fields = fields.lines().filter_map(|line| line.split_once(':'));
    let headers: BTreeMap<String, String> =
        fields.map(|(name, value)| (name.to_lowercase(), value.trim().to_owned())).collect();
    let length: usize = headers.get("content-length").map_or(0, |text| text.parse().unwrap());
    while body.len() < length {
        if socket.read_buf(&mut body).await? == 0 {
            return Ok(None);
        }
    }
    let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
    Ok(Some(Request { path, headers, body: serde_json::from_slice(&body).unwrap_or(Value::Null) }))
}

/// What is wrong with a question: each call of an assistant's message must be answered by the messages after it.
fn violations(body: &Value) -> impl Iterator<Item = String> {
    let mut found = Vec::new();
    let mut open = BTreeSet::new();
    for message in body["messages"].as_array().into_iter().flatten() {
        let role = message["role"].as_str().unwrap_or_default();
        if role == "tool" {
            let id = message["tool_call_id"].as_str().unwrap_or_default();
            if !open.remove(id) {
                found.push(format!("a result for `{id}`, which was not called"));
            }
            continue;
        }
        found
            .extend(std::mem::take(&mut open).into_iter().map(|id| format!("no result for the call `{id}`")));
        for call in message["tool_calls"].as_array().into_iter().flatten() {
            let id = call["id"].as_str().unwrap_or_default().to_owned();
            if !open.insert(id.clone()) {
                found.push(format!("two calls `{id}` in one message"));
            }
        }
    }
    found.extend(open.into_iter().map(|id| format!("no result for the call `{id}`")));
    if body["messages"].as_array().is_none_or(Vec::is_empty) {
        found.push("no messages".into());
    }
    found.into_iter()
}
