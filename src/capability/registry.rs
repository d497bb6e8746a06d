//! Names to capabilities: the one list.
