//! What Runhold promises, as tests: this list is the table of contents.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may stop at the first surprise"
)]

mod agentos_events;
mod agentos_hostile;
mod agentos_resume;
mod agentos_run_form;
mod agentos_runs;
mod agentos_sessions;
mod capabilities;
mod catalog;
mod clients;
mod configuration;
mod durability;
mod catalog;
mod configuration;
mod durability;
mod facts;
mod faults;
mod floors;
mod harness;
mod machine;
mod models;
mod program;
mod runtime;
mod stores;
