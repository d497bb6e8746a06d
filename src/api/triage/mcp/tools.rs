//! The tools: each is a handler of the surface, with arguments in place of address, query and body.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::api::body;
use crate::api::endpoint::Parameter;
use crate::api::once::OnceHeader;
use crate::api::triage::body::Body;
use crate::api::triage::envelope::Answer;
use crate::api::triage::error::Error;
use crate::api::triage::member::{AtIssue, Ids, Member};
use crate::api::triage::query::Query;
use crate::api::triage::routes::{activity_parameters, issue_parameters};
use crate::api::triage::{feed, issues, relations, resources, schemas};
use crate::domain::Object;
use crate::triage::comments::NewComment;
use crate::triage::flag::Mark;
use crate::triage::form::{Fault, Faults, Form, words};
use crate::triage::issue::{IssuePatch, ResourceRef};
use crate::triage::relation::NewRelation;

words! {
    /// What can be called, under the names the surface's maker gave.
    Tool {
        /// Reads a page of issues.
        ListIssues = "list_triage_issues",
        /// Reads an issue.
        GetIssue = "get_triage_issue",
        /// Opens an issue.
        CreateIssue = "create_triage_issue",
        /// Changes an issue.
        UpdateIssue = "update_triage_issue",
        /// Comments on an issue.
        AddComment = "add_triage_comment",
        /// Attaches evidence.
        AddResource = "add_triage_resource",
        /// Detaches evidence.
        RemoveResource = "remove_triage_resource",
        /// Marks a moment of a call.
        AddFlag = "add_triage_flag",
        /// Takes a mark away.
        RemoveFlag = "remove_triage_flag",
        /// Ties an issue to another.
        AddRelation = "add_triage_relation",
        /// Unties issues.
        RemoveRelation = "remove_triage_relation",
        /// Reads an issue's feed.
        ListActivity = "list_triage_activity",
    }
}

/// The argument that names the issue.
const ISSUE: &str = "issue_id";

impl Tool {
    /// Does it.
    ///
    /// # Errors
    /// What the handler says, and everything that is wrong with the arguments.
    pub(super) async fn call(self, member: Member, sent: Object, key: OnceHeader) -> Result<Answer, Error> {
        // What no JSON body may hold, no argument may either.
        body::check(&Value::Object(sent.clone()))?;
        self.check_ids(&sent)?;
        let query = |parameters: &[Parameter]| Query::of_arguments(&sent, parameters);
        let ids = Ids::Arguments(sent.clone());
        let at = || AtIssue::named(member.clone(), &ids, ISSUE);
        match self {
            Self::ListIssues => issues::list(member, query(&issue_parameters())).await,
            Self::GetIssue => issues::read(at().await?).await,
            Self::CreateIssue => issues::create(member, Body(sent), key).await,
            Self::UpdateIssue => issues::change(at().await?, Body(sent)).await,
            Self::AddComment => feed::comment(at().await?, Body(sent), key).await,
            Self::AddResource => resources::attach(at().await?, Body(sent)).await,
            Self::RemoveResource => resources::detach(at().await?, ids).await,
            Self::AddFlag => resources::flag(at().await?, Body(sent)).await,
            Self::RemoveFlag => resources::unflag(at().await?, ids).await,
            Self::AddRelation => relations::create(at().await?, Body(sent)).await,
            Self::RemoveRelation => relations::delete(at().await?, ids).await,
            Self::ListActivity => feed::read(at().await?, query(&activity_parameters())).await,
        }
    }

