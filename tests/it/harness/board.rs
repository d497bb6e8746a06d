//! A server as the triage surface's clients see it.

use std::process::Command;

use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};

use super::described;
use super::server::{PATIENCE, Server, Setup, TOKEN, answer};

/// Who asks, with a token of their own.
#[derive(Clone)]
pub(crate) struct Member {
    url: String,
    token: String,
    client: Client,
}

/// A server nobody has done anything on, and who its token stands for.
pub(crate) async fn board() -> (Server, Member) {
    let server = Setup::default().start().await;
    let member = member(&server);
    (server, member)
}

/// Who the server's own token stands for.
pub(crate) fn member(server: &Server) -> Member {
    Member { url: server.url().into(), token: TOKEN.into(), client: Client::new() }
}

/// Somebody else: a name, and whose data it is.
pub(crate) async fn somebody(server: &Server, name: &str, owner: &str) -> Member {
    let output = Command::new(env!("CARGO_BIN_EXE_runhold"))
        .args(["token", "--data"])
        .arg(server.path("data"))
        .args(["new", name, "--owner", owner])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let token = String::from_utf8(output.stdout).unwrap().trim().to_owned();
    let member = Member { url: server.url().into(), token, client: Client::new() };
    let known = async {
        // A running server looks at its tokens about once a second.
        while member.get("/stats").await.0 == 401 {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, known).await.expect("the token to be known");
    member
}

impl Member {
    /// A request below the surface's root, with the raw token.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("{}/v1/triage{path}", self.url);
        self.client.request(method, url).header("authorization", &self.token).timeout(PATIENCE)
    }

    /// Status and body of an answer, which are as they are described.
    async fn told(&self, request: RequestBuilder) -> (u16, Value) {
        let request = request.build().unwrap();
        let (method, url) = (request.method().clone(), request.url().clone());
        let (status, body) = answer(self.client.execute(request).await.unwrap()).await;
        described::hold(&url, &method, status, &body).await;
        (status, body)
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        self.told(self.request(Method::GET, path)).await
    }

    pub(crate) async fn send(&self, method: Method, path: &str, body: Value) -> (u16, Value) {
        self.told(self.request(method, path).json(&body)).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        self.send(Method::POST, path, body).await
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) -> (u16, Value) {
        self.send(Method::PATCH, path, body).await
    }

    pub(crate) async fn put(&self, path: &str) -> (u16, Value) {
        self.told(self.request(Method::PUT, path)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> (u16, Value) {
        self.told(self.request(Method::DELETE, path)).await
    }

    /// What is there, which must be.
    pub(crate) async fn data(&self, path: &str) -> Value {
        let (status, body) = self.get(path).await;
        assert_eq!((status, &body["errors"]), (200, &Value::Null), "{path}: {body}");
        body["data"].clone()
    }

    /// The items of a list that has one page.
    pub(crate) async fn items(&self, path: &str) -> Vec<Value> {
        let data = self.data(path).await;
        assert_eq!(data["next_cursor"], Value::Null, "{path}");
        data["items"].as_array().unwrap().clone()
    }

    /// All items of a list, and how many each page had.
    pub(crate) async fn pages(&self, path: &str) -> (Vec<Value>, Vec<usize>) {
        let (mut items, mut sizes) = (Vec::new(), Vec::new());
        let mut cursor = String::new();
        loop {
            let join = if path.contains('?') { '&' } else { '?' };
            let data = self.data(&format!("{path}{join}{cursor}")).await;
            let page = data["items"].as_array().unwrap();
            sizes.push(page.len());
            items.extend(page.iter().cloned());
            let Some(next) = data["next_cursor"].as_str() else { return (items, sizes) };
            let pair = [("cursor", next)];
            cursor = serde_urlencoded::to_string(pair).unwrap();
        }
    }

    /// A new issue, with these fields beside the required ones.
    pub(crate) async fn open(&self, more: Value) -> Value {
        let mut body = json!({"title": "It fails", "severity": "high", "category": "Routing"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let (status, made) = self.post("/issues", body).await;
        assert_eq!(status, 201, "{made}");
        made["data"].clone()
    }

    /// A session of the runtime, which does as a call.
    pub(crate) async fn conversation(&self, id: &str, title: &str) {
        let body = json!({"session_id": id, "session_name": title});
        let url = format!("{}/sessions?type=agent", self.url);
        let request = self.client.post(url).bearer_auth(&self.token).json(&body);
        assert_eq!(request.send().await.unwrap().status(), 201);
    }

    /// The types of an issue's entries, newest first.
    pub(crate) async fn feed(&self, issue: &Value) -> Vec<String> {
        let entries = self.items(&format!("{}/activity", at(issue))).await;
        entries.iter().map(|entry| entry["type"].as_str().unwrap().to_owned()).collect()
    }
}

/// Where an issue is.
pub(crate) fn at(issue: &Value) -> String {
    format!("/issues/{}", issue["id"].as_str().unwrap())
}

/// A failure as it is told.
pub(crate) fn failure(code: &str, message: &str) -> Value {
    json!({"data": null, "errors": [{"error": code, "message": message}]})
}
