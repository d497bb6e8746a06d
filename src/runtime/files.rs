//! The files of a session, kept as documents: what is known of each, small contents with it, larger ones in chunks.
//!
//! A write puts new chunks down first, under a name of their own, and then in one batch says that they are the file and
//! takes the old ones away: a crash in between leaves the file as it was.

mod kept;

use std::hash::{DefaultHasher, Hash, Hasher};

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::{Bytes, BytesMut};
use tokio::sync::{Mutex, MutexGuard};
use uuid::Uuid;

use super::documents::{Changes, Document, Documents, Listing, Stored};
use super::error::Error;
use super::{Runtime, records};
use crate::capability::files::{FileError, Files, Onto, Write, Written};
use crate::domain::document::Tag;
use crate::domain::file::{FileInfo, FilePath};
use crate::domain::id::{Owner, SessionId};
use crate::domain::time::Timestamp;
use kept::{Chunk, Content, Kept, chunk_id, decoded, folder_tag, forgetting, id};

/// Largest file, in bytes.
pub const MAX_FILE_BYTES: usize = 10 * 1024 * 1024;

/// Most files and folders of a session.
pub const MAX_FILES: u64 = 10_000;

/// Contents up to this size are kept with what is known of the file.
const INLINE_BYTES: usize = 16 * 1024;

/// Largest chunk, before it is written as text.
const CHUNK_BYTES: usize = 512 * 1024;

/// Locks for writers.
const LOCKS: usize = 256;

/// One writer of a session's files at a time, so that what is checked is still so when it is written: that a folder
/// is there, that a place is free; and nobody writes to a session that is being taken away. Sessions share the locks.
pub(super) struct Writers(Box<[Mutex<()>]>);

impl Default for Writers {
    fn default() -> Self {
        Self((0..LOCKS).map(|_| Mutex::default()).collect())
    }
}

impl Writers {
    pub(super) async fn turn(&self, owner: &Owner, session: &SessionId) -> Option<MutexGuard<'_, ()>> {
        let mut hasher = DefaultHasher::new();
        (owner, session).hash(&mut hasher);
        let at = usize::try_from(hasher.finish()).unwrap_or_default() % LOCKS;
        Some(self.0.get(at)?.lock().await)
    }
}

/// The files of one session.
#[derive(Clone)]
pub struct SessionFiles {
    runtime: Runtime,
    documents: Documents,
    session: SessionId,
}

impl Runtime {
    /// The files of a session.
    pub fn files(&self, owner: &Owner, session: &SessionId) -> SessionFiles {
        let documents = self.documents(owner);
        SessionFiles { runtime: self.clone(), documents, session: session.clone() }
    }

    /// The turn to write what a session keeps beside its log. Nobody takes the session away meanwhile.
    ///
    /// # Errors
    /// [`Error::NoSession`]; what the store says.
    pub(super) async fn turn_to_write(
        &self,
        owner: &Owner,
        session: &SessionId,
    ) -> Result<Option<MutexGuard<'_, ()>>, Error> {
        let turn = self.0.writers.turn(owner, session).await;
        match self.store().get(&records::session_key(owner, session)).await? {
            Some(_) => Ok(turn),
            None => Err(Error::NoSession(session.clone())),
        }
    }

    /// What is to be taken away with a session, part by part, until there is nothing more.
    pub(super) async fn files_to_forget(&self, owner: &Owner, session: &SessionId) -> Result<Changes, Error> {
        const STEP: usize = 500;
        let documents = self.documents(owner);
        let listing =
            || Listing { tag: Some(records::session_tag(session)), limit: STEP, ..Listing::default() };
        let mut changes = Changes::default();
        for kept in documents.list::<Kept>(listing()).await?.documents {
            changes = changes.delete::<Kept>(&kept.id());
        }
        // A chunk is large: a few at a time.
        let few = Listing { limit: 4, ..listing() };
        for chunk in documents.list::<Chunk>(few).await?.documents {
            changes = changes.delete::<Chunk>(&chunk.id());
        }
        Ok(changes)
    }
}

