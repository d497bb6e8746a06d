//! A provider without a model: OpenAI-compatible streams whose every byte is prepared before the first request.
//!
//! The request's model chooses: `plain` answers in twenty pieces; `tools` asks for a tool three times and then
//! answers; `paced` pauses between pieces; `hold` stops half way until somebody posts to `/release`.
//! Each piece is a write of its own, as a provider sends it.

use std::borrow::Cow;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::child::{announce, local};

/// Pieces of an answer.
pub(crate) const PIECES: usize = 20;
/// Times `tools` asks for a tool before it answers.
pub(crate) const TOOL_ROUNDS: usize = 3;

const HEAD: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
const DONE: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
const UNKNOWN: &[u8] = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n";

/// Serves until the process ends.
pub(crate) fn serve(pause: Duration) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let listener = TcpListener::bind(local(0)).await.expect("a port");
        announce(listener.local_addr().expect("an address"));
        let part = Arc::new(Part { script: Script::prepared(), pause, released: watch::Sender::new(0) });
        loop {
            // A client that is gone before it is accepted is nobody's loss.
            let Ok((stream, _)) = listener.accept().await else { continue };
            tokio::spawn(converse(stream, Arc::clone(&part)));
        }
    });
}

/// What every connection shares.
struct Part {
    script: Script,
    pause: Duration,
    released: watch::Sender<u64>,
}

/// Chunks of the wire, ready to be written.
struct Script {
    tool_rounds: Vec<Vec<Bytes>>,
    answer: Vec<Bytes>,
}

/// What is read of a request.
#[derive(Deserialize)]
struct Ask<'a> {
    #[serde(borrow)]
    model: Cow<'a, str>,
    #[serde(borrow)]
    messages: Vec<Said<'a>>,
}

#[derive(Deserialize)]
struct Said<'a> {
    #[serde(borrow)]
    role: Cow<'a, str>,
}

impl Ask<'_> {
    /// Results of tools since a person last spoke; earlier ones belong to earlier runs.
    fn rounds_done(&self) -> usize {
        self.messages
            .iter()
            .rev()
            .take_while(|said| said.role != "user")
            .filter(|said| said.role == "tool")
            .count()
    }
}

impl Script {
    fn prepared() -> Self {
        let mut answer = vec![choice(&json!({"role": "assistant", "content": ""}), None)];
        answer.extend((0..PIECES).map(|n| choice(&json!({"content": format!("word{n} ")}), None)));
        answer.push(last(&choice(&json!({}), Some("stop"))));
        Self { tool_rounds: (0..TOOL_ROUNDS).map(tool_round).collect(), answer }
    }
}

fn tool_round(round: usize) -> Vec<Bytes> {
    let call = json!({"index": 0, "id": format!("call_{round}"), "type": "function",
        "function": {"name": "add", "arguments": ""}});
    let arguments = json!({"index": 0, "function": {"arguments": "{\"a\":2,\"b\":3}"}});
    vec![
        choice(&json!({"role": "assistant", "content": null, "tool_calls": [call]}), None),
        choice(&json!({"tool_calls": [arguments]}), None),
        last(&choice(&json!({}), Some("tool_calls"))),
    ]
}

/// One frame with one choice, as a chunk.
fn choice(delta: &Value, finish: Option<&str>) -> Bytes {
    frame(&json!([{"index": 0, "delta": delta, "finish_reason": finish}]), &Value::Null)
}

fn frame(choices: &Value, usage: &Value) -> Bytes {
    let data = json!({"id": "chatcmpl-bench", "object": "chat.completion.chunk", "created": 1_700_000_000,
        "model": "bench", "choices": choices, "usage": usage});
    chunk(&format!("data: {data}\n\n"))
}

/// The frame with the finish, then the usage, the end mark, and the end of the body: one write.
fn last(finish: &Bytes) -> Bytes {
    let usage = json!({"prompt_tokens": 10, "completion_tokens": PIECES, "total_tokens": 10 + PIECES});
    let parts = [finish.clone(), frame(&json!([]), &usage), chunk("data: [DONE]\n\n"), "0\r\n\r\n".into()];
    parts.concat().into()
}

fn chunk(text: &str) -> Bytes {
    format!("{:x}\r\n{text}\r\n", text.len()).into()
}

async fn converse(mut stream: TcpStream, part: Arc<Part>) {
    // A client that goes away ends its conversation, nothing else.
    drop(stream.set_nodelay(true));
    let mut unread = BytesMut::new();
    while let Ok((line, body)) = request(&mut stream, &mut unread).await {
        let answered = if line.starts_with(b"POST /release") {
            part.released.send_modify(|times| *times += 1);
            stream.write_all(DONE).await
        } else {
            match serde_json::from_slice::<Ask<'_>>(&body) {
                Ok(ask) => answer(&mut stream, &part, &ask).await,
                Err(_) => stream.write_all(UNKNOWN).await,
            }
        };
        if answered.is_err() {
            return;
        }
    }
}

async fn answer(stream: &mut TcpStream, part: &Part, ask: &Ask<'_>) -> io::Result<()> {
    let mut released = part.released.subscribe();
    let pieces = match &*ask.model {
        "tools" => part.script.tool_rounds.get(ask.rounds_done()).unwrap_or(&part.script.answer),
        _ => &part.script.answer,
    };
    let paced = ask.model == "paced";
    let held = ask.model == "hold";
    stream.write_all(HEAD).await?;
    for (position, piece) in pieces.iter().enumerate() {
        // The chunk with the role and the first piece come at once, also from a slow model.
        if paced && position > 1 && position <= PIECES {
            tokio::time::sleep(part.pause).await;
        }
        if held && position == PIECES / 2 {
            released.changed().await.map_err(io::Error::other)?;
        }
        stream.write_all(piece).await?;
    }
    Ok(())
}

/// The request line and the body of the next request.
async fn request(stream: &mut TcpStream, unread: &mut BytesMut) -> io::Result<(BytesMut, BytesMut)> {
    loop {
        if let Some(end) = unread.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = unread.split_to(end);
            unread.advance(4);
            let length = content_length(&head);
            while unread.len() < length {
                fill(stream, unread).await?;
            }
            return Ok((head, unread.split_to(length)));
        }
        fill(stream, unread).await?;
    }
}

async fn fill(stream: &mut TcpStream, unread: &mut BytesMut) -> io::Result<()> {
    unread.reserve(4096);
    match stream.read_buf(unread).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}

fn content_length(head: &[u8]) -> usize {
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    head.lines()
        .find_map(|line| line.strip_prefix("content-length:"))
        .and_then(|length| length.trim().parse().ok())
        .unwrap_or(0)
}
