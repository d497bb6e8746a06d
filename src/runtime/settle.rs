//! What a run starts from, and what is written beside its facts.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Inner;
use super::desk::Desk;
use super::error::Error;
use super::journal::{Dated, Room};
use super::past::PastRun;
use super::prompt;
use super::records;
use super::sessions::first_input;
use crate::capability::toolbox::Toolbox;
use crate::domain::Object;
use crate::domain::document::Tags;
use crate::domain::fact::{Fact, Failure, Outcome, RunStart, Seq};
use crate::domain::id::{ModelName, Owner, RunId, SessionId};
use crate::domain::message::{Input, Message, ModelCall, Usage};
use crate::domain::run::{Run, Session, Status};
use crate::domain::spec::{AgentSpec, Source, Spec};
use crate::domain::state;
use crate::domain::view::RunView;
use crate::machine::News;
use crate::store::{Expect, Log};

/// Runs read at a time, at most.
const LARGEST_STEP: usize = 256;

/// Why a run cannot begin.
pub(super) enum Unprepared {
    /// Not now.
    Store(Error),
    /// Never: its instructions do not render, say.
    Broken(Failure),
}

/// Settles what a run starts from: state, instructions, which earlier runs are shown.
pub(super) async fn prepare(
    inner: &Inner,
    room: &Room,
    view: &RunView,
    toolbox: &Toolbox,
    given: Option<&Object>,
) -> Result<(News, Vec<Message>), Unprepared> {
    let (stored, has_past) = match given {
        Some(state) => (state.clone(), false),
        None => stored_state(inner, room).await.map_err(Unprepared::Store)?,
    };
    let mut state = defaults(&view.spec).clone();
    state::merge(&mut state, &stored);
    if let Some(own) = &view.options.session_state {
        state::merge(&mut state, own);
    }
    let Some(agent) = agent_of(&view.spec) else {
        let kept = inner.kept_steps(&room.log.owner, view).await?;
        return Ok((News::Prepared { system: None, state, stored, history: Vec::new(), kept }, Vec::new()));
    };
    let wanted = match view.options.history {
        Some(false) => 0,
        Some(true) => agent.history_runs.max(1),
        None => agent.history_runs,
    };
    if !has_past && given.is_none() {
        room.past().learn(&[], true);
    }
    let (runs, history) = before(inner, room, view, wanted as usize).await.map_err(Unprepared::Store)?;
    let system =
        prompt::system(agent, toolbox, (&view.options, view.user.as_ref()), &state, inner.clock.now())
            .map_err(|why| Unprepared::Broken(Failure::new("invalid_instructions", why)))?;
    Ok((News::Prepared { system, state, stored, history: runs, kept: Vec::new() }, history))
}

/// The earlier runs that are shown, at most so many, and all that was said before the run's own messages. A run that
/// comes from another is shown what that one was.
async fn before(
    inner: &Inner,
    room: &Room,
    view: &RunView,
    wanted: usize,
) -> Result<(Vec<RunId>, Vec<Message>), Error> {
    let owner = &room.log.owner;
    if let Some(mut runs) = inner.shown_before(owner, view).await? {
        if wanted == 0 {
            runs.clear();
        }
        let messages = history(inner, &room.log, view, &runs).await?;
        return Ok((runs, messages));
    }
    let past = past(inner, room, view, wanted).await?;
    let messages = past.iter().flat_map(|run| run.messages.iter().cloned()).collect();
    Ok((past.iter().map(|run| run.id).collect(), messages))
}

/// What a session's state holds where nothing is stored.
fn defaults(spec: &Spec) -> &Object {
    match spec {
        Spec::Agent(agent) => &agent.session_state,
        Spec::Team(team) => &team.leader.session_state,
        Spec::Workflow(workflow) => &workflow.session_state,
    }
}

/// The agent behind a spec: the agent itself, or a team's leader.
pub(super) fn agent_of(spec: &Spec) -> Option<&AgentSpec> {
    match spec {
        Spec::Agent(agent) => Some(agent),
        Spec::Team(team) => Some(&team.leader),
        Spec::Workflow(_) => None,
    }
}

/// Whether the session has had no run but one, which is written.
pub(super) async fn is_first_run(inner: &Inner, room: &Room) -> Result<bool, Error> {
    let mut memory = room.pen().await;
    let desk = memory.desk(&*inner.store, &room.log).await?;
    Ok(desk.session.is_some_and(|session| session.runs <= 1))
}

/// The session's state, and whether it has had runs.
async fn stored_state(inner: &Inner, room: &Room) -> Result<(Object, bool), Error> {
    let mut memory = room.pen().await;
    let desk = memory.desk(&*inner.store, &room.log).await?;
    let has_past = desk.session.is_some_and(|session| session.runs > 0);
    Ok((desk.data.state.unwrap_or_default(), has_past))
}

