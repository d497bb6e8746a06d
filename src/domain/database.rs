//! Databases of a session: their names, and what is known of each.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::time::Timestamp;

/// Longest name, in characters.
pub const MAX_NAME: usize = 64;

/// What a session calls one of its databases: 1 to [`MAX_NAME`] ASCII letters, digits and `_`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DatabaseName(String);

/// Why a text is no name of a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the `name` of a database has 1 to {MAX_NAME} characters: letters, digits and `_`")]
pub struct BadName;

impl DatabaseName {
    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for DatabaseName {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        let fits = (1..=MAX_NAME).contains(&text.len());
        let is_plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if fits && is_plain { Ok(Self(text.to_owned())) } else { Err(BadName) }
    }
}

impl TryFrom<String> for DatabaseName {
    type Error = BadName;

    fn try_from(text: String) -> Result<Self, BadName> {
        text.parse()
    }
}

impl From<DatabaseName> for String {
    fn from(name: DatabaseName) -> Self {
        name.0
    }
}

impl fmt::Display for DatabaseName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is known of a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseInfo {
    /// What it is called.
    pub name: DatabaseName,
    /// In bytes; 0 before something was made in it.
    pub size: u64,
    /// How many pages these are.
    pub pages: u64,
    /// When it was made.
    pub created: Timestamp,
    /// When it was last changed.
    pub updated: Timestamp,
}

/// A table of a database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Table {
    /// What it is called.
    pub name: String,
    /// In their order.
    pub columns: Vec<Column>,
    /// How many rows it has.
    pub row_count: u64,
}

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Column {
    /// What it is called.
    pub name: String,
    /// As it was declared; may be empty.
    #[serde(rename = "type")]
    pub kind: String,
    /// Whether it refuses NULL.
    #[serde(rename = "notnull")]
    pub not_null: bool,
    /// Whether it is part of the primary key.
    #[serde(rename = "pk")]
    pub primary_key: bool,
    /// What it holds where nothing is said, as SQL.
    #[serde(rename = "default_value")]
    pub default: Option<String>,
}
