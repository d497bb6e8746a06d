//! An engine that answers nothing after its first failure, and a disk that takes no writes.
#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::kv::{Changes, Direction, Kv, Visit};
use super::logs::Logs;
use super::memory::Memory;
use super::redb::Redb;
use super::reopen::Reopen;
use super::{EmbeddedStore, Engine};
use crate::domain::fact::{Entry, Fact, Seq};
use crate::domain::id::RunId;
use crate::domain::time::Timestamp;
use crate::store::{Append, Batch, Log, Store, StoreError};

/// What is on the disk, and whether that takes writes.
#[derive(Clone, Default)]
struct Disk {
    memory: Arc<Memory>,
    fails: Arc<AtomicBool>,
}

/// An engine on it.
struct Touchy {
    disk: Disk,
    failed: AtomicBool,
}

impl Touchy {
    fn on(disk: &Disk) -> Arc<dyn Kv> {
        Arc::new(Self { disk: disk.clone(), failed: AtomicBool::new(false) })
    }

    fn answers(&self) -> Result<(), StoreError> {
        self.failure().map_or(Ok(()), Err)
    }
}

impl Kv for Touchy {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.answers()?;
        self.disk.memory.get(key)
    }

    fn scan(
        &self,
        range: Range<&[u8]>,
        direction: Direction,
        visit: &mut Visit<'_>,
    ) -> Result<(), StoreError> {
        self.answers()?;
        self.disk.memory.scan(range, direction, visit)
    }

    fn apply(&self, changes: Arc<Changes>) -> Result<(), StoreError> {
        self.failed.fetch_or(self.disk.fails.load(Ordering::SeqCst), Ordering::SeqCst);
        self.answers()?;
        self.disk.memory.apply(changes)
    }

    fn failure(&self) -> Option<StoreError> {
        let failed = self.failed.load(Ordering::SeqCst);
        failed.then(|| StoreError::Unavailable("an earlier failure".into()))
    }

    fn to_read(&self) -> Option<Result<Arc<dyn Kv>, StoreError>> {
        self.failure().map(|_| Ok(Self::on(&self.disk)))
    }
}

fn log() -> Log {
    Log { owner: "acme".parse().unwrap(), session: "s".parse().unwrap() }
}

fn fact(seq: Seq) -> Entry {
    Entry { seq, run: RunId(uuid::Uuid::from_u128(7)), at: Timestamp(seq), fact: Fact::paused(Vec::new()) }
}

fn append(seq: Seq) -> Batch {
    let append = Append { log: log(), after: seq - 1, entries: vec![fact(seq)] };
    Batch { append: Some(append), ..Batch::default() }
}

/// There is room where `folder` is a folder.
fn open(disk: &Disk, folder: &Path) -> EmbeddedStore {
    let again = disk.clone();
    let reopen = Reopen::new(Box::new(move || Ok(Touchy::on(&again))), Some(folder.into()));
    EmbeddedStore::start(Engine::new(Touchy::on(disk), None), Logs::new(None), reopen).unwrap()
}

#[tokio::test]
async fn what_an_engine_held_when_it_failed_is_read_until_the_disk_takes_writes_again() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("data");
    let disk = Disk::default();
    let store = open(&disk, &folder);
    store.commit(append(1)).await.unwrap();
    disk.fails.store(true, Ordering::SeqCst);
    for _ in 0..3 {
        assert!(matches!(store.commit(append(2)).await, Err(StoreError::Unavailable(_))));
        assert_eq!(store.read(&log(), 0, 10).await.unwrap(), [fact(1)]);
    }
    disk.fails.store(false, Ordering::SeqCst);
    std::fs::create_dir(&folder).unwrap();
    while store.commit(append(2)).await.is_err() {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(store.read(&log(), 0, 10).await.unwrap(), [fact(1), fact(2)]);
}

#[tokio::test]
async fn a_read_that_meets_a_failed_engine_has_it_opened_again_though_nobody_writes() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::default();
    let store = open(&disk, folder.path());
    store.commit(append(1)).await.unwrap();
    disk.fails.store(true, Ordering::SeqCst);
    let engine = store.engine.now().unwrap();
    assert!(engine.apply(Arc::default()).is_err());
    drop(engine);
    disk.fails.store(false, Ordering::SeqCst);
    assert_eq!(store.read(&log(), 0, 10).await.unwrap(), [fact(1)]);
    store.commit(append(2)).await.unwrap();
}

#[test]
fn redb_is_read_from_its_file_as_it_is_once_it_has_failed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("redb");
    let redb = Redb::open(&path, 16).unwrap();
    redb.apply(Changes::from([(b"a".to_vec(), Some(b"1".to_vec()))]).into()).unwrap();
    assert!(redb.to_read().is_none());
    let before = std::fs::read(&path).unwrap();
    redb.fail();
    let reader = redb.to_read().unwrap().unwrap();
    assert_eq!(reader.get(b"a").unwrap(), Some(b"1".to_vec()));
    assert_eq!(reader.get(b"b").unwrap(), None);
    drop(reader);
    assert_eq!(std::fs::read(&path).unwrap(), before);
}
