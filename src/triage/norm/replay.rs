//! What a draft would have answered: its instructions and what was said before a turn are put to the model anew.
//!
//! Only the model is asked; no tool is called and nothing is stored.

use futures::StreamExt;
use serde_json::Value;

use crate::domain::fact::Piece;
use crate::domain::message::{Input, Message, ModelCall};
use crate::llm::Chunk;
use crate::runtime;
use crate::triage::Board;
use crate::triage::binding;
use crate::triage::document::TriageDocument;
use crate::triage::error::Error;
use crate::triage::evidence::{Said, Speaker};

/// How often a turn is replayed at most.
const MOST_TIMES: u64 = 5;

/// What was said, and what would be.
pub(super) struct Replayed {
    pub(super) asked: String,
    pub(super) before: Option<String>,
    pub(super) after: Vec<String>,
}

impl Board {
    /// Asks the model of a content what it says to a turn: the one of a person at `index`, or the last before it.
    pub(super) async fn replay(
        &self,
        document: &TriageDocument,
        content: &Value,
        said: &[Said],
        index: usize,
        times: u64,
    ) -> Result<Replayed, Error> {
        let until =
            said.get(..=index).ok_or_else(|| Error::invalid("message_index", "there is no such message"))?;
        let asked = until.iter().rposition(|said| said.role == Speaker::User);
        let asked =
            asked.ok_or_else(|| Error::invalid("message_index", "nobody asked anything before it"))?;
        let before = said.iter().skip(asked.saturating_add(1)).take_while(|said| said.role != Speaker::User);
        let before = before.filter(|said| said.role == Speaker::Assistant).last();
        let spoken = said.get(..=asked).unwrap_or_default();
        let (model, instructions) = self.speaker_of(document, content).await?;
        let workspace = self.runtime.workspace(self.owner()).await?;
        let asked_of =
            workspace.models.get(&model.provider).filter(|_| workspace.models.has(&model)).cloned();
        let asked_of =
            asked_of.ok_or_else(|| Error::invalid("version", format!("there is no model `{model}`")))?;
        let mut messages = vec![Message::System { text: instructions }];
        messages.extend(spoken.iter().filter_map(message));
        let mut after = Vec::new();
        for _ in 0..times.clamp(1, MOST_TIMES) {
            let call = ModelCall {
                model: model.clone(),
                messages: messages.clone(),
                tools: Vec::new(),
                output_schema: None,
                reasoning_effort: None,
            };
            let failed =
                |failure: crate::domain::fact::Failure| Error::conflict("replay_failed", failure.message);
            let mut answer = asked_of.answer(call).await.map_err(failed)?;
            let mut text = String::new();
            while let Some(chunk) = answer.next().await {
                if let Chunk::Piece(Piece::Text(piece)) = chunk.map_err(failed)? {
                    text.push_str(&piece);
                }
            }
            after.push(text);
        }
        let text = |said: &Said| said.text.clone();
        Ok(Replayed { asked: said.get(asked).map(text).unwrap_or_default(), before: before.map(text), after })
    }

    /// Who answers for a content, and what they are told.
    async fn speaker_of(
        &self,
        document: &TriageDocument,
        content: &Value,
    ) -> Result<(crate::domain::id::ModelName, String), Error> {
        if let Some(agent) = &document.agent {
            let spec = binding::defined_by(self, agent, content).await?;
            return Ok((spec.model, spec.instructions));
        }
        let instructions =
            content.as_str().or_else(|| content["instructions"].as_str()).or(content["text"].as_str());
        let named = content["model"].as_str().and_then(|name| name.parse().ok());
        let workspace = self.runtime.workspace(self.owner()).await?;
        let model =
            named.or_else(|| workspace.models.default_model().cloned()).ok_or(runtime::Error::Internal)?;
        Ok((model, instructions.map_or_else(|| content.to_string(), str::to_owned)))
    }
}

fn message(said: &Said) -> Option<Message> {
    let text = said.text.clone();
    match said.role {
        Speaker::User => Some(Message::User { input: Input { text, ..Input::default() } }),
        Speaker::Assistant => {
            Some(Message::Assistant { text, reasoning: String::new(), tool_calls: Vec::new() })
        }
        Speaker::AgentAction => None,
    }
}
