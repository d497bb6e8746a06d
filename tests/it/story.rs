//! A machine and its log, for tests of machines alone.

use runhold::domain::fact::{Entry, Fact, RunStart};
use runhold::domain::id::RunId;
use runhold::domain::time::Timestamp;
use runhold::machine::{Machine, News};

/// One run's machine, and the facts it made.
pub(crate) struct Log {
    run: RunId,
    pub(crate) machine: Machine,
    pub(crate) entries: Vec<Entry>,
    clock: u64,
}

impl Log {
    /// A run that was just accepted.
    pub(crate) fn accepted(run: RunId, start: RunStart) -> Self {
        let at = Timestamp(1);
        let machine = Machine::accept(run, at, &start).unwrap();
        let first = Entry { seq: 1, run, at, fact: Fact::RunStarted(Box::new(start)) };
        Self { run, machine, entries: vec![first], clock: 1 }
    }

    /// A run as its log tells it, some time later.
    pub(crate) fn read(run: RunId, entries: Vec<Entry>) -> Self {
        let machine = Machine::replay(run, &entries).unwrap();
        Self { run, machine, entries, clock: 1_000 }
    }

    /// Tells the news; the facts that followed.
    pub(crate) fn hear(&mut self, news: News) -> Vec<Fact> {
        self.clock += 1;
        let at = Timestamp(self.clock);
        let facts = self.machine.decide(news);
        for fact in &facts {
            self.machine.apply(at, fact).unwrap();
            let seq = self.entries.len() as u64 + 1;
            self.entries.push(Entry { seq, run: self.run, at, fact: fact.clone() });
        }
        facts
    }

    /// The process ended: the machine is made of its log again, and knows the same.
    pub(crate) fn replay(&mut self) {
        let replayed = Machine::replay(self.run, &self.entries).unwrap();
        assert_eq!(replayed.view(), self.machine.view());
        self.machine = replayed;
    }
}
