//! What a run would begin with now, for whoever wants to see it before there is one.

use std::sync::Arc;

use super::host::RunHost;
use super::{Error, Runtime};
use crate::capability::toolbox::Toolbox;
use crate::capability::{Later, Now};
use crate::domain::id::{Owner, RunId, SessionId};
use crate::domain::spec::{AgentSpec, Spec};

impl Runtime {
    /// The prompts and tools of an agent in a session that has just begun, with what its capabilities can say only at
    /// the moment.
    ///
    /// # Errors
    /// What the store says; [`Error::Invalid`] if the agent cannot be composed.
    pub async fn outfit(&self, owner: &Owner, agent: AgentSpec) -> Result<Toolbox, Error> {
        let workspace = self.workspace(owner).await?;
        let spec = Arc::new(Spec::Agent(agent));
        let components = workspace.catalog.below(&spec);
        let toolbox = workspace.toolbox(&spec, &components);
        let toolbox = toolbox.map_err(|message| Error::Invalid { field: "capabilities", message })?;
        if toolbox.later.is_empty() {
            return Ok(toolbox.as_ref().clone());
        }
        let host = self.nowhere(owner)?;
        Ok(toolbox.with_later(&host.for_call()).await.searchable())
    }

    /// What a capability can say only at the moment, where no session is.
    ///
    /// # Errors
    /// [`Error::Internal`]; it cannot happen.
    pub async fn said_now(&self, owner: &Owner, later: &dyn Later) -> Result<Now, Error> {
        let host = self.nowhere(owner)?;
        Ok(later.now(&host.for_call()).await)
    }

    /// A session that nobody has: there are no files in it.
    fn nowhere(&self, owner: &Owner) -> Result<RunHost, Error> {
        let session: SessionId = self.fresh().to_string().parse().map_err(|_| Error::Internal)?;
        Ok(RunHost::empty(self, owner, session, RunId(self.fresh())))
    }
}
