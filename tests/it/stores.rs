//! What every store promises, tried on each engine.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use runhold::domain::document::{Key, Page, Place, Query, Record, RecordKind, Tag, Tags};
use runhold::domain::fact::{Entry, Fact, Piece, Seq};
use runhold::domain::id::RunId;
use runhold::domain::time::Timestamp;
use runhold::store::{
    self, Append, Batch, Expect, Log, MAX_BATCH_BYTES, OpenError, Put, Store, StoreConfig, StoreError,
};
use tempfile::TempDir;
use uuid::Uuid;

const NOTE: RecordKind = RecordKind("note");

/// A data folder and the engine in it.
struct Folder {
    config: StoreConfig,
    dir: TempDir,
}

impl Folder {
    fn new(config: StoreConfig) -> Self {
        Self { config, dir: TempDir::new().unwrap() }
    }

    async fn open(&self) -> Arc<dyn Store> {
        store::open(&self.config, self.dir.path()).await.unwrap().store
    }

    /// What `kill -9` would leave of a store that is open now.
    fn as_if_killed(&self) -> Self {
        loop {
            let copy = Self::new(self.config);
            let before = written(self.dir.path());
            copy_files(self.dir.path(), copy.dir.path());
            // The engine writes in the background too, and half of each is what no death would leave.
            if written(self.dir.path()) == before {
                return copy;
            }
        }
    }

    /// The last file of pieces, if there is one.
    fn tail_file(&self) -> Option<PathBuf> {
        let files = std::fs::read_dir(self.dir.path().join("tail")).unwrap();
        files.map(|file| file.unwrap().path()).max()
    }
}

/// Each file, and when it was written.
fn written(folder: &Path) -> BTreeMap<PathBuf, (u64, SystemTime)> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        // What was listed may be gone by now.
        match std::fs::metadata(&path) {
            Ok(data) if data.is_dir() => found.extend(written(&path)),
            Ok(data) => drop(found.insert(path, (data.len(), data.modified().unwrap()))),
            Err(_) => {}
        }
    }
    found
}

/// All but the room that is kept for a full disk, which says nothing.
fn copy_files(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_name() == "ballast" {
            continue;
        }
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir(&target).unwrap();
            copy_files(&entry.path(), &target);
        } else {
            match std::fs::copy(entry.path(), &target) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                other => drop(other.unwrap()),
            }
        }
    }
}

fn memory() -> StoreConfig {
    StoreConfig::Memory {}
}

fn sled() -> StoreConfig {
    StoreConfig::Sled { cache_mib: 16 }
}

fn redb() -> StoreConfig {
    StoreConfig::Redb { cache_mib: 16 }
}

fn log(session: &str) -> Log {
    log_of("acme", session)
}

fn log_of(owner: &str, session: &str) -> Log {
    Log { owner: owner.parse().unwrap(), session: session.parse().unwrap() }
}

fn entry(seq: Seq, fact: Fact) -> Entry {
    Entry { seq, run: RunId(Uuid::from_u128(7)), at: Timestamp(seq * 1000), fact }
}

fn fact(seq: Seq) -> Entry {
    entry(seq, Fact::paused(vec![format!("call-{seq}").parse().unwrap()]))
}

fn said(seq: Seq, pieces: &[&str]) -> Entry {
    let pieces = pieces.iter().map(|piece| Piece::Text((*piece).into())).collect();
    entry(seq, Fact::Said { pieces })
}

fn append(log: &Log, after: Seq, entries: impl Into<Vec<Entry>>) -> Batch {
    let append = Append { log: log.clone(), after, entries: entries.into() };
    Batch { append: Some(append), ..Batch::default() }
}

fn key(id: &str) -> Key {
    Key { owner: "acme".parse().unwrap(), kind: NOTE, id: id.into() }
}

fn put(id: &str, expect: Expect, sort: u64, tags: &[(&'static str, &str)], body: &str) -> Put {
    let names = tags.iter().map(|(name, value)| Tag::new(name, *value)).collect();
    Put { key: key(id), expect, tags: Tags { sort, listed: true, names }, body: Bytes::from(body.to_owned()) }
}

fn puts(puts: impl Into<Vec<Put>>) -> Batch {
    Batch { puts: puts.into(), ..Batch::default() }
}

fn record(id: &str, version: u64, sort: u64, body: &str) -> Record {
    Record { key: key(id), version, sort, body: Bytes::from(body.to_owned()) }
}

fn every(limit: usize) -> Query {
    Query {
        owner: "acme".parse().unwrap(),
        kind: NOTE,
        tag: None,
        newest_first: false,
        after: None,
        skip: 0,
        limit,
    }
}

fn tagged(name: &'static str, value: &str) -> Query {
    Query { tag: Some(Tag::new(name, value)), ..every(100) }
}

/// Ids and length of a list.
async fn listed(store: &dyn Store, query: Query) -> (Vec<String>, u64) {
    let Page { records, total, damaged } = store.list(&query).await.unwrap();
    assert_eq!(damaged, 0);
    (records.into_iter().map(|record| record.key.id).collect(), total)
}

fn ids(ids: &[&str]) -> Vec<String> {
    ids.iter().map(|id| (*id).to_owned()).collect()
}

fn is_conflict(result: &Result<(), StoreError>) -> bool {
    matches!(result, Err(StoreError::Conflict(_)))
}

/// Makes a test for each engine of each function, which is given a new folder.
macro_rules! tests_on {
    ($($engine:ident)*, $names:tt) => {
        $(tests_on! { @one $engine $names })*
    };
    (@one $engine:ident [$($name:ident),* $(,)?]) => {
        mod $engine {
            $(#[tokio::test]
            async fn $name() {
                super::$name(super::Folder::new(super::$engine())).await;
            })*
        }
    };
}

mod damage;
mod dump;
mod durability;
mod full_disk;
mod killed;
mod logs;
mod model;
mod records;
