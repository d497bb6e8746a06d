//! Models by the ids they have here: all that are offered, the default one, and those that agents name.

use uuid::Uuid;

use super::error::Error;
use super::ids::{self, MODEL};
use crate::domain::id::ModelName;
use crate::domain::spec::{AgentSpec, Spec};
use crate::runtime::workspace::Workspace;

/// All models that there is reason to know, each once.
pub fn known(workspace: &Workspace) -> Vec<ModelName> {
    let mut models: Vec<ModelName> = workspace.models.default_model().into_iter().cloned().collect();
    models.extend(workspace.models.offered().cloned());
    let agents = workspace.catalog.agents().chain(workspace.catalog.teams());
    for agent in agents.filter_map(|spec| leader(spec)) {
        models.push(agent.model.clone());
        models.extend(agent.fallback_models.iter().cloned());
    }
    let mut seen = std::collections::BTreeSet::new();
    models.retain(|model| seen.insert(model.clone()));
    models
}

/// Who talks for a component.
pub fn leader(spec: &Spec) -> Option<&AgentSpec> {
    match spec {
        Spec::Agent(agent) => Some(agent),
        Spec::Team(team) => Some(&team.leader),
        Spec::Workflow(_) => None,
    }
}

/// The model with this id.
pub fn find(workspace: &Workspace, id: Uuid) -> Option<ModelName> {
    known(workspace).into_iter().find(|model| ids::model(model).1 == id)
}

/// The model that a request names.
///
/// # Errors
/// 400 for what is no id, 404 for one of nothing.
pub fn wanted(workspace: &Workspace, id: &str) -> Result<ModelName, Error> {
    let id = ids::parse(MODEL, id)?;
    find(workspace, id).ok_or_else(|| Error::not_found("Model not found"))
}
