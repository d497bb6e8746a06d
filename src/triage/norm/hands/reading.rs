//! What every run may: read the issue, its evidence, its feed, its documents, and other issues' titles.

use serde_json::{Value, json};

use super::Reading;
use crate::triage::diff::Change;
use crate::triage::document::Version;
use crate::triage::documents::WhichVersion;
use crate::triage::entry::Entry;
use crate::triage::error::Error;
use crate::triage::evidence::{ResourceType, Said};
use crate::triage::feed::FeedQuery;
use crate::triage::form::Word;
use crate::triage::index::{IssueQuery, Order, Sort};
use crate::triage::issue::Status;
use crate::triage::link::Link;
use crate::triage::moment::written;
use crate::triage::norm::snapshot::{issue_told, said_told};

/// Messages of a transcript, or lines of a file, that are read at a time.
const STEP: u64 = 100;
/// Places a search finds at most.
const MOST_FOUND: usize = 50;
/// Evidence that is searched.
const MOST_LINKS: usize = 100;

impl Reading {
    pub(in crate::triage::norm) async fn get_issue(&self) -> Result<Value, Error> {
        Ok(issue_told(&self.board.issue(self.issue()).await?))
    }

    pub(in crate::triage::norm) async fn list_evidence(&self) -> Result<Value, Error> {
        let part = self.board.links(self.issue(), None, MOST_LINKS).await?;
        let links = part.items.iter().map(|shown| {
            json!({
                "resource_link_id": shown.link.id, "resource_type": shown.link.resource_type,
                "resource_id": shown.link.resource_id, "title": shown.link.title, "available": shown.available,
            })
        });
        Ok(json!({ "evidence": links.collect::<Vec<_>>() }))
    }

    /// Evidence attached to the issue.
    pub(in crate::triage::norm) async fn link(&self, id: &str) -> Result<Link, Error> {
        let id = crate::triage::form::uuid(id).ok_or(Error::NotFound("Resource"))?;
        let found = self.board.documents().get::<Link>(&id.to_string()).await?;
        let found = found.filter(|link| link.issue == self.issue());
        found.map(|stored| stored.value).ok_or(Error::NotFound("Resource"))
    }

    /// What was said in a conversation that is attached to the issue.
    pub(in crate::triage::norm) async fn said(&self, link: &Link) -> Result<Option<Vec<Said>>, Error> {
        self.board.transcript(link.resource_type, &link.resource_id).await
    }

    /// The lines of evidence: turns as JSON, or a file's own.
    async fn lines(&self, link: &Link) -> Result<Vec<Value>, Error> {
        if link.resource_type == ResourceType::File {
            let gone = || Error::NotFound("File");
            let file = self.board.file(&link.resource_id).await?.ok_or_else(gone)?;
            let text = self.board.text_of(&file).await?;
            return Ok(match text {
                Some(text) => text.lines().map(Value::from).collect(),
                None => {
                    vec![json!(format!("{}: {}, {} bytes, no text", file.name, file.mime_type, file.size))]
                }
            });
        }
        let said = self.said(link).await?.ok_or(Error::NotFound("Conversation"))?;
        Ok(said.iter().enumerate().map(|(index, said)| said_told(index, said)).collect())
    }

    pub(in crate::triage::norm) async fn read_evidence(
        &self,
        link: &str,
        offset: u64,
        limit: Option<u64>,
    ) -> Result<Value, Error> {
        let lines = self.lines(&self.link(link).await?).await?;
        let small = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        let part: Vec<&Value> =
            lines.iter().skip(small(offset)).take(small(limit.unwrap_or(STEP).min(STEP))).collect();
        Ok(json!({ "resource_link_id": link, "offset": offset, "total": lines.len(), "items": part }))
    }

    pub(in crate::triage::norm) async fn search_evidence(&self, query: &str) -> Result<Value, Error> {
        let wanted = query.to_lowercase();
        let mut found = Vec::new();
        for shown in
            self.board.links(self.issue(), None, MOST_LINKS).await?.items.iter().filter(|one| one.available)
        {
            for (index, line) in self.lines(&shown.link).await?.into_iter().enumerate() {
                let text = line.get("text").unwrap_or(&line).as_str().unwrap_or_default();
                if text.to_lowercase().contains(&wanted) {
                    found.push(json!({ "resource_link_id": shown.link.id, "index": index, "item": line }));
                }
            }
        }
        let total = found.len();
        found.truncate(MOST_FOUND);
        Ok(json!({ "total": total, "found": found }))
    }

    pub(in crate::triage::norm) async fn list_activity(&self, limit: Option<u64>) -> Result<Value, Error> {
        let limit = usize::try_from(limit.unwrap_or(50).min(100)).unwrap_or(50);
        let part = self.board.feed(self.issue(), FeedQuery::default(), None, limit).await?;
        Ok(json!({ "newest_first": part.items.iter().map(entry_told).collect::<Vec<_>>() }))
    }

