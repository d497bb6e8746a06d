//! What a draft would have answered: the agent as it defines him is put a recorded turn anew, with the tools he has.
//!
//! Only the model is asked. No tool is called: a call that was recorded has its recorded result, and the model is told of
//! any other that a replay cannot make it. So nothing is stored, and nothing happens.

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt;
use serde_json::{Value, json};

use super::recording::{Recorded, Recording};
use crate::domain::fact::{Failure, Piece};
use crate::domain::id::ModelName;
use crate::domain::message::{Input, Message, ModelCall};
use crate::domain::tool::{ToolCall, ToolSpec};
use crate::domain::view::RunView;
use crate::llm::{Chunk, Model};
use crate::runtime;
use crate::runtime::rehearsal::Rehearsal;
use crate::triage::document::TriageDocument;
use crate::triage::error::Error;
use crate::triage::evidence::{Said, Speaker};
use crate::triage::{Board, binding};

/// How often a turn is replayed at most.
const MOST_TIMES: u64 = 5;
/// Questions to the model in one replay.
const MOST_STEPS: usize = 8;
/// What the model reads of a call that was not recorded.
const NOT_RECORDED: &str = "This call was not recorded, and a replay makes no calls. Do without it.";

/// What was said, and what would be.
pub(super) struct Replayed {
    pub(super) asked: String,
    pub(super) before: Option<String>,
    pub(super) after: Vec<String>,
    /// `before`: the recorded calls; `after`: those of each replay, and whether they were recorded.
    pub(super) tool_calls: Value,
}

/// Who answers for a version of a document, and how he begins.
pub(super) struct AgentSpeaker {
    model: ModelName,
    begins: Rehearsal,
}

/// One replay.
struct Answered {
    text: String,
    calls: Vec<Value>,
}

impl Board {
    /// Who answers for a content, as he would have begun in the recorded run, if it was one.
    pub(super) async fn speaker_of(
        &self,
        document: &TriageDocument,
        content: &Value,
        recorded: Option<&RunView>,
    ) -> Result<AgentSpeaker, Error> {
        if let Some(agent) = &document.agent {
            let spec = binding::defined_by(self, agent, content).await?;
            let begins = match self.runtime.rehearsal(self.owner(), &spec, recorded).await {
                // Of a conversation that was held elsewhere nobody knows what its instructions were rendered with.
                Err(runtime::Error::Invalid { .. }) if recorded.is_none() => {
                    Rehearsal { system: Some(spec.instructions.clone()), tools: Vec::new() }
                }
                Err(runtime::Error::Invalid { message, .. }) => {
                    return Err(Error::invalid("version", message));
                }
                begins => begins?,
            };
            return Ok(AgentSpeaker { model: spec.model, begins });
        }
        let instructions =
            content.as_str().or_else(|| content["instructions"].as_str()).or(content["text"].as_str());
        let named = content["model"].as_str().and_then(|name| name.parse().ok());
        let workspace = self.runtime.workspace(self.owner()).await?;
        let model =
            named.or_else(|| workspace.models.default_model().cloned()).ok_or(runtime::Error::Internal)?;
        let system = instructions.map_or_else(|| content.to_string(), str::to_owned);
        Ok(AgentSpeaker { model, begins: Rehearsal { system: Some(system), tools: Vec::new() } })
    }

    /// Asks what is said to a turn: the one of a person at `index`, or the last before it.
    pub(super) async fn replay(
        &self,
        speaker: &AgentSpeaker,
        said: &[Said],
        index: usize,
        times: u64,
    ) -> Result<Replayed, Error> {
        let until =
            said.get(..=index).ok_or_else(|| Error::invalid("message_index", "there is no such message"))?;
        let asked = until.iter().rposition(|said| said.role == Speaker::User);
        let asked =
            asked.ok_or_else(|| Error::invalid("message_index", "nobody asked anything before it"))?;
        let answer = said.iter().skip(asked.saturating_add(1)).take_while(|said| said.role != Speaker::User);
        let answer: Vec<&Said> = answer.collect();
        let before = answer.iter().rfind(|said| said.role == Speaker::Assistant);
        let recording = Recording::of(said, asked);
        let workspace = self.runtime.workspace(self.owner()).await?;
        let model = workspace.models.get(&speaker.model.provider);
        let model = model.filter(|_| workspace.models.has(&speaker.model)).cloned();
        let model = model
            .ok_or_else(|| Error::invalid("version", format!("there is no model `{}`", speaker.model)))?;
        let mut after = Vec::new();
        for _ in 0..times.clamp(1, MOST_TIMES) {
            after.push(speaker.answer(&*model, said.get(..=asked).unwrap_or_default(), &recording).await?);
        }
        let text = |said: &Said| said.text.clone();
        let recorded: Vec<Value> = answer.iter().filter_map(|said| Recorded::of(said)).map(shown).collect();
        let (texts, calls): (Vec<String>, Vec<Vec<Value>>) =
            after.into_iter().map(|one| (one.text, one.calls)).unzip();
        Ok(Replayed {
            asked: said.get(asked).map(text).unwrap_or_default(),
            before: before.map(|said| text(said)),
            after: texts,
            tool_calls: json!({ "before": recorded, "after": calls }),
        })
    }
}

