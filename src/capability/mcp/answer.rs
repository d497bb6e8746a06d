//! What a server answers to a call, as text for the model, and as pictures where it is to see them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rmcp::model::{CallToolResult, ContentBlock, ResourceContents};

use crate::domain::message::{Media, MediaKind, MediaSource};
use crate::domain::tool::ToolResult;

/// Most pictures of one result.
const MOST_IMAGES: usize = 8;

/// Most that the pictures of one result take, in bytes of base64; it goes into the log whole.
const IMAGE_BYTES: usize = 2 * 1024 * 1024;

/// What models take.
const IMAGE_TYPES: [&str; 4] = ["image/png", "image/jpeg", "image/gif", "image/webp"];

/// The result of a call. What is neither text nor JSON is named, with its size; pictures are taken along if the model
/// is to see them.
pub(super) fn result(answer: CallToolResult, sees: bool) -> ToolResult {
    let mut images = Vec::new();
    let mut parts: Vec<String> = Vec::with_capacity(answer.content.len());
    for block in &answer.content {
        let taken = image(block).filter(|image| sees && has_room(&images, image));
        parts.push(match taken {
            Some(_) => part(block).replace(": not shown]", ": shown]"),
            None => part(block),
        });
        images.extend(taken);
    }
    if let (true, Some(value)) = (parts.is_empty(), &answer.structured_content) {
        parts.push(value.to_string());
    }
    let text = parts.join("\n");
    let failed = answer.is_error.unwrap_or_default();
    let result = if failed { ToolResult::failed(text) } else { ToolResult::done(text) };
    ToolResult { images, ..result }
}

/// The picture in a block, if it is one that models take.
fn image(block: &ContentBlock) -> Option<Media> {
    let ContentBlock::Image(image) = block else { return None };
    let is_whole = BASE64.decode(&image.data).is_ok_and(|bytes| !bytes.is_empty());
    let mime_type = IMAGE_TYPES.into_iter().find(|known| image.mime_type.eq_ignore_ascii_case(known))?;
    is_whole.then(|| Media {
        kind: MediaKind::Image,
        id: "image".into(),
        format: None,
        mime_type: Some(mime_type.into()),
        filename: None,
        source: MediaSource::Base64(image.data.clone()),
    })
}

fn has_room(images: &[Media], one: &Media) -> bool {
    let size = |media: &Media| match &media.source {
        MediaSource::Base64(data) | MediaSource::Url(data) => data.len(),
        MediaSource::Kept(_) => 0,
    };
    let sum: usize = images.iter().chain([one]).map(size).sum();
    images.len() < MOST_IMAGES && sum <= IMAGE_BYTES
}

fn part(block: &ContentBlock) -> String {
    let thing = |kind: &str, mime: &str, data: &str| {
        format!("[{kind}, {mime}, {} bytes: not shown]", data.len() / 4 * 3)
    };
    match block {
        ContentBlock::Text(text) => text.text.clone(),
        ContentBlock::Image(image) => thing("image", &image.mime_type, &image.data),
        ContentBlock::Audio(audio) => thing("audio", &audio.mime_type, &audio.data),
        ContentBlock::ResourceLink(link) => format!("[resource {}: {}]", link.uri, link.name),
        ContentBlock::Resource(embedded) => match &embedded.resource {
            ResourceContents::TextResourceContents { text, .. } => text.clone(),
            ResourceContents::BlobResourceContents { uri, blob, .. } => thing("resource", uri, blob),
            _ => "[a resource of an unknown kind]".into(),
        },
        _ => "[something of an unknown kind]".into(),
    }
}
