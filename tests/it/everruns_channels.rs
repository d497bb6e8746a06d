//! Section 16 of the Everruns contract, through the real program: what the application of one agent needs.

use reqwest::Method;
use serde_json::{Value, json};

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
