//! Floor 4, who may come in: bearer tokens, kept as hashes.

use crate::domain::id::Owner;

/// Somebody whose token is good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// Whose data it is.
    pub owner: Owner,
    /// The token's name.
    pub name: String,
}
