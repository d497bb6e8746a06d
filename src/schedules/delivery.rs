//! An execution brought to its end: its message is sent once, and its answer awaited.

use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::json;
use uuid::Uuid;

use super::book::{Book, gone};
use super::execution::{self, Execution, Sent, Status};
use super::schedule::{Schedule, Tally};
use super::{Desk, Error};
use crate::domain::fact::{Outcome, RunOptions};
use crate::domain::message::Input;
use crate::domain::run::{StartRun, Started};
use crate::runtime;
use crate::runtime::MadeRun;
use crate::runtime::documents::{Changes, Document, Stored};

/// After so long, what could not be done is tried again; the next time after twice as long.
const BREATH: Duration = Duration::from_millis(500);

/// The longest time before it is tried again.
const LONGEST_BREATH: Duration = Duration::from_secs(60);

/// How a message came to be sent or not.
enum Delivery {
    /// Over: answered, or why not.
    Over(Result<(), Failed>),
    /// Not now.
    Later(String),
    /// The server stops; it is taken up at the next start.
    Left,
}

/// Why it was not answered.
struct Failed {
    why: String,
    /// It will never be.
    for_good: bool,
}

impl Failed {
    fn new(why: impl Into<String>) -> Self {
        Self { why: why.into(), for_good: false }
    }

    fn no_session() -> Self {
        Self { why: "the session was deleted".into(), for_good: true }
    }
}

impl Desk {
    fn busy(&self) -> MutexGuard<'_, std::collections::HashMap<Uuid, Uuid>> {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tally {
    /// Counts an execution that is written for the first time.
    pub(super) fn accept(&mut self, execution: &Execution) {
        self.total = self.total.saturating_add(1);
        self.skipped = self.skipped.saturating_add(u64::from(execution.status == Status::Skipped));
        self.last = Some(execution.status);
    }

    fn close(&mut self, execution: &Execution) {
        let count =
            |place: &mut u64, status| *place = place.saturating_add(u64::from(execution.status == status));
        count(&mut self.completed, Status::Completed);
        count(&mut self.failed, Status::Failed);
        self.millis = self.millis.saturating_add(execution.millis().unwrap_or_default());
        self.last = Some(execution.status);
    }
}

impl Book {
    /// Has the executions of a schedule go on whose turn it is.
    pub(super) fn rouse(&self, schedule: Uuid) {
        let book = self.clone();
        tokio::spawn(async move {
            while let Err(error) = book.muster(schedule).await {
                tracing::warn!(%error, %schedule, "the executions of a schedule cannot be read; trying again");
                tokio::select! {
                    () = tokio::time::sleep(BREATH) => {}
                    () = book.documents.runtime().let_go() => return,
                }
            }
        });
    }

    async fn muster(&self, id: Uuid) -> Result<(), runtime::Error> {
        let open = self.documents.all::<Execution>(Some(execution::open_tag(id))).await?;
        if open.is_empty() {
            return Ok(());
        }
        let schedule = self.documents.get::<Schedule>(&id.to_string()).await?;
        let seats = schedule.map_or(usize::MAX, |found| usize::try_from(found.concurrent()).unwrap_or(1));
        for execution in open {
            {
                let mut busy = self.desk.busy();
                let going = busy.values().filter(|known| **known == id).count();
                if busy.contains_key(&execution.id) {
                    continue;
                }
                if going >= seats {
                    return Ok(());
                }
                busy.insert(execution.id, id);
            }
            tokio::spawn(self.clone().attend(execution.value));
        }
        Ok(())
    }

    /// Takes care of an execution until it is over.
    async fn attend(self, execution: Execution) {
        let work = async {
            let mut breath = BREATH;
            while let Err(error) = self.conduct(execution.id).await {
                tracing::warn!(%error, execution = %execution.id, "execution {} is taken up again", execution.id);
                tokio::time::sleep(breath).await;
                breath = breath.saturating_mul(2).min(LONGEST_BREATH);
            }
        };
        tokio::select! {
            () = work => {}
            () = self.documents.runtime().let_go() => {}
        }
        self.desk.busy().remove(&execution.id);
        if !self.documents.runtime().is_stopping() {
            self.rouse(execution.schedule);
        }
    }

    /// Brings an execution from where it stands to its end, unless the server stops.
    async fn conduct(&self, id: Uuid) -> Result<(), runtime::Error> {
        let mut tried = 0_u64;
        let mut breath = BREATH;
        loop {
            let found = self.documents.get::<Execution>(&id.to_string()).await?;
            let Some(execution) = found.filter(|found| !found.status.is_over()) else {
                return self.documents.write(execution::closing(id)).await;
            };
            let Some(schedule) = self.documents.get::<Schedule>(&execution.schedule.to_string()).await?
            else {
                return self.documents.write(execution::gone(id)).await;
            };
            tried = tried.saturating_add(1);
            match self.deliver(&execution, &schedule).await? {
                Delivery::Over(end) => return self.close(id, end).await,
                Delivery::Left => return Ok(()),
                Delivery::Later(why) if tried >= schedule.attempts() => {
                    return self.close(id, Err(Failed::new(why))).await;
                }
                Delivery::Later(_) => {
                    tokio::time::sleep(breath).await;
                    breath = breath.saturating_mul(2).min(LONGEST_BREATH);
                }
            }
        }
    }

