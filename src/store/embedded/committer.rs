//! One thread writes. While it waits for the disk the next batches gather, and all that gathered becomes one
//! batch of the engine: that is what makes a sync per commit affordable.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::{mpsc, oneshot};

use super::Engine;
use super::ballast::Ballast;
use super::entries::{self, Draft};
use super::keys;
use super::kv::{Changes, Direction, Kv};
use super::logs::{Logs, Outcome, wrong_head};
use super::overlay::Overlay;
use super::records;
use super::reopen::Reopen;
use super::sealed;
use crate::domain::document::Key;
use crate::domain::fact::{Entry, Seq};
use crate::store::{Log, MAX_BATCH_BYTES, Put, StoreError};

/// Most batches of a group.
const MAX_GROUP: usize = 256;
/// Most keys that are taken away at once.
const MAX_REMOVED: usize = 1000;

/// While the store is broken the next batch is looked for as often.
const BROKEN_PAUSE: Duration = Duration::from_millis(20);

/// A batch, checked and measured, and where the answer goes.
pub(super) struct Unit {
    pub(super) append: Option<(Log, Seq, Vec<Draft>)>,
    pub(super) puts: Vec<Put>,
    pub(super) deletes: Vec<Key>,
    pub(super) forget: Vec<Log>,
    pub(super) bytes: usize,
    pub(super) answer: oneshot::Sender<Result<(), StoreError>>,
}

impl Unit {
    /// Asks for nothing but a look at the engine. Nobody waits for its answer.
    pub(super) fn empty() -> Self {
        let (answer, _) = oneshot::channel();
        Self { append: None, puts: Vec::new(), deletes: Vec::new(), forget: Vec::new(), bytes: 0, answer }
    }

    fn only_takes_away(&self) -> bool {
        let takes = !self.deletes.is_empty() || !self.forget.is_empty();
        takes && self.append.is_none() && self.puts.is_empty()
    }

    /// Of a unit that does nothing else, to try it again.
    fn what_it_takes_away(&self) -> Option<TakenAway> {
        let Self { deletes, forget, .. } = self;
        self.only_takes_away().then(|| TakenAway { deletes: deletes.clone(), forget: forget.clone() })
    }
}

/// Records and logs that are not wanted any more.
struct TakenAway {
    deletes: Vec<Key>,
    forget: Vec<Log>,
}

impl TakenAway {
    fn into_unit(self, answer: oneshot::Sender<Result<(), StoreError>>) -> Unit {
        let Self { deletes, forget } = self;
        Unit { append: None, puts: Vec::new(), deletes, forget, bytes: 0, answer }
    }
}

/// The thread's own things.
pub(super) struct Committer {
    pub(super) engine: Arc<Engine>,
    pub(super) logs: Arc<Logs>,
    pub(super) inbox: mpsc::Receiver<Unit>,
    pub(super) reopen: Reopen,
}

/// A log while a group is put together.
struct Plan {
    /// The last number, with what was accepted so far.
    head: Seq,
    /// What waited when the group began and is not part of it yet.
    waiting: Vec<Entry>,
    outcome: Option<Outcome>,
}

impl Committer {
    /// Works until nobody can send any more.
    pub(super) fn run(mut self) {
        let mut carried = None;
        while let Some(first) = carried.take().or_else(|| self.next()) {
            let mut bytes = first.bytes;
            let mut ends = !first.forget.is_empty();
            let mut group = vec![first];
            // What is taken away is cleared up before the next group, so nothing may follow in this one.
            while !ends && group.len() < MAX_GROUP {
                let Ok(unit) = self.inbox.try_recv() else { break };
                bytes += unit.bytes;
                if bytes > MAX_BATCH_BYTES {
                    carried = Some(unit);
                    break;
                }
                ends = !unit.forget.is_empty();
                group.push(unit);
            }
            self.commit(group);
        }
    }

    /// Waits for a batch. While the store is broken it is opened again even if nobody writes: there may be
    /// somebody who wants to read.
    fn next(&mut self) -> Option<Unit> {
        while self.logs.broken().is_some() {
            match self.inbox.try_recv() {
                Ok(unit) => return Some(unit),
                Err(TryRecvError::Disconnected) => return None,
                Err(TryRecvError::Empty) if self.reopen.attempt(&self.engine, &self.logs) => {}
                Err(TryRecvError::Empty) => std::thread::sleep(BROKEN_PAUSE),
            }
        }
        self.inbox.blocking_recv()
    }

