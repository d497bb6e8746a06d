//! A message as a client sends it: parts, controls, and what is kept with it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use uuid::Uuid;

use super::assignment;
use super::events::parts::CONTENT;
use super::ids::{self, IMAGE, MODEL};
use crate::api::fields::{Fields, FromFields};
use crate::domain::Object;
use crate::domain::message::{Input, Media, MediaKind, MediaSource};

/// Longest name of how hard a model should think, in bytes.
const MAX_EFFORT: usize = 32;

/// Pictures of one message.
const MAX_PICTURES: usize = 100;

/// What a client says.
#[derive(Debug, Default)]
pub struct MessageForm {
    text: String,
    pictures: Vec<Picture>,
    /// The parts without the bytes, where text and pictures alone do not tell them.
    content: Option<Vec<Value>>,
    kept: Object,
    /// The id of the model that is to answer.
    pub model: Option<String>,
    /// How hard it should think.
    pub effort: Option<String>,
}

#[derive(Debug)]
struct Picture {
    /// Which part of the message it is, from 0.
    part: usize,
    kind: Option<String>,
    filename: Option<String>,
    source: MediaSource,
}

impl MessageForm {
    /// As the core takes it; `name` makes a name for each picture.
    pub fn input(&self, name: impl Fn() -> String) -> Input {
        let media = self.pictures.iter().map(|picture| Media {
            kind: MediaKind::Image,
            id: name(),
            format: picture.kind.as_deref().and_then(|kind| kind.strip_prefix("image/")).map(Into::into),
            mime_type: picture.kind.clone(),
            filename: picture.filename.clone(),
            source: picture.source.clone(),
        });
        let mut extra = self.kept.clone();
        if let Some(content) = &self.content {
            extra.insert(CONTENT.into(), content.clone().into());
        }
        Input { text: self.text.clone(), media: media.collect(), extra: (!extra.is_empty()).then_some(extra) }
    }

    /// The pictures it names that the server should have: which part names which.
    pub fn kept(&self) -> impl Iterator<Item = (usize, Uuid)> {
        self.pictures.iter().filter_map(|picture| match picture.source {
            MediaSource::Kept(id) => Some((picture.part, id)),
            MediaSource::Url(_) | MediaSource::Base64(_) => None,
        })
    }

    fn read_content(&mut self, content: &Value) -> Result<(), String> {
        let parts = content.as_array().ok_or("`content` must be a list of parts")?;
        if parts.is_empty() {
            return Err("`content` must hold a part".into());
        }
        let mut texts = Vec::new();
        let mut shown = Vec::with_capacity(parts.len());
        for (index, part) in parts.iter().enumerate() {
            shown.push(
                self.read_part((index, part), &mut texts).map_err(|why| format!("part {index}: {why}"))?,
            );
        }
        if self.pictures.len() > MAX_PICTURES {
            return Err(format!("`content` may hold {MAX_PICTURES} pictures"));
        }
        self.text = texts.join("\n");
        let is_plain = matches!(shown.as_slice(), [part] if part["type"] == "text");
        self.content = (!is_plain).then_some(shown);
        if self.text.is_empty() && self.pictures.is_empty() {
            return Err("`content` must say something".into());
        }
        Ok(())
    }

    /// Takes in a part; what of it is kept with the message.
    fn read_part(
        &mut self,
        (index, part): (usize, &Value),
        texts: &mut Vec<String>,
    ) -> Result<Value, String> {
        let field = |name: &str| part.get(name).filter(|value| !value.is_null());
        let text = |name: &str| match field(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(format!("`{name}` must be text")),
        };
        match text("type")?.as_deref() {
            Some("text") => {
                texts.push(text("text")?.ok_or("`text` is missing")?);
                Ok(part.clone())
            }
            Some("image") => {
                let kind = text("media_type")?;
                let source = picture(text("url")?, text("base64")?, kind.as_deref())?;
                self.pictures.push(Picture { part: index, kind, filename: None, source });
                Ok(serde_json::json!({ "type": "image" }))
            }
            Some("image_file") => {
                let id = text("image_id")?.ok_or("`image_id` is missing")?;
                let id = ids::read(IMAGE, &id).ok_or("`image_id` must be the id of an image")?;
                let (filename, source) = (text("filename")?, MediaSource::Kept(id));
                self.pictures.push(Picture { part: index, kind: None, filename, source });
                Ok(part.clone())
            }
            _ => Err("`type` must be text, image or image_file".into()),
        }
    }

    fn read_controls(&mut self, controls: &Object) -> Result<(), String> {
        let text = |value: Option<&Value>, name: &str| match value {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(format!("`{name}` must be text")),
        };
        self.model = text(controls.get("model_id"), "model_id")?;
        if self.model.as_deref().is_some_and(|model| ids::read(MODEL, model).is_none()) {
            return Err("Invalid model ID".into());
        }
        let effort = match controls.get("reasoning").unwrap_or(&Value::Null) {
            Value::Null => None,
            Value::Object(reasoning) => reasoning.get("effort"),
            Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                return Err("`reasoning` must be an object".into());
            }
        };
        self.effort = text(effort, "effort")?;
        if self.effort.as_ref().is_some_and(|effort| effort.is_empty() || effort.len() > MAX_EFFORT) {
            return Err("`effort` must be a word as `low`, `medium` or `high`".into());
        }
        Ok(())
    }
}

fn picture(url: Option<String>, bytes: Option<String>, kind: Option<&str>) -> Result<MediaSource, String> {
    match (url, bytes) {
        (Some(url), None) if url.starts_with("https://") || url.starts_with("http://") => {
            Ok(MediaSource::Url(url))
        }
        (Some(_), None) => Err("`url` must begin with https:// or http://".into()),
        (None, Some(bytes)) => {
            if !kind.is_some_and(|kind| kind.starts_with("image/")) {
                return Err("`media_type` must name a kind of image, as `image/png`".into());
            }
            STANDARD.decode(&bytes).map_err(|_| "`base64` is not valid base64")?;
            Ok(MediaSource::Base64(bytes))
        }
        (Some(_), Some(_)) | (None, None) => Err("either `url` or `base64` must be there".into()),
    }
}

impl FromFields for MessageForm {
    fn from_fields(fields: &mut Fields) -> Self {
        let mut form = Self::default();
        let message = match fields.object("message") {
            Some(message) => message,
            None => {
                fields.missing("message");
                return form;
            }
        };
        let read = message.get("content").ok_or_else(|| "`content` is missing".to_owned());
        if let Err(why) = read.and_then(|content| form.read_content(content)) {
            fields.violation("message", "value_error", why);
        }
        if let Some(controls) = fields.object("controls") {
            if let Err(why) = form.read_controls(&controls) {
                fields.violation("controls", "value_error", why);
            }
            form.kept.insert("controls".into(), controls.into());
        }
        if let Some(metadata) = fields.object("metadata").or_else(|| object(message.get("metadata"))) {
            form.kept.insert("metadata".into(), metadata.into());
        }
        let tags = assignment::texts(fields, "tags").unwrap_or_default();
        if !tags.is_empty() {
            form.kept.insert("tags".into(), tags.into());
        }
        form
    }
}

fn object(value: Option<&Value>) -> Option<Object> {
    value.and_then(Value::as_object).cloned()
}
