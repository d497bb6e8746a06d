//! Watchers: they come and go, live longer than processes, and must see every entry once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::StreamExt;
use runhold::domain::fact::{Entry, Fact, Piece, Seq};
use runhold::domain::id::{RunId, SessionId};
use runhold::runtime::Runtime;

use super::dice_of;
use super::world::{World, log_of, owner};

/// What somebody has seen of a session, over all connections.
pub(super) struct Watch {
    pub(super) session: SessionId,
    pub(super) name: String,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    /// The last number it saw.
    cursor: Seq,
    sights: BTreeMap<Seq, Sight>,
}

/// What one number of a log stands for.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Sight {
    Fact(Arc<Entry>),
    Piece(RunId, Piece),
}

/// An entry, number by number. That numbers were lost stands for none of them.
fn sights(entry: &Arc<Entry>) -> Vec<(Seq, Sight)> {
    match &entry.fact {
        Fact::Said { pieces } => {
            let piece = |piece: &Piece| Sight::Piece(entry.run, piece.clone());
            (entry.seq..).zip(pieces.iter().map(piece)).collect()
        }
        Fact::Lost { .. } => vec![],
        _ => vec![(entry.seq, Sight::Fact(entry.clone()))],
    }
}

impl Watch {
    pub(super) fn new(session: &str, at: u64) -> Self {
        let name = format!("{session}-watch{at}");
        Self { session: session.parse().unwrap(), name, seen: Mutex::default() }
    }

    /// The last number it saw.
    pub(super) fn cursor(&self) -> Seq {
        self.seen.lock().unwrap().cursor
    }

    /// Over all its connections, it saw what is in the log and nothing else, but for pieces whose numbers the log
    /// says were lost.
    pub(super) fn check(&self, world: &World) {
        let log: Vec<_> = world.disk.log(&log_of(&self.session)).into_iter().map(Arc::new).collect();
        let there: BTreeMap<Seq, Sight> = log.iter().flat_map(sights).collect();
        let seen = self.seen.lock().unwrap();
        for (seq, sight) in &there {
            let saw = seen.sights.get(seq);
            world.must(saw == Some(sight), || format!("{} saw {saw:?} at {seq}, for {sight:?}", self.name));
        }
        let is_lost = |seq: &Seq| {
            let covers = |entry: &Arc<Entry>| (entry.seq..=entry.last_seq()).contains(seq);
            log.iter().any(|entry| matches!(entry.fact, Fact::Lost { .. }) && covers(entry))
        };
        for (seq, sight) in seen.sights.iter().filter(|(seq, _)| !there.contains_key(seq)) {
            world.must(is_lost(seq), || format!("{} saw {sight:?} at {seq}, for nothing", self.name));
        }
    }

    /// Comes, watches for a while, goes, and comes back, as long as the process lives.
    pub(super) async fn watch(self: Arc<Self>, world: Arc<World>, runtime: Runtime, life: u64) {
        let mut dice = dice_of(world.seed, &[50, life, super::number_of(&self.name)]);
        loop {
            tokio::time::sleep(Duration::from_millis(dice.below(300))).await;
            let mut left = if dice.chance(50) { u64::MAX } else { dice.below(30) };
            let mut tail = std::pin::pin!(runtime.tail(&owner(), &self.session, self.cursor()));
            while left > 0 {
                left -= 1;
                match tail.next().await {
                    Some(Ok(entry)) => self.see(&world, &entry),
                    Some(Err(_)) => break,
                    None => {
                        world.must(false, || format!("{}: a session that is there has no log", self.name));
                        return;
                    }
                }
            }
        }
    }

    fn see(&self, world: &World, entry: &Arc<Entry>) {
        let mut seen = self.seen.lock().unwrap();
        let cursor = seen.cursor;
        // Some of the numbers that are said to be lost may have been seen.
        let follows = match entry.fact {
            Fact::Lost { .. } => entry.seq <= cursor + 1 && entry.last_seq() > cursor,
            _ => entry.seq == cursor + 1,
        };
        world.must(follows, || format!("{}: {} after {cursor}", self.name, entry.seq));
        let head = world.disk.head_of(&log_of(&self.session));
        world.must(entry.last_seq() <= head, || {
            format!("{} saw {} before it was written", self.name, entry.seq)
        });
        world.story.tell(&self.name, || format!("{} of {}", entry.seq, entry.run));
        seen.cursor = entry.last_seq();
        seen.sights.extend(sights(entry));
    }
}
