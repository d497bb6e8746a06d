//! A process that writes is killed, over and over; whatever it was told is stored must be there.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use runhold::domain::fact::{Entry, Fact, Seq};
use runhold::store::{Batch, Expect, StoreConfig};

use super::{Folder, append, every, fact, key, log, put, redb, said, sled};

const FOLDER: &str = "RUNHOLD_TEST_KILLED_FOLDER";
const ENGINE: &str = "RUNHOLD_TEST_KILLED_ENGINE";
const WRITERS: usize = 4;

/// Not a test by itself: what the other process does until it is killed.
#[tokio::test]
async fn the_process_that_is_killed() {
    let (Ok(path), Ok(engine)) = (std::env::var(FOLDER), std::env::var(ENGINE)) else { return };
    let config = if engine == "sled" { sled() } else { redb() };
    let store = runhold::store::open(&config, path.as_ref()).await.unwrap().store;
    let writers = (0..WRITERS).map(|writer| {
        let store = &store;
        async move {
            let log = log(&writer.to_string());
            let body = "x".repeat(5000);
            let mut head = store.head(&log).await.unwrap();
            loop {
                let pieces = append(&log, head, [said(head + 1, &["a"])]);
                store.commit(pieces).await.unwrap();
                acknowledge(writer, head + 1);
                let record = put(&writer.to_string(), Expect::Any, head, &[("user", "u")], &body);
                let facts = Batch { puts: vec![record], ..append(&log, head + 1, [fact(head + 2)]) };
                store.commit(facts).await.unwrap();
                head += 2;
                acknowledge(writer, head);
            }
        }
    });
    futures::future::join_all(writers).await;
}

/// The pipe is read to its end, so a line that was written counts even if the process dies next.
fn acknowledge(writer: usize, head: Seq) {
    use std::io::Write;
    std::io::stdout().write_all(format!("\nstored {writer} {head}\n").as_bytes()).unwrap();
}

/// Kills a process that has acknowledged so many writes; gives the last it said of each writer.
fn kill_after(folder: &Folder, engine: &str, lines: usize) -> BTreeMap<usize, Seq> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["stores::killed::the_process_that_is_killed", "--exact", "--nocapture"])
        .env(FOLDER, folder.dir.path())
        .env(ENGINE, engine)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BTreeMap::new();
    let mut count = 0;
    for line in BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok) {
        let words: Vec<_> = line.split(' ').collect();
        if let ["stored", writer, head] = words.as_slice() {
            said.insert(writer.parse().unwrap(), head.parse().unwrap());
            count += 1;
        }
        if count >= lines {
            child.kill().unwrap();
        }
    }
    assert!(!child.wait().unwrap().success());
    said
}

async fn nothing_acknowledged_is_lost(config: StoreConfig, engine: &str) {
    let folder = Folder::new(config);
    for round in 0..10 {
        // The first lines of a round come while the store has only just opened; 0 is killed in its opening.
        let said = kill_after(&folder, engine, round * 37 % 120);
        let store = folder.open().await;
        for (writer, acknowledged) in said {
            let log = log(&writer.to_string());
            let head = store.head(&log).await.unwrap();
            assert!(head >= acknowledged, "round {round}, writer {writer}: {head} of {acknowledged}");
            let entries = store.read(&log, 0, usize::MAX).await.unwrap();
            assert_eq!(entries.last().map(Entry::last_seq), Some(head));
            // A record is written with each fact, in the same batch.
            let facts = entries.iter().filter(|entry| !matches!(entry.fact, Fact::Said { .. })).count();
            let record = store.get(&key(&writer.to_string())).await.unwrap();
            assert_eq!(record.map_or(0, |record| record.version), facts as u64);
        }
        let page = store.list(&every(100)).await.unwrap();
        assert_eq!((page.records.len() as u64, page.damaged), (page.total, 0));
    }
}

#[tokio::test]
async fn sled_loses_nothing_it_acknowledged_when_it_is_killed() {
    nothing_acknowledged_is_lost(sled(), "sled").await;
}

#[tokio::test]
async fn redb_loses_nothing_it_acknowledged_when_it_is_killed() {
    nothing_acknowledged_is_lost(redb(), "redb").await;
}
