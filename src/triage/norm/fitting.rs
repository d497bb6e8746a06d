//! Norm as a run of an intent begins with him: the agent of the catalog, or the one that comes with the program, and in
//! it what the run is for, frozen with its first fact.

use std::sync::Arc;

use serde_json::json;
use uuid::Uuid;

use super::capability::CAPABILITY;
use super::{NAME, NORM};
use crate::domain::Object;
use crate::domain::id::ComponentId;
use crate::domain::spec::{
    Additions, AgentSpec, CapabilityRef, ComponentKind, InDoubt, Limits, OnDisconnect, OnSecondMessage,
    Source, Spec,
};
use crate::domain::tool::Effect;
use crate::runtime;
use crate::runtime::agents::SavedAgent;
use crate::triage::Board;
use crate::triage::error::Error;
use crate::triage::intent::Intent;

/// The file that comes with the program.
const FILE: &str = include_str!("../../../agents/norm.md");

/// Runs of a session that Norm remembers.
const HISTORY_RUNS: u32 = 12;

/// Who works on issues.
#[derive(Debug, Clone)]
pub struct Profile {
    /// The agent.
    pub spec: AgentSpec,
    /// Whether he can be set to work.
    pub is_active: bool,
}

impl Profile {
    /// # Errors
    /// `agent_inactive`.
    pub fn must_be_active(&self) -> Result<(), Error> {
        if self.is_active {
            return Ok(());
        }
        Err(Error::conflict("agent_inactive", format!("{NAME} is not active")))
    }

    /// The agent for a run: what it is for stands in the settings of his capability. Where he may only read, he has
    /// nothing that is not known to change nothing.
    pub(super) fn fitted(&self, issue: Uuid, intent: Intent) -> Arc<Spec> {
        let mut spec = self.spec.clone();
        let own =
            CapabilityRef { id: CAPABILITY.into(), config: json!({ "issue": issue, "intent": intent }) };
        spec.capabilities.retain(|one| one.id != CAPABILITY && intent == Intent::Fix);
        spec.capabilities.insert(0, own);
        spec.tools.retain(|tool| intent == Intent::Fix || tool.effect == Effect::Pure);
        spec.additions = Additions::default();
        Arc::new(Spec::Agent(spec))
    }
}

impl Board {
    /// Norm, as he is now.
    ///
    /// # Errors
    /// What the store says.
    pub async fn norm_profile(&self) -> Result<Profile, Error> {
        let workspace = self.runtime.workspace(self.owner()).await?;
        let id: ComponentId = NORM.parse().map_err(|_| runtime::Error::Internal)?;
        let found = workspace.catalog.get(ComponentKind::Agent, &id);
        let mut spec = match found.as_deref() {
            Some(Spec::Agent(spec)) => spec.clone(),
            Some(Spec::Team(_) | Spec::Workflow(_)) | None => {
                let model = workspace.models.default_model().cloned();
                let model = model.ok_or(Error::conflict("agent_inactive", "there is no model for Norm"))?;
                built_in(id, model)
            }
        };
        if !workspace.models.has(&spec.model)
            && let Some(default) = workspace.models.default_model()
        {
            spec.model = default.clone();
        }
        let saved = self.documents.get::<SavedAgent>(NORM).await?;
        let is_active = workspace.models.has(&spec.model) && saved.is_none_or(|saved| !saved.archived);
        Ok(Profile { spec, is_active })
    }
}

fn built_in(id: ComponentId, model: crate::domain::id::ModelName) -> AgentSpec {
    let instructions = FILE.splitn(3, "---").nth(2).unwrap_or_default().trim().to_owned();
    AgentSpec {
        id,
        name: NAME.into(),
        description: Some("Works on issues of the triage board".into()),
        instructions,
        model,
        fallback_models: Vec::new(),
        capabilities: Vec::new(),
        tools: Vec::new(),
        history_runs: HISTORY_RUNS,
        session_state: Object::new(),
        limits: Limits { model_calls: 32, seconds: 600, ..Limits::default() },
        on_second_message: OnSecondMessage::default(),
        in_doubt: InDoubt::default(),
        on_disconnect: OnDisconnect::default(),
        output_schema: None,
        metadata: Object::new(),
        quick_prompts: Vec::new(),
        source: Source::Client,
        additions: Additions::default(),
    }
}
