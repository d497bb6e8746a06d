//! Floor 2, where it is kept: one seam of six methods.
//!
//! A store holds two things: append-only logs, one a session, and small records beside them. A [`Batch`] may
//! touch both and is applied whole or not at all. Typed documents, leases, pages and projections are written
//! once, on top, in `runtime`.

mod embedded;

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt};
use serde::Deserialize;

use crate::domain::document::{Key, Page, Query, Record, Tags};
use crate::domain::fact::{Entry, Seq};
use crate::domain::id::{Owner, SessionId};

pub use self::embedded::dump;
pub use self::embedded::{LostPieces, Opened, open};

/// Names a log: a session of an owner.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Log {
    /// Whose.
    pub owner: Owner,
    /// Which session.
    pub session: SessionId,
}

/// What every store can do. Six methods, and a new store is done; a seventh may be done better than by the first.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// All of it or none of it; when this returns, neither a crash nor a power cut can undo it.
    ///
    /// A batch that holds nothing but `Said` entries is written but not synced: it survives `kill -9`, not a
    /// power cut, and becomes durable with the next batch that appends to the same log. Until then `head` and
    /// `read` show it all the same.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if the log's head or a record's version is not what the batch expects;
    /// [`StoreError::TooLarge`] over [`MAX_BATCH_BYTES`]; else what the disk says. Nothing was changed.
    async fn commit(&self, batch: Batch) -> Result<(), StoreError>;

    /// The record, if there is one.
    async fn get(&self, key: &Key) -> Result<Option<Record>, StoreError>;

    /// Records by their keys, in that order, each if there is one. An unreadable one is left out, as in a list.
    async fn get_each(&self, keys: &[Key]) -> Result<Vec<Option<Record>>, StoreError> {
        let mut found = Vec::with_capacity(keys.len());
        for key in keys {
            found.push(readable(key, self.get(key).await)?);
        }
        Ok(found)
    }

    /// Part of a list. An unreadable record is left out, counted and logged; it never breaks the list.
    async fn list(&self, query: &Query) -> Result<Page, StoreError>;

    /// Up to `limit` entries that hold numbers over `after`, in order. An entry of several pieces that begins at
    /// or before `after` is given whole; the caller drops the pieces it has.
    async fn read(&self, log: &Log, after: Seq, limit: usize) -> Result<Vec<Entry>, StoreError>;

    /// The last number of a log; 0 when it is empty or unknown.
    async fn head(&self, log: &Log) -> Result<Seq, StoreError>;

    /// Logs that another process appended to. A store with one process has none.
    fn elsewhere(&self) -> BoxStream<'static, Log> {
        stream::pending().boxed()
    }
}

/// A record that was read for a list, where one that cannot be read is left out.
fn readable(key: &Key, read: Result<Option<Record>, StoreError>) -> Result<Option<Record>, StoreError> {
    match read {
        Err(StoreError::Damaged(_)) => {
            tracing::warn!(record = %key, "a record cannot be read and is left out of a list");
            Ok(None)
        }
        read => read,
    }
}

/// Largest batch a store takes, in bytes of its values.
pub const MAX_BATCH_BYTES: usize = 4 * 1024 * 1024;

/// Changes that belong together.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// Entries for one log.
    pub append: Option<Append>,
    /// Records to write.
    pub puts: Vec<Put>,
    /// Records to take away, with their tags; missing ones are fine.
    pub deletes: Vec<Key>,
    /// Logs to take away whole.
    pub forget: Vec<Log>,
}

/// Entries for one log.
#[derive(Debug, Clone)]
pub struct Append {
    /// Which.
    pub log: Log,
    /// The head it must have; anything else is a conflict.
    pub after: Seq,
    /// Numbered by the caller, without gaps, from `after + 1`.
    pub entries: Vec<Entry>,
}

/// A record to write.
#[derive(Debug, Clone)]
pub struct Put {
    /// Where.
    pub key: Key,
    /// What must be there now.
    pub expect: Expect,
    /// Its place in lists; replaces what it had.
    pub tags: Tags,
    /// Opaque; at most [`MAX_BATCH_BYTES`].
    pub body: Bytes,
}

/// What must be there for a [`Put`] to go ahead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// Whatever.
    Any,
    /// Nothing.
    Absent,
    /// Something.
    Present,
    /// This version.
    Version(u64),
}

/// Why a store did not do it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Somebody was faster, or the caller is wrong about what is stored.
    #[error("conflict on {0}")]
    Conflict(String),
    /// Over [`MAX_BATCH_BYTES`].
    #[error("a write of {bytes} bytes is over the limit of {MAX_BATCH_BYTES}")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// No room on the disk.
    #[error("the disk is full")]
    Full,
    /// The engine cannot take writes now; it may again later.
    #[error("the store is not available: {0}")]
    Unavailable(Arc<str>),
    /// What is stored cannot be read.
    #[error("damaged data: {0}")]
    Damaged(Arc<str>),
}

/// Why a store could not be opened; each is said in a sentence and ends the program.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error("the data folder {} is in use by process {pid}", folder.display())]
    InUse {
        /// Which folder.
        folder: PathBuf,
        /// Who.
        pid: String,
    },
    /// It was made by a version that keeps data in another form.
    #[error("the data folder {} has format {found}, this program reads {known}", folder.display())]
    Format {
        /// Which folder.
        folder: PathBuf,
        /// What it has.
        found: String,
        /// What we read.
        known: String,
    },
    /// What is stored cannot be read.
    #[error("the data folder {} is damaged: {reason}", folder.display())]
    Damaged {
        /// Which folder.
        folder: PathBuf,
        /// What the engine said.
        reason: String,
    },
    /// The disk said no.
    #[error("the data folder {}: {source}", folder.display())]
    Io {
        /// Which folder.
        folder: PathBuf,
        /// What it said.
        source: std::io::Error,
    },
}

impl OpenError {
    /// Whether room on the disk would mend it.
    fn is_full(&self) -> bool {
        use std::io::ErrorKind::{QuotaExceeded, StorageFull};
        matches!(self, Self::Io { source, .. } if matches!(source.kind(), StorageFull | QuotaExceeded))
    }
}

/// Where things are kept: `[store.memory]`, `[store.sled]` or `[store.redb]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum StoreConfig {
    /// Nowhere: gone with the process.
    Memory {},
    /// In the data folder, with sled.
    Sled {
        /// Memory for its cache.
        #[serde(default = "default_cache_mib")]
        cache_mib: u64,
    },
    /// In the data folder, with redb.
    Redb {
        /// Memory for its cache.
        #[serde(default = "default_cache_mib")]
        cache_mib: u64,
    },
}

/// MiB of cache where nothing is said.
fn default_cache_mib() -> u64 {
    64
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self::Sled { cache_mib: default_cache_mib() }
    }
}
