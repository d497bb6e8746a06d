//! Floor 0, the words: plain data that every other floor speaks.
//!
//! Nothing here awaits, reads a clock or touches a disk. What belongs here is what must mean the same to a
//! store, a model, a tool and a surface; wire formats do not, each surface has its own.

pub mod conversation;
pub mod database;
pub mod document;
pub mod edit;
pub mod fact;
pub mod file;
pub mod fork;
pub mod id;
pub mod message;
pub mod once;
pub mod run;
pub mod spec;
pub mod state;
pub mod step;
pub mod steps;
pub mod time;
pub mod tool;
pub mod view;

/// A JSON object, keys in the order they were written.
pub type Object = serde_json::Map<String, serde_json::Value>;
