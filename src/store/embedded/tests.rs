//! What can only be seen with a hand on the engine: damage, failures, work left half done.
#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::collections::BTreeSet;
use std::ops::{ControlFlow, Range};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use uuid::Uuid;

use super::kv::{Changes, Direction, Kv, Visit};
use super::logs::Logs;
use super::memory::Memory;
use super::open::{check_format, recover};
use super::reopen::Reopen;
use super::tail::Tail;
use super::{EmbeddedStore, Engine, committer, keys, sealed};
use crate::domain::document::{Key, Query, RecordKind, Tag, Tags};
use crate::domain::fact::{Entry, Fact, Piece, Seq};
use crate::domain::id::RunId;
use crate::domain::time::Timestamp;
use crate::store::{Append, Batch, Expect, Log, OpenError, Put, Store, StoreError};

/// An engine that outlives its store and fails when told to.
#[derive(Clone, Default)]
pub(super) struct Disk {
    pub(super) memory: Arc<Memory>,
    pub(super) full: Arc<AtomicBool>,
    writing: Arc<Mutex<()>>,
}

impl Kv for Disk {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.memory.get(key)
    }

    fn scan(
        &self,
        range: Range<&[u8]>,
        direction: Direction,
        visit: &mut Visit<'_>,
    ) -> Result<(), StoreError> {
        self.memory.scan(range, direction, visit)
    }

    fn apply(&self, changes: Arc<Changes>) -> Result<(), StoreError> {
        if self.full.load(Ordering::SeqCst) {
            return Err(StoreError::Full);
        }
        let _writing = self.writing.lock().unwrap();
        self.memory.apply(changes)
    }

    fn blocks(&self) -> bool {
        false
    }
}

impl Disk {
    /// Holds writes up until the guard goes.
    pub(super) fn hold(&self) -> MutexGuard<'_, ()> {
        self.writing.lock().unwrap()
    }

    /// Another disk that holds the same.
    pub(super) fn copy(&self) -> Self {
        let mut found = Changes::new();
        self.scan(&[]..&[0xFF], Direction::Forward, &mut |key, value| {
            found.insert(key.to_vec(), Some(value.to_vec()));
            ControlFlow::Continue(())
        })
        .unwrap();
        let copy = Self::default();
        copy.apply(found.into()).unwrap();
        copy
    }

    fn open(&self, folder: &Path) -> EmbeddedStore {
        let (tail, frames) = Tail::open(&folder.join("tail")).unwrap();
        let logs = Logs::new(Some(tail));
        recover(self, &logs, frames).unwrap();
        let disk = self.clone();
        let open = move || match disk.full.load(Ordering::SeqCst) {
            true => Err(StoreError::Full),
            false => Ok(Arc::new(disk.clone()) as Arc<dyn Kv>),
        };
        let reopen = Reopen::new(Box::new(open), Some(folder.into()));
        EmbeddedStore::start(Engine::new(Arc::new(self.clone()), None), logs, reopen).unwrap()
    }

    /// Every bit of the value may be wrong: the last one is.
    fn damage(&self, key: &[u8]) {
        let mut value = self.get(key).unwrap().unwrap();
        *value.last_mut().unwrap() ^= 1;
        self.apply(Changes::from([(key.to_vec(), Some(value))]).into()).unwrap();
    }
}

fn log() -> Log {
    Log { owner: "acme".parse().unwrap(), session: "s".parse().unwrap() }
}

fn key(id: &str) -> Key {
    Key { owner: "acme".parse().unwrap(), kind: RecordKind("note"), id: id.into() }
}

fn put(id: &str, body: &str) -> Put {
    let tags = Tags { sort: 1, listed: true, names: vec![Tag::new("user", "u")] };
    Put { key: key(id), expect: Expect::Any, tags, body: Bytes::from(body.to_owned()) }
}

fn puts(puts: impl Into<Vec<Put>>) -> Batch {
    Batch { puts: puts.into(), ..Batch::default() }
}

fn append(after: Seq, entries: impl Into<Vec<Entry>>) -> Batch {
    let append = Append { log: log(), after, entries: entries.into() };
    Batch { append: Some(append), ..Batch::default() }
}

fn entry(seq: Seq, fact: Fact) -> Entry {
    Entry { seq, run: RunId(Uuid::from_u128(7)), at: Timestamp(seq), fact }
}

