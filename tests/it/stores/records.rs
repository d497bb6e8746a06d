//! Records: what is expected, how they are listed and counted, whose they are.

use super::*;

tests_on! { memory sled redb, [
    a_conflicting_put_undoes_the_append_and_the_other_puts,
    a_put_goes_ahead_only_if_what_it_expects_is_there,
    one_of_many_claimants_wins,
    lists_follow_tags_and_count_themselves,
    a_record_moves_between_lists_when_its_tags_change,
    lists_are_paged_both_ways,
    a_deleted_record_leaves_every_list,
    big_bodies_and_big_entries_come_back_whole,
    a_batch_over_the_limit_is_refused,
    owners_do_not_see_each_other,
    crafted_names_stay_in_their_place,
] }

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
