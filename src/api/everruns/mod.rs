//! The Everruns surface, `/v1`: the interface of Everruns' management API, over the same sessions, runs and log as
//! every other surface.
//!
//! `routes` is its table of contents. `ids` turns its ids into the core's and back, `error` is how it tells what went
//! wrong, `body` and `page` how requests are read and lists are given. The other files are the handlers; `…_body` is
//! what they read and answer.

mod agent_body;
mod agent_file;
mod agent_list;
mod agent_preview;
mod agents;
pub mod assignment;
mod auth;
pub mod body;
mod capabilities;
mod channels;
mod databases;
pub mod error;
mod event_routes;
pub mod events;
mod file_body;
mod files;
mod harnesses;
pub mod ids;
mod images;
mod llm_models;
mod mcp_body;
mod mcp_servers;
pub mod message_form;
mod messages;
pub mod models;
mod openapi;
pub mod page;
pub mod place;
mod provider_body;
mod providers;
mod routes;
mod schedule_body;
mod schedules;
mod schemas;
mod session_body;
mod sessions;
mod storage;
mod tenancy;
pub mod time;
mod turns;

use std::time::Duration;

pub use openapi::{PATH as DOCUMENT_PATH, document};
pub use routes::configure;

/// What this surface keeps between requests.
#[derive(Debug)]
pub struct Shared {
    /// Places in logs from which telling can go on.
    pub memory: events::memory::Memory,
    /// When streams say something though nothing happens.
    pub pulse: Pulse,
    /// How long a client has to execute a tool.
    pub client_patience: Duration,
}

impl Default for Shared {
    fn default() -> Self {
        let (memory, pulse) = Default::default();
        Self { memory, pulse, client_patience: assignment::CLIENT_PATIENCE }
    }
}

/// When streams say something though nothing happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pulse {
    /// After so much silence a comment.
    pub heartbeat: Duration,
    /// After about so long the client is asked to come back.
    pub cycle: Duration,
}

impl Default for Pulse {
    fn default() -> Self {
        Self { heartbeat: Duration::from_secs(30), cycle: Duration::from_secs(300) }
    }
}
