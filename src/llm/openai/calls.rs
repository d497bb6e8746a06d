//! Tool calls, put together from the parts that providers send: in order or mixed, with or without names for them.

use serde_json::value::RawValue;

use super::wire::CallDelta;
use crate::domain::message::Message;
use crate::domain::tool::ToolCall;
use crate::llm::call_ids::CallIds;

/// The calls of one answer, while it comes.
#[derive(Debug, Default)]
pub(super) struct Calls {
    open: Vec<Open>,
    ids: CallIds,
}

#[derive(Debug, Default)]
struct Open {
    index: Option<u64>,
    id: String,
    name: String,
    arguments: String,
}

impl Calls {
    /// No calls yet, in answer to these messages.
    pub(super) fn after(messages: &[Message]) -> Self {
        Self { open: Vec::new(), ids: CallIds::after(messages) }
    }

    /// Adds a part to the call it belongs to.
    pub(super) fn add(&mut self, part: CallDelta) {
        let arguments = part.function.arguments();
        let by_id = self.open.iter().rposition(|call| call.has_id_of(&part));
        let place = by_id.or_else(|| self.open.iter().rposition(|call| call.may_be_meant_by(&part)));
        let found = place.and_then(|place| self.open.get_mut(place));
        if let Some(call) = found.filter(|call| !call.is_followed_by(&part, &arguments)) {
            call.add(part, &arguments);
        } else {
            let CallDelta { index, id, function } = part;
            self.open.push(Open { index, id, name: function.name, arguments });
        }
    }

    /// The calls, each with an id that no other call of the conversation has.
    pub(super) fn finished(mut self) -> Vec<ToolCall> {
        let open = std::mem::take(&mut self.open);
        let real = open.into_iter().filter(|call| !(call.name.is_empty() && call.arguments.is_empty()));
        real.filter_map(|call| {
            Some(ToolCall { id: self.ids.id(&call.id)?, name: call.name, arguments: call.arguments })
        })
        .collect()
    }
}

impl Open {
    fn has_id_of(&self, part: &CallDelta) -> bool {
        !part.id.is_empty() && part.id == self.id && (part.index == self.index || part.index.is_none())
    }

    /// Whether the part says nothing against being of this call: another place, or another id with a name.
    fn may_be_meant_by(&self, part: &CallDelta) -> bool {
        match (part.index, self.index) {
            (Some(one), Some(other)) => one == other,
            _ => part.id.is_empty() || self.id.is_empty() || part.function.name.is_empty(),
        }
    }

    /// Whether the part begins another call in this one's place: some providers number all calls 0, or none. It
    /// brings a name, and either an id of its own or something more where the arguments are complete already.
    fn is_followed_by(&self, part: &CallDelta, arguments: &str) -> bool {
        let name = &part.function.name;
        if name.is_empty() || self.name.is_empty() {
            return false;
        }
        if !part.id.is_empty() && !self.id.is_empty() {
            return part.id != self.id;
        }
        let complete = serde_json::from_str::<&RawValue>(&self.arguments).is_ok();
        complete && (*name != self.name || !arguments.is_empty())
    }

    fn add(&mut self, part: CallDelta, arguments: &str) {
        if self.id.is_empty() {
            self.id = part.id;
        }
        if self.name != part.function.name {
            self.name.push_str(&part.function.name);
        }
        self.arguments.push_str(arguments);
    }
}
