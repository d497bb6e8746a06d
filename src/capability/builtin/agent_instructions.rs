//! What a session's own `/AGENTS.md` says, said to the model whenever a run begins.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;

use crate::capability::search;
use crate::capability::{About, Capability, Contribution, Host, Later, Now};
use crate::domain::file::FilePath;

/// Where the instructions are.
const PATH: &str = "/AGENTS.md";

/// How much of them is said, in bytes.
const MAX_BYTES: usize = 64 * 1024;

/// `agent_instructions`.
pub(super) struct AgentInstructions(About);

impl AgentInstructions {
    pub(super) fn new() -> Self {
        let about = "Adds what the session's file /AGENTS.md says to the prompt, if there is one.";
        let about = About::new("agent_instructions", "Agent Instructions", about);
        Self(about.listed("File Operations", "file-text").needs(&["session_file_system"]))
    }
}

impl Capability for AgentInstructions {
    fn about(&self) -> &About {
        &self.0
    }

    fn contribute(&self, _: &Value) -> Result<Contribution, String> {
        Ok(Contribution { later: Some(Arc::new(Reading)), ..Contribution::default() })
    }
}

struct Reading;

#[async_trait]
impl Later for Reading {
    async fn now(&self, host: &dyn Host) -> Now {
        let Ok(path) = FilePath::parse(PATH) else { return Now::default() };
        let Ok((_, content)) = host.files().read(&path).await else { return Now::default() };
        let text = search::text(&content).map(str::trim).filter(|text| !text.is_empty());
        let prompt = text.map(|text| {
            let end = text.floor_char_boundary(MAX_BYTES);
            format!("Instructions of this session, from {PATH}:\n\n{}", text.get(..end).unwrap_or_default())
        });
        Now { prompt, tools: Vec::new() }
    }
}
