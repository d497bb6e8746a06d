//! Section 16 of the Everruns contract, through the real program: what the application of one agent needs.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::everruns::{Talk, until};
use crate::harness::model_server::{ModelServer, says};
use crate::harness::server::{Server, Setup, answer};

const NO_MODEL: &str = "http://127.0.0.1:1/v1";

async fn server() -> Server {
    Setup::default().model(NO_MODEL).start().await
}

async fn agent(server: &Server, name: &str) -> Value {
    let body = json!({"name": name, "system_prompt": "", "description": "Helps"});
    server.post("/v1/agents", &body).await.1
}

async fn by(server: &Server, user: &str, method: Method, path: &str) -> (u16, Value) {
    answer(server.request(method, path).header("end-user", user).send().await.unwrap()).await
}

#[tokio::test]
async fn an_agent_shows_a_card_by_its_id_and_by_its_name() {
    let server = server().await;
    let made = agent(&server, "My agent").await;
    for name in [made["id"].as_str().unwrap(), "My%20agent"] {
        let (status, card) = server.get(&format!("/v1/channels/{name}")).await;
        let expected = json!({
            "name": "My agent", "description": "Helps", "streaming": true,
            "input": {"text": true, "images": true, "files": false}, "auth": [],
            "links": {"sessions": card["links"]["sessions"]},
        });
        assert_eq!((status, &card), (200, &expected));
        let (status, sessions) = server.get(card["links"]["sessions"].as_str().unwrap()).await;
        assert_eq!((status, sessions), (200, json!({"data": []})));
    }
    assert_eq!(server.get("/v1/channels/plain").await.0, 200);
    assert_eq!(server.get("/v1/channels/nobody").await.0, 404);
    assert_eq!(server.get("/v1/channels/agent_01933b5a000070008000000000000001").await.0, 404);
}

#[tokio::test]
async fn a_session_belongs_to_its_agent_and_its_end_user() {
    let server = server().await;
    agent(&server, "one").await;
    agent(&server, "two").await;
    let sessions = "/v1/channels/one/sessions";
    let (status, mine) = by(&server, "ada", Method::POST, sessions).await;
    assert_eq!((status, &mine["pending_questions"], &mine["status"]), (201, &json!([]), &json!("started")));
    let id = mine["id"].as_str().unwrap();
    let path = format!("{sessions}/{id}");
    assert_eq!(by(&server, "ada", Method::GET, &path).await, (200, mine.clone()));
    assert_eq!(server.get(&path).await, (200, mine.clone()));
    assert_eq!(by(&server, "bob", Method::GET, &path).await.0, 404);
    assert_eq!(by(&server, "ada", Method::GET, &format!("/v1/channels/two/sessions/{id}")).await.0, 404);
    assert_eq!(by(&server, "ada", Method::GET, sessions).await.1, json!({"data": [mine]}));
    assert_eq!(by(&server, "bob", Method::GET, sessions).await.1, json!({"data": []}));
    assert_eq!(server.post(&format!("{path}/tool-approvals"), &json!({})).await.0, 501);
}

