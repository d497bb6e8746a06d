//! Issues of a board: listed, changed and counted.

use serde_json::Value;
use uuid::Uuid;

use super::Board;
use super::desk::Held;
use super::entry::{Actor, Entry, EntryType, LinkShown, Saying};
use super::error::Error;
use super::index::{IssuePlace, IssueQuery};
use super::issue::{AgentWork, Issue, IssuePatch, LinkCounts, NewIssue};
use super::link::Link;
use super::stats::Stats;
use super::views::IssueSeen;
use super::walk::Walk;
use super::work::Work;
use crate::domain::time::Timestamp;
use crate::runtime::documents::Stored;

/// Part of a list of issues.
#[derive(Debug, Clone, PartialEq)]
pub struct IssuePage {
    /// In order.
    pub issues: Vec<IssueSeen>,
    /// Where the next part goes on, if there is one.
    pub next: Option<IssuePlace>,
}

impl Board {
    /// An issue.
    ///
    /// # Errors
    /// [`Error::NotFound`]; what the store says.
    pub async fn issue(&self, id: Uuid) -> Result<Issue, Error> {
        self.stored_issue(id).await.map(|stored| stored.value)
    }

    pub(super) async fn stored_issue(&self, id: Uuid) -> Result<Stored<Issue>, Error> {
        self.documents.get(&id.to_string()).await?.ok_or(Error::NotFound("Issue"))
    }

    /// Part of the list of issues.
    ///
    /// # Errors
    /// What the store says.
    pub async fn issues(
        &self,
        query: &IssueQuery,
        after: Option<IssuePlace>,
        limit: usize,
        viewer: &str,
    ) -> Result<IssuePage, Error> {
        let held = self.held().await?;
        let mut walk = Walk::new(query, after, limit.saturating_add(1), self.now());
        while !walk.step(&held.index()) {
            // Others on this thread come first.
            tokio::task::yield_now().await;
        }
        let mut places = walk.places();
        let more = places.len() > limit;
        places.truncate(limit);
        let next = if more { places.last().copied() } else { None };
        let ids: Vec<Uuid> = places.into_iter().map(|(_, id)| id).collect();
        // What was taken away meanwhile, or cannot be read, is left out.
        let issues = self.each_seen_by(&ids, viewer).await?;
        Ok(IssuePage { issues, next })
    }

    /// How many issues there are of what, with categories by their names.
    ///
    /// # Errors
    /// What the store says.
    pub async fn stats(&self) -> Result<Stats, Error> {
        let held = self.held().await?;
        let stats = held.index().stats();
        let catalog = held.catalog();
        let named = |folded: String| catalog.get(&folded).map_or(folded, |category| category.name.clone());
        let by_category =
            stats.by_category.into_iter().map(|(folded, count)| (named(folded), count)).collect();
        Ok(Stats { by_category, ..stats })
    }

    /// Changes an issue, all that is asked or nothing; says so in its feed.
    ///
    /// # Errors
    /// [`Error::NotFound`]; what the store says.
    pub async fn change_issue(&self, id: Uuid, patch: IssuePatch, by: &Actor) -> Result<Issue, Error> {
        // A new category is made under the counter's turn, which is taken before the issue's. One that is known stays
        // known.
        let is_new = match &patch.category {
            Some(name) => self.new_category(name).await?.is_some(),
            None => false,
        };
        let turn = if is_new { Some(self.desk.counter().await) } else { None };
        let mut work = self.work(id).await?;
        work.apply(patch, by);
        if !work.main.is_changed() {
            return Ok(work.main.issue);
        }
        work.touch();
        if turn.is_some() {
            work.category = self.new_category(&work.main.issue.category).await?;
        }
        work.save().await
    }

