//! Agents: what is read of them, and what is shown.

use serde::Serialize;
use serde_json::Value;

use super::assignment::{self, shown_capabilities, shown_tools};
use super::error::Error;
use super::harnesses::HARNESS_ID;
use super::ids::{self, PublicId};
use super::models;
use super::time::{TokenUsage, moment};
use crate::api::ApiState;
use crate::api::fields::{Fields, FromFields};
use crate::domain::id::{ComponentId, ModelName};
use crate::domain::message::Usage;
use crate::domain::spec::{
    Additions, AgentSpec, CapabilityRef, ComponentKind, DeclaredTool, InDoubt, Limits, OnDisconnect,
    OnSecondMessage, Source, Spec, ToolAction,
};
use crate::domain::time::Timestamp;
use crate::runtime::agents::SavedAgent;
use crate::runtime::documents::Stored;
use crate::runtime::workspace::Workspace;

/// Longest name, in bytes.
const MAX_NAME: usize = 2 * 1024;

/// Longest description, in bytes.
const MAX_DESCRIPTION: usize = 10 * 1024;

/// Longest system prompt, in bytes.
const MAX_PROMPT: usize = 1024 * 1024;

/// What is said of an agent. Of a new one `name` and `system_prompt` must be there; of a change, nothing.
#[derive(Debug, Clone, Default)]
pub(super) struct AgentForm {
    pub(super) id: Option<String>,
    pub(super) name: Option<String>,
    pub(super) description: Option<String>,
    pub(super) system_prompt: Option<String>,
    pub(super) default_model_id: Option<String>,
    pub(super) tags: Option<Vec<String>>,
    pub(super) capabilities: Option<Vec<CapabilityRef>>,
    pub(super) tools: Option<Vec<DeclaredTool>>,
    pub(super) archived: Option<bool>,
}

impl FromFields for AgentForm {
    fn from_fields(fields: &mut Fields) -> Self {
        Self {
            id: fields.text("id"),
            name: fields.text("name"),
            description: fields.text("description"),
            system_prompt: fields.text("system_prompt"),
            default_model_id: fields.text("default_model_id"),
            tags: assignment::texts(fields, "tags"),
            capabilities: assignment::capabilities(fields),
            tools: assignment::tools(fields),
            archived: fields.choice("status", &[("active", false), ("archived", true)]),
        }
    }
}

/// What a new agent is made of: the same, with what must be there.
#[derive(Debug)]
pub(super) struct NewAgent(pub(super) AgentForm);

impl FromFields for NewAgent {
    fn from_fields(fields: &mut Fields) -> Self {
        for name in ["name", "system_prompt"] {
            if fields.value(name).is_none() {
                fields.missing(name);
            }
        }
        Self(AgentForm { archived: None, ..AgentForm::from_fields(fields) })
    }
}

impl AgentForm {
    /// Refuses what is too long or does not fit, and finds the model.
    ///
    /// # Errors
    /// 400; 404 for a model that is not there.
    pub(super) fn checked(mut self, state: &ApiState, workspace: &Workspace) -> Result<Checked, Error> {
        let over = |text: &Option<String>, most: usize| text.as_ref().is_some_and(|text| text.len() > most);
        if assignment::too_many(self.tags.as_deref().unwrap_or_default())
            || over(&self.name, MAX_NAME)
            || over(&self.description, MAX_DESCRIPTION)
            || over(&self.system_prompt, MAX_PROMPT)
        {
            return Err(Error::over_limits());
        }
        if self.name.as_ref().is_some_and(|name| name.trim().is_empty()) {
            return Err(Error::bad_request("The name of an agent must not be empty"));
        }
        if let Some(tools) = &mut self.tools {
            assignment::patiently(tools, state.everruns.client_patience);
        }
        let empty = (Vec::new(), Vec::new());
        let capabilities = self.capabilities.as_ref().unwrap_or(&empty.0);
        assignment::check(&workspace.registry, capabilities, self.tools.as_ref().unwrap_or(&empty.1))?;
        let model = self.default_model_id.as_deref().map(|id| models::wanted(workspace, id)).transpose()?;
        Ok(Checked { form: self, model })
    }
}

/// What was said of an agent, with its model found.
#[derive(Debug, Clone)]
pub(super) struct Checked {
    form: AgentForm,
    model: Option<ModelName>,
}

impl Checked {
    /// An agent of this and nothing else.
    pub(super) fn new_agent(
        &self,
        id: ComponentId,
        created: Timestamp,
        now: Timestamp,
        any: &ModelName,
    ) -> SavedAgent {
        let form = &self.form;
        SavedAgent {
            spec: AgentSpec {
                name: form.name.clone().unwrap_or_default(),
                description: form.description.clone(),
                instructions: form.system_prompt.clone().unwrap_or_default(),
                model: self.model.clone().unwrap_or_else(|| any.clone()),
                capabilities: form.capabilities.clone().unwrap_or_default(),
                tools: form.tools.clone().unwrap_or_default(),
                ..blank(id, any)
            },
            any_model: self.model.is_none(),
            tags: form.tags.clone().unwrap_or_default(),
            archived: false,
            created,
            updated: now,
            extra: Default::default(),
        }
    }

