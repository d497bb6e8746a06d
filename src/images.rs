//! Floor 4, pictures that owners upload, kept as documents: what is known of each, and its bytes in chunks.
//!
//! The chunks are written first, and what makes them a picture last; a crash in between leaves chunks that nobody names.

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::{Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::domain::document::{RecordKind, Tags};
use crate::domain::time::Timestamp;
use crate::runtime::Error;
use crate::runtime::documents::{Changes, Document, Documents};
use crate::runtime::workspace::{Extension, Picture, Workspace};

/// Largest picture, in bytes.
pub const MAX_BYTES: usize = 20 * 1024 * 1024;

/// Largest chunk, before it is written as text.
const CHUNK_BYTES: usize = 1024 * 1024;

/// What is known of a picture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// Which.
    pub id: Uuid,
    /// As uploaded; never used as a path.
    pub filename: String,
    /// What its first bytes say it is, as in `image/png`.
    pub content_type: String,
    /// Its size.
    pub size_bytes: usize,
    /// When it was uploaded.
    pub created: Timestamp,
}

impl Image {
    fn chunks(&self) -> impl Iterator<Item = String> + use<> {
        let id = self.id;
        (0..self.size_bytes.div_ceil(CHUNK_BYTES)).map(move |number| Chunk::id_of(id, number))
    }
}

impl Document for Image {
    const KIND: RecordKind = RecordKind("image");

    fn id(&self) -> String {
        self.id.to_string()
    }

    fn tags(&self) -> Tags {
        Tags { sort: self.created.0, listed: true, names: Vec::new() }
    }
}

/// Part of a picture.
#[derive(Debug, Serialize, Deserialize)]
struct Chunk {
    image: Uuid,
    number: usize,
    base64: String,
}

impl Chunk {
    fn id_of(image: Uuid, number: usize) -> String {
        format!("{image}/{number:04}")
    }
}

impl Document for Chunk {
    const KIND: RecordKind = RecordKind("image_chunk");

    fn id(&self) -> String {
        Self::id_of(self.image, self.number)
    }

    fn tags(&self) -> Tags {
        Tags::default()
    }
}

/// What kind of picture this is: `None` for anything but PNG, JPEG, GIF and WebP.
pub fn content_type(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some("image/png"),
        [0xff, 0xd8, 0xff, ..] => Some("image/jpeg"),
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some("image/gif"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some("image/webp"),
        _ => None,
    }
}

/// Keeps a picture.
///
/// # Errors
/// What the store says.
pub async fn keep(documents: &Documents, image: &Image, bytes: &[u8]) -> Result<(), Error> {
    for (number, part) in bytes.chunks(CHUNK_BYTES).enumerate() {
        let chunk = Chunk { image: image.id, number, base64: BASE64.encode(part) };
        documents.write(Changes::default().put(&chunk)).await?;
    }
    documents.write(Changes::default().create(image)).await
}

/// The bytes of a picture.
///
/// # Errors
/// What the store says; [`Error::Internal`] if a part of it is gone.
pub async fn bytes(documents: &Documents, image: &Image) -> Result<Bytes, Error> {
    let mut bytes = BytesMut::with_capacity(image.size_bytes);
    for id in image.chunks() {
        let chunk = documents.get::<Chunk>(&id).await?.ok_or(Error::Internal)?;
        bytes.extend(BASE64.decode(&chunk.base64).map_err(|_| Error::Internal)?);
    }
    Ok(bytes.freeze())
}

/// Shows models the pictures that owners keep.
#[derive(Debug, Clone, Copy, Default)]
pub struct Pictures;

#[async_trait]
impl Extension for Pictures {
    async fn extend(&self, _: &Documents, _: &mut Workspace) -> Result<(), Error> {
        Ok(())
    }

    async fn picture(&self, documents: &Documents, id: Uuid, most_bytes: usize) -> Result<Picture, Error> {
        let image = match documents.get::<Image>(&id.to_string()).await {
            Ok(Some(found)) => found.value,
            Ok(None) | Err(Error::Damaged) => return Ok(Picture::Gone),
            Err(error) => return Err(error),
        };
        if image.size_bytes > most_bytes {
            return Ok(Picture::TooLarge);
        }
        match bytes(documents, &image).await {
            Ok(bytes) => Ok(Picture::Here { content_type: image.content_type, bytes }),
            // Taken away, or damaged, since.
            Err(Error::Internal | Error::Damaged) => Ok(Picture::Gone),
            Err(error) => Err(error),
        }
    }
}

/// Takes a picture away.
///
/// # Errors
/// What the store says.
pub async fn remove(documents: &Documents, image: &Image) -> Result<(), Error> {
    let gone = Changes::default().delete::<Image>(&image.id.to_string());
    documents.write(image.chunks().fold(gone, |gone, id| gone.delete::<Chunk>(&id))).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_known_by_its_first_bytes() {
        assert_eq!(content_type(b"\x89PNG\r\n\x1a\nrest"), Some("image/png"));
        assert_eq!(content_type(b"\xff\xd8\xff\xe0"), Some("image/jpeg"));
        assert_eq!(content_type(b"GIF89a"), Some("image/gif"));
        assert_eq!(content_type(b"RIFF\0\0\0\0WEBPVP8 "), Some("image/webp"));
        assert_eq!(content_type(b"<svg onload=alert(1)>"), None);
        assert_eq!(content_type(b""), None);
    }
}
