//! What is asked, and whom: one run as the requests that make it.

use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::child::Child;
use crate::http::post;
use crate::model_server::TOOL_ROUNDS;
use crate::runhold::{Runhold, TOKEN};
use crate::transcript::Dialect;

/// What the model is made to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Workload {
    /// Answers.
    Plain,
    /// Calls a tool three times, then answers.
    Tools,
    /// Answers slowly.
    Paced,
    /// Stops half way until it is released.
    Hold,
}

impl Workload {
    pub(crate) const ALL: [Self; 4] = [Self::Plain, Self::Tools, Self::Paced, Self::Hold];

    /// Names the agent, and its model.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Tools => "tools",
            Self::Paced => "paced",
            Self::Hold => "hold",
        }
    }
}

/// Who stands between the client and the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// Nobody.
    Straight,
    /// The bare proxy.
    Proxy,
    /// Runhold.
    Runhold,
}

impl Way {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Straight => "straight",
            Self::Proxy => "proxy",
            Self::Runhold => "runhold",
        }
    }
}

/// One run, as whole requests to be sent one after the other; the last one's answer is the run's.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    pub(crate) address: SocketAddr,
    pub(crate) dialect: Dialect,
    pub(crate) requests: Vec<Vec<u8>>,
}

impl Order {
    /// A run of the chat protocol: the client keeps the conversation and plays the tool itself.
    pub(crate) fn chat(address: SocketAddr, workload: Workload) -> Self {
        let rounds = if workload == Workload::Tools { TOOL_ROUNDS } else { 0 };
        let requests = (0..=rounds).map(|done| chat_request(workload, done)).collect();
        Self { address, dialect: Dialect::Chat, requests }
    }

    /// A run of an agent, in the session named, or in a new one.
    pub(crate) fn agent(address: SocketAddr, workload: Workload, session: Option<&str>) -> Self {
        let mut form = String::from("message=What+is+two+and+three%3F&stream=true");
        if let Some(session) = session {
            form.push_str("&session_id=");
            form.push_str(session);
        }
        let path = format!("/agents/{}/runs", workload.name());
        let request = post(&path, TOKEN, "application/x-www-form-urlencoded", &form);
        Self { address, dialect: Dialect::AgentOs, requests: vec![request] }
    }
}

/// All three ways to one model.
pub(crate) struct Ways<'a> {
    pub(crate) model: &'a Child,
    pub(crate) proxy: Child,
    pub(crate) runhold: Runhold,
}

impl<'a> Ways<'a> {
    pub(crate) const ALL: [Way; 3] = [Way::Straight, Way::Proxy, Way::Runhold];

    /// Starts the two that stand between.
    pub(crate) async fn open(binary: &std::path::Path, model: &'a Child) -> Self {
        let upstream = format!("http://{}", model.address);
        let proxy = Child::of_this_program(&["--serve", "proxy", "--upstream", &upstream]);
        Self { model, proxy, runhold: Runhold::start(binary, model.address).await }
    }

    /// The process that is asked; on the straight way that is the model server itself.
    pub(crate) fn child(&self, way: Way) -> &Child {
        match way {
            Way::Straight => self.model,
            Way::Proxy => &self.proxy,
            Way::Runhold => &self.runhold.child,
        }
    }

    pub(crate) fn order(&self, way: Way, workload: Workload) -> Order {
        let address = self.child(way).address;
        match way {
            Way::Straight | Way::Proxy => Order::chat(address, workload),
            Way::Runhold => Order::agent(address, workload, None),
        }
    }
}

/// The request after so many rounds of the tool.
fn chat_request(workload: Workload, done: usize) -> Vec<u8> {
    let mut messages = vec![
        json!({"role": "system", "content": "You are measured."}),
        json!({"role": "user", "content": "What is two and three?"}),
    ];
    messages.extend((0..done).flat_map(tool_messages));
    let mut body = json!({"model": workload.name(), "messages": messages, "stream": true,
        "stream_options": {"include_usage": true}});
    if workload == Workload::Tools
        && let Some(body) = body.as_object_mut()
    {
        body.insert("tools".into(), tools());
    }
    post("/v1/chat/completions", "key", "application/json", &body.to_string())
}

fn tool_messages(round: usize) -> [Value; 2] {
    let id = format!("call_{round}");
    let call = json!({"id": id, "type": "function",
        "function": {"name": "add", "arguments": "{\"a\":2,\"b\":3}"}});
    let result = json!({"result": 5, "operation": "add", "a": 2, "b": 3}).to_string();
    [
        json!({"role": "assistant", "content": null, "tool_calls": [call]}),
        json!({"role": "tool", "tool_call_id": id, "content": result}),
    ]
}

fn tools() -> Value {
    let numbers = json!({"type": "object", "required": ["a", "b"],
        "properties": {"a": {"type": "number"}, "b": {"type": "number"}}});
    let tool = |name: &str| {
        json!({"type": "function",
            "function": {"name": name, "description": "Calculates.", "parameters": numbers}})
    };
    json!([tool("add"), tool("subtract"), tool("multiply"), tool("divide")])
}
