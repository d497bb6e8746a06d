//! Names: each kind of id is its own type, parsed once at the border.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Longest id text, in bytes.
pub const MAX_ID_BYTES: usize = 128;

/// Why a text is no id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadId {
    /// Nothing but nothing.
    #[error("must not be empty")]
    Empty,
    /// Over [`MAX_ID_BYTES`].
    #[error("must be at most {MAX_ID_BYTES} bytes long")]
    TooLong,
    /// Holds a control character, or white space at an end.
    #[error("must hold visible characters only")]
    Invisible,
    /// Not the form this kind of id has.
    #[error("must be {0}")]
    Malformed(&'static str),
}

fn visible(text: &str) -> Result<(), BadId> {
    if text.is_empty() {
        return Err(BadId::Empty);
    }
    if text.len() > MAX_ID_BYTES {
        return Err(BadId::TooLong);
    }
    if text.trim() != text || text.chars().any(char::is_control) {
        return Err(BadId::Invisible);
    }
    Ok(())
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $check:path) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// The text as it was given.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = BadId;
            fn from_str(text: &str) -> Result<Self, BadId> {
                $check(text)?;
                Ok(Self(text.into()))
            }
        }

        impl TryFrom<String> for $name {
            type Error = BadId;
            fn try_from(text: String) -> Result<Self, BadId> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0.as_ref().into()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
    };
}

text_id!(
    /// Whose data it is: the tenant behind a token. Part of every key of the store.
    Owner,
    visible
);
text_id!(
    /// Names a session. Clients may choose it: 1 to 128 bytes of visible characters.
    SessionId,
    visible
);
text_id!(
    /// The user a client speaks for; a field of runs and sessions, not a right.
    UserId,
    visible
);
text_id!(
    /// Names an agent, team or workflow. Clients may name some that are not here, in any visible characters.
    ComponentId,
    visible
);
text_id!(
    /// Names one tool call of a run; given by the model, or made where it forgot.
    CallId,
    visible
);

impl From<Uuid> for SessionId {
    fn from(id: Uuid) -> Self {
        Self(id.to_string().into())
    }
}

impl Owner {
    /// The server itself: owns what belongs to no tenant. No text parses to it.
    pub fn server() -> Self {
        Self("\u{1}server".into())
    }
}

impl ComponentId {
    /// Of one that is here: the stem of its file, which must do in an address and in every file system.
    ///
    /// # Errors
    /// Whatever keeps it from being one.
    pub fn of_stem(stem: &str) -> Result<Self, BadId> {
        let id = stem.parse()?;
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if stem.starts_with(|c: char| c.is_ascii_alphanumeric()) && stem.chars().all(fits) {
            return Ok(id);
        }
        Err(BadId::Malformed("letters, digits, `-`, `_` and `.`, starting with a letter or digit"))
    }
}

/// Names a run: a UUIDv7, so that runs sort by the time they were accepted.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunId(pub Uuid);

impl RunId {
    /// The run that this one asks for at a place of its own: always the same, so that it is found again after a
    /// crash.
    #[must_use]
    pub fn below(self, place: &str) -> Self {
        Self(Uuid::new_v5(&self.0, place.as_bytes()))
    }
}

impl FromStr for RunId {
    type Err = BadId;
    fn from_str(text: &str) -> Result<Self, BadId> {
        text.parse().map(Self).map_err(|_| BadId::Malformed("a UUID"))
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// `provider/model`, as in `openai/gpt-4o-mini`; the model's own name may hold further slashes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ModelName {
    /// A provider of the configuration.
    pub provider: String,
    /// The name that provider knows.
    pub model: String,
}

impl FromStr for ModelName {
    type Err = BadId;
    fn from_str(text: &str) -> Result<Self, BadId> {
        visible(text)?;
        match text.split_once('/') {
            Some((provider, model)) if !provider.is_empty() && !model.is_empty() => {
                Ok(Self { provider: provider.into(), model: model.into() })
            }
            _ => Err(BadId::Malformed("`provider/model`, as in `openai/gpt-4o-mini`")),
        }
    }
}

impl TryFrom<String> for ModelName {
    type Error = BadId;
    fn try_from(text: String) -> Result<Self, BadId> {
        text.parse()
    }
}

impl From<ModelName> for String {
    fn from(name: ModelName) -> Self {
        name.to_string()
    }
}

impl fmt::Display for ModelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.provider, self.model)
    }
}
