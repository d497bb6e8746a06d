//! The only HTTP client tools may use.
