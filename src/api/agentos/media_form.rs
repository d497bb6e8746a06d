//! Media of a run's form: uploaded, or by reference.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::api::form::Upload;
use crate::api::problem::{Problem, Violation};
use crate::domain::message::{Media, MediaKind, MediaSource};

use super::error::Error;

/// An item of one of the form's lists of media.
#[derive(Debug, Clone, PartialEq)]
pub struct Reference {
    /// The list it came in.
    pub field: &'static str,
    /// What the list holds.
    pub kind: MediaKind,
    /// The item, as it was sent.
    pub value: Value,
}

const IMAGES: &[&str] = &["png", "jpeg", "jpg", "gif", "webp", "bmp", "tiff", "tif", "avif", "heic", "heif"];
const AUDIOS: &[&str] =
    &["wav", "x-wav", "wave", "mp3", "mpeg", "ogg", "mp4", "m4a", "x-m4a", "aac", "flac", "x-flac"];
const VIDEOS: &[&str] = &[
    "x-flv",
    "flv",
    "quicktime",
    "mov",
    "mpeg",
    "mpegs",
    "mpgs",
    "mpg",
    "mp4",
    "webm",
    "wmv",
    "x-ms-wmv",
    "3gp",
    "3gpp",
];
const DOCUMENT_EXTENSIONS: &[&str] = &[
    "pdf", "json", "js", "docx", "doc", "pptx", "ppt", "xlsx", "xls", "msg", "py", "txt", "html", "css",
    "md", "csv", "xml", "rtf",
];
const DOCUMENT_TYPES: &[&str] = &[
    "application/pdf",
    "application/json",
    "application/javascript",
    "application/x-javascript",
    "text/javascript",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "application/msword",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    "application/vnd.ms-powerpoint",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "application/vnd.ms-excel",
    "application/vnd.ms-outlook",
    "text/x-python",
    "text/plain",
    "text/html",
    "text/css",
    "text/markdown",
    "text/md",
    "text/csv",
    "application/xml",
    "text/xml",
    "application/rtf",
    "text/rtf",
];

/// The media of a form, each with an id of its own.
///
/// # Errors
/// 400 "Unsupported file type"; 400 for a path on our disk, or for an item without an address or content.
pub fn media(references: Vec<Reference>, uploads: Vec<Upload>) -> Result<Vec<Media>, Error> {
    let mut media: Vec<Media> = Vec::new();
    for reference in references {
        media.push(referenced(reference)?);
    }
    for upload in uploads {
        if upload.field == "files" && !upload.bytes.is_empty() {
            media.push(uploaded(upload)?);
        }
    }
    name(&mut media);
    Ok(media)
}

/// 422 for a form whose message is empty, with nothing beside it.
pub fn missing_message() -> Error {
    Problem::invalid(vec![Violation {
        kind: "missing",
        place: vec!["body".into(), "message".into()],
        message: "Field required".into(),
        input: Value::Null,
        context: None,
    }])
    .into()
}

/// Gives those without an id, or with somebody else's, the name of their place.
fn name(media: &mut [Media]) {
    let mut taken = std::collections::HashSet::new();
    for (place, item) in media.iter_mut().enumerate() {
        if item.id.is_empty() || !taken.insert(item.id.clone()) {
            item.id = format!("media-{}", place + 1);
            taken.insert(item.id.clone());
        }
    }
}

fn referenced(Reference { field, kind, value }: Reference) -> Result<Media, Error> {
    let text = |name: &str| value.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    if text("filepath").is_some() {
        let message = format!("{field}: this server reads no file of its own; send `content` or `url`");
        return Err(Error::bad_request(message));
    }
    let source = match (text("content"), text("url")) {
        (Some(content), _) if STANDARD.decode(content).is_ok() => MediaSource::Base64(content.into()),
        (Some(_), _) => return Err(Error::bad_request(format!("{field}: `content` is not valid base64"))),
        (None, Some(url)) => MediaSource::Url(url.into()),
        (None, None) => return Err(Error::bad_request(format!("{field}: an item needs `url` or `content`"))),
    };
    let filename = text("filename").or_else(|| text("name")).map(Into::into);
    let (format, mime_type) = (text("format").map(Into::into), text("mime_type").map(Into::into));
    Ok(Media { kind, id: text("id").unwrap_or_default().into(), format, mime_type, filename, source })
}

fn uploaded(upload: Upload) -> Result<Media, Error> {
    let extension = upload.filename.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
    let kind = sorted(&upload.mime_type, extension.as_deref())
        .ok_or_else(|| Error::bad_request("Unsupported file type"))?;
    Ok(Media {
        kind,
        id: String::new(),
        format: extension.or_else(|| subtype(&upload.mime_type).map(Into::into)),
        mime_type: Some(upload.mime_type).filter(|kind| !kind.is_empty()),
        filename: Some(upload.filename).filter(|name| !name.is_empty()),
        source: MediaSource::Base64(STANDARD.encode(&upload.bytes)),
    })
}

/// By type, or by extension where the type says nothing.
fn sorted(mime_type: &str, extension: Option<&str>) -> Option<MediaKind> {
    let mime_type = mime_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if mime_type.is_empty() || mime_type == "application/octet-stream" {
        return by_extension(extension?);
    }
    let listed = |list: &[&str], kind| subtype(&mime_type).filter(|sub| list.contains(sub)).map(|_| kind);
    match mime_type.split('/').next() {
        Some("image") => listed(IMAGES, MediaKind::Image),
        Some("audio") => listed(AUDIOS, MediaKind::Audio),
        Some("video") => listed(VIDEOS, MediaKind::Video),
        _ => DOCUMENT_TYPES.contains(&mime_type.as_str()).then_some(MediaKind::File),
    }
}

/// `mp4` and `mpeg` are films or sounds; without a type they count as films.
fn by_extension(extension: &str) -> Option<MediaKind> {
    let lists = [
        (IMAGES, MediaKind::Image),
        (VIDEOS, MediaKind::Video),
        (AUDIOS, MediaKind::Audio),
        (DOCUMENT_EXTENSIONS, MediaKind::File),
    ];
    lists.into_iter().find(|(list, _)| list.contains(&extension)).map(|(_, kind)| kind)
}

fn subtype(mime_type: &str) -> Option<&str> {
    mime_type.split(';').next()?.trim().split_once('/').map(|(_, sub)| sub)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_sorted_by_type_and_by_extension_where_the_type_says_nothing() {
        assert_eq!(sorted("image/png", None), Some(MediaKind::Image));
        assert_eq!(sorted("application/octet-stream", Some("wav")), Some(MediaKind::Audio));
        assert_eq!(sorted("", Some("mp4")), Some(MediaKind::Video));
        assert_eq!(sorted("text/csv; charset=utf-8", Some("png")), Some(MediaKind::File));
        assert_eq!(sorted("application/x-msdownload", Some("exe")), None);
        assert_eq!(sorted("", Some("exe")), None);
    }

    #[test]
    fn each_item_has_an_id_of_its_own() {
        let item = |id: &str| Media {
            kind: MediaKind::Image,
            id: id.into(),
            format: None,
            mime_type: None,
            filename: None,
            source: MediaSource::Url("https://example.org/a.png".into()),
        };
        let mut media = [item("a"), item(""), item("a")];
        name(&mut media);
        assert_eq!(media.map(|item| item.id), ["a", "media-2", "media-3"]);
    }
}