    fn commit(&mut self, mut units: Vec<Unit>) {
        if self.logs.broken().is_some() && !self.reopen.attempt(&self.engine, &self.logs) {
            let error = self.logs.broken().unwrap_or(StoreError::Full);
            let is_refused = |unit: &mut Unit| error != StoreError::Full || !unit.only_takes_away();
            let refused: Vec<_> = units.extract_if(.., is_refused).collect();
            refuse(refused, &error);
            if units.is_empty() || !self.make_room() {
                return refuse(units, &error);
            }
        }
        let Some(kv) = self.engine.now() else {
            return refuse(units, &StoreError::Unavailable("the engine is closed".into()));
        };
        let takers: Vec<_> = units.iter().map(Unit::what_it_takes_away).collect();
        let mut group = Group { kv: &*kv, logs: &self.logs, changes: Changes::new(), plans: HashMap::new() };
        let answers: Vec<_> = units.into_iter().map(|unit| group.take(unit)).collect();
        let Group { changes, plans, .. } = group;
        let done = if changes.is_empty() { Ok(()) } else { kv.apply(Arc::new(changes)) };
        let settled = done.clone().and_then(|()| {
            let outcomes = plans.iter().filter_map(|(log, plan)| Some((log, plan.outcome?)));
            self.logs.publish(outcomes)
        });
        if let Err(error) = &settled {
            self.break_down(error);
        }
        let (forgotten, kept): (Vec<_>, Vec<_>) =
            plans.iter().partition(|(_, plan)| plan.outcome == Some(Outcome::Forgotten));
        // Before the answers: whoever gets one may send pieces at once, and they need not come by here.
        self.logs.end(kept.into_iter().map(|(log, _)| log));
        if done == Err(StoreError::Full) && takers.iter().any(Option::is_some) {
            self.logs.end(forgotten.into_iter().map(|(log, _)| log));
            // It is opened again, which needs that nobody has it.
            drop(kv);
            return self.take_away(answers, takers);
        }
        for (sender, result) in answers {
            answer(sender, result.and(done.clone()));
        }
        // Where it fails, the mark that it was begun stays, and opening finishes the job.
        let finish = || forgotten.iter().try_for_each(|(log, _)| finish_forgetting(&*kv, log));
        if settled.is_ok()
            && let Err(error) = finish()
        {
            self.break_down(&error);
        }
        self.logs.end(forgotten.into_iter().map(|(log, _)| log));
        if let Some(ballast) = self.engine.ballast() {
            ballast.restore();
        }
    }

    /// The disk is full, and something is to be taken away from it: room was kept for that. Says whether there
    /// was some, and the engine is open again.
    fn make_room(&mut self) -> bool {
        if self.reopen.is_tight() {
            return true;
        }
        if !self.engine.ballast().is_some_and(Ballast::release) {
            return false;
        }
        self.reopen.hurry();
        self.reopen.attempt(&self.engine, &self.logs) || self.reopen.is_tight()
    }

    /// Tries again what makes room; the rest of a group that met a full disk is refused.
    fn take_away(&mut self, answers: Vec<Answer>, takers: Vec<Option<TakenAway>>) {
        let has_room = self.make_room();
        let mut units = Vec::new();
        for ((sender, result), taker) in answers.into_iter().zip(takers) {
            match taker {
                Some(taker) if has_room && result.is_ok() => units.push(taker.into_unit(sender)),
                Some(_) | None => answer(sender, result.and(Err(StoreError::Full))),
            }
        }
        if !units.is_empty() {
            self.commit(units);
        }
    }

    fn break_down(&mut self, error: &StoreError) {
        self.reopen.failed();
        tracing::error!(%error, "the store takes no more writes");
        self.logs.break_down(error.clone());
    }
}

fn refuse(units: Vec<Unit>, error: &StoreError) {
    units.into_iter().for_each(|unit| answer(unit.answer, Err(error.clone())));
}

/// Whoever asked may have gone.
fn answer(sender: oneshot::Sender<Result<(), StoreError>>, result: Result<(), StoreError>) {
    drop(sender.send(result));
}

/// Batches that become one.
struct Group<'a> {
    kv: &'a dyn Kv,
    logs: &'a Logs,
    changes: Changes,
    plans: HashMap<Log, Plan>,
}

type Answer = (oneshot::Sender<Result<(), StoreError>>, Result<(), StoreError>);

