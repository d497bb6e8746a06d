//! Floor 4: triage.

pub mod canonical;
pub mod diff;
pub mod patch;
