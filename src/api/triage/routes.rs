//! The route table: every path of the surface, what serves it, and how documents describe it.

use actix_web::web::{self, ServiceConfig};

use super::schemas::{answer_of, page_of};
use super::{evidence_routes, feed, issues, mcp, relations, resources, sessions};
use crate::api::endpoint::{self, Endpoint, Parameter, ParameterKind};
use crate::api::problem::Problem;

/// Where the surface is.
pub(super) const ROOT: &str = "/v1/triage";

/// Its group in documents.
const TAG: &str = "Triage";

/// Mounts the surface.
pub fn configure(routes: &mut ServiceConfig) {
    routes.service(
        web::scope(ROOT)
            .configure(|routes| endpoint::mount(table(), routes))
            .default_service(web::to(nowhere)),
    );
}

async fn nowhere() -> Result<&'static str, Problem> {
    Err(Problem::not_found("There is nothing at this address"))
}

/// All of it, below [`ROOT`].
pub(super) fn table() -> Vec<Endpoint> {
    let mut table = issue_routes();
    table.extend(evidence_routes::table());
    table.extend(feed_routes());
    table.extend(agent_routes());
    table.extend(resource_routes());
    table.extend(flag_routes());
    table.extend(relation_routes());
    table.extend(mcp_routes());
    table
}

const JSON: &str = "application/json";

const LIMIT: Parameter =
    Parameter::new("limit", ParameterKind::Number(1), "At most as many, up to 100; default 50");
const CURSOR: Parameter = Parameter::new("cursor", ParameterKind::Text, "Where the last page ended");

fn issue_routes() -> Vec<Endpoint> {
    vec![
        Endpoint::post("/issues", issues::create)
            .named("create_triage_issue", TAG, "Open an issue")
            .takes([(JSON, "NewIssue")], true)
            .once()
            .tells("201", "The issue", &answer_of("Issue"))
            .fails("404", "There is no such run"),
        Endpoint::get("/issues", issues::list)
            .named("list_triage_issues", TAG, "List issues")
            .query(&issue_parameters())
            .tells("200", "A page of issues", &page_of("Issue")),
        Endpoint::get("/issues/{id}", issues::read)
            .named("get_triage_issue", TAG, "Read an issue")
            .tells("200", "The issue", &answer_of("Issue"))
            .fails("404", "There is no such issue"),
        Endpoint::patch("/issues/{id}", issues::change)
            .named("update_triage_issue", TAG, "Change an issue")
            .takes([(JSON, "IssuePatch")], false)
            .tells("200", "The issue, changed", &answer_of("Issue"))
            .fails("404", "There is no such issue"),
        Endpoint::delete("/issues/{id}", issues::delete)
            .named("delete_triage_issue", TAG, "Delete an issue and all that hangs on it")
            .gives("204", "It is gone", &[])
            .fails("404", "There is no such issue"),
        Endpoint::put("/issues/{id}/view", issues::view)
            .named("view_triage_issue", TAG, "Note that the caller has seen the issue")
            .tells("200", "When", &answer_of("View"))
            .fails("404", "There is no such issue"),
        Endpoint::get("/stats", issues::stats)
            .named("get_triage_stats", TAG, "How many issues there are of what")
            .tells("200", "Counts", &answer_of("Stats")),
    ]
}

/// What lists of issues are asked for by.
pub(super) fn issue_parameters() -> [Parameter; 13] {
    use ParameterKind::{Choice, Choices, Text, Texts};
    const STATUSES: &[&str] = &["backlog", "todo", "in_progress", "in_review", "done", "closed"];
    const RESOURCES: &[&str] = &["call", "sms_conversation", "file"];
    [
        LIMIT,
        CURSOR,
        Parameter::new(
            "sort",
            Choice(&["last_activity_at", "created_at", "severity", "status"]),
            "Default: last_activity_at",
        ),
        Parameter::new("order", Choice(&["asc", "desc"]), "Default: desc"),
        Parameter::new("search", Text, "Words that all occur in title or description"),
        Parameter::new("status", Choices(STATUSES), "Any of these"),
        Parameter::new("severity", Choices(&["critical", "high", "medium", "low"]), "Any of these"),
        Parameter::new("category", Texts, "Of one of these categories, in any case"),
        Parameter::new("resource_type", Choice(RESOURCES), "With evidence of this type"),
        Parameter::new("owner_id", Text, "This user answers for it"),
        Parameter::new("assignee_id", Text, "This user works on it"),
        Parameter::new(
            "date_field",
            Choice(&["last_activity_at", "created_at"]),
            "Default: last_activity_at",
        ),
        Parameter::new("date_range", Choice(&["24h", "7d", "30d", "90d"]), "Not older than this"),
    ]
}

