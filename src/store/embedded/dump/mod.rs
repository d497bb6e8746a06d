//! A whole store at once, without a server: written to a file, read from one, looked through for damage.
//!
//! `source` opens a folder and leaves it as it is, `walk` goes through all that is in it and says what cannot
//! be read, [`line`] is the form of the file.

mod export;
mod import;
mod line;
mod source;
mod verify;
mod walk;

use std::fmt;
use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::store::{OpenError, StoreError};

pub use self::export::export;
pub use self::import::import;
pub use self::verify::verify;

/// How much there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    /// Records beside the logs.
    pub records: u64,
    /// Logs: sessions with a history.
    pub logs: u64,
    /// Entries of all logs.
    pub entries: u64,
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let many =
            |count: u64, one: &str, many: &str| format!("{count} {}", if count == 1 { one } else { many });
        let Self { records, logs, entries } = *self;
        let records = many(records, "record", "records");
        let entries = many(entries, "entry", "entries");
        write!(f, "{records} and {entries} of {}", many(logs, "log", "logs"))
    }
}

/// What was seen of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Seen {
    /// What can be read.
    pub readable: Counts,
    /// How many things cannot; each was told in a sentence.
    pub damaged: u64,
}

/// Told of each thing that is damaged, in a sentence.
pub type Tell<'a> = dyn FnMut(&str) + 'a;

/// Why a store was not exported, imported or looked through.
#[derive(Debug, thiserror::Error)]
pub enum DumpError {
    /// The folder cannot be used.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// There is nothing to read.
    #[error("there is no store in {}", .0.display())]
    NoStore(PathBuf),
    /// There is something already.
    #[error("{} holds data already; import into a folder that is empty or not there", .0.display())]
    NotEmpty(PathBuf),
    /// Nothing is ever in it.
    #[error("the store is configured to be kept in memory, where another process cannot reach it")]
    InMemory,
    /// The engine failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The file cannot be written or read.
    #[error("the exported file: {0}")]
    File(#[from] io::Error),
    /// The file is not what it should be.
    #[error("line {line} of the exported file: {reason}")]
    Line {
        /// Which, from 1.
        line: u64,
        /// What is wrong.
        reason: String,
    },
}
