//! What a log may say: numbers without a gap, one end a run, one run at a time.

use std::collections::{BTreeMap, BTreeSet};

use runhold::domain::fact::{Entry, Fact};
use runhold::domain::id::RunId;
use runhold::domain::run::Run;
use runhold::machine::Machine;

use crate::simulation::world::{World, log_of};

pub(super) fn check(world: &World, session: &str, log: &[Entry], runs: &BTreeMap<RunId, Run>) {
    let mut next = 1;
    for entry in log {
        world.must(entry.seq == next, || {
            format!("session {session}: {} stands where {next} should", entry.seq)
        });
        next = entry.last_seq() + 1;
    }
    one_at_a_time(world, session, log);
    let mut by_run: BTreeMap<RunId, Vec<&Entry>> = BTreeMap::new();
    log.iter().for_each(|entry| by_run.entry(entry.run).or_default().push(entry));
    for (run, entries) in by_run {
        world.must(runs.contains_key(&run), || format!("run {run} has a log and no record"));
        one_run(world, run, &entries);
    }
}

/// A run begins once, ends once, says nothing after, and can be replayed.
fn one_run(world: &World, run: RunId, entries: &[&Entry]) {
    let begins = |entry: &&&Entry| matches!(entry.fact, Fact::RunStarted(_));
    let ends = |entry: &&&Entry| matches!(entry.fact, Fact::RunFinished { .. });
    world.must(entries.iter().take(1).filter(begins).count() == 1, || format!("run {run} does not begin"));
    world.must(entries.iter().filter(begins).count() == 1, || format!("run {run} begins twice"));
    let count = entries.iter().filter(ends).count();
    world.must(count <= 1, || format!("run {run} ends {count} times"));
    let last = entries.iter().rev().take(1).filter(ends).count();
    world.must(count == last, || format!("run {run} goes on after its end"));
    let prepared = entries.iter().filter(|entry| matches!(entry.fact, Fact::RunPrepared { .. })).count();
    world.must(prepared <= 1, || format!("run {run} is prepared {prepared} times"));
    let (mut started, mut finished) = (BTreeSet::new(), BTreeSet::new());
    for entry in entries {
        match &entry.fact {
            Fact::ToolStarted { call } => {
                world.must(started.insert(call), || format!("run {run}: {call} starts twice"));
            }
            Fact::ToolDoubted { calls } => calls.iter().for_each(|call| _ = started.remove(call)),
            Fact::ToolFinished { call, .. } => {
                world.must(finished.insert(call), || format!("run {run}: {call} finishes twice"));
            }
            _ => {}
        }
    }
    let replayed = Machine::replay(run, entries.iter().copied());
    world.must(replayed.is_ok(), || format!("run {run}: {:?}", replayed.err()));
}

/// While a run is going, no other is driven. A death ends the going of all; what somebody tells a run that
/// waits may come at any time.
fn one_at_a_time(world: &World, session: &str, log: &[Entry]) {
    let ledger = world.ledger.lock().unwrap();
    let deaths = session.parse().ok().and_then(|id| ledger.deaths.get(&log_of(&id)));
    let mut deaths: BTreeSet<_> = deaths.into_iter().flatten().copied().collect();
    let mut going = None;
    for entry in log {
        while deaths.first().is_some_and(|head| *head < entry.seq) {
            deaths.pop_first();
            going = None;
        }
        if is_driven(&entry.fact) {
            let alone = going.is_none_or(|going| going == entry.run);
            world.must(alone, || format!("session {session}: {} is driven beside {going:?}", entry.run));
            going = Some(entry.run);
        }
        let rests = matches!(entry.fact, Fact::RunFinished { .. } | Fact::Paused { .. });
        if rests && going == Some(entry.run) {
            going = None;
        }
    }
}

/// Whether only the driver whose turn it is writes it. That a question was cut off is also said when a run that
/// waits for its turn again is cancelled.
fn is_driven(fact: &Fact) -> bool {
    matches!(
        fact,
        Fact::RunPrepared { .. } | Fact::ModelCalled { .. } | Fact::Said { .. } | Fact::ModelAnswered { .. }
    )
}
