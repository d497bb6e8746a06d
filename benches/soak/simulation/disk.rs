//! A store that outlives the process, and forgets in a power cut what was not synced.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use runhold::domain::document::{Key, Page, Query, Record, Tags};
use runhold::domain::fact::{Entry, Fact, Seq};
use runhold::store::{Append, Batch, Expect, Log, Put, Store, StoreError};

use super::dice_of;
use super::power::{Moment, Power};
use super::weather::Weather;
use super::world::World;
use crate::dice::Dice;

/// What is kept, whatever happens to the process.
#[derive(Default)]
pub(super) struct Disk(Mutex<Platter>);

#[derive(Default)]
struct Platter {
    logs: BTreeMap<Log, Pages>,
    records: BTreeMap<Key, Stored>,
}

/// A log: pieces at its end may not be synced.
#[derive(Default)]
struct Pages {
    entries: Vec<Entry>,
    synced: usize,
}

struct Stored {
    version: u64,
    tags: Tags,
    body: bytes::Bytes,
}

impl Pages {
    fn head(&self) -> Seq {
        self.entries.last().map_or(0, Entry::last_seq)
    }

    fn append(&mut self, entries: &[Entry]) {
        if entries.iter().all(is_said) {
            self.entries.extend(entries.iter().cloned());
            return;
        }
        // A fact carries the pieces before it along, and they become one entry.
        let waiting = self.entries.split_off(self.synced);
        for entry in waiting.into_iter().chain(entries.iter().cloned()) {
            if let Some(Entry { run, fact: Fact::Said { pieces }, .. }) =
                self.entries[self.synced..].last_mut()
                && let Fact::Said { pieces: more } = &entry.fact
                && *run == entry.run
            {
                pieces.extend(more.iter().cloned());
            } else {
                self.entries.push(entry);
            }
        }
        self.synced = self.entries.len();
    }
}

fn is_said(entry: &Entry) -> bool {
    matches!(entry.fact, Fact::Said { .. })
}

impl Platter {
    fn head(&self, log: &Log) -> Seq {
        self.logs.get(log).map_or(0, Pages::head)
    }

    /// The batch, or a conflict and nothing changed.
    fn apply(&mut self, batch: &Batch) -> Result<(), StoreError> {
        if let Some(append) = &batch.append {
            self.check_append(append)?;
        }
        for put in &batch.puts {
            self.check_put(put)?;
        }
        if let Some(Append { log, entries, .. }) = &batch.append
            && !entries.is_empty()
        {
            self.logs.entry(log.clone()).or_default().append(entries);
        }
        for put in &batch.puts {
            let version = self.records.get(&put.key).map_or(0, |stored| stored.version) + 1;
            let stored = Stored { version, tags: put.tags.clone(), body: put.body.clone() };
            self.records.insert(put.key.clone(), stored);
        }
        batch.deletes.iter().for_each(|key| drop(self.records.remove(key)));
        batch.forget.iter().for_each(|log| drop(self.logs.remove(log)));
        Ok(())
    }

    fn check_append(&self, Append { log, after, entries }: &Append) -> Result<(), StoreError> {
        let mut head = self.head(log);
        if head != *after {
            return Err(StoreError::Conflict(format!("the log ends at {head}, not at {after}")));
        }
        for entry in entries {
            if entry.seq != head + 1 {
                return Err(StoreError::Conflict(format!("{} follows {head}", entry.seq)));
            }
            head = entry.last_seq();
        }
        Ok(())
    }

    fn check_put(&self, put: &Put) -> Result<(), StoreError> {
        let version = self.records.get(&put.key).map(|stored| stored.version);
        let fits = match put.expect {
            Expect::Any => true,
            Expect::Absent => version.is_none(),
            Expect::Present => version.is_some(),
            Expect::Version(wanted) => version == Some(wanted),
        };
        if fits { Ok(()) } else { Err(StoreError::Conflict(put.key.to_string())) }
    }

    fn list(&self, query: &Query) -> Page {
        let first = Key { owner: query.owner.clone(), kind: query.kind, id: String::new() };
        let of_kind = |key: &&Key| key.owner == query.owner && key.kind == query.kind;
        let mut found: Vec<_> = self
            .records
            .range(first..)
            .take_while(|(key, _)| of_kind(key))
            .filter(|(_, stored)| match &query.tag {
                Some(tag) => stored.tags.names.contains(tag),
                None => stored.tags.listed,
            })
            .map(|(key, stored)| (stored.tags.sort, &key.id, record(key, stored)))
            .collect();
        found.sort_by(|one, other| (one.0, one.1).cmp(&(other.0, other.1)));
        if query.newest_first {
            found.reverse();
        }
        let total = found.len() as u64;
        let after = query.after.as_ref().map(|place| (place.sort, &place.id));
        let is_after = |(sort, id, _): &(u64, &String, Record)| match after {
            None => true,
            Some(place) if query.newest_first => (*sort, *id) < place,
            Some(place) => (*sort, *id) > place,
        };
        let rest = found.into_iter().filter(is_after).skip(query.skip).take(query.limit);
        Page { records: rest.map(|(_, _, record)| record).collect(), total, damaged: 0 }
    }
}

fn record(key: &Key, stored: &Stored) -> Record {
    Record { key: key.clone(), version: stored.version, sort: stored.tags.sort, body: stored.body.clone() }
}

