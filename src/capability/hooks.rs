//! What capabilities do around the work of others: before a model is asked, before a tool is called, and before what a
//! tool says is kept.
//!
//! A hook is a function of what it is shown and of its settings. What it decides is written to the log and not asked for
//! again: a call with other arguments is the call that is recorded, the reason of a refusal is its result, and what is
//! changed of a question stands with the question. So a run that is taken up again goes on from the same facts.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::domain::Object;
use crate::domain::edit::{Changed, Edit};
use crate::domain::message::Message;
use crate::domain::tool::{ToolCall, ToolResult};

/// What a capability does around the work of others. Each part has a default that changes nothing.
pub trait Hook: Send + Sync {
    /// What is to be changed of a conversation before a model is asked.
    fn before_model(&self, _conversation: &[Message]) -> Edit {
        Edit::default()
    }

    /// Whether a call may be made that a model asked for: of any tool, those too that are executed by the client or
    /// that wait for a person. The arguments are the model's and may be anything.
    fn before_call(&self, _call: &ToolCall) -> Ruling {
        Ruling::Pass
    }

    /// What is kept of a call's result, and read by the model.
    fn after_call(&self, _call: &ToolCall, result: ToolResult) -> ToolResult {
        result
    }
}

/// What becomes of a call.
#[derive(Debug, Clone, PartialEq)]
pub enum Ruling {
    /// It is made.
    Pass,
    /// It is made with these arguments instead.
    Change(Object),
    /// It is not made, for this reason, which the model reads.
    Refuse(String),
}

/// A call of an answer that is not made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Its place among the calls of the answer, from 0.
    pub at: usize,
    /// What the model reads.
    pub reason: String,
}

/// The hooks of one agent, in the order of its capabilities. Each sees what those before it left; a hook that panics
/// lets nothing pass.
#[derive(Clone, Default)]
pub struct Hooks(Vec<Arc<dyn Hook>>);

impl Hooks {
    /// Adds those of one more capability.
    pub fn extend(&mut self, hooks: impl IntoIterator<Item = Arc<dyn Hook>>) {
        self.0.extend(hooks);
    }

    /// What is to be changed of a conversation.
    ///
    /// # Errors
    /// A hook failed.
    pub fn before_model(&self, conversation: &[Message]) -> Result<Edit, HookFailed> {
        if self.is_empty() {
            return Ok(Edit::default());
        }
        let mut shown: Vec<Place> =
            conversation.iter().cloned().enumerate().map(|(at, message)| Place::of(at, message)).collect();
        for hook in &self.0 {
            let messages: Vec<Message> = shown.iter().map(|place| place.message.clone()).collect();
            let Edit { changed, added } = guarded(|| hook.before_model(&messages))?;
            // From the last to the first, so that places stay what they were.
            for Changed { at, to } in changed.into_iter().rev() {
                let Some(place) = shown.get_mut(at) else { continue };
                match to {
                    Some(message) => (place.message, place.is_new) = (message, true),
                    None => drop(shown.remove(at)),
                }
            }
            shown.extend(added.into_iter().map(|message| Place { at: None, message, is_new: true }));
        }
        Ok(between(conversation.len(), shown))
    }

    /// Puts an answer's calls as they are to be made, and says which are not.
    pub fn before_calls(&self, calls: &mut [ToolCall]) -> Vec<Refusal> {
        let mut refused = Vec::new();
        for (at, call) in calls.iter_mut().enumerate() {
            let refusal = self.0.iter().find_map(|hook| {
                match guarded(|| hook.before_call(call)) {
                    Ok(Ruling::Pass) => {}
                    Ok(Ruling::Change(arguments)) => {
                        call.arguments = serde_json::Value::Object(arguments).to_string();
                    }
                    Ok(Ruling::Refuse(reason)) => return Some(reason),
                    Err(failed) => return Some(failed.to_string()),
                }
                None
            });
            refused.extend(refusal.map(|reason| Refusal { at, reason }));
        }
        refused
    }

    /// What is kept of a result. Its changes of the session's state stay, and whether the run ends with it.
    pub fn after_call(&self, call: &ToolCall, result: ToolResult) -> ToolResult {
        self.0.iter().fold(result, |mut result, hook| {
            let (state, ends) = (std::mem::take(&mut result.state), result.ends);
            let kept = guarded(|| hook.after_call(call, result));
            let kept = kept.unwrap_or_else(|failed| ToolResult::failed(failed.to_string()));
            ToolResult { state, ends, images: kept.images, ..ToolResult::new(kept.verdict, kept.content) }
        })
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A hook did not come to an end: what it should have looked at goes no further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a capability that looks at this failed in a way it should not")]
pub struct HookFailed;

fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, HookFailed> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|_| HookFailed)
}

