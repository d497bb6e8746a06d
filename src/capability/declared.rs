//! Tools an agent file declares, by what carries them out.

use std::sync::Arc;

use async_trait::async_trait;

use super::egress::Egress;
use super::http::{Environment, HttpTool};
use super::process::ProcessTool;
use super::{Invocation, Tool};
use crate::domain::spec::{DeclaredTool, ToolAction};
use crate::domain::tool::{ToolResult, ToolSpec};

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
