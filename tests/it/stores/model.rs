//! Random batches do to every store what they do to a few maps.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use runhold::domain::document::{Query, Tag};
use runhold::domain::fact::{Entry, Fact, Piece, Seq};
use runhold::store::{Append, Batch, Expect, Log, Put, Store, StoreConfig, StoreError};

use super::{Folder, every, fact, key, log, memory, put, redb, said, sled};

/// One step, in small numbers so that steps meet.
#[derive(Debug, Clone)]
enum Step {
    /// Pieces alone.
    Say { log: u8, widths: Vec<u8> },
    /// Anything, perhaps after the wrong head.
    Commit { append: Option<(u8, Vec<u8>, bool)>, puts: Vec<Write>, deletes: Vec<u8>, forget: Option<u8> },
    /// The store goes and comes, cleanly or not.
    Reopen { cleanly: bool },
}

#[derive(Debug, Clone)]
struct Write {
    id: u8,
    expect: u8,
    sort: u8,
    tag: Option<u8>,
    size: u16,
}

/// What must be in the store.
#[derive(Default, Clone)]
struct Model {
    logs: BTreeMap<Log, Vec<String>>,
    records: BTreeMap<String, (u64, Put)>,
}

impl Model {
    fn head(&self, log: &Log) -> Seq {
        self.logs.get(log).map_or(0, |log| log.len() as Seq)
    }

    /// The batch, or nothing changed.
    fn commit(&mut self, batch: &Batch) -> bool {
        let mut next = self.clone();
        if let Some(Append { log, after, entries }) = &batch.append {
            if next.head(log) != *after {
                return false;
            }
            let lines = next.logs.entry(log.clone()).or_default();
            entries.iter().for_each(|entry| lines.extend(flat(entry)));
        }
        for put in &batch.puts {
            let version = next.records.get(&put.key.id).map(|(version, _)| *version);
            let expected = match put.expect {
                Expect::Any => true,
                Expect::Absent => version.is_none(),
                Expect::Present => version.is_some(),
                Expect::Version(wanted) => version == Some(wanted),
            };
            if !expected {
                return false;
            }
            next.records.insert(put.key.id.clone(), (version.unwrap_or(0) + 1, put.clone()));
        }
        batch.deletes.iter().for_each(|key| drop(next.records.remove(&key.id)));
        batch.forget.iter().for_each(|log| drop(next.logs.remove(log)));
        *self = next;
        true
    }

    fn listed(&self, tag: Option<&Tag>) -> Vec<(u64, String)> {
        let carries = |put: &Put| tag.is_none_or(|tag| put.tags.names.contains(tag));
        let found = self.records.values().filter(|(_, put)| carries(put));
        let mut list: Vec<_> = found.map(|(_, put)| (put.tags.sort, put.key.id.clone())).collect();
        list.sort();
        list
    }
}

/// A line for each number, however the entries are cut.
fn flat(entry: &Entry) -> Vec<String> {
    let text = |piece: &Piece| match piece {
        Piece::Text(text) | Piece::Reasoning(text) => text.clone(),
    };
    if let Fact::Said { pieces } = &entry.fact {
        return pieces.iter().map(text).collect();
    }
    vec![format!("{:?}", entry.fact)]
}

fn entries(after: Seq, widths: &[u8]) -> Vec<Entry> {
    let mut seq = after;
    let mut entries = Vec::new();
    for width in widths {
        let pieces: Vec<_> = (0..*width).map(|n| format!("{}", seq + u64::from(n) + 1)).collect();
        let pieces: Vec<_> = pieces.iter().map(String::as_str).collect();
        entries.push(if pieces.is_empty() { fact(seq + 1) } else { said(seq + 1, &pieces) });
        seq += u64::from(*width).max(1);
    }
    entries
}

fn named(n: u8) -> Log {
    log(&format!("s{n}"))
}

/// The batch of a step, as a caller that knows the model would build it.
fn batch(model: &Model, step: &Step) -> Option<Batch> {
    match step {
        Step::Reopen { .. } => None,
        Step::Say { log, widths } => {
            let after = model.head(&named(*log));
            let entries = entries(after, widths);
            Some(Batch { append: Some(Append { log: named(*log), after, entries }), ..Batch::default() })
        }
        Step::Commit { append, puts, deletes, forget } => Some(Batch {
            append: append.as_ref().map(|(log, widths, wrong)| {
                let after = model.head(&named(*log)) + u64::from(*wrong);
                Append { log: named(*log), after, entries: entries(after, widths) }
            }),
            puts: puts.iter().map(write).collect(),
            deletes: deletes.iter().map(|id| key(&format!("r{id}"))).collect(),
            forget: forget.iter().map(|log| named(*log)).collect(),
        }),
    }
}

