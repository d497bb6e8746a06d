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
    /// Its first name begins with `_`.
    #[error("a path must not begin with `_`: such names are reserved")]
    Reserved,
}

impl FilePath {
    /// The top.
    pub fn root() -> Self {
        Self("/".into())
    }

    /// Reads a path: relative ones begin at the root, `/workspace` is the root too, doubled slashes and dots
    /// fall away. What comes out of it reads as itself.
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
        while names.next_if_eq(&"workspace").is_some() {}
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

    /// Reads a path that clients and models may use: not below a name that begins with `_`.
    ///
    /// # Errors
    /// What no such path may hold.
    pub fn parse_open(text: &str) -> Result<Self, BadPath> {
        let path = Self::parse(text)?;
        if path.0.starts_with("/_") { Err(BadPath::Reserved) } else { Ok(path) }
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_path_is_read_as_one_of_many_spellings_and_then_as_itself() {
        let spellings = [
            ("", "/"),
            ("/workspace", "/"),
            ("/workspace/workspace/x", "/x"),
            ("workspace/x", "/x"),
            ("//a/./b/", "/a/b"),
            ("a/workspace", "/a/workspace"),
            ("...", "/..."),
        ];
        for (written, read) in spellings {
            let path = FilePath::parse(written).unwrap();
            assert_eq!(path.as_str(), read, "{written}");
            assert_eq!(FilePath::parse(path.as_str()).unwrap(), path);
        }
        assert_eq!(FilePath::parse("/a/../b"), Err(BadPath::Upwards));
        assert_eq!(FilePath::parse("/a\0"), Err(BadPath::Control));
        assert_eq!(FilePath::parse(&"a".repeat(1025)), Err(BadPath::TooLong));
        assert_eq!(FilePath::parse_open("/workspace/_x/y"), Err(BadPath::Reserved));
        assert_eq!(FilePath::parse_open("/x/_y").unwrap().as_str(), "/x/_y");
    }

    #[test]
    fn below_is_a_matter_of_whole_names() {
        let path = |text| FilePath::parse(text).unwrap();
        assert!(path("/a/b").is_below(&path("/a")) && path("/a").is_below(&FilePath::root()));
        assert!(!path("/ab").is_below(&path("/a")) && !path("/a").is_below(&path("/a")));
        assert_eq!(path("/a/b").parent(), Some(path("/a")));
        assert_eq!((path("/a").parent(), FilePath::root().parent()), (Some(FilePath::root()), None));
    }
}
