//! A session's SQL databases, as tools and surfaces see them.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::domain::database::{DatabaseInfo, DatabaseName, Table};

/// What can be done with a session's databases. What changes them is durable when it returns.
#[async_trait]
pub trait Databases: Send + Sync {
    /// All of them, by name.
    async fn list(&self) -> Result<Vec<DatabaseInfo>, DatabaseError>;

    /// One of them.
    async fn info(&self, name: &DatabaseName) -> Result<DatabaseInfo, DatabaseError>;

    /// Makes an empty one.
    async fn create(&self, name: &DatabaseName) -> Result<DatabaseInfo, DatabaseError>;

    /// Takes one away, with all that is in it.
    async fn delete(&self, name: &DatabaseName) -> Result<(), DatabaseError>;

    /// Its tables, by name.
    async fn tables(&self, name: &DatabaseName) -> Result<Vec<Table>, DatabaseError>;

    /// Asks one statement that changes nothing.
    async fn query(&self, name: &DatabaseName, sql: Sql) -> Result<Grid, DatabaseError>;

    /// Carries statements out, all or none; a database that is not there is made. Under the same key it is done once,
    /// and what it came to is told again.
    async fn execute(&self, name: &DatabaseName, sql: Sql, key: &str) -> Result<Executed, DatabaseError>;
}

/// What is asked of a database, or done to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Sql {
    /// Statements, as SQLite reads them.
    pub text: String,
    /// What stands for `?` in a single statement, in order: null, booleans, numbers, texts, `{"base64": "…"}`.
    pub parameters: Vec<Value>,
}

/// Rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Grid {
    /// What each column is called.
    pub columns: Vec<String>,
    /// A value for each column: null, numbers, texts, `{"base64": "…"}` for bytes.
    pub rows: Vec<Vec<Value>>,
    /// Whether there were more than are told.
    pub truncated: bool,
}

/// What changes came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Executed {
    /// Rows that were inserted, updated or deleted.
    pub rows_affected: u64,
    /// What the last statement returned, if it returns anything.
    pub returned: Option<Grid>,
}

/// Why a database could not be had, or did not do as it was told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DatabaseError {
    /// None has this name.
    #[error("there is no database `{0}`")]
    Missing(DatabaseName),
    /// One has this name.
    #[error("there is a database `{0}` already")]
    Exists(DatabaseName),
    /// More than a session may keep, or a statement may be.
    #[error("{0}")]
    TooLarge(String),
    /// What is wrong with the statement, or why it was not carried out.
    #[error("{0}")]
    Sql(String),
    /// The store says no; the reason was logged.
    #[error("the databases cannot be reached now")]
    Unavailable,
}
