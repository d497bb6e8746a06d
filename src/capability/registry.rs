//! Names to capabilities: the one list; and from an agent's settings to its tools.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::egress::Egress;
use super::http::Environment;
use super::toolbox::{Toolbox, violations};
use super::{Capability, Tool, builtin, declared, toolbox};
use crate::domain::Object;
use crate::domain::spec::{CapabilityRef, DeclaredTool};

/// Every capability there is, by id. Cheap to clone.
#[derive(Clone)]
pub struct Registry {
    capabilities: BTreeMap<&'static str, Arc<dyn Capability>>,
    egress: Egress,
    environment: Environment,
}

/// Why an agent's settings make no set of tools.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ComposeError {
    /// Nothing has this id.
    #[error("unknown capability `{id}`; known: {known}")]
    UnknownCapability {
        /// As it was written.
        id: String,
        /// All there are.
        known: String,
    },
    /// Capabilities that need each other.
    #[error("capability `{id}` depends on itself: {chain}")]
    Cycle {
        /// Where it was noticed.
        id: String,
        /// As in `a -> b -> a`.
        chain: String,
    },
    /// Its settings are not what its schema says.
    #[error("the config of capability `{capability}` does not fit: {reason}")]
    BadConfig {
        /// Whose.
        capability: String,
        /// What is wrong.
        reason: String,
    },
    /// A tool that cannot be offered to a model, or not be called.
    #[error("tool `{tool}`: {reason}")]
    BadTool {
        /// Its name.
        tool: String,
        /// What is wrong.
        reason: String,
    },
}

impl Registry {
    /// What comes with the program. Tools reach the network through `egress`.
    pub fn builtin(egress: Egress) -> Self {
        let empty = Self {
            capabilities: BTreeMap::new(),
            egress: egress.clone(),
            environment: Environment::of_process(),
        };
        builtin::all(&egress).into_iter().fold(empty, Self::with)
    }

    /// Adds a capability, or replaces the one with its id.
    #[must_use]
    pub fn with(mut self, capability: Arc<dyn Capability>) -> Self {
        self.capabilities.insert(capability.about().id, capability);
        self
    }

    /// Where declared HTTP tools look variables up; by default, in the process's environment.
    #[must_use]
    pub fn with_environment(self, environment: Environment) -> Self {
        Self { environment, ..self }
    }

    /// The capability with this id.
    pub fn get(&self, id: &str) -> Option<&Arc<dyn Capability>> {
        self.capabilities.get(id)
    }

    /// All of them, by id.
    pub fn all(&self) -> impl Iterator<Item = &Arc<dyn Capability>> {
        self.capabilities.values()
    }

    /// The tools and prompts of an agent: what its capabilities contribute, each after what it depends on, and
    /// the tools its file declares. Of several references to one capability the first counts.
    ///
    /// # Errors
    /// Names the capability or tool that does not fit, and why.
    pub fn compose(
        &self,
        refs: &[CapabilityRef],
        declared: &[DeclaredTool],
    ) -> Result<Toolbox, ComposeError> {
        let mut ordered = Vec::new();
        for one in refs {
            self.resolve(&one.id, &mut Vec::new(), &mut ordered)?;
        }
        let mut toolbox = Toolbox::default();
        for capability in ordered {
            let id = capability.about().id;
            let config = refs.iter().find(|one| one.id == id).map_or(Value::Null, |one| one.config.clone());
            let contribution = contribute(capability.as_ref(), config)?;
            toolbox.prompts.extend(contribution.prompt);
            for tool in contribution.tools {
                add(&mut toolbox, tool)?;
            }
        }
        for one in declared {
            let tool = declared::tool(one, &self.egress, &self.environment);
            add(&mut toolbox, tool.map_err(|reason| bad_tool(&one.name, reason))?)?;
        }
        Ok(toolbox)
    }

    /// Puts a capability after everything it depends on. `path` leads to it.
    fn resolve<'a>(
        &'a self,
        id: &str,
        path: &mut Vec<String>,
        ordered: &mut Vec<&'a Arc<dyn Capability>>,
    ) -> Result<(), ComposeError> {
        let capability = self.get(id).ok_or_else(|| ComposeError::UnknownCapability {
            id: id.into(),
            known: self.capabilities.keys().copied().collect::<Vec<_>>().join(", "),
        })?;
        let again = path.iter().any(|above| above == id);
        path.push(id.into());
        if again {
            return Err(ComposeError::Cycle { id: id.into(), chain: path.join(" -> ") });
        }
        if !ordered.iter().any(|done| done.about().id == id) {
            for dependency in capability.about().dependencies {
                self.resolve(dependency, path, ordered)?;
            }
            ordered.push(capability);
        }
        path.pop();
        Ok(())
    }
}

fn contribute(capability: &dyn Capability, config: Value) -> Result<super::Contribution, ComposeError> {
    let about = capability.about();
    let bad = |reason| ComposeError::BadConfig { capability: about.id.into(), reason };
    let config = if config.is_null() { Value::Object(Object::new()) } else { config };
    let validator = toolbox::compile(&about.config_schema).map_err(bad)?;
    if let Some(reason) = violations(&validator, &config) {
        return Err(bad(reason));
    }
    capability.contribute(&config).map_err(bad)
}

fn add(toolbox: &mut Toolbox, tool: Arc<dyn Tool>) -> Result<(), ComposeError> {
    let name = tool.spec().name.clone();
    toolbox.add(tool).map_err(|reason| bad_tool(&name, reason))
}

fn bad_tool(tool: &str, reason: String) -> ComposeError {
    ComposeError::BadTool { tool: tool.into(), reason }
}
