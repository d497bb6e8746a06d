//! One client at work: sessions created, patched and renamed, runs started and watched.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::StreamExt;
use reqwest::Method;
use serde_json::{Value, json};

use super::book::{Book, Mark};
use super::{Client, Told};
use crate::dice::Dice;
use crate::harness::server::events;

const RUNS: &str = "/agents/plain/runs";

/// What runs are asked to do: at once, in pieces, with a tool.
const MESSAGES: [&str; 4] = ["/say All is well.", "/slow 6", "/call add {\"a\": 2, \"b\": 3}", "/slow 2"];

/// A client that does one thing after the other, each session its own.
pub(super) struct Writer {
    pub(super) client: Client,
    pub(super) book: Arc<Book>,
    pub(super) dice: Dice,
    pub(super) name: String,
    pub(super) stop: Arc<AtomicBool>,
}

/// The program is gone.
struct Gone;

impl Writer {
    pub(super) async fn work(mut self) {
        let mut session: Option<(String, Mark)> = None;
        let mut chat = String::new();
        for step in 0_u64.. {
            if self.stop.load(Ordering::Relaxed) {
                return;
            }
            let done = if self.dice.chance(60) {
                if self.dice.chance(25) {
                    session = None;
                }
                self.change(&mut session, step).await
            } else {
                if chat.is_empty() || self.dice.chance(50) {
                    chat = format!("chat-{}-{step}", self.name);
                }
                self.run(&chat).await
            };
            if done.is_err() {
                return;
            }
        }
    }

    /// Creates a session, patches it, or renames it.
    async fn change(&mut self, session: &mut Option<(String, Mark)>, step: u64) -> Result<(), Gone> {
        let rename = self.dice.chance(30);
        let (id, mark, method, path, body) = match session.take() {
            None => {
                let id = format!("s-{}-{step}", self.name);
                let mut body = shape((0, 0));
                body["session_id"] = json!(id);
                (id, (0, 0), Method::POST, "/sessions".into(), body)
            }
            Some((id, (patches, renames))) if rename => {
                let mark = (patches, renames + 1);
                let path = format!("/sessions/{id}/rename");
                (id, mark, Method::POST, path, json!({"session_name": name(mark)}))
            }
            Some((id, (patches, _))) => {
                let path = format!("/sessions/{id}");
                (id, (patches + 1, 0), Method::PATCH, path, shape((patches + 1, 0)))
            }
        };
        self.book.try_session(&id, mark);
        match self.client.send(method, &path, &body).await {
            Told::Done(_) => {
                self.book.know_session(&id, mark);
                *session = Some((id, mark));
            }
            Told::Missing => panic!("{path}: the session is gone"),
            // Whether it happened is not known: nothing more is asked of this one.
            Told::Refused(_) => self.refused().await,
            Told::Gone => return Err(Gone),
        }
        Ok(())
    }

    /// A run, waited for, in the background, or watched.
    async fn run(&mut self, chat: &str) -> Result<(), Gone> {
        let message = MESSAGES[self.dice.below(MESSAGES.len() as u64) as usize];
        self.book.try_run(chat);
        let kind = self.dice.below(3);
        let mut fields = vec![("message", message), ("session_id", chat)];
        if kind == 2 {
            return self.watch(chat, &fields).await;
        }
        fields.push(("stream", "false"));
        if kind == 1 {
            fields.push(("background", "true"));
        }
        match self.client.form(RUNS, &fields).await {
            Told::Done(run) => {
                let content = (kind == 0 && run["status"] == "COMPLETED").then(|| run["content"].clone());
                self.book.know_run(chat, run["run_id"].as_str().unwrap(), |run| run.content = content);
                Ok(())
            }
            Told::Missing => panic!("the agent is gone"),
            Told::Refused(_) => {
                self.refused().await;
                Ok(())
            }
            Told::Gone => Err(Gone),
        }
    }

    async fn watch(&mut self, chat: &str, fields: &[(&str, &str)]) -> Result<(), Gone> {
        let response = match self.client.stream(RUNS, fields).await {
            Ok(response) => response,
            Err(Told::Refused(_)) => {
                self.refused().await;
                return Ok(());
            }
            Err(Told::Done(_) | Told::Missing | Told::Gone) => return Err(Gone),
        };
        let mut events = events(response);
        let mut whole = false;
        while let Some(event) = events.next().await {
            whole = ["RunCompleted", "RunError"].contains(&event["event"].as_str().unwrap());
            let id = event["run_id"].as_str().unwrap().to_owned();
            self.book.know_run(chat, &id, |run| run.events.push(event));
        }
        if whole { Ok(()) } else { Err(Gone) }
    }

    async fn refused(&self) {
        self.book.pages().refused += 1;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn name((patches, renames): Mark) -> String {
    format!("{patches}+{renames}")
}

/// A session's name, state and metadata, which say the same.
fn shape(mark: Mark) -> Value {
    let filling = "x".repeat(600 * (mark.0 % 7) as usize);
    json!({
        "session_name": name(mark),
        "session_state": {"n": mark.0, "filling": filling},
        "metadata": {"n": mark.0},
    })
}
