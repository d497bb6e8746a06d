//! What agents can do: composing, checking, and each way of doing it.

mod builtins;
mod composing;
mod egress;
mod http_tools;
mod process_tools;
mod server;

use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use runhold::capability::egress::Egress;
use runhold::capability::registry::Registry;
use runhold::capability::toolbox::Toolbox;
use runhold::capability::{Databases, Files, Host, Invocation, Memory, Scene, Storage};
use runhold::domain::Object;
use runhold::domain::id::RunId;
use runhold::domain::spec::{CapabilityRef, DeclaredTool, ToolAction};
use runhold::domain::time::Timestamp;
use runhold::domain::tool::{Effect, Gate, ToolCall, ToolResult};
use serde_json::{Value, json};

/// The key of every call in these tests.
const KEY: &str = "00000000-0000-7000-8000-000000000001/call_1";

/// A server that remembers a state and knows one scene.
#[derive(Default)]
struct StubHost(Mutex<Object>);

impl Host for StubHost {
    fn state(&self) -> Object {
        self.0.lock().unwrap().clone()
    }

    fn set_state(&self, state: Object) {
        *self.0.lock().unwrap() = state;
    }

    fn scene(&self) -> Scene {
        Scene {
            owner: "us".parse().unwrap(),
            session: "s1".parse().unwrap(),
            run: "00000000-0000-7000-8000-000000000001".parse::<RunId>().unwrap(),
            user: Some("u1".parse().unwrap()),
            now: Timestamp(1_767_621_802_000_000),
        }
    }

    fn files(&self) -> &dyn Files {
        unreachable!("no tool of these tests asks for files")
    }

    fn databases(&self) -> &dyn Databases {
        unreachable!("no tool of these tests asks for databases")
    }

    fn storage(&self) -> &dyn Storage {
        unreachable!("no tool of these tests asks for the storage")
    }

    fn memory(&self) -> &dyn Memory {
        unreachable!("no tool of these tests asks for the memory")
    }
}

fn registry() -> Registry {
    Registry::builtin(Egress::new())
}

fn reference(id: &str, config: Value) -> CapabilityRef {
    CapabilityRef { id: id.into(), config }
}

fn object(value: Value) -> Object {
    serde_json::from_value(value).unwrap()
}

fn call(name: &str, arguments: &str) -> ToolCall {
    ToolCall { id: "call_1".parse().unwrap(), name: name.into(), arguments: arguments.into() }
}

/// The tools of one capability without settings.
fn tools_of(id: &str) -> Toolbox {
    registry().compose(&[reference(id, Value::Null)], &[]).unwrap()
}

fn declared(name: &str, action: ToolAction) -> DeclaredTool {
    DeclaredTool {
        name: name.into(),
        description: "A tool.".into(),
        parameters: json!({"type": "object"}),
        effect: Effect::Once,
        timeout: Duration::from_secs(20),
        gate: Gate::default(),
        action,
    }
}

fn shell(script: &str) -> ToolAction {
    ToolAction::Process {
        command: vec!["sh".into(), "-c".into(), script.into()],
        directory: PathBuf::from("/"),
    }
}

/// Checks the arguments, as a run does, and calls the tool.
async fn use_tool(toolbox: &Toolbox, name: &str, arguments: Value) -> ToolResult {
    use_on(&StubHost::default(), toolbox, name, arguments).await
}

async fn use_on(host: &StubHost, toolbox: &Toolbox, name: &str, arguments: Value) -> ToolResult {
    let arguments = toolbox.check(&call(name, &arguments.to_string())).unwrap();
    let tool = &toolbox.get(name).unwrap().tool;
    tool.call(Invocation { arguments: &arguments, key: KEY, host }).await
}
