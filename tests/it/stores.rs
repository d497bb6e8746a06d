//! What every store promises, tried on each engine.

use std::path::Path;
use std::sync::Arc;

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

mod killed;
mod model;

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
        store::open(&self.config, self.dir.path()).await.unwrap()
    }

    /// What `kill -9` would leave of a store that is open now.
    fn as_if_killed(&self) -> Self {
        let copy = Self::new(self.config);
        copy_files(self.dir.path(), copy.dir.path());
        copy
    }

    /// The last file of pieces, if there is one.
    fn tail_file(&self) -> Option<std::path::PathBuf> {
        let files = std::fs::read_dir(self.dir.path().join("tail")).unwrap();
        files.map(|file| file.unwrap().path()).max()
    }
}

fn copy_files(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir(&target).unwrap();
            copy_files(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), &target).unwrap();
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
    entry(seq, Fact::Paused { calls: vec![format!("call-{seq}").parse().unwrap()] })
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
    Put { key: key(id), expect, tags: Tags { sort, names }, body: Bytes::from(body.to_owned()) }
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

macro_rules! on {
    ($($engine:ident: [$($name:ident),* $(,)?])*) => {
        $(mod $engine {
            $(#[tokio::test]
            async fn $name() {
                super::$name(super::Folder::new(super::$engine())).await;
            })*
        })*
    };
}

macro_rules! every_engine {
    (all: [$($all:ident),* $(,)?], durable: [$($durable:ident),* $(,)?]) => {
        on! {
            memory: [$($all),*]
            sled: [$($all),*, $($durable),*]
            redb: [$($all),*, $($durable),*]
        }
    };
}

every_engine! {
    all: [
        entries_are_read_in_the_order_they_were_appended,
        reading_stops_at_the_limit_and_goes_on_after_it,
        an_append_after_the_wrong_head_is_refused,
        entries_with_a_gap_in_their_numbers_are_refused,
        a_conflicting_put_undoes_the_append_and_the_other_puts,
        a_put_goes_ahead_only_if_what_it_expects_is_there,
        one_of_many_claimants_wins,
        one_of_many_appends_after_the_same_head_wins,
        lists_follow_tags_and_count_themselves,
        a_record_moves_between_lists_when_its_tags_change,
        lists_are_paged_both_ways,
        a_deleted_record_leaves_every_list,
        big_bodies_and_big_entries_come_back_whole,
        a_batch_over_the_limit_is_refused,
        owners_do_not_see_each_other,
        crafted_names_stay_in_their_place,
        a_forgotten_log_is_empty_and_may_begin_again,
        pieces_are_visible_at_once,
        pieces_obey_the_same_conflict_rules,
        pieces_are_merged_when_a_fact_follows,
        a_failed_fact_leaves_the_pieces_waiting,
        reading_from_inside_a_merged_entry_gives_it_whole,
        a_batch_of_nothing_is_fine,
    ],
    durable: [
        everything_is_there_after_a_clean_end,
        facts_and_pieces_survive_an_unclean_end,
        pieces_keep_their_numbers_through_many_unclean_ends,
        a_clean_end_with_nothing_waiting_leaves_no_tail,
        the_torn_end_of_a_tail_file_is_cut,
        pieces_of_a_forgotten_log_do_not_come_back,
        a_folder_in_use_is_refused_with_the_process_id,
        a_folder_of_another_engine_is_refused,
        the_data_folder_is_for_its_owner_alone,
    ]
}

async fn entries_are_read_in_the_order_they_were_appended(folder: Folder) {
    let store = folder.open().await;
    let log = log("s");
    assert_eq!(store.head(&log).await.unwrap(), 0);
    assert_eq!(store.read(&log, 0, 10).await.unwrap(), vec![]);
    store.commit(append(&log, 0, [fact(1), fact(2)])).await.unwrap();
    store.commit(append(&log, 2, [fact(3)])).await.unwrap();
    assert_eq!(store.read(&log, 0, 10).await.unwrap(), vec![fact(1), fact(2), fact(3)]);
    assert_eq!(store.head(&log).await.unwrap(), 3);
}

