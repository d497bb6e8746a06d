//! What clients are shown of issues and the work on them: nothing is ever left out, what is not there is `null`.

use serde_json::{Value, json};

use super::{about, flagged, list, maybe, named, number, some_object, text, time, uuid, whole, word};
use crate::triage::document::VersionStatus;
use crate::triage::entry::{ActorKind, EntryKind, EntryType};
use crate::triage::evidence::ResourceType;
use crate::triage::intent::Intent;
use crate::triage::issue::{Severity, Source, Status};
use crate::triage::norm::{RunState, SessionStatus};
use crate::triage::relation::RelationType;

/// All of them.
pub(super) fn all() -> Vec<(&'static str, Value)> {
    let mut all = of_issues();
    all.extend(of_work());
    all
}

fn of_issues() -> Vec<(&'static str, Value)> {
    let flag_type =
        [("type", text()), ("description", text()), ("usage_count", number(1)), ("last_used_at", time())];
    let category = [("id", text()), ("org_id", text()), ("name", text()), ("created_at", time())];
    vec![
        ("Issue", issue()),
        ("View", whole(&[("issue_id", uuid()), ("last_viewed_at", time())])),
        ("Stats", stats()),
        ("Actor", actor()),
        ("Entry", json!({ "oneOf": [named("IssueEntry"), named("AgentEntry")] })),
        ("IssueEntry", issue_entry()),
        ("AgentEntry", agent_entry()),
        ("ResourceLink", link()),
        ("Flag", flag()),
        ("FlagType", whole(&flag_type)),
        ("Relation", relation()),
        ("Category", whole(&category)),
        ("Affected", affected()),
    ]
}

fn issue() -> Value {
    let external_link = [
        ("provider", maybe(text())),
        ("url", text()),
        ("external_id", maybe(text())),
        ("label", maybe(text())),
    ];
    whole(&[
        ("id", uuid()),
        ("triage_id", about(text(), "As people call it: T-1001")),
        ("org_id", text()),
        ("number", number(1001)),
        ("title", text()),
        ("description", text()),
        ("status", word::<Status>()),
        ("severity", word::<Severity>()),
        ("source", word::<Source>()),
        ("category", text()),
        ("owner_id", maybe(text())),
        ("assignee_id", maybe(text())),
        ("author_id", text()),
        ("external_link", maybe(whole(&external_link))),
        ("created_at", time()),
        ("updated_at", time()),
        ("last_activity_at", time()),
        ("resource_count", number(0)),
        ("flag_count", number(0)),
        ("relation_count", number(0)),
        ("latest_agent_session", maybe(named("LatestAgentSession"))),
        ("is_processing", about(flagged(), "A run is going, or waits for its turn")),
        ("has_unread_activity", about(flagged(), "The feed has an entry its reader has not seen")),
    ])
}

fn stats() -> Value {
    let counts = json!({ "type": "object", "additionalProperties": number(0) });
    whole(&[
        ("total", number(0)),
        ("open", number(0)),
        ("processing", number(0)),
        ("awaiting_input", number(0)),
        ("by_status", counts.clone()),
        ("by_severity", counts.clone()),
        ("by_category", counts),
    ])
}

fn actor() -> Value {
    whole(&[("kind", word::<ActorKind>()), ("id", text()), ("label", text()), ("avatar_url", maybe(text()))])
}

/// What every entry has, and what this kind has besides.
fn entry(kind: EntryKind, more: &[(&str, Value)]) -> Value {
    let mut fields = vec![
        ("entry_kind", json!({ "type": "string", "enum": [kind.as_str()] })),
        ("id", uuid()),
        ("issue_id", uuid()),
        ("type", word::<EntryType>()),
        ("actor", maybe(named("Actor"))),
        ("detail", about(text(), "For people")),
        ("metadata", about(maybe(some_object()), "For programs; what is in it depends on the type")),
        ("created_at", time()),
    ];
    fields.extend_from_slice(more);
    whole(&fields)
}

fn issue_entry() -> Value {
    let referenced = [("id", uuid()), ("triage_id", text()), ("title", text()), ("status", word::<Status>())];
    let more = [
        ("from_status", maybe(word::<Status>())),
        ("to_status", maybe(word::<Status>())),
        ("resources", about(list(&named("ResourceLink")), "As they were then")),
        ("referenced_issues", about(list(&whole(&referenced)), "As they were then")),
    ];
    entry(EntryKind::Issue, &more)
}

fn agent_entry() -> Value {
    let session = [
        ("id", uuid()),
        ("agent_profile_id", uuid()),
        ("agent_name", text()),
        ("status", maybe(word::<SessionStatus>())),
    ];
    let url = whole(&[("label", text()), ("url", text())]);
    let artifact = [
        ("id", text()),
        ("type", text()),
        ("title", text()),
        ("renderer", text()),
        ("status", json!({ "type": "string", "enum": ["pending", "ready", "error"] })),
        ("payload", some_object()),
        ("external_urls", list(&url)),
    ];
    entry(EntryKind::Agent, &[("agent_session", whole(&session)), ("artifact", maybe(whole(&artifact)))])
}

