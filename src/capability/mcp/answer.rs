//! What a server answers to a call, as text for the model.

use rmcp::model::{CallToolResult, ContentBlock, ResourceContents};

use crate::domain::tool::ToolResult;

/// The result of a call. What is neither text nor JSON is named, with its size.
pub(super) fn result(answer: CallToolResult) -> ToolResult {
    let mut parts: Vec<String> = answer.content.iter().map(part).collect();
    if let (true, Some(value)) = (parts.is_empty(), &answer.structured_content) {
        parts.push(value.to_string());
    }
    let text = parts.join("\n");
    if answer.is_error.unwrap_or_default() { ToolResult::failed(text) } else { ToolResult::done(text) }
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
