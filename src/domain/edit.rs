//! What was changed of a question before a model was asked: kept in the log, so that the same question can be told again.

use serde::{Deserialize, Serialize};

use super::message::Message;

/// What was changed of the conversation that a model is shown. The system message is no part of it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Edit {
    /// Messages that are left out, or replaced; by their places, each once, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changed: Vec<Changed>,
    /// What comes after the last message.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub added: Vec<Message>,
}

/// A message that is not shown as it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Changed {
    /// Its place in the conversation, from 0.
    pub at: usize,
    /// What is shown in its place; nothing where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Message>,
}

impl Edit {
    /// Whether everything is shown as it is.
    pub fn is_empty(&self) -> bool {
        self.changed.is_empty() && self.added.is_empty()
    }

    /// The conversation as it is shown, healed: calls without results, and results without calls, are left out too,
    /// because providers refuse them.
    pub fn applied_to(&self, conversation: Vec<Message>) -> Vec<Message> {
        let mut changed = self.changed.iter().peekable();
        let mut shown = Vec::with_capacity(conversation.len().saturating_add(self.added.len()));
        for (at, message) in conversation.into_iter().enumerate() {
            match changed.next_if(|change| change.at == at) {
                Some(change) => shown.extend(change.to.clone()),
                None => shown.push(message),
            }
        }
        shown.extend(self.added.iter().cloned());
        if self.is_empty() { shown } else { healed(shown) }
    }
}

/// Without calls that no result follows, and without results that follow no call.
fn healed(messages: Vec<Message>) -> Vec<Message> {
    let mut healed: Vec<Message> = Vec::with_capacity(messages.len());
    let mut rest = messages.into_iter().peekable();
    while let Some(mut message) = rest.next() {
        if let Message::Tool { .. } = message {
            continue;
        }
        let mut results = Vec::new();
        while let Some(result) = rest.next_if(|next| matches!(next, Message::Tool { .. })) {
            results.push(result);
        }
        if let Message::Assistant { tool_calls, text, .. } = &mut message {
            tool_calls.retain(|call| results.iter().any(|result| result.answers(&call.id)));
            results.retain(|result| tool_calls.iter().any(|call| result.answers(&call.id)));
            if text.is_empty() && tool_calls.is_empty() {
                continue;
            }
        } else {
            results.clear();
        }
        healed.push(message);
        healed.extend(results);
    }
    healed
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::domain::message::Input;
    use crate::domain::tool::ToolCall;

    fn user(text: &str) -> Message {
        Message::User { input: Input { text: text.into(), ..Input::default() } }
    }

    fn asks(text: &str, calls: &[&str]) -> Message {
        let call =
            |id: &&str| ToolCall { id: id.parse().unwrap(), name: "look".into(), arguments: "{}".into() };
        let tool_calls = calls.iter().map(call).collect();
        Message::Assistant { text: text.into(), reasoning: String::new(), tool_calls }
    }

    fn result(id: &str) -> Message {
        let (call, name) = (id.parse().unwrap(), "look".into());
        Message::Tool { call, name, content: "seen".into(), images: Vec::new(), error: false }
    }

    fn without(places: &[usize]) -> Edit {
        let changed = places.iter().map(|at| Changed { at: *at, to: None }).collect();
        Edit { changed, added: Vec::new() }
    }

    #[test]
    fn a_conversation_is_shown_as_the_edit_says_and_without_one_as_it_is() {
        let whole = vec![user("a"), user("b"), user("c")];
        assert_eq!(Edit::default().applied_to(whole.clone()), whole);
        let changed = vec![Changed { at: 0, to: None }, Changed { at: 1, to: Some(user("x")) }];
        let edit = Edit { changed, added: vec![user("z")] };
        assert_eq!(edit.applied_to(whole), [user("x"), user("c"), user("z")]);
    }

    #[test]
    fn no_call_is_left_without_its_result_and_no_result_without_its_call() {
        let whole = vec![user("a"), asks("", &["1", "2"]), result("1"), result("2"), asks("done", &[])];
        let last = || asks("done", &[]);
        assert_eq!(without(&[1]).applied_to(whole.clone()), [user("a"), last()]);
        assert_eq!(
            without(&[2]).applied_to(whole.clone()),
            [user("a"), asks("", &["2"]), result("2"), last()]
        );
        assert_eq!(without(&[2, 3]).applied_to(whole), [user("a"), last()]);
    }
}
