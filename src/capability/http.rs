//! Declared HTTP tools.
