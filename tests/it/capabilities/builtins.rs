//! Each builtin does what its description says.

use runhold::domain::tool::{ToolResult, Verdict};
use serde_json::{Value, json};

use super::server::{Server, answer};
use super::{StubHost, object, reference, registry, tools_of, use_on, use_tool};

#[tokio::test]
async fn the_time_is_told_in_any_zone_and_three_formats() {
    let toolbox = tools_of("current_time");
    let mut told = Vec::new();
    for arguments in [
        json!({}),
        json!({"timezone": "Europe/Berlin"}),
        json!({"format": "unix"}),
        json!({"format": "human"}),
        json!({"timezone": "Mars/Olympus"}),
    ] {
        told.push(use_tool(&toolbox, "get_current_time", arguments).await.content);
    }
    assert_eq!(
        told,
        [
            r#"{"datetime":"2026-01-05T14:03:22+00:00","format":"iso8601","timezone":"UTC"}"#,
            r#"{"datetime":"2026-01-05T15:03:22+01:00","format":"iso8601","timezone":"Europe/Berlin"}"#,
            r#"{"timestamp":1767621802,"format":"unix","timezone":"UTC"}"#,
            r#"{"datetime":"Monday, January 05, 2026 at 14:03:22 UTC","format":"human","timezone":"UTC"}"#,
            "there is no time zone `Mars/Olympus`; give an IANA name, as in Europe/Berlin",
        ]
    );
}

