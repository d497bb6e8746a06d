//! Ids for tool calls that came without a usable one: the same for the same conversation, so that a repeated
//! question gets the same answer.

use std::collections::HashSet;

use crate::domain::id::CallId;
use crate::domain::message::Message;

/// The ids that calls of the next answer may not have.
#[derive(Debug, Default)]
pub(super) struct CallIds {
    taken: HashSet<String>,
    made: usize,
}

impl CallIds {
    /// All ids of these messages are taken.
    pub(super) fn after(messages: &[Message]) -> Self {
        let calls = messages.iter().flat_map(|message| match message {
            Message::Assistant { tool_calls, .. } => tool_calls.as_slice(),
            Message::System { .. } | Message::User { .. } | Message::Tool { .. } => &[],
        });
        Self { taken: calls.map(|call| call.id.as_str().to_owned()).collect(), made: 0 }
    }

    /// The given id if it can be one and is free, else the next free `call_<n>`; there always is one.
    pub(super) fn id(&mut self, given: &str) -> Option<CallId> {
        if let Some(id) = self.take(given) {
            return Some(id);
        }
        // One more than there are taken is free for certain.
        for _ in 0..=self.taken.len() {
            self.made += 1;
            if let Some(id) = self.take(&format!("call_{}", self.made)) {
                return Some(id);
            }
        }
        None
    }

    fn take(&mut self, text: &str) -> Option<CallId> {
        let id = text.parse().ok()?;
        self.taken.insert(text.to_owned()).then_some(id)
    }
}
