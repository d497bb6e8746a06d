//! What a client says with an order that is to be done once, however often it comes.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::id::BadId;

/// Longest key, in bytes.
pub const MAX_KEY_BYTES: usize = 255;

/// How long it is known what a key stands for.
pub const KEPT: Duration = Duration::from_hours(24);

/// Names an order, in the client's words: 1 to 255 visible ASCII characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct OnceKey(String);

impl OnceKey {
    /// The text as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for OnceKey {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        let visible = text.bytes().all(|byte| byte.is_ascii_graphic());
        if text.is_empty() || text.len() > MAX_KEY_BYTES || !visible {
            return Err(BadId::Malformed("1 to 255 visible ASCII characters"));
        }
        Ok(Self(text.into()))
    }
}

/// SHA-256 of something that is compared and need not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint(pub [u8; 32]);

/// In hex.
impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A key, and what tells whether the same order came again under it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Once {
    /// Chosen by the client.
    pub key: OnceKey,
    /// Who orders: the same key of somebody else is another.
    pub by: String,
    /// Of everything that was asked: two orders with one fingerprint are the same order.
    pub fingerprint: Fingerprint,
}
