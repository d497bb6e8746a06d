//! A whole store in a file: equal stores give equal files, and nothing but a whole file gives a store.

use std::path::Path;

use runhold::domain::id::Owner;
use runhold::store::dump::{self, Counts, DumpError, Seen};

use super::*;

tests_on! { sled redb, [
    an_export_imported_into_another_engine_is_exported_as_the_same_file,
    an_export_holds_what_is_only_in_the_journal_and_pieces_that_are_not_synced,
    an_imported_store_is_worked_with_as_if_it_had_grown_here,
    an_export_changes_nothing,
    an_export_that_was_cut_or_altered_leaves_no_store,
    nothing_is_imported_over_data,
    what_is_no_export_is_refused_in_a_sentence,
    a_store_that_is_in_use_is_neither_exported_nor_looked_through,
    a_whole_store_is_verified,
] }

/// Records and logs of every sort, with writes that cover others, and pieces that wait.
pub(super) async fn fill(store: &dyn Store) {
    let long = format!("{{\"text\": \"{}\"}}", "x".repeat(30_000));
    let bodies = ["{\"a\": 1.0}", "no JSON", "[1,\n2]", "null", "", " 7", &long, "\"\u{1F600}\""];
    for (number, body) in bodies.iter().enumerate() {
        let id = format!("r{number}");
        for version in 0..=number as u64 {
            let tags = [("user", "u"), ("even", if version % 2 == 0 { "yes" } else { "no" })];
            store.commit(puts([put(&id, Expect::Any, version, &tags, body)])).await.unwrap();
        }
    }
    let binary =
        Put { body: Bytes::from_static(&[0, 159, 146, 150]), ..put("binary", Expect::Any, 3, &[], "") };
    let mut own = put("own", Expect::Absent, 4, &[], "{}");
    own.key.owner = Owner::server();
    let mut unlisted = put("unlisted", Expect::Absent, 4, &[("user", "v\u{0}w")], "{}");
    unlisted.tags.listed = false;
    store
        .commit(puts([binary, own, unlisted, put("gone", Expect::Any, 1, &[("user", "u")], "{}")]))
        .await
        .unwrap();
    store.commit(Batch { deletes: vec![key("gone")], ..Batch::default() }).await.unwrap();
    for session in ["b", "a", "c ü/☃"] {
        let log = log(session);
        store.commit(append(&log, 0, [fact(1), said(2, &["eins ", "zwei"]), fact(4)])).await.unwrap();
        let text = "y".repeat(9000);
        store.commit(append(&log, 4, [said(5, &[&text]), fact(6)])).await.unwrap();
    }
    let forgotten = log("forgotten");
    store.commit(append(&forgotten, 0, [fact(1)])).await.unwrap();
    store.commit(Batch { forget: vec![forgotten], ..Batch::default() }).await.unwrap();
    store.commit(append(&log("a"), 6, [said(7, &["waits ", "here"])])).await.unwrap();
    store.commit(append(&log("a"), 8, [said(9, &["and here"])])).await.unwrap();
}

const ALL: Counts = Counts { records: 11, logs: 3, entries: 17 };

fn export(config: StoreConfig, folder: &Path) -> (Vec<u8>, Seen) {
    let mut file = Vec::new();
    let seen = dump::export(&config, folder, &mut file, &mut |what| panic!("{what}")).unwrap();
    (file, seen)
}

fn import(config: StoreConfig, folder: &Path, file: &[u8]) -> Result<Seen, DumpError> {
    dump::import(&config, folder, &mut &*file)
}

fn other(folder: &Folder) -> StoreConfig {
    if folder.config == sled() { redb() } else { sled() }
}

async fn filled(folder: &Folder) -> Vec<u8> {
    fill(&*folder.open().await).await;
    export(folder.config, folder.dir.path()).0
}

async fn an_export_imported_into_another_engine_is_exported_as_the_same_file(folder: Folder) {
    let first = filled(&folder).await;
    let there = Folder::new(other(&folder));
    let seen = Seen { readable: ALL, damaged: 0 };
    assert_eq!(import(there.config, there.dir.path(), &first).unwrap(), seen);
    let (second, counted) = export(there.config, there.dir.path());
    assert_eq!(String::from_utf8(second).unwrap(), String::from_utf8(first).unwrap());
    assert_eq!(counted, seen);
    assert_eq!(dump::verify(&there.config, there.dir.path(), &mut |what| panic!("{what}")).unwrap(), seen);
}

async fn an_export_holds_what_is_only_in_the_journal_and_pieces_that_are_not_synced(folder: Folder) {
    let store = folder.open().await;
    fill(&*store).await;
    let killed = folder.as_if_killed();
    drop(store);
    let (whole, _) = export(folder.config, folder.dir.path());
    let (of_killed, seen) = export(killed.config, killed.dir.path());
    assert_eq!(String::from_utf8(of_killed).unwrap(), String::from_utf8(whole).unwrap());
    assert_eq!(seen.readable, ALL);
}

