//! Where a run comes from, as AgentOS says it; what is unset is left out.

use serde::Serialize;

use crate::domain::fork::{Origin, Way};
use crate::domain::id::RunId;
use crate::domain::view::RunView;

/// The keys that name the run this one was made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct ForkBody<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    forked_from_run_id: Option<RunId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    forked_from_message_index: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    forked_from_session_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    regenerated_from: Option<RunId>,
}

impl<'a> ForkBody<'a> {
    /// Of a run.
    pub fn of(view: &'a RunView) -> Self {
        let Some(Origin { run, session, index, way, .. }) = &view.origin else { return Self::default() };
        let is_copy = matches!(way, Way::Copied { .. });
        let is_again = matches!(way, Way::Regenerated { .. });
        Self {
            forked_from_run_id: Some(*run),
            forked_from_message_index: (*way != Way::Resumed).then_some(*index),
            forked_from_session_id: is_copy.then(|| session.as_str()),
            regenerated_from: is_again.then_some(*run),
        }
    }

    /// Whether something is said of the run, of its session, and of its being another's answer again.
    pub(super) fn sets(&self) -> (bool, bool, bool) {
        let Self { forked_from_run_id, forked_from_session_id, regenerated_from, .. } = self;
        (forked_from_run_id.is_some(), forked_from_session_id.is_some(), regenerated_from.is_some())
    }
}