    /// Sends the message, if it was not sent before, and waits for the answer.
    async fn deliver(
        &self,
        execution: &Stored<Execution>,
        schedule: &Schedule,
    ) -> Result<Delivery, runtime::Error> {
        let runtime = self.documents.runtime();
        let started = match self.send(execution, schedule).await {
            Ok(started) => started,
            Err(_) if runtime.is_stopping() => return Ok(Delivery::Left),
            Err(error) => return unsent(error),
        };
        let started = match started {
            Ok(started) => started,
            Err(why) => return Ok(Delivery::Over(Err(Failed::new(why)))),
        };
        if execution.status == Status::Pending {
            let now = self.now();
            let running = |before: Option<Stored<Execution>>| {
                let before = before.filter(|before| before.status == Status::Pending);
                let changes = before.map(|before| {
                    let (status, run, started) = (Status::Running, Some(started.run), Some(now));
                    let running = Execution { status, run, started, ..before.value.clone() };
                    Changes::default().replace(&before, &running)
                });
                Ok::<_, runtime::Error>(((), changes.unwrap_or_default()))
            };
            self.documents.change(&execution.id(), running).await?;
        }
        let made = MadeRun { run: started.run, since: started.joined.unwrap_or(started.first) };
        Ok(match runtime.rested(self.owner(), made).await {
            Ok(view) => Delivery::Over(match view.outcome {
                None | Some(Outcome::Completed) => Ok(()),
                Some(Outcome::Cancelled { .. }) => Err(Failed::new("the turn was cancelled")),
                // What the provider said is no client's business.
                Some(Outcome::Failed(failure)) => {
                    Err(Failed::new(format!("the turn failed: {}", failure.code)))
                }
            }),
            Err(_) if runtime.is_stopping() => Delivery::Left,
            Err(runtime::Error::NoRun(_) | runtime::Error::NoSession(_)) => {
                Delivery::Over(Err(Failed::no_session()))
            }
            Err(error) => return Err(error),
        })
    }

    /// Says what is to be said in the session; or why it cannot be.
    async fn send(
        &self,
        execution: &Execution,
        schedule: &Schedule,
    ) -> Result<Result<Started, String>, runtime::Error> {
        let runtime = self.documents.runtime();
        let claim = runtime.claim_for_good(self.owner(), Sent::KIND, &execution.id()).await?;
        let session = runtime.session(self.owner(), &schedule.target.session).await?.session;
        let Some(component) = session.component else {
            return Ok(Err("the session has no agent".into()));
        };
        let metadata = json!({ "schedule_id": schedule.id, "execution_id": execution.id });
        let extra = json!({ "metadata": metadata, "tags": ["schedule"] });
        let order = StartRun {
            kind: session.kind,
            component,
            session: Some(session.id),
            user: session.user,
            input: Input {
                text: schedule.target.text.clone(),
                extra: extra.as_object().cloned(),
                ..Input::default()
            },
            options: RunOptions::default(),
            on_second_message: None,
        };
        runtime.say(self.owner(), order, claim).await.map(Ok)
    }

    /// Writes down how an execution ended, in its schedule too. One that is to go when it is done goes.
    async fn close(&self, id: Uuid, end: Result<(), Failed>) -> Result<(), runtime::Error> {
        let Some(execution) = self.documents.get::<Execution>(&id.to_string()).await? else {
            return self.documents.write(execution::closing(id)).await;
        };
        let status = if end.is_ok() { Status::Completed } else { Status::Failed };
        let (finished, failed) = (Some(self.now()), end.err());
        let for_good = failed.as_ref().is_some_and(|failed| failed.for_good);
        let error = failed.map(|failed| failed.why);
        let execution = Execution { status, finished, error, ..execution.value };
        let close = |before: Option<Stored<Schedule>>| {
            let Some(before) = before else { return Ok::<_, Error>(((), execution::gone(id))) };
            if before.once && before.next.is_none() && status == Status::Completed {
                return Ok(((), gone(&before, self.owner()).and(execution::gone(id))));
            }
            let mut after = before.value.clone();
            after.tally.close(&execution);
            if for_good {
                (after.enabled, after.next) = (false, None);
            }
            let changes = Changes::default().replace(&before, &after).put(&execution);
            Ok(((), changes.and(after.mark(self.owner())).and(execution::closing(id))))
        };
        match self.documents.change(&execution.schedule.to_string(), close).await {
            Ok(()) => Ok(()),
            Err(Error::Runtime(error)) => Err(error),
            Err(Error::NoSchedule | Error::NameTaken(_) | Error::Invalid { .. } | Error::TooMany(_)) => {
                Err(runtime::Error::Internal)
            }
        }
    }
}

/// What it means that a message was not sent.
fn unsent(error: runtime::Error) -> Result<Delivery, runtime::Error> {
    Ok(match error {
        runtime::Error::NoSession(_) => Delivery::Over(Err(Failed::no_session())),
        runtime::Error::NoComponent { .. } => {
            Delivery::Over(Err(Failed::new("the session's agent is not there")))
        }
        runtime::Error::Busy { .. }
        | runtime::Error::Unavailable(_)
        | runtime::Error::Full
        | runtime::Error::Conflict(_)
        | runtime::Error::Internal => Delivery::Later(error.to_string()),
        runtime::Error::NoRun(_)
        | runtime::Error::SessionExists(_)
        | runtime::Error::SessionTaken { .. }
        | runtime::Error::KeyReused
        | runtime::Error::Invalid { .. }
        | runtime::Error::TooLarge { .. }
        | runtime::Error::Damaged => Delivery::Over(Err(Failed::new(error.to_string()))),
    })
}