impl Group<'_> {
    /// Checks a batch and adds it, or leaves the group as it was.
    fn take(&mut self, unit: Unit) -> Answer {
        let Unit { append, puts, deletes, forget, answer, .. } = unit;
        let result = self.add(append, &puts, &deletes, &forget);
        (answer, result)
    }

    /// The head first, then puts, deletes and logs to forget, in this order. Nothing is changed before all of
    /// it is known to be possible.
    fn add(
        &mut self,
        append: Option<(Log, Seq, Vec<Draft>)>,
        puts: &[Put],
        deletes: &[Key],
        forget: &[Log],
    ) -> Result<(), StoreError> {
        if let Some((log, after, _)) = &append {
            let head = self.plan(log)?.head;
            if head != *after {
                return Err(wrong_head(log, *after, head));
            }
        }
        for log in forget {
            self.plan(log)?;
        }
        let mut overlay = Overlay::new(self.kv, &self.changes);
        puts.iter().try_for_each(|put| records::put(&mut overlay, put))?;
        deletes.iter().try_for_each(|key| records::delete(&mut overlay, key))?;
        let mut grown = None;
        if let Some((log, after, drafts)) = append
            && !drafts.is_empty()
        {
            let waiting = self.plans.get(&log).map_or_else(Vec::new, |plan| plan.waiting.clone());
            let head = drafts.last().map_or(after, |last| last.entry.last_seq());
            write_entries(&mut overlay, &log, head, waiting, drafts)?;
            grown = Some((log, head));
        }
        for log in forget {
            overlay.remove(keys::head(log));
            let marker = keys::forgotten(log);
            let value = sealed::seal(&marker, &to_json(log)?);
            overlay.set(marker, value);
        }
        let own = overlay.into_changes();
        self.changes.extend(own);
        if let Some((log, head)) = grown
            && let Some(plan) = self.plans.get_mut(&log)
        {
            *plan = Plan { head, waiting: Vec::new(), outcome: Some(Outcome::Grown(head)) };
        }
        for log in forget {
            if let Some(plan) = self.plans.get_mut(log) {
                *plan = Plan { head: 0, waiting: Vec::new(), outcome: Some(Outcome::Forgotten) };
            }
        }
        Ok(())
    }

    fn plan(&mut self, log: &Log) -> Result<&Plan, StoreError> {
        if !self.plans.contains_key(log) {
            let durable = if self.logs.head(log).is_some() { 0 } else { stored_head(self.kv, log)? };
            let (durable, waiting) = self.logs.begin(log, durable);
            let head = waiting.last().map_or(durable, Entry::last_seq);
            self.plans.insert(log.clone(), Plan { head, waiting, outcome: None });
        }
        self.plans.get(log).ok_or_else(|| StoreError::Unavailable("a log was lost from its group".into()))
    }
}

/// What waited, then the new entries, then where the log ends now.
fn write_entries(
    overlay: &mut Overlay<'_>,
    log: &Log,
    head: Seq,
    waiting: Vec<Entry>,
    drafts: Vec<Draft>,
) -> Result<(), StoreError> {
    let waited = waiting.into_iter().map(|entry| Draft { entry, json: None });
    for draft in entries::coalesce(waited.chain(drafts).collect()) {
        entries::write(overlay, log, draft)?;
    }
    let at = keys::head(log);
    let value = sealed::seal_number(&at, head);
    overlay.set(at, value);
    Ok(())
}

/// Where a log's durable entries end.
pub(super) fn stored_head(kv: &dyn Kv, log: &Log) -> Result<Seq, StoreError> {
    let at = keys::head(log);
    let Some(value) = kv.get(&at)? else { return Ok(0) };
    sealed::open_number(&at, &value, || format!("the head of session {}", log.session))
}

/// Logs whose taking away was begun.
pub(super) fn begun_forgetting(kv: &dyn Kv) -> Result<Vec<Log>, StoreError> {
    let mut logs = Vec::new();
    let range = keys::all_forgotten();
    kv.scan(&range.start..&range.end, Direction::Forward, &mut |key, value| {
        let names = sealed::open(key, value).and_then(|json| serde_json::from_slice(json).ok());
        logs.extend(names.map(|(owner, session)| Log { owner, session }));
        ControlFlow::Continue(())
    })?;
    Ok(logs)
}

/// Takes a log's entries away, some at a time, and last the mark that it was begun.
pub(super) fn finish_forgetting(kv: &dyn Kv, log: &Log) -> Result<(), StoreError> {
    let range = keys::under(&keys::entries(log));
    loop {
        let mut changes = Changes::new();
        kv.scan(&range.start..&range.end, Direction::Forward, &mut |key, _| {
            changes.insert(key.to_vec(), None);
            if changes.len() < MAX_REMOVED { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        let last = changes.len() < MAX_REMOVED;
        if last {
            changes.insert(keys::forgotten(log), None);
        }
        kv.apply(Arc::new(changes))?;
        if last {
            return Ok(());
        }
    }
}

fn to_json(log: &Log) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec(&(&log.owner, &log.session))
        .map_err(|error| StoreError::Damaged(error.to_string().into()))
}
