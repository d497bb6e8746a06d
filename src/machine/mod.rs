//! Floor 1, decisions: pure functions of facts.
