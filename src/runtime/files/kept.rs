//! How files are kept: a document for each file or folder, and one for each chunk of a large file.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::capability::files::FileError;
use crate::domain::document::{RecordKind, Tag, Tags};
use crate::domain::file::{FileInfo, FilePath};
use crate::domain::id::SessionId;
use crate::runtime::documents::{Changes, Document};
use crate::runtime::records;

/// A file or folder as it is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Kept {
    pub(super) session: SessionId,
    pub(super) info: FileInfo,
    /// Where its contents are.
    pub(super) content: Content,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Content {
    /// Here, in base64.
    Inline(String),
    /// In so many chunks of this name.
    Chunks { name: Uuid, count: usize },
}

/// A part of a large file.
#[derive(Serialize, Deserialize)]
pub(super) struct Chunk {
    pub(super) session: SessionId,
    pub(super) name: Uuid,
    pub(super) number: usize,
    /// In base64.
    pub(super) content: String,
}

impl Document for Kept {
    const KIND: RecordKind = RecordKind("file");

    fn id(&self) -> String {
        id(&self.session, &self.info.path)
    }

    fn tags(&self) -> Tags {
        let mut names = vec![records::session_tag(&self.session)];
        names.extend(self.info.path.parent().map(|folder| folder_tag(&self.session, &folder)));
        Tags { sort: 0, listed: false, names }
    }
}

impl Document for Chunk {
    const KIND: RecordKind = RecordKind("file_chunk");

    fn id(&self) -> String {
        chunk_id(self.name, self.number)
    }

    fn tags(&self) -> Tags {
        Tags { sort: 0, listed: false, names: vec![records::session_tag(&self.session)] }
    }
}

// No session's name holds a line break, so no two pairs are written alike.
pub(super) fn id(session: &SessionId, path: &FilePath) -> String {
    format!("{session}\n{path}")
}

pub(super) fn folder_tag(session: &SessionId, folder: &FilePath) -> Tag {
    Tag::new("folder", id(session, folder))
}

pub(super) fn chunk_id(name: Uuid, number: usize) -> String {
    format!("{name}/{number:06}")
}

/// With the chunks of these contents taken away.
pub(super) fn forgetting(mut changes: Changes, content: &Content) -> Changes {
    if let Content::Chunks { name, count } = content {
        for number in 0..*count {
            changes = changes.delete::<Chunk>(&chunk_id(*name, number));
        }
    }
    changes
}

pub(super) fn decoded(text: &str) -> Result<Bytes, FileError> {
    BASE64.decode(text).map(Bytes::from).map_err(|error| {
        tracing::error!(%error, "the contents of a file cannot be read");
        FileError::Unavailable
    })
}
