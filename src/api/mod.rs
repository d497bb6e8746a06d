//! Floor 5, the surfaces: a folder is a surface, a file is what surfaces share.

pub mod agentos;
pub mod body;
pub mod caller;
pub mod fields;
pub mod problem;
pub mod sse;