impl Disk {
    /// A power cut: of the pieces that were not synced, each log keeps the first few.
    pub(super) fn lose_unsynced(&self, dice: &mut Dice) {
        let mut platter = self.0.lock().unwrap();
        for pages in platter.logs.values_mut() {
            let unsynced = pages.entries.len() - pages.synced;
            let kept = dice.below(unsynced as u64 + 1) as usize;
            pages.entries.truncate(pages.synced + kept);
        }
    }

    /// A log as it is.
    pub(super) fn log(&self, log: &Log) -> Vec<Entry> {
        self.0.lock().unwrap().logs.get(log).map(|pages| pages.entries.clone()).unwrap_or_default()
    }

    pub(super) fn head_of(&self, log: &Log) -> Seq {
        self.0.lock().unwrap().head(log)
    }

    /// The names of all logs.
    pub(super) fn logs(&self) -> Vec<Log> {
        self.0.lock().unwrap().logs.keys().cloned().collect()
    }

    /// How many entries of a log fit.
    pub(super) fn count(&self, log: &Log, fits: impl Fn(&Entry) -> bool) -> usize {
        let platter = self.0.lock().unwrap();
        platter.logs.get(log).map_or(0, |pages| pages.entries.iter().filter(|entry| fits(entry)).count())
    }

    /// All records of a kind, of all owners.
    pub(super) fn records(&self, kind: &str) -> Vec<Record> {
        let platter = self.0.lock().unwrap();
        let of_kind = platter.records.iter().filter(|(key, _)| key.kind.0 == kind);
        of_kind.map(|(key, stored)| record(key, stored)).collect()
    }
}

/// A commit, for a reader.
fn line(number: u64, batch: &Batch) -> String {
    let fact = |entry: &Entry| {
        let debug = format!("{:?}", entry.fact);
        let name: String = debug.chars().take_while(|letter| letter.is_alphanumeric()).collect();
        format!("{} {name} of {:x}", entry.seq, entry.run.0.as_u128())
    };
    let facts: Vec<_> = batch.append.iter().flat_map(|append| append.entries.iter().map(fact)).collect();
    let session = batch.append.as_ref().map(|append| append.log.session.as_str()).unwrap_or_default();
    let keys = batch.puts.iter().map(|put| &put.key).chain(&batch.deletes);
    let keys: Vec<_> = keys.map(|key| format!("{} {}", key.kind.0, key.id)).collect();
    format!("commit {number} {session}: {facts:?} {keys:?}")
}

/// The disk as one process has it.
pub(super) struct Mounted {
    pub(super) world: Arc<World>,
    pub(super) power: Arc<Power>,
    pub(super) weather: Weather,
}

impl Mounted {
    /// Reading takes its time, the same for the same question to the same data.
    async fn reads(&self, words: &[u64]) -> Result<(), StoreError> {
        self.power.reads().await;
        let mut dice = dice_of(self.world.seed, words);
        if dice.chance(20) {
            tokio::time::sleep(Duration::from_millis(1)).await;
            self.power.holds().await;
        }
        self.weather.read(&mut dice)
    }
}

#[async_trait]
impl Store for Mounted {
    async fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        self.power.holds().await;
        let number = self.power.next_commit();
        let mut dice = dice_of(self.world.seed, &[self.power.life, number]);
        let entries = batch.append.iter().flat_map(|append| &append.entries);
        let only_said = batch.append.is_some() && entries.clone().all(is_said) && batch.puts.is_empty();
        let slow = !only_said && dice.chance(70);
        if slow {
            tokio::time::sleep(Duration::from_millis(dice.below(4))).await;
            self.power.holds().await;
        }
        self.weather.write(&mut dice)?;
        self.power.strikes(number, Moment::Before).await;
        self.world.story.tell("disk", || line(number, &batch));
        self.world.disk.0.lock().unwrap().apply(&batch)?;
        self.power.strikes(number, Moment::After).await;
        if slow {
            tokio::time::sleep(Duration::from_millis(dice.below(3))).await;
            self.power.holds().await;
        }
        Ok(())
    }

    async fn get(&self, key: &Key) -> Result<Option<Record>, StoreError> {
        let id = super::number_of(&key.id);
        self.reads(&[1, id, self.power.commits()]).await?;
        let platter = self.world.disk.0.lock().unwrap();
        Ok(platter.records.get(key).map(|stored| record(key, stored)))
    }

    async fn list(&self, query: &Query) -> Result<Page, StoreError> {
        self.reads(&[2, query.limit as u64, self.power.commits()]).await?;
        Ok(self.world.disk.0.lock().unwrap().list(query))
    }

    async fn read(&self, log: &Log, after: Seq, limit: usize) -> Result<Vec<Entry>, StoreError> {
        self.reads(&[3, super::number_of(log.session.as_str()), after, self.world.disk.head_of(log)]).await?;
        let platter = self.world.disk.0.lock().unwrap();
        let Some(pages) = platter.logs.get(log) else { return Ok(Vec::new()) };
        let from = pages.entries.partition_point(|entry| entry.last_seq() <= after);
        Ok(pages.entries.iter().skip(from).take(limit).cloned().collect())
    }

    async fn head(&self, log: &Log) -> Result<Seq, StoreError> {
        self.reads(&[4, super::number_of(log.session.as_str()), self.power.commits()]).await?;
        Ok(self.world.disk.head_of(log))
    }
}
