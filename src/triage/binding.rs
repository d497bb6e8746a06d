//! What a document's production version means to the agent it is bound to.

use serde_json::Value;

use super::Board;
use super::error::Error;
use crate::domain::spec::ComponentKind;
use crate::runtime::documents::Changes;

/// What must be written with a publication, so that the agent's next run has this definition.
///
/// # Errors
/// [`Error::Invalid`] if there is no such agent, or it cannot be defined so.
pub(super) async fn publish(board: &Board, agent: &str, _content: &Value) -> Result<Changes, Error> {
    let unknown = || Error::invalid("bound_to.id", "there is no such agent");
    let id = agent.parse().map_err(|_| unknown())?;
    board.runtime.catalog().get(ComponentKind::Agent, &id).ok_or_else(unknown)?;
    Ok(Changes::default())
}
