//! The Everruns surface, `/v1`: the interface of Everruns' management API, over the same sessions, runs and log as
//! every other surface.
//!
//! `routes` is its table of contents. `ids` turns its ids into the core's and back, `error` is how it tells what went
//! wrong, `body` and `page` how requests are read and lists are given. The other files are the handlers; `…_body` is
//! what they read and answer.

pub mod body;
pub mod error;
pub mod ids;
pub mod page;
mod routes;

pub use routes::configure;