/// A message, and where it was at first.
struct Place {
    at: Option<usize>,
    message: Message,
    is_new: bool,
}

impl Place {
    fn of(at: usize, message: Message) -> Self {
        Self { at: Some(at), message, is_new: false }
    }
}

/// What leads from a conversation of that length to what is left of it.
fn between(length: usize, shown: Vec<Place>) -> Edit {
    let mut left = shown.into_iter().peekable();
    let mut changed = Vec::new();
    for at in 0..length {
        match left.next_if(|place| place.at == Some(at)) {
            Some(Place { is_new: false, .. }) => {}
            Some(Place { message, .. }) => changed.push(Changed { at, to: Some(message) }),
            None => changed.push(Changed { at, to: None }),
        }
    }
    Edit { changed, added: left.map(|place| place.message).collect() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
    use serde_json::json;

    use super::*;
    use crate::domain::message::Input;

    fn user(text: &str) -> Message {
        Message::User { input: Input { text: text.into(), ..Input::default() } }
    }

    fn call(arguments: &str) -> ToolCall {
        ToolCall { id: "1".parse().unwrap(), name: "look".into(), arguments: arguments.into() }
    }

    /// Leaves the first message out, replaces the last, adds one; appends its letter to arguments and results.
    struct Letter(char);

    impl Hook for Letter {
        fn before_model(&self, conversation: &[Message]) -> Edit {
            let last = conversation.len() - 1;
            let changed = vec![Changed { at: 0, to: None }, Changed { at: last, to: Some(user("replaced")) }];
            Edit { changed, added: vec![user(&self.0.to_string())] }
        }

        fn before_call(&self, call: &ToolCall) -> Ruling {
            let before = call.parsed().unwrap()["said"].as_str().unwrap().to_owned();
            if before == "ab" {
                return Ruling::Refuse(format!("{} refuses ab", self.0));
            }
            Ruling::Change(json!({ "said": format!("{before}{}", self.0) }).as_object().unwrap().clone())
        }

        fn after_call(&self, _: &ToolCall, result: ToolResult) -> ToolResult {
            ToolResult::done(format!("{}{}", result.content, self.0))
        }
    }

    struct Panics;

    impl Hook for Panics {
        fn before_model(&self, _: &[Message]) -> Edit {
            panic!("out of order")
        }

        fn before_call(&self, _: &ToolCall) -> Ruling {
            panic!("out of order")
        }

        fn after_call(&self, _: &ToolCall, _: ToolResult) -> ToolResult {
            panic!("out of order")
        }
    }

    fn hooks(of: Vec<Arc<dyn Hook>>) -> Hooks {
        Hooks(of)
    }

    #[test]
    fn hooks_see_what_those_before_them_left_and_a_refusal_ends_it() {
        let hooks = hooks(vec![Arc::new(Letter('a')), Arc::new(Letter('b')), Arc::new(Letter('c'))]);
        let mut calls = [call(r#"{"said": ""}"#), call(r#"{"said": "-"}"#)];
        let refused = hooks.before_calls(&mut calls);
        assert_eq!(refused, [Refusal { at: 0, reason: "c refuses ab".into() }]);
        assert_eq!(calls.map(|call| call.arguments), [r#"{"said":"ab"}"#, r#"{"said":"-abc"}"#]);
        let last = |content| ToolResult { ends: true, ..ToolResult::done(content) };
        assert_eq!(hooks.after_call(&call("{}"), last("x")), last("xabc"));
    }

    #[test]
    fn the_edits_of_several_hooks_are_one_edit_of_the_conversation_as_it_was() {
        let conversation = [user("1"), user("2"), user("3"), user("4")];
        let one = hooks(vec![Arc::new(Letter('a'))]).before_model(&conversation).unwrap();
        assert_eq!(
            one.applied_to(conversation.to_vec()),
            [user("2"), user("3"), user("replaced"), user("a")]
        );
        let two = hooks(vec![Arc::new(Letter('a')), Arc::new(Letter('b'))]);
        let two = two.before_model(&conversation).unwrap();
        assert_eq!(
            two.applied_to(conversation.to_vec()),
            [user("3"), user("replaced"), user("replaced"), user("b")]
        );
        assert_eq!(hooks(Vec::new()).before_model(&conversation), Ok(Edit::default()));
    }

    #[test]
    fn a_hook_that_panics_lets_nothing_pass() {
        let hooks = hooks(vec![Arc::new(Panics)]);
        assert_eq!(hooks.before_model(&[user("1")]), Err(HookFailed));
        let reason = HookFailed.to_string();
        assert_eq!(hooks.before_calls(&mut [call("{}")]), [Refusal { at: 0, reason: reason.clone() }]);
        assert_eq!(hooks.after_call(&call("{}"), ToolResult::done("x")), ToolResult::failed(reason));
    }
}
