//! The AgentOS surface: Agno's HTTP interface, so that its clients work unchanged.
//!
//! `routes` is its table of contents. Bodies (`…_body`) are what Agno's clients read, forms and queries what
//! they send; the other files are the handlers.

mod checkpoints;
mod component;
mod components;
mod continue_run;
mod core;
mod database;
pub mod decisions;
pub mod error;
pub mod event;
pub mod events;
mod face;
mod feedback;
pub mod fork_body;
mod fork_run;
pub mod media_form;
pub mod message_body;
pub mod metrics_body;
mod openapi;
mod recall;
pub mod resume;
mod routes;
pub mod run_body;
pub mod run_events;
pub mod run_form;
mod run_routes;
mod runs;
mod session_body;
mod session_fork;
mod session_query;
mod session_run_body;
mod session_runs;
mod sessions;
pub mod step_body;
pub mod step_requirement;
mod task_events;
pub mod tool_body;
pub mod tree;
mod websocket;
mod websocket_actions;
pub mod workflow_body;
mod workflow_events;

pub use openapi::document;
pub use routes::configure;
