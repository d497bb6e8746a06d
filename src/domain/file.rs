//! Files of a session: paths, and what is known of each.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::time::Timestamp;

/// Longest path, in bytes.
pub const MAX_PATH_BYTES: usize = 1024;

/// Where a file is: `/` and names joined by `/`; no name is empty, `.` or `..`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FilePath(String);

/// Why a text is no path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadPath {
    /// Leads upwards.
    #[error("a path must not hold `..`")]
    Upwards,
    /// Holds what no path may.
    #[error("a path must not hold control characters")]
    Control,
    /// Over [`MAX_PATH_BYTES`].
    #[error("a path must be at most {MAX_PATH_BYTES} bytes long")]
    TooLong,
}

impl FilePath {
    /// The top.
    pub fn root() -> Self {
        Self("/".into())
    }

    /// Reads a path: relative ones begin at the root, `/workspace` is the root too, doubled slashes and dots fall away.
    ///
    /// # Errors
    /// What no path may hold.
    pub fn parse(text: &str) -> Result<Self, BadPath> {
        if text.len() > MAX_PATH_BYTES {
            return Err(BadPath::TooLong);
        }
        if text.chars().any(char::is_control) {
            return Err(BadPath::Control);
        }
        let mut names = text.split('/').filter(|name| !name.is_empty() && *name != ".").peekable();
        if text.starts_with('/') {
            let _ = names.next_if_eq(&"workspace");
        }
        let mut path = String::with_capacity(text.len() + 1);
        for name in names {
            if name == ".." {
                return Err(BadPath::Upwards);
            }
            path.push('/');
            path.push_str(name);
        }
        if path.is_empty() {
            path.push('/');
        }
        Ok(Self(path))
    }

    /// As text, from `/`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The last name; nothing for the root.
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }

    /// The folder it is in; nothing for the root.
    pub fn parent(&self) -> Option<Self> {
        if self.is_root() {
            return None;
        }
        let (above, _) = self.0.rsplit_once('/')?;
        Some(Self(if above.is_empty() { "/".into() } else { above.into() }))
    }

    /// Whether it is the top.
    pub fn is_root(&self) -> bool {
        self.0 == "/"
    }

    /// Whether it is somewhere below a folder.
    pub fn is_below(&self, folder: &Self) -> bool {
        let rest = self.0.strip_prefix(folder.0.as_str());
        !self.is_root() && (folder.is_root() || rest.is_some_and(|rest| rest.starts_with('/')))
    }
}

impl TryFrom<String> for FilePath {
    type Error = BadPath;

    fn try_from(text: String) -> Result<Self, BadPath> {
        Self::parse(&text)
    }
}

impl From<FilePath> for String {
    fn from(path: FilePath) -> Self {
        path.0
    }
}

impl fmt::Display for FilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is known of a file or folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileInfo {
    /// Stays when it is moved or written anew.
    pub id: Uuid,
    /// Where it is.
    pub path: FilePath,
    /// Whether it is a folder.
    pub folder: bool,
    /// Whether it refuses writes.
    #[serde(default)]
    pub readonly: bool,
    /// Bytes; 0 for a folder.
    pub size: u64,
    /// When it was made.
    pub created: Timestamp,
    /// When it was last written.
    pub updated: Timestamp,
}
