//! Values that were altered, in both engines: the rest is served, and a look at the whole store names them.
#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use uuid::Uuid;

use super::dump::verify;
use super::keys::{self, List};
use super::kv::Changes;
use super::open::{open, open_engine};
use crate::domain::document::{Key, Query, RecordKind, Tag, Tags};
use crate::domain::fact::{Entry, Fact};
use crate::domain::id::RunId;
use crate::domain::time::Timestamp;
use crate::store::{Append, Batch, Expect, Log, Put, Store, StoreConfig, StoreError};

const NOTE: RecordKind = RecordKind("note");

fn engines() -> [StoreConfig; 2] {
    [StoreConfig::Sled { cache_mib: 16 }, StoreConfig::Redb { cache_mib: 16 }]
}

fn key(id: &str) -> Key {
    Key { owner: "acme".parse().unwrap(), kind: NOTE, id: id.into() }
}

fn log() -> Log {
    Log { owner: "acme".parse().unwrap(), session: "s".parse().unwrap() }
}

fn entry(seq: u64) -> Entry {
    let fact = Fact::paused(Vec::new());
    Entry { seq, run: RunId(Uuid::from_u128(7)), at: Timestamp(seq), fact }
}

fn put(id: &str, body: &str) -> Put {
    let tags = Tags { sort: 1, listed: true, names: vec![Tag::new("user", "u")] };
    Put { key: key(id), expect: Expect::Any, tags, body: Bytes::from(body.to_owned()) }
}

fn index(id: &str, list: &List) -> Vec<u8> {
    let Key { owner, kind, .. } = key(id);
    keys::index_entry(&keys::index(&owner, kind, list), 1, id)
}

/// A store of records `a` to `d` and a log of five entries.
async fn filled(config: StoreConfig, folder: &Path) {
    let store = open(&config, folder).await.unwrap().store;
    let long = "x".repeat(10_000);
    let puts = vec![put("a", "1"), put("b", "2"), put("c", &long), put("d", "4")];
    let append = Append { log: log(), after: 0, entries: (1..=5).map(entry).collect() };
    store.commit(Batch { append: Some(append), puts, ..Batch::default() }).await.unwrap();
}

/// Alters the values of these keys, or takes the key away where it says so.
fn alter(config: StoreConfig, folder: &Path, altered: &[Vec<u8>], gone: &[Vec<u8>]) {
    let engine = open_engine(config, folder).unwrap();
    let mut changes = Changes::new();
    for key in altered {
        let mut value = engine.get(key).unwrap().unwrap();
        *value.last_mut().unwrap() ^= 1;
        changes.insert(key.clone(), Some(value));
    }
    for key in gone {
        assert!(engine.get(key).unwrap().is_some());
        changes.insert(key.clone(), None);
    }
    engine.apply(Arc::new(changes)).unwrap();
}

fn named(config: StoreConfig, folder: &Path) -> Vec<String> {
    let mut named = Vec::new();
    let seen = verify(&config, folder, &mut |what| named.push(what.to_owned())).unwrap();
    assert_eq!(seen.damaged, named.len() as u64);
    named
}

/// Ids, length and number of the damaged of a list.
async fn listed(store: &dyn Store, tag: Option<Tag>) -> (String, u64, usize) {
    let Key { owner, kind, .. } = key("");
    let query = Query { owner, kind, tag, newest_first: false, after: None, skip: 0, limit: 10 };
    let page = store.list(&query).await.unwrap();
    (page.records.into_iter().map(|record| record.key.id).collect(), page.total, page.damaged)
}

#[tokio::test]
async fn damaged_records_break_no_list() {
    for config in engines() {
        let folder = tempfile::tempdir().unwrap();
        filled(config, folder.path()).await;
        let altered = [keys::record(&key("b")), keys::record_part(&key("c"), 1, 1)];
        alter(config, folder.path(), &altered, &[keys::record(&key("d"))]);
        let expected = [
            "the record acme/note/b cannot be read",
            "a part of the record acme/note/c cannot be read",
            "the record acme/note/d is missing: the list of note names it",
            "the record acme/note/d is missing: the list of note with user=u names it",
        ];
        assert_eq!(named(config, folder.path()), expected);
        let store = open(&config, folder.path()).await.unwrap().store;
        for tag in [None, Some(Tag::new("user", "u"))] {
            assert_eq!(listed(&*store, tag).await, ("a".into(), 4, 2));
        }
        assert!(matches!(store.get(&key("b")).await, Err(StoreError::Damaged(_))));
        assert!(matches!(store.get(&key("c")).await, Err(StoreError::Damaged(_))));
    }
}

