//! Runhold: an agent runtime. Several HTTP surfaces over one core, and one log that is the truth.
//!
//! Read it from the ground up: [`domain`] names things, [`machine`] decides, [`store`], [`llm`] and
//! [`capability`] reach outside, [`runtime`] does what the machine decides, [`access`] knows who may come in,
//! [`triage`] keeps a board of issues, [`servers`] those that speak MCP, [`providers`] who answers, [`images`] pictures, [`schedules`] what is said later, [`api`] translates. [`config`] reads settings, [`app`] wires the parts, [`cli`] is the command line. A module
//! sees only the floors below it. `ARCHITECTURE.md` tells the rest.
//!
//! To run agents inside another program, begin with [`runtime::Runtime`]; `examples/embed.rs` does it.
#![deny(rustdoc::broken_intra_doc_links)]

pub mod access;
pub mod api;
pub mod app;
pub mod capability;
pub mod cli;
pub mod clock;
pub mod config;
pub mod domain;
pub mod images;
pub mod llm;
pub mod machine;
pub mod providers;
pub mod runtime;
pub mod schedules;
pub mod servers;
pub mod store;
pub mod triage;
