//! A model that needs no network: it follows rules and scripts, and really calls tools.
//!
//! `scripted/demo` follows the rules of `demo`, so that the first run needs no key; `scripted/NAME` plays the
//! file `NAME.json`, see [`script`]. The same conversation always gets the same answer.

mod arithmetic;
mod craft;
mod demo;
mod instance;
mod phrases;
mod scene;
pub mod script;
mod team;
mod telling;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use futures::{StreamExt, stream};

use self::scene::Scene;
use self::script::{BadScript, Script, Turn};
use super::call_ids::CallIds;
use super::{Answer, Chunk, Model};
use crate::domain::fact::{Failure, Piece};
use crate::domain::message::{Finish, Message, ModelCall, Usage};
use crate::domain::tool::ToolCall;

/// The script that is no file.
const DEMO: &str = "demo";

/// A model without a network.
#[derive(Debug, Clone)]
pub struct ScriptedConfig {
    /// A folder of scripts, `NAME.json` each.
    pub scripts: Option<PathBuf>,
    /// The pause before each word, unless a script says otherwise.
    pub pause: Duration,
}

impl Default for ScriptedConfig {
    fn default() -> Self {
        Self { scripts: None, pause: Duration::from_millis(15) }
    }
}

/// Answers by rules and scripts.
#[derive(Debug, Clone)]
pub struct Scripted {
    scripts: BTreeMap<String, Script>,
    pause: Duration,
}

impl Scripted {
    /// Reads all scripts.
    ///
    /// # Errors
    /// The first file that cannot be read or is no script, with the place in it.
    pub fn new(config: ScriptedConfig) -> Result<Self, BadScript> {
        let scripts = config.scripts.as_deref().map(folder).transpose()?.unwrap_or_default();
        Ok(Self { scripts, pause: config.pause })
    }

    /// Adds or replaces a script.
    #[must_use]
    pub fn with(mut self, name: &str, script: Script) -> Self {
        self.scripts.insert(name.into(), script);
        self
    }

    fn turn(&self, call: &ModelCall) -> Result<Turn, Failure> {
        let scene = Scene::of(call);
        let name = call.model.model.as_str();
        match self.scripts.get(name).and_then(|script| script.turn(scene.text, scene.answers)) {
            Some(turn) => Ok(turn.clone()),
            None if name == DEMO => Ok(demo::turn(&scene)),
            None if self.scripts.contains_key(name) => {
                Err(failure(&format!("the script `{name}` has no turn for this message")))
            }
            None => {
                let known = std::iter::once(DEMO).chain(self.scripts.keys().map(String::as_str));
                Err(failure(&format!(
                    "there is no script `{name}`; there is {}",
                    known.collect::<Vec<_>>().join(", ")
                )))
            }
        }
    }
}

#[async_trait]
impl Model for Scripted {
    async fn answer(&self, call: ModelCall) -> Result<Answer, Failure> {
        let turn = self.turn(&call)?;
        let failed = turn.fail.as_ref().map(|fail| Failure {
            code: fail.code.clone(),
            message: fail.message.clone(),
            retryable: fail.retryable,
        });
        let pieces = pieces(&turn);
        let end = match failed {
            Some(failure) if pieces.is_empty() => return Err(failure),
            Some(failure) => Err(failure),
            None => Ok(done(&turn, &call)),
        };
        let pause = turn.delay_ms.map_or(self.pause, Duration::from_millis);
        let spoken = stream::iter(pieces).then(move |piece| async move {
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
            Ok(Chunk::Piece(piece))
        });
        Ok(spoken.chain(stream::iter([end])).boxed())
    }
}

fn failure(message: &str) -> Failure {
    Failure::new("model_provider_error", message)
}

/// All scripts of a folder, by name.
fn folder(path: &Path) -> Result<BTreeMap<String, Script>, BadScript> {
    let unreadable = |path: &Path, cause| BadScript::Unreadable { path: path.into(), cause };
    let mut scripts = BTreeMap::new();
    for entry in std::fs::read_dir(path).map_err(|cause| unreadable(path, cause))? {
        let file = entry.map_err(|cause| unreadable(path, cause))?.path();
        let (Some(name), Some("json")) = (file.file_stem(), file.extension().and_then(|kind| kind.to_str()))
        else {
            continue;
        };
        let text = std::fs::read_to_string(&file).map_err(|cause| unreadable(&file, cause))?;
        scripts.insert(name.to_string_lossy().into_owned(), Script::parse(&text, &file)?);
    }
    Ok(scripts)
}

/// Word by word, reasoning first.
fn pieces(turn: &Turn) -> Vec<Piece> {
    let words = |text: &str| text.split_inclusive(char::is_whitespace).map(str::to_owned).collect::<Vec<_>>();
    let reasoning = words(&turn.reason).into_iter().map(Piece::Reasoning);
    reasoning.chain(words(&turn.say).into_iter().map(Piece::Text)).collect()
}

fn done(turn: &Turn, call: &ModelCall) -> Chunk {
    let mut ids = CallIds::after(&call.messages);
    let calls = turn.call.iter().filter_map(|call| {
        Some(ToolCall { id: ids.id("")?, name: call.name.clone(), arguments: call.arguments_text() })
    });
    let tool_calls: Vec<_> = calls.collect();
    let finish = if tool_calls.is_empty() { Finish::Stop } else { Finish::ToolCalls };
    let usage = usage(turn, &tool_calls, call);
    Chunk::Done { tool_calls, finish, usage, id: None }
}

/// Words for tokens: near enough for a demo, and always the same.
fn usage(turn: &Turn, calls: &[ToolCall], call: &ModelCall) -> Usage {
    let count = |text: &str| text.split_whitespace().count() as u64;
    let of_call = |call: &ToolCall| 1 + count(&call.arguments);
    let of_message = |message: &Message| match message {
        Message::System { text } => count(text),
        Message::User { input } => count(&input.text) + input.media.len() as u64,
        Message::Assistant { text, tool_calls, .. } => {
            count(text) + tool_calls.iter().map(of_call).sum::<u64>()
        }
        Message::Tool { content, .. } => count(content),
    };
    let tools: u64 = call.tools.iter().map(|tool| 1 + count(&tool.description)).sum();
    let reasoning = count(&turn.reason);
    Usage {
        input: tools + call.messages.iter().map(of_message).sum::<u64>(),
        output: reasoning + count(&turn.say) + calls.iter().map(of_call).sum::<u64>(),
        reasoning,
        ..Usage::default()
    }
}