impl SessionFiles {
    /// The turn to write at this path.
    async fn turn(&self, path: &FilePath) -> Result<Option<MutexGuard<'_, ()>>, FileError> {
        let turn = self.runtime.turn_to_write(self.documents.owner(), &self.session).await;
        turn.map_err(|error| {
            let is_gone = matches!(error, Error::NoSession(_));
            if is_gone { FileError::Missing(path.clone()) } else { unavailable(error) }
        })
    }

    async fn kept(&self, path: &FilePath) -> Result<Option<Stored<Kept>>, FileError> {
        self.documents.get(&id(&self.session, path)).await.map_err(unavailable)
    }

    async fn there(&self, path: &FilePath) -> Result<Stored<Kept>, FileError> {
        self.kept(path).await?.ok_or_else(|| FileError::Missing(path.clone()))
    }

    async fn tagged(&self, tag: Tag) -> Result<Vec<Stored<Kept>>, FileError> {
        self.documents.all(Some(tag)).await.map_err(unavailable)
    }

    async fn in_folder(&self, folder: &FilePath) -> Result<Vec<Stored<Kept>>, FileError> {
        self.tagged(folder_tag(&self.session, folder)).await
    }

    /// Everything below a folder, sorted by path.
    async fn below(&self, folder: &FilePath) -> Result<Vec<Stored<Kept>>, FileError> {
        let mut all = self.tagged(records::session_tag(&self.session)).await?;
        all.retain(|kept| kept.info.path.is_below(folder));
        all.sort_by(|a, b| a.info.path.cmp(&b.info.path));
        Ok(all)
    }

    async fn bytes_of(&self, kept: &Kept) -> Result<Bytes, FileError> {
        let (name, count) = match &kept.content {
            Content::Inline(text) => return decoded(text),
            Content::Chunks { name, count } => (*name, *count),
        };
        let mut bytes = BytesMut::new();
        for number in 0..count {
            let chunk = self.documents.get::<Chunk>(&chunk_id(name, number)).await.map_err(unavailable)?;
            bytes.extend_from_slice(&decoded(&chunk.ok_or(FileError::Unavailable)?.content)?);
        }
        Ok(bytes.freeze())
    }

    /// Puts contents down, so that a file may name them.
    async fn put_down(&self, content: &[u8]) -> Result<Content, FileError> {
        if content.len() <= INLINE_BYTES {
            return Ok(Content::Inline(BASE64.encode(content)));
        }
        let name = self.runtime.fresh();
        let mut count = 0;
        for part in content.chunks(CHUNK_BYTES) {
            let chunk =
                Chunk { session: self.session.clone(), name, number: count, content: BASE64.encode(part) };
            self.documents.write(Changes::default().put(&chunk)).await.map_err(unavailable)?;
            count += 1;
        }
        Ok(Content::Chunks { name, count })
    }

    /// The folders above a path that are not there yet.
    async fn missing_above(&self, path: &FilePath) -> Result<Vec<Kept>, FileError> {
        let mut missing = Vec::new();
        let mut folder = path.parent();
        while let Some(above) = folder.filter(|above| !above.is_root()) {
            match self.kept(&above).await? {
                Some(kept) if kept.info.folder => break,
                Some(_) => return Err(FileError::IsFile(above)),
                None => missing.push(self.new_folder(above.clone())),
            }
            folder = above.parent();
        }
        Ok(missing)
    }

    fn new_folder(&self, path: FilePath) -> Kept {
        let now = self.runtime.now();
        let info = FileInfo {
            id: self.runtime.fresh(),
            path,
            folder: true,
            readonly: false,
            size: 0,
            created: now,
            updated: now,
        };
        Kept { session: self.session.clone(), info, content: Content::Inline(String::new()) }
    }

    async fn check_room(&self) -> Result<(), FileError> {
        let tag = Some(records::session_tag(&self.session));
        let listing = Listing { tag, limit: 0, ..Listing::default() };
        let total = self.documents.list::<Kept>(listing).await.map_err(unavailable)?.total;
        if total >= MAX_FILES {
            return Err(FileError::TooLarge(format!("a session keeps at most {MAX_FILES} files")));
        }
        Ok(())
    }

    /// Writes a file, contents first. Whoever calls this has it done whole, though he goes away.
    async fn write_whole(&self, path: &FilePath, bytes: &[u8], how: Write) -> Result<Written, FileError> {
        let _turn = self.turn(path).await?;
        let content = self.put_down(bytes).await?;
        let written = self.write_put_down(path, (&content, bytes.len() as u64), how).await;
        if written.is_err() {
            // What was put down for it belongs to nobody now; if it cannot be taken away, it goes with the session.
            let _ = self.documents.write(forgetting(Changes::default(), &content)).await;
        }
        written
    }

    /// Writes a file whose contents are down.
    async fn write_put_down(
        &self,
        path: &FilePath,
        (content, size): (&Content, u64),
        how: Write,
    ) -> Result<Written, FileError> {
        let before = self.kept(path).await?;
        match &before {
            Some(kept) if kept.info.folder => return Err(FileError::IsFolder(path.clone())),
            Some(_) if how.onto == Onto::Nothing => return Err(FileError::Exists(path.clone())),
            Some(kept) if kept.info.readonly => return Err(FileError::ReadOnly(path.clone())),
            Some(kept) if matches!(how.onto, Onto::Unchanged(at) if at != kept.info.updated) => {
                return Err(FileError::Changed(path.clone()));
            }
            None if matches!(how.onto, Onto::File | Onto::Unchanged(_)) => {
                return Err(FileError::Missing(path.clone()));
            }
            Some(_) | None => {}
        }
        let now = self.runtime.now();
        let mut changes = Changes::default();
        let info = match &before {
            Some(kept) => {
                changes = forgetting(changes, &kept.content);
                let readonly = how.readonly.unwrap_or(kept.info.readonly);
                // By this moment a writer knows whether the file is the one that was read.
                let updated = now.max(Timestamp(kept.info.updated.0.saturating_add(1)));
                FileInfo { readonly, size, updated, ..kept.info.clone() }
            }
            None => {
                self.check_room().await?;
                for folder in self.missing_above(path).await? {
                    changes = changes.create(&folder);
                }
                FileInfo {
                    id: self.runtime.fresh(),
                    path: path.clone(),
                    folder: false,
                    readonly: how.readonly.unwrap_or(false),
                    size,
                    created: now,
                    updated: now,
                }
            }
        };
        let after = Kept { session: self.session.clone(), info, content: content.clone() };
        changes = match &before {
            Some(before) => changes.replace(before, &after),
            None => changes.create(&after),
        };
        self.documents.write(changes).await.map_err(unavailable)?;
        Ok(Written { info: after.info, created: before.is_none() })
    }

    /// Puts what is at `from`, and below it, to `to`; takes it away from where it was if it is moved.
    async fn carry(&self, from: &FilePath, to: &FilePath, moved: bool) -> Result<FileInfo, FileError> {
        let _turn = self.turn(from).await?;
        let top = self.there(from).await?;
        if self.stat(to).await?.is_some() || to.is_below(from) {
            return Err(FileError::Exists(to.clone()));
        }
        let mut changes = Changes::default();
        for folder in self.missing_above(to).await? {
            changes = changes.create(&folder);
        }
        let mut carried = vec![top];
        if carried.iter().any(|top| top.info.folder) {
            carried.extend(self.below(from).await?);
        }
        let mut first = None;
        for kept in carried {
            let rest = kept.info.path.as_str().strip_prefix(from.as_str()).unwrap_or_default();
            let path = FilePath::parse(&format!("{to}{rest}"))
                .map_err(|bad| FileError::TooLarge(bad.to_string()))?;
            let mut copy = Kept { info: FileInfo { path, ..kept.info.clone() }, ..kept.value.clone() };
            if moved {
                changes = changes.delete::<Kept>(&kept.id());
            } else {
                self.check_room().await?;
                let now = self.runtime.now();
                copy.info = FileInfo { id: self.runtime.fresh(), created: now, updated: now, ..copy.info };
                copy.content = self.put_down(&self.bytes_of(&kept).await?).await?;
            }
            first.get_or_insert_with(|| copy.info.clone());
            changes = changes.create(&copy);
        }
        self.documents.write(changes).await.map_err(|error| {
            let taken = matches!(error, Error::Conflict(_));
            if taken { FileError::Exists(to.clone()) } else { unavailable(error) }
        })?;
        first.ok_or(FileError::Unavailable)
    }
}

