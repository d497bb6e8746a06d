//! A session's log as Everruns events.
//!
//! `fold` and `turn` are the projection: entries in, events out, the same for whoever reads them. `event` and `kind`
//! say what an event is, `parts` what messages look like, `filter` which of them a client wants. `memory` keeps places
//! in logs from which telling can go on, `reading` reads what there is, `gathered` what of it fits, for a `listing`;
//! `feed` follows what comes, with the `deltas` of an answer.

pub mod client_tools;
pub mod deltas;
pub mod event;
pub mod failure;
pub mod feed;
pub mod filter;
mod fold;
mod gathered;
pub mod kind;
pub mod listing;
pub mod memory;
pub mod parts;
pub mod reading;
mod turn;
