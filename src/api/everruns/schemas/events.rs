//! Events: one envelope, and what each type of them tells.

use serde_json::{Value, json};

use super::{
    Schemas, about, either, exactly, flagged, id, list, maybe, named, number, one_of, some_object, text,
    texts, time, whole, with,
};
use crate::api::everruns::events::kind::{self, Kind};
use crate::api::everruns::ids::{AGENT, EVENT, EXEC, MESSAGE, MODEL, PROVIDER, SESSION, TURN};

/// An event of each kind under a name of its own, and any of them.
pub(super) fn all() -> Schemas {
    let mut all = vec![
        ("EventContext", context()),
        ("ToolCall", whole(&[("id", text()), ("name", text()), ("arguments", some_object())])),
        ("GenerationMetadata", generation_metadata()),
    ];
    let names = kind::ALL.map(name);
    let mapping: serde_json::Map<String, Value> = kind::ALL
        .iter()
        .map(|kind| (kind.name().to_owned(), format!("#/components/schemas/{}", name(*kind)).into()))
        .collect();
    let mut event = about(either(&names), "Clients pass over types that they do not know");
    if let Some(fields) = event.as_object_mut() {
        fields.insert("discriminator".into(), json!({ "propertyName": "type", "mapping": mapping }));
    }
    all.push(("Event", event));
    all.extend(kind::ALL.map(|kind| (name(kind), envelope(kind))));
    all
}

fn envelope(kind: Kind) -> Value {
    let always = [
        ("id", id(EVENT)),
        ("type", exactly(kind.name())),
        ("ts", time()),
        ("session_id", id(SESSION)),
        ("context", named("EventContext")),
        ("data", data(kind)),
    ];
    let sequence = ("sequence", about(number(1), "Its place in the session"));
    match kind {
        // What is not stored has no place.
        Kind::OutputDelta | Kind::ThinkingDelta => whole(&always),
        Kind::SessionStarted
        | Kind::InputMessage
        | Kind::SessionActivated
        | Kind::TurnStarted
        | Kind::ReasonStarted
        | Kind::ReasonRecovered
        | Kind::OutputStarted
        | Kind::ThinkingStarted
        | Kind::ThinkingCompleted
        | Kind::Generation
        | Kind::OutputCompleted
        | Kind::ReasonCompleted
        | Kind::ActStarted
        | Kind::ToolStarted
        | Kind::ToolCallRequested
        | Kind::ToolCompleted
        | Kind::ActCompleted
        | Kind::TurnCompleted
        | Kind::TurnFailed
        | Kind::TurnCancelled
        | Kind::SessionIdled => whole(&[always.as_slice(), &[sequence]].concat()),
    }
}

fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::SessionStarted => "SessionStartedEvent",
        Kind::InputMessage => "InputMessageEvent",
        Kind::SessionActivated => "SessionActivatedEvent",
        Kind::TurnStarted => "TurnStartedEvent",
        Kind::ReasonStarted => "ReasonStartedEvent",
        Kind::ReasonRecovered => "ReasonRecoveredEvent",
        Kind::OutputStarted => "OutputMessageStartedEvent",
        Kind::OutputDelta => "OutputMessageDeltaEvent",
        Kind::ThinkingStarted => "ThinkingStartedEvent",
        Kind::ThinkingDelta => "ThinkingDeltaEvent",
        Kind::ThinkingCompleted => "ThinkingCompletedEvent",
        Kind::Generation => "GenerationEvent",
        Kind::OutputCompleted => "OutputMessageCompletedEvent",
        Kind::ReasonCompleted => "ReasonCompletedEvent",
        Kind::ActStarted => "ActStartedEvent",
        Kind::ToolStarted => "ToolStartedEvent",
        Kind::ToolCallRequested => "ToolCallRequestedEvent",
        Kind::ToolCompleted => "ToolCompletedEvent",
        Kind::ActCompleted => "ActCompletedEvent",
        Kind::TurnCompleted => "TurnCompletedEvent",
        Kind::TurnFailed => "TurnFailedEvent",
        Kind::TurnCancelled => "TurnCancelledEvent",
        Kind::SessionIdled => "SessionIdledEvent",
    }
}

fn context() -> Value {
    let fields = [
        ("turn_id", id(TURN)),
        ("input_message_id", id(MESSAGE)),
        ("exec_id", id(EXEC)),
        ("trace_id", text()),
        ("span_id", text()),
        ("parent_span_id", text()),
    ];
    with(&[], &fields)
}

