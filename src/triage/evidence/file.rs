//! Files, kept in pieces that a record can hold.
//!
//! A file is announced before its pieces are written and shown after them, and hidden before they are taken away;
//! so what a crash leaves behind is known, and the next upload clears it away.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::domain::document::{RecordKind, Tag, Tags};
use crate::domain::time::Timestamp;
use crate::runtime;
use crate::runtime::documents::{Changes, Document, Listed, Listing};
use crate::triage::Board;
use crate::triage::canonical::hex;
use crate::triage::error::Error;

/// Largest file, in bytes.
pub const MAX_FILE_BYTES: usize = 25 * 1024 * 1024;
/// How much of a file a record holds, in bytes; a third more once it is written.
const PIECE_BYTES: usize = 720 * 1024;
/// An upload that began so long ago is not going on any more.
const GIVEN_UP: Duration = Duration::from_secs(3600);
/// What marks files that are not whole.
const PARTIAL: &str = "partial";

/// A file without what is in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// Made.
    pub id: String,
    /// As uploaded; never used as a path.
    pub name: String,
    /// As the client says.
    pub mime_type: String,
    /// In bytes.
    pub size: usize,
    /// Of its bytes, in hexadecimal.
    pub sha256: String,
    /// When it was uploaded.
    pub created: Timestamp,
    /// Whether all of it is there.
    whole: bool,
}

impl File {
    /// In how many pieces it is kept.
    pub fn pieces(&self) -> usize {
        self.size.div_ceil(PIECE_BYTES)
    }
}

impl Document for File {
    const KIND: RecordKind = RecordKind("triage_file");

    fn id(&self) -> String {
        self.id.clone()
    }

    fn tags(&self) -> Tags {
        let names = if self.whole { Vec::new() } else { vec![Tag::new(PARTIAL, "yes")] };
        Tags { sort: self.created.0, listed: self.whole, names }
    }
}

/// A piece of a file.
#[derive(Serialize, Deserialize)]
struct FilePiece {
    file: String,
    number: usize,
    base64: String,
}

impl FilePiece {
    fn id_of(file: &str, number: usize) -> String {
        format!("{file}/{number}")
    }
}

impl Document for FilePiece {
    const KIND: RecordKind = RecordKind("triage_file_piece");

    fn id(&self) -> String {
        Self::id_of(&self.file, self.number)
    }

    fn tags(&self) -> Tags {
        Tags::default()
    }
}

impl Board {
    /// Keeps a file.
    ///
    /// # Errors
    /// [`runtime::Error::TooLarge`] over [`MAX_FILE_BYTES`]; what the store says.
    pub async fn upload(&self, name: String, mime_type: String, bytes: Bytes) -> Result<File, Error> {
        if bytes.len() > MAX_FILE_BYTES {
            return Err(runtime::Error::TooLarge { bytes: bytes.len() }.into());
        }
        self.clear_away().await?;
        let mut file = File {
            id: self.runtime.fresh().to_string(),
            name,
            mime_type,
            size: bytes.len(),
            sha256: hex(&Sha256::digest(&bytes)),
            created: self.runtime.now(),
            whole: false,
        };
        self.documents.write(Changes::default().create(&file)).await?;
        for (number, piece) in bytes.chunks(PIECE_BYTES).enumerate() {
            let piece = FilePiece { file: file.id.clone(), number, base64: STANDARD.encode(piece) };
            self.documents.write(Changes::default().create(&piece)).await?;
        }
        file.whole = true;
        self.documents.write(Changes::default().put(&file)).await?;
        Ok(file)
    }

    /// A file.
    ///
    /// # Errors
    /// What the store says.
    pub async fn file(&self, id: &str) -> Result<Option<File>, Error> {
        let found = self.documents.get::<File>(id).await?;
        Ok(found.map(|stored| stored.value).filter(|file| file.whole))
    }

    /// Part of the list of files.
    ///
    /// # Errors
    /// What the store says.
    pub async fn files(&self, listing: Listing) -> Result<Listed<File>, Error> {
        Ok(self.documents.list(listing).await?)
    }

    /// A piece of a file, from 0.
    ///
    /// # Errors
    /// [`runtime::Error::Damaged`] if it is not there; what the store says.
    pub async fn piece(&self, file: &str, number: usize) -> Result<Bytes, Error> {
        let piece = self.documents.get::<FilePiece>(&FilePiece::id_of(file, number)).await?;
        let piece = piece.ok_or(runtime::Error::Damaged)?;
        STANDARD.decode(&piece.base64).map(Bytes::from).map_err(|_| runtime::Error::Damaged.into())
    }

    /// What is in a file, if it is text in UTF-8.
    ///
    /// # Errors
    /// As [`Board::piece`].
    pub async fn text_of(&self, file: &File) -> Result<Option<String>, Error> {
        let mut bytes = Vec::with_capacity(file.size);
        for number in 0..file.pieces() {
            bytes.extend_from_slice(&self.piece(&file.id, number).await?);
        }
        Ok(String::from_utf8(bytes).ok())
    }

    /// Takes a file away; says whether there was one.
    ///
    /// # Errors
    /// What the store says.
    pub async fn forget_file(&self, id: &str) -> Result<bool, Error> {
        let Some(file) = self.file(id).await? else { return Ok(false) };
        let hidden = File { whole: false, ..file };
        self.documents.write(Changes::default().put(&hidden)).await?;
        self.take_apart(&hidden).await?;
        Ok(true)
    }

    async fn take_apart(&self, file: &File) -> Result<(), Error> {
        let pieces = (0..file.pieces()).map(|number| FilePiece::id_of(&file.id, number));
        let changes = pieces.fold(Changes::default(), |changes, id| changes.delete::<FilePiece>(&id));
        Ok(self.documents.write(changes.delete::<File>(&file.id)).await?)
    }

    /// What uploads and deletions left that were cut off.
    async fn clear_away(&self) -> Result<(), Error> {
        let partial = self.documents.all::<File>(Some(Tag::new(PARTIAL, "yes"))).await?;
        for file in partial {
            if self.runtime.now().since(file.created) > GIVEN_UP {
                self.take_apart(&file).await?;
            }
        }
        Ok(())
    }
}
