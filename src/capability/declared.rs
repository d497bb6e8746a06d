//! Tools an agent file declares, by what carries them out.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;

use super::egress::Egress;
use super::http::{Environment, HttpTool};
use super::process::ProcessTool;
use super::{About, Capability, CapabilityKind, Contribution, Invocation, Risk, Tool};
use crate::domain::spec::{DeclaredTool, ToolAction};
use crate::domain::tool::{ToolResult, ToolSpec};

/// What ids of these capabilities begin with.
pub(super) const PREFIX: &str = "declarative:";

/// The tool a declaration describes.
///
/// # Errors
/// A sentence that names the setting that does not fit.
pub(super) fn tool(
    declared: &DeclaredTool,
    egress: &Egress,
    environment: &Environment,
) -> Result<Arc<dyn Tool>, String> {
    let mut spec = ToolSpec {
        name: declared.name.clone(),
        description: declared.description.clone(),
        parameters: declared.parameters.clone(),
        effect: declared.effect,
        timeout: declared.timeout,
        gate: declared.gate.clone(),
    };
    Ok(match &declared.action {
        ToolAction::Process { command, directory } => Arc::new(ProcessTool::new(spec, command, directory)?),
        ToolAction::Http { method, url, headers, allow_private } => {
            let http = HttpTool::new(spec, method, url, headers, allow_private)?;
            Arc::new(http.through(egress.clone(), environment.clone()))
        }
        ToolAction::External => {
            spec.gate.external = true;
            Arc::new(External(spec))
        }
    })
}

/// A declared tool as a capability of its own: `declarative:{name}`.
pub(super) struct Declared {
    about: About,
    tool: Arc<dyn Tool>,
}

impl Declared {
    /// None for a tool that the client carries out: nobody else could be given it.
    ///
    /// # Errors
    /// A sentence that names the setting that does not fit.
    pub(super) fn of(
        declared: &DeclaredTool,
        egress: &Egress,
        environment: &Environment,
    ) -> Result<Option<Self>, String> {
        let (risk, icon) = match &declared.action {
            ToolAction::Process { .. } => (Risk::High, "square-terminal"),
            ToolAction::Http { .. } => (Risk::Medium, "webhook"),
            ToolAction::External => return Ok(None),
        };
        let id = format!("{PREFIX}{}", declared.name);
        let about = About::new(id, declared.name.clone(), declared.description.clone());
        let about = About { kind: CapabilityKind::Declared, ..about.listed("Declared", icon).risking(risk) };
        Ok(Some(Self { about, tool: tool(declared, egress, environment)? }))
    }
}

impl Capability for Declared {
    fn about(&self) -> &About {
        &self.about
    }

    fn contribute(&self, _: &Value) -> Result<Contribution, String> {
        Ok(Contribution { tools: vec![self.tool.clone()], ..Contribution::default() })
    }
}

/// A tool that is carried out by the client; the run waits for it and never calls it.
struct External(ToolSpec);

#[async_trait]
impl Tool for External {
    fn spec(&self) -> &ToolSpec {
        &self.0
    }

    async fn call(&self, _: Invocation<'_>) -> ToolResult {
        ToolResult::failed(format!("`{}` is executed by the client", self.0.name))
    }
}
