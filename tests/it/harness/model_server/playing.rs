//! How each line of a script sounds on the wire.

use std::io;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Gate, Reply};

/// One answer, being given.
pub(super) struct Answer {
    pub(super) socket: TcpStream,
    /// Of the request, from 1; part of the ids this answer gives out.
    pub(super) number: usize,
}

impl Answer {
    /// Plays one line; an error is a client that went away.
    #[expect(clippy::wildcard_enum_match_arm, reason = "all others are streams")]
    pub(super) async fn give(&mut self, reply: Reply) -> io::Result<()> {
        match reply {
            Reply::Refuse => Ok(()),
            Reply::HangBeforeHead => self.hang().await,
            Reply::Status(status, body, headers) => {
                self.plain(status, "application/json", &headers, &body).await
            }
            Reply::Html200 => self.plain(200, "text/html", &[], "<html><body>Sign in</body></html>").await,
            reply => {
                let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\
                            connection: close\r\n\r\n";
                self.socket.write_all(head.as_bytes()).await?;
                self.stream(reply).await
            }
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "all others misbehave")]
    async fn stream(&mut self, reply: Reply) -> io::Result<()> {
        match reply {
            Reply::Say(pieces) => self.say(&pieces).await?,
            Reply::Calls(calls) => return self.call(&calls).await,
            Reply::SayThenCalls(pieces, calls) => {
                self.say(&pieces).await?;
                return self.call(&calls).await;
            }
            Reply::Events(events) => {
                for event in &events {
                    self.event(event).await?;
                }
                return self.done().await;
            }
            Reply::SlowPieces(pieces, pause) => {
                for piece in pieces {
                    tokio::time::sleep(pause).await;
                    self.say(&[piece]).await?;
                }
            }
            Reply::Gated(before, gate, after) => {
                self.say(&before).await?;
                self.wait_at(&gate).await?;
                self.say(&after).await?;
            }
            reply => return self.misbehave(reply).await,
        }
        self.finish("stop").await
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "the others were seen to before")]
    async fn misbehave(&mut self, reply: Reply) -> io::Result<()> {
        match reply {
            Reply::Raw(bytes) => {
                self.chunk(&bytes).await?;
                self.last_chunk().await
            }
            Reply::RawThenHang(bytes) => {
                self.chunk(&bytes).await?;
                self.hang().await
            }
            Reply::HangBeforeFirstEvent => self.hang().await,
            Reply::HangMidStream(pieces) => {
                self.say(&pieces).await?;
                self.hang().await
            }
            Reply::Drip(pieces) => {
                self.say(&pieces).await?;
                self.drip().await
            }
            Reply::CutStream(pieces) => self.say(&pieces).await,
            Reply::NoFinishReason(pieces) => {
                self.say(&pieces).await?;
                self.done().await
            }
            Reply::Garbage(pieces) => {
                self.say(&pieces).await?;
                self.chunk(b"data: {\"choices\": [oops\n\n").await?;
                self.finish("stop").await
            }
            Reply::BadToolArguments(name) => {
                let id = format!("call_{}_0", self.number);
                let function = json!({"name": name, "arguments": "{\"a\": 1,,}"});
                self.call_delta(&json!({"index": 0, "id": id, "function": function})).await?;
                self.finish("tool_calls").await
            }
            Reply::HugeAnswer(bytes) => {
                let piece = "x".repeat(1000);
                for _ in 0..=bytes / piece.len() {
                    self.say(std::slice::from_ref(&piece)).await?;
                }
                self.finish("stop").await
            }
            other => unreachable!("{other:?} is no stream that misbehaves"),
        }
    }

    async fn plain(
        &mut self,
        status: u16,
        kind: &str,
        headers: &[(String, String)],
        body: &str,
    ) -> io::Result<()> {
        let mut head = format!("HTTP/1.1 {status} Scripted\r\ncontent-type: {kind}\r\nconnection: close\r\n");
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!("content-length: {}\r\n\r\n{body}", body.len()));
        self.socket.write_all(head.as_bytes()).await
    }

    async fn say(&mut self, pieces: &[String]) -> io::Result<()> {
        for piece in pieces {
            self.event(&delta(&json!({"content": piece}))).await?;
        }
        Ok(())
    }

    /// Each call in three events, as OpenAI does it: its name, and its arguments in two parts.
    async fn call(&mut self, calls: &[(String, Value)]) -> io::Result<()> {
        for (index, (name, arguments)) in calls.iter().enumerate() {
            let id = format!("call_{}_{index}", self.number);
            let function = json!({"name": name, "arguments": ""});
            self.call_delta(&json!({"index": index, "id": id, "type": "function", "function": function}))
                .await?;
            let text = arguments.to_string();
            let (one, two) = text.split_at(text.floor_char_boundary(text.len() / 2));
            for part in [one, two] {
                self.call_delta(&json!({"index": index, "function": {"arguments": part}})).await?;
            }
        }
        self.finish("tool_calls").await
    }

    async fn call_delta(&mut self, part: &Value) -> io::Result<()> {
        self.event(&delta(&json!({"tool_calls": [part]}))).await
    }

    async fn finish(&mut self, reason: &str) -> io::Result<()> {
        self.event(&json!({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})).await?;
        let usage = json!({
            "prompt_tokens": 20, "completion_tokens": 10, "total_tokens": 30,
            "prompt_tokens_details": {"cached_tokens": 4}, "completion_tokens_details": {"reasoning_tokens": 2},
        });
        self.event(&json!({"choices": [], "usage": usage})).await?;
        self.done().await
    }

    async fn done(&mut self) -> io::Result<()> {
        self.chunk(b"data: [DONE]\n\n").await?;
        self.last_chunk().await
    }

    async fn event(&mut self, event: &Value) -> io::Result<()> {
        let mut event = event.clone();
        if let Some(fields) = event.as_object_mut().filter(|fields| !fields.contains_key("id")) {
            fields.insert("id".into(), json!(format!("chatcmpl-{}", self.number)));
        }
        self.chunk(format!("data: {event}\n\n").as_bytes()).await
    }

    async fn chunk(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut chunk = format!("{:x}\r\n", bytes.len()).into_bytes();
        chunk.extend_from_slice(bytes);
        chunk.extend_from_slice(b"\r\n");
        self.socket.write_all(&chunk).await
    }

    async fn last_chunk(&mut self) -> io::Result<()> {
        self.socket.write_all(b"0\r\n\r\n").await
    }

    /// Says nothing until the client goes away, which is an error.
    async fn hang(&mut self) -> io::Result<()> {
        while self.socket.read(&mut [0; 64]).await? > 0 {}
        Err(io::ErrorKind::UnexpectedEof.into())
    }

    async fn drip(&mut self) -> io::Result<()> {
        loop {
            self.chunk(b": still here\n\n").await?;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn wait_at(&mut self, gate: &Gate) -> io::Result<()> {
        let opened = tokio::select! {
            gone = self.hang() => gone,
            () = gate.passed() => Ok(()),
        };
        opened
    }
}

fn delta(delta: &Value) -> Value {
    json!({"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": delta, "finish_reason": null}]})
}
