//! Names to capabilities: the one list; and from an agent's settings to its tools.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::declared::{Declared, PREFIX as DECLARED};
use super::egress::Egress;
use super::http::Environment;
use super::toolbox::{Toolbox, violations};
use super::{Capability, CapabilityStatus, Risk, Tool, builtin, declared, toolbox};
use crate::domain::Object;
use crate::domain::spec::{Additions, AgentSpec, CapabilityRef, DeclaredTool, Source};

/// Every capability there is, by id. Cheap to clone.
#[derive(Clone)]
pub struct Registry {
    capabilities: BTreeMap<String, Arc<dyn Capability>>,
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
        self.capabilities.insert(capability.about().id.to_string(), capability);
        self
    }

    /// Adds declared tools as capabilities `declarative:{name}`, of each name the first.
    #[must_use]
    pub fn declaring<'a>(mut self, tools: impl IntoIterator<Item = &'a DeclaredTool>) -> Self {
        for tool in tools {
            match Declared::of(tool, &self.egress, &self.environment) {
                Ok(Some(declared)) if self.get(&declared.about().id).is_none() => {
                    self = self.with(Arc::new(declared));
                }
                Ok(_) => {}
                Err(reason) => tracing::warn!(tool = tool.name, "not a capability: {reason}"),
            }
        }
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

    /// The tools and prompts of an agent from a file: what its capabilities contribute, each after what it depends
    /// on, and the tools the file declares. Of several references to one capability the first counts.
    ///
    /// # Errors
    /// Names the capability or tool that does not fit, and why.
    pub fn compose(
        &self,
        refs: &[CapabilityRef],
        declared: &[DeclaredTool],
    ) -> Result<Toolbox, ComposeError> {
        let nothing = Additions::default();
        let mut faults = Vec::new();
        let toolbox = self.compose_all(refs, declared, &nothing, &mut faults);
        faults.into_iter().next().map_or(Ok(toolbox), Err)
    }

    /// The tools and prompts of an agent in its session. What the session adds, and what a client made, is passed
    /// over where it does not fit, and the log says so; a tool of a name that is taken is not offered.
    ///
    /// # Errors
    /// What does not fit of an agent that comes from a file.
    pub fn compose_agent(&self, agent: &AgentSpec) -> Result<Toolbox, ComposeError> {
        if agent.source == Source::File && agent.additions.is_empty() {
            return self.compose(&agent.capabilities, &agent.tools);
        }
        if agent.source == Source::File {
            self.compose(&agent.capabilities, &agent.tools)?;
        }
        let mut faults = Vec::new();
        let toolbox = self.compose_all(&agent.capabilities, &agent.tools, &agent.additions, &mut faults);
        for fault in faults {
            tracing::warn!(agent = %agent.id, "passed over: {fault}");
        }
        Ok(toolbox)
    }

    /// In the order of the Everruns API, section 6.1: tools of the agent's capabilities, of the session's, the agent's
    /// own, the session's own; prompts of the session's capabilities before those of the agent's.
    fn compose_all(
        &self,
        refs: &[CapabilityRef],
        declared: &[DeclaredTool],
        additions: &Additions,
        faults: &mut Vec<ComposeError>,
    ) -> Toolbox {
        let refs: &Vec<_> = &refs.iter().cloned().map(CapabilityRef::named).collect();
        let mut ordered = Vec::new();
        self.resolve_all(refs, &mut ordered, faults);
        let of_agent = ordered.len();
        self.resolve_all(&additions.capabilities, &mut ordered, faults);
        let mut toolbox = Toolbox::default();
        let mut agent_prompts = Vec::new();
        for (at, capability) in ordered.into_iter().enumerate() {
            if capability.about().status == CapabilityStatus::ComingSoon {
                continue;
            }
            let id = &*capability.about().id;
            let config = additions.capabilities.iter().chain(refs).find(|one| one.id == id);
            let config = config.map_or(Value::Null, |one| one.config.clone());
            let contribution = match contribute(capability.as_ref(), config) {
                Ok(contribution) => contribution,
                Err(fault) => {
                    faults.push(fault);
                    continue;
                }
            };
            let prompts = if at < of_agent { &mut agent_prompts } else { &mut toolbox.prompts };
            prompts.extend(contribution.prompt);
            toolbox.mounts.extend(contribution.mounts);
            toolbox.hooks.extend(contribution.hooks);
            toolbox.later.extend(contribution.later);
            toolbox.unknown = toolbox.unknown.or(contribution.unknown);
            for tool in contribution.tools {
                faults.extend(add(&mut toolbox, tool).err());
            }
        }
        toolbox.prompts.extend(agent_prompts);
        for one in declared.iter().chain(&additions.tools) {
            let tool = declared::tool(one, &self.egress, &self.environment);
            let added = tool.map_err(|reason| bad_tool(&one.name, reason));
            faults.extend(added.and_then(|tool| add(&mut toolbox, tool)).err());
        }
        toolbox
    }

    /// The first of these, or of what comes with them, that only an admin may assign: one of a high risk, or a
    /// declared tool that is not there yet and may be of any.
    pub fn reserved(&self, refs: &[CapabilityRef]) -> Option<String> {
        let mut ordered = Vec::new();
        let refs: Vec<_> = refs.iter().cloned().map(CapabilityRef::named).collect();
        self.resolve_all(&refs, &mut ordered, &mut Vec::new());
        let risky = ordered.into_iter().map(|found| found.about()).find(|about| about.risk == Risk::High);
        let is_to_come = |one: &&CapabilityRef| one.id.starts_with(DECLARED) && self.get(&one.id).is_none();
        risky
            .map(|about| about.id.to_string())
            .or_else(|| refs.iter().find(is_to_come).map(|one| one.id.clone()))
    }

    /// Whether the settings fit of a capability that has hooks, also without any; of others nothing is said.
    ///
    /// # Errors
    /// What does not fit.
    pub fn check_hooks(&self, one: &CapabilityRef) -> Result<(), ComposeError> {
        let one = one.clone().named();
        let Some(capability) = self.get(&one.id) else { return Ok(()) };
        match contribute(capability.as_ref(), Value::Null) {
            Ok(usual) if !usual.hooks.is_empty() => contribute(capability.as_ref(), one.config).map(drop),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    fn resolve_all<'a>(
        &'a self,
        refs: &[CapabilityRef],
        ordered: &mut Vec<&'a Arc<dyn Capability>>,
        faults: &mut Vec<ComposeError>,
    ) {
        for one in refs {
            faults.extend(self.resolve(&one.id, &mut Vec::new(), ordered).err());
        }
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
            known: self.capabilities.keys().map(String::as_str).collect::<Vec<_>>().join(", "),
        })?;
        let again = path.iter().any(|above| above == id);
        path.push(id.into());
        if again {
            return Err(ComposeError::Cycle { id: id.into(), chain: path.join(" -> ") });
        }
        if !ordered.iter().any(|done| done.about().id == id) {
            for dependency in &capability.about().dependencies {
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
    let bad = |reason| ComposeError::BadConfig { capability: about.id.to_string(), reason };
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