async fn reading_stops_at_the_limit_and_goes_on_after_it(folder: Folder) {
    let store = folder.open().await;
    let log = log("s");
    store.commit(append(&log, 0, (1..=5).map(fact).collect::<Vec<_>>())).await.unwrap();
    assert_eq!(store.read(&log, 0, 2).await.unwrap(), vec![fact(1), fact(2)]);
    assert_eq!(store.read(&log, 2, 2).await.unwrap(), vec![fact(3), fact(4)]);
    assert_eq!(store.read(&log, 4, 2).await.unwrap(), vec![fact(5)]);
    assert_eq!(store.read(&log, 5, 2).await.unwrap(), vec![]);
    assert_eq!(store.read(&log, 99, 2).await.unwrap(), vec![]);
    assert_eq!(store.read(&log, 0, 0).await.unwrap(), vec![]);
}

async fn an_append_after_the_wrong_head_is_refused(folder: Folder) {
    let store = folder.open().await;
    let log = log("s");
    store.commit(append(&log, 0, [fact(1)])).await.unwrap();
    assert!(is_conflict(&store.commit(append(&log, 0, [fact(1)])).await));
    assert!(is_conflict(&store.commit(append(&log, 2, [fact(3)])).await));
    assert!(is_conflict(&store.commit(append(&log, 0, [])).await));
    assert_eq!(store.read(&log, 0, 10).await.unwrap(), vec![fact(1)]);
}

async fn entries_with_a_gap_in_their_numbers_are_refused(folder: Folder) {
    let store = folder.open().await;
    let log = log("s");
    assert!(is_conflict(&store.commit(append(&log, 0, [fact(1), fact(3)])).await));
    assert!(is_conflict(&store.commit(append(&log, 0, [said(1, &["a", "b"]), said(2, &["c"])])).await));
    assert_eq!(store.head(&log).await.unwrap(), 0);
}

async fn a_conflicting_put_undoes_the_append_and_the_other_puts(folder: Folder) {
    let store = folder.open().await;
    let log = log("s");
    store.commit(puts([put("taken", Expect::Absent, 1, &[], "first")])).await.unwrap();
    let batch = Batch {
        puts: vec![
            put("other", Expect::Any, 1, &[("user", "u")], "x"),
            put("taken", Expect::Absent, 1, &[], "second"),
        ],
        deletes: vec![key("taken")],
        ..append(&log, 0, [fact(1)])
    };
    assert!(is_conflict(&store.commit(batch).await));
    assert_eq!(store.head(&log).await.unwrap(), 0);
    assert_eq!(store.get(&key("other")).await.unwrap(), None);
    assert_eq!(store.get(&key("taken")).await.unwrap(), Some(record("taken", 1, 1, "first")));
    assert_eq!(listed(&*store, every(10)).await, (ids(&["taken"]), 1));
    assert_eq!(listed(&*store, tagged("user", "u")).await, (vec![], 0));
}

async fn a_put_goes_ahead_only_if_what_it_expects_is_there(folder: Folder) {
    let store = folder.open().await;
    let tried = async |expect| store.commit(puts([put("a", expect, 1, &[], "x")])).await.is_ok();
    assert!(!tried(Expect::Present).await);
    assert!(!tried(Expect::Version(0)).await);
    assert!(tried(Expect::Absent).await);
    assert!(!tried(Expect::Absent).await);
    assert!(tried(Expect::Present).await);
    assert!(!tried(Expect::Version(1)).await);
    assert!(tried(Expect::Version(2)).await);
    assert!(tried(Expect::Any).await);
    assert_eq!(store.get(&key("a")).await.unwrap(), Some(record("a", 4, 1, "x")));
}

async fn one_of_many_claimants_wins(folder: Folder) {
    let store = folder.open().await;
    let claims = (0..20).map(|_| store.commit(puts([put("lease", Expect::Absent, 1, &[], "mine")])));
    let won = futures::future::join_all(claims).await.into_iter().filter(Result::is_ok).count();
    assert_eq!(won, 1);
}

