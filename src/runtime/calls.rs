//! One call of a tool: checked, within its time, and never twice if once is all it may be.

use std::panic::AssertUnwindSafe;

use futures::FutureExt;
use tokio::time::timeout;

use super::Inner;
use super::host::RunHost;
use crate::capability::Invocation;
use crate::capability::toolbox::{ToolEntry, Toolbox};
use crate::domain::Object;
use crate::domain::id::CallId;
use crate::domain::state::merge;
use crate::domain::tool::{Effect, TIMED_OUT, ToolCall, ToolResult, Verdict};
use crate::machine::ToolOrder;

impl Inner {
    /// Calls a tool: checked, within its time, and never twice if once is all it may be.
    pub(super) async fn perform(
        &self,
        host: &RunHost,
        toolbox: &Toolbox,
        order: &ToolOrder,
    ) -> (CallId, ToolResult) {
        let call = &order.call;
        let result = match toolbox.get(&call.name) {
            Some(tool) if order.in_doubt && tool.spec().effect == Effect::Once => in_doubt(&call.name),
            Some(tool) => match arguments(toolbox, order) {
                Ok(arguments) => self.call_tool(host, tool, call, &arguments).await,
                Err(why) => ToolResult::new(Verdict::Refused, why),
            },
            None => {
                let why = toolbox.check(call).err().unwrap_or_default();
                ToolResult::new(Verdict::Refused, why)
            }
        };
        (call.id.clone(), result)
    }

    async fn call_tool(
        &self,
        host: &RunHost,
        tool: &ToolEntry,
        call: &ToolCall,
        arguments: &Object,
    ) -> ToolResult {
        let key = format!("{}/{}", host.run(), call.id);
        let own = host.for_call();
        let limit = tool.spec().timeout;
        let work = async { tool.tool.call(Invocation { arguments, key: &key, host: &own }).await };
        let mut result = match timeout(limit, AssertUnwindSafe(work).catch_unwind()).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => ToolResult::failed("the tool failed in a way it should not"),
            Err(_) => ToolResult::failed(format!("{TIMED_OUT} {limit:?} and was given up")),
        };
        result.state = own.into_changes();
        result.ends = tool.spec().gate.last && result.verdict == Verdict::Done;
        result
    }
}

/// What a tool is called with: the model's arguments, a person's laid over them, checked.
fn arguments(toolbox: &Toolbox, order: &ToolOrder) -> Result<Object, String> {
    let mut arguments = toolbox.check(&order.call)?;
    if !order.approved {
        return Ok(arguments);
    }
    merge(&mut arguments, &order.values);
    toolbox.check_whole(&order.call.name, arguments)
}

fn in_doubt(tool: &str) -> ToolResult {
    let message = format!(
        "It is not known whether `{tool}` took effect: the server stopped while it was being called. \
         It was not called again. Find out before you try again."
    );
    ToolResult::new(Verdict::InDoubt, message)
}
