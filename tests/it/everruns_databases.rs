//! Section 13.2 of the Everruns contract, through the real program: a session's SQL databases, which its agent fills.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::everruns::Talk;
use crate::harness::model_server::{ModelServer, calls, says};
use crate::harness::server::{Server, Setup, answer};

const MADE: &str =
    "CREATE TABLE orders (id INTEGER PRIMARY KEY, what TEXT NOT NULL DEFAULT 'tea', price REAL)";

async fn send(server: &Server, method: Method, path: &str, body: &Value) -> (u16, Value) {
    answer(server.request(method, path).json(body).send().await.unwrap()).await
}

/// A call of `sql_execute` or `sql_query` on the database `shop`.
fn call(tool: &'static str, sql: &str) -> (&'static str, Value) {
    (tool, json!({"database": "shop", "sql": sql}))
}

async fn server(model: &ModelServer) -> Server {
    let setup = Setup::default().config("default_model = \"test/model\"");
    setup.model(&model.url()).start().await
}

async fn talk(server: &Server) -> Talk {
    Talk::with(server, json!({"capabilities": [{"ref": "session_sql_database"}]})).await
}

/// What an agent's calls came to, in their order: in words what failed.
async fn came_to<const N: usize>(asked: [(&'static str, Value); N]) -> Vec<Value> {
    let model = ModelServer::start([calls(asked), says("Done.")]).await;
    let server = server(&model).await;
    let talk = talk(&server).await;
    talk.say(&server, "Go").await;
    talk.until_idle(&server).await;
    let messages = talk.messages(&server).await;
    let parts: Vec<Value> =
        messages.iter().flat_map(|message| message["content"].as_array().unwrap().clone()).collect();
    let asked = parts.iter().filter(|part| part["type"] == "tool_call");
    asked
        .map(|call| {
            let result = parts.iter().find(|part| part["tool_call_id"] == call["id"]).unwrap();
            result.get("result").or(result.get("error")).unwrap().clone()
        })
        .collect()
}

#[tokio::test]
async fn a_database_is_made_listed_read_and_deleted() {
    let model = ModelServer::start([]).await;
    let server = server(&model).await;
    let talk = talk(&server).await;
    let all = talk.path("/databases");
    assert_eq!(server.get(&all).await, (200, json!({"data": []})));
    let (status, made) = server.post(&all, &json!({"name": "shop"})).await;
    let expected = json!({
        "name": "shop", "size_bytes": 0, "page_count": 0, "created_at": made["created_at"], "updated_at": made["updated_at"],
    });
    assert_eq!((status, &made), (201, &expected));
    let (_, other) = server.post(&all, &json!({"name": "a_1"})).await;
    assert_eq!(server.get(&all).await, (200, json!({"data": [other, made]})));
    assert_eq!(server.get(&talk.path("/databases/shop")).await, (200, made));
    let schema = json!({"database": "shop", "tables": []});
    assert_eq!(server.get(&talk.path("/databases/shop/schema")).await, (200, schema));
    let gone = server.request(Method::DELETE, &talk.path("/databases/shop")).send().await.unwrap();
    assert_eq!((gone.status().as_u16(), gone.text().await.unwrap().as_str()), (204, ""));
    assert_eq!(server.get(&talk.path("/databases/shop")).await.0, 404);
    assert_eq!(server.get(&all).await, (200, json!({"data": [other]})));
}

#[tokio::test]
async fn what_cannot_be_done_is_refused_with_the_status_that_says_why() {
    let model = ModelServer::start([]).await;
    let server = server(&model).await;
    let talk = talk(&server).await;
    let all = talk.path("/databases");
    let none = Value::Null;
    let long = "x".repeat(65);
    for name in ["", "a b", "a-b", "../etc", "tëst", "a;b", long.as_str()] {
        let (status, said) = server.post(&all, &json!({"name": name})).await;
        assert_eq!(status, 400, "{name}: {said}");
        assert!(said["error"]["message"].as_str().unwrap().contains("`name`"), "{said}");
    }
    assert_eq!(server.post(&all, &json!({"name": "x".repeat(64)})).await.0, 201);
    let refused = [
        (Method::POST, "/databases", json!({"name": "x".repeat(64)}), 409),
        (Method::POST, "/databases", json!({}), 422),
        (Method::POST, "/databases", json!({"name": 7}), 422),
        (Method::GET, "/databases/none", none.clone(), 404),
        (Method::GET, "/databases/none/schema", none.clone(), 404),
        (Method::DELETE, "/databases/none", none.clone(), 404),
        (Method::GET, "/databases/a-b", none.clone(), 400),
        (Method::GET, "/databases/a%2f..%2fb/schema", none.clone(), 400),
        (Method::DELETE, "/databases/a%00", none.clone(), 400),
        (Method::PUT, "/databases/none", none.clone(), 405),
    ];
    for (method, path, body, status) in refused {
        let (found, said) = send(&server, method.clone(), &talk.path(path), &body).await;
        assert_eq!(found, status, "{method} {path}: {said}");
        assert!(said["error"]["message"].is_string(), "{said}");
    }
    let nobody = format!("/v1/sessions/session_{}/databases", "0".repeat(32));
    assert_eq!(server.get(&nobody).await.0, 404);
    assert_eq!(server.get("/v1/sessions/nonsense/databases").await.0, 400);
    for number in 1..10 {
        assert_eq!(server.post(&all, &json!({"name": format!("d{number}")})).await.0, 201);
    }
    let (status, said) = server.post(&all, &json!({"name": "one_more"})).await;
    assert_eq!((status, &said["error"]["message"]), (400, &json!("a session keeps at most 10 databases")));
}

#[tokio::test]
async fn an_agent_makes_fills_and_asks_a_database_and_the_client_reads_its_schema() {
    let with = |sql: &str, params: Value| json!({"database": "shop", "sql": sql, "params": params});
    let insert = "INSERT INTO orders (what, price) VALUES (?, ?) RETURNING id";
    let script = [
        call("sql_execute", MADE),
        ("sql_execute", with(insert, json!(["salt; DROP TABLE orders", 1.5]))),
        call(
            "sql_execute",
            "BEGIN; INSERT INTO orders (price) VALUES (2); UPDATE orders SET price = 3; COMMIT;",
        ),
        call(
            "sql_query",
            "SELECT id, what, price, NULL AS n, x'00ff' AS b, 9007199254740993 AS big, 9e999 AS inf FROM orders",
        ),
        ("sql_query", with("SELECT what FROM orders WHERE id = ?", json!([2]))),
        ("sql_schema", json!({"database": "shop", "table": "orders"})),
        ("sql_schema", json!({"database": "shop", "table": "none"})),
        ("sql_query", json!({"database": "none", "sql": "SELECT 1"})),
        ("sql_query", json!({"database": "a b", "sql": "SELECT 1"})),
    ];
    let model = ModelServer::start([calls(script), says("Done.")]).await;
    let server = server(&model).await;
    let talk = talk(&server).await;
    talk.say(&server, "Go").await;
    talk.until_idle(&server).await;
    let messages = talk.messages(&server).await;
    let told: Vec<Value> = messages
        .iter()
        .flat_map(|message| message["content"].as_array().unwrap().clone())
        .filter(|part| part["type"] == "tool_result")
        .map(|part| part.get("result").or(part.get("error")).unwrap().clone())
        .collect();
    let columns = json!([
        {"name": "id", "type": "INTEGER", "notnull": false, "pk": true, "default_value": null},
        {"name": "what", "type": "TEXT", "notnull": true, "pk": false, "default_value": "'tea'"},
        {"name": "price", "type": "REAL", "notnull": false, "pk": false, "default_value": null},
    ]);
    let schema =
        json!({"database": "shop", "tables": [{"name": "orders", "columns": columns, "row_count": 2}]});
    let blob = json!({"base64": "AP8="});
    let big = 9_007_199_254_740_993_i64;
    let expected = [
        json!({"database": "shop", "success": true, "rows_affected": 0}),
        json!({"database": "shop", "success": true, "rows_affected": 1, "columns": ["id"], "row_count": 1, "rows": [[1]]}),
        json!({"database": "shop", "success": true, "rows_affected": 3}),
        json!({"database": "shop", "columns": ["id", "what", "price", "n", "b", "big", "inf"], "row_count": 2, "rows": [
            [1, "salt; DROP TABLE orders", 3.0, null, blob, big, "inf"],
            [2, "tea", 3.0, null, blob, big, "inf"],
        ]}),
        json!({"database": "shop", "columns": ["what"], "row_count": 1, "rows": [["tea"]]}),
        schema.clone(),
        json!("there is no table `none`"),
        json!("there is no database `none`"),
        json!("the `name` of a database has 1 to 64 characters: letters, digits and `_`"),
    ];
    assert_eq!(told, expected);
    assert_eq!(server.get(&talk.path("/databases/shop/schema")).await, (200, schema));
    let (_, info) = server.get(&talk.path("/databases/shop")).await;
    assert_eq!((&info["size_bytes"], &info["page_count"]), (&json!(8192), &json!(2)));
    let (_, capability) = server.get("/v1/capabilities/session_sql_database").await;
    assert_eq!(capability["features"], json!(["sql_database"]));
    model.assert_clean();
}

#[tokio::test]
async fn sql_that_reaches_beyond_its_database_is_refused_and_changes_nothing() {
    let outside = tempfile::tempdir().unwrap();
    let file = outside.path().join("stolen.db");
    let file = file.to_str().unwrap();
    let attach = format!("ATTACH '{file}' AS other; CREATE TABLE other.t (a)");
    let vacuum = format!("VACUUM INTO '{file}'");
    let virtual_table = "CREATE VIRTUAL TABLE v USING fts5(a)";
    let many = format!("SELECT {}", vec!["instr(what, 'x')"; 17].join(" + "));
    let deep = format!("SELECT {}1{}", "(".repeat(5000), ")".repeat(5000));
    let hostile = [
        call("sql_execute", MADE),
        call("sql_execute", &attach),
        call("sql_execute", &vacuum),
        call("sql_execute", "SELECT load_extension('libc.so.6')"),
        call("sql_execute", "PRAGMA writable_schema = ON"),
        call("sql_execute", "PRAGMA journal_mode = WAL"),
        call("sql_execute", "PRAGMA temp_store_directory = '/tmp'"),
        call("sql_execute", "PRAGMA hard_heap_limit = 1"),
        call("sql_execute", "PRAGMA max_page_count = 1000000"),
        call("sql_execute", "UPDATE sqlite_schema SET sql = 'x'"),
        call("sql_execute", virtual_table),
        call("sql_execute", "SELECT * FROM sqlite_dbpage"),
        call("sql_execute", "INSERT INTO orders VALUES (1, 'a', 1); INSERT INTO nowhere VALUES (1)"),
        call("sql_execute", "BEGIN; INSERT INTO orders VALUES (1, 'a', 1)"),
        call("sql_execute", "INSERT INTO orders VALUES (1, zeroblob(1000000), 1)"),
        call("sql_execute", "  -- nothing"),
        call("sql_query", "DELETE FROM orders"),
        call("sql_query", "INSERT INTO orders VALUES (1, 'a', 1) RETURNING id"),
        call("sql_query", "SELECT 1; SELECT 2"),
        call("sql_query", "BEGIN"),
        call("sql_query", "PRAGMA user_version = 7"),
        call("sql_query", &format!("{many} FROM orders")),
        call("sql_query", &deep),
        call("sql_query", "SELECT * FROM orders WHERE id = ?"),
        call("sql_query", &format!("SELECT 1 -- {}", "x".repeat(300_000))),
        call(
            "sql_query",
            "SELECT (SELECT count(*) FROM orders), (SELECT user_version FROM pragma_user_version)",
        ),
    ];
    let told = came_to(hostile).await;
    let elsewhere = "only this database can be used: ATTACH and VACUUM are not allowed";
    let reads = "only statements that read are allowed here";
    let expected = [
        elsewhere,
        elsewhere,
        "the function load_extension is not allowed",
        "the pragma writable_schema is not allowed here",
        "the pragma journal_mode is not allowed here",
        "the pragma temp_store_directory is not allowed here",
        "the pragma hard_heap_limit is not allowed here",
        "the pragma max_page_count is not allowed here",
        "table sqlite_master may not be modified",
        "virtual tables are not allowed",
        "no such table: sqlite_dbpage",
        "no such table: nowhere",
        "a transaction must end in the call in which it begins: COMMIT is missing",
        "string or blob too big",
        "`sql` holds no statement",
        reads,
        reads,
        "one statement at a time is asked",
        reads,
        "the pragma user_version is not allowed here",
        "a statement calls glob, instr, like, ltrim, replace, rtrim, trim at most 16 times together",
        "Recursion limit",
        "the statement takes 1 parameters, `params` has 0",
        "`sql` is longer than 262144 bytes; send it in parts",
    ];
    for (said, expected) in told[1..].iter().zip(expected) {
        let said = said.as_str().unwrap_or_else(|| panic!("{said} and not: {expected}"));
        assert!(said.starts_with(expected), "{said} and not: {expected}");
    }
    assert_eq!(told[25]["rows"], json!([[0, 0]]));
    assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_statement_is_stopped_that_takes_too_much_of_anything_and_the_server_goes_on() {
    let numbers = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n <";
    let told = came_to([
        call("sql_execute", MADE),
        call(
            "sql_query",
            "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT count(*) FROM c",
        ),
        call("sql_query", &format!("{numbers} 4000) SELECT zeroblob(200000) AS b FROM c ORDER BY b")),
        call(
            "sql_execute",
            &format!("{numbers} 400) INSERT INTO orders SELECT n, zeroblob(100000), 0 FROM c"),
        ),
        call("sql_query", &format!("{numbers} 5000) SELECT n FROM c")),
        call("sql_query", &format!("{numbers} 50) SELECT printf('%.*c', 10000, 'x') FROM c")),
        call("sql_query", "SELECT count(*) FROM orders"),
    ])
    .await;
    assert_eq!(told[1], "the statement took longer than 5 s and was stopped");
    assert_eq!(told[2], "the statement needs too much memory");
    assert_eq!(told[3], "a database has at most 16777216 bytes");
    let shown = |at: usize| (told[at]["row_count"].clone(), told[at]["truncated"].clone());
    assert_eq!(shown(4), (json!(1000), json!(true)));
    assert_eq!(shown(5), (json!(13), json!(true)));
    assert_eq!(told[6]["rows"], json!([[0]]));
}

#[tokio::test]
async fn of_many_calls_each_is_carried_out_once_however_often_the_server_is_killed() {
    const CALLS: usize = 60;
    let insert = "INSERT INTO orders (price) VALUES (1)";
    let inserts: [_; CALLS] = std::array::from_fn(|_| call("sql_execute", insert));
    let model = ModelServer::start([
        calls([call("sql_execute", MADE)]),
        calls(inserts),
        says("Done."),
        says("Done."),
        says("Done."),
    ])
    .await;
    let mut server = server(&model).await;
    let talk = talk(&server).await;
    talk.say(&server, "Go").await;
    let schema = talk.path("/databases/shop/schema");
    for rows in [1, 9, 10, 31] {
        let so_far = async {
            loop {
                let (_, schema) = server.get(&schema).await;
                if schema["tables"][0]["row_count"].as_u64().is_some_and(|count| count >= rows) {
                    break;
                }
            }
        };
        tokio::time::timeout(crate::harness::server::PATIENCE, so_far).await.unwrap();
        server.kill();
        server.restart().await;
    }
    talk.until_idle(&server).await;
    let (_, schema) = server.get(&schema).await;
    assert_eq!(schema["tables"][0]["row_count"], CALLS);
}

#[tokio::test]
async fn a_database_is_one_sessions_and_goes_with_it() {
    let model = ModelServer::start([calls([call("sql_execute", MADE)]), says("Done.")]).await;
    let mut server = server(&model).await;
    let (one, other) = (talk(&server).await, talk(&server).await);
    one.say(&server, "Go").await;
    one.until_idle(&server).await;
    assert_eq!(server.get(&other.path("/databases")).await, (200, json!({"data": []})));
    assert_eq!(server.get(&other.path("/databases/shop")).await.0, 404);
    let before = server.get(&one.path("/databases/shop/schema")).await;
    server.kill();
    server.restart().await;
    assert_eq!(server.get(&one.path("/databases/shop/schema")).await, before);
    let gone = server.request(Method::DELETE, &one.path("")).send().await.unwrap();
    assert_eq!(gone.status(), 204);
    assert_eq!(server.get(&one.path("/databases")).await.0, 404);
}