#[async_trait]
impl Files for SessionFiles {
    async fn stat(&self, path: &FilePath) -> Result<Option<FileInfo>, FileError> {
        if path.is_root() {
            let session = self.runtime.session(self.documents.owner(), &self.session).await;
            let made = session.map_err(unavailable)?.session.created;
            let root = self.new_folder(FilePath::root()).info;
            return Ok(Some(FileInfo { id: Uuid::nil(), created: made, updated: made, ..root }));
        }
        Ok(self.kept(path).await?.map(|kept| kept.value.info))
    }

    async fn read(&self, path: &FilePath) -> Result<(FileInfo, Bytes), FileError> {
        if path.is_root() {
            return Err(FileError::IsFolder(path.clone()));
        }
        // A file that is written anew in between is read again: its old chunks are gone.
        let mut kept = self.there(path).await?;
        loop {
            if kept.info.folder {
                return Err(FileError::IsFolder(path.clone()));
            }
            match self.bytes_of(&kept).await {
                Ok(bytes) => return Ok((kept.value.info, bytes)),
                Err(error) => {
                    let now = self.there(path).await?;
                    if now.version == kept.version {
                        return Err(error);
                    }
                    kept = now;
                }
            }
        }
    }

    async fn write(&self, path: &FilePath, content: Bytes, how: Write) -> Result<Written, FileError> {
        if path.is_root() {
            return Err(FileError::IsFolder(path.clone()));
        }
        if content.len() > MAX_FILE_BYTES {
            return Err(FileError::TooLarge(format!("a file has at most {MAX_FILE_BYTES} bytes")));
        }
        let (files, path) = (self.clone(), path.clone());
        // On a task of its own: a client that goes away in the middle leaves no half of a file behind.
        let writing = tokio::spawn(async move { files.write_whole(&path, &content, how).await });
        writing.await.map_err(|_| FileError::Unavailable)?
    }

