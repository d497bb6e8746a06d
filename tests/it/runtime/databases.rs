//! A session's databases on a store that remembers every write.

use std::collections::BTreeSet;

use futures::future::join_all;
use runhold::capability::databases::{DatabaseError, Databases, Executed, Sql};
use runhold::domain::database::DatabaseName;
use runhold::domain::document::{Query, RecordKind, Tag};
use runhold::runtime::Runtime;
use runhold::runtime::databases::SessionDatabases;
use runhold::store::Store;
use serde_json::{Value, json};

use super::stage::{Line, Stage, Tape, owner};

fn stage(tape: Tape) -> Stage {
    Stage::new(tape, |_| Line::Say(vec!["Hello."]))
}

fn of(runtime: &Runtime) -> SessionDatabases {
    runtime.databases(&owner(), &"s1".parse().unwrap())
}

fn name() -> DatabaseName {
    "notes".parse().unwrap()
}

fn sql(text: &str) -> Sql {
    Sql { text: text.into(), parameters: Vec::new() }
}

async fn asked(databases: &SessionDatabases, text: &str) -> Vec<Vec<Value>> {
    databases.query(&name(), sql(text)).await.unwrap().rows
}

const MADE: &str = "CREATE TABLE t (n INTEGER PRIMARY KEY, s TEXT); CREATE INDEX i ON t (s);";
const MUCH: &str = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 20000)
    INSERT INTO t SELECT n, hex(randomblob(100)) || n FROM c";

#[tokio::test]
async fn a_call_is_carried_out_once_wherever_the_process_ended_in_between() {
    let whole = stage(Tape::blank().await);
    let databases = of(&whole.open().await);
    databases.execute(&name(), sql(MADE), "r/1").await.unwrap();
    databases.execute(&name(), sql("INSERT INTO t VALUES (1, 'before')"), "r/2").await.unwrap();
    let begun = whole.tape.batches().len();
    databases.execute(&name(), sql(MUCH), "r/3").await.unwrap_err();
    databases.execute(&name(), sql(&format!("DELETE FROM t; {MUCH}")), "r/4").await.unwrap();
    let batches = whole.tape.batches();
    assert!(batches.len() > begun + 1, "so much is written in parts");
    for written in begun..=batches.len() {
        let after = whole.with(Tape::of(&batches[..written]).await);
        let databases = of(&after.open().await);
        let rows = asked(&databases, "SELECT count(*), max(n) FROM t").await;
        let (one, all) = (vec![vec![json!(1), json!(1)]], vec![vec![json!(20_000), json!(20_000)]]);
        assert_eq!(rows, if written == batches.len() { all.clone() } else { one }, "after {written} writes");
        let again = databases.execute(&name(), sql(&format!("DELETE FROM t; {MUCH}")), "r/4").await;
        assert_eq!(again, Ok(Executed { rows_affected: 20_001, returned: None }));
        assert_eq!(asked(&databases, "SELECT count(*), max(n) FROM t").await, all);
        assert_eq!(asked(&databases, "PRAGMA integrity_check").await, [[json!("ok")]]);
    }
}

#[tokio::test]
async fn what_a_call_returned_is_told_again_to_the_same_call_and_to_no_other() {
    let databases = of(&stage(Tape::blank().await).open().await);
    databases.execute(&name(), sql(MADE), "r/1").await.unwrap();
    let insert = sql("INSERT INTO t (s) VALUES ('x') RETURNING n");
    let first = databases.execute(&name(), insert.clone(), "r/2").await.unwrap();
    assert_eq!(first.returned.as_ref().unwrap().rows, [[json!(1)]]);
    assert_eq!(databases.execute(&name(), insert.clone(), "r/2").await, Ok(first));
    let other = databases.execute(&name(), insert, "r/3").await.unwrap();
    assert_eq!(other.returned.unwrap().rows, [[json!(2)]]);
}

#[tokio::test]
async fn writers_at_the_same_time_lose_nothing() {
    let databases = of(&stage(Tape::blank().await).open().await);
    databases.execute(&name(), sql(MADE), "r/0").await.unwrap();
    let keys: Vec<String> = (1..=12).map(|number| format!("r/{number}")).collect();
    let name = name();
    let writes = keys.iter().map(|key| databases.execute(&name, sql("INSERT INTO t (s) VALUES ('x')"), key));
    for written in join_all(writes).await {
        assert_eq!(written, Ok(Executed { rows_affected: 1, returned: None }));
    }
    assert_eq!(asked(&databases, "SELECT count(*) FROM t").await, [[json!(12)]]);
}

#[tokio::test]
async fn a_change_of_a_row_writes_only_the_parts_that_changed() {
    let whole = stage(Tape::blank().await);
    let databases = of(&whole.open().await);
    databases.execute(&name(), sql(&format!("{MADE} {MUCH}")), "r/1").await.unwrap();
    let size = databases.info(&name()).await.unwrap().size;
    let before = whole.tape.batches().len();
    databases.execute(&name(), sql("UPDATE t SET s = 'x' WHERE n = 7"), "r/2").await.unwrap();
    let batches = whole.tape.batches();
    assert_eq!(batches.len(), before + 1);
    let written: usize = batches[before].puts.iter().map(|put| put.body.len()).sum();
    assert!(written < 600_000 && size > 8_000_000, "{written} of {size}");
}

#[tokio::test]
async fn whoever_is_no_longer_waited_for_leaves_the_database_as_it_was() {
    let databases = of(&stage(Tape::blank().await).open().await);
    databases.execute(&name(), sql(MADE), "r/1").await.unwrap();
    let endless =
        "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) INSERT INTO t SELECT n, '' FROM c";
    {
        let name = name();
        let mut work = databases.execute(&name, sql(endless), "r/2");
        assert!(futures::poll!(&mut work).is_pending());
    }
    // The next writer has its turn when that one has let go.
    databases.execute(&name(), sql("INSERT INTO t (s) VALUES ('x')"), "r/3").await.unwrap();
    assert_eq!(asked(&databases, "SELECT count(*) FROM t").await, [[json!(1)]]);
}

#[tokio::test]
async fn nothing_of_a_database_is_left_when_it_or_its_session_is_taken_away() {
    let whole = stage(Tape::blank().await);
    let runtime = whole.open().await;
    let started = whole.start(&runtime, "s1").await;
    super::finished(&runtime, started.run).await;
    let databases = of(&runtime);
    let kinds = ["session_database", "session_database_chunk", "session_database_receipt"];
    let left = || async {
        let mut left = BTreeSet::new();
        for kind in kinds {
            let tag = Some(Tag::new("session", "s1"));
            let (kind, owner) = (RecordKind(kind), owner());
            let query = Query { owner, kind, tag, newest_first: false, after: None, skip: 0, limit: 1 };
            if whole.tape.list(&query).await.unwrap().total > 0 {
                left.insert(kind.0);
            }
        }
        left
    };
    databases.execute(&name(), sql(&format!("{MADE} {MUCH}")), "r/1").await.unwrap();
    assert_eq!(left().await, BTreeSet::from(kinds));
    databases.delete(&name()).await.unwrap();
    assert_eq!(left().await, BTreeSet::from(["session_database_receipt"]));
    databases.execute(&name(), sql(&format!("{MADE} {MUCH}")), "r/2").await.unwrap();
    databases.create(&"other".parse().unwrap()).await.unwrap();
    runtime.delete_session(&owner(), &"s1".parse().unwrap(), None).await.unwrap();
    assert_eq!(left().await, BTreeSet::new());
    assert_eq!(databases.info(&name()).await, Err(DatabaseError::Missing(name())));
}