/// What feeds are asked for by.
pub(super) fn activity_parameters() -> [Parameter; 6] {
    use ParameterKind::{Choice, Text};
    [
        LIMIT,
        CURSOR,
        Parameter::new("order", Choice(&["asc", "desc"]), "Default: desc"),
        Parameter::new("entry_kind", Choice(&["issue", "agent"]), "Of this kind"),
        Parameter::new("session_id", Text, "Of this agent session"),
        Parameter::new("run_id", Text, "Of this run"),
    ]
}

fn feed_routes() -> Vec<Endpoint> {
    use ParameterKind::Number;
    vec![
        Endpoint::get("/issues/{id}/activity", feed::read)
            .named("list_triage_activity", TAG, "Read an issue's feed")
            .query(&activity_parameters())
            .tells("200", "A page of entries", &page_of("Entry"))
            .fails("404", "There is no such issue"),
        Endpoint::get("/issues/{id}/activity/stream", feed::watch)
            .named("watch_triage_activity", TAG, "Follow an issue's feed")
            .query(&[Parameter::new(
                "after",
                Number(0),
                "Goes on after this event; `Last-Event-ID` counts more",
            )])
            .gives("200", "entry, entry.updated and issue", &["text/event-stream"])
            .fails("404", "There is no such issue"),
        Endpoint::post("/issues/{id}/comments", feed::comment)
            .named("add_triage_comment", TAG, "Comment on an issue; a mention of @norm sets Norm to work")
            .takes([(JSON, "NewComment")], true)
            .once()
            .tells("201", "The entry", &answer_of("Entry"))
            .fails("404", "There is no such issue"),
    ]
}

fn agent_routes() -> Vec<Endpoint> {
    vec![
        Endpoint::get("/agents", sessions::agents)
            .named("list_triage_agents", TAG, "List the agents that work on issues")
            .query(&[LIMIT, CURSOR])
            .tells("200", "A page of profiles", &page_of("AgentProfile")),
        Endpoint::post("/issues/{id}/agent-sessions", sessions::create)
            .named("create_triage_agent_session", TAG, "Make a session of Norm on an issue")
            .takes([(JSON, "NewAgentSession")], false)
            .once()
            .tells("201", "The session", &answer_of("AgentSession"))
            .fails("404", "There is no such issue")
            .fails("409", "Norm is not active"),
        Endpoint::get("/issues/{id}/agent-sessions", sessions::list)
            .named("list_triage_agent_sessions", TAG, "List the sessions on an issue")
            .query(&[LIMIT, CURSOR])
            .tells("200", "A page of sessions", &page_of("AgentSessionListed"))
            .fails("404", "There is no such issue"),
        Endpoint::get("/issues/{id}/agent-sessions/{session_id}", sessions::read)
            .named("get_triage_agent_session", TAG, "Read a session with its runs")
            .tells("200", "The session", &answer_of("AgentSessionWithRuns"))
            .fails("404", "There is no such issue, or no such session"),
        Endpoint::post("/issues/{id}/agent-sessions/{session_id}/prompts", sessions::prompt)
            .named("prompt_norm", TAG, "Ask Norm something; `latest` is the newest session, or a new one")
            .takes([(JSON, "NewPrompt")], true)
            .once()
            .tells("202", "It is queued", &answer_of("Prompted"))
            .fails("404", "There is no such issue, or no such session")
            .fails("409", "Too many prompts wait, or Norm is not active"),
        Endpoint::post("/issues/{id}/agent-sessions/{session_id}/cancel", sessions::cancel)
            .named("cancel_norm", TAG, "Stop a session's runs, or one of them")
            .takes([(JSON, "Cancel")], false)
            .tells("200", "What was stopped", &answer_of("Cancelled"))
            .fails("404", "There is no such issue, or no such session"),
    ]
}

