//! Clients: they start, answer, cancel, change and delete, all at once, and some leave in the middle.

use std::sync::Arc;
use std::time::Duration;

use runhold::domain::fact::{Answer, Decision, RunOptions};
use runhold::domain::id::{CallId, SessionId};
use runhold::domain::message::Input;
use runhold::domain::run::{Answers, Command, NewSession, SessionPatch, StartRun};
use runhold::domain::spec::{ComponentKind, OnSecondMessage};
use runhold::domain::view::RunView;
use runhold::runtime::{Error, Runtime};
use serde_json::json;

use super::ledger::{End, What};
use super::world::{AGENTS, FLEETING, LASTING, World, owner};
use crate::dice::Dice;

/// One client of one process.
pub(super) struct Client {
    pub(super) name: String,
    pub(super) world: Arc<World>,
    pub(super) runtime: Runtime,
    pub(super) dice: Dice,
}

impl Client {
    /// Does this and that for a while.
    pub(super) async fn act(mut self) {
        let pause = self.dice.below(500) + 1;
        for _ in 0..self.dice.below(14) {
            let pause = self.dice.below(pause);
            tokio::time::sleep(Duration::from_millis(pause)).await;
            match self.dice.below(20) {
                0..9 => self.start().await,
                9 | 10 => self.cancel().await,
                11..15 => self.answer_somebody().await,
                15 => self.create().await,
                16 => self.delete().await,
                _ => self.change().await,
            }
        }
    }

    fn tell(&self, line: impl FnOnce() -> String) {
        self.world.story.tell(&self.name, line);
    }

    fn ask(&self, what: What) -> usize {
        self.tell(|| format!("{what:?}"));
        self.world.ledger.lock().unwrap().ask(what)
    }

    fn answered<T>(&self, number: usize, result: &Result<T, Error>) {
        let end = match result {
            Ok(_) => End::Done,
            // A server that stops may have done it, and not know.
            Err(Error::Unavailable(_) | Error::Internal) => End::Unknown,
            Err(_) => End::Refused,
        };
        self.tell(|| format!("is told {end:?}: {:?}", result.as_ref().err()));
        self.world.ledger.lock().unwrap().answered(number, end);
    }

    /// Waits for the answer, or leaves before it comes.
    async fn wait<T>(&mut self, answer: impl Future<Output = T>) -> Option<T> {
        if self.dice.chance(12) {
            let patience = Duration::from_millis(self.dice.below(5));
            return tokio::time::timeout(patience, answer).await.ok();
        }
        Some(answer.await)
    }

    fn session(&mut self) -> SessionId {
        let sessions = LASTING.len() as u64;
        let at = self.dice.below(sessions + 1);
        LASTING.get(at as usize).copied().unwrap_or(FLEETING).parse().unwrap()
    }

    async fn start(&mut self) {
        let session = if self.dice.chance(95) { Some(self.session()) } else { None };
        let number = self.world.ledger.lock().unwrap().requests.len();
        let input = format!("order {number}");
        let number =
            self.ask(What::Start { session: session.clone(), input: input.clone(), run: None, joined: None });
        let rule = match self.dice.below(10) {
            0 => Some(OnSecondMessage::Reject),
            1 | 2 => Some(OnSecondMessage::Interrupt),
            3 => Some(OnSecondMessage::Enqueue),
            4 | 5 => Some(OnSecondMessage::Steer),
            _ => None,
        };
        let agent = AGENTS[self.dice.below(AGENTS.len() as u64) as usize];
        let order = StartRun {
            kind: ComponentKind::Agent,
            component: agent.parse().unwrap(),
            session,
            user: None,
            input: Input { text: input, media: vec![], extra: None },
            options: RunOptions::default(),
            on_second_message: rule,
        };
        let runtime = self.runtime.clone();
        match self.wait(runtime.start(&owner(), order)).await {
            Some(Ok(started)) => {
                self.tell(|| {
                    format!(
                        "{number} is {}, queued: {}, joined: {:?}",
                        started.run, started.queued, started.joined
                    )
                });
                self.world.ledger.lock().unwrap().started(number, started);
            }
            Some(Err(error)) => self.answered::<()>(number, &Err(error)),
            None => self.tell(|| "leaves".into()),
        }
    }

