//! What clients were told is so: done is done, refused is not, and the order of runs is theirs.

use runhold::domain::fact::{Answer, Entry, Fact, Seq};
use runhold::domain::id::{RunId, SessionId};
use runhold::domain::view::RunView;

use super::Found;
use crate::simulation::ledger::{Ledger, Request, What};
use crate::simulation::world::World;

pub(super) fn check(world: &World, found: &Found) {
    let ledger = world.ledger.lock().unwrap();
    for request in &ledger.requests {
        match &request.what {
            What::Start { session, input, run, joined } => {
                let start = Start { session: session.as_ref(), input, run: *run, joined: *joined };
                started(world, found, &ledger, request, &start);
            }
            What::Answer { run, session, answers } => {
                if ledger.deletes(session).next().is_none() {
                    answered(world, found, request, *run, answers);
                }
            }
            What::Create(session) | What::Title(session, _) | What::Metadata(session, _) => {
                let there = found.sessions.contains_key(session.as_str());
                let lasting = ledger.deletes(session).next().is_none();
                let must = request.is_done() && lasting;
                world.must(there || !must, || format!("session {session} is acknowledged, and not there"));
            }
            // Whoever wants it gone may be heard just before it begins, or just after its end.
            What::Cancel(_) => {}
            What::Delete(session) => deleted(world, found, &ledger, request, session),
        }
    }
    let title = |what: &What| match what {
        What::Title(session, text) => Some((session.clone(), text.clone())),
        _ => None,
    };
    let metadata = |what: &What| match what {
        What::Metadata(session, text) => Some((session.clone(), text.clone())),
        _ => None,
    };
    for (id, session) in &found.sessions {
        last_change_stands(world, &ledger, id, session.title.as_deref(), title);
        let is = found
            .data
            .get(id)
            .and_then(|data| data.metadata.as_ref())
            .and_then(|metadata| metadata.get("is"));
        last_change_stands(world, &ledger, id, is.and_then(|is| is.as_str()), metadata);
    }
    in_order(world, found, &ledger);
}

struct Start<'a> {
    session: Option<&'a SessionId>,
    input: &'a str,
    run: Option<RunId>,
    joined: Option<Seq>,
}

impl Start<'_> {
    /// Whether its message is in the log, as the start of a run or in a run that it joined.
    fn is_there(&self, found: &Found) -> bool {
        let Some(view) = self.run.and_then(|run| found.views.get(&run)) else { return false };
        let joins = |entry: &Entry| match &entry.fact {
            Fact::Steered { input, .. } => entry.run == view.run && input.text == self.input,
            _ => false,
        };
        match self.joined {
            None => view.input.text == self.input,
            Some(seq) => {
                let mut log = found.logs[view.session.as_str()].iter();
                log.any(|entry| entry.seq == seq && joins(entry))
            }
        }
    }
}

fn started(world: &World, found: &Found, ledger: &Ledger, request: &Request, start: &Start<'_>) {
    let input = start.input;
    if !request.may_be_done() {
        let holds = |view: &RunView| {
            view.input.text == input || view.steers.iter().any(|steer| steer.input.text == input)
        };
        let there = found.views.values().any(holds);
        world.must(!there, || format!("`{input}` was refused, and runs"));
        return;
    }
    let (Some(session), Some(run)) = (start.session, start.run) else { return };
    let there = start.is_there(found);
    let survives = ledger.deletes(session).all(|delete| delete.is_before(request.begun));
    world.must(there || !survives, || format!("run {run} of `{input}` is acknowledged, and not there"));
    let gone = ledger.deletes(session).any(|delete| delete.is_done() && request.is_before(delete.begun));
    world.must(!there || !gone, || format!("run {run} is there, and its session was deleted"));
}