fn turn() -> (&'static str, Value) {
    ("turn_id", id(TURN))
}

fn usage() -> (&'static str, Value) {
    ("usage", named("TokenUsage"))
}

fn took() -> (&'static str, Value) {
    ("duration_ms", number(0))
}

fn content() -> Value {
    list(&named("ContentPart"))
}

fn calls() -> (&'static str, Value) {
    ("tool_calls", list(&named("ToolCall")))
}

/// What an event of this kind tells.
fn data(kind: Kind) -> Value {
    match kind {
        Kind::SessionStarted => with(&[("agent_id", id(AGENT))], &[("model_id", id(MODEL))]),
        Kind::InputMessage => whole(&[("message", named("Message"))]),
        Kind::SessionActivated => whole(&[turn(), ("input_message_id", id(MESSAGE))]),
        Kind::TurnStarted => {
            whole(&[turn(), ("input_message_id", id(MESSAGE)), ("input_content", content())])
        }
        Kind::ReasonStarted => with(&[("agent_id", id(AGENT))], &[("metadata", model())]),
        Kind::ReasonRecovered => with(&[], &[]),
        Kind::OutputStarted | Kind::ThinkingStarted => whole(&[turn(), ("model", maybe(text()))]),
        Kind::OutputDelta | Kind::ThinkingDelta => {
            whole(&[turn(), ("delta", text()), ("accumulated", about(text(), "All of the answer so far"))])
        }
        Kind::ThinkingCompleted => whole(&[turn(), ("thinking", text())]),
        Kind::Generation => generation(),
        Kind::OutputCompleted => {
            let sometimes = [("metadata", model()), usage(), ("error_code", text())];
            with(&[("message", named("Message"))], &sometimes)
        }
        Kind::ReasonCompleted => {
            let always =
                [("success", flagged()), ("has_tool_calls", flagged()), ("tool_call_count", number(0))];
            with(&always, &[("text_preview", text()), ("error", text()), usage(), took()])
        }
        Kind::ActStarted => whole(&[("tool_calls", list(&whole(&[("id", text()), ("name", text())])))]),
        Kind::ToolStarted => whole(&[("tool_call", named("ToolCall"))]),
        Kind::ToolCallRequested => whole(&[calls()]),
        Kind::ToolCompleted => tool_completed(),
        Kind::ActCompleted => {
            let counts = [("success_count", number(0)), ("error_count", number(0)), took()];
            whole(&[[("completed", flagged())].as_slice(), &counts].concat())
        }
        Kind::TurnCompleted => turn_completed(),
        Kind::TurnFailed => whole(&[turn(), ("error", text()), ("error_code", text())]),
        Kind::TurnCancelled => with(&[turn()], &[("reason", text()), usage()]),
        Kind::SessionIdled => with(&[turn(), ("iterations", number(0))], &[usage()]),
    }
}

fn model() -> Value {
    whole(&[("model", text()), ("model_id", id(MODEL)), ("provider_id", id(PROVIDER))])
}

fn generation() -> Value {
    let message = [("role", one_of(&["system", "user", "agent", "tool_result"])), ("content", content())];
    let tool = [("name", text()), ("description", text())];
    let output = with(&[calls()], &[("text", text())]);
    whole(&[
        ("messages", about(list(&whole(&message)), "As they were sent")),
        ("tools", list(&whole(&tool))),
        ("output", output),
        ("metadata", named("GenerationMetadata")),
    ])
}

fn generation_metadata() -> Value {
    let sometimes = [
        ("error", text()),
        usage(),
        ("time_to_first_token_ms", number(0)),
        ("finish_reasons", texts()),
        ("response_id", text()),
    ];
    with(&[("model", text()), ("provider", text()), ("success", flagged()), took()], &sometimes)
}

fn tool_completed() -> Value {
    let always = [
        ("tool_call_id", text()),
        ("tool_name", text()),
        ("success", flagged()),
        ("status", one_of(&["success", "error", "timeout", "cancelled"])),
    ];
    with(&always, &[("result", content()), ("error", text()), took()])
}

fn turn_completed() -> Value {
    let always = [
        turn(),
        ("iterations", about(number(0), "How often a model was asked")),
        took(),
        ("input_content", content()),
        ("final_answer_preview", text()),
        ("tool_call_count", number(0)),
        ("llm_call_count", number(0)),
        ("status", exactly("completed")),
    ];
    with(&always, &[usage(), ("time_to_first_token_ms", number(0))])
}
