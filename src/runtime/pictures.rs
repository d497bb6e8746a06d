//! Pictures that an owner keeps, put into a question to a model: fetched each time it is asked, so that logs hold names
//! and no bytes, and a run that is taken up again shows them too.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use uuid::Uuid;

use super::workspace::Picture;
use super::{Error, Inner, Runtime};
use crate::domain::id::Owner;
use crate::domain::message::{Input, Media, MediaSource, Message};

/// Bytes of kept pictures in one question, at most; the latest are shown.
const MOST_BYTES: usize = 20 * 1024 * 1024;

impl Inner {
    /// Puts bytes in the place of names, the latest first. What cannot be shown is told in words.
    pub(super) async fn show_pictures(
        self: &Arc<Self>,
        owner: &Owner,
        messages: &mut [Message],
    ) -> Result<(), Error> {
        let mut left = MOST_BYTES;
        for message in messages.iter_mut().rev() {
            if let Message::User { input } = message {
                self.show_in(owner, input, &mut left).await?;
            }
        }
        Ok(())
    }

    async fn show_in(
        self: &Arc<Self>,
        owner: &Owner,
        input: &mut Input,
        left: &mut usize,
    ) -> Result<(), Error> {
        let mut shown = Vec::with_capacity(input.media.len());
        for mut media in std::mem::take(&mut input.media) {
            let MediaSource::Kept(id) = media.source else {
                shown.push(media);
                continue;
            };
            match self.picture(owner, id, *left).await? {
                Picture::Here { content_type, bytes } => {
                    *left = left.saturating_sub(bytes.len());
                    media.source = MediaSource::Base64(STANDARD.encode(&bytes));
                    media.mime_type = Some(content_type);
                    shown.push(media);
                }
                Picture::TooLarge => tell(input, &media, "was left out: all pictures together are too large"),
                Picture::Gone => tell(input, &media, "is not available any more"),
            }
        }
        input.media = shown;
        Ok(())
    }

    async fn picture(self: &Arc<Self>, owner: &Owner, id: Uuid, most: usize) -> Result<Picture, Error> {
        let documents = Runtime(self.clone()).documents(owner);
        for extension in &self.extensions {
            match extension.picture(&documents, id, most).await? {
                Picture::Gone => {}
                found @ (Picture::Here { .. } | Picture::TooLarge) => return Ok(found),
            }
        }
        Ok(Picture::Gone)
    }
}

fn tell(input: &mut Input, media: &Media, what: &str) {
    let name = media.filename.as_deref().unwrap_or(&media.id);
    let gap = if input.text.is_empty() { "" } else { "\n" };
    input.text.push_str(&format!("{gap}[The picture {name} {what}.]"));
}