fn fact(seq: Seq) -> Entry {
    entry(seq, Fact::paused(Vec::new()))
}

fn said(seq: Seq, text: &str) -> Entry {
    entry(seq, Fact::Said { pieces: vec![Piece::Text(text.into())] })
}

fn all_notes() -> Query {
    let Key { owner, kind, .. } = key("");
    Query { owner, kind, tag: None, newest_first: false, after: None, skip: 0, limit: 10 }
}

fn is_damaged<T>(result: &Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::Damaged(_)))
}

#[tokio::test]
async fn a_damaged_record_is_named_by_get_and_left_out_of_lists() {
    let (disk, folder) = (Disk::default(), tempfile::tempdir().unwrap());
    let store = disk.open(folder.path());
    let long = "x".repeat(10_000);
    store.commit(puts([put("a", "1"), put("b", "2"), put("c", &long), put("d", "4")])).await.unwrap();
    disk.damage(&keys::record(&key("b")));
    disk.damage(&keys::record_part(&key("c"), 1, 1));
    let damaged = store.get(&key("b")).await;
    assert!(matches!(damaged, Err(StoreError::Damaged(what)) if what.contains("acme/note/b")));
    assert!(is_damaged(&store.get(&key("c")).await));
    let page = store.list(&all_notes()).await.unwrap();
    let ids: Vec<_> = page.records.iter().map(|record| record.key.id.as_str()).collect();
    assert_eq!((ids, page.total, page.damaged), (vec!["a", "d"], 4, 2));
}

#[tokio::test]
async fn a_damaged_length_of_a_list_is_counted_again() {
    let (disk, folder) = (Disk::default(), tempfile::tempdir().unwrap());
    let store = disk.open(folder.path());
    store.commit(puts([put("a", "1"), put("b", "2")])).await.unwrap();
    let Key { owner, kind, .. } = key("");
    let length = keys::count(&owner, kind, &keys::List::every());
    disk.damage(&length);
    assert_eq!(store.list(&all_notes()).await.unwrap().total, 2);
    store.commit(puts([put("c", "3"), put("d", "4")])).await.unwrap();
    assert_eq!(store.list(&all_notes()).await.unwrap().total, 4);
    assert_eq!(sealed::open(&length, &disk.get(&length).unwrap().unwrap()), Some(&4u64.to_be_bytes()[..]));
}

#[tokio::test]
async fn a_damaged_or_missing_entry_is_never_passed_over() {
    let (disk, folder) = (Disk::default(), tempfile::tempdir().unwrap());
    let store = disk.open(folder.path());
    store.commit(append(0, (1..=5).map(fact).collect::<Vec<_>>())).await.unwrap();
    let third = keys::entry(&log(), 3, 0);
    disk.damage(&third);
    assert!(is_damaged(&store.read(&log(), 0, 10).await));
    assert_eq!(store.read(&log(), 0, 2).await.unwrap(), vec![fact(1), fact(2)]);
    assert_eq!(store.read(&log(), 3, 10).await.unwrap(), vec![fact(4), fact(5)]);
    disk.apply(Changes::from([(third, None)]).into()).unwrap();
    assert!(is_damaged(&store.read(&log(), 0, 10).await));
    assert!(is_damaged(&store.read(&log(), 2, 10).await));
}

#[tokio::test]
async fn after_a_failure_no_write_is_acknowledged_until_the_engine_was_opened_again() {
    let (disk, folder) = (Disk::default(), tempfile::tempdir().unwrap());
    let store = disk.open(folder.path());
    store.commit(append(0, [fact(1)])).await.unwrap();
    store.commit(append(1, [said(2, "a")])).await.unwrap();
    disk.full.store(true, Ordering::SeqCst);
    assert!(matches!(store.commit(append(2, [fact(3)])).await, Err(StoreError::Full)));
    assert_eq!(store.read(&log(), 0, 10).await.unwrap(), vec![fact(1), said(2, "a")]);
    disk.full.store(false, Ordering::SeqCst);
    store.commit(append(2, [said(3, "b")])).await.unwrap();
    store.commit(append(3, [fact(4)])).await.unwrap();
    let merged = entry(2, Fact::Said { pieces: vec![Piece::Text("a".into()), Piece::Text("b".into())] });
    assert_eq!(store.read(&log(), 0, 10).await.unwrap(), vec![fact(1), merged, fact(4)]);
}

