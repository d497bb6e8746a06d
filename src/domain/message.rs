//! What is said: input, messages, and one call of a model.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::Object;
use super::id::{CallId, ModelName};
use super::tool::{ToolCall, ToolSpec};

/// What kind of thing a piece of media is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MediaKind {
    /// A picture.
    Image,
    /// A sound.
    Audio,
    /// A film.
    Video,
    /// Any other document.
    File,
}

/// A picture, sound, film or document beside the text of an input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Media {
    /// Which list of a surface it belongs to.
    pub kind: MediaKind,
    /// Unique within the run.
    pub id: String,
    /// Short name of the format, as in `png`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// As in `image/png`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mime_type: Option<String>,
    /// As uploaded; never used as a path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filename: Option<String>,
    /// Where the bytes are.
    pub source: MediaSource,
}

/// Where the bytes of a [`Media`] are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MediaSource {
    /// At this address; the provider fetches it, we do not.
    Url(String),
    /// Here, in base64.
    Base64(String),
    /// Among the pictures that the owner keeps on the server: fetched when a model is asked, and never copied into a log.
    Kept(Uuid),
}

/// What a run is asked.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Input {
    /// The message; may be empty only beside media.
    pub text: String,
    /// Beside the text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub media: Vec<Media>,
    /// What the client wants kept with the message, in the words of its surface; no model sees it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extra: Option<Object>,
}

impl Input {
    /// Whether nothing is asked: only of a run that goes on with another's conversation as it is.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty() && self.media.is_empty()
    }
}

/// One message of a conversation, as a model is shown it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "role", rename_all = "snake_case")]
pub enum Message {
    /// Instructions.
    System {
        /// Rendered text.
        text: String,
    },
    /// What a person or client said.
    User {
        /// Text and media.
        input: Input,
    },
    /// What the model said.
    Assistant {
        /// The answer; may be empty beside tool calls.
        text: String,
        /// Reasoning the provider showed.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        reasoning: String,
        /// What it asked for.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        tool_calls: Vec<ToolCall>,
    },
    /// What came of one call.
    Tool {
        /// Which call.
        call: CallId,
        /// Which tool.
        name: String,
        /// What the model reads.
        content: String,
        /// What it sees besides.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        images: Vec<Media>,
        /// Whether it failed.
        error: bool,
    },
}

impl Message {
    /// Whether it is the result of this call.
    pub fn answers(&self, id: &CallId) -> bool {
        matches!(self, Self::Tool { call, .. } if call == id)
    }
}

/// Tokens, as the provider counted them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Usage {
    /// Tokens read.
    pub input: u64,
    /// Tokens written.
    pub output: u64,
    /// Part of `output`: thinking.
    pub reasoning: u64,
    /// Part of `input`: from the provider's cache.
    pub cache_read: u64,
    /// Part of `input`: written to the provider's cache.
    pub cache_write: u64,
}

impl Usage {
    /// Read and written together.
    pub fn total(&self) -> u64 {
        self.input.saturating_add(self.output)
    }

    /// Adds another count to this one.
    pub fn add(&mut self, other: &Self) {
        self.input = self.input.saturating_add(other.input);
        self.output = self.output.saturating_add(other.output);
        self.reasoning = self.reasoning.saturating_add(other.reasoning);
        self.cache_read = self.cache_read.saturating_add(other.cache_read);
        self.cache_write = self.cache_write.saturating_add(other.cache_write);
    }
}

/// Why a model stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finish {
    /// It was done.
    Stop,
    /// It wants tools called.
    ToolCalls,
    /// It ran out of room: the answer is cut.
    Length,
    /// The provider cut it.
    ContentFilter,
}

/// One question to a model.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelCall {
    /// Who is asked.
    pub model: ModelName,
    /// The conversation, healed: each tool call is followed by its result.
    pub messages: Vec<Message>,
    /// What it may call.
    pub tools: Vec<ToolSpec>,
    /// JSON Schema the answer must fit.
    pub output_schema: Option<Value>,
    /// How hard it should think, in the provider's words: `low`, `medium`, `high`.
    pub reasoning_effort: Option<String>,
}
