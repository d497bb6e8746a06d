//! The journal before an engine: what is seen at once, what is there after a crash, and what a failure leaves.
#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::fs;
use std::io::ErrorKind;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::journal::JournalFolder;
use super::journaled::{Journaled, Limits};
use super::kv::{Changes, Direction, Kv};
use super::memory::Memory;
use super::tests::Disk;
use crate::store::StoreError;

/// Nothing is moved before the end.
const NEVER: Limits =
    Limits { bytes: usize::MAX, keys: usize::MAX, age: Duration::from_secs(3600), most_bytes: usize::MAX };
/// A generation ends every few keys, and writes have to wait for the engine.
const TINY: Limits = Limits { bytes: 200, keys: 3, age: Duration::from_millis(1), most_bytes: 400 };

fn open(disk: &Disk, folder: &Path, limits: Limits) -> Result<Journaled, StoreError> {
    let journal = Arc::new(JournalFolder::new(folder.join("journal")));
    Journaled::open(Arc::new(disk.clone()), journal, limits)
}

fn changes(changes: &[(u8, Option<&str>)]) -> Arc<Changes> {
    let owned = |(key, value): &(u8, Option<&str>)| (vec![0x40, *key], value.map(|value| value.into()));
    Arc::new(changes.iter().map(owned).collect())
}

fn all(kv: &dyn Kv, direction: Direction) -> Vec<(Vec<u8>, Vec<u8>)> {
    range(kv, &[0x40], &[0x41], direction, usize::MAX)
}

fn range(kv: &dyn Kv, start: &[u8], end: &[u8], way: Direction, most: usize) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut found = Vec::new();
    kv.scan(start..end, way, &mut |key, value| {
        found.push((key.to_vec(), value.to_vec()));
        if found.len() < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })
    .unwrap();
    found
}

fn pairs(pairs: &[(u8, &str)]) -> Vec<(Vec<u8>, Vec<u8>)> {
    pairs.iter().map(|(key, value)| (vec![0x40, *key], value.as_bytes().to_vec())).collect()
}

/// The journal files as `kill -9` would leave them, in another folder.
fn copy_of(folder: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    fs::create_dir(copy.path().join("journal")).unwrap();
    for file in files(folder) {
        match fs::copy(&file, copy.path().join("journal").join(file.file_name().unwrap())) {
            // The engine had all of it, and it just became the next one.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            other => drop(other.unwrap()),
        }
    }
    copy
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder.join("journal")).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn is_damaged<T>(result: Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::Damaged(_)))
}

#[test]
fn what_only_the_journal_holds_is_there_after_a_crash() {
    let (disk, folder) = (Disk::default(), tempfile::tempdir().unwrap());
    let kv = open(&disk, folder.path(), NEVER).unwrap();
    kv.apply(changes(&[(1, Some("a")), (2, Some("b"))])).unwrap();
    kv.apply(changes(&[(1, Some("c")), (2, None), (3, Some(""))])).unwrap();
    assert_eq!(all(&disk, Direction::Forward), vec![]);
    let crashed = copy_of(folder.path());
    let other = Disk::default();
    let again = open(&other, crashed.path(), NEVER).unwrap();
    assert_eq!(all(&again, Direction::Forward), pairs(&[(1, "c"), (3, "")]));
    assert_eq!(all(&other, Direction::Forward), pairs(&[(1, "c"), (3, "")]));
}

#[test]
fn a_clean_end_leaves_everything_in_the_engine_and_no_file() {
    let (disk, folder) = (Disk::default(), tempfile::tempdir().unwrap());
    for round in ["a", "b", "c"] {
        let kv = open(&disk, folder.path(), NEVER).unwrap();
        kv.apply(changes(&[(1, Some(round))])).unwrap();
        drop(kv);
        assert_eq!(all(&disk, Direction::Forward), pairs(&[(1, round)]));
        assert_eq!(files(folder.path()), Vec::<PathBuf>::new());
    }
}

#[test]
fn files_that_come_back_after_they_were_removed_are_void() {
    let (disk, folder) = (Disk::default(), tempfile::tempdir().unwrap());
    let kv = open(&disk, folder.path(), NEVER).unwrap();
    kv.apply(changes(&[(1, Some("old"))])).unwrap();
    let old = copy_of(folder.path());
    drop(kv);
    let kv = open(&disk, folder.path(), NEVER).unwrap();
    kv.apply(changes(&[(1, Some("new"))])).unwrap();
    drop(kv);
    let kv = open(&disk, old.path(), NEVER).unwrap();
    assert_eq!(all(&kv, Direction::Forward), pairs(&[(1, "new")]));
}

