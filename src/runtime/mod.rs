//! Floor 3, the shell that does what the machine decides.

pub mod catalog;
