//! What an owner's runs are made of: what comes with the server, and what he has added to it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use uuid::Uuid;

use super::agents::SavedAgent;
use super::catalog::Catalog;
use super::documents::Documents;
use super::error::Error;
use super::journal::unpoisoned;
use super::{Inner, Runtime, subagents, team};
use crate::capability::registry::Registry;
use crate::capability::toolbox::Toolbox;
use crate::domain::id::{ComponentId, ModelName, Owner, SessionId};
use crate::domain::spec::{AgentSpec, Spec};
use crate::domain::tool::ToolSpec;
use crate::llm::Models;

/// A component as it was composed, and its tools.
type Composed = (Arc<Spec>, Arc<Toolbox>);

/// What runs of one owner are made of, as it is at one moment.
pub struct Workspace {
    /// What can be run.
    pub catalog: Catalog,
    /// What agents can be given.
    pub registry: Registry,
    /// Who answers.
    pub models: Models,
    toolboxes: Mutex<HashMap<ComponentId, Composed>>,
}

/// What owners may add beside agents: providers, servers with tools. Asked whenever a workspace is put together.
#[async_trait]
pub trait Extension: Send + Sync {
    /// Adds what the owner keeps of it.
    ///
    /// # Errors
    /// What the store says. What is wrong with a single document is logged and passed over.
    async fn extend(&self, documents: &Documents, workspace: &mut Workspace) -> Result<(), Error>;

    /// Takes away what it keeps of a session, which is about to be taken away itself.
    ///
    /// # Errors
    /// What the store says.
    async fn forget(&self, _documents: &Documents, _session: &SessionId) -> Result<(), Error> {
        Ok(())
    }

    /// A picture that the owner keeps, to be shown to a model; [`Picture::Gone`] unless this is what keeps pictures.
    ///
    /// # Errors
    /// What the store says.
    async fn picture(&self, _documents: &Documents, _id: Uuid, _most_bytes: usize) -> Result<Picture, Error> {
        Ok(Picture::Gone)
    }
}

/// A picture that an owner keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Picture {
    /// As it is.
    Here {
        /// As in `image/png`.
        content_type: String,
        /// All of it.
        bytes: Bytes,
    },
    /// It has more bytes than were asked for.
    TooLarge,
    /// There is none of this name, or it is damaged.
    Gone,
}

/// The workspaces in use.
#[derive(Default)]
pub(super) struct Workspaces(Mutex<HashMap<Owner, Slot>>);

/// A workspace, unless it must be put together anew, and how often it was.
#[derive(Default)]
struct Slot {
    made: u64,
    workspace: Option<Arc<Workspace>>,
}

impl Workspace {
    /// What comes with the server.
    pub(super) fn new(catalog: Catalog, registry: Registry, models: Models) -> Self {
        Self { catalog, registry, models, toolboxes: Mutex::default() }
    }

    /// The tools and prompts of an agent.
    pub fn toolbox_of(&self, agent: &AgentSpec) -> Arc<Toolbox> {
        let composed = self.registry.compose_agent(agent);
        composed.map(Arc::new).unwrap_or_else(|fault| {
            tracing::warn!(agent = %agent.id, "the agent cannot be composed: {fault}");
            Arc::default()
        })
    }

    /// What the model of a run may call, as far as that is known before it is asked.
    pub fn tools_of(&self, spec: &Arc<Spec>, components: &[Arc<Spec>]) -> Vec<ToolSpec> {
        self.toolbox(spec, components).map(|toolbox| toolbox.specs()).unwrap_or_default()
    }