fn resource_routes() -> Vec<Endpoint> {
    vec![
        Endpoint::get("/issues/{id}/resources", resources::list)
            .named("list_triage_resources", TAG, "List an issue's evidence")
            .query(&[LIMIT, CURSOR])
            .tells("200", "A page of resource links", &page_of("ResourceLink"))
            .fails("404", "There is no such issue"),
        Endpoint::post("/issues/{id}/resources", resources::attach)
            .named("add_triage_resource", TAG, "Attach evidence")
            .takes([(JSON, "NewResourceLink")], true)
            .tells("201", "The link", &answer_of("ResourceLink"))
            .tells("200", "The link that was there", &answer_of("ResourceLink"))
            .fails("404", "There is no such issue, or no such evidence"),
        Endpoint::delete("/issues/{id}/resources/{resource_link_id}", resources::detach)
            .named("remove_triage_resource", TAG, "Detach evidence")
            .gives("204", "It is detached", &[])
            .fails("404", "There is no such issue, or no such link"),
        Endpoint::put("/issues/{id}/calls/{call_id}", resources::attach_call)
            .named("add_triage_call", TAG, "Attach a call by its own id")
            .tells("200", "The issue", &answer_of("Issue"))
            .fails("404", "There is no such issue, or no such call"),
        Endpoint::delete("/issues/{id}/calls/{call_id}", resources::detach_call)
            .named("remove_triage_call", TAG, "Detach a call by its own id")
            .gives("204", "It is detached", &[])
            .fails("404", "There is no such issue, or the call is not attached"),
    ]
}

fn flag_routes() -> Vec<Endpoint> {
    vec![
        Endpoint::get("/issues/{id}/flags", resources::flags)
            .named("list_triage_flags", TAG, "List flags on an issue's calls")
            .query(&[LIMIT, CURSOR])
            .tells("200", "A page of flags", &page_of("Flag"))
            .fails("404", "There is no such issue"),
        Endpoint::post("/issues/{id}/flags", resources::flag)
            .named("add_triage_flag", TAG, "Mark a moment of an attached call")
            .takes([(JSON, "NewFlag")], true)
            .tells("201", "The flag", &answer_of("Flag"))
            .fails("404", "There is no such issue")
            .fails("409", "The call is not attached"),
        Endpoint::delete("/issues/{id}/flags/{flag_id}", resources::unflag)
            .named("remove_triage_flag", TAG, "Take a mark away")
            .gives("204", "It is gone", &[])
            .fails("404", "There is no such issue, or no such flag"),
        Endpoint::get("/flag-types", resources::flag_types)
            .named("list_triage_flag_types", TAG, "List types of flags that are used")
            .query(&[LIMIT, CURSOR])
            .tells("200", "A page of types", &page_of("FlagType")),
    ]
}

fn relation_routes() -> Vec<Endpoint> {
    vec![
        Endpoint::get("/issues/{id}/relations", relations::list)
            .named("list_triage_relations", TAG, "List an issue's relations, from both sides")
            .query(&[LIMIT, CURSOR])
            .tells("200", "A page of relations", &page_of("Relation"))
            .fails("404", "There is no such issue"),
        Endpoint::post("/issues/{id}/relations", relations::create)
            .named("add_triage_relation", TAG, "Tie an issue to another")
            .takes([(JSON, "NewRelation")], true)
            .tells("201", "The relation", &answer_of("Relation"))
            .tells("200", "The relation that was there", &answer_of("Relation"))
            .fails("404", "One of the issues is not there"),
        Endpoint::delete("/issues/{id}/relations/{relation_id}", relations::delete)
            .named("remove_triage_relation", TAG, "Untie an issue, from either side")
            .gives("204", "It is gone", &[])
            .fails("404", "There is no such issue, or no such relation"),
        Endpoint::get("/categories", relations::categories)
            .named("list_triage_categories", TAG, "List categories")
            .query(&[LIMIT, Parameter::new("cursor", ParameterKind::Text, "The name of the last item")])
            .tells("200", "A page of categories", &page_of("Category")),
        Endpoint::post("/categories", relations::create_category)
            .named("create_triage_category", TAG, "Make a category")
            .takes([(JSON, "NewCategory")], true)
            .tells("201", "The category", &answer_of("Category"))
            .tells("200", "The category that was there", &answer_of("Category")),
    ]
}

fn mcp_routes() -> Vec<Endpoint> {
    vec![
        Endpoint::post("/mcp", mcp::serve)
            .named("triage_mcp", TAG, "Use the surface as tools: MCP over streamable HTTP, without sessions")
            .takes([(JSON, "McpMessage")], true)
            .gives("200", "The answer to a request, or the answers to several", &[JSON])
            .gives("202", "Notifications and answers are taken in", &[])
            .fails("403", "The page it comes from may not call this server"),
    ]
}
