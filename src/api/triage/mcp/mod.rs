//! The surface as tools: MCP over streamable HTTP, as much of it as a server needs that keeps no sessions, asks its
//! clients nothing and has nothing to tell them unasked.
//!
//! A request is answered with JSON, at once; there is no stream to open (`GET` is 405) and no session to end
//! (`DELETE` is 405). `rpc` is what messages are, `tools` what can be called.

mod rpc;
pub mod tools;

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::http::header::ORIGIN;
use actix_web::web::Data;
use actix_web::{FromRequest, HttpRequest, HttpResponse, HttpResponseBuilder};
use bytes::Bytes;
use futures::future::LocalBoxFuture;
use serde_json::{Value, json};

use self::rpc::{INVALID_PARAMS, INVALID_REQUEST, METHOD_NOT_FOUND, Message, PARSE_ERROR, Refusal, Request};
use self::tools::Tool;
use super::body::MAX_BYTES;
use super::member::Member;
use crate::api::body::{self, Limits};
use crate::api::caller::Caller;
use crate::api::once::OnceHeader;
use crate::api::problem::Problem;
use crate::api::{ApiState, is_allowed};
use crate::domain::Object;
use crate::triage::form::Word;

/// Versions of the protocol that are spoken, the newest first.
const VERSIONS: [&str; 3] = ["2025-11-25", "2025-06-18", BATCHING];

/// The version in which several messages may come at once; spoken by who does not say which.
const BATCHING: &str = "2025-03-26";

/// Where a client says which version was agreed on.
const VERSION: &str = "mcp-protocol-version";

/// Most messages that may come at once.
const MAX_BATCH: usize = 100;

/// What clients are told of the server.
const INSTRUCTIONS: &str = "The board of issues: what went wrong in calls, conversations and files, and what is done \
                            about it. A comment that mentions @norm sets the agent Norm to work on its issue; follow \
                            what he does with list_triage_activity.";

/// A body as it was sent.
#[derive(Debug)]
pub(super) struct Sent(Bytes);

impl FromRequest for Sent {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let bytes = body::read(request, payload, Limits::of(request).json_bytes.min(MAX_BYTES));
        Box::pin(async move { bytes.await.map(Self) })
    }
}

/// `POST /mcp`
pub(super) async fn serve(
    state: Data<ApiState>,
    caller: Caller,
    request: HttpRequest,
    Sent(bytes): Sent,
    key: OnceHeader,
) -> HttpResponse {
    let member = Member::new(&state, caller);
    // A page that was led here by its own name server says where it is from.
    let is_strange = |origin| !is_allowed(&state.origins, origin);
    if request.headers().get_all(ORIGIN).any(is_strange) {
        return broken(
            StatusCode::FORBIDDEN,
            &Value::Null,
            &Refusal::new(INVALID_REQUEST, "This origin may not call"),
        );
    }
    let sent: Value = match serde_json::from_slice(&bytes) {
        Ok(sent) => sent,
        Err(error) => {
            let refusal = Refusal::new(PARSE_ERROR, format!("The body is not JSON: {error}"));
            return broken(StatusCode::BAD_REQUEST, &Value::Null, &refusal);
        }
    };
    let version = match agreed(&request) {
        Ok(version) => version,
        // Which is spoken is what this asks.
        Err(_) if sent.get("method") == Some(&json!("initialize")) => BATCHING,
        Err(refusal) => return broken(StatusCode::BAD_REQUEST, &sent, &refusal),
    };
    if let Value::Array(messages) = sent {
        return several(&member, version, messages).await;
    }
    match Message::read(sent) {
        Ok(Message::Told) => HttpResponse::Accepted().finish(),
        Ok(Message::Request(request)) => HttpResponse::Ok().json(answer(&member, request, key).await),
        Err(told) => HttpResponse::BadRequest().json(told),
    }
}

/// The version of the protocol that was agreed on, as the client says.
fn agreed(request: &HttpRequest) -> Result<&'static str, Refusal> {
    let Some(said) = request.headers().get(VERSION) else { return Ok(BATCHING) };
    let known = VERSIONS.into_iter().find(|version| said.as_bytes() == version.as_bytes());
    known.ok_or_else(|| {
        let spoken = VERSIONS.join(", ");
        Refusal::new(INVALID_REQUEST, format!("MCP-Protocol-Version: must be one of {spoken}"))
    })
}

/// The answer to what is not acted on.
fn broken(status: StatusCode, sent: &Value, refusal: &Refusal) -> HttpResponse {
    HttpResponseBuilder::new(status).json(rpc::refused(&rpc::id_of(sent), refusal))
}

