//! A session's file system, as tools and surfaces see it.

use async_trait::async_trait;
use bytes::Bytes;

use crate::domain::file::{FileInfo, FilePath};
use crate::domain::time::Timestamp;

/// What can be done with a session's files. All of it is done when it returns; repeating it with the same arguments
/// comes to the same.
#[async_trait]
pub trait Files: Send + Sync {
    /// What is there; the root always is.
    async fn stat(&self, path: &FilePath) -> Result<Option<FileInfo>, FileError>;

    /// A file and its bytes.
    async fn read(&self, path: &FilePath) -> Result<(FileInfo, Bytes), FileError>;

    /// Writes a file; folders above it are made.
    async fn write(&self, path: &FilePath, content: Bytes, how: Write) -> Result<Written, FileError>;

    /// Makes a folder and those above it; whether it is new.
    async fn make_folder(&self, path: &FilePath) -> Result<Written, FileError>;

    /// What is in a folder, sorted by path; with `deep` everything below it.
    async fn list(&self, path: &FilePath, deep: bool) -> Result<Vec<FileInfo>, FileError>;

    /// Takes a file or folder away; a folder with something in it only with `deep`.
    async fn delete(&self, path: &FilePath, deep: bool) -> Result<(), FileError>;

    /// Moves a file or folder to where nothing is.
    async fn rename(&self, from: &FilePath, to: &FilePath) -> Result<FileInfo, FileError>;

    /// Copies a file or folder to where nothing is.
    async fn copy(&self, from: &FilePath, to: &FilePath) -> Result<FileInfo, FileError>;
}

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Write {
    /// What must be there.
    pub onto: Onto,
    /// Whether it refuses further writes; as it was where nothing is said.
    pub readonly: Option<bool>,
}

/// What must be where a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Onto {
    /// A file or nothing.
    #[default]
    Any,
    /// Nothing.
    Nothing,
    /// A file.
    File,
    /// A file as it was last written at this moment: no two writes of a file have the same.
    Unchanged(Timestamp),
}

/// What a write came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Written {
    /// As it is now.
    pub info: FileInfo,
    /// Whether it was not there before.
    pub created: bool,
}

/// Why a file could not be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// Nothing is there.
    #[error("`{0}` does not exist")]
    Missing(FilePath),
    /// Something is there.
    #[error("`{0}` exists already")]
    Exists(FilePath),
    /// A folder, where a file is wanted.
    #[error("`{0}` is a directory")]
    IsFolder(FilePath),
    /// A file, where a folder is wanted.
    #[error("`{0}` is a file, not a directory")]
    IsFile(FilePath),
    /// A folder that is not empty.
    #[error("`{0}` is not empty")]
    NotEmpty(FilePath),
    /// A file that somebody else has written meanwhile.
    #[error("`{0}` was changed meanwhile; read it again")]
    Changed(FilePath),
    /// A file that refuses writes.
    #[error("`{0}` is read-only")]
    ReadOnly(FilePath),
    /// More than a session may keep.
    #[error("{0}")]
    TooLarge(String),
    /// The store says no; the reason was logged.
    #[error("the files cannot be reached now")]
    Unavailable,
}