#[tokio::test]
async fn pieces_are_merged_into_entries_of_a_bounded_size() {
    let (disk, folder) = (Disk::default(), tempfile::tempdir().unwrap());
    let store = disk.open(folder.path());
    store.commit(append(0, [fact(1)])).await.unwrap();
    let long = "x".repeat(1000);
    for seq in 2..200 {
        store.commit(append(seq - 1, [said(seq, &long)])).await.unwrap();
    }
    store.commit(append(199, [fact(200)])).await.unwrap();
    let entries = store.read(&log(), 1, 100).await.unwrap();
    let pieces = |entry: &Entry| entry.fact.width();
    assert_eq!(entries.iter().map(pieces).collect::<Vec<_>>(), [59, 59, 59, 21, 1]);
    assert!(super::entries::follow(1, &entries));
}

#[tokio::test]
async fn while_the_engine_cannot_be_opened_again_every_write_is_refused() {
    let (disk, folder) = (Disk::default(), tempfile::tempdir().unwrap());
    let store = disk.open(folder.path());
    store.commit(append(0, [fact(1)])).await.unwrap();
    store.commit(append(1, [said(2, "a")])).await.unwrap();
    disk.full.store(true, Ordering::SeqCst);
    for _ in 0..3 {
        assert!(matches!(store.commit(append(2, [fact(3)])).await, Err(StoreError::Full)));
        assert!(matches!(store.commit(append(2, [said(3, "b")])).await, Err(StoreError::Full)));
    }
    drop(store);
    disk.full.store(false, Ordering::SeqCst);
    let store = disk.open(folder.path());
    assert_eq!(store.read(&log(), 0, 10).await.unwrap(), vec![fact(1), said(2, "a")]);
}

#[tokio::test]
async fn taking_a_log_away_is_finished_at_the_next_opening() {
    let (disk, folder) = (Disk::default(), tempfile::tempdir().unwrap());
    let store = disk.open(folder.path());
    store.commit(append(0, (1..=3).map(fact).collect::<Vec<_>>())).await.unwrap();
    store.commit(append(3, [said(4, "a")])).await.unwrap();
    drop(store);
    // As it is between the two steps: the head is gone, the mark is there.
    let mark = keys::forgotten(&log());
    let names = serde_json::to_vec(&("acme", "s")).unwrap();
    let value = sealed::seal(&mark, &names);
    disk.apply(Changes::from([(mark, Some(value)), (keys::head(&log()), None)]).into()).unwrap();
    let store = disk.open(folder.path());
    assert_eq!(store.head(&log()).await.unwrap(), 0);
    assert_eq!(committer::begun_forgetting(&disk).unwrap(), vec![]);
    let left = keys::under(&keys::entries(&log()));
    let mut found = BTreeSet::new();
    disk.scan(&left.start..&left.end, Direction::Forward, &mut |key, _| {
        found.insert(key.to_vec());
        std::ops::ControlFlow::Continue(())
    })
    .unwrap();
    assert_eq!(found, BTreeSet::new());
}

#[tokio::test]
async fn pieces_that_a_fact_took_along_do_not_come_twice() {
    let (disk, folder) = (Disk::default(), tempfile::tempdir().unwrap());
    let store = disk.open(folder.path());
    store.commit(append(0, [fact(1)])).await.unwrap();
    store.commit(append(1, [said(2, "a")])).await.unwrap();
    let tail = folder.path().join("tail/00000001.log");
    let written = std::fs::read(&tail).unwrap();
    store.commit(append(2, [fact(3)])).await.unwrap();
    drop(store);
    std::fs::write(&tail, written).unwrap();
    let store = disk.open(folder.path());
    assert_eq!(store.read(&log(), 0, 10).await.unwrap(), vec![fact(1), said(2, "a"), fact(3)]);
}

#[test]
fn another_format_is_refused_by_its_name() {
    let disk = Disk::default();
    check_format(&disk, Path::new("data")).unwrap();
    check_format(&disk, Path::new("data")).unwrap();
    disk.apply(Changes::from([(keys::FORMAT.to_vec(), Some(b"2".to_vec()))]).into()).unwrap();
    let refused = check_format(&disk, Path::new("data"));
    assert!(matches!(refused, Err(OpenError::Format { found, known, .. }) if found == "2" && known == "1"));
}