async fn an_imported_store_is_worked_with_as_if_it_had_grown_here(folder: Folder) {
    let file = filled(&folder).await;
    let there = Folder::new(other(&folder));
    import(there.config, there.dir.path(), &file).unwrap();
    let (old, new) = (folder.open().await, there.open().await);
    for query in [every(100), tagged("user", "u"), tagged("even", "no"), tagged("user", "v\u{0}w")] {
        assert_eq!(new.list(&query).await.unwrap(), old.list(&query).await.unwrap());
    }
    for session in ["a", "b", "c ü/☃", "forgotten"] {
        let log = log(session);
        assert_eq!(new.read(&log, 0, 100).await.unwrap(), old.read(&log, 0, 100).await.unwrap());
        assert_eq!(new.head(&log).await.unwrap(), old.head(&log).await.unwrap());
    }
    new.commit(append(&log("a"), 9, [fact(10)])).await.unwrap();
    let again = put("r3", Expect::Version(4), 1, &[("user", "w")], "{}");
    new.commit(puts([again])).await.unwrap();
    assert_eq!(listed(&*new, tagged("user", "u")).await.1, 7);
}

async fn an_export_changes_nothing(folder: Folder) {
    let store = folder.open().await;
    fill(&*store).await;
    let killed = folder.as_if_killed();
    let ours = |folder: &Folder| {
        let mut found = written(&folder.dir.path().join("journal"));
        found.extend(written(&folder.dir.path().join("tail")));
        found
    };
    let before = ours(&killed);
    export(killed.config, killed.dir.path());
    dump::verify(&killed.config, killed.dir.path(), &mut |_| {}).unwrap();
    assert_eq!(ours(&killed), before);
}

async fn an_export_that_was_cut_or_altered_leaves_no_store(folder: Folder) {
    let file = filled(&folder).await;
    let there = Folder::new(folder.config);
    let path = there.dir.path();
    let middle = file.len() / 2;
    let line = middle + file[middle..].iter().position(|byte| *byte == b'\n').unwrap() + 1;
    let last = file.len() - 1 - file[..file.len() - 1].iter().rev().position(|byte| *byte == b'\n').unwrap();
    let mut altered = file.clone();
    let digit = altered.iter().rposition(|byte| *byte == b'y').unwrap();
    altered[digit] = b'z';
    let twice = [&file[..], b"{}\n"].concat();
    let without_a_line = [&file[..line], &file[last..]].concat();
    for wrong in [&file[..middle], &file[..line], &file[..last], &altered, &twice, &without_a_line] {
        let refused = import(there.config, path, wrong);
        assert!(matches!(refused, Err(DumpError::Line { .. })), "{refused:?}");
        let verified = dump::verify(&there.config, path, &mut |_| {});
        assert!(matches!(verified, Err(DumpError::NoStore(_))), "{verified:?}");
    }
    assert_eq!(import(there.config, path, &file).unwrap().readable, ALL);
}

async fn nothing_is_imported_over_data(folder: Folder) {
    let file = filled(&folder).await;
    for config in [folder.config, other(&folder)] {
        let refused = import(config, folder.dir.path(), &file);
        assert!(matches!(refused, Err(DumpError::NotEmpty(_))), "{refused:?}");
    }
    assert_eq!(export(folder.config, folder.dir.path()).0, file);
}

async fn what_is_no_export_is_refused_in_a_sentence(folder: Folder) {
    let newer = "{\"export\":{\"of\":\"runhold store\",\"format\":2,\"program\":\"9.1\",\"more\":1}}\n";
    let foreign = "{\"export\":{\"of\":\"recipes\",\"format\":1,\"program\":\"1\"}}\n";
    let reasons = [
        ("", "line 1 of the exported file: it is empty"),
        ("hello\n", "line 1 of the exported file: this is not an exported store"),
        (foreign, "line 1 of the exported file: it is an export of recipes"),
        (
            newer,
            "line 1 of the exported file: it has format 2 (written by version 9.1), this program reads 1",
        ),
    ];
    for (file, reason) in reasons {
        let refused = import(folder.config, folder.dir.path(), file.as_bytes()).unwrap_err();
        assert_eq!(refused.to_string(), reason);
    }
}

async fn a_store_that_is_in_use_is_neither_exported_nor_looked_through(folder: Folder) {
    let _store = folder.open().await;
    let in_use = format!("is in use by process {}", std::process::id());
    let path = folder.dir.path();
    let exported = dump::export(&folder.config, path, &mut Vec::new(), &mut |_| {}).unwrap_err();
    let verified = dump::verify(&folder.config, path, &mut |_| {}).unwrap_err();
    let imported = import(folder.config, path, b"").unwrap_err();
    for refused in [exported, verified, imported] {
        assert!(refused.to_string().ends_with(&in_use), "{refused}");
    }
}

async fn a_whole_store_is_verified(folder: Folder) {
    let store = folder.open().await;
    fill(&*store).await;
    let killed = folder.as_if_killed();
    drop(store);
    for folder in [folder, killed] {
        let seen = dump::verify(&folder.config, folder.dir.path(), &mut |what| panic!("{what}")).unwrap();
        assert_eq!(seen, Seen { readable: ALL, damaged: 0 });
    }
}