#[test]
fn a_torn_end_is_cut_wherever_it_is_torn() {
    let (disk, folder) = (Disk::default(), tempfile::tempdir().unwrap());
    let kv = open(&disk, folder.path(), NEVER).unwrap();
    kv.apply(changes(&[(1, Some("a"))])).unwrap();
    let whole = fs::metadata(&files(folder.path())[0]).unwrap().len();
    kv.apply(changes(&[(2, Some("b"))])).unwrap();
    let longer = fs::metadata(&files(folder.path())[0]).unwrap().len();
    for length in whole..longer {
        let crashed = copy_of(folder.path());
        let file = fs::OpenOptions::new().write(true).open(&files(crashed.path())[0]).unwrap();
        file.set_len(length).unwrap();
        // What a file system leaves of a write that was never synced may be zeros.
        file.set_len(longer).unwrap();
        let again = open(&Disk::default(), crashed.path(), NEVER).unwrap();
        assert_eq!(all(&again, Direction::Forward), pairs(&[(1, "a")]), "torn at {length}");
    }
}

#[test]
fn damage_before_the_end_is_refused() {
    let (disk, folder) = (Disk::default(), tempfile::tempdir().unwrap());
    let kv = open(&disk, folder.path(), NEVER).unwrap();
    kv.apply(changes(&[(1, Some("a"))])).unwrap();
    let first = fs::metadata(&files(folder.path())[0]).unwrap().len();
    kv.apply(changes(&[(2, Some("b"))])).unwrap();
    for at in 0..first {
        let crashed = copy_of(folder.path());
        let file = &files(crashed.path())[0];
        let mut bytes = fs::read(file).unwrap();
        bytes[at as usize] ^= 1;
        fs::write(file, bytes).unwrap();
        let refused = Disk::default();
        assert!(is_damaged(open(&refused, crashed.path(), NEVER)), "byte {at}");
        assert_eq!(all(&refused, Direction::Forward), vec![]);
    }
}

#[test]
fn a_missing_file_and_a_lost_end_before_another_file_are_refused() {
    let (disk, folder) = (Disk::default(), tempfile::tempdir().unwrap());
    let limits = Limits { keys: 1, ..NEVER };
    let kv = open(&disk, folder.path(), limits).unwrap();
    // While the engine is busy with the first file, the second is written to.
    let gate = disk.hold();
    kv.apply(changes(&[(1, Some("a"))])).unwrap();
    kv.apply(changes(&[(2, Some("b")), (3, Some("c"))])).unwrap();
    kv.apply(changes(&[(4, Some("d"))])).unwrap();
    let crashed = loop {
        // The file that comes next is made ready in the background.
        let crashed = copy_of(folder.path());
        let written =
            files(crashed.path()).iter().filter(|file| fs::metadata(file).unwrap().len() > 24).count();
        if written == 2 {
            break crashed;
        }
        kv.apply(changes(&[(4, Some("d"))])).unwrap();
    };
    let whole = open(&Disk::default(), copy_of(crashed.path()).path(), NEVER).unwrap();
    let expected = pairs(&[(1, "a"), (2, "b"), (3, "c"), (4, "d")]);
    assert_eq!(all(&whole, Direction::Forward), expected);
    let missing = copy_of(crashed.path());
    fs::remove_file(&files(missing.path())[0]).unwrap();
    assert!(is_damaged(open(&Disk::default(), missing.path(), NEVER)));
    let shorter = copy_of(crashed.path());
    let file = fs::OpenOptions::new().write(true).open(&files(shorter.path())[0]).unwrap();
    file.set_len(file.metadata().unwrap().len() - 1).unwrap();
    assert!(is_damaged(open(&Disk::default(), shorter.path(), NEVER)));
    drop(gate);
}

