//! Runhold: an agent runtime. Several HTTP surfaces over one core, and one log that is the truth.
//!
//! Read it from the ground up: [`domain`] names things, [`machine`] decides, [`store`], [`llm`] and
//! [`capability`] reach outside, [`runtime`] does what the machine decides, [`api`] translates. A module sees
//! only the floors below it; `tests/it/floors.rs` keeps it so.
#![deny(rustdoc::broken_intra_doc_links)]

pub mod access;
pub mod api;
pub mod app;
pub mod capability;
pub mod cli;
pub mod clock;
pub mod config;
pub mod domain;
pub mod llm;
pub mod machine;
pub mod runtime;
pub mod store;
