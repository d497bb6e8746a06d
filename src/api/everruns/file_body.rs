//! Files, as this surface reads and writes them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use serde::Serialize;

use super::error::Error;
use super::ids::{self, PublicId};
use super::time::moment;
use crate::api::fields::{Fields, FromFields};
use crate::capability::files::FileError;
use crate::capability::search;
use crate::domain::file::{FileInfo, FilePath};
use crate::domain::id::SessionId;

/// What is known of a file.
#[derive(Debug, Serialize)]
pub(super) struct InfoBody {
    id: String,
    session_id: PublicId,
    #[serde(flatten)]
    stat: StatBody,
}

/// The same without its session.
#[derive(Debug, Serialize)]
pub(super) struct StatBody {
    path: String,
    name: String,
    is_directory: bool,
    is_readonly: bool,
    size_bytes: u64,
    created_at: String,
    updated_at: String,
}

/// A file with what it holds.
#[derive(Debug, Serialize)]
pub(super) struct FileBody {
    #[serde(flatten)]
    info: InfoBody,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<String>,
    encoding: &'static str,
}

impl StatBody {
    pub(super) fn new(info: FileInfo) -> Self {
        Self {
            name: info.path.name().to_owned(),
            path: info.path.into(),
            is_directory: info.folder,
            is_readonly: info.readonly,
            size_bytes: info.size,
            created_at: moment(info.created),
            updated_at: moment(info.updated),
        }
    }
}

impl InfoBody {
    pub(super) fn new(session: &SessionId, info: FileInfo) -> Self {
        Self { id: info.id.to_string(), session_id: ids::session(session), stat: StatBody::new(info) }
    }
}

impl FileBody {
    /// A folder holds no content of its own.
    pub(super) fn new(session: &SessionId, info: FileInfo, content: Option<&[u8]>) -> Self {
        let (content, encoding) = match content.map(|content| (content, search::text(content))) {
            None => (None, "text"),
            Some((_, Some(text))) => (Some(text.to_owned()), "text"),
            Some((content, None)) => (Some(BASE64.encode(content)), "base64"),
        };
        Self { info: InfoBody::new(session, info), content, encoding }
    }
}

/// A file as a client writes it.
#[derive(Debug, Default)]
pub(super) struct FileForm {
    pub(super) content: Option<Bytes>,
    pub(super) readonly: Option<bool>,
    pub(super) folder: bool,
}

impl FromFields for FileForm {
    fn from_fields(fields: &mut Fields) -> Self {
        let encodings = [("text", false), ("base64", true)];
        let in_base64 = fields.choice("encoding", &encodings).unwrap_or_default();
        let content = fields.text("content");
        let content = content.and_then(|content| match BASE64.decode(&content) {
            _ if !in_base64 => Some(Bytes::from(content)),
            Ok(bytes) => Some(Bytes::from(bytes)),
            Err(_) => {
                fields.violation("content", "value_error", "is no base64");
                None
            }
        });
        let readonly = fields.flag("is_readonly");
        Self { content, readonly, folder: fields.flag("is_directory").unwrap_or_default() }
    }
}

/// From where to where.
#[derive(Debug)]
pub(super) struct Passage {
    pub(super) from: String,
    pub(super) to: String,
}

impl FromFields for Passage {
    fn from_fields(fields: &mut Fields) -> Self {
        Self { from: fields.required_text("src_path"), to: fields.required_text("dst_path") }
    }
}

/// What is looked for, and where.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) pattern: String,
    pub(super) paths: Option<String>,
}

impl FromFields for Wanted {
    fn from_fields(fields: &mut Fields) -> Self {
        Self { pattern: fields.required_text("pattern"), paths: fields.text("path_pattern") }
    }
}

/// One path.
#[derive(Debug)]
pub(super) struct OnePath(pub(super) String);

impl FromFields for OnePath {
    fn from_fields(fields: &mut Fields) -> Self {
        Self(fields.required_text("path"))
    }
}

/// A path that a client may name.
///
/// # Errors
/// 400 for what is none.
pub(super) fn path(text: &str) -> Result<FilePath, Error> {
    FilePath::parse_open(text).map_err(|bad| Error::bad_request(bad.to_string()))
}

impl From<FileError> for Error {
    fn from(error: FileError) -> Self {
        let message = error.to_string();
        match error {
            FileError::Missing(_) => Self::not_found(message),
            FileError::Exists(_) | FileError::Changed(_) => Self::conflict(message),
            FileError::IsFolder(_)
            | FileError::IsFile(_)
            | FileError::NotEmpty(_)
            | FileError::ReadOnly(_)
            | FileError::TooLarge(_) => Self::bad_request(message),
            FileError::Unavailable => Self::unavailable(message),
        }
    }
}
