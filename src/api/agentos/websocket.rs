//! Workflows over a WebSocket: the connection itself, its limits, and what is said on it.
//!
//! A socket watches runs and drives none: one that is idle, slow or gone costs its own place in the log and no more.

use std::time::Duration;

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use actix_ws::{AggregatedMessage, AggregatedMessageStream, CloseCode, CloseReason, Session};
use futures::stream::{LocalBoxStream, SelectAll};
use futures::{FutureExt, StreamExt, select_biased};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until, timeout};

use crate::access::Principal;
use crate::api::{ApiState, body};
use crate::domain::Object;

use super::websocket_actions;

/// Longest message of a client, in bytes; a longer one ends the connection.
const MAX_MESSAGE_BYTES: usize = 64 * 1024;

/// By then a client has said who it is.
const LOGIN_DEADLINE: Duration = Duration::from_secs(10);

/// Wrong tokens before the connection ends.
const MAX_WRONG_TOKENS: u32 = 3;

/// Runs one socket watches at a time.
pub(super) const MAX_WATCHED: usize = 16;

/// After such a silence the client is asked whether it is still there; after as much again it is not.
const SILENCE: Duration = Duration::from_secs(30);

/// A client that takes in nothing for so long is given up.
const WRITE_DEADLINE: Duration = Duration::from_secs(30);

/// What is said about a run, message by message; ends with what there is to say.
pub(super) type Watched = LocalBoxStream<'static, String>;

/// `GET /workflows/ws`
pub(super) async fn open(
    request: HttpRequest,
    payload: Payload,
    state: Data<ApiState>,
) -> Result<HttpResponse, actix_web::Error> {
    let (response, session, messages) = actix_ws::handle(&request, payload)?;
    let messages = messages
        .max_frame_size(MAX_MESSAGE_BYTES)
        .aggregate_continuations()
        .max_continuation_size(MAX_MESSAGE_BYTES);
    let socket = Socket { session, state, token: None, wrong_tokens: 0, watched: SelectAll::new() };
    actix_web::rt::spawn(socket.serve(messages));
    Ok(response)
}

/// One connection.
struct Socket {
    session: Session,
    state: Data<ApiState>,
    /// What the client showed; looked at again with every action, for it may have been revoked.
    token: Option<Vec<u8>>,
    wrong_tokens: u32,
    watched: SelectAll<Watched>,
}

/// The connection is over, and why, if the client is to be told.
struct Over(Option<CloseReason>);

fn over(code: CloseCode, why: &str) -> Over {
    Over(Some(CloseReason { code, description: Some(why.into()) }))
}

/// What came next.
enum Next {
    Message(AggregatedMessage),
    Told(String),
    Silence,
    /// The server lets go of what is still going; whoever watches was told.
    LetGo,
    Gone,
}

impl Socket {
    async fn serve(mut self, mut messages: AggregatedMessageStream) {
        let Over(reason) = match self.talk(&mut messages).await {
            Ok(never) => match never {},
            Err(over) => over,
        };
        // The client may be gone already.
        let _ = timeout(WRITE_DEADLINE, self.session.close(reason)).await;
    }

    async fn talk(
        &mut self,
        messages: &mut AggregatedMessageStream,
    ) -> Result<std::convert::Infallible, Over> {
        let connected = json!({
            "event": "connected", "message": "Connected to workflow events", "requires_auth": true,
        });
        self.say(connected.to_string()).await?;
        let login = Instant::now() + LOGIN_DEADLINE;
        let (mut silent_until, mut is_asked) = (Instant::now() + SILENCE, false);
        loop {
            let wake = if self.token.is_none() { login.min(silent_until) } else { silent_until };
            match self.next(messages, wake).await {
                Next::Gone => return Err(Over(None)),
                Next::LetGo => return Err(over(CloseCode::Away, "the server is stopping")),
                Next::Told(text) => self.say(text).await?,
                Next::Message(message) => {
                    (silent_until, is_asked) = (Instant::now() + SILENCE, false);
                    self.hear(message).await?;
                }
                Next::Silence if self.token.is_none() && Instant::now() >= login => {
                    return Err(over(CloseCode::Policy, "nobody authenticated"));
                }
                Next::Silence if is_asked => return Err(Over(None)),
                Next::Silence => {
                    (silent_until, is_asked) = (Instant::now() + SILENCE, true);
                    written(self.session.ping(b"")).await?;
                }
            }
        }
    }