    async fn cancel(&mut self) {
        let known = self.world.ledger.lock().unwrap().known_runs();
        if known.is_empty() {
            return;
        }
        // The latest are the ones that may still go.
        let latest = known.len().min(6) as u64;
        let (run, _) = &known[known.len() - 1 - self.dice.below(latest) as usize];
        let number = self.ask(What::Cancel(*run));
        let runtime = self.runtime.clone();
        let command = Command::Cancel { reason: format!("{} wants it", self.name) };
        let told = self.wait(runtime.tell(&owner(), *run, command)).await;
        if let Some(told) = told {
            self.answered(number, &told);
        }
    }

    async fn answer_somebody(&mut self) {
        let paused = self.world.paused();
        if !paused.is_empty() {
            let view = &paused[self.dice.below(paused.len() as u64) as usize];
            self.answer(view).await;
        }
    }

    /// Answers one of the calls a run waits for, or all of them.
    pub(super) async fn answer(&mut self, view: &RunView) {
        let mut calls = view.waiting.clone();
        if self.dice.chance(40) && calls.len() > 1 {
            calls = vec![calls.swap_remove(self.dice.below(calls.len() as u64) as usize)];
        }
        let number = self.world.ledger.lock().unwrap().requests.len();
        let answers: Vec<_> = calls.into_iter().map(|call| self.decide(call, number)).collect();
        let what = What::Answer { run: view.run, session: view.session.clone(), answers: answers.clone() };
        let number = self.ask(what);
        let runtime = self.runtime.clone();
        let told = self
            .wait(runtime.tell(&owner(), view.run, Command::Answer(Answers::of_calls(view.run, answers))))
            .await;
        if let Some(told) = told {
            self.answered(number, &told);
        }
    }

    fn decide(&mut self, call: CallId, number: usize) -> Answer {
        let note = format!("answer {number}");
        let decision = match self.dice.below(6) {
            0 => Decision::Rejected { note: Some(note) },
            1 => Decision::Executed { result: note },
            _ => {
                let values = json!({"note": note}).as_object().cloned().unwrap_or_default();
                Decision::Approved { values }
            }
        };
        Answer { call, decision }
    }

    async fn create(&mut self) {
        let session = self.session();
        let number = self.ask(What::Create(session.clone()));
        let runtime = self.runtime.clone();
        let new = NewSession { id: Some(session), ..NewSession::default() };
        if let Some(made) = self.wait(runtime.create_session(&owner(), new)).await {
            self.answered(number, &made);
        }
    }

    async fn delete(&mut self) {
        let session: SessionId = FLEETING.parse().unwrap();
        let number = self.ask(What::Delete(session.clone()));
        let runtime = self.runtime.clone();
        if let Some(gone) = self.wait(runtime.delete_session(&owner(), &session, None)).await {
            self.answered(number, &gone);
        }
    }

    /// Gives a session a name, or metadata.
    async fn change(&mut self) {
        let session = self.session();
        let number = self.world.ledger.lock().unwrap().requests.len();
        let text = format!("change {number}");
        let (what, patch) = if self.dice.chance(50) {
            let patch = SessionPatch { title: Some(text.clone()), ..SessionPatch::default() };
            (What::Title(session.clone(), text), patch)
        } else {
            let metadata = json!({"is": text}).as_object().cloned();
            (What::Metadata(session.clone(), text), SessionPatch { metadata, ..SessionPatch::default() })
        };
        let number = self.ask(what);
        let runtime = self.runtime.clone();
        if let Some(changed) = self.wait(runtime.change_session(&owner(), &session, patch)).await {
            self.answered(number, &changed);
        }
    }
}
