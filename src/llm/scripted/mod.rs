//! A model that needs no network: it follows rules and scripts.
