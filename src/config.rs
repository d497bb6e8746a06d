//! The parts' own configurations, read from file and environment.