fn deleted(world: &World, found: &Found, ledger: &Ledger, request: &Request, session: &SessionId) {
    let made_again = ledger.requests.iter().any(|other| {
        let makes = match &other.what {
            What::Start { session: Some(id), .. } | What::Create(id) => id == session,
            _ => false,
        };
        makes && other.may_be_done() && !other.is_before(request.begun)
    });
    let there = found.sessions.contains_key(session.as_str()) || found.logs.contains_key(session.as_str());
    let must_not = request.is_done() && !made_again;
    world.must(!there || !must_not, || format!("session {session} was deleted, and is there"));
}

fn answered(world: &World, found: &Found, request: &Request, run: RunId, answers: &[Answer]) {
    let Some(view) = found.views.get(&run) else { return };
    let entries = found.logs[view.session.as_str()].iter().filter(|entry| entry.run == run);
    let resumed = entries.filter_map(|entry| match &entry.fact {
        Fact::Resumed { answers, .. } => Some(answers),
        _ => None,
    });
    let recorded: Vec<&Answer> = resumed.flatten().collect();
    let ours = answers.iter().filter(|answer| recorded.contains(answer)).count();
    if !request.may_be_done() {
        world.must(ours == 0, || format!("an answer to run {run} was refused, and counts: {answers:?}"));
    } else if request.is_done() {
        let all = answers.iter().all(|answer| recorded.iter().any(|other| other.call == answer.call));
        world.must(ours > 0 && all, || {
            format!("an answer to run {run} is acknowledged, and lost: {answers:?}")
        });
    }
    for answer in &recorded {
        let count = recorded.iter().filter(|other| other.call == answer.call).count();
        // Who doubts a call is asked again.
        let asked = 1 + world.doubts(&view.session, run, &answer.call);
        world.must(count <= asked, || format!("run {run}: `{}` was decided {count} times", answer.call));
    }
}

/// What stands is a change that no acknowledged one came after.
fn last_change_stands(
    world: &World,
    ledger: &Ledger,
    id: &str,
    stands: Option<&str>,
    change: impl Fn(&What) -> Option<(SessionId, String)>,
) {
    let changes = ledger.requests.iter().filter_map(|request| {
        let (session, text) = change(&request.what)?;
        (session.as_str() == id).then_some((request, text))
    });
    let changes: Vec<_> = changes.collect();
    // The last deletion takes changes along; those of a session that is deleted now and then are left alone.
    if id.parse().ok().is_some_and(|id| ledger.deletes(&id).next().is_some()) {
        return;
    }
    let last = changes.iter().find(|(_, text)| Some(text.as_str()) == stands);
    let done = changes.iter().filter(|(request, _)| request.is_done());
    let begun = last.map_or(0, |(request, _)| request.ended.unwrap_or(u64::MAX));
    for (later, text) in done {
        let lost = later.begun > begun;
        world.must(!lost, || format!("session {id}: `{text}` is acknowledged, and {stands:?} stands"));
    }
    let refused = last.is_some_and(|(request, _)| !request.may_be_done());
    world.must(!refused, || format!("session {id}: {stands:?} was refused, and stands"));
}

/// A run that was acknowledged before another was asked for begins before it, unless somebody wanted it cancelled:
/// then it has left its place, and if the process dies before that is written, it begins after all.
fn in_order(world: &World, found: &Found, ledger: &Ledger) {
    let began = |run: RunId| {
        let log = found.logs.get(found.runs.get(&run)?.session.as_str())?;
        log.iter().find(|entry| entry.run == run && matches!(entry.fact, Fact::RunPrepared { .. }))
    };
    let starts: Vec<_> = ledger
        .requests
        .iter()
        .filter_map(|request| match &request.what {
            What::Start { session: Some(session), run: Some(run), joined: None, .. } => {
                Some((request, session, *run))
            }
            _ => None,
        })
        .filter_map(|(request, session, run)| Some((request, session, run, began(run)?.seq)))
        .collect();
    for (later, session, run, seq) in &starts {
        for (earlier, other_session, other, other_seq) in &starts {
            if ledger.wants_cancelled(*other) {
                continue;
            }
            let overtaken = session == other_session && earlier.is_before(later.begun) && other_seq > seq;
            world.must(!overtaken, || format!("session {session}: {run} begins before {other}"));
        }
    }
}