#[tokio::test]
async fn damaged_lists_are_named() {
    for config in engines() {
        let folder = tempfile::tempdir().unwrap();
        filled(config, folder.path()).await;
        let user = List::of("user", "u");
        let Key { owner, kind, .. } = key("");
        let altered = [index("a", &user), keys::count(&owner, kind, &List::every())];
        alter(config, folder.path(), &altered, &[index("b", &user)]);
        let expected = [
            "the record acme/note/a is missing from the list of note with user=u",
            "the record acme/note/b is missing from the list of note with user=u",
            "the length of the list of note cannot be read",
            "the list of note with user=u has 3 entries, and is said to have 4",
        ];
        assert_eq!(named(config, folder.path()), expected);
        let store = open(&config, folder.path()).await.unwrap().store;
        assert_eq!(listed(&*store, None).await, ("abcd".into(), 4, 0));
        assert_eq!(listed(&*store, Some(Tag::new("user", "u"))).await, ("acd".into(), 4, 0));
    }
}

#[tokio::test]
async fn damaged_entries_are_named_and_those_before_and_behind_are_read() {
    for config in engines() {
        let folder = tempfile::tempdir().unwrap();
        filled(config, folder.path()).await;
        let entry_key = |seq| keys::entry(&log(), seq, 0);
        alter(config, folder.path(), &[entry_key(3)], &[entry_key(5)]);
        let run = RunId(Uuid::from_u128(7));
        let expected = [
            format!("entry 3 of session acme/s, behind one of run {run}, cannot be read"),
            format!("entry 5 of session acme/s, behind one of run {run}, cannot be read"),
        ];
        assert_eq!(named(config, folder.path()), expected);
        let store = open(&config, folder.path()).await.unwrap().store;
        assert_eq!(store.read(&log(), 0, 2).await.unwrap(), vec![entry(1), entry(2)]);
        assert_eq!(store.read(&log(), 3, 1).await.unwrap(), vec![entry(4)]);
        assert!(matches!(store.read(&log(), 0, 10).await, Err(StoreError::Damaged(_))));
    }
}

#[tokio::test]
async fn a_log_whose_end_is_not_known_is_named_with_its_entries() {
    for config in engines() {
        let folder = tempfile::tempdir().unwrap();
        filled(config, folder.path()).await;
        alter(config, folder.path(), &[keys::head(&log())], &[]);
        assert_eq!(named(config, folder.path()), ["where the log of session acme/s ends cannot be read"]);
        alter(config, folder.path(), &[], &[keys::head(&log())]);
        assert_eq!(named(config, folder.path()), ["where the log of session acme/s ends is missing"]);
    }
}

#[tokio::test]
async fn an_engine_that_forgets_its_latest_writes_is_refused() {
    for config in engines() {
        let (folder, earlier) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        drop(open(&config, earlier.path()).await.unwrap());
        filled(config, folder.path()).await;
        let engine = super::open::engine_path(&config, folder.path()).unwrap();
        let _removed = std::fs::remove_dir_all(&engine).or_else(|_| std::fs::remove_file(&engine));
        std::fs::rename(super::open::engine_path(&config, earlier.path()).unwrap(), engine).unwrap();
        let told = "damaged data: the engine has lost its latest writes: it is at 0, and was at 1";
        assert_eq!(named(config, folder.path()), [told]);
        let refused = open(&config, folder.path()).await.map(drop).unwrap_err();
        assert!(
            refused.to_string().ends_with("lost its latest writes: it is at 0, and was at 1"),
            "{refused}"
        );
    }
}
