//! A run as its facts tell it.