#[test]
fn when_the_engine_fails_all_that_was_acknowledged_stays_readable_and_nothing_more_is_taken() {
    let (disk, folder) = (Disk::default(), tempfile::tempdir().unwrap());
    let kv = open(&disk, folder.path(), TINY).unwrap();
    disk.full.store(true, Ordering::SeqCst);
    let mut acknowledged = Vec::new();
    let refused = (0..=255u8).find_map(|key| match kv.apply(changes(&[(key, Some("x"))])) {
        Ok(()) => {
            acknowledged.push((vec![0x40, key], b"x".to_vec()));
            None
        }
        Err(error) => Some(error),
    });
    assert!(matches!(refused, Some(StoreError::Full)));
    assert!(matches!(kv.apply(changes(&[(0, None)])), Err(StoreError::Full)));
    assert_eq!(all(&kv, Direction::Forward), acknowledged);
    assert_eq!(all(&disk, Direction::Forward), vec![]);
    drop(kv);
    assert!(matches!(open(&disk, folder.path(), TINY), Err(StoreError::Full)));
    disk.full.store(false, Ordering::SeqCst);
    let kv = open(&disk, folder.path(), TINY).unwrap();
    assert_eq!(all(&kv, Direction::Forward), acknowledged);
    kv.apply(changes(&[(0, None)])).unwrap();
}

#[test]
fn a_record_that_failed_is_cut_off_before_anything_is_read_again() {
    let (disk, folder) = (Disk::default(), tempfile::tempdir().unwrap());
    let journal = Arc::new(JournalFolder::new(folder.path().join("journal")));
    let mut file = {
        journal.read_after(0).unwrap();
        journal.create(1).unwrap()
    };
    file.append(&changes(&[(1, Some("a"))])).unwrap();
    let good = file.bytes();
    file.append(&changes(&[(2, Some("answered as failed"))])).unwrap();
    journal.fail(1, good);
    assert_eq!(fs::metadata(&files(folder.path())[0]).unwrap().len(), good);
    let kv = Journaled::open(Arc::new(disk), journal, NEVER).unwrap();
    assert_eq!(all(&kv, Direction::Forward), pairs(&[(1, "a")]));
}

#[test]
fn while_a_failed_record_cannot_be_cut_off_the_journal_stays_closed() {
    let (disk, folder) = (Disk::default(), tempfile::tempdir().unwrap());
    let journal = Arc::new(JournalFolder::new(folder.path().join("journal")));
    journal.read_after(0).unwrap();
    // A folder of that name can be opened, but not for writing.
    let obstacle = folder.path().join("journal/00000001.log");
    fs::create_dir(&obstacle).unwrap();
    journal.fail(1, 24);
    assert!(Journaled::open(Arc::new(disk.clone()), Arc::clone(&journal), NEVER).is_err());
    fs::remove_dir(&obstacle).unwrap();
    assert!(Journaled::open(Arc::new(disk), journal, NEVER).is_ok());
}

#[test]
fn ten_thousand_records_are_replayed() {
    let (disk, folder) = (Disk::default(), tempfile::tempdir().unwrap());
    let journal = JournalFolder::new(folder.path().join("journal"));
    journal.read_after(0).unwrap();
    let mut file = journal.create(1).unwrap();
    let value = "x".repeat(100);
    for round in 0..100 {
        // Many keys in one record are one sync.
        let many = (0..100u8).map(|key| (vec![0x40, round, key], Some(value.clone().into_bytes())));
        file.append(&many.collect()).unwrap();
    }
    let kv = open(&disk, folder.path(), Limits::default()).unwrap();
    assert_eq!(all(&kv, Direction::Forward).len(), 10_000);
}

/// What is done to the journal and to a plain map.
#[derive(Debug, Clone)]
enum Step {
    Write(Vec<(u8, Option<u8>)>),
    Scan { start: u8, end: u8, backward: bool, most: usize },
    Reopen { cleanly: bool },
}

fn step() -> impl Strategy<Value = Step> {
    let change = (0..60u8, proptest::option::weighted(0.7, any::<u8>()));
    prop_oneof![
        6 => proptest::collection::vec(change, 1..12).prop_map(Step::Write),
        4 => (0..60u8, 0..61u8, any::<bool>(), 1..40usize)
            .prop_map(|(start, end, backward, most)| Step::Scan { start, end, backward, most }),
        1 => any::<bool>().prop_map(|cleanly| Step::Reopen { cleanly }),
    ]
}

