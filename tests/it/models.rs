//! Models: what the adapter makes of a provider that behaves, and of one that does not.

mod answers;
mod faults;
mod leniency;
mod patience;
mod scripted;

use std::time::Duration;

use futures::StreamExt;
use runhold::domain::fact::{Failure, Piece};
use runhold::domain::message::{Finish, Input, Media, MediaKind, MediaSource, Message, ModelCall, Usage};
use runhold::domain::tool::{Effect, Gate as ToolGate, ToolCall, ToolSpec};
use runhold::llm::openai::{BadProvider, OpenAi, OpenAiConfig};
use runhold::llm::secret::Secret;
use runhold::llm::{Chunk, Model, Patience};
use serde_json::{Value, json};

use crate::harness::model_server::{
    Gate, ModelServer, Reply, Request, calls, fails, fails_for_now, says, words,
};

const KEY: &str = "a-key-nobody-may-see";

/// All that came of asking.
#[derive(Debug, PartialEq)]
struct Heard {
    pieces: Vec<Piece>,
    end: Result<Chunk, Failure>,
}

fn question(text: &str) -> ModelCall {
    conversation(vec![Message::User { input: Input { text: text.into(), media: Vec::new(), extra: None } }])
}

fn conversation(messages: Vec<Message>) -> ModelCall {
    let model = "acme/large".parse().unwrap();
    ModelCall { model, messages, tools: Vec::new(), output_schema: None, reasoning_effort: None }
}

fn tool(name: &str, parameters: Value) -> ToolSpec {
    ToolSpec {
        name: name.into(),
        description: format!("Does {name}."),
        parameters,
        effect: Effect::Pure,
        timeout: Duration::from_secs(1),
        gate: ToolGate::default(),
    }
}

fn call(id: &str, name: &str, arguments: &str) -> ToolCall {
    ToolCall { id: id.parse().unwrap(), name: name.into(), arguments: arguments.into() }
}

fn result(call: &ToolCall, content: &str) -> Message {
    Message::Tool {
        call: call.id.clone(),
        name: call.name.clone(),
        content: content.into(),
        images: vec![],
        error: false,
    }
}

fn provider(server: &ModelServer, patience: Patience) -> OpenAi {
    let api_key = Some(Secret::new(KEY));
    OpenAi::new(OpenAiConfig { api_key, patience, ..OpenAiConfig::at(&server.url()) }).unwrap()
}

async fn hear(model: &dyn Model, call: ModelCall) -> Heard {
    let mut pieces = Vec::new();
    let mut answer = match model.answer(call).await {
        Ok(answer) => answer,
        Err(failure) => return Heard { pieces, end: Err(failure) },
    };
    loop {
        match answer.next().await.expect("an answer ends with Done or an error") {
            Ok(Chunk::Piece(piece)) => pieces.push(piece),
            end => {
                assert_eq!(answer.next().await, None, "nothing comes after the end");
                return Heard { pieces, end };
            }
        }
    }
}

/// Plays one script for one question.
async fn play(script: impl IntoIterator<Item = Reply>, patience: Patience) -> Heard {
    let server = ModelServer::start(script).await;
    let heard = hear(&provider(&server, patience), question("Hello?")).await;
    server.assert_clean();
    heard
}

async fn play_events(events: impl IntoIterator<Item = Value>) -> Heard {
    play([Reply::Events(events.into_iter().collect())], Patience::default()).await
}

fn texts(text: &str) -> Vec<Piece> {
    words(text).into_iter().map(Piece::Text).collect()
}

fn done(tool_calls: Vec<ToolCall>, finish: Finish) -> Result<Chunk, Failure> {
    let usage = Usage { input: 20, output: 10, reasoning: 2, cache_read: 4, cache_write: 0 };
    Ok(Chunk::Done { tool_calls, finish, usage, id: Some("chatcmpl-1".into()) })
}

fn uncounted(tool_calls: Vec<ToolCall>, finish: Finish) -> Result<Chunk, Failure> {
    let id = Some("chatcmpl-1".into());
    Ok(Chunk::Done { tool_calls, finish, usage: Usage::default(), id })
}

fn provider_error(what: &str) -> Failure {
    Failure::new("model_provider_error", format!("model provider `acme` {what}"))
}

fn timed_out(what: &str) -> Failure {
    Failure::new("model_timeout", format!("model provider `acme` {what}")).retryable()
}

fn truncated() -> Failure {
    let what = "ended its answer without saying that it was complete";
    Failure::new("truncated", format!("model provider `acme` {what}")).retryable()
}

fn delta(delta: Value) -> Value {
    json!({"choices": [{"delta": delta}]})
}

fn finish(reason: &str) -> Value {
    json!({"choices": [{"delta": {}, "finish_reason": reason}]})
}

fn short(first_byte: u64, idle: u64) -> Patience {
    let (first_byte, idle) = (Duration::from_millis(first_byte), Duration::from_millis(idle));
    Patience { first_byte, idle, ..Patience::default() }
}
