//! The files of a session, kept as documents.

use async_trait::async_trait;
use bytes::Bytes;

use super::Runtime;
use crate::capability::files::{FileError, Files, Write, Written};
use crate::domain::file::{FileInfo, FilePath};
use crate::domain::id::{Owner, SessionId};

/// The files of one session.
#[derive(Clone)]
pub struct SessionFiles {
    _runtime: Runtime,
    _owner: Owner,
    _session: SessionId,
}

impl Runtime {
    /// The files of a session.
    pub fn files(&self, owner: &Owner, session: &SessionId) -> SessionFiles {
        SessionFiles { _runtime: self.clone(), _owner: owner.clone(), _session: session.clone() }
    }
}

#[async_trait]
impl Files for SessionFiles {
    async fn stat(&self, _: &FilePath) -> Result<Option<FileInfo>, FileError> {
        Err(FileError::Unavailable)
    }

    async fn read(&self, _: &FilePath) -> Result<(FileInfo, Bytes), FileError> {
        Err(FileError::Unavailable)
    }

    async fn write(&self, _: &FilePath, _: Bytes, _: Write) -> Result<Written, FileError> {
        Err(FileError::Unavailable)
    }

    async fn make_folder(&self, _: &FilePath) -> Result<Written, FileError> {
        Err(FileError::Unavailable)
    }

    async fn list(&self, _: &FilePath, _: bool) -> Result<Vec<FileInfo>, FileError> {
        Err(FileError::Unavailable)
    }

    async fn delete(&self, _: &FilePath, _: bool) -> Result<(), FileError> {
        Err(FileError::Unavailable)
    }

    async fn rename(&self, _: &FilePath, _: &FilePath) -> Result<FileInfo, FileError> {
        Err(FileError::Unavailable)
    }

    async fn copy(&self, _: &FilePath, _: &FilePath) -> Result<FileInfo, FileError> {
        Err(FileError::Unavailable)
    }
}
