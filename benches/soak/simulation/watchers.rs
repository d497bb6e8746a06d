//! Watchers: they come and go, live longer than processes, and must see every entry once.

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
    seen: Mutex<Vec<Sight>>,
}

/// What one number of a log stands for.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Sight {
    Fact(Arc<Entry>),
    Piece(RunId, Piece),
}

/// An entry, number by number.
pub(super) fn sights(entry: &Arc<Entry>) -> Vec<Sight> {
    match &entry.fact {
        Fact::Said { pieces } => pieces.iter().map(|piece| Sight::Piece(entry.run, piece.clone())).collect(),
        _ => vec![Sight::Fact(entry.clone())],
    }
}

impl Watch {
    pub(super) fn new(session: &str, at: u64) -> Self {
        let name = format!("{session}-watch{at}");
        Self { session: session.parse().unwrap(), name, seen: Mutex::default() }
    }

    /// The last number it saw.
    pub(super) fn cursor(&self) -> Seq {
        self.seen.lock().unwrap().len() as Seq
    }

    pub(super) fn seen(&self) -> Vec<Sight> {
        self.seen.lock().unwrap().clone()
    }

    /// A power cut took pieces away that it had seen: nobody can have them again.
    pub(super) fn unsee_after(&self, head: Seq) {
        self.seen.lock().unwrap().truncate(head as usize);
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
        let cursor = self.cursor();
        world.must(entry.seq == cursor + 1, || format!("{}: {} after {cursor}", self.name, entry.seq));
        let head = world.disk.head_of(&log_of(&self.session));
        world.must(entry.last_seq() <= head, || {
            format!("{}: saw {} before it was written", self.name, entry.seq)
        });
        world.story.tell(&self.name, || format!("{} of {}", entry.seq, entry.run));
        self.seen.lock().unwrap().extend(sights(entry));
    }
}