#[tokio::test]
async fn sums_are_right_and_division_by_zero_is_a_failure() {
    let toolbox = tools_of("test_math");
    let mut results = Vec::new();
    for (name, a, b) in [
        ("add", 40.0, 2.0),
        ("subtract", 1.0, 1.5),
        ("multiply", 6.0, 7.0),
        ("divide", 1.0, 4.0),
        ("divide", 1.0, 0.0),
        ("multiply", 1e300, 1e300),
    ] {
        results.push(use_tool(&toolbox, name, json!({"a": a, "b": b})).await);
    }
    let done = |text: &str| ToolResult::done(text);
    let failed = |text: &str| ToolResult::failed(text);
    assert_eq!(
        results,
        [
            done(r#"{"result":42,"operation":"add","a":40,"b":2}"#),
            done(r#"{"result":-0.5,"operation":"subtract","a":1,"b":1.5}"#),
            done(r#"{"result":42,"operation":"multiply","a":6,"b":7}"#),
            done(r#"{"result":0.25,"operation":"divide","a":1,"b":4}"#),
            failed("division by zero"),
            failed("the result is too large")
        ]
    );
}

#[tokio::test]
async fn the_session_state_is_read_merged_and_pruned() {
    let toolbox = tools_of("session_state");
    let host = StubHost::default();
    let set = json!({"changes": {"user": {"name": "Ada", "age": 36}, "topics": ["a"]}});
    use_on(&host, &toolbox, "set_session_state", set).await;
    let set = json!({"changes": {"user": {"city": "London"}}, "remove": ["user.age", "not.there"]});
    let shown = use_on(&host, &toolbox, "set_session_state", set).await;
    let expected = json!({"user": {"name": "Ada", "city": "London"}, "topics": ["a"]});
    assert_eq!(serde_json::from_str::<Value>(&shown.content).unwrap(), expected);
    assert_eq!(*host.0.lock().unwrap(), object(expected));

    let read = use_on(&host, &toolbox, "read_session_state", json!({"path": "user.name"})).await;
    assert_eq!(read, ToolResult::done("\"Ada\""));
    let read = use_on(&host, &toolbox, "read_session_state", json!({"path": "user.email"})).await;
    assert_eq!(read, ToolResult::failed("the session's state holds nothing at `user.email`"));
}

#[tokio::test]
async fn a_page_is_fetched_with_what_is_known_of_it() {
    let page = "<html><head><title>T</title></head><body><p>Read <a href=\"/b\">on</a>.</p></body></html>";
    let html = ["content-type: text/html; charset=utf-8", "last-modified: Mon, 05 Jan 2026 00:00:00 GMT"];
    let server = Server::start(move |path| match path {
        "/page" => answer("200 OK", &html, page),
        "/image" => answer(
            "200 OK",
            &["content-type: image/png", "content-disposition: attachment; filename=\"../a.png\""],
            "PNG",
        ),
        _ => answer("404 Not Found", &["content-type: text/plain"], "nothing here"),
    })
    .await;
    let config = json!({"allow_private": [format!("127.0.0.1:{}", server.port)]});
    let toolbox = registry().compose(&[reference("web_fetch", config)], &[]).unwrap();
    let fetch = async |path: &str, more: Value| {
        let mut arguments = json!({"url": server.url(path)});
        arguments.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let result = use_tool(&toolbox, "web_fetch", arguments).await;
        assert_eq!(result.verdict, Verdict::Done, "{}", result.content);
        serde_json::from_str::<Value>(&result.content).unwrap()
    };
    let known = json!({
        "url": server.url("/page"), "status_code": 200, "content_type": "text/html; charset=utf-8",
        "last_modified": "Mon, 05 Jan 2026 00:00:00 GMT",
    });
    let with = |more: Value| {
        let mut all = known.clone();
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        all
    };
    let whole = with(json!({"size": page.len(), "format": "text", "content": "T\n\nRead on."}));
    assert_eq!(fetch("/page", json!({})).await, whole);
    let marked = with(json!({"size": page.len(), "format": "markdown", "content": "T\n\nRead [on](/b)."}));
    assert_eq!(fetch("/page", json!({"as_markdown": true})).await, marked);
    assert_eq!(fetch("/page", json!({"method": "HEAD"})).await, known);
    let short = with(json!({
        "size": 10, "truncated": true, "format": "text", "content": "\n[cut: the answer has more than these 10 bytes]",
    }));
    assert_eq!(fetch("/page", json!({"max_bytes": 10})).await, short);
    let missing = fetch("/missing", json!({})).await;
    assert_eq!([&missing["status_code"], &missing["content"]], [&json!(404), &json!("nothing here")]);
    let image = fetch("/image", json!({})).await;
    assert_eq!([&image["filename"], &image["error"]], ["a.png", "This is not text, so it is not shown."]);
    assert_eq!(
        use_tool(&toolbox, "web_fetch", json!({"url": "example.org"})).await,
        ToolResult::failed("that is no URL; give a whole one, as in https://example.org/page")
    );
}

#[tokio::test]
async fn the_weather_of_a_place_is_always_the_same() {
    let toolbox = tools_of("test_weather");
    let oslo = |units: &str| use_tool(&toolbox, "get_weather", json!({"location": "Oslo", "units": units}));
    let (one, two) = (oslo("celsius").await, oslo("celsius").await);
    assert_eq!(one, two);
    let told: Value = serde_json::from_str(&one.content).unwrap();
    let warm: Value = serde_json::from_str(&oslo("fahrenheit").await.content).unwrap();
    let celsius = told["temperature"].as_i64().unwrap();
    assert_eq!(warm["temperature"], json!(celsius * 9 / 5 + 32));
    assert_eq!(told["timestamp"], json!("2026-01-05T14:03:22Z"));

    let forecast = use_tool(&toolbox, "get_forecast", json!({"location": "Oslo", "days": 2})).await;
    let forecast: Value = serde_json::from_str(&forecast.content).unwrap();
    let dates: Vec<_> = forecast["forecast"].as_array().unwrap().iter().map(|day| &day["date"]).collect();
    assert_eq!(dates, [&json!("2026-01-06"), &json!("2026-01-07")]);
    assert_eq!(forecast["days"], json!(2));
}

#[tokio::test]
async fn a_list_of_tasks_is_counted_and_held_to_its_rules() {
    let toolbox = tools_of("stateless_todo_list");
    let task =
        |content: &str, status: &str| json!({"content": content, "activeForm": "Doing it", "status": status});
    let write = |todos: Vec<Value>| use_tool(&toolbox, "write_todos", json!({"todos": todos}));

    let told = write(vec![task("a", "completed"), task("b", "in_progress"), task("c", "pending")]).await;
    let told: Value = serde_json::from_str(&told.content).unwrap();
    let counts =
        ["success", "total_tasks", "pending", "in_progress", "completed"].map(|name| told[name].clone());
    assert_eq!(counts, [json!(true), json!(3), json!(1), json!(1), json!(1)]);
    assert_eq!((told.get("warning"), told["todos"].as_array().unwrap().len()), (None, 3));

    let idle = write(vec![task("a", "pending")]).await.content;
    assert!(idle.contains("no task is in progress"), "{idle}");
    let busy = write(vec![task("a", "in_progress"), task("b", "in_progress")]).await.content;
    assert!(busy.contains("2 tasks are in progress"), "{busy}");
    let empty = write(vec![task("a", "pending"), task(" ", "pending")]).await;
    assert_eq!(empty, ToolResult::failed("task 2: `content` must not be empty"));
}
