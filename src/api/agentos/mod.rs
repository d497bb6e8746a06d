//! The AgentOS surface: Agno's HTTP interface, so that its clients work unchanged.

pub mod error;
mod events;
mod message_body;
mod resume;
mod run_body;
mod run_form;
mod runs;
mod session_runs;
mod tool_body;
