//! A session over the Everruns surface, as a client holds it.

use futures::{Stream, StreamExt};
use reqwest::Method;
use serde_json::{Value, json};

use super::server::{PATIENCE, Server};

/// One session of an agent of its own.
pub(crate) struct Talk(pub(crate) String);

/// One frame of a stream.
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    pub(crate) event: String,
    pub(crate) id: Option<String>,
    pub(crate) retry: Option<String>,
    pub(crate) data: Value,
}

impl Talk {
    /// Makes an agent with this besides its name and prompt, and a session.
    pub(crate) async fn with(server: &Server, more: Value) -> Self {
        let mut body = json!({"name": "Helper", "system_prompt": "You help."});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let (status, agent) = server.post("/v1/agents", &body).await;
        assert_eq!(status, 201, "{agent}");
        let (status, session) = server.post("/v1/sessions", &json!({"agent_id": agent["id"]})).await;
        assert_eq!(status, 201, "{session}");
        Self(session["id"].as_str().unwrap().to_owned())
    }

    /// A path below the session.
    pub(crate) fn path(&self, rest: &str) -> String {
        format!("/v1/sessions/{}{rest}", self.0)
    }

    /// Says something; the message.
    pub(crate) async fn say(&self, server: &Server, text: &str) -> Value {
        let body = json!({"message": {"role": "user", "content": [{"type": "text", "text": text}]}});
        let (status, message) = server.post(&self.path("/messages"), &body).await;
        assert_eq!(status, 201, "{message}");
        message
    }

    /// The session's status.
    pub(crate) async fn status(&self, server: &Server) -> String {
        server.get(&self.path("")).await.1["status"].as_str().unwrap().to_owned()
    }

    /// The events so far that this query selects.
    pub(crate) async fn events(&self, server: &Server, query: &str) -> Vec<Value> {
        let (status, list) = server.get(&self.path(&format!("/events{query}"))).await;
        assert_eq!(status, 200, "{list}");
        list["data"].as_array().unwrap().clone()
    }

    /// The messages so far.
    pub(crate) async fn messages(&self, server: &Server) -> Vec<Value> {
        server.get(&self.path("/messages")).await.1["data"].as_array().unwrap().clone()
    }

    /// Follows the session.
    pub(crate) async fn follow(
        &self,
        server: &Server,
        query: &str,
    ) -> impl Stream<Item = Frame> + Unpin + use<> {
        let path = self.path(&format!("/sse{query}"));
        let response = server.request(Method::GET, &path).send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let state = (Box::pin(response.bytes_stream()), Vec::<u8>::new());
        Box::pin(futures::stream::unfold(state, |(mut bytes, mut text)| async move {
            loop {
                if let Some(end) = text.windows(2).position(|pair| pair == b"\n\n") {
                    let frame: Vec<u8> = text.drain(..end + 2).collect();
                    if let Some(frame) = Frame::read(&String::from_utf8(frame).unwrap()) {
                        return Some((frame, (bytes, text)));
                    }
                    continue;
                }
                text.extend(bytes.next().await?.ok()?);
            }
        }))
    }

    /// Waits until the session is idle again, having heard nothing of it before; its events.
    pub(crate) async fn until_idle(&self, server: &Server) -> Vec<Value> {
        until(&mut self.follow(server, "").await, "session.idled").await;
        self.events(server, "").await
    }
}

impl Frame {
    fn read(text: &str) -> Option<Self> {
        let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
        Some(Self {
            event: field("event: ")?,
            id: field("id: "),
            retry: field("retry: "),
            data: serde_json::from_str(&field("data: ")?).unwrap(),
        })
    }
}

/// Reads frames up to and with the first of this kind.
pub(crate) async fn until(frames: &mut (impl Stream<Item = Frame> + Unpin), kind: &str) -> Vec<Frame> {
    let mut seen = Vec::new();
    let reading = async {
        while let Some(frame) = frames.next().await {
            let found = frame.event == kind;
            seen.push(frame);
            if found {
                return;
            }
        }
        panic!("the stream ended without {kind}: {seen:#?}");
    };
    tokio::time::timeout(PATIENCE, reading).await.expect("a frame in time");
    seen
}

/// The types of events.
pub(crate) fn types(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["type"].as_str().unwrap()).collect()
}
