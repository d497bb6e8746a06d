//! What an agent would be told and could call at the beginning of a run: nothing begins, and nothing is asked that a
//! tool would have to answer.

use std::sync::Arc;

use super::error::Error;
use super::{Runtime, prompt};
use crate::domain::fact::RunOptions;
use crate::domain::id::Owner;
use crate::domain::spec::{AgentSpec, Spec};
use crate::domain::state;
use crate::domain::tool::ToolSpec;
use crate::domain::view::RunView;

/// How a run would begin.
#[derive(Debug, Clone, PartialEq)]
pub struct Rehearsal {
    /// The system message.
    pub system: Option<String>,
    /// What the model could call, as far as that is known before it is asked.
    pub tools: Vec<ToolSpec>,
}

impl Runtime {
    /// How a run of an agent would begin: with the state, the values and the user of an earlier run, if there was one.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the agent cannot be composed or its instructions do not render; what the store says.
    pub async fn rehearsal(
        &self,
        owner: &Owner,
        agent: &AgentSpec,
        earlier: Option<&RunView>,
    ) -> Result<Rehearsal, Error> {
        let workspace = self.workspace(owner).await?;
        let spec = Arc::new(Spec::Agent(agent.clone()));
        let broken = |message| Error::Invalid { field: "agent", message };
        let toolbox = workspace.toolbox(&spec, &[]).map_err(broken)?;
        let mut known = agent.session_state.clone();
        let nothing = RunOptions::default();
        let options = earlier.map_or(&nothing, |earlier| &earlier.options);
        if let Some(earlier) = earlier {
            state::merge(&mut known, &earlier.stored);
        }
        if let Some(own) = &options.session_state {
            state::merge(&mut known, own);
        }
        let user = earlier.and_then(|earlier| earlier.user.as_ref());
        let system = prompt::system(agent, &toolbox, (options, user), &known, self.now()).map_err(broken)?;
        Ok(Rehearsal { system, tools: toolbox.specs() })
    }
}
