//! Sections 9.4, 11 and 13.1 of the Everruns contract, through the real program: a session's files, values and secrets.

use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::everruns::Talk;
use crate::harness::server::{Server, Setup, TOKEN, answer};

const NO_MODEL: &str = "http://127.0.0.1:1/v1";

async fn server() -> Server {
    Setup::default().model(NO_MODEL).start().await
}

async fn send(server: &Server, method: Method, path: &str, body: &Value) -> (u16, Value) {
    answer(server.request(method, path).json(body).send().await.unwrap()).await
}

async fn talk(server: &Server) -> Talk {
    Talk::with(server, json!({})).await
}

/// Writes a file; what it is then.
async fn put(server: &Server, talk: &Talk, path: &str, content: &str) -> Value {
    let (status, file) = server.post(&talk.path(&format!("/fs{path}")), &json!({"content": content})).await;
    assert_eq!(status, 201, "{file}");
    file
}

/// What is answered to a path that goes out as it is.
async fn raw(server: &Server, path: &str) -> String {
    let address = server.url().trim_start_matches("http://").trim_end_matches('/');
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {TOKEN}\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut said = String::new();
    stream.read_to_string(&mut said).await.unwrap();
    said
}

/// The paths of a list.
fn paths(list: &Value) -> Vec<&str> {
    list["data"].as_array().unwrap().iter().map(|file| file["path"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_file_is_made_read_written_listed_and_deleted() {
    let server = server().await;
    let talk = talk(&server).await;
    let file = put(&server, &talk, "/notes/a.txt", "one\n").await;
    let expected = json!({
        "id": file["id"], "session_id": talk.0, "path": "/notes/a.txt", "name": "a.txt", "is_directory": false,
        "is_readonly": false, "size_bytes": 4, "created_at": file["created_at"], "updated_at": file["updated_at"],
        "content": "one\n", "encoding": "text",
    });
    assert_eq!(file, expected);
    let path = talk.path("/fs/notes/a.txt");
    assert_eq!(server.get(&path).await, (200, file.clone()));
    assert_eq!(server.get(&talk.path("/fs/workspace//notes/./a.txt")).await, (200, file.clone()));
    let (status, again) = send(&server, Method::PUT, &path, &json!({"content": "two"})).await;
    assert_eq!((status, &again["content"], &again["id"]), (200, &json!("two"), &file["id"]));
    assert_eq!(again["created_at"], file["created_at"]);
    let (status, list) = server.get(&talk.path("/fs")).await;
    assert_eq!((status, paths(&list)), (200, vec!["/notes"]));
    assert_eq!(list["data"][0]["is_directory"], true);
    let (_, list) = server.get(&talk.path("/fs?recursive=true")).await;
    assert_eq!(paths(&list), ["/notes", "/notes/a.txt"]);
    let workspace = talk.0.replace("session_", "wsp_");
    assert_eq!(server.get(&format!("/v1/workspaces/{workspace}/fs/notes/a.txt")).await, (200, again));
    let none = Value::Null;
    assert_eq!(send(&server, Method::DELETE, &talk.path("/fs/notes"), &none).await.0, 400);
    let deleted = send(&server, Method::DELETE, &talk.path("/fs/notes?recursive=true"), &none).await;
    assert_eq!(deleted, (200, json!({"deleted": true})));
    assert_eq!(server.get(&path).await.0, 404);
    assert_eq!(server.get(&talk.path("/fs")).await, (200, json!({"data": []})));
}

#[tokio::test]
async fn what_cannot_be_done_is_refused_with_the_status_that_says_why() {
    let server = server().await;
    let talk = talk(&server).await;
    put(&server, &talk, "/a/b.txt", "b").await;
    let none = Value::Null;
    let folder = json!({"is_directory": true});
    let content = json!({"content": "x"});
    let readonly = json!({"content": "x", "is_readonly": true});
    assert_eq!(server.post(&talk.path("/fs/ro.txt"), &readonly).await.0, 201);
    let refused = [
        (Method::POST, "/fs/a/b.txt", &content, 409),
        (Method::POST, "/fs/a", &content, 409),
        (Method::POST, "/fs/a/b.txt", &folder, 409),
        (Method::POST, "/fs/a", &folder, 201),
        (Method::POST, "/fs/a/b.txt/c", &content, 400),
        (Method::PUT, "/fs/none", &content, 404),
        (Method::PUT, "/fs/a", &content, 400),
        (Method::PUT, "/fs/ro.txt", &content, 400),
        (Method::DELETE, "/fs/none", &none, 404),
        (Method::DELETE, "/fs", &none, 400),
        (Method::DELETE, "/fs/ro.txt", &none, 200),
        (Method::POST, "/fs/_secret/x", &content, 400),
        (Method::POST, "/fs/a%2f..%2fx", &content, 400),
        (Method::POST, "/fs/a%00", &content, 400),
        (Method::GET, "/fs/none", &none, 404),
        (Method::POST, "/fs/a", &json!({"content": "?", "encoding": "base64"}), 422),
    ];
    for (method, path, body, status) in refused {
        let (found, said) = send(&server, method.clone(), &talk.path(path), body).await;
        assert_eq!(found, status, "{method} {path}: {said}");
    }
    // A client that does not tidy its paths up, as others do.
    for path in ["/fs/../x", "/fs/a/%2e%2e/%2E%2e/x", "/fs/..", "/fs/a/..%2f"] {
        let said = raw(&server, &talk.path(path)).await;
        assert!(said.starts_with("HTTP/1.1 400 "), "{path}: {said}");
    }
    let nobody = format!("/v1/sessions/session_{}/fs", "0".repeat(32));
    assert_eq!(server.get(&nobody).await.0, 404);
}

#[tokio::test]
async fn bytes_that_are_no_text_go_in_and_out_in_base64() {
    let server = server().await;
    let talk = talk(&server).await;
    let body = json!({"content": "AP8Q", "encoding": "base64"});
    let (status, file) = server.post(&talk.path("/fs/bytes.bin"), &body).await;
    assert_eq!(status, 201, "{file}");
    let (_, file) = server.get(&talk.path("/fs/bytes.bin")).await;
    assert_eq!(
        [&file["content"], &file["encoding"], &file["size_bytes"]],
        ["AP8Q", "base64", "3"]
            .map(|text| { serde_json::from_str(text).unwrap_or_else(|_| json!(text)) })
            .each_ref()
    );
    // Far more than is kept in one piece.
    let large = "0123456789abcdef".repeat(100_000);
    put(&server, &talk, "/large.txt", &large).await;
    let (_, file) = server.get(&talk.path("/fs/large.txt")).await;
    assert_eq!(file["content"].as_str().unwrap().len(), large.len());
    assert!(file["content"] == large);
}

#[tokio::test]
async fn files_are_moved_copied_searched_and_asked_about() {
    let server = server().await;
    let talk = talk(&server).await;
    put(&server, &talk, "/src/a.rs", "fn one() {}\nlet x = 1;\n").await;
    put(&server, &talk, "/src/b.md", "fn is a word\n").await;
    let order = |word: &str| talk.path(&format!("/fs/_/{word}"));
    let passage = |from: &str, to: &str| json!({"src_path": from, "dst_path": to});
    let (status, copy) = server.post(&order("copy"), &passage("/src", "/old/src")).await;
    assert_eq!((status, &copy["path"], &copy["is_directory"]), (201, &json!("/old/src"), &json!(true)));
    let (status, moved) = server.post(&order("move"), &passage("src/b.md", "/workspace/b.md")).await;
    assert_eq!((status, &moved["path"], &moved["content"]), (200, &json!("/b.md"), &json!("fn is a word\n")));
    assert_eq!(server.post(&order("move"), &passage("/none", "/x")).await.0, 404);
    assert_eq!(server.post(&order("copy"), &passage("/b.md", "/src/a.rs")).await.0, 409);
    let (_, list) = server.get(&talk.path("/fs?recursive=true")).await;
    assert_eq!(
        paths(&list),
        ["/b.md", "/old", "/old/src", "/old/src/a.rs", "/old/src/b.md", "/src", "/src/a.rs"]
    );
    let search = json!({"pattern": "^fn \\w+\\(", "path_pattern": "*.rs"});
    let (status, found) = server.post(&order("grep"), &search).await;
    let line = |path: &str| json!({"path": path, "matches": [{"path": path, "line_number": 1, "line": "fn one() {}"}]});
    assert_eq!((status, found), (200, json!({"data": [line("/old/src/a.rs"), line("/src/a.rs")]})));
    assert_eq!(server.post(&order("grep"), &json!({"pattern": "("})).await.0, 400);
    let (status, stat) = server.post(&order("stat"), &json!({"path": "/b.md"})).await;
    let expected = json!({
        "path": "/b.md", "name": "b.md", "is_directory": false, "is_readonly": false, "size_bytes": 13,
        "created_at": stat["created_at"], "updated_at": stat["updated_at"],
    });
    assert_eq!((status, &stat), (200, &expected));
    assert_eq!(server.post(&order("stat"), &json!({"path": "/none"})).await.0, 404);
}

#[tokio::test]
async fn of_writers_at_once_one_makes_the_file_and_none_tears_it() {
    let server = server().await;
    let talk = talk(&server).await;
    let body = |n: usize| json!({"content": n.to_string().repeat(60_000)});
    let path = talk.path("/fs/one.txt");
    let made = futures::future::join_all((0..4).map(|n| {
        let (server, path, body) = (&server, &path, body(n));
        async move { server.post(path, &body).await.0 }
    }));
    let mut made = made.await;
    made.sort_unstable();
    assert_eq!(made, [201, 409, 409, 409]);
    let wrote = futures::future::join_all((0..4).map(|n| {
        let (server, path, body) = (&server, &path, body(n));
        async move { send(server, Method::PUT, path, &body).await.0 }
    }));
    assert_eq!(wrote.await, [200; 4]);
    let (_, file) = server.get(&path).await;
    let content = file["content"].as_str().unwrap();
    assert_eq!(content.len(), 60_000);
    assert!(content.chars().all(|letter| content.starts_with(letter)));
}

#[tokio::test]
async fn files_outlive_a_crash_and_go_with_their_session() {
    let mut server = server().await;
    let talk = talk(&server).await;
    let large = "x".repeat(700_000);
    put(&server, &talk, "/large.txt", &large).await;
    put(&server, &talk, "/small.txt", "small").await;
    server.kill();
    server.restart().await;
    let (status, file) = server.get(&talk.path("/fs/large.txt")).await;
    assert_eq!((status, file["content"] == large), (200, true));
    assert_eq!(server.get(&talk.path("/fs/small.txt")).await.1["content"], "small");
    assert_eq!(send(&server, Method::DELETE, &talk.path(""), &Value::Null).await.0, 204);
    assert_eq!(server.get(&talk.path("/fs/small.txt")).await.0, 404);
    // One of the same name has nothing of it.
    let id = talk.0.trim_start_matches("session_").parse::<uuid::Uuid>().unwrap();
    let body = json!({"session_id": id.to_string(), "agent_id": "plain"});
    assert_eq!(server.post("/sessions?type=agent", &body).await.0, 201);
    assert_eq!(server.get(&talk.path("/fs?recursive=true")).await, (200, json!({"data": []})));
}

#[tokio::test]
async fn a_session_begins_with_what_its_capabilities_and_its_client_put_there() {
    let server = server().await;
    let body = json!({"name": "A", "system_prompt": "", "capabilities": [{"ref": "sample_data"}]});
    let (_, agent) = server.post("/v1/agents", &body).await;
    let files = json!([{"path": "/samples/users.json", "content": "[]"}]);
    let body =
        json!({"agent_id": agent["id"], "initial_files": files, "capabilities": [{"ref": "fake_crm"}]});
    let (status, session) = server.post("/v1/sessions", &body).await;
    assert_eq!(status, 201, "{session}");
    let talk = Talk(session["id"].as_str().unwrap().to_owned());
    let (_, list) = server.get(&talk.path("/fs?recursive=true")).await;
    let expected = [
        "/crm",
        "/crm/customers.json",
        "/crm/tickets.json",
        "/samples",
        "/samples/README.md",
        "/samples/sales.csv",
        "/samples/users.json",
    ];
    assert_eq!(paths(&list), expected);
    assert_eq!(server.get(&talk.path("/fs/samples/users.json")).await.1["content"], "[]");
    let sales = talk.path("/fs/samples/sales.csv");
    assert_eq!(send(&server, Method::PUT, &sales, &json!({"content": ""})).await.0, 400);
}

#[tokio::test]
async fn secrets_go_in_and_are_never_shown() {
    let key = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    let server = Setup::default().model(NO_MODEL).env("SECRETS_ENCRYPTION_KEY", key).start().await;
    let talk = talk(&server).await;
    let path = talk.path("/storage/secrets");
    let kept =
        send(&server, Method::PUT, &path, &json!({"secrets": {"TOKEN": "s3cret-1", "KEY": "s3cret-2"}}))
            .await;
    assert_eq!(kept, (204, Value::Null));
    let (status, list) = server.get(&path).await;
    let names: Vec<&Value> = list["data"].as_array().unwrap().iter().map(|secret| &secret["name"]).collect();
    assert_eq!((status, names), (200, vec![&json!("KEY"), &json!("TOKEN")]));
    assert!(!list.to_string().contains("s3cret"));
    assert_eq!(send(&server, Method::PUT, &path, &json!({"secrets": {"A": 1}})).await.0, 422);
    assert_eq!(send(&server, Method::PUT, &path, &json!({})).await.0, 422);
    assert_eq!(server.get(&talk.path("/storage/keys")).await, (200, json!({"data": []})));
    let data = std::fs::read_dir(server.path("data")).unwrap();
    for file in data.filter_map(|file| std::fs::read(file.unwrap().path()).ok()) {
        assert!(!file.windows(8).any(|bytes| bytes == b"s3cret-1"));
    }
}

#[tokio::test]
async fn without_a_key_no_secret_is_kept() {
    let server = Setup::default().model(NO_MODEL).env("SECRETS_ENCRYPTION_KEY", "").start().await;
    let talk = talk(&server).await;
    let path = talk.path("/storage/secrets");
    assert_eq!(send(&server, Method::PUT, &path, &json!({"secrets": {"A": "b"}})).await.0, 503);
    assert_eq!(server.get(&path).await, (200, json!({"data": []})));
}

/// A session that begins with these files.
async fn beginning(server: &Server, more: Value) -> (u16, Value) {
    let agent = server.post("/v1/agents", &json!({"name": "Helper", "system_prompt": ""})).await.1;
    let mut body = json!({"agent_id": agent["id"]});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    server.post("/v1/sessions", &body).await
}

#[tokio::test]
async fn a_session_begins_with_the_files_of_its_client_before_those_of_its_capabilities() {
    let server = server().await;
    let files = json!([
        {"path": "/samples/README.md", "content": "Mine."},
        {"path": "workspace/data.bin", "content": "AAEC", "encoding": "base64", "is_readonly": true},
        {"path": "empty"},
    ]);
    let more = json!({"initial_files": files, "capabilities": [{"ref": "sample_data"}]});
    let (status, session) = beginning(&server, more).await;
    assert_eq!(status, 201, "{session}");
    let talk = Talk(session["id"].as_str().unwrap().to_owned());
    let read = async |path: &str| server.get(&talk.path(&format!("/fs{path}"))).await.1;
    assert_eq!(read("/samples/README.md").await["content"], "Mine.");
    let data = read("/data.bin").await;
    assert_eq!(
        [&data["content"], &data["encoding"], &data["is_readonly"]],
        [&json!("AAEC"), &json!("base64"), &json!(true)]
    );
    assert_eq!(read("/empty").await["size_bytes"], 0);
    let plain = Talk(
        beginning(&server, json!({"capabilities": [{"ref": "sample_data"}]})).await.1["id"]
            .as_str()
            .unwrap()
            .into(),
    );
    let listed = async |talk: &Talk| {
        let listed = server.get(&talk.path("/fs/samples")).await.1;
        let files = listed["data"].as_array().unwrap().iter();
        files.map(|file| file["path"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let mut expected = listed(&plain).await;
    assert_eq!(expected.len(), 3, "{expected:?}");
    expected.push("/samples/README.md".into());
    expected.sort();
    expected.dedup();
    assert_eq!(listed(&talk).await, expected);
}

#[tokio::test]
async fn files_that_no_session_can_begin_with_are_refused_and_none_is_made() {
    let server = server().await;
    let too_large = "A".repeat(4 * (10 * 1024 * 1024 / 3 + 1));
    let refusals = [
        (json!([{"path": "_/x"}]), "item 0: a path must not begin with `_`: such names are reserved"),
        (
            json!([{"path": "a"}, {"path": "/workspace/_x/y"}]),
            "item 1: a path must not begin with `_`: such names are reserved",
        ),
        (json!([{"path": "../x"}]), "item 0: a path must not hold `..`"),
        (json!([{"path": "/"}]), "item 0: `path` must name a file"),
        (json!([{}]), "item 0: `path` is missing"),
        (json!([7]), "item 0: `path` is missing"),
        (json!([{"path": 7}]), "item 0: `path` must be text"),
        (json!([{"path": "a", "content": 7}]), "item 0: `content` must be text"),
        (json!([{"path": "a", "content": "?", "encoding": "base64"}]), "item 0: `content` is no base64"),
        (json!([{"path": "a", "encoding": "utf8"}]), "item 0: `encoding` must be text or base64"),
        (json!([{"path": "a", "is_readonly": 1}]), "item 0: `is_readonly` must be true or false"),
        (json!([{"path": "a"}, {"path": "/a"}]), "`/a` is there twice, or as a file and a folder"),
        (json!([{"path": "a/b"}, {"path": "a"}]), "`/a` is there twice, or as a file and a folder"),
        (json!([{"path": "a"}, {"path": "a/b/c"}]), "`/a/b/c` is there twice, or as a file and a folder"),
        (json!({"path": "a"}), "Input should be a valid list"),
        (
            json!([{"path": "a", "content": too_large, "encoding": "base64"}]),
            "item 0: a file has at most 10485760 bytes",
        ),
    ];
    for (files, told) in refusals {
        let (status, problem) = beginning(&server, json!({"initial_files": files})).await;
        let expected = format!("initial_files: {told}");
        assert_eq!((status, &problem["error"]["message"]), (422, &json!(expected)));
    }
    assert_eq!(server.get("/v1/sessions").await.1["total"], 0);
}

/// How many records the stopped server keeps of files, values and secrets.
fn kept(server: &Server) -> usize {
    let exported = std::process::Command::new(env!("CARGO_BIN_EXE_runhold"))
        .args(["export", "-", "--data"])
        .arg(server.path("data"))
        .arg("--agents")
        .arg(server.path("agents"))
        .output()
        .unwrap();
    assert!(exported.status.success(), "{}", String::from_utf8_lossy(&exported.stderr));
    let text = String::from_utf8(exported.stdout).unwrap();
    let kinds = ["\"file\"", "\"file_chunk\"", "\"session_value\"", "\"session_secret\""];
    text.lines().filter(|line| kinds.iter().any(|kind| line.contains(kind))).count()
}

#[tokio::test]
async fn what_a_crash_leaves_of_an_upload_goes_with_its_session() {
    let mut server = server().await;
    let talk = talk(&server).await;
    put(&server, &talk, "/small.txt", "small").await;
    let body = json!({"content": "x".repeat(1_500_000)}).to_string();
    let upload = async |server: &Server, name: usize| {
        let request = server.request(Method::POST, &talk.path(&format!("/fs/large{name}.txt")));
        request.header("content-type", "application/json").body(body.clone()).send().await.is_ok()
    };
    // It is stopped in the middle of one of them.
    let mut name = 0;
    tokio::join!(
        async {
            while name < 100 && upload(&server, name).await {
                name += 1;
            }
        },
        async {
            tokio::time::sleep(std::time::Duration::from_millis(700)).await;
            let process = rustix::process::Pid::from_raw(i32::try_from(server.process()).unwrap()).unwrap();
            rustix::process::kill_process(process, rustix::process::Signal::KILL).unwrap();
        },
    );
    server.kill();
    assert!(kept(&server) > 0);
    server.restart().await;
    let (status, _) = send(&server, Method::DELETE, &talk.path(""), &json!({})).await;
    assert_eq!(status, 204);
    server.kill();
    assert_eq!(kept(&server), 0);
}

#[tokio::test]
async fn a_write_beside_the_sessions_end_leaves_nothing_behind() {
    let mut server = server().await;
    for round in 0..8 {
        let talk = talk(&server).await;
        let write = async |number: usize| {
            let content = "y".repeat(if number.is_multiple_of(2) { 40_000 } else { 10 });
            let path = talk.path(&format!("/fs/d{number}/a.txt"));
            let (status, body) = server.post(&path, &json!({"content": content})).await;
            assert!(matches!(status, 201 | 404), "{status} {body}");
        };
        let path = talk.path("");
        let delete = async {
            for _ in 0..round {
                tokio::task::yield_now().await;
            }
            send(&server, Method::DELETE, &path, &json!({})).await.0
        };
        let (_, _, _, _, status) = tokio::join!(write(1), write(2), write(3), write(4), delete);
        assert_eq!(status, 204);
    }
    server.kill();
    assert_eq!(kept(&server), 0);
}