fn shown(recorded: Recorded) -> Value {
    json!({ "tool": recorded.tool, "arguments": recorded.arguments, "result": recorded.result })
}

impl AgentSpeaker {
    /// The model's answer to what was said, once it calls nothing more.
    async fn answer(
        &self,
        model: &dyn Model,
        said: &[Said],
        recording: &Recording,
    ) -> Result<Answered, Error> {
        let system = self.begins.system.iter().map(|text| Message::System { text: text.clone() });
        let mut messages: Vec<Message> = system.collect();
        messages.extend(said.iter().enumerate().flat_map(|(index, said)| message(index, said)));
        let mut served: BTreeMap<String, usize> = BTreeMap::new();
        let mut answered = Answered { text: String::new(), calls: Vec::new() };
        for _ in 0..MOST_STEPS {
            let call = ModelCall {
                model: self.model.clone(),
                messages: messages.clone(),
                tools: self.tools(recording),
                output_schema: None,
                reasoning_effort: None,
            };
            let (text, calls) = asked(model, call).await?;
            answered.text.push_str(&text);
            if calls.is_empty() {
                break;
            }
            messages.push(Message::Assistant { text, reasoning: String::new(), tool_calls: calls.clone() });
            for call in calls {
                let result = recording.result_of(&call, &mut served);
                let is_recorded = result.is_some();
                let arguments =
                    call.parsed().map_or_else(|| Value::from(call.arguments.as_str()), Value::Object);
                answered.calls.push(
                    json!({ "tool": call.name, "arguments": arguments, "recorded": is_recorded, "result": result }),
                );
                messages.push(Message::Tool {
                    call: call.id,
                    name: call.name,
                    content: result.unwrap_or_else(|| {
                        json!({ "error": "not_recorded", "message": NOT_RECORDED }).to_string()
                    }),
                    images: Vec::new(),
                    error: !is_recorded,
                });
            }
        }
        Ok(answered)
    }

    /// The agent's tools, and those that were recorded and that nobody can describe any more.
    fn tools(&self, recording: &Recording) -> Vec<ToolSpec> {
        let mut tools = self.begins.tools.clone();
        let known: BTreeSet<String> = tools.iter().map(|tool| tool.name.clone()).collect();
        tools.extend(recording.tools().into_iter().filter(|tool| !known.contains(&tool.name)));
        tools
    }
}

async fn asked(model: &dyn Model, call: ModelCall) -> Result<(String, Vec<ToolCall>), Error> {
    let failed = |failure: Failure| Error::conflict("replay_failed", failure.message);
    let mut answer = model.answer(call).await.map_err(failed)?;
    let mut text = String::new();
    while let Some(chunk) = answer.next().await {
        match chunk.map_err(failed)? {
            Chunk::Piece(Piece::Text(piece)) => text.push_str(&piece),
            Chunk::Piece(Piece::Reasoning(_)) => {}
            Chunk::Done { tool_calls, .. } => return Ok((text, tool_calls)),
        }
    }
    Ok((text, Vec::new()))
}

/// What was said, as the model is shown it: a recorded call with its result.
fn message(index: usize, said: &Said) -> Vec<Message> {
    let text = said.text.clone();
    match said.role {
        Speaker::User => vec![Message::User { input: Input { text, ..Input::default() } }],
        Speaker::Assistant => {
            vec![Message::Assistant { text, reasoning: String::new(), tool_calls: Vec::new() }]
        }
        Speaker::AgentAction => Recorded::of(said).and_then(|done| done.messages(index)).unwrap_or_default(),
    }
}
