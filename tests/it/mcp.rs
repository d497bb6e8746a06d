//! Servers that speak MCP: real ones, and one that means no good; their tools, their failures, and the surface they are
//! kept over.

mod api;
mod hostile;
mod real;
mod stage;
