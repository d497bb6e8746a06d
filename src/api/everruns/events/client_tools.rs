//! Which calls wait for the client, and not for a person who agrees to them elsewhere.

use crate::api::everruns::models::leader;
use crate::domain::id::CallId;
use crate::domain::spec::{DeclaredTool, Spec};
use crate::domain::tool::ASK_USER;
use crate::domain::view::{Call, RunView};

/// Whether a call is the client's to carry out.
pub fn is_for_client(view: &RunView, call: &Call) -> bool {
    let name = &call.call.name;
    let mut declared = declared(&view.spec).filter(|tool| tool.name == *name);
    !call.doubted && (name == ASK_USER || declared.next().is_some_and(|tool| tool.gate.external))
}

/// The calls that wait for the client's results.
pub fn waiting(view: &RunView) -> Vec<CallId> {
    let calls = view.waiting.iter().filter_map(|id| view.call(id));
    calls.filter(|call| is_for_client(view, call)).map(|call| call.call.id.clone()).collect()
}

fn declared(spec: &Spec) -> impl Iterator<Item = &DeclaredTool> {
    leader(spec).into_iter().flat_map(|agent| agent.tools.iter().chain(&agent.additions.tools))
}