#[tokio::test]
async fn a_list_goes_on_where_its_token_says() {
    let server = server().await;
    agent(&server, "one").await;
    for title in ["a", "b", "c"] {
        server.post("/v1/channels/one/sessions", &json!({"title": title})).await;
    }
    let titles = |page: &Value| {
        let all = page["data"].as_array().unwrap();
        all.iter().map(|session| session["title"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let first = server.get("/v1/channels/one/sessions?limit=2").await.1;
    assert_eq!(titles(&first), ["c", "b"]);
    let token = first["next_page_token"].as_str().unwrap();
    let rest = server.get(&format!("/v1/channels/one/sessions?limit=2&page_token={token}")).await.1;
    assert_eq!((titles(&rest), &rest["next_page_token"]), (vec!["a".to_owned()], &Value::Null));
    assert_eq!(server.get("/v1/channels/one/sessions?page_token=x").await.0, 400);
}

#[tokio::test]
async fn the_description_is_open_to_everybody() {
    let server = server().await;
    let response = reqwest::get(format!("{}/api-doc/openapi.json", server.url())).await.unwrap();
    let (status, document) = answer(response).await;
    assert_eq!((status, &document["openapi"]), (200, &json!("3.1.0")));
    assert!(document["paths"]["/v1/sessions"]["post"].is_object());
}

#[tokio::test]
async fn a_session_is_talked_to_and_followed_by_its_end_user_and_nobody_else() {
    let model = ModelServer::start([says("Hello."), says("Again.")]).await;
    let server = Setup::default().config("default_model = \"test/model\"").model(&model.url()).start().await;
    agent(&server, "one").await;
    agent(&server, "two").await;
    let session = by(&server, "ada", Method::POST, "/v1/channels/one/sessions").await.1;
    let id = session["id"].as_str().unwrap();
    let path = |rest: &str| format!("/v1/channels/one/sessions/{id}{rest}");
    let hi = json!({"message": {"content": [{"type": "text", "text": "Hi"}]}});
    let say = async |user: &str, key: &str| {
        let request = server.request(Method::POST, &path("/messages")).header("end-user", user);
        answer(request.header("idempotency-key", key).json(&hi).send().await.unwrap()).await
    };
    let (status, message) = say("ada", "first").await;
    assert_eq!((status, &message["sequence"], &message["role"]), (201, &json!(1), &json!("user")));
    assert_eq!(say("ada", "first").await, (201, message.clone()));
    let talk = Talk(id.to_owned());
    talk.until_idle(&server).await;
    let all = talk.events(&server, "").await;
    let listed = async |query: &str| by(&server, "ada", Method::GET, &path(&format!("/events{query}"))).await;
    assert_eq!(listed("?after_sequence=0").await, (200, json!({"data": all})));
    assert_eq!(listed("?after_sequence=3&limit=2").await.1, json!({"data": all[3..5]}));
    assert_eq!(listed("?after_sequence=11").await.1, json!({"data": []}));
    assert_eq!(listed("?after_sequence=x").await.0, 400);
    let (status, messages) = by(&server, "ada", Method::GET, &path("/messages")).await;
    assert_eq!((status, messages["data"].as_array().unwrap().len()), (200, 2));
    let (status, answered) = by(&server, "ada", Method::POST, &path("/cancel")).await;
    assert_eq!((status, &answered["status"]), (200, &json!("no_op")));
    // Whoever else asks finds nothing, and nothing is said.
    let other = path("").replace("/one/", "/two/");
    for (method, rest) in [
        (Method::GET, "/events"),
        (Method::GET, "/sse"),
        (Method::GET, "/messages"),
        (Method::POST, "/messages"),
        (Method::POST, "/cancel"),
        (Method::POST, "/tool-results"),
    ] {
        for (user, path) in [("bob", path(rest)), ("ada", format!("{other}{rest}"))] {
            let (status, problem) = by(&server, user, method.clone(), &path).await;
            assert_eq!((status, &problem["error"]["code"]), (404, &json!("not_found")), "{method} {path}");
        }
    }
    assert_eq!(talk.events(&server, "").await, all);
    // A stream begins where it is told to.
    let stream = Talk(format!("../channels/one/sessions/{id}"));
    assert_eq!(say("ada", "second").await.0, 201);
    let frames = until(&mut stream.follow(&server, "?after_sequence=11").await, "session.idled").await;
    let stored: Vec<u64> = frames.iter().filter_map(|frame| frame.data["sequence"].as_u64()).collect();
    assert_eq!(stored, (12..=21).collect::<Vec<_>>());
}

#[tokio::test]
async fn an_end_user_must_be_a_name() {
    let server = server().await;
    agent(&server, "one").await;
    let long = "x".repeat(129);
    for name in ["", " ", &long] {
        let (status, problem) = by(&server, name, Method::GET, "/v1/channels/one/sessions").await;
        let told = "End-User must be 1 to 128 bytes of visible characters";
        assert_eq!((status, &problem["error"]["message"]), (400, &json!(told)), "{name:?}");
    }
}

#[tokio::test]
async fn the_description_knows_every_channel_route_and_its_places() {
    let server = server().await;
    let document = server.get("/api-doc/openapi.json").await.1;
    let paths = document["paths"].as_object().unwrap();
    let of_channels: Vec<(&String, &Value)> =
        paths.iter().filter(|(path, _)| path.starts_with("/v1/channels/")).collect();
    let session = "/v1/channels/{agent}/sessions/{session_id}";
    for (path, method) in [
        ("/v1/channels/{agent}", "get"),
        ("/v1/channels/{agent}/sessions", "post"),
        (session, "get"),
        (&format!("{session}/messages"), "post"),
        (&format!("{session}/events"), "get"),
        (&format!("{session}/sse"), "get"),
        (&format!("{session}/cancel"), "post"),
    ] {
        assert!(document["paths"][path][method].is_object(), "{method} {path}");
    }
    for (path, operations) in of_channels {
        for operation in operations.as_object().unwrap().values() {
            assert_eq!(operation["tags"], json!(["Channels"]), "{path}");
            let parameters = operation["parameters"].as_array().unwrap().iter();
            let mut places: Vec<&str> = parameters
                .filter(|parameter| parameter["in"] == "path")
                .map(|parameter| parameter["name"].as_str().unwrap())
                .collect();
            places.sort_unstable();
            let expected: &[&str] =
                if path.contains("session_id") { &["agent", "session_id"] } else { &["agent"] };
            assert_eq!(places, expected, "{path}");
        }
    }
}