/// Messages that came at once: done in their order. No key can stand for all of them.
async fn several(member: &Member, version: &str, messages: Vec<Value>) -> HttpResponse {
    let refusal = if version != BATCHING {
        Some(format!("Version {version} of the protocol has one message to a request"))
    } else if messages.is_empty() || messages.len() > MAX_BATCH {
        Some(format!("1 to {MAX_BATCH} messages may come at once"))
    } else {
        None
    };
    if let Some(reason) = refusal {
        return broken(StatusCode::BAD_REQUEST, &Value::Null, &Refusal::new(INVALID_REQUEST, reason));
    }
    let mut answers = Vec::new();
    for message in messages {
        match Message::read(message) {
            Ok(Message::Told) => {}
            Ok(Message::Request(Request { id, method, .. })) if method == "initialize" => {
                let refusal = Refusal::new(INVALID_REQUEST, "initialize must come by itself");
                answers.push(rpc::refused(&id, &refusal));
            }
            Ok(Message::Request(request)) => {
                answers.push(answer(member, request, OnceHeader::none()).await);
            }
            Err(told) => answers.push(told),
        }
    }
    if answers.is_empty() { HttpResponse::Accepted().finish() } else { HttpResponse::Ok().json(answers) }
}

async fn answer(member: &Member, Request { id, method, params }: Request, key: OnceHeader) -> Value {
    let done = match method.as_str() {
        "initialize" => initialize(&params),
        "ping" => Ok(json!({})),
        "tools/list" => list(&params),
        "tools/call" => call(member, params, key).await,
        _ => Err(Refusal::new(METHOD_NOT_FOUND, format!("Method not found: {method}"))),
    };
    match done {
        Ok(result) => rpc::answered(&id, &result),
        Err(refusal) => rpc::refused(&id, &refusal),
    }
}

/// The version the client would speak if it is spoken here, else the newest.
fn initialize(params: &Object) -> Result<Value, Refusal> {
    let wanted = text(params, "protocolVersion")?;
    let version = VERSIONS.into_iter().find(|version| *version == wanted);
    let [newest, ..] = VERSIONS;
    Ok(json!({
        "protocolVersion": version.unwrap_or(newest),
        "capabilities": { "tools": {} },
        "serverInfo": { "name": "runhold-triage", "title": "Runhold triage", "version": env!("CARGO_PKG_VERSION") },
        "instructions": INSTRUCTIONS,
    }))
}

fn list(params: &Object) -> Result<Value, Refusal> {
    // All are on the first page.
    if params.get("cursor").is_some_and(|cursor| !cursor.is_null()) {
        return Err(Refusal::new(INVALID_PARAMS, "cursor: must be one that was given"));
    }
    Ok(json!({ "tools": Tool::ALL.iter().map(|(tool, _)| tool.described()).collect::<Vec<Value>>() }))
}

/// Does what a tool does. What goes wrong then is a result that says so, for models to read.
async fn call(member: &Member, mut params: Object, key: OnceHeader) -> Result<Value, Refusal> {
    let name = text(&params, "name")?;
    let tool = Tool::of(name);
    let tool = tool.ok_or_else(|| Refusal::new(INVALID_PARAMS, format!("Unknown tool: {name}")))?;
    let arguments = match params.remove("arguments") {
        None | Some(Value::Null) => Object::new(),
        Some(Value::Object(arguments)) => arguments,
        Some(_) => return Err(Refusal::new(INVALID_PARAMS, "arguments: must be an object")),
    };
    Ok(match tool.call(member.clone(), arguments, key).await {
        Ok(done) => {
            let data = done.into_data().unwrap_or_else(|| json!({ "removed": true }));
            result(&data.to_string(), &data, false)
        }
        Err(error) => {
            let told = error.told();
            result(told.message(), &told.object(), true)
        }
    })
}

fn result(text: &str, structured: &Value, is_error: bool) -> Value {
    json!({
        "content": [{ "type": "text", "text": text }],
        "structuredContent": structured,
        "isError": is_error,
    })
}

fn text<'a>(params: &'a Object, name: &str) -> Result<&'a str, Refusal> {
    match params.get(name) {
        Some(Value::String(text)) => Ok(text),
        None | Some(Value::Null) => Err(Refusal::new(INVALID_PARAMS, format!("{name}: required"))),
        Some(_) => Err(Refusal::new(INVALID_PARAMS, format!("{name}: must be a string"))),
    }
}