    /// Writes what an agent did: each saying under the id its writer chose, and how the agent's work stands.
    /// Writing the same again changes nothing; of several sayings of one id the last counts, in the first one's place.
    ///
    /// # Errors
    /// [`Error::NotFound`]; what the store says.
    pub async fn record_work(
        &self,
        issue: Uuid,
        sayings: Vec<(Uuid, Saying)>,
        agent: Option<AgentWork>,
    ) -> Result<(Issue, Vec<Entry>), Error> {
        let mut work = self.work(issue).await?;
        let mut last: Vec<(Uuid, Saying)> = Vec::with_capacity(sayings.len());
        for (id, saying) in sayings {
            match last.iter_mut().find(|(known, _)| *known == id) {
                Some((_, before)) => *before = saying,
                None => last.push((id, saying)),
            }
        }
        let mut entries = Vec::with_capacity(last.len());
        for (id, saying) in last {
            entries.push(work.say_as(id, saying).await?);
        }
        if let Some(agent) = agent {
            work.main.issue.agent = agent;
        }
        Ok((work.save().await?, entries))
    }

    pub(super) async fn held(&self) -> Result<&Held, Error> {
        let read = async {
            self.finish_removals().await;
            Held::read(&self.documents).await
        };
        self.desk.held(read).await
    }
}

impl Issue {
    pub(super) fn opened(id: Uuid, number: u64, new: NewIssue, author: &str, now: Timestamp) -> Self {
        let NewIssue { title, description, status, severity, source, category, owner, assignee, evidence: _ } =
            new;
        Self {
            id,
            number,
            title,
            description,
            status,
            severity,
            source,
            category,
            owner,
            assignee,
            author: author.into(),
            external_link: None,
            links: LinkCounts::default(),
            flags: 0,
            relations: 0,
            agent: AgentWork::default(),
            feed: 0,
            newest: 0,
            created: now,
            updated: now,
            last_activity: now,
        }
    }
}

/// Says that evidence was attached.
pub(super) fn attached(link: Link, available: bool, by: &Actor) -> Saying {
    let detail = format!("Attached {}", link.title);
    Saying::new(EntryType::ResourceAdded, by.clone(), detail).about(LinkShown { link, available })
}

impl Work {
    /// What a patch makes of the issue, and an entry for what has one.
    fn apply(&mut self, patch: IssuePatch, by: &Actor) {
        let IssuePatch { title, description, status, severity, category, owner, assignee, external_link } =
            patch;
        let before = self.main.issue.clone();
        let issue = &mut self.main.issue;
        issue.title = title.unwrap_or(before.title);
        issue.description = description.unwrap_or(before.description);
        issue.external_link = external_link.unwrap_or(before.external_link);
        if let Some(to) = status.filter(|to| *to != before.status) {
            let from = before.status;
            self.main.issue.status = to;
            let mut saying =
                moved(EntryType::StatusChanged, "Status", by, Some(from.as_str()), Some(to.as_str()));
            saying.statuses = Some((from, to));
            self.say(saying);
        }
        if let Some(to) = severity.filter(|to| *to != before.severity) {
            self.main.issue.severity = to;
            let (from, to) = (before.severity.as_str(), to.as_str());
            self.say(moved(EntryType::SeverityChanged, "Severity", by, Some(from), Some(to)));
        }
        if let Some(to) = category.filter(|to| *to != before.category) {
            self.say(moved(EntryType::CategoryChanged, "Category", by, Some(&before.category), Some(&to)));
            self.main.issue.category = to;
        }
        if let Some(to) = assignee.filter(|to| *to != before.assignee) {
            let from = before.assignee.as_deref();
            self.say(moved(EntryType::AssigneeChanged, "Assignee", by, from, to.as_deref()));
            self.main.issue.assignee = to;
        }
        if let Some(to) = owner.filter(|to| *to != before.owner) {
            self.say(moved(EntryType::OwnerChanged, "Owner", by, before.owner.as_deref(), to.as_deref()));
            self.main.issue.owner = to;
        }
    }
}

/// Says that something was this and is that now.
fn moved(kind: EntryType, what: &str, by: &Actor, from: Option<&str>, to: Option<&str>) -> Saying {
    let named = |value: Option<&str>| value.unwrap_or("nobody").to_owned();
    let detail = format!("{what} changed from {} to {}", named(from), named(to));
    let value = |value: Option<&str>| value.map_or(Value::Null, Value::from);
    Saying::new(kind, by.clone(), detail).with("from", value(from)).with("to", value(to))
}
