//! When the disk is full or away, and how moody models and tools are.

use std::sync::Arc;
use std::time::Duration;

use runhold::store::StoreError;
use tokio::time::Instant;

use crate::dice::Dice;

/// The faults of one process's life.
#[derive(Debug, Clone)]
pub(super) struct Weather {
    begun: Instant,
    spells: Arc<[Spell]>,
    mood: u64,
    until: Duration,
}

/// A time in which the disk does not take writes.
#[derive(Debug)]
struct Spell {
    from: Duration,
    until: Duration,
    full: bool,
    /// How many writes of a hundred fail.
    writes: u64,
    /// How many reads of a hundred fail.
    reads: u64,
}

impl Weather {
    /// Faults until that moment of a life, and none after it.
    pub(super) fn seeded(dice: &mut Dice, until: Duration) -> Self {
        let spells = (0..dice.below(3)).map(|_| {
            let from = if dice.chance(25) { 0 } else { dice.below(3_000) };
            let from = Duration::from_millis(from);
            let until = from + Duration::from_millis(dice.below(1_500));
            let writes = if dice.chance(60) { 100 } else { 30 };
            let reads = if dice.chance(25) { 15 } else { 0 };
            Spell { from, until, full: dice.chance(50), writes, reads }
        });
        let spells = spells.collect();
        Self { begun: Instant::now(), spells, mood: dice.below(30), until }
    }

    /// How often, in a hundred, models and tools misbehave.
    pub(super) fn mood(&self) -> u64 {
        if self.begun.elapsed() < self.until { self.mood } else { 0 }
    }

    fn spell(&self) -> Option<&Spell> {
        let now = self.begun.elapsed();
        let spell = self.spells.iter().find(|spell| (spell.from..spell.until).contains(&now));
        spell.filter(|_| now < self.until)
    }

    pub(super) fn write(&self, dice: &mut Dice) -> Result<(), StoreError> {
        match self.spell() {
            Some(spell) if dice.chance(spell.writes) && spell.full => Err(StoreError::Full),
            Some(spell) if dice.chance(spell.writes) => Err(away()),
            _ => Ok(()),
        }
    }

    pub(super) fn read(&self, dice: &mut Dice) -> Result<(), StoreError> {
        match self.spell() {
            Some(spell) if dice.chance(spell.reads) => Err(away()),
            _ => Ok(()),
        }
    }
}

fn away() -> StoreError {
    StoreError::Unavailable("as the seed wants it".into())
}
