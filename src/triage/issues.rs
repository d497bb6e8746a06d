//! Issues of a board: opened, listed, changed, looked at and taken away.

use futures::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::Board;
use super::desk::Held;
use super::entry::{Actor, Change, Entry, EntryType, LinkShown, Saying, of_issue};
use super::error::Error;
use super::flag::Flag;
use super::index::{IssuePlace, IssueQuery, Stats};
use super::issue::{AgentWork, Issue, IssuePatch, LinkCounts, NewIssue};
use super::link::Link;
use super::relation::{self, Relation};
use super::views::{IssueSeen, View};
use super::work::Work;
use crate::domain::document::{RecordKind, Tags};
use crate::domain::time::Timestamp;
use crate::runtime::documents::{Changes, Document, Stored};
use crate::runtime::{self, Claim};

/// The number before the first.
const BEFORE_THE_FIRST: u64 = 1000;

/// Issues of a page that are read at the same time.
const READS_AT_ONCE: usize = 8;

/// The last number that was given out.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Numbers {
    last: u64,
}

impl Numbers {
    const ID: &str = "issues";
}

impl Document for Numbers {
    const KIND: RecordKind = RecordKind("triage_numbers");

    fn id(&self) -> String {
        Self::ID.into()
    }

    fn tags(&self) -> Tags {
        Tags::default()
    }
}

/// Part of a list of issues.
#[derive(Debug, Clone, PartialEq)]
pub struct IssuePage {
    /// In order.
    pub issues: Vec<IssueSeen>,
    /// Where the next part goes on, if there is one.
    pub next: Option<IssuePlace>,
}

impl Board {
    /// Opens an issue, with its evidence: what is not known here is linked to all the same.
    ///
    /// # Errors
    /// What the store says; then nothing was changed, and no number used.
    pub async fn create_issue(&self, new: NewIssue, author: &str, claim: &Claim) -> Result<Issue, Error> {
        self.create_issue_beside(new, author, claim, Changes::default()).await
    }

    /// The same, with something else in the same write.
    pub(super) async fn create_issue_beside(
        &self,
        new: NewIssue,
        author: &str,
        claim: &Claim,
        beside: Changes,
    ) -> Result<Issue, Error> {
        if let Some(made) = claim.made()? {
            return Ok(made);
        }
        let mut found = Vec::with_capacity(new.evidence.len());
        for evidence in &new.evidence {
            found.push(self.resolve(evidence.kind, &evidence.id).await?);
        }
        let (board, author, claim) = (self.clone(), author.to_owned(), claim.clone());
        // Once begun it is done, even if whoever asked does not wait any more.
        let writing = tokio::spawn(async move {
            let evidence = new.evidence.iter().zip(&found);
            let available: Vec<bool> = found.iter().map(Option::is_some).collect();
            let issue_id = board.fresh();
            let _turn = board.desk.counter().await;
            let now = board.now();
            let links: Vec<Link> = evidence
                .map(|(evidence, found)| Link::new(issue_id, evidence, found.as_ref(), &author, now))
                .collect();
            board
                .open_issue(
                    issue_id,
                    new,
                    &author,
                    links.into_iter().zip(available).collect(),
                    now,
                    (&claim, beside),
                )
                .await
        });
        writing.await.unwrap_or(Err(Error::Runtime(runtime::Error::Internal)))
    }

    /// Writes a new issue; for who has a turn at the counter.
    async fn open_issue(
        &self,
        id: Uuid,
        new: NewIssue,
        author: &str,
        links: Vec<(Link, bool)>,
        now: Timestamp,
        (claim, beside): (&Claim, Changes),
    ) -> Result<Issue, Error> {
        let held = self.held().await?;
        let numbers = self.documents.get::<Numbers>(Numbers::ID).await?;
        let last = numbers.as_ref().map_or(BEFORE_THE_FIRST, |numbers| numbers.last).saturating_add(1);
        let mut issue = Issue::opened(id, last, new, author, now);
        let mut changes = match &numbers {
            Some(before) => beside.replace(before, &Numbers { last }),
            None => beside.create(&Numbers { last }),
        };
        let opened =
            Saying::new(EntryType::Created, Actor::user(author), format!("Opened {}", issue.triage_id()));
        changes = changes.create(&issue.enter(self.fresh(), opened, now));
        for (link, available) in links {
            *issue.links.of(link.resource_type) += 1;
            changes = changes.create(&link);
            let saying = attached(link, available, &Actor::user(author));
            changes = changes.create(&issue.enter(self.fresh(), saying, now));
        }
        let view = View { issue: id, viewer: author.into(), seen: issue.feed, at: now };
        let category = self.new_category(&issue.category).await?;
        changes = category.iter().fold(changes.create(&issue).put(&view), Changes::put);
        self.documents.write_once(changes, claim, &issue).await?;
        held.index_mut().put(&issue);
        if let Some(category) = category {
            held.catalog_mut().put(category);
        }
        Ok(issue)
    }

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
        let mut places = self.held().await?.index().select(query, after, limit.saturating_add(1), self.now());
        let more = places.len() > limit;
        places.truncate(limit);
        let next = if more { places.last().copied() } else { None };
        let reads = places.into_iter().map(|(_, id)| async move {
            match self.issue_seen_by(id, viewer).await {
                Ok(seen) => Ok(Some(seen)),
                // It was taken away meanwhile.
                Err(Error::NotFound(_)) => Ok(None),
                Err(error) => Err(error),
            }
        });
        let issues: Vec<Option<IssueSeen>> =
            stream::iter(reads).buffered(READS_AT_ONCE).try_collect().await?;
        Ok(IssuePage { issues: issues.into_iter().flatten().collect(), next })
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
        // A new category is made under the counter's turn, which is taken before the issue's.
        let turn = match &patch.category {
            Some(_) => Some(self.desk.counter().await),
            None => None,
        };
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

    /// Takes an issue away with all that hangs on it.
    ///
    /// # Errors
    /// [`Error::NotFound`]; what the store says.
    pub async fn delete_issue(&self, id: Uuid, by: &Actor) -> Result<(), Error> {
        let mut work = self.work_on_all(id).await?;
        let documents = &self.documents;
        let here = || Some(of_issue(id));
        for flag in documents.all::<Flag>(here()).await? {
            work.lower(flag.value);
        }
        for tag in [relation::source(id), relation::target(id)] {
            for relation in documents.all::<Relation>(Some(tag)).await? {
                self.untie(&mut work, &relation, by).await?;
            }
        }
        work.sweep(&documents.all::<Entry>(here()).await?);
        work.sweep(&documents.all::<Change>(here()).await?);
        work.sweep(&documents.all::<Link>(here()).await?);
        work.sweep(&documents.all::<View>(here()).await?);
        let documents = self.let_documents_go(id).await?;
        let (runs, sessions) = self.let_norm_go(id).await?;
        work.write(|changes| changes.and(documents).and(runs));
        work.delete_issue();
        work.save().await?;
        self.end_sessions(&sessions).await;
        Ok(())
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
        self.desk.held(&self.documents).await
    }
}

impl Issue {
    fn opened(id: Uuid, number: u64, new: NewIssue, author: &str, now: Timestamp) -> Self {
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
    /// Takes documents away with it.
    fn sweep<D: Document>(&mut self, documents: &[Stored<D>]) {
        self.write(|changes| {
            documents.iter().fold(changes, |changes, found| changes.delete::<D>(&found.value.id()))
        });
    }

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