async fn one_of_many_appends_after_the_same_head_wins(folder: Folder) {
    let store = folder.open().await;
    let log = log("s");
    store.commit(append(&log, 0, [fact(1)])).await.unwrap();
    let entries = |n: u64| if n.is_multiple_of(2) { fact(2) } else { said(2, &["a"]) };
    let appends = (0..20).map(|n| store.commit(append(&log, 1, [entries(n)])));
    let won = futures::future::join_all(appends).await.into_iter().filter(Result::is_ok).count();
    assert_eq!((won, store.head(&log).await.unwrap()), (1, 2));
}

async fn lists_follow_tags_and_count_themselves(folder: Folder) {
    let store = folder.open().await;
    store
        .commit(puts([
            put("a", Expect::Any, 3, &[("user", "u1")], ""),
            put("b", Expect::Any, 1, &[("agent", "x"), ("user", "u1")], ""),
            put("c", Expect::Any, 2, &[("user", "u2")], ""),
        ]))
        .await
        .unwrap();
    assert_eq!(listed(&*store, every(10)).await, (ids(&["b", "c", "a"]), 3));
    assert_eq!(listed(&*store, every(1)).await, (ids(&["b"]), 3));
    assert_eq!(listed(&*store, every(0)).await, (vec![], 3));
    assert_eq!(listed(&*store, tagged("user", "u1")).await, (ids(&["b", "a"]), 2));
    assert_eq!(listed(&*store, tagged("user", "u")).await, (vec![], 0));
    assert_eq!(listed(&*store, tagged("agent", "x")).await, (ids(&["b"]), 1));
}

async fn a_record_moves_between_lists_when_its_tags_change(folder: Folder) {
    let store = folder.open().await;
    let write = async |sort, user| {
        store.commit(puts([put("a", Expect::Any, sort, &[("user", user)], "x")])).await.unwrap();
    };
    store.commit(puts([put("b", Expect::Any, 5, &[("user", "u1")], "x")])).await.unwrap();
    write(1, "u1").await;
    assert_eq!(listed(&*store, tagged("user", "u1")).await, (ids(&["a", "b"]), 2));
    write(9, "u1").await;
    assert_eq!(listed(&*store, tagged("user", "u1")).await, (ids(&["b", "a"]), 2));
    write(9, "u2").await;
    assert_eq!(listed(&*store, tagged("user", "u1")).await, (ids(&["b"]), 1));
    assert_eq!(listed(&*store, tagged("user", "u2")).await, (ids(&["a"]), 1));
    assert_eq!(listed(&*store, every(10)).await, (ids(&["b", "a"]), 2));
}

async fn lists_are_paged_both_ways(folder: Folder) {
    let store = folder.open().await;
    // Two of each sort number: equal ones go by id.
    let all = (0..10).map(|n| put(&format!("r{n}"), Expect::Any, n / 2, &[], "")).collect::<Vec<_>>();
    store.commit(puts(all)).await.unwrap();
    let newest = Query { newest_first: true, ..every(3) };
    assert_eq!(listed(&*store, newest.clone()).await, (ids(&["r9", "r8", "r7"]), 10));
    let after = |sort, id: &str| Some(Place { sort, id: id.into() });
    let next = Query { after: after(3, "r7"), ..newest.clone() };
    assert_eq!(listed(&*store, next).await, (ids(&["r6", "r5", "r4"]), 10));
    let skipping = Query { skip: 8, ..newest };
    assert_eq!(listed(&*store, skipping).await, (ids(&["r1", "r0"]), 10));
    let forward = Query { after: after(1, "r2"), skip: 1, ..every(3) };
    assert_eq!(listed(&*store, forward).await, (ids(&["r4", "r5", "r6"]), 10));
    let between = Query { after: after(1, "r"), ..every(1) };
    assert_eq!(listed(&*store, between).await, (ids(&["r2"]), 10));
    let beyond = Query { after: after(99, ""), ..every(3) };
    assert_eq!(listed(&*store, beyond).await, (vec![], 10));
}