/// What the latest runs before this one said, oldest first: those that were completed, or all that are over.
async fn past(inner: &Inner, room: &Room, view: &RunView, wanted: usize) -> Result<Vec<Arc<PastRun>>, Error> {
    if wanted == 0 {
        return Ok(Vec::new());
    }
    let scope = Scope::of(view);
    if scope == Scope::Completed
        && let Some(past) = room.past().latest(wanted)
    {
        return Ok(past);
    }
    let runs = earlier_runs(inner, &room.log, view, wanted).await?;
    let mut past = Vec::with_capacity(runs.len());
    for run in &runs {
        past.extend(past_run(inner, &room.log.owner, run, scope).await?.map(Arc::new));
    }
    if scope == Scope::Completed {
        room.past().learn(&past, past.len() < wanted);
    }
    Ok(past)
}

/// Which earlier runs are part of the conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    /// Those that have an answer: of an agent in a file.
    Completed,
    /// All, each with how it ended: of an agent that a client made.
    Ended,
}

impl Scope {
    /// For the agent that is about to run.
    fn of(view: &RunView) -> Self {
        match agent_of(&view.spec).map(|agent| agent.source).unwrap_or_default() {
            Source::File => Self::Completed,
            Source::Client => Self::Ended,
        }
    }

    fn takes(self, status: Status) -> bool {
        match status {
            Status::Completed => true,
            Status::Cancelled | Status::Failed => self == Self::Ended,
            Status::Pending | Status::Running | Status::Paused | Status::Replaced => false,
        }
    }
}

/// Nothing for a run that is damaged: the conversation goes on without it.
async fn past_run(inner: &Inner, owner: &Owner, run: &Run, scope: Scope) -> Result<Option<PastRun>, Error> {
    let entries = match inner.entries(owner, run).await {
        Err(Error::Damaged) => return Ok(None),
        entries => entries?,
    };
    Ok(RunView::of(run.id, &entries).as_ref().map(|view| match scope {
        Scope::Completed => PastRun::of(view),
        Scope::Ended => PastRun { id: view.run, messages: view.conversation() },
    }))
}

/// The latest runs before this one that are part of the conversation, oldest first.
async fn earlier_runs(inner: &Inner, log: &Log, view: &RunView, wanted: usize) -> Result<Vec<Run>, Error> {
    let scope = Scope::of(view);
    let mut found: Vec<Run> = Vec::new();
    let mut before = None;
    let step = wanted.saturating_add(4).min(LARGEST_STEP);
    // Of a session whose latest runs all failed the beginning is not searched for those that did not.
    let steps = if scope == Scope::Ended { usize::MAX } else { 8_usize.max(wanted / step + 1) };
    for _ in 0..steps {
        if found.len() >= wanted {
            break;
        }
        let (page, more) = inner.run_page(log, before, step).await?;
        before = more;
        let fit = |run: &&Run| {
            scope.takes(run.status)
                && run.parent.is_none()
                && run.id != view.run
                && (scope == Scope::Completed || run.created <= view.created)
        };
        found.extend(page.iter().filter(fit).cloned());
        if before.is_none() {
            break;
        }
    }
    found.truncate(wanted);
    found.reverse();
    Ok(found)
}

/// The messages before a run's own, oldest first: those of earlier runs, and of the runs it comes from.
pub(super) async fn history(
    inner: &Inner,
    log: &Log,
    view: &RunView,
    runs: &[RunId],
) -> Result<Vec<Message>, Error> {
    let mut messages = Vec::new();
    for run in runs {
        let Ok(run) = inner.stored_run(&log.owner, *run).await else { continue };
        messages.extend(
            past_run(inner, &log.owner, &run, Scope::of(view))
                .await?
                .into_iter()
                .flat_map(|past| past.messages),
        );
    }
    messages.extend(inner.said_before(&log.owner, view).await?);
    Ok(messages)
}

/// The question to a model, as the run stands; its messages are the conversation alone.
pub(super) fn question(
    view: &RunView,
    model: &ModelName,
    history: &[Message],
    toolbox: &Toolbox,
) -> ModelCall {
    let mut messages: Vec<Message> = history.to_vec();
    messages.extend(prompt::with_dependencies(view));
    prompt::answer_questions(&mut messages);
    let agent_schema = agent_of(&view.spec).and_then(|agent| agent.output_schema.clone());
    ModelCall {
        model: model.clone(),
        messages,
        tools: toolbox.offered(view.calls().map(|call| (&call.call, call.result.as_ref()))),
        output_schema: view.options.output_schema.clone().or(agent_schema),
        reasoning_effort: view.reasoning_effort().map(str::to_owned),
    }
}

/// The conversation with what stands before it: the system message, and what the run was given to know.
pub(super) fn shown(view: &RunView, conversation: Vec<Message>) -> Vec<Message> {
    let system = view.system.iter().map(|text| Message::System { text: text.clone() });
    let context = view.options.context.iter();
    let context =
        context.map(|text| Message::User { input: Input { text: text.clone(), ..Input::default() } });
    system.chain(context).chain(conversation).collect()
}

