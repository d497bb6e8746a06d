//! A disk without room: what is there stays readable, and room can be made.

use std::time::{Duration, Instant};

use super::*;
use crate::disk::Disk;

tests_on! { sled redb, [
    on_a_full_disk_all_is_read_and_nothing_is_written_but_what_makes_room,
] }

/// Writes are welcome again by then.
const MENDED: Duration = Duration::from_secs(15);

fn id(number: u64) -> String {
    format!("note-{number:03}")
}

fn note(number: u64) -> Batch {
    puts([put(&id(number), Expect::Any, number, &[], &"x".repeat(30_000))])
}

async fn on_a_full_disk_all_is_read_and_nothing_is_written_but_what_makes_room(folder: Folder) {
    let disk = Disk::mount();
    let store = store::open(&folder.config, disk.path()).await.unwrap().store;
    store.commit(append(&log("unwanted"), 0, [fact(1)])).await.unwrap();
    disk.set_room(Some(disk.used() + 512 * 1024));
    let mut there = 0;
    let refused = loop {
        match store.commit(note(there)).await {
            Ok(()) => there += 1,
            Err(error) => break error,
        }
    };
    assert_eq!((refused, there > 0), (StoreError::Full, true));
    let all: Vec<_> = (0..there).map(id).collect();
    for _ in 0..3 {
        assert_eq!(store.commit(note(there)).await, Err(StoreError::Full));
        assert_eq!(listed(&*store, every(100)).await, (all.clone(), there));
        assert_eq!(store.head(&log("unwanted")).await, Ok(1));
    }
    let makes_room = Batch { deletes: vec![key(&id(0))], forget: vec![log("unwanted")], ..Batch::default() };
    store.commit(makes_room).await.unwrap();
    assert_eq!(store.commit(note(there)).await, Err(StoreError::Full));
    assert_eq!(listed(&*store, every(100)).await, (all[1..].to_vec(), there - 1));
    assert_eq!(store.head(&log("unwanted")).await, Ok(0));
    disk.set_room(None);
    let ended = Instant::now();
    while store.commit(note(0)).await.is_err() {
        assert!(ended.elapsed() < MENDED);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(listed(&*store, every(100)).await, (all, there));
}