    pub(in crate::triage::norm) async fn search_issues(
        &self,
        query: &str,
        status: Option<&str>,
    ) -> Result<Value, Error> {
        let status = status.and_then(|word| Status::ALL.iter().find(|(_, known)| *known == word));
        let query = IssueQuery {
            sort: Sort::LastActivityAt,
            order: Order::Desc,
            words: query.to_lowercase().split_whitespace().map(Into::into).collect(),
            statuses: status.map(|(status, _)| *status).into_iter().collect(),
            severities: Vec::new(),
            categories: Vec::new(),
            resource_type: None,
            owner: None,
            assignee: None,
            dates: None,
        };
        let page = self.board.issues(&query, None, 20, "norm").await?;
        let others = page.issues.iter().filter(|seen| seen.issue.id != self.issue());
        Ok(json!({ "issues": others.map(|seen| issue_told(&seen.issue)).collect::<Vec<_>>() }))
    }

    pub(in crate::triage::norm) async fn list_documents(&self) -> Result<Value, Error> {
        let mut told = Vec::new();
        for document in self.board.documents_about(self.issue()).await? {
            let draft = self.board.open_draft(self.issue(), &document.id).await?;
            told.push(json!({
                "document_id": document.id, "name": document.name, "kind": document.kind,
                "production": document.production(), "latest": document.latest,
                "draft": draft.map(|draft| version_told(&draft)),
            }));
        }
        Ok(json!({ "documents": told }))
    }

    /// A version of one of the issue's documents; `draft` is the issue's own.
    pub(in crate::triage::norm) async fn which(
        &self,
        document: &str,
        text: &str,
    ) -> Result<WhichVersion, Error> {
        let which = WhichVersion::read(text)
            .ok_or_else(|| Error::invalid("version", "must be a number, `production` or `draft`"))?;
        if which != WhichVersion::Draft {
            return Ok(which);
        }
        let draft = self.board.open_draft(self.issue(), document).await?.ok_or(Error::NotFound("Version"))?;
        Ok(WhichVersion::Number(draft.number))
    }

    pub(in crate::triage::norm) async fn read_document(
        &self,
        id: &str,
        version: &str,
    ) -> Result<Value, Error> {
        let document = self.document(id).await?;
        let which = self.which(id, version).await?;
        let (version, content) = self.board.version_with_content(&document, which).await?;
        Ok(
            json!({ "document_id": id, "name": document.name, "version": version_told(&version), "content": content }),
        )
    }

    pub(in crate::triage::norm) async fn diff_document(
        &self,
        id: &str,
        from: &str,
        to: &str,
    ) -> Result<Value, Error> {
        let document = self.document(id).await?;
        let (from, to) = (self.which(id, from).await?, self.which(id, to).await?);
        let (from, to, changes): (_, _, Vec<Change>) =
            self.board.difference(&document, to, Some(from)).await?;
        Ok(json!({ "document_id": id, "from": from, "to": to, "changes": changes }))
    }

    /// What the agent of a version would say now where a recorded conversation stood; nothing is stored.
    pub(in crate::triage::norm) async fn replay_turn(
        &self,
        id: &str,
        version: &str,
        link: &str,
        index: usize,
        times: u64,
    ) -> Result<Value, Error> {
        let document = self.document(id).await?;
        let which = self.which(id, version).await?;
        let (version, content) = self.board.version_with_content(&document, which).await?;
        let found = self.link(link).await?;
        let said = self.said(&found).await?.ok_or(Error::NotFound("Conversation"))?;
        let run = self.board.run_behind(found.resource_type, &found.resource_id, index).await?;
        let speaker = self.board.speaker_of(&document, &content, run.as_ref()).await?;
        let replayed = self.board.replay(&speaker, &said, index, times).await?;
        Ok(json!({
            "document_id": id, "version_number": version.number, "content_hash": version.content_hash,
            "resource_link_id": link, "message_index": index,
            "asked": replayed.asked, "before": replayed.before, "after": replayed.after,
            "tool_calls": replayed.tool_calls,
        }))
    }
}

/// A version in few words.
pub(in crate::triage::norm) fn version_told(version: &Version) -> Value {
    json!({
        "version_number": version.number, "status": version.status, "base_version_number": version.base,
        "content_hash": version.content_hash, "summary": version.summary,
        "verification": version.verification.as_ref().map(|one| json!({
            "verdict": one.verdict, "is_of_present_content": one.content_hash == version.content_hash,
        })),
    })
}

/// An entry of the feed in few words.
pub(in crate::triage::norm) fn entry_told(entry: &Entry) -> Value {
    let Entry { seq, created, saying, .. } = entry;
    json!({
        "seq": seq, "type": saying.kind, "by": saying.actor.as_ref().map(|actor| &actor.label),
        "at": written(*created), "detail": saying.detail,
        "artifact": saying.agent.as_ref().and_then(|agent| agent.artifact.as_ref()).map(|made| &made["title"]),
    })
}