/// Each write is seen at once, wherever the generations stand just then.
fn follow(steps: Vec<Step>) {
    let (mut disk, mut folder) = (Disk::default(), tempfile::tempdir().unwrap());
    let model = Memory::default();
    let mut kv = open(&disk, folder.path(), TINY).unwrap();
    for step in steps {
        match step {
            Step::Write(writes) => {
                let write =
                    |(key, value): (u8, Option<u8>)| (vec![0x40, key], value.map(|value| vec![value]));
                let changes: Changes = writes.into_iter().map(write).collect();
                let keys: Vec<_> = changes.keys().cloned().collect();
                model.apply(Arc::new(changes.clone())).unwrap();
                kv.apply(Arc::new(changes)).unwrap();
                keys.iter().for_each(|key| assert_eq!(kv.get(key).unwrap(), model.get(key).unwrap()));
            }
            Step::Scan { start, end, backward, most } => {
                let way = if backward { Direction::Backward } else { Direction::Forward };
                let (start, end) = ([0x40, start], [0x40, end]);
                assert_eq!(range(&kv, &start, &end, way, most), range(&model, &start, &end, way, most));
            }
            Step::Reopen { cleanly: true } => {
                drop(kv);
                kv = open(&disk, folder.path(), TINY).unwrap();
            }
            Step::Reopen { cleanly: false } => {
                // With the engine held still, its copy and that of the files are of one moment.
                let gate = disk.hold();
                let (crashed, copy) = (copy_of(folder.path()), disk.copy());
                drop(gate);
                drop(kv);
                (disk, folder) = (copy, crashed);
                kv = open(&disk, folder.path(), TINY).unwrap();
            }
        }
        assert_eq!(all(&kv, Direction::Backward), all(&model, Direction::Backward));
    }
}

#[test]
fn a_journaled_engine_does_what_a_map_does() {
    let settings = Config { cases: 60, failure_persistence: None, ..Config::default() };
    let steps = proptest::collection::vec(step(), 1..60);
    let tried = TestRunner::new(settings).run(&steps, |steps| {
        follow(steps);
        Ok(())
    });
    tried.unwrap();
}

#[test]
fn readers_never_miss_what_is_there_all_along_while_generations_come_and_go() {
    let (disk, folder) = (Disk::default(), tempfile::tempdir().unwrap());
    let kv = open(&disk, folder.path(), TINY).unwrap();
    let everything: Changes = (0..40u8).map(|key| (vec![0x40, key], Some(vec![0]))).collect();
    kv.apply(Arc::new(everything)).unwrap();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut last = 0;
            while !stop.load(Ordering::SeqCst) {
                // Even keys stay, and only ever grow; odd ones come and go.
                for way in [Direction::Forward, Direction::Backward] {
                    let seen = all(&kv, way);
                    assert_eq!(seen.iter().filter(|(key, _)| key[1].is_multiple_of(2)).count(), 20);
                }
                let now = kv.get(&[0x40, 0]).unwrap().unwrap()[0];
                assert!(now >= last);
                last = now;
            }
        });
        for round in 0..=255u8 {
            let change = |key: u8| {
                let value = (key.is_multiple_of(2) || round.is_multiple_of(2)).then(|| vec![round]);
                (vec![0x40, key], value)
            };
            kv.apply(Arc::new((0..40).map(change).collect())).unwrap();
        }
        stop.store(true, Ordering::SeqCst);
        reader.join().unwrap();
    });
}

/// A range is asked of nothing that was already visited.
#[test]
fn a_scan_ends_where_the_visitor_says() {
    let (disk, folder) = (Disk::default(), tempfile::tempdir().unwrap());
    let kv = open(&disk, folder.path(), NEVER).unwrap();
    disk.memory.apply(changes(&[(1, Some("a")), (3, Some("b")), (5, Some("c"))])).unwrap();
    kv.apply(changes(&[(2, Some("d")), (3, None), (5, Some("e"))])).unwrap();
    let two = |way| range(&kv, &[0x40], &[0x41], way, 2);
    assert_eq!(two(Direction::Forward), pairs(&[(1, "a"), (2, "d")]));
    assert_eq!(two(Direction::Backward), pairs(&[(5, "e"), (2, "d")]));
    assert_eq!(range(&kv, &[0x40, 3], &[0x40, 5], Direction::Forward, 9), vec![]);
    assert_eq!(range(&kv, &[0x40, 5], &[0x40, 3], Direction::Forward, 9), vec![]);
}
