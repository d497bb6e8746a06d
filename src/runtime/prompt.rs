//! What a model is told first: instructions rendered over what is known, and what capabilities add.

use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior, context};
use serde_json::json;

use crate::capability::toolbox::Toolbox;
use crate::domain::Object;
use crate::domain::fact::RunOptions;
use crate::domain::id::UserId;
use crate::domain::message::Message;
use crate::domain::spec::{AgentSpec, Source};
use crate::domain::time::Timestamp;
use crate::domain::tool::{ASK_USER, NOT_ANSWERED};
use crate::domain::view::RunView;

/// Steps a template may take; more is a loop gone wrong.
const FUEL: u64 = 100_000;

/// The system message of a run with these options, of this user; `None` if there is nothing to say.
///
/// # Errors
/// Why the instructions do not render: a syntax error, or a name that is not known.
pub(super) fn system(
    agent: &AgentSpec,
    toolbox: &Toolbox,
    given: (&RunOptions, Option<&UserId>),
    state: &Object,
    now: Timestamp,
) -> Result<Option<String>, String> {
    let mut parts = toolbox.prompts.clone();
    parts.push(render(agent, given, state, now)?);
    if given.0.show_state {
        parts.push(format!("<session_state>\n{}\n</session_state>", json!(state)));
    }
    let parts: Vec<&str> = parts.iter().map(|part| part.trim()).filter(|part| !part.is_empty()).collect();
    Ok((!parts.is_empty()).then(|| parts.join("\n\n")))
}

fn render(
    agent: &AgentSpec,
    (options, user): (&RunOptions, Option<&UserId>),
    state: &Object,
    now: Timestamp,
) -> Result<String, String> {
    let text = &agent.instructions;
    if agent.source == Source::Client || !["{{", "{%", "{#"].iter().any(|mark| text.contains(mark)) {
        return Ok(text.clone());
    }
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    let values = context! {
        session_state => Serde(state),
        dependencies => Serde(options.dependencies.clone().unwrap_or_default()),
        user => user.map(ToString::to_string),
        now => now.to_string(),
    };
    environment
        .render_str(text, values)
        .map_err(|error| format!("the instructions of `{}` do not render: {error}", agent.id))
}

/// The run's own messages, with its dependencies shown beside the input where the client asked for that.
pub(super) fn with_dependencies(view: &RunView) -> Vec<Message> {
    let mut messages = view.messages();
    if let (true, Some(dependencies)) = (view.options.show_dependencies, &view.options.dependencies)
        && let Some(Message::User { input }) = messages.first_mut()
    {
        let text = format!("{}\n\n<context>\n{}\n</context>", input.text, json!(dependencies));
        input.text = text;
    }
    messages
}

/// A question that a run ended with is answered by what is said next.
pub(super) fn answer_questions(messages: &mut [Message]) {
    let mut answer: Option<String> = None;
    for message in messages.iter_mut().rev() {
        match message {
            Message::User { input } => answer = Some(input.text.clone()),
            Message::Tool { name, content, .. } if name == ASK_USER && content == NOT_ANSWERED => {
                if let Some(answer) = &answer {
                    content.clone_from(answer);
                }
            }
            Message::System { .. } | Message::Assistant { .. } | Message::Tool { .. } => {}
        }
    }
}