    /// The tools of a component. Composed once for what is in the catalog; a run that was started with another
    /// version of it has its own.
    ///
    /// # Errors
    /// Why they cannot be composed.
    pub(super) fn toolbox(&self, spec: &Arc<Spec>, components: &[Arc<Spec>]) -> Result<Arc<Toolbox>, String> {
        if let Some((known, toolbox)) = unpoisoned(&self.toolboxes).get(spec.id())
            && (Arc::ptr_eq(known, spec) || known == spec)
        {
            return Ok(toolbox.clone());
        }
        let composed = match spec.as_ref() {
            Spec::Agent(agent) => self.registry.compose_agent(agent),
            Spec::Team(team) => self.registry.compose_agent(&team.leader),
            Spec::Workflow(workflow) => self.registry.compose(&[], &workflow.tools),
        };
        let mut toolbox = composed.map_err(|error| error.to_string())?;
        match spec.as_ref() {
            Spec::Agent(agent) => subagents::introduce(&mut toolbox, agent, components),
            Spec::Team(team) => {
                subagents::introduce(&mut toolbox, &team.leader, components);
                team::equip(&mut toolbox, team, components)?;
            }
            Spec::Workflow(_) => {}
        }
        let toolbox = toolbox.searchable();
        let toolbox = Arc::new(toolbox);
        if self.catalog.get(spec.kind(), spec.id()).is_some_and(|current| Arc::ptr_eq(&current, spec)) {
            unpoisoned(&self.toolboxes).insert(spec.id().clone(), (spec.clone(), toolbox.clone()));
        }
        Ok(toolbox)
    }

    /// The component as it runs with the model that answers: of those that are wanted, the first that is there.
    pub(super) fn answered_by(&self, spec: Arc<Spec>, wanted: &[Option<&ModelName>]) -> Arc<Spec> {
        let agent = match spec.as_ref() {
            Spec::Agent(agent) => agent,
            Spec::Team(team) => &team.leader,
            Spec::Workflow(_) => return spec,
        };
        let own = [Some(&agent.model), self.models.default_model()];
        let model = wanted.iter().chain(&own).flatten().find(|model| self.models.has(model));
        let Some(model) = model.filter(|model| **model != &agent.model) else { return spec };
        let model = (*model).clone();
        let mut spec = spec;
        match Arc::make_mut(&mut spec) {
            Spec::Agent(agent) => agent.model = model,
            Spec::Team(team) => team.leader.model = model,
            Spec::Workflow(_) => {}
        }
        spec
    }
}

impl Runtime {
    /// What an owner's runs are made of now.
    ///
    /// # Errors
    /// What the store says.
    pub async fn workspace(&self, owner: &Owner) -> Result<Arc<Workspace>, Error> {
        let made = {
            let mut slots = unpoisoned(&self.0.workspaces.0);
            let slot = slots.entry(owner.clone()).or_default();
            if let Some(workspace) = &slot.workspace {
                return Ok(workspace.clone());
            }
            slot.made
        };
        let workspace = Arc::new(self.put_together(owner).await?);
        let mut slots = unpoisoned(&self.0.workspaces.0);
        let slot = slots.entry(owner.clone()).or_default();
        // What was changed since it was begun is perhaps not in it.
        if slot.made == made {
            slot.workspace = Some(workspace.clone());
        }
        Ok(workspace)
    }

    /// After what an owner keeps of agents, providers or servers was changed: what begins from now on sees it.
    pub fn refresh(&self, owner: &Owner) {
        let mut slots = unpoisoned(&self.0.workspaces.0);
        let slot = slots.entry(owner.clone()).or_default();
        slot.made = slot.made.wrapping_add(1);
        slot.workspace = None;
    }

    async fn put_together(&self, owner: &Owner) -> Result<Workspace, Error> {
        let base = &self.0.base;
        let mut workspace = Workspace::new(base.catalog.clone(), base.registry.clone(), base.models.clone());
        let documents = self.documents(owner);
        for extension in &self.0.extensions {
            extension.extend(&documents, &mut workspace).await?;
        }
        for saved in documents.all::<SavedAgent>(None).await? {
            if !saved.archived {
                let spec = saved.value.into_spec(workspace.models.default_model());
                workspace.catalog.add(Spec::Agent(spec));
            }
        }
        Ok(workspace)
    }
}

impl Inner {
    pub(super) async fn workspace(self: &Arc<Self>, owner: &Owner) -> Result<Arc<Workspace>, Error> {
        Runtime(self.clone()).workspace(owner).await
    }
}
