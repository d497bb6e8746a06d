//! What Runhold promises, as tests: this list is the table of contents.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may stop at the first surprise"
)]

mod clients;
mod durability;
mod capabilities;
mod catalog;
mod configuration;
mod agentos_events;
mod agentos_resume;
mod agentos_run_form;
mod capabilities;
mod catalog;
mod configuration;
mod durability;
mod facts;
mod harness;
mod models;
mod stores;
