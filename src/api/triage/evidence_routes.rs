//! The part of the route table that is about evidence and documents.

use super::schemas::{answer_of, page_of};
use super::{affected, conversations, documents, files};
use crate::api::endpoint::{Endpoint, Parameter, ParameterKind};

const PAGE: [Parameter; 2] = [
    Parameter::new("limit", ParameterKind::Number(1), "At most as many, up to 100; default 50"),
    Parameter::new("cursor", ParameterKind::Text, "The `next_cursor` of the page before"),
];
const KIND: Parameter = Parameter::new(
    "kind",
    ParameterKind::Choice(&["call", "sms_conversation"]),
    "Only conversations of this kind",
);
const DOCUMENT_KIND: Parameter = Parameter::new(
    "kind",
    ParameterKind::Choice(&["agent_config", "workflow", "prompt"]),
    "Only documents of this kind",
);

const JSON: &str = "application/json";

/// Evidence and documents.
pub(super) fn table() -> Vec<Endpoint> {
    let mut table = conversation_routes();
    table.extend(file_routes());
    table.extend(document_routes());
    table.extend(version_routes());
    table.extend(issue_routes());
    table
}

fn conversation_routes() -> Vec<Endpoint> {
    let one = "/evidence/conversations/{conversation_id}";
    vec![
        Endpoint::post("/evidence/conversations", conversations::register)
            .named("register_conversation", "Triage", "Register a conversation as evidence")
            .takes([(JSON, "NewConversation")], true)
            .tells("201", "The conversation", &answer_of("Conversation"))
            .fails("409", "There is a conversation of that id"),
        Endpoint::get("/evidence/conversations", conversations::list)
            .named("list_conversations", "Triage", "List registered conversations")
            .query(&PAGE)
            .query(&[KIND, Parameter::new("document_id", ParameterKind::Text, "Only those that ran on it")])
            .tells("200", "A page, newest first, without messages", &page_of("ConversationListed")),
        Endpoint::get(one, conversations::read)
            .named("get_conversation", "Triage", "Read a registered conversation")
            .tells("200", "The conversation", &answer_of("Conversation"))
            .fails("404", "Conversation not found"),
        Endpoint::delete(one, conversations::delete)
            .named("delete_conversation", "Triage", "Take a registered conversation away")
            .gives("204", "It is gone; links to it are unavailable", &[])
            .fails("404", "Conversation not found"),
    ]
}

fn file_routes() -> Vec<Endpoint> {
    let one = "/evidence/files/{file_id}";
    vec![
        Endpoint::post("/evidence/files", files::upload)
            .named("upload_evidence_file", "Triage", "Upload a file as evidence: multipart or JSON")
            .takes([(JSON, "NewFile"), ("multipart/form-data", "FileForm")], true)
            .tells("201", "The file", &answer_of("EvidenceFile"))
            .fails("413", "It is over 25 MiB"),
        Endpoint::get("/evidence/files", files::list)
            .named("list_evidence_files", "Triage", "List uploaded files")
            .query(&PAGE)
            .tells("200", "A page, newest first", &page_of("EvidenceFile")),
        Endpoint::get(one, files::read)
            .named("get_evidence_file", "Triage", "Read about an uploaded file")
            .tells("200", "The file", &answer_of("EvidenceFile"))
            .fails("404", "File not found"),
        Endpoint::get("/evidence/files/{file_id}/content", files::content)
            .named("download_evidence_file", "Triage", "Download an uploaded file")
            .gives("200", "Its bytes", &["application/octet-stream"])
            .fails("404", "File not found"),
        Endpoint::delete(one, files::delete)
            .named("delete_evidence_file", "Triage", "Take an uploaded file away")
            .gives("204", "It is gone; links to it are unavailable", &[])
            .fails("404", "File not found"),
    ]
}

fn document_routes() -> Vec<Endpoint> {
    vec![
        Endpoint::post("/documents", documents::create)
            .named("create_document", "Triage", "Make a document whose first version is live")
            .takes([(JSON, "NewDocument")], true)
            .tells("201", "The document", &answer_of("Document"))
            .fails("409", "The agent is bound to another document"),
        Endpoint::get("/documents", documents::list)
            .named("list_documents", "Triage", "List documents")
            .query(&PAGE)
            .query(&[DOCUMENT_KIND])
            .tells("200", "A page, newest first", &page_of("Document")),
        Endpoint::get("/documents/{document_id}", documents::read)
            .named("get_document", "Triage", "Read a document")
            .tells("200", "The document", &answer_of("Document"))
            .fails("404", "Document not found"),
        Endpoint::get("/documents/{document_id}/versions", documents::versions)
            .named("list_versions", "Triage", "List the versions of a document")
            .query(&PAGE)
            .tells("200", "A page, newest first, without contents", &page_of("VersionListed"))
            .fails("404", "Document not found"),
        Endpoint::post("/documents/{document_id}/versions", documents::draft)
            .named("create_draft", "Triage", "Make a draft by hand")
            .takes([(JSON, "NewDraft")], true)
            .tells("201", "The draft", &answer_of("Version"))
            .fails("404", "Document not found"),
    ]
}

fn version_routes() -> Vec<Endpoint> {
    let one = "/documents/{document_id}/versions/{version}";
    let against = Parameter::new("against", ParameterKind::Text, "A version; default: what it was made from");
    vec![
        Endpoint::get(one, documents::version)
            .named("get_version", "Triage", "Read a version: a number, `production` or `draft`")
            .tells("200", "The version", &answer_of("Version"))
            .fails("404", "Version not found"),
        Endpoint::patch(one, documents::change)
            .named("change_draft", "Triage", "Change a draft by hand")
            .takes([(JSON, "DraftPatch")], false)
            .tells("200", "The draft", &answer_of("Version"))
            .fails("404", "Version not found")
            .fails("409", "It is no draft"),
        Endpoint::get(format!("{one}/diff"), documents::diff)
            .named("diff_version", "Triage", "What a version changes")
            .query(&[against])
            .tells("200", "The changes, as a JSON Patch with what stood there", &answer_of("Difference"))
            .fails("404", "Version not found"),
        Endpoint::post(format!("{one}/publish"), documents::publish)
            .named("publish_version", "Triage", "Make a draft live, or go back to a version that was")
            .takes([(JSON, "Publish")], false)
            .tells("200", "The document", &answer_of("Document"))
            .fails("404", "Version not found")
            .fails("409", "It is stale, not verified, or was given up"),
        Endpoint::post(format!("{one}/discard"), documents::discard)
            .named("discard_version", "Triage", "Give a draft up")
            .tells("200", "The version", &answer_of("Version"))
            .fails("404", "Version not found")
            .fails("409", "It is no draft"),
    ]
}

fn issue_routes() -> Vec<Endpoint> {
    let link = "/issues/{id}/documents/{document_id}";
    vec![
        Endpoint::get("/issues/{id}/affected", affected::read)
            .named("get_affected", "Triage", "What an issue affects: calls, documents, agents")
            .tells("200", "Added up", &answer_of("Affected"))
            .fails("404", "There is no such issue"),
        Endpoint::put(link, affected::link_document)
            .named("link_document", "Triage", "Say that an issue is about a document")
            .tells("200", "The issue", &answer_of("Issue"))
            .fails("404", "There is no such issue or document"),
        Endpoint::delete(link, affected::unlink_document)
            .named("unlink_document", "Triage", "Take that back")
            .gives("204", "It is not, unless one of its conversations ran on it", &[])
            .fails("404", "There is no such issue, or it was not linked"),
    ]
}