fn link() -> Value {
    whole(&[
        ("id", uuid()),
        ("issue_id", uuid()),
        ("org_id", text()),
        ("resource_type", word::<ResourceType>()),
        ("resource_id", text()),
        ("title", text()),
        ("status", json!({ "type": "string", "enum": ["available", "unavailable"] })),
        ("metadata", maybe(some_object())),
        ("attached_by_id", maybe(text())),
        ("created_at", time()),
    ])
}

fn flag() -> Value {
    whole(&[
        ("id", uuid()),
        ("org_id", text()),
        ("issue_id", uuid()),
        ("call_id", text()),
        ("type", text()),
        ("note", text()),
        ("node_id", maybe(text())),
        ("node_name", maybe(text())),
        ("message_index", maybe(number(0))),
        ("message_text", maybe(text())),
        ("author_id", text()),
        ("created_at", time()),
    ])
}

fn relation() -> Value {
    whole(&[
        ("id", uuid()),
        ("org_id", text()),
        ("issue_id", uuid()),
        ("related_issue_id", uuid()),
        ("related_triage_id", text()),
        ("related_title", text()),
        ("relation_type", word::<RelationType>()),
        ("direction", json!({ "type": "string", "enum": ["outgoing", "incoming"] })),
        ("created_by_id", maybe(text())),
        ("created_at", time()),
    ])
}

fn affected() -> Value {
    let call = [
        ("call_id", text()),
        ("title", text()),
        ("started_at", maybe(time())),
        ("pathway_id", maybe(text())),
        ("pathway_name", maybe(text())),
        ("pathway_version_id", maybe(text())),
        ("version_number", maybe(number(1))),
        ("version_label", maybe(text())),
        ("persona_id", maybe(text())),
        ("persona_name", maybe(text())),
    ];
    let pathway = [
        ("pathway_id", text()),
        ("pathway_name", text()),
        ("pathway_version_id", maybe(text())),
        ("version_number", maybe(number(1))),
        ("version_label", maybe(text())),
        ("call_count", number(1)),
        ("call_ids", list(&text())),
    ];
    let persona = [
        ("persona_id", text()),
        ("persona_name", text()),
        ("call_count", number(1)),
        ("call_ids", list(&text())),
    ];
    whole(&[
        ("issue_id", uuid()),
        ("calls", list(&whole(&call))),
        ("pathways", list(&whole(&pathway))),
        ("personas", list(&whole(&persona))),
    ])
}

fn of_work() -> Vec<(&'static str, Value)> {
    let profile = [
        ("id", uuid()),
        ("provider_type", text()),
        ("display_name", text()),
        ("description", maybe(text())),
        ("is_active", flagged()),
    ];
    let accepted = [("session_id", uuid()), ("run_id", uuid()), ("intent", word::<Intent>())];
    let cancelled =
        [("session_id", uuid()), ("cancelled_run_ids", list(&uuid())), ("status", word::<SessionStatus>())];
    let times = [("run_count", number(0)), ("created_at", time()), ("updated_at", time())];
    vec![
        ("AgentProfile", whole(&profile)),
        ("AgentSession", session(&[])),
        ("AgentSessionListed", session(&times)),
        ("AgentSessionWithRuns", session(&[("runs", list(&named("Run")))])),
        ("LatestAgentSession", latest_session()),
        ("Run", run()),
        ("Prompted", whole(&accepted)),
        ("Cancelled", whole(&cancelled)),
    ]
}

fn session(more: &[(&str, Value)]) -> Value {
    let mut fields = vec![
        ("id", uuid()),
        ("agent_profile_id", uuid()),
        ("agent_name", text()),
        ("status", word::<SessionStatus>()),
    ];
    fields.extend_from_slice(more);
    whole(&fields)
}

fn failed() -> Value {
    maybe(whole(&[("code", text()), ("message", text())]))
}

fn latest_session() -> Value {
    let run = [
        ("id", uuid()),
        ("intent", word::<Intent>()),
        ("state", word::<RunState>()),
        ("started_at", maybe(time())),
        ("finished_at", maybe(time())),
        ("error", failed()),
    ];
    let draft = [
        ("document_id", uuid()),
        ("document_name", text()),
        ("version_id", text()),
        ("version_number", number(1)),
        ("base_version_number", maybe(number(1))),
        ("status", word::<VersionStatus>()),
        ("verification", maybe(named("Verification"))),
    ];
    session(&[
        ("run", maybe(whole(&run))),
        ("draft_version", maybe(whole(&draft))),
        ("created_at", time()),
        ("updated_at", time()),
    ])
}

fn run() -> Value {
    let usage = [("input_tokens", number(0)), ("output_tokens", number(0))];
    whole(&[
        ("id", uuid()),
        ("intent", word::<Intent>()),
        ("state", word::<RunState>()),
        ("prompt", text()),
        ("created_at", time()),
        ("started_at", maybe(time())),
        ("finished_at", maybe(time())),
        ("error", failed()),
        ("usage", whole(&usage)),
        ("step_count", number(0)),
    ])
}