async fn a_deleted_record_leaves_every_list(folder: Folder) {
    let store = folder.open().await;
    store.commit(puts([put("a", Expect::Any, 1, &[("user", "u")], "x")])).await.unwrap();
    let batch = Batch { deletes: vec![key("a"), key("never")], ..Batch::default() };
    store.commit(batch).await.unwrap();
    assert_eq!(store.get(&key("a")).await.unwrap(), None);
    assert_eq!(listed(&*store, every(10)).await, (vec![], 0));
    assert_eq!(listed(&*store, tagged("user", "u")).await, (vec![], 0));
    store.commit(puts([put("a", Expect::Absent, 1, &[], "y")])).await.unwrap();
    assert_eq!(store.get(&key("a")).await.unwrap(), Some(record("a", 1, 1, "y")));
}

async fn big_bodies_and_big_entries_come_back_whole(folder: Folder) {
    let store = folder.open().await;
    let log = log("s");
    let mut lengths = vec![0, 1, 2975, 2976, 2977, 3992, 4000, 4001, 8000, 1024 * 1024];
    lengths.extend([100_000, 10]);
    for (n, length) in (1..).zip(lengths) {
        let text: String = ('a'..='z').cycle().take(length).collect();
        let entries = [said(2 * n - 1, &[&text]), fact(2 * n)];
        let batch = Batch {
            puts: vec![put("a", Expect::Any, 1, &[], &text)],
            ..append(&log, 2 * n - 2, entries.clone())
        };
        store.commit(batch).await.unwrap();
        assert_eq!(store.get(&key("a")).await.unwrap(), Some(record("a", n, 1, &text)));
        assert_eq!(store.read(&log, 2 * n - 2, 9).await.unwrap(), entries);
    }
    assert_eq!(store.read(&log, 0, 100).await.unwrap().len(), 24);
}

async fn a_batch_over_the_limit_is_refused(folder: Folder) {
    let store = folder.open().await;
    let log = log("s");
    let text = "x".repeat(MAX_BATCH_BYTES + 1);
    let too_large = |result| matches!(result, Err(StoreError::TooLarge { .. }));
    assert!(too_large(store.commit(puts([put("a", Expect::Any, 1, &[], &text)])).await));
    assert!(too_large(store.commit(append(&log, 0, [said(1, &[&text])])).await));
    assert!(too_large(store.commit(append(&log, 0, [said(1, &[&text]), fact(2)])).await));
    assert_eq!(store.head(&log).await.unwrap(), 0);
    assert_eq!(store.get(&key("a")).await.unwrap(), None);
}

async fn owners_do_not_see_each_other(folder: Folder) {
    let store = folder.open().await;
    let (ours, theirs) = (log_of("acme", "s"), log_of("acme2", "s"));
    let their_key = Key { owner: "acme2".parse().unwrap(), ..key("a") };
    let batch = Batch {
        puts: vec![put("a", Expect::Absent, 1, &[("user", "u")], "ours")],
        ..append(&ours, 0, [fact(1)])
    };
    store.commit(batch).await.unwrap();
    assert_eq!(store.head(&theirs).await.unwrap(), 0);
    assert_eq!(store.get(&their_key).await.unwrap(), None);
    let batch = Batch { deletes: vec![their_key], forget: vec![theirs], ..Batch::default() };
    store.commit(batch).await.unwrap();
    assert_eq!(store.head(&ours).await.unwrap(), 1);
    assert_eq!(listed(&*store, tagged("user", "u")).await, (ids(&["a"]), 1));
    let their_list = Query { owner: "acme2".parse().unwrap(), ..every(10) };
    assert_eq!(listed(&*store, their_list).await, (vec![], 0));
}

async fn crafted_names_stay_in_their_place(folder: Folder) {
    let store = folder.open().await;
    let crafted = ["", "\0", "\0\u{1}", "\0\u{ff}", "a", "a\0", "a\0\u{1}", "a\0\u{1}b", "a/b", "ab", "ü\0"];
    let all = crafted.iter().map(|id| put(id, Expect::Absent, 1, &[("user", id)], id)).collect::<Vec<_>>();
    store.commit(puts(all)).await.unwrap();
    let mut sorted = ids(&crafted);
    sorted.sort();
    assert_eq!(listed(&*store, every(100)).await, (sorted, crafted.len() as u64));
    for id in crafted {
        assert_eq!(store.get(&key(id)).await.unwrap(), Some(record(id, 1, 1, id)));
        assert_eq!(listed(&*store, tagged("user", id)).await, (ids(&[id]), 1));
    }
}

