//! A question as the demo sees it: what the user wants, and what was already done about it.

use serde_json::Value;

use crate::domain::Object;
use crate::domain::message::{Message, ModelCall};
use crate::domain::tool::ToolSpec;

/// A question.
pub(super) struct Scene<'a> {
    /// The instructions.
    pub(super) system: &'a str,
    /// The user's last message.
    pub(super) text: &'a str,
    /// Their messages before it, oldest first.
    pub(super) earlier: Vec<&'a str>,
    /// Calls since that message, with what came of them.
    pub(super) done: Vec<Done<'a>>,
    /// Answers since that message.
    pub(super) answers: usize,
    /// What may be called.
    pub(super) tools: &'a [ToolSpec],
    /// What the answer must fit.
    pub(super) schema: Option<&'a Value>,
}

/// A call that was made.
pub(super) struct Done<'a> {
    /// The tool.
    pub(super) name: &'a str,
    /// What it was given.
    pub(super) arguments: Object,
    /// What it gave back.
    pub(super) content: &'a str,
    /// Whether it failed.
    pub(super) error: bool,
}

impl<'a> Scene<'a> {
    /// Looks at a question.
    pub(super) fn of(call: &'a ModelCall) -> Self {
        let mut scene = Self {
            system: "",
            text: "",
            earlier: Vec::new(),
            done: Vec::new(),
            answers: 0,
            tools: &call.tools,
            schema: call.output_schema.as_ref(),
        };
        let mut asked = Vec::new();
        for message in &call.messages {
            match message {
                // What is said to it later on is a reminder.
                Message::System { text } if scene.system.is_empty() => scene.system = text,
                Message::System { .. } => {}
                Message::User { input } => {
                    scene.earlier.push(&input.text);
                    scene.done.clear();
                    scene.answers = 0;
                }
                Message::Assistant { tool_calls, .. } => {
                    scene.answers += 1;
                    asked.extend(tool_calls);
                }
                Message::Tool { call, name, content, error, images: _ } => {
                    let asked = asked.iter().rev().find(|asked| asked.id == *call);
                    let arguments = asked.and_then(|asked| asked.parsed()).unwrap_or_default();
                    scene.done.push(Done { name, arguments, content, error: *error });
                }
            }
        }
        scene.text = scene.earlier.pop().unwrap_or_default();
        scene
    }

    /// The tool of that name.
    pub(super) fn tool(&self, name: &str) -> Option<&'a ToolSpec> {
        self.tools.iter().find(|tool| tool.name == name)
    }

    /// What came of calling a tool with these arguments.
    pub(super) fn result(&self, name: &str, arguments: &Value) -> Option<&Done<'a>> {
        let given = arguments.as_object().cloned().unwrap_or_default();
        self.done.iter().find(|done| done.name == name && done.arguments == given)
    }
}
