//! Who drives Norm's runs: whose turn it is, how many at once, and that none is left lying after a crash.
//!
//! The runs of a session go one after the other, and of all runs on an issue at most one mends; all together there are
//! at most [`SEATS`]. What is written is the truth: whoever is woken reads it anew.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use uuid::Uuid;

use super::NORM;
use super::prompting::{of_run, prompt_entry};
use super::run::{NormRun, RunState, open, open_on};
use super::sessions::AgentSession;
use crate::domain::document::{RecordKind, Tags};
use crate::domain::fact::{Failure, RunOptions};
use crate::domain::id::{ComponentId, Owner, RunId, SessionId};
use crate::domain::message::Input;
use crate::domain::run::StartRun;
use crate::domain::spec::{ComponentKind, OnSecondMessage};
use crate::runtime;
use crate::runtime::documents::{Changes, Document};
use crate::triage::entry::EntryType;
use crate::triage::error::Error;
use crate::triage::intent::Intent;
use crate::triage::{Board, Triage};

/// Runs that go at once.
const SEATS: usize = 8;

/// After so long, what could not be done is tried again.
const BREATH: Duration = Duration::from_millis(500);

/// The runs that are taken care of.
pub(in crate::triage) struct Crew {
    /// A run that shows no event for so long is given up.
    pub(super) patience: Duration,
    seats: Arc<Semaphore>,
    /// By run: its issue, and what it is for.
    busy: Mutex<HashMap<Uuid, (Uuid, Intent)>>,
    noted: Mutex<HashSet<Owner>>,
}

/// Says that an owner's board has, or had, runs: who to ask after a crash.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Employer {
    owner: Owner,
}

impl Document for Employer {
    const KIND: RecordKind = RecordKind("triage_employer");

    fn id(&self) -> String {
        self.owner.to_string()
    }

    fn tags(&self) -> Tags {
        Tags { sort: 0, listed: true, names: Vec::new() }
    }
}

impl Crew {
    /// One that gives up a run after so long without an event.
    pub(in crate::triage) fn new(patience: Duration) -> Self {
        let seats = Arc::new(Semaphore::new(SEATS));
        Self { patience, seats, busy: Mutex::default(), noted: Mutex::default() }
    }

    /// Notes that a board has runs, before its first is accepted.
    pub(super) async fn note(&self, board: &Board) -> Result<(), Error> {
        let owner = board.owner();
        if unpoisoned(&self.noted).contains(owner) {
            return Ok(());
        }
        let employer = Employer { owner: owner.clone() };
        board.runtime.documents(&Owner::server()).write(Changes::default().put(&employer)).await?;
        unpoisoned(&self.noted).insert(owner.clone());
        Ok(())
    }

    /// The runs whose turn it is, of those that are not over, in the order of their queue; they are taken care of from
    /// now on.
    fn take(&self, open: Vec<NormRun>) -> Vec<NormRun> {
        let mut busy = unpoisoned(&self.busy);
        let mut sessions = HashSet::new();
        let mut mended: HashSet<Uuid> =
            busy.values().filter(|(_, intent)| *intent == Intent::Fix).map(|(issue, _)| *issue).collect();
        let mut taken = Vec::new();
        for run in open {
            let first_of_session = sessions.insert(run.session);
            if busy.contains_key(&run.id) || !first_of_session {
                continue;
            }
            if run.intent == Intent::Fix && !mended.insert(run.issue) {
                continue;
            }
            busy.insert(run.id, (run.issue, run.intent));
            taken.push(run);
        }
        taken
    }

    fn release(&self, run: Uuid) {
        unpoisoned(&self.busy).remove(&run);
    }

    async fn seat(&self) -> Option<OwnedSemaphorePermit> {
        self.seats.clone().acquire_owned().await.ok()
    }
}

impl Triage {
    /// Takes up what a crash, or a stop, left of the agent's work.
    ///
    /// # Errors
    /// What the store says.
    pub async fn resume(&self) -> Result<(), Error> {
        let employers = self.runtime().documents(&Owner::server()).all::<Employer>(None).await?;
        for employer in employers {
            let board = self.of(&employer.owner);
            board.end_left_sessions().await?;
            let open = board.documents.all::<NormRun>(Some(open())).await?;
            let issues: HashSet<Uuid> = open.iter().map(|run| run.issue).collect();
            for issue in issues {
                board.rouse(issue);
            }
        }
        Ok(())
    }
}

impl Board {
    /// Has the runs of an issue begin whose turn it is.
    pub(super) fn rouse(&self, issue: Uuid) {
        let board = self.clone();
        tokio::spawn(async move {
            while let Err(error) = board.muster(issue).await {
                tracing::warn!(%error, %issue, "the queue of an issue cannot be read; trying again");
                tokio::time::sleep(BREATH).await;
            }
        });
    }

    async fn muster(&self, issue: Uuid) -> Result<(), Error> {
        let open = self.documents.all::<NormRun>(Some(open_on(issue))).await?;
        for run in self.crew.take(open.into_iter().map(|run| run.value).collect()) {
            tokio::spawn(self.clone().attend(run));
        }
        Ok(())
    }