async fn a_forgotten_log_is_empty_and_may_begin_again(folder: Folder) {
    let store = folder.open().await;
    let (log, other) = (log("s"), log("s2"));
    let many = (1..=2500).map(fact).collect::<Vec<_>>();
    store.commit(append(&log, 0, many)).await.unwrap();
    store.commit(append(&log, 2500, [said(2501, &["a"])])).await.unwrap();
    store.commit(append(&other, 0, [fact(1)])).await.unwrap();
    let forget = Batch { forget: vec![log.clone()], deletes: vec![key("a")], ..Batch::default() };
    store.commit(forget.clone()).await.unwrap();
    assert_eq!(store.head(&log).await.unwrap(), 0);
    assert_eq!(store.read(&log, 0, 10).await.unwrap(), vec![]);
    store.commit(append(&log, 0, [fact(1)])).await.unwrap();
    assert_eq!(store.read(&log, 0, 10).await.unwrap(), vec![fact(1)]);
    assert_eq!(store.read(&other, 0, 10).await.unwrap(), vec![fact(1)]);
    let (gone, begun) = futures::join!(store.commit(forget), store.commit(append(&log, 0, [fact(1)])));
    gone.unwrap();
    begun.unwrap();
    assert_eq!(store.read(&log, 0, 10).await.unwrap(), vec![fact(1)]);
}

async fn pieces_are_visible_at_once(folder: Folder) {
    let store = folder.open().await;
    let log = log("s");
    store.commit(append(&log, 0, [fact(1)])).await.unwrap();
    store.commit(append(&log, 1, [said(2, &["a"])])).await.unwrap();
    store.commit(append(&log, 2, [said(3, &["b", "c"])])).await.unwrap();
    assert_eq!(store.head(&log).await.unwrap(), 4);
    let all = vec![fact(1), said(2, &["a"]), said(3, &["b", "c"])];
    assert_eq!(store.read(&log, 0, 10).await.unwrap(), all);
    assert_eq!(store.read(&log, 0, 2).await.unwrap(), all.get(..2).unwrap());
    assert_eq!(store.read(&log, 3, 10).await.unwrap(), vec![said(3, &["b", "c"])]);
    assert_eq!(store.read(&log, 4, 10).await.unwrap(), vec![]);
}

async fn pieces_obey_the_same_conflict_rules(folder: Folder) {
    let store = folder.open().await;
    let log = log("s");
    assert!(is_conflict(&store.commit(append(&log, 1, [said(2, &["a"])])).await));
    store.commit(append(&log, 0, [fact(1)])).await.unwrap();
    assert!(is_conflict(&store.commit(append(&log, 0, [said(1, &["a"])])).await));
    store.commit(append(&log, 1, [said(2, &["a"])])).await.unwrap();
    assert!(is_conflict(&store.commit(append(&log, 1, [said(2, &["a"])])).await));
    assert!(is_conflict(&store.commit(append(&log, 1, [fact(2)])).await));
    assert_eq!(store.head(&log).await.unwrap(), 2);
}

async fn pieces_are_merged_when_a_fact_follows(folder: Folder) {
    let store = folder.open().await;
    let log = log("s");
    let other_run = Entry { run: RunId(Uuid::from_u128(8)), ..said(6, &["e"]) };
    store.commit(append(&log, 0, [fact(1)])).await.unwrap();
    store.commit(append(&log, 1, [said(2, &["a"])])).await.unwrap();
    store.commit(append(&log, 2, [said(3, &["b", "c"])])).await.unwrap();
    store.commit(append(&log, 4, [said(5, &["d"]), other_run.clone()])).await.unwrap();
    store.commit(append(&log, 6, [fact(7)])).await.unwrap();
    let merged = vec![fact(1), said(2, &["a", "b", "c", "d"]), other_run, fact(7)];
    assert_eq!(store.read(&log, 0, 10).await.unwrap(), merged);
    assert_eq!(store.head(&log).await.unwrap(), 7);
}

