//! What hostile, broken and careless clients get: an answer in JSON that says what is wrong, and nothing else changes.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::server::{PATIENCE, Server, Setup, TOKEN, answer};

async fn server() -> Server {
    let crew = "---\nkind: team\nmodel: test/model\nmembers: [plain]\n---\nYou lead.\n";
    let flow = "---\nkind: workflow\nsteps: [{name: one, agent: plain}]\n---\n";
    let setup = Setup::default().model("http://127.0.0.1:1/v1").agent("crew", crew).agent("flow", flow);
    setup.start().await
}

/// What is answered to these bytes until the server closes; the client says nothing more, and does not close.
async fn raw(server: &Server, bytes: &[u8]) -> String {
    let address = server.url().strip_prefix("http://").unwrap();
    let mut socket = TcpStream::connect(address).await.unwrap();
    // The server may close before it has read everything.
    let _refused = socket.write_all(bytes).await;
    let mut answer = Vec::new();
    let reading = async {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = socket.read(&mut buffer).await {
            answer.extend_from_slice(buffer.get(..count).unwrap());
        }
    };
    tokio::time::timeout(PATIENCE, reading).await.expect("the server to close the connection");
    String::from_utf8(answer).unwrap()
}

/// A request with the token, whose connection is to be closed after it.
fn request(line: &str, headers: &str, body: &str) -> Vec<u8> {
    let host = format!("Host: x\r\nAuthorization: Bearer {TOKEN}\r\nConnection: close");
    format!("{line} HTTP/1.1\r\n{host}\r\n{headers}\r\n{body}").into_bytes()
}

fn status_of(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or_default()
}

fn body_of(answer: &str) -> Value {
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    serde_json::from_str(body).unwrap_or_else(|_| panic!("not JSON: {answer}"))
}

async fn sessions(server: &Server) -> Value {
    let (status, page) = server.get("/sessions?limit=1000").await;
    assert_eq!(status, 200);
    page["data"].clone()
}

async fn still_well(server: &Server) {
    assert_eq!(server.get("/health").await.0, 200);
    assert!(!server.log().contains("panicked"), "{}", server.log());
}

/// Every operation of the description: method, path with `x` for each id, and whether it is open.
async fn operations(server: &Server) -> Vec<(Method, String, bool)> {
    let (_, document) = server.get("/openapi.json").await;
    let mut all = Vec::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        let parts = path.split('/').map(|part| if part.starts_with('{') { "x" } else { part });
        let path = parts.collect::<Vec<_>>().join("/");
        let path = path.replace("/agents/x", "/agents/plain");
        let path = path.replace("/teams/x", "/teams/crew").replace("/workflows/x", "/workflows/flow");
        for (method, operation) in operations.as_object().unwrap() {
            let method = method.to_uppercase().parse().unwrap();
            all.push((method, path.clone(), operation["security"].is_null()));
        }
    }
    assert!(all.len() > 30, "the description is too short");
    all
}

