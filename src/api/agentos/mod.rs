//! The AgentOS surface: Agno's HTTP interface, so that its clients work unchanged.

pub mod error;
pub mod event;
pub mod events;
pub mod message_body;
pub mod metrics_body;
mod resume;
pub mod run_body;
mod run_form;
mod runs;
mod session_runs;
pub mod tool_body;