async fn a_failed_fact_leaves_the_pieces_waiting(folder: Folder) {
    let store = folder.open().await;
    let log = log("s");
    store.commit(append(&log, 0, [fact(1)])).await.unwrap();
    store.commit(append(&log, 1, [said(2, &["a"])])).await.unwrap();
    let conflicting =
        Batch { puts: vec![put("a", Expect::Present, 1, &[], "x")], ..append(&log, 2, [fact(3)]) };
    assert!(is_conflict(&store.commit(conflicting).await));
    assert_eq!(store.head(&log).await.unwrap(), 2);
    store.commit(append(&log, 2, [said(3, &["b"])])).await.unwrap();
    store.commit(append(&log, 3, [fact(4)])).await.unwrap();
    let all = vec![fact(1), said(2, &["a", "b"]), fact(4)];
    assert_eq!(store.read(&log, 0, 10).await.unwrap(), all);
}

async fn reading_from_inside_a_merged_entry_gives_it_whole(folder: Folder) {
    let store = folder.open().await;
    let log = log("s");
    store.commit(append(&log, 0, [said(1, &["a", "b", "c"]), fact(4)])).await.unwrap();
    let whole = vec![said(1, &["a", "b", "c"]), fact(4)];
    assert_eq!(store.read(&log, 1, 10).await.unwrap(), whole);
    assert_eq!(store.read(&log, 2, 10).await.unwrap(), whole);
    assert_eq!(store.read(&log, 3, 10).await.unwrap(), vec![fact(4)]);
}

async fn a_batch_of_nothing_is_fine(folder: Folder) {
    let store = folder.open().await;
    store.commit(Batch::default()).await.unwrap();
    store.commit(append(&log("s"), 0, [])).await.unwrap();
}

async fn everything_is_there_after_a_clean_end(folder: Folder) {
    let log = log("s");
    let store = folder.open().await;
    let batch =
        Batch { puts: vec![put("a", Expect::Any, 1, &[("user", "u")], "x")], ..append(&log, 0, [fact(1)]) };
    store.commit(batch).await.unwrap();
    store.commit(append(&log, 1, [said(2, &["a"])])).await.unwrap();
    drop(store);
    let store = folder.open().await;
    assert_eq!(store.head(&log).await.unwrap(), 2);
    assert_eq!(store.read(&log, 0, 10).await.unwrap(), vec![fact(1), said(2, &["a"])]);
    assert_eq!(store.get(&key("a")).await.unwrap(), Some(record("a", 1, 1, "x")));
    assert_eq!(listed(&*store, tagged("user", "u")).await, (ids(&["a"]), 1));
}

async fn facts_and_pieces_survive_an_unclean_end(folder: Folder) {
    let log = log("s");
    let store = folder.open().await;
    store.commit(append(&log, 0, [fact(1), said(2, &["a"]), fact(3)])).await.unwrap();
    store.commit(append(&log, 3, [said(4, &["b", "c"])])).await.unwrap();
    store.commit(append(&log, 5, [said(6, &["d"])])).await.unwrap();
    let all = store.read(&log, 0, 10).await.unwrap();
    let killed = folder.as_if_killed();
    let store = killed.open().await;
    assert_eq!(store.read(&log, 0, 10).await.unwrap(), all);
    store.commit(append(&log, 6, [fact(7)])).await.unwrap();
    let merged = vec![fact(1), said(2, &["a"]), fact(3), said(4, &["b", "c", "d"]), fact(7)];
    assert_eq!(store.read(&log, 0, 10).await.unwrap(), merged);
}

