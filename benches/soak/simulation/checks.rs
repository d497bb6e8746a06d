//! What must be on the disk after a death, and once all has come to rest.

mod deeds;
mod logs;
mod requests;

use std::collections::{BTreeMap, BTreeSet};

use runhold::domain::fact::{Entry, Fact};
use runhold::domain::id::RunId;
use runhold::domain::message::Usage;
use runhold::domain::run::{Run, Session, SessionData, Status};
use runhold::domain::state::apply;
use runhold::domain::view::RunView;

use super::world::{World, parsed};

/// All that is on the disk, read once.
struct Found {
    logs: BTreeMap<String, Vec<Entry>>,
    runs: BTreeMap<RunId, Run>,
    views: BTreeMap<RunId, RunView>,
    sessions: BTreeMap<String, Session>,
    data: BTreeMap<String, SessionData>,
    open: BTreeSet<String>,
}

impl Found {
    fn on(world: &World) -> Self {
        let logs: BTreeMap<_, _> = world
            .disk
            .logs()
            .into_iter()
            .map(|log| (log.session.to_string(), world.disk.log(&log)))
            .collect();
        let runs: BTreeMap<_, _> = world.runs().into_iter().map(|run| (run.id, run)).collect();
        let views = runs.values().filter_map(|run| {
            let log = logs.get(run.session.as_str())?;
            Some((run.id, RunView::of(run.id, log)?))
        });
        let by_id = |kind| world.disk.records(kind).into_iter().map(|record| (record.key.id.clone(), record));
        Self {
            views: views.collect(),
            sessions: by_id("session").map(|(id, record)| (id, parsed(&record))).collect(),
            data: by_id("session_data").map(|(id, record)| (id, parsed(&record))).collect(),
            open: by_id("open_run").map(|(id, _)| id).collect(),
            logs,
            runs,
        }
    }
}

/// After a process died, whatever it was at.
pub(super) fn after_death(world: &World) {
    let found = Found::on(world);
    for (session, log) in &found.logs {
        logs::check(world, session, log, &found.runs);
    }
    records_agree(world, &found);
    sessions_agree(world, &found);
    requests::check(world, &found);
    deeds::check(world, &found);
}

/// Once faults have stopped, and everybody who waited was answered.
pub(super) fn at_rest(world: &World) {
    after_death(world);
    for run in world.runs() {
        world.must(run.status.is_over(), || format!("run {} is {:?}, and rests", run.id, run.status));
    }
    world.watches.iter().for_each(|watch| watch.check(world));
}

/// A run's record and its mark among the open runs say what its log says.
fn records_agree(world: &World, found: &Found) {
    for run in found.runs.values() {
        let Some(view) = found.views.get(&run.id) else {
            world.must(false, || format!("run {} has a record and no log", run.id));
            continue;
        };
        let is_open = matches!(run.status, Status::Pending | Status::Running);
        let marked = found.open.contains(&run.id.to_string());
        world.must(marked == is_open, || format!("run {}: {:?}, marked: {marked}", run.id, run.status));
        let agrees = if is_open {
            !view.status.is_over() && view.status != Status::Paused
        } else {
            run.status == view.status
        };
        world.must(agrees, || {
            format!("run {}: {:?} on record, {:?} in its log", run.id, run.status, view.status)
        });
        let mut own = found.logs[run.session.as_str()].iter().filter(|entry| entry.run == run.id);
        let ends = own.clone().next().map(|first| first.seq).zip(own.next_back().map(Entry::last_seq));
        let last = ends.filter(|_| run.status.is_over()).map(|(_, last)| last);
        world.must(ends.map(|(first, _)| first) == Some(run.first) && last == run.last, || {
            format!("run {}: from {} to {:?} on record, {ends:?} in its log", run.id, run.first, run.last)
        });
    }
    for open in &found.open {
        let known = found.runs.keys().any(|run| run.to_string() == *open);
        world.must(known, || format!("run {open} is marked open, and not there"));
    }
}

/// A session's header counts its runs, and no run's change of its state is lost.
fn sessions_agree(world: &World, found: &Found) {
    for (id, log) in &found.logs {
        if log.is_empty() {
            continue;
        }
        let Some(session) = found.sessions.get(id) else {
            world.must(false, || format!("session {id} has a log and no header"));
            continue;
        };
        let started = log.iter().filter(|entry| matches!(entry.fact, Fact::RunStarted(_))).count() as u64;
        world.must(session.runs == started, || {
            format!("session {id} counts {} of {started} runs", session.runs)
        });
        let mut usage = Usage::default();
        let mut state = found.data.get(id).and_then(|data| data.state.clone()).unwrap_or_default();
        let stored = state.clone();
        for view in found.views.values().filter(|view| view.session.as_str() == id && view.outcome.is_some())
        {
            usage.add(&view.usage());
            let changes = view.calls().flat_map(|call| call.result.iter().flat_map(|result| &result.state));
            apply(&mut state, &changes.cloned().collect::<Vec<_>>());
        }
        world.must(session.usage == usage, || format!("session {id}: {:?} for {usage:?}", session.usage));
        world.must(state == stored, || format!("session {id}: state {stored:?} for {state:?}"));
    }
}
