//! Floor 2, who answers: the seam to language models.

mod call_ids;
pub mod openai;
pub mod scripted;
pub mod secret;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;

use crate::domain::fact::{Failure, Piece};
use crate::domain::id::ModelName;
use crate::domain::message::{Finish, ModelCall, Usage};
use crate::domain::tool::ToolCall;

/// Someone who answers.
#[async_trait]
pub trait Model: Send + Sync + 'static {
    /// Asks. Tries, deadlines and leniency are the adapter's: what comes back is final.
    ///
    /// The stream ends with exactly one [`Chunk::Done`], or with an error; an answer without an end is an error
    /// (`truncated`), never a short answer.
    ///
    /// # Errors
    /// A [`Failure`] whose message may be shown to clients: no secret, no internals.
    async fn answer(&self, call: ModelCall) -> Result<Answer, Failure>;
}

/// An answer as it comes.
pub type Answer = BoxStream<'static, Result<Chunk, Failure>>;

/// Part of an answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Chunk {
    /// Text or reasoning; never empty.
    Piece(Piece),
    /// The end, with everything that is only known then.
    Done {
        /// Tool calls, assembled.
        tool_calls: Vec<ToolCall>,
        /// Why it stopped.
        finish: Finish,
        /// What it cost; zeros where the provider does not say.
        usage: Usage,
        /// The provider's name for the answer.
        id: Option<String>,
    },
}

/// The providers of the configuration, by name.
#[derive(Clone, Default)]
pub struct Models {
    providers: BTreeMap<String, Arc<dyn Model>>,
    disabled: BTreeSet<ModelName>,
    default: Option<ModelName>,
}

impl Models {
    /// Adds or replaces a provider.
    #[must_use]
    pub fn with(mut self, provider: &str, model: Arc<dyn Model>) -> Self {
        self.providers.insert(provider.into(), model);
        self
    }

    /// Lets nobody ask this model; its provider's others stay.
    #[must_use]
    pub fn without(mut self, model: ModelName) -> Self {
        self.disabled.insert(model);
        self
    }

    /// Who answers where nothing else is said.
    #[must_use]
    pub fn defaulting(mut self, model: ModelName) -> Self {
        self.default = Some(model);
        self
    }

    /// Who answers where nothing else is said.
    pub fn default_model(&self) -> Option<&ModelName> {
        self.default.as_ref()
    }

    /// Whether this model may be asked.
    pub fn has(&self, model: &ModelName) -> bool {
        self.providers.contains_key(&model.provider) && !self.disabled.contains(model)
    }

    /// The provider's adapter.
    pub fn get(&self, provider: &str) -> Option<&Arc<dyn Model>> {
        self.providers.get(provider)
    }

    /// All names, sorted.
    pub fn providers(&self) -> impl Iterator<Item = &str> {
        self.providers.keys().map(String::as_str)
    }
}

/// How long a provider may take, and how often it is asked (promises P13, P14).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// To connect.
    pub connect: Duration,
    /// From the request to the first event.
    pub first_byte: Duration,
    /// Between two events; comments do not count.
    pub idle: Duration,
    /// Tries in all, before anything was said.
    pub tries: u32,
    /// Longest pause a `Retry-After` may ask for.
    pub retry_after_cap: Duration,
    /// Longest answer, in bytes on the wire.
    pub answer_bytes: usize,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            first_byte: Duration::from_secs(60),
            idle: Duration::from_secs(30),
            tries: 3,
            retry_after_cap: Duration::from_secs(30),
            answer_bytes: 16 * 1024 * 1024,
        }
    }
}