async fn pieces_keep_their_numbers_through_many_unclean_ends(folder: Folder) {
    let log = log("s");
    folder.open().await.commit(append(&log, 0, [fact(1)])).await.unwrap();
    let mut folder = folder;
    let mut all = vec![fact(1)];
    for seq in 2..8 {
        let store = folder.open().await;
        store.head(&log).await.unwrap();
        store.commit(append(&log, seq - 1, [said(seq, &["p"])])).await.unwrap();
        all.push(said(seq, &["p"]));
        let killed = folder.as_if_killed();
        drop(store);
        folder = killed;
    }
    let store = folder.open().await;
    let pieces = store.read(&log, 0, 100).await.unwrap();
    assert_eq!(pieces.iter().map(Entry::last_seq).max(), Some(7));
    store.commit(append(&log, 7, [fact(8)])).await.unwrap();
    let text: String = store.read(&log, 0, 100).await.unwrap().iter().flat_map(texts).collect();
    assert_eq!(text, "pppppp");
}

fn texts(entry: &Entry) -> Vec<String> {
    let Fact::Said { pieces } = &entry.fact else { return Vec::new() };
    let text = |piece: &Piece| match piece {
        Piece::Text(text) | Piece::Reasoning(text) => text.clone(),
    };
    pieces.iter().map(text).collect()
}

async fn a_clean_end_with_nothing_waiting_leaves_no_tail(folder: Folder) {
    let log = log("s");
    let store = folder.open().await;
    store.commit(append(&log, 0, [fact(1)])).await.unwrap();
    store.commit(append(&log, 1, [said(2, &["a"])])).await.unwrap();
    assert!(folder.tail_file().is_some());
    store.commit(append(&log, 2, [fact(3)])).await.unwrap();
    drop(store);
    assert_eq!(folder.tail_file(), None);
}

async fn the_torn_end_of_a_tail_file_is_cut(folder: Folder) {
    let log = log("s");
    let store = folder.open().await;
    store.commit(append(&log, 0, [fact(1)])).await.unwrap();
    store.commit(append(&log, 1, [said(2, &["a"])])).await.unwrap();
    let whole = std::fs::metadata(folder.tail_file().unwrap()).unwrap().len();
    store.commit(append(&log, 2, [said(3, &["b"])])).await.unwrap();
    let killed = folder.as_if_killed();
    let file = std::fs::OpenOptions::new().write(true).open(killed.tail_file().unwrap()).unwrap();
    file.set_len(whole + 20).unwrap();
    let store = killed.open().await;
    assert_eq!(store.read(&log, 0, 10).await.unwrap(), vec![fact(1), said(2, &["a"])]);
    store.commit(append(&log, 2, [said(3, &["c"])])).await.unwrap();
    let store = killed.as_if_killed().open().await;
    assert_eq!(store.read(&log, 1, 10).await.unwrap(), vec![said(2, &["a"]), said(3, &["c"])]);
}

async fn pieces_of_a_forgotten_log_do_not_come_back(folder: Folder) {
    let log = log("s");
    let store = folder.open().await;
    store.commit(append(&log, 0, [fact(1)])).await.unwrap();
    store.commit(append(&log, 1, [said(2, &["old"])])).await.unwrap();
    let forget = Batch { forget: vec![log.clone()], ..Batch::default() };
    store.commit(forget).await.unwrap();
    let killed = folder.as_if_killed().open().await;
    assert_eq!(killed.head(&log).await.unwrap(), 0);
    store.commit(append(&log, 0, [fact(1)])).await.unwrap();
    let killed = folder.as_if_killed().open().await;
    assert_eq!(killed.read(&log, 0, 10).await.unwrap(), vec![fact(1)]);
}

async fn a_folder_in_use_is_refused_with_the_process_id(folder: Folder) {
    let _store = folder.open().await;
    let second = store::open(&folder.config, folder.dir.path()).await;
    let Err(OpenError::InUse { pid, .. }) = second else { panic!("opened twice") };
    assert_eq!(pid, std::process::id().to_string());
}

async fn a_folder_of_another_engine_is_refused(folder: Folder) {
    drop(folder.open().await);
    let other = if folder.config == sled() { redb() } else { sled() };
    let opened = store::open(&other, folder.dir.path()).await;
    assert!(matches!(opened, Err(OpenError::Format { .. })));
}

async fn the_data_folder_is_for_its_owner_alone(folder: Folder) {
    use std::os::unix::fs::PermissionsExt;
    let path = folder.dir.path().join("data");
    let _store = store::open(&folder.config, &path).await.unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
}