    /// The agent with what was said put in its place.
    pub(super) fn change(&self, agent: &mut SavedAgent, now: Timestamp) {
        let (form, spec) = (&self.form, &mut agent.spec);
        if let Some(model) = &self.model {
            spec.model.clone_from(model);
            agent.any_model = false;
        }
        if let Some(prompt) = &form.system_prompt {
            // What comes over the wire is meant as it is, whatever it takes the place of.
            spec.instructions.clone_from(prompt);
            spec.source = Source::Client;
        }
        if let Some(tools) = &form.tools {
            spec.tools.retain(|tool| tool.action != ToolAction::External);
            spec.tools.extend(tools.iter().cloned());
        }
        put(&mut spec.name, &form.name);
        put(&mut spec.capabilities, &form.capabilities);
        put(&mut agent.tags, &form.tags);
        put(&mut agent.archived, &form.archived);
        if form.description.is_some() {
            spec.description.clone_from(&form.description);
        }
        agent.updated = now;
    }
}

fn put<T: Clone>(place: &mut T, new: &Option<T>) {
    if let Some(new) = new {
        place.clone_from(new);
    }
}

/// An agent of a client, before anything is said of it.
pub(super) fn blank(id: ComponentId, model: &ModelName) -> AgentSpec {
    AgentSpec {
        id,
        name: String::new(),
        description: None,
        instructions: String::new(),
        model: model.clone(),
        fallback_models: Vec::new(),
        capabilities: Vec::new(),
        tools: Vec::new(),
        history_runs: u32::MAX,
        session_state: Default::default(),
        limits: Limits { model_calls: 100, tool_calls: 1_000, seconds: 3_600, tokens: 0 },
        on_second_message: OnSecondMessage::Steer,
        in_doubt: InDoubt::default(),
        on_disconnect: OnDisconnect::default(),
        output_schema: None,
        metadata: Default::default(),
        quick_prompts: Vec::new(),
        source: Source::Client,
        additions: Additions::default(),
    }
}

/// An agent, as it is shown.
#[derive(Debug, Serialize)]
pub(super) struct AgentBody {
    id: PublicId,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    system_prompt: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    default_model_id: Option<PublicId>,
    tags: Vec<String>,
    capabilities: Vec<Value>,
    tools: Vec<Value>,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<TokenUsage>,
    created_at: String,
    updated_at: String,
    harness_id: &'static str,
}

/// What agents can be sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SortField {
    /// What they are called, whatever the case.
    Name,
    /// When they were made.
    Created,
    /// When they last changed.
    Updated,
}

impl AgentBody {
    /// Its place in a list that is sorted so.
    pub(super) fn sort_key(&self, field: SortField) -> String {
        match field {
            SortField::Name => self.name.to_lowercase(),
            // Moments are written so that texts sort as they do.
            SortField::Created => self.created_at.clone(),
            SortField::Updated => self.updated_at.clone(),
        }
    }

    /// An agent that was saved.
    pub(super) fn saved(agent: &SavedAgent) -> Self {
        let spec = &agent.spec;
        Self {
            id: ids::agent(ComponentKind::Agent, &spec.id),
            default_model_id: (!agent.any_model).then(|| ids::model(&spec.model)),
            tags: agent.tags.clone(),
            status: if agent.archived { "archived" } else { "active" },
            created_at: moment(agent.created),
            updated_at: moment(agent.updated),
            ..Self::of(spec)
        }
    }

    /// A component of a file, which is there since then.
    pub(super) fn file(component: &Spec, since: Timestamp) -> Self {
        let id = ids::agent(component.kind(), component.id());
        let base = match component {
            Spec::Agent(agent) => Self::of(agent),
            Spec::Team(team) => Self::of(&team.leader),
            Spec::Workflow(workflow) => Self {
                name: workflow.name.clone(),
                description: workflow.description.clone(),
                ..Self::of(&blank(workflow.id.clone(), &ids::no_model()))
            },
        };
        let default_model_id = models::leader(component).map(|agent| ids::model(&agent.model));
        Self { id, default_model_id, created_at: moment(since), updated_at: moment(since), ..base }
    }

    /// With the sum of its sessions.
    pub(super) fn with_usage(self, usage: &Usage) -> Self {
        Self { usage: TokenUsage::of(usage), ..self }
    }

    fn of(spec: &AgentSpec) -> Self {
        Self {
            id: ids::agent(ComponentKind::Agent, &spec.id),
            name: spec.name.clone(),
            description: spec.description.clone(),
            system_prompt: spec.instructions.clone(),
            default_model_id: None,
            tags: Vec::new(),
            capabilities: shown_capabilities(&spec.capabilities),
            tools: shown_tools(&spec.tools),
            status: "active",
            usage: None,
            created_at: String::new(),
            updated_at: String::new(),
            harness_id: HARNESS_ID,
        }
    }
}

/// An agent that was found by its id here.
pub(super) enum Found {
    /// A client made it.
    Saved(Box<Stored<SavedAgent>>),
    /// It is a file's: an agent, a team or a workflow.
    File(std::sync::Arc<Spec>),
}

impl Found {
    /// What runs.
    pub(super) fn spec(&self) -> Spec {
        match self {
            Self::Saved(agent) => Spec::Agent(agent.spec.clone()),
            Self::File(spec) => spec.as_ref().clone(),
        }
    }

    /// Whether nothing new may begin with it.
    pub(super) fn is_archived(&self) -> bool {
        match self {
            Self::Saved(agent) => agent.archived,
            Self::File(_) => false,
        }
    }

    /// Who answers, if that was said of it by a client. What a file says may change with the file.
    pub(super) fn default_model(&self) -> Option<ModelName> {
        match self {
            Self::Saved(agent) => (!agent.any_model).then(|| agent.spec.model.clone()),
            Self::File(_) => None,
        }
    }

    /// As it is shown.
    pub(super) fn body(&self, since: Timestamp) -> AgentBody {
        match self {
            Self::Saved(agent) => AgentBody::saved(agent),
            Self::File(spec) => AgentBody::file(spec, since),
        }
    }
}
