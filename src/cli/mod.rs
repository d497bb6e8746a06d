//! One file a command.

pub mod token;
