//! What is there when the store comes back, and who may have its folder.

use super::*;

tests_on! { sled redb, [
    everything_is_there_after_a_clean_end,
    facts_and_pieces_survive_an_unclean_end,
    pieces_keep_their_numbers_through_many_unclean_ends,
    a_clean_end_with_nothing_waiting_leaves_no_tail,
    the_torn_end_of_a_tail_file_is_cut,
    pieces_of_a_forgotten_log_do_not_come_back,
    a_folder_in_use_is_refused_with_the_process_id,
    a_folder_of_another_engine_is_refused,
    the_data_folder_is_for_its_owner_alone,
] }

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
    let _store = store::open(&folder.config, &path).await.unwrap().store;
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
}

fn texts(entry: &Entry) -> Vec<String> {
    let Fact::Said { pieces } = &entry.fact else { return Vec::new() };
    let text = |piece: &Piece| match piece {
        Piece::Text(text) | Piece::Reasoning(text) => text.clone(),
    };
    pieces.iter().map(text).collect()
}
