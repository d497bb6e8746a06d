//! Sessions and their messages, and the same as an agent's application sees them.

use serde_json::{Value, json};

use super::agents::{assignments, tags, tools};
use super::{
    Schemas, about, anything, either, exactly, flagged, id, list, maybe, named, number, object, one_of, open,
    sized, some_object, text, texts, time, times, whole, with,
};
use crate::api::everruns::ids::{AGENT, HARNESS, IMAGE, MESSAGE, MODEL, ORG, SESSION, WORKSPACE};

pub(super) fn all() -> Schemas {
    let mut all = of_sessions();
    all.extend(of_messages());
    all.extend(of_channels());
    all
}

fn title() -> Value {
    sized(0..=10_240)
}

fn of_sessions() -> Schemas {
    let cancelled = [("status", one_of(&["cancelled", "no_op"])), ("message", text())];
    vec![
        ("Session", session(&[])),
        ("NewSession", new_session()),
        ("SessionPatch", object(&[("title", title()), ("tags", tags())], &[])),
        ("Cancelled", whole(&cancelled)),
        ("ToolResults", tool_results()),
        ("ToolResultsTaken", whole(&[("accepted", number(0)), ("status", status())])),
    ]
}

fn status() -> Value {
    one_of(&["started", "active", "idle", "waitingfortoolresults"])
}

fn session(more: &[(&str, Value)]) -> Value {
    let always = [
        ("id", id(SESSION)),
        ("organization_id", id(ORG)),
        ("agent_id", id(AGENT)),
        ("tags", texts()),
        ("capabilities", about(list(&named("AssignedCapability")), "The session's own, not the agent's")),
        ("tools", about(list(&named("ClientTool")), "The session's own, not the agent's")),
        ("status", status()),
        ("harness_id", id(HARNESS)),
        ("workspace_id", id(WORKSPACE)),
    ];
    let sometimes = [
        ("title", text()),
        ("model_id", id(MODEL)),
        ("preview", about(sized(1..=200), "How the first message of a person begins")),
        ("output_preview", about(sized(1..=200), "How the last answer begins")),
        ("usage", named("TokenUsage")),
        ("started_at", about(time(), "When the first turn began")),
    ];
    with(&[always.as_slice(), &times(), more].concat(), &sometimes)
}

fn new_session() -> Value {
    let file = [
        ("path", about(sized(1..=1024), "From the session's root")),
        ("content", text()),
        ("encoding", about(one_of(&["text", "base64"]), "How content is written; default: text")),
        ("is_readonly", flagged()),
    ];
    let fields = [
        ("agent_id", about(id(AGENT), "Who answers; it counts before agent_name")),
        ("agent_name", about(text(), "Who answers, by name")),
        ("title", title()),
        ("tags", tags()),
        ("model_id", about(id(MODEL), "Default: the agent's")),
        ("capabilities", about(assignments(), "Besides the agent's")),
        ("tools", about(tools(), "Besides the agent's")),
        ("initial_files", list(&object(&file, &["path"]))),
    ];
    let mut schema = object(&fields, &[]);
    if let Some(schema) = schema.as_object_mut() {
        schema.remove("required");
        schema.insert("anyOf".into(), json!([{ "required": ["agent_id"] }, { "required": ["agent_name"] }]));
    }
    schema
}

fn tool_results() -> Value {
    let result = [
        ("tool_call_id", text()),
        ("result", about(anything(), "What came of it; any JSON")),
        ("error", about(maybe(text()), "Why nothing came of it; it counts before result")),
    ];
    let results = json!({ "type": "array", "minItems": 1, "items": object(&result, &["tool_call_id"]) });
    object(&[("tool_results", results)], &["tool_results"])
}

fn of_messages() -> Schemas {
    let said = json!({ "type": "array", "minItems": 1, "items": either(&["TextPart", "ImagePart", "ImageFilePart"]) });
    let message = [
        ("role", about(text(), "Whatever it says, the message is a user's")),
        ("content", said),
        ("metadata", some_object()),
    ];
    let new = [
        ("message", object(&message, &["content"])),
        ("controls", named("Controls")),
        ("metadata", some_object()),
        ("tags", texts()),
    ];
    vec![
        ("NewMessage", object(&new, &["message"])),
        ("Message", message_shown()),
        ("Controls", controls()),
        (
            "ContentPart",
            either(&["TextPart", "ImagePart", "ImageFilePart", "ToolCallPart", "ToolResultPart"]),
        ),
        ("TextPart", open(object(&[("type", exactly("text")), ("text", text())], &["type", "text"]))),
        ("ImagePart", image_part()),
        ("ImageFilePart", image_file_part()),
        ("ToolCallPart", tool_call_part()),
        ("ToolResultPart", tool_result_part()),
    ]
}

fn message_shown() -> Value {
    let always = [
        ("id", id(MESSAGE)),
        ("session_id", id(SESSION)),
        ("sequence", about(number(0), "That of the event which tells it")),
        ("role", one_of(&["user", "agent", "tool_result"])),
        ("content", list(&named("ContentPart"))),
        ("created_at", time()),
    ];
    let sometimes = [("controls", named("Controls")), ("metadata", some_object()), ("tags", texts())];
    with(&always, &sometimes)
}

fn controls() -> Value {
    let effort = about(maybe(sized(1..=32)), "How hard the model should think, as low, medium or high");
    let fields = [
        ("model_id", about(maybe(id(MODEL)), "Who answers; one that is not there is passed over")),
        ("reasoning", maybe(open(object(&[("effort", effort)], &[])))),
    ];
    open(object(&fields, &[]))
}

fn image_part() -> Value {
    let fields = [
        ("type", exactly("image")),
        ("url", about(text(), "http or https; either this or base64")),
        ("base64", json!({ "type": "string", "contentEncoding": "base64" })),
        ("media_type", about(maybe(text()), "As image/png; base64 needs it")),
    ];
    open(object(&fields, &["type"]))
}

fn image_file_part() -> Value {
    let fields = [
        ("type", exactly("image_file")),
        ("image_id", about(id(IMAGE), "An image that was uploaded")),
        ("filename", maybe(text())),
    ];
    open(object(&fields, &["type", "image_id"]))
}

fn tool_call_part() -> Value {
    whole(&[("type", exactly("tool_call")), ("id", text()), ("name", text()), ("arguments", some_object())])
}

fn tool_result_part() -> Value {
    let sometimes = [("result", about(anything(), "Any JSON")), ("error", text())];
    with(&[("type", exactly("tool_result")), ("tool_call_id", text())], &sometimes)
}

fn of_channels() -> Schemas {
    let nothing = json!({ "type": "array", "maxItems": 0 });
    let waiting = [("pending_questions", nothing.clone()), ("pending_approvals", nothing.clone())];
    let input = [("text", flagged()), ("images", flagged()), ("files", flagged())];
    let card = [
        ("name", text()),
        ("streaming", flagged()),
        ("input", whole(&input)),
        ("auth", nothing),
        ("links", whole(&[("sessions", text())])),
    ];
    let token = [("next_page_token", about(text(), "There are more: page_token of the next request"))];
    vec![
        ("ChannelCard", with(&card, &[("description", text())])),
        ("NewChannelSession", object(&[("title", title())], &[])),
        ("ChannelSession", session(&waiting)),
        ("ChannelSessionPage", with(&[("data", list(&named("ChannelSession")))], &token)),
    ]
}