    async fn next(&mut self, messages: &mut AggregatedMessageStream, wake: Instant) -> Next {
        let mut timer = std::pin::pin!(sleep_until(wake).fuse());
        let watched = &mut self.watched;
        // A set without streams is always at its end; then there is nothing to wait for.
        let mut told = std::pin::pin!(
            async move {
                match watched.next().await {
                    Some(text) => text,
                    None => std::future::pending().await,
                }
            }
            .fuse()
        );
        let mut message = std::pin::pin!(messages.recv().fuse());
        let mut let_go = std::pin::pin!(self.state.runtime.let_go().fuse());
        select_biased! {
            message = message => match message {
                Some(Ok(message)) => Next::Message(message),
                Some(Err(_)) | None => Next::Gone,
            },
            text = told => Next::Told(text),
            () = let_go => Next::LetGo,
            () = timer => Next::Silence,
        }
    }

    async fn hear(&mut self, message: AggregatedMessage) -> Result<(), Over> {
        match message {
            AggregatedMessage::Text(text) => self.answer(&text).await,
            AggregatedMessage::Binary(_) => self.fail("messages must be text").await,
            AggregatedMessage::Ping(bytes) => written(self.session.pong(&bytes)).await,
            AggregatedMessage::Pong(_) => Ok(()),
            AggregatedMessage::Close(reason) => Err(Over(reason)),
        }
    }

    async fn answer(&mut self, text: &str) -> Result<(), Over> {
        let message: Object = match serde_json::from_str(text) {
            Ok(Value::Object(message)) => message,
            Ok(_) => return self.fail("messages must be JSON objects").await,
            Err(_) => return self.fail("Invalid JSON").await,
        };
        let whole = Value::Object(message);
        if body::check(&whole).is_err() {
            return self.fail("messages must not hold NUL or be nested too deep").await;
        }
        let Value::Object(message) = whole else { return Ok(()) };
        let action = message.get("action").and_then(Value::as_str).unwrap_or_default().to_owned();
        if action == "authenticate" {
            return self.authenticate(&message).await;
        }
        let Some(principal) = self.principal() else {
            let error = "Authentication required. Send an authenticate action with a valid token.";
            return self.say(json!({ "event": "auth_required", "error": error }).to_string()).await;
        };
        if action == "ping" {
            return self.say(json!({ "event": "pong" }).to_string()).await;
        }
        if self.watched.len() >= MAX_WATCHED {
            return self.fail("this connection watches too many runs").await;
        }
        match websocket_actions::act(&self.state, &principal.owner, &action, message).await {
            Ok(watched) => self.watched.push(watched),
            Err(error) => self.fail(&error).await?,
        }
        Ok(())
    }

    fn principal(&self) -> Option<Principal> {
        self.state.tokens.verify(self.token.as_deref()?)
    }

    async fn authenticate(&mut self, message: &Object) -> Result<(), Over> {
        let token = message.get("token").and_then(Value::as_str).unwrap_or_default();
        if self.state.tokens.verify(token.as_bytes()).is_some() {
            self.token = Some(token.as_bytes().to_vec());
            let message = "Authentication successful. You can now send commands.";
            return self.say(json!({ "event": "authenticated", "message": message }).to_string()).await;
        }
        self.wrong_tokens += 1;
        let error = "Invalid authentication token";
        self.say(json!({ "event": "auth_error", "error": error, "error_type": "invalid_token" }).to_string())
            .await?;
        if self.wrong_tokens >= MAX_WRONG_TOKENS {
            return Err(over(CloseCode::Policy, "too many wrong tokens"));
        }
        Ok(())
    }

    async fn fail(&mut self, error: &str) -> Result<(), Over> {
        self.say(json!({ "event": "error", "error": error }).to_string()).await
    }

    async fn say(&mut self, text: String) -> Result<(), Over> {
        written(self.session.text(text)).await
    }
}

/// Waits until there is room for what is written, but not for ever.
async fn written(writing: impl Future<Output = Result<(), actix_ws::Closed>>) -> Result<(), Over> {
    match timeout(WRITE_DEADLINE, writing).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) | Err(_) => Err(Over(None)),
    }
}