#[tokio::test]
async fn without_a_good_token_nothing_is_looked_at() {
    let server = server().await;
    let client = reqwest::Client::new();
    let bearer = format!("Bearer {TOKEN}");
    let garbled = "Invalid authentication token";
    let tokens: [(&[&str], &str); 7] = [
        (&[], "Authorization header required"),
        (&["Bearer wrong"], garbled),
        (&["Bearer "], garbled),
        (&[TOKEN], garbled),
        (&["Basic Og=="], garbled),
        (&[&bearer, &bearer], garbled),
        (&[&format!("{bearer},{bearer}")], garbled),
    ];
    let mut paths = operations(&server).await;
    paths.push((Method::GET, "/unknown".into(), false));
    paths.push((Method::GET, "/sessions/%ff".into(), false));
    paths.push((Method::PUT, "/sessions".into(), false));
    for (method, path, _) in paths.iter().filter(|(_, _, open)| !open) {
        for (headers, reason) in tokens {
            let mut request = client.request(method.clone(), format!("{}{path}?limit=x", server.url()));
            for header in headers {
                request = request.header("authorization", *header);
            }
            let response =
                request.header("content-type", "application/json").body("{\u{0}").send().await.unwrap();
            assert_eq!(response.headers()["www-authenticate"], "Bearer");
            let expected = (401, json!({ "detail": reason }));
            assert_eq!(answer(response).await, expected, "{method} {path} {headers:?}");
        }
    }
    for path in ["/health", "/", "/info", "/openapi.json", "/docs", "/health/"] {
        assert_eq!(
            client.get(format!("{}{path}", server.url())).send().await.unwrap().status(),
            200,
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_body_that_is_refused_is_not_waited_for() {
    let server = server().await;
    let chunked = "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n";
    let large = "a".repeat(3 << 20);
    let huge = "Content-Type: application/json\r\nContent-Length: 99999999\r\n";
    let multipart = "Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 99999999\r\n";
    let open =
        |headers: &str| format!("POST /sessions HTTP/1.1\r\nHost: x\r\n{headers}\r\n10\r\na").into_bytes();
    let cases = [
        (401, open(chunked)),
        (401, open(huge)),
        (404, request("POST /unknown", chunked, "10\r\na")),
        (405, request("PUT /sessions", chunked, "10\r\na")),
        (413, request("POST /sessions", huge, "{")),
        (413, request("POST /sessions", chunked, &format!("1000000\r\n{large}"))),
        (413, request("POST /agents/plain/runs", multipart, "--x")),
        (415, request("POST /sessions", "Content-Encoding: gzip\r\nContent-Length: 9\r\n", "{")),
    ];
    for (status, bytes) in cases {
        let answer = raw(&server, &bytes).await;
        assert_eq!(status_of(&answer), status, "{answer}");
        assert!(body_of(&answer)["detail"].is_string(), "{answer}");
    }
    still_well(&server).await;
    assert_eq!(sessions(&server).await, json!([]));
}

#[tokio::test]
async fn bodies_are_as_large_as_the_configuration_lets_them_be() {
    let limits = "[server]\njson_bytes = 100\nmultipart_bytes = 1000";
    let server = Setup::default().model("http://127.0.0.1:1/v1").config(limits).start().await;
    let over = |limit| json!({"detail": format!("The request body is over the limit of {limit} bytes")});
    let named = |length| json!({"session_name": "x".repeat(length)});
    assert_eq!(server.post("/sessions", &named(100 - r#"{"session_name":""}"#.len())).await.0, 201);
    assert_eq!(server.post("/sessions", &named(100)).await, (413, over(100)));
    let form = reqwest::multipart::Form::new().text("message", "x".repeat(1000));
    let request = server.request(Method::POST, "/agents/plain/runs").multipart(form);
    assert_eq!(answer(request.send().await.unwrap()).await, (413, over(1000)));
}

#[tokio::test]
async fn a_chunked_body_that_ends_is_read_and_the_connection_kept() {
    let server = server().await;
    let post = |close: &str, body: &str| {
        let headers =
            format!("Host: x\r\nAuthorization: Bearer {TOKEN}\r\n{close}Transfer-Encoding: chunked");
        format!("POST /sessions HTTP/1.1\r\n{headers}\r\n\r\n{body}")
    };
    let two = format!(
        "{}{}",
        post("", "e\r\n{\"session_id\":\r\n4\r\n\"a\"}\r\n0\r\n\r\n"),
        post("Connection: close\r\n", "2\r\n{}\r\n0\r\n\r\n"),
    );
    let answers = raw(&server, two.as_bytes()).await;
    assert_eq!(answers.matches("HTTP/1.1 201 Created").count(), 2, "{answers}");
    assert_eq!(server.get("/sessions/a").await.0, 200);
}

#[tokio::test]
async fn requests_that_mean_two_things_are_refused() {
    let server = server().await;
    let smuggled = "0\r\n\r\nPOST /sessions HTTP/1.1\r\n\r\n";
    let cases = [
        ("POST /sessions", "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n", smuggled),
        ("POST /sessions", "Content-Length: 2\r\nContent-Length: 3\r\n", "{} "),
        ("POST /sessions", "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", smuggled),
        ("POST /sessions", "Transfer-Encoding: xchunked\r\n", smuggled),
        ("POST /sessions", "Content-Length: -1\r\n", ""),
        ("POST /sessions", "Content-Length: +2\r\n", "{}"),
        ("GET /sessions", "X: 1\r\n  folded\r\n", ""),
        ("GET /sessions/a\0b", "", ""),
        ("GET /sessions/é", "", ""),
        ("\u{1}\u{2}", "", ""),
    ];
    for (line, headers, body) in cases {
        let answer = raw(&server, &request(line, headers, body)).await;
        assert_eq!(status_of(&answer), 400, "{line} {headers}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{answer}");
    }
    assert_eq!(sessions(&server).await, json!([]));
}

#[tokio::test]
async fn a_head_has_its_bounds() {
    let server = server().await;
    let headers = |count: usize| "X: 1\r\n".repeat(count - 3);
    let long = |bytes: usize| format!("X: {}\r\n", "a".repeat(bytes));
    let cases = [
        ("GET /health".to_owned(), headers(96), 200),
        ("GET /health".to_owned(), headers(97), 431),
        ("GET /health".to_owned(), long(60 * 1024), 200),
        ("GET /health".to_owned(), long(64 * 1024), 431),
        ("GET /health".to_owned(), long(500 * 1024), 431),
        (format!("GET /sessions?session_name={}", "a".repeat(60 * 1024)), String::new(), 200),
    ];
    for (line, headers, status) in cases {
        let answer = raw(&server, &request(&line, &headers, "")).await;
        assert_eq!(status_of(&answer), status, "{}", answer.get(..200).unwrap_or(&answer));
    }
    let slow = raw(&server, b"GET /health HTTP/1.1\r\nHost: ").await;
    assert_eq!(status_of(&slow), 408);
    still_well(&server).await;
}

#[tokio::test]
async fn json_that_cannot_be_kept_is_refused_with_its_place() {
    let server = server().await;
    let deep =
        |depth: usize| format!("{{\"session_state\":{}1{}}}", "{\"a\":".repeat(depth), "}".repeat(depth));
    let texts: [(&[u8], u16); 19] = [
        (b"{", 422),
        (b"[]", 422),
        (b"\"x\"", 422),
        (b"1", 422),
        (b"{} x", 422),
        (b"{'session_id':1}", 422),
        (b"\xef\xbb\xbf{}", 422),
        (b"{\"session_name\":\"\xff\"}", 400),
        (b"\xff", 400),
        (b"{\"session_name\":\"\\ud800\"}", 422),
        (b"{\"session_name\":\"\\u0000\"}", 422),
        (b"{\"unknown\":{\"\\u0000\":1}}", 422),
        (b"{\"session_state\":{\"a\":NaN}}", 422),
        (b"{\"session_state\":{\"a\":Infinity}}", 422),
        (b"{\"session_state\":{\"a\":1e999}}", 422),
        (b"{\"session_state\":{\"a\":-1e999}}", 422),
        (&deep(100).into_bytes(), 422),
        (&deep(10_000).into_bytes(), 422),
        (&deep(100_000).into_bytes(), 422),
    ];
    for (text, status) in texts {
        let request = server.request(Method::POST, "/sessions").header("content-type", "application/json");
        let (found, body) = answer(request.body(text.to_vec()).send().await.unwrap()).await;
        let shown = String::from_utf8_lossy(text.get(..text.len().min(60)).unwrap()).into_owned();
        assert_eq!(found, status, "{shown}: {body}");
        if status == 422 {
            assert_eq!(body["detail"][0]["loc"][0], "body", "{shown}");
        }
    }
    assert_eq!(sessions(&server).await, json!([]));

    let twice = r#"{"session_id":"a","session_id":"b","session_state":{"k":1,"k":2}}"#;
    let request = server.request(Method::POST, "/sessions").body(twice);
    let (status, last) = answer(request.send().await.unwrap()).await;
    assert_eq!((status, &last["session_id"], &last["session_state"]), (201, &json!("b"), &json!({"k": 2})));
    let name = json!({"session_id": "c", "session_name": "\u{1}\u{202e}<script>\n\u{1f600}"});
    assert_eq!(server.post("/sessions", &name).await.1["session_name"], name["session_name"]);
    still_well(&server).await;
}

/// Values of every type, most of them wrong everywhere.
fn values() -> Vec<Value> {
    let long = "x".repeat(5000);
    vec![
        Value::Null,
        json!(0),
        json!(-1),
        json!(1.5),
        json!(1e300),
        json!(true),
        json!(""),
        json!(" x"),
        json!("a\0b"),
        json!("a\u{1}b"),
        json!(long),
        json!([]),
        json!([1]),
        json!(["x"]),
        json!([[]]),
        json!([null]),
        json!({}),
        json!({"a": {"b": [null]}}),
        json!({"a\0": 1}),
        json!(u64::MAX),
    ]
}

#[tokio::test]
async fn a_value_of_another_type_is_refused_by_the_name_of_its_field() {
    let server = server().await;
    let texts = ["session_id", "session_name", "user_id", "agent_id", "team_id", "workflow_id"];
    let objects = ["session_state", "metadata", "summary"];
    let bodies: [(Method, &str, &[&str]); 3] = [
        (
            Method::POST,
            "/sessions",
            &[
                "session_id",
                "session_name",
                "session_state",
                "metadata",
                "user_id",
                "agent_id",
                "team_id",
                "workflow_id",
                "unknown",
            ],
        ),
        (Method::PATCH, "/sessions/s", &["session_name", "session_state", "metadata", "summary"]),
        (Method::POST, "/sessions/s/rename", &["session_name"]),
    ];
    assert_eq!(server.post("/sessions", &json!({"session_id": "s"})).await.0, 201);
    for (method, path, fields) in bodies {
        for field in fields {
            for value in values() {
                let request = server.request(method.clone(), path).json(&json!({ *field: value }));
                let (status, body) = answer(request.send().await.unwrap()).await;
                let nul = value.to_string().contains("\\u0000");
                let fits = !nul
                    && (value.is_null()
                        || (texts.contains(field) && value.is_string())
                        || (objects.contains(field) && value.is_object())
                        || *field == "unknown");
                let case = format!("{method} {path} {field} {:.60}: {body}", value.to_string());
                if status == 422 {
                    assert_eq!(body["detail"][0]["loc"][1], *field, "{case}");
                } else {
                    assert!(fits && status < 300, "{status} {case}");
                }
            }
        }
    }
    for (field, other) in [("session_ids", "session_types"), ("session_types", "session_ids")] {
        for value in values().into_iter().filter(|value| *value != json!(["x"])) {
            let body = json!({ field: value, other: ["agent"] });
            let request = server.request(Method::DELETE, "/sessions").json(&body);
            let (status, body) = answer(request.send().await.unwrap()).await;
            assert_eq!((status, &body["detail"][0]["loc"][1]), (422, &json!(field)), "{body}");
        }
    }
    assert_eq!(server.get("/sessions/s").await.0, 200);
    still_well(&server).await;
}

#[tokio::test]
async fn every_operation_answers_garbage_in_json_and_below_500() {
    let server = server().await;
    let made = json!({"session_id": "kept", "session_name": "N", "session_state": {"k": 1}});
    assert_eq!(server.post("/sessions", &made).await.0, 201);
    let before = sessions(&server).await;
    let mut paths: Vec<String> = operations(&server).await.into_iter().map(|(_, path, _)| path).collect();
    paths.dedup();
    let queries = [
        "",
        "?limit=x&page=-1&type=y&sort_order=z",
        "?session_id=%01",
        "?user_id=%20&status=q&created_after=x",
        "?db_id=x",
        "?limit=1&limit=x",
        "?&&==&%26=%3D",
    ];
    let bodies: [(&str, &[u8]); 8] = [
        ("", b""),
        ("application/json", b"{\"session_id\":[1],\"message\":{},\"session_name\":7}"),
        ("application/json", b"\x00\xff"),
        ("application/x-www-form-urlencoded", b"message=%ff&session_id=%00"),
        ("application/x-www-form-urlencoded", b"&=&%&stream=perhaps"),
        ("multipart/form-data", b"x"),
        (
            "multipart/form-data; boundary=x",
            b"--x\r\nContent-Disposition: form-data; name=\"message\"\r\n\r\n\xff\r\n--x--\r\n",
        ),
        ("///;;;", b"\xde\xad"),
    ];
    let methods = [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::HEAD, Method::TRACE];
    for path in &paths {
        for (index, method) in methods.iter().enumerate() {
            for (shift, (kind, body)) in bodies.iter().enumerate() {
                // A session without a body is a good one.
                if *method == Method::POST && path == "/sessions" && body.is_empty() {
                    continue;
                }
                let query = queries[(index + shift) % queries.len()];
                let request = server.request(method.clone(), &format!("{path}{query}"));
                let response =
                    request.header("content-type", *kind).body(body.to_vec()).send().await.unwrap();
                let (status, case) = (response.status(), format!("{method} {path}{query} {kind}"));
                assert!(status.as_u16() < 500, "{status} {case}");
                if status.is_client_error() && *method != Method::HEAD {
                    let body: Value = response.json().await.unwrap();
                    assert!(body["detail"].is_string() || body["detail"].is_array(), "{case}: {body}");
                }
            }
        }
    }
    assert_eq!(sessions(&server).await, before);
    still_well(&server).await;
}

#[tokio::test]
async fn decisions_are_looked_at_before_their_run() {
    let server = server().await;
    let path = "/agents/plain/runs/x/continue";
    let invalid = "Invalid structure or content for tools: ";
    let unfit = "must not hold the NUL character or be nested deeper than 64";
    let deep = format!("{}{}", "[".repeat(80), "]".repeat(80));
    let each = "each tool must be an object with a tool_call_id";
    let cases = [
        ("[", "Invalid JSON in tools field".to_owned()),
        ("{}", format!("{invalid}must be a list")),
        ("[1]", format!("{invalid}{each}")),
        (r#"[{"tool_call_id":1}]"#, format!("{invalid}{each}")),
        (r#"[{"tool_call_id":"c","result":"\u0000"}]"#, format!("{invalid}{unfit}")),
        (&deep, format!("{invalid}{unfit}")),
    ];
    for (tools, text) in cases {
        let answer = server.form(path, &[("session_id", "s"), ("tools", tools)]).await;
        assert_eq!(answer, (400, json!({ "detail": text })), "{tools}");
    }
    let missing = (400, json!({"detail": "session_id is required for this action"}));
    assert_eq!(server.form(path, &[("tools", "[]")]).await, missing);
    let none = server.form(path, &[("session_id", "s"), ("tools", "")]).await;
    assert_eq!(none, (404, json!({"detail": "Run not found"})));
}

#[tokio::test]
async fn forms_are_text_and_within_their_bounds() {
    let server = server().await;
    let part = |name: &str, value: &[u8]| {
        let head = format!("--x\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n");
        [head.as_bytes(), value, b"\r\n"].concat()
    };
    let whole = |parts: &[Vec<u8>]| [parts.concat(), b"--x--\r\n".to_vec()].concat();
    let kind = "multipart/form-data; boundary=x";
    let many: Vec<Vec<u8>> = (0..65).map(|number| part(&format!("f{number}"), b"1")).collect();
    let urlencoded = "application/x-www-form-urlencoded";
    let cases = [
        ("no boundary", "multipart/form-data", whole(&[part("message", b"hi")]), 400),
        ("another boundary", "multipart/form-data; boundary=y", whole(&[part("message", b"hi")]), 400),
        ("no end", kind, part("message", b"hi"), 400),
        ("no part", kind, Vec::new(), 400),
        ("no name", kind, b"--x\r\nContent-Disposition: form-data\r\n\r\nhi\r\n--x--\r\n".to_vec(), 400),
        ("no head", kind, b"--x\r\n\r\nhi\r\n--x--\r\n".to_vec(), 400),
        (
            "name no text",
            kind,
            b"--x\r\nContent-Disposition: form-data; name=\"\xff\"\r\n\r\nhi\r\n--x--\r\n".to_vec(),
            400,
        ),
        ("value no text", kind, whole(&[part("message", b"\xff")]), 400),
        ("value with NUL", kind, whole(&[part("message", b"a\0b")]), 422),
        ("name of 300 bytes", kind, whole(&[part(&"n".repeat(300), b"1"), part("message", b"hi")]), 422),
        ("65 parts", kind, whole(&many), 413),
        ("a field over 1 MiB", kind, whole(&[part("message", &vec![b'a'; (1 << 20) + 1])]), 422),
        ("value no text", urlencoded, b"message=%ff".to_vec(), 400),
        ("value no text, as it is", urlencoded, b"message=\xff".to_vec(), 400),
        ("value no text beside the sign for it", urlencoded, b"message=%ff&x=%EF%BF%BD".to_vec(), 400),
        ("name no text", urlencoded, b"message=hi&%ff=1".to_vec(), 400),
        ("value with NUL", urlencoded, b"message=hi&x=%00".to_vec(), 422),
        ("name with NUL", urlencoded, b"message=hi&%00=1".to_vec(), 422),
        ("JSON no text", "application/json", b"{\"message\":\"\xff\"}".to_vec(), 400),
        ("JSON lone surrogate", "application/json", br#"{"message":"\ud800"}"#.to_vec(), 422),
        ("JSON list", "application/json", b"[]".to_vec(), 422),
        ("JSON without anything", "application/json", Vec::new(), 422),
    ];
    for (what, kind, body, status) in cases {
        let request = server.request(Method::POST, "/agents/plain/runs").header("content-type", kind);
        let (found, body) = answer(request.body(body).send().await.unwrap()).await;
        assert_eq!(found, status, "{what}: {body}");
        assert!(body["detail"].is_string() || body["detail"].is_array(), "{what}: {body}");
    }
    assert_eq!(sessions(&server).await, json!([]));
    still_well(&server).await;
}

#[tokio::test]
async fn addresses_are_text_and_unknown_ones_are_not_found() {
    let server = server().await;
    assert_eq!(server.post("/sessions", &json!({"session_id": "s"})).await.0, 201);
    let cases = [
        ("/unknown", 404, "Not Found"),
        ("/sessions/s/unknown", 404, "Not Found"),
        ("/agents/plain/runs/x/unknown", 404, "Not Found"),
        ("/../etc/passwd", 404, "Not Found"),
        ("/sessions/%ff", 400, "The path is not valid UTF-8"),
        ("/sessions/%00", 400, "The path holds the NUL character"),
        ("/sessions/%zz", 400, "The path holds a broken percent escape"),
        ("/sessions?user_id=%ff", 400, "The query string is not valid UTF-8"),
        ("/sessions?user_id=%00", 400, "The query string holds the NUL character"),
        ("/sessions?user_id=%", 400, "The query string holds a broken percent escape"),
        ("/sessions/..%2f..%2fetc", 404, "Session with id '../../etc' not found"),
        ("/agents/%2e%2e", 404, "Agent not found"),
    ];
    for (path, status, text) in cases {
        let answer = raw(&server, &request(&format!("GET {path}"), "", "")).await;
        assert_eq!((status_of(&answer), body_of(&answer)), (status, json!({ "detail": text })), "{path}");
    }
    let long = server.get(&format!("/sessions/{}", "x".repeat(2000))).await;
    assert_eq!(long.0, 404);
    for path in ["/sessions/", "/sessions//", "//sessions", "/sessions/s/", "/health/"] {
        assert_eq!(server.get(path).await.0, 200, "{path}");
    }
}

#[tokio::test]
async fn another_method_is_refused_with_those_there_are() {
    let server = server().await;
    let refused = server.request(Method::PUT, "/sessions").send().await.unwrap();
    let allowed = refused.headers()["allow"].to_str().unwrap().to_owned();
    assert_eq!(answer(refused).await, (405, json!({"detail": "Method Not Allowed"})));
    let mut allowed: Vec<&str> = allowed.split(", ").collect();
    allowed.sort_unstable();
    assert_eq!(allowed, ["DELETE", "GET", "HEAD", "POST"]);
    for path in ["/health", "/sessions", "/agents", "/agents/plain"] {
        let head = server.request(Method::HEAD, path).send().await.unwrap();
        assert_eq!((head.status(), head.text().await.unwrap()), (StatusCode::OK, String::new()), "{path}");
    }
    let missing = server.request(Method::HEAD, "/sessions/x").send().await.unwrap();
    assert_eq!(missing.status(), 404);
}
