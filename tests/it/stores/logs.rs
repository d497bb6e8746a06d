//! Logs: entries in order, one writer wins, pieces of answers.

use super::*;

tests_on! { memory sled redb, [
    entries_are_read_in_the_order_they_were_appended,
    reading_stops_at_the_limit_and_goes_on_after_it,
    an_append_after_the_wrong_head_is_refused,
    entries_with_a_gap_in_their_numbers_are_refused,
    one_of_many_appends_after_the_same_head_wins,
    a_forgotten_log_is_empty_and_may_begin_again,
    pieces_are_visible_at_once,
    pieces_obey_the_same_conflict_rules,
    pieces_are_merged_when_a_fact_follows,
    a_failed_fact_leaves_the_pieces_waiting,
    reading_from_inside_a_merged_entry_gives_it_whole,
    a_batch_of_nothing_is_fine,
] }

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

async fn one_of_many_appends_after_the_same_head_wins(folder: Folder) {
    let store = folder.open().await;
    let log = log("s");
    store.commit(append(&log, 0, [fact(1)])).await.unwrap();
    let entries = |n: u64| if n.is_multiple_of(2) { fact(2) } else { said(2, &["a"]) };
    let appends = (0..20).map(|n| store.commit(append(&log, 1, [entries(n)])));
    let won = futures::future::join_all(appends).await.into_iter().filter(Result::is_ok).count();
    assert_eq!((won, store.head(&log).await.unwrap()), (1, 2));
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