    /// The arguments that stand for places of an address.
    fn ids(self) -> &'static [(&'static str, &'static str)] {
        const AN_ISSUE: (&str, &str) = (ISSUE, "The issue's id, a UUID; not its short code");
        match self {
            Self::ListIssues | Self::CreateIssue => &[],
            Self::GetIssue
            | Self::UpdateIssue
            | Self::AddComment
            | Self::AddResource
            | Self::AddFlag
            | Self::AddRelation
            | Self::ListActivity => &[AN_ISSUE],
            Self::RemoveResource => &[AN_ISSUE, ("resource_link_id", "The link's id, not the evidence's")],
            Self::RemoveFlag => &[AN_ISSUE, ("flag_id", "The flag's id")],
            Self::RemoveRelation => &[AN_ISSUE, ("relation_id", "The relation's id")],
        }
    }

    /// Ids must be there. If one is not, whatever else is wrong is told with it.
    fn check_ids(self, sent: &Object) -> Result<(), Faults> {
        let mut form = Form::of(sent);
        for (name, _) in self.ids() {
            form.required(name, |form| form.string(name).map(drop));
        }
        form.done(()).map_err(|Faults(mut faults)| {
            faults.extend(self.other_faults(sent));
            Faults(faults)
        })
    }

    fn other_faults(self, sent: &Object) -> Vec<Fault> {
        let faults = match self {
            Self::UpdateIssue => IssuePatch::read(sent).err(),
            Self::AddComment => NewComment::read(sent).err(),
            Self::AddResource => ResourceRef::read(sent).err(),
            Self::AddFlag => Mark::read(sent).err(),
            Self::AddRelation => NewRelation::read(sent).err(),
            Self::ListActivity => {
                feed::listing(Uuid::nil(), Query::of_arguments(sent, &activity_parameters())).err()
            }
            Self::ListIssues
            | Self::GetIssue
            | Self::CreateIssue
            | Self::RemoveResource
            | Self::RemoveFlag
            | Self::RemoveRelation => None,
        };
        faults.map(|Faults(faults)| faults).unwrap_or_default()
    }

    /// As clients are told of it.
    pub(super) fn described(self) -> Value {
        let (title, description) = self.words();
        let is_read = matches!(self, Self::ListIssues | Self::GetIssue | Self::ListActivity);
        let removes = matches!(self, Self::RemoveResource | Self::RemoveFlag | Self::RemoveRelation);
        let again = matches!(self, Self::UpdateIssue | Self::AddResource | Self::AddRelation);
        json!({
            "name": self,
            "title": title,
            "description": description,
            "inputSchema": self.input(),
            "annotations": {
                "title": title,
                "readOnlyHint": is_read,
                "destructiveHint": removes || self == Self::UpdateIssue,
                "idempotentHint": is_read || again,
                "openWorldHint": false,
            },
        })
    }

    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::ListIssues => {
                ("List issues", "Lists issues, those with the newest activity first, in pages.")
            }
            Self::GetIssue => {
                ("Read an issue", "Reads an issue with its counts and its latest agent session.")
            }
            Self::CreateIssue => ("Open an issue", "Opens an issue, with evidence if there is some."),
            Self::UpdateIssue => ("Change an issue", "Changes the fields that are given; the others stay."),
            Self::AddComment => (
                "Comment on an issue",
                "Writes a comment. A mention of @norm sets the agent Norm to work: `@norm /verify …`, `@norm /status`, \
                 or anything else to have the issue fixed.",
            ),
            Self::AddResource => (
                "Attach evidence",
                "Attaches a call, a conversation or a file that is known here; attached already, the link is given.",
            ),
            Self::RemoveResource => ("Detach evidence", "Detaches evidence; its flags go with it, it stays."),
            Self::AddFlag => ("Flag a moment", "Marks a moment of a call that is attached to the issue."),
            Self::RemoveFlag => ("Remove a flag", "Takes a mark away."),
            Self::AddRelation => {
                ("Relate issues", "Ties an issue to another; tied already, the relation is given.")
            }
            Self::RemoveRelation => ("Remove a relation", "Unties issues, from either side."),
            Self::ListActivity => (
                "Read an issue's feed",
                "Lists what happened on an issue, the newest first: changes, comments, and what Norm does.",
            ),
        }
    }

    /// A schema of the arguments: ids first, then what the handler reads.
    fn input(self) -> Value {
        let mut schema = match self {
            Self::ListIssues => of_query(&issue_parameters()),
            Self::ListActivity => of_query(&activity_parameters()),
            Self::CreateIssue => schemas::issue(),
            Self::UpdateIssue => schemas::issue_patch(),
            Self::AddComment => schemas::comment(),
            Self::AddResource => schemas::resource(),
            Self::AddFlag => schemas::flag(),
            Self::AddRelation => schemas::relation(),
            Self::GetIssue | Self::RemoveResource | Self::RemoveFlag | Self::RemoveRelation => of_query(&[]),
        };
        let ids = self.ids().iter();
        let mut properties: Object = ids
            .clone()
            .map(|(name, about)| ((*name).to_owned(), json!({ "type": "string", "description": about })))
            .collect();
        let mut required: Vec<Value> = ids.map(|(name, _)| Value::from(*name)).collect();
        if let Some(Value::Object(known)) = schema.get_mut("properties").map(Value::take) {
            properties.extend(known);
        }
        if let Some(Value::Array(known)) = schema.get_mut("required").map(Value::take) {
            required.extend(known);
        }
        json!({ "type": "object", "properties": properties, "required": required })
    }
}

fn of_query(parameters: &[Parameter]) -> Value {
    let properties: Object = parameters
        .iter()
        .map(|Parameter { name, kind, about }| {
            let mut schema = kind.schema();
            if let Some(fields) = schema.as_object_mut() {
                fields.insert("description".into(), (*about).into());
            }
            ((*name).to_owned(), schema)
        })
        .collect();
    json!({ "type": "object", "properties": properties, "required": [] })
}
