//! Capabilities that come with the program, a file each.

mod agent_instructions;
mod ask_user;
mod current_time;
mod demo;
mod file_system;
mod guardrails;
mod html;
mod memory;
mod placeholder;
mod sample_data;
mod session_sql_database;
mod session_state;
mod session_storage;
mod subagents;
mod test_math;
mod test_weather;
mod todo_list;
mod virtual_bash;
mod web_fetch;

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::Capability;
use super::egress::Egress;
use crate::domain::tool::{Effect, Gate, ToolResult, ToolSpec};

/// All of them.
pub(super) fn all(egress: &Egress) -> Vec<Arc<dyn Capability>> {
    let mut all: Vec<Arc<dyn Capability>> = vec![
        Arc::new(agent_instructions::AgentInstructions::new()),
        Arc::new(ask_user::AskUser::new()),
        Arc::new(current_time::CurrentTime::new()),
        Arc::new(file_system::FileSystem::new()),
        Arc::new(guardrails::Guardrails::new()),
        Arc::new(memory::Memory::new()),
        Arc::new(placeholder::Placeholder::noop()),
        Arc::new(placeholder::Placeholder::research()),
        Arc::new(placeholder::Placeholder::sandbox()),
        Arc::new(sample_data::SampleData::new()),
        Arc::new(session_sql_database::SessionSqlDatabase::new()),
        Arc::new(session_state::SessionState::new()),
        Arc::new(session_storage::SessionStorage::new()),
        Arc::new(subagents::Subagents::new()),
        Arc::new(test_math::TestMath::new()),
        Arc::new(test_weather::TestWeather::new()),
        Arc::new(todo_list::TodoList::new()),
        Arc::new(virtual_bash::VirtualBash::new()),
        Arc::new(web_fetch::WebFetch::new(egress.clone())),
    ];
    all.extend(demo::SYSTEMS.iter().map(|system| Arc::new(demo::Demo::new(system)) as Arc<dyn Capability>));
    all
}

/// A tool that anybody may call and that is quick.
fn spec(name: &str, description: &str, effect: Effect, parameters: Value) -> ToolSpec {
    ToolSpec {
        name: name.into(),
        description: description.into(),
        parameters,
        effect,
        timeout: Duration::from_secs(30),
        gate: Gate::default(),
    }
}

/// What a tool that answers in JSON came to.
fn answered(answer: Result<Value, String>) -> ToolResult {
    match answer {
        Ok(answer) => ToolResult::done(answer.to_string()),
        Err(why) => ToolResult::failed(why),
    }
}