/// Puts on the desk what belongs beside a run's facts: its record, the session's header and state. `first` is
/// the run's first entry, once it has one; the facts are written after `after`, in the tree under `root`.
pub(super) fn beside(
    desk: &mut Desk,
    owner: &Owner,
    view: &RunView,
    facts: &[Dated],
    first: Option<Seq>,
    (after, root): (Seq, RunId),
) -> Result<(), Error> {
    let started = facts
        .iter()
        .find_map(|(_, fact)| if let Fact::RunStarted(start) = fact { Some(start.as_ref()) } else { None });
    let rested = facts.iter().any(|(_, fact)| {
        matches!(fact, Fact::RunFinished { .. } | Fact::Paused { .. } | Fact::Resumed { .. })
    });
    if let Some(start) = started {
        open_session(desk, view, start)?;
    }
    if view.outcome.is_some() {
        close_run(desk, view, facts)?;
    }
    if started.is_none() && !rested {
        return Ok(());
    }
    note_waiting(desk, view);
    let width: u64 = facts.iter().map(|(_, fact)| fact.width()).sum();
    let run = Run {
        id: view.run,
        session: view.session.clone(),
        kind: view.spec.kind(),
        component: view.spec.id().clone(),
        user: view.user.clone(),
        parent: view.parent,
        root: view.parent.map(|_| root),
        status: view.status,
        created: view.created,
        first: first.unwrap_or(after.saturating_add(1)),
        last: view.status.is_over().then(|| after.saturating_add(width)),
        failure: match &view.outcome {
            Some(Outcome::Failed(failure)) => Some(failure.clone()),
            Some(Outcome::Completed | Outcome::Cancelled { .. }) | None => None,
        },
        replaced: None,
        gone: false,
    };
    let expect = if started.is_some() { Expect::Absent } else { Expect::Present };
    desk.put(records::put_run(owner, &run, expect)?);
    let waits = view.status == Status::Paused && view.waits_until.is_some();
    let waited =
        view.waits_until.is_some() || facts.iter().any(|(_, fact)| matches!(fact, Fact::Resumed { .. }));
    if view.parent.is_none() && (waits || waited) {
        super::deadlines::mark(desk, owner, view)?;
    }
    let open = records::open_run_key(view.run);
    if view.parent.is_some() {
        // Whoever drives the run at the top drives this one.
    } else if matches!(view.status, Status::Pending | Status::Running) {
        let mark = OpenRun { owner: owner.clone(), session: view.session.clone() };
        desk.put(records::put(open, Expect::Any, Tags { listed: true, ..Tags::default() }, &mark)?);
    } else if started.is_none() {
        desk.delete(open);
    }
    Ok(())
}

/// Says in the session's header whether this run waits for somebody.
fn note_waiting(desk: &mut Desk, view: &RunView) {
    let Some(session) = desk.session.as_mut().filter(|_| view.parent.is_none()) else { return };
    if view.status == Status::Paused {
        session.waiting = Some(view.run);
    } else if session.waiting == Some(view.run) {
        session.waiting = None;
    }
}

/// The session as it is once this run was accepted.
fn open_session(desk: &mut Desk, view: &RunView, start: &RunStart) -> Result<(), Error> {
    let since = desk.head();
    let session = desk.session.get_or_insert_with(|| Session {
        id: view.session.clone(),
        kind: view.spec.kind(),
        component: None,
        user: None,
        title: None,
        first_input: None,
        created: view.created,
        updated: view.created,
        runs: 0,
        usage: Usage::default(),
        since,
        tags: Vec::new(),
        last_output: None,
        started: None,
        waiting: None,
    });
    if session.user.is_some() && start.user.is_some() && session.user != start.user {
        return Err(Error::SessionTaken { session: session.id.clone(), owner: "user" });
    }
    if session.kind == view.spec.kind() {
        session.component.get_or_insert_with(|| view.spec.id().clone());
    }
    if session.user.is_none() {
        session.user.clone_from(&start.user);
    }
    if session.first_input.is_none() {
        session.first_input = first_input(&start.input.text);
    }
    session.updated = view.created;
    if start.parent.is_none() {
        session.runs = session.runs.saturating_add(1);
        session.started.get_or_insert(view.created);
    }
    Ok(())
}

/// What the end of a run means for its session. One that was deleted meanwhile stays deleted.
fn close_run(desk: &mut Desk, view: &RunView, facts: &[Dated]) -> Result<(), Error> {
    let session = desk.session_mut()?;
    session.updated = view.ended.unwrap_or(session.updated);
    session.usage.add(&view.usage());
    if view.parent.is_some() {
        // What it changed in the state has gone to the run that asked for it.
        return Ok(());
    }
    let answer = view.answer();
    if !answer.is_empty() {
        session.last_output = first_input(&answer);
    }
    for (_, fact) in facts {
        if let Fact::RunFinished { state: changes, .. } = fact
            && !changes.is_empty()
        {
            state::apply(desk.data.state.get_or_insert_default(), changes);
        }
    }
    Ok(())
}

/// Says that a run must be driven; found again at start.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct OpenRun {
    pub(super) owner: Owner,
    pub(super) session: SessionId,
}
