//! What Runhold promises, as tests: this list is the table of contents.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may stop at the first surprise"
)]

// How it is built.
mod floors;

// The core: decisions, the log, what survives.
mod durability;
mod machine;
mod runtime;
mod stores;
mod workflow_machine;

// What it reaches for: models and tools.
mod capabilities;
mod chat;
mod faults;
mod healing;
mod limits;
mod models;

// What users write, and the program they start.
mod catalog;
mod clients_and_load;
mod configuration;
mod program;
mod resumed_workflows;
mod stopping;

// The AgentOS surface.
mod agentos_events;
mod agentos_forks;
mod agentos_hostile;
mod agentos_idempotency;
mod agentos_resume;
mod agentos_run_form;
mod agentos_runs;
mod agentos_second_message;
mod agentos_session_forks;
mod agentos_sessions;
mod agentos_streams;
mod agentos_teams;
mod agentos_trees;
mod agentos_websocket;
mod agentos_workflows;
mod clients;
mod descriptions;
mod everruns_agents;
mod everruns_auth;
mod everruns_channels;
mod everruns_client_tools;
mod everruns_databases;
mod everruns_described;
mod everruns_events;
mod everruns_files;
mod everruns_guardrails;
mod everruns_images;
mod everruns_lists;
mod everruns_prefix;
mod everruns_providers;
mod everruns_roles;
mod everruns_schedules;
mod everruns_sessions;
mod everruns_streams;
mod everruns_tools;
mod everruns_turns;
mod mcp;
mod teams;
mod waiting;
mod workflows;

// The triage surface.
mod triage_feed;
mod triage_issues;
mod triage_links;
mod triage_mcp;
mod triage_norm;
mod triage_read_only;
mod triage_replays;
mod triage_runs;
mod triage_scale;
mod triage_verification;
// The triage surface: evidence and documents.
mod triage_documents;
mod triage_drafts;
mod triage_evidence;

// What these stand on.
#[path = "../../benches/soak/dice.rs"]
mod dice;
#[path = "../../benches/soak/disk/mod.rs"]
#[expect(dead_code, reason = "shared with the soak program, which uses all of it")]
mod disk;
mod facts;
mod faulty_disk;
mod harness;
mod story;