    async fn make_folder(&self, path: &FilePath) -> Result<Written, FileError> {
        let _turn = self.turn(path).await?;
        match self.stat(path).await? {
            Some(info) if info.folder => return Ok(Written { info, created: false }),
            Some(_) => return Err(FileError::Exists(path.clone())),
            None => {}
        }
        self.check_room().await?;
        let folder = self.new_folder(path.clone());
        let mut changes = Changes::default().create(&folder);
        for above in self.missing_above(path).await? {
            changes = changes.create(&above);
        }
        self.documents.write(changes).await.map_err(unavailable)?;
        Ok(Written { info: folder.info, created: true })
    }

    async fn list(&self, path: &FilePath, deep: bool) -> Result<Vec<FileInfo>, FileError> {
        match self.stat(path).await? {
            Some(info) if info.folder => {}
            Some(_) => return Err(FileError::IsFile(path.clone())),
            None => return Err(FileError::Missing(path.clone())),
        }
        let found = if deep { self.below(path).await? } else { self.in_folder(path).await? };
        let mut found: Vec<FileInfo> = found.into_iter().map(|kept| kept.value.info).collect();
        found.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(found)
    }

    async fn delete(&self, path: &FilePath, deep: bool) -> Result<(), FileError> {
        let _turn = self.turn(path).await?;
        let top = if path.is_root() { None } else { Some(self.there(path).await?) };
        let folder = top.as_ref().is_none_or(|top| top.info.folder);
        let below = if folder { self.below(path).await? } else { Vec::new() };
        if !below.is_empty() && !deep {
            return Err(FileError::NotEmpty(path.clone()));
        }
        let mut changes = Changes::default();
        for kept in below.iter().chain(&top) {
            changes = forgetting(changes.delete::<Kept>(&kept.id()), &kept.content);
        }
        self.documents.write(changes).await.map_err(unavailable)
    }

    async fn rename(&self, from: &FilePath, to: &FilePath) -> Result<FileInfo, FileError> {
        self.carry(from, to, true).await
    }

    async fn copy(&self, from: &FilePath, to: &FilePath) -> Result<FileInfo, FileError> {
        self.carry(from, to, false).await
    }
}

fn unavailable(error: Error) -> FileError {
    if let Error::TooLarge { .. } = error {
        return FileError::TooLarge("this is too much to be done at once; do it in parts".into());
    }
    tracing::warn!(%error, "files cannot be reached");
    FileError::Unavailable
}
