//! How databases are kept: a document that names its chunks in order, and a document for each chunk.
//!
//! A chunk is named by what it holds, so what a change leaves alone is not written again.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::capability::databases::Executed;
use crate::domain::database::{DatabaseInfo, DatabaseName};
use crate::domain::document::{RecordKind, Tags};
use crate::domain::id::SessionId;
use crate::domain::once::Fingerprint;
use crate::domain::time::Timestamp;
use crate::runtime::documents::Document;
use crate::runtime::records;

/// Largest chunk before it is written as text, in bytes: whole pages, and few of them, since a change of a row is a
/// change of two or three pages.
pub(super) const CHUNK_BYTES: usize = 64 * 1024;

/// A database as it is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Kept {
    pub(super) session: SessionId,
    pub(super) name: DatabaseName,
    pub(super) size: u64,
    pub(super) pages: u64,
    /// Their names, in order.
    pub(super) chunks: Vec<String>,
    pub(super) created: Timestamp,
    pub(super) updated: Timestamp,
}

/// Part of a database.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Chunk {
    pub(super) session: SessionId,
    pub(super) database: DatabaseName,
    /// By what it holds.
    pub(super) name: String,
    /// In base64.
    content: String,
}

/// What a call did, written with what it did: the call is not made again.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Receipt {
    pub(super) session: SessionId,
    /// Of the call, as a hash.
    pub(super) call: String,
    pub(super) came_to: Executed,
}

impl Kept {
    pub(super) fn info(&self) -> DatabaseInfo {
        DatabaseInfo {
            name: self.name.clone(),
            size: self.size,
            pages: self.pages,
            created: self.created,
            updated: self.updated,
        }
    }

    /// The id of the chunk of this name.
    pub(super) fn chunk_id(&self, chunk: &str) -> String {
        chunk_id(&self.session, &self.name, chunk)
    }
}

impl Chunk {
    pub(super) fn new(session: &SessionId, database: &DatabaseName, name: &str, content: &[u8]) -> Self {
        let (session, database) = (session.clone(), database.clone());
        Self { session, database, name: name.to_owned(), content: BASE64.encode(content) }
    }

    /// What it holds; nothing if it is damaged.
    pub(super) fn content(&self) -> Option<Vec<u8>> {
        BASE64.decode(&self.content).ok()
    }
}

impl Receipt {
    pub(super) fn new(session: &SessionId, key: &str, came_to: Executed) -> Self {
        Self { session: session.clone(), call: hash(key.as_bytes()), came_to }
    }
}

impl Document for Kept {
    const KIND: RecordKind = RecordKind("session_database");

    fn id(&self) -> String {
        id(&self.session, &self.name)
    }

    fn tags(&self) -> Tags {
        Tags { sort: self.created.0, listed: false, names: vec![records::session_tag(&self.session)] }
    }
}

impl Document for Chunk {
    const KIND: RecordKind = RecordKind("session_database_chunk");

    fn id(&self) -> String {
        chunk_id(&self.session, &self.database, &self.name)
    }

    fn tags(&self) -> Tags {
        Tags { sort: 0, listed: false, names: vec![records::session_tag(&self.session)] }
    }
}

impl Document for Receipt {
    const KIND: RecordKind = RecordKind("session_database_receipt");

    fn id(&self) -> String {
        format!("{}\n{}", self.session, self.call)
    }

    fn tags(&self) -> Tags {
        Tags { sort: 0, listed: false, names: vec![records::session_tag(&self.session)] }
    }
}

// No session's name holds a line break, so no two of these are written alike.
pub(super) fn id(session: &SessionId, name: &DatabaseName) -> String {
    format!("{session}\n{name}")
}

pub(super) fn receipt_id(session: &SessionId, key: &str) -> String {
    format!("{session}\n{}", hash(key.as_bytes()))
}

fn chunk_id(session: &SessionId, database: &DatabaseName, chunk: &str) -> String {
    format!("{session}\n{database}\n{chunk}")
}

/// What names a chunk or a call.
pub(super) fn hash(bytes: &[u8]) -> String {
    Fingerprint(Sha256::digest(bytes).into()).to_string()
}
