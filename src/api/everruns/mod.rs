//! The Everruns surface, `/v1`: the interface of Everruns' management API, over the same sessions, runs and log as
//! every other surface.
//!
//! `routes` is its table of contents. `ids` turns its ids into the core's and back, `error` is how it tells what went
//! wrong, `body` and `page` how requests are read and lists are given. The other files are the handlers; `…_body` is
//! what they read and answer.

mod agent_body;
mod agent_file;
mod agents;
pub mod assignment;
pub mod body;
mod capabilities;
mod channels;
pub mod error;
mod harnesses;
pub mod ids;
pub mod models;
mod openapi;
pub mod page;
mod routes;
mod session_body;
mod sessions;
pub mod time;

pub use openapi::{PATH as DOCUMENT_PATH, document};
pub use routes::configure;
