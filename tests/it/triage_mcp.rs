//! The triage surface as MCP tools, through the real program.

mod by_hand;
mod client;