fn write(write: &Write) -> Put {
    let expect = match write.expect {
        0 => Expect::Absent,
        1 => Expect::Present,
        2 => Expect::Version(1),
        _ => Expect::Any,
    };
    let tag = write.tag.map(|tag| tag.to_string());
    let tags: Vec<_> = tag.iter().map(|tag| ("user", tag.as_str())).collect();
    put(&format!("r{}", write.id), expect, write.sort.into(), &tags, &"x".repeat(write.size.into()))
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let record = (0u8..4, 0u8..8, 0u8..3, proptest::option::of(0u8..2), 0u16..9000)
        .prop_map(|(id, expect, sort, tag, size)| Write { id, expect, sort, tag, size });
    let append = (0u8..2, proptest::collection::vec(0u8..3, 0..4), proptest::bool::weighted(0.1));
    let commit = (
        proptest::option::of(append),
        proptest::collection::vec(record, 0..3),
        proptest::collection::vec(0u8..4, 0..2),
        proptest::option::weighted(0.15, 0u8..2),
    );
    let commit =
        commit.prop_map(|(append, puts, deletes, forget)| Step::Commit { append, puts, deletes, forget });
    let say =
        (0u8..2, proptest::collection::vec(1u8..4, 1..3)).prop_map(|(log, widths)| Step::Say { log, widths });
    let reopen = any::<bool>().prop_map(|cleanly| Step::Reopen { cleanly });
    proptest::collection::vec(prop_oneof![4 => commit, 4 => say, 1 => reopen], 1..30)
}

/// Everything the store can be asked says what the model says.
async fn compare(store: &dyn Store, model: &Model) {
    for log in [named(0), named(1)] {
        let lines = model.logs.get(&log).cloned().unwrap_or_default();
        assert_eq!(store.head(&log).await.unwrap(), lines.len() as Seq);
        for after in [0, lines.len() / 2] {
            let entries = store.read(&log, after as Seq, 1000).await.unwrap();
            let first = entries.first().map_or(lines.len(), |first| first.seq as usize - 1);
            assert!(first <= after || after == lines.len());
            let found: Vec<_> = entries.iter().flat_map(flat).collect();
            assert_eq!(found, lines.get(first..).unwrap_or_default());
        }
    }
    for id in 0..4 {
        let key = key(&format!("r{id}"));
        let found = store.get(&key).await.unwrap().map(|found| (found.version, found.sort, found.body));
        let expected = model.records.get(&key.id);
        assert_eq!(found, expected.map(|(version, put)| (*version, put.tags.sort, put.body.clone())));
    }
    for tag in [None, Some(Tag::new("user", "0")), Some(Tag::new("user", "1"))] {
        let mut list = model.listed(tag.as_ref());
        for newest_first in [false, true] {
            let page = store.list(&Query { tag: tag.clone(), newest_first, ..every(100) }).await.unwrap();
            let found: Vec<_> = page.records.into_iter().map(|found| (found.sort, found.key.id)).collect();
            assert_eq!((&found, page.total, page.damaged), (&list, list.len() as u64, 0));
            list.reverse();
        }
    }
}

async fn follow(config: StoreConfig, steps: Vec<Step>) {
    let mut folder = Folder::new(config);
    let mut store: Arc<dyn Store> = folder.open().await;
    let mut model = Model::default();
    for step in &steps {
        if let Some(batch) = batch(&model, step) {
            let fits = model.commit(&batch);
            match store.commit(batch).await {
                Ok(()) => assert!(fits, "{step:?} must conflict"),
                Err(StoreError::Conflict(what)) => assert!(!fits, "{step:?}: {what}"),
                Err(other) => panic!("{step:?}: {other}"),
            }
        }
        match step {
            Step::Reopen { .. } if config == memory() => {}
            Step::Reopen { cleanly: true } => {
                drop(store);
                store = folder.open().await;
            }
            Step::Reopen { cleanly: false } => {
                let killed = folder.as_if_killed();
                drop(store);
                folder = killed;
                store = folder.open().await;
            }
            Step::Say { .. } | Step::Commit { .. } => {}
        }
        compare(&*store, &model).await;
    }
}

fn check(config: StoreConfig, cases: u32) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let settings = Config { cases, failure_persistence: None, max_shrink_iters: 200, ..Config::default() };
    let tried = TestRunner::new(settings).run(&steps(), |steps| {
        runtime.block_on(follow(config, steps));
        Ok(())
    });
    tried.unwrap();
}

#[test]
fn memory_does_what_the_model_does() {
    check(memory(), 300);
}

#[test]
fn sled_does_what_the_model_does() {
    check(sled(), 8);
}

#[test]
fn redb_does_what_the_model_does() {
    check(redb(), 8);
}