    /// Takes care of a run until it is over.
    async fn attend(self, run: NormRun) {
        let seat = self.crew.seat().await;
        let work = async {
            loop {
                match self.conduct(run.id).await {
                    Ok(()) | Err(Error::NotFound(_)) => break,
                    Err(error) => {
                        tracing::warn!(%error, run.id = %run.id, "run {} is taken up again", run.id);
                        tokio::time::sleep(BREATH).await;
                    }
                }
            }
        };
        // What is cut off here is taken up at the next start.
        tokio::select! {
            () = work => {}
            () = self.runtime.let_go() => return,
        }
        drop(seat);
        self.crew.release(run.id);
        self.rouse(run.issue);
    }

    /// Brings a run from where it stands to its end.
    async fn conduct(&self, id: Uuid) -> Result<(), Error> {
        let Some(run) = self.begin(id).await? else { return Ok(()) };
        let first = match self.runtime.run(self.owner(), RunId(id)).await {
            Ok(known) => known.first,
            Err(runtime::Error::NoRun(_)) => match self.launch(&run).await? {
                Some(first) => first,
                None => return Ok(()),
            },
            Err(error) => return Err(error.into()),
        };
        // An order to stop that came before there was anything to tell.
        if let Some(stop) = self.norm_run(id).await?.and_then(|run| run.stop) {
            self.tell_to_stop(id, &stop.by.label).await?;
        }
        self.tell_of(run, first).await
    }

    /// A run of Norm's.
    pub(super) async fn norm_run(&self, id: Uuid) -> Result<Option<NormRun>, Error> {
        Ok(self.documents.get::<NormRun>(&id.to_string()).await?.map(|stored| stored.value))
    }

    /// Marks a run as going; `None` if it is over.
    async fn begin(&self, id: Uuid) -> Result<Option<NormRun>, Error> {
        let Some(found) = self.norm_run(id).await? else { return Ok(None) };
        let mut work = self.work(found.issue).await?;
        let Some(mut run) = self.norm_run(id).await?.filter(|run| !run.state.is_over()) else {
            return Ok(None);
        };
        if run.state == RunState::Running {
            return Ok(Some(run));
        }
        if let Some(intent) = self.answers(&run).await?.filter(|intent| *intent != run.intent) {
            run.intent = intent;
            work.say_as(run.entry("prompt"), prompt_entry(&run)).await?;
        }
        (run.state, run.started) = (RunState::Running, Some(work.now));
        let before = self.session_on(run.issue, run.session).await?;
        let session = AgentSession { updated: work.now, begun: true, ..before.clone() };
        if !before.begun {
            let saying = of_run(EntryType::SessionStarted, &run, "Norm started working");
            work.say_as(run.entry("session"), saying).await?;
        }
        work.write(|changes| changes.put(&run).put(&session));
        self.show_agent(&mut work, Some(&session), Some(&run)).await?;
        work.save().await?;
        Ok(Some(run))
    }

    /// What the run was for whose question this one answers, if it does: it waited while the question was asked, so
    /// nobody could know.
    async fn answers(&self, run: &NormRun) -> Result<Option<Intent>, Error> {
        if !run.may_answer {
            return Ok(None);
        }
        let session = self.session_on(run.issue, run.session).await?;
        let runs = self.runs_of(&session).await?;
        let before = runs.iter().rev().find(|other| other.place < run.place && other.started.is_some());
        Ok(before.filter(|before| before.state == RunState::AwaitingInput).map(|before| before.intent))
    }

    /// Starts the runtime's run; its first entry, or nothing if it is over without having been started.
    async fn launch(&self, run: &NormRun) -> Result<Option<u64>, Error> {
        let profile = match self.norm_profile().await {
            Ok(profile) => profile,
            Err(Error::Conflict { code, message, .. }) => {
                self.fail(run, Failure::new(code, message)).await?;
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let component: ComponentId = NORM.parse().map_err(|_| runtime::Error::Internal)?;
        let order = StartRun {
            kind: ComponentKind::Agent,
            component,
            session: Some(SessionId::from(run.session)),
            user: None,
            input: Input { text: run.prompt.clone(), ..Input::default() },
            options: RunOptions { context: Some(self.briefing(run).await?), ..RunOptions::default() },
            on_second_message: Some(OnSecondMessage::Enqueue),
        };
        let spec = profile.fitted(run.issue, run.intent);
        // Whoever deletes the issue, or stops the run, finds either a run that never begins or one to end.
        let turn = self.desk.leave(run.issue).await;
        let Some(stop) = self.norm_run(run.id).await?.map(|run| run.stop) else { return Ok(None) };
        if stop.is_some() {
            drop(turn);
            return self.stop_unstarted(run).await.map(|()| None);
        }
        let started = self.runtime.start_as(self.owner(), order, RunId(run.id), spec).await;
        drop(turn);
        match started {
            Ok(started) => Ok(Some(started.first)),
            Err(error) if may_pass(&error) => Err(error.into()),
            Err(error) => {
                self.fail(run, Failure::new("internal", error.to_string())).await?;
                Ok(None)
            }
        }
    }
}

/// Whether a run can be started later that cannot be now: what was accepted is not dropped.
fn may_pass(error: &runtime::Error) -> bool {
    use runtime::Error::{Busy, Full, Internal, Unavailable};
    matches!(error, Unavailable(_) | Full | Internal | Busy { .. })
}

fn unpoisoned<T>(lock: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}
