//! Issues that are opened: those that come at the same time are written together, numbered one after the other.

use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::Board;
use super::category::Category;
use super::entry::{Actor, EntryType, Saying};
use super::error::Error;
use super::evidence::Resource;
use super::issue::{Issue, NewIssue};
use super::issues::attached;
use super::link::Link;
use super::views::View;
use crate::domain::document::{RecordKind, Tags};
use crate::runtime::documents::{Changes, Document};
use crate::runtime::{self, Claim};

/// The number before the first.
const BEFORE_THE_FIRST: u64 = 1000;

/// Most issues of a write.
const TOGETHER: usize = 64;

/// About as many bytes a write may have; one issue alone has a tenth of it at most.
const TOGETHER_BYTES: usize = 1024 * 1024;

/// About what a link takes, with its entry.
const LINK_BYTES: usize = 2000;

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

/// An issue that waits to be opened, and who waits for it.
pub(super) struct Opening {
    new: NewIssue,
    /// What is known of its evidence.
    found: Vec<Option<Resource>>,
    author: String,
    claim: Claim,
    /// What else is written with it.
    beside: Changes,
    answer: oneshot::Sender<Result<Issue, Error>>,
}

impl Opening {
    fn bytes(&self) -> usize {
        self.new.description.len() * 2 + self.new.evidence.len() * LINK_BYTES
    }

    /// The first of those that wait, as many as are written together.
    pub(super) fn first_of(waiting: &mut Vec<Self>) -> Vec<Self> {
        let mut bytes = 0;
        let fits = |opening: &&Self| {
            bytes += opening.bytes();
            bytes <= TOGETHER_BYTES
        };
        let count = waiting.iter().take(TOGETHER).take_while(fits).count().max(1);
        waiting.drain(..count.min(waiting.len())).collect()
    }

    fn answer(self, result: Result<Issue, Error>) {
        // Whoever asked may have gone.
        drop(self.answer.send(result));
    }
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
        let (answer, told) = oneshot::channel();
        let (author, claim) = (author.to_owned(), claim.clone());
        let opening = Opening { new, found, author, claim, beside, answer };
        self.desk.waiting().push(opening);
        // Once it waits it is done, even if whoever asked does not wait any more.
        let board = self.clone();
        tokio::spawn(async move { board.open_waiting().await });
        told.await.unwrap_or(Err(Error::Runtime(runtime::Error::Internal)))
    }

    /// Opens what waits by the time its turn comes. Whoever waits has asked for a turn; one that finds nothing was
    /// served by an earlier one.
    async fn open_waiting(&self) {
        let _turn = self.desk.counter().await;
        let openings = Opening::first_of(&mut self.desk.waiting());
        match self.open_together(&openings).await {
            Ok(issues) => {
                openings.into_iter().zip(issues).for_each(|(opening, issue)| opening.answer(Ok(issue)));
            }
            // One of them is in the way of the others.
            Err(Error::Runtime(runtime::Error::Conflict(_) | runtime::Error::TooLarge { .. }))
                if openings.len() > 1 =>
            {
                for opening in openings {
                    let opened = self.open_together(std::slice::from_ref(&opening)).await;
                    let opened = opened.and_then(|issues| {
                        issues.into_iter().next().ok_or(Error::Runtime(runtime::Error::Internal))
                    });
                    opening.answer(opened);
                }
            }
            Err(error) => openings.into_iter().for_each(|opening| opening.answer(Err(error.clone()))),
        }
    }

    /// Writes new issues, all or none; for who has a turn at the counter.
    async fn open_together(&self, openings: &[Opening]) -> Result<Vec<Issue>, Error> {
        if openings.is_empty() {
            return Ok(Vec::new());
        }
        let held = self.held().await?;
        let numbers = self.documents.get::<Numbers>(Numbers::ID).await?;
        let mut last = numbers.as_ref().map_or(BEFORE_THE_FIRST, |numbers| numbers.last);
        let mut changes = Changes::default();
        let mut issues = Vec::with_capacity(openings.len());
        let mut categories: Vec<Category> = Vec::new();
        for opening in openings {
            last = last.saturating_add(1);
            let (issue, own) = self.opened(opening, last);
            changes = changes.and(own).and(opening.beside.clone());
            if let Some(category) = self.new_category(&issue.category).await?
                && !categories.iter().any(|known| known.id == category.id)
            {
                changes = changes.put(&category);
                categories.push(category);
            }
            issues.push(issue);
        }
        changes = match &numbers {
            Some(before) => changes.replace(before, &Numbers { last }),
            None => changes.create(&Numbers { last }),
        };
        let claims = openings.iter().map(|opening| &opening.claim).zip(&issues);
        self.documents.write_each_once(changes, claims).await?;
        categories.into_iter().for_each(|category| held.catalog_mut().put(category));
        let mut index = held.index_mut();
        issues.iter().for_each(|issue| index.put(issue));
        drop(index);
        Ok(issues)
    }

    /// An issue with this number, and all that is written with it.
    fn opened(&self, opening: &Opening, number: u64) -> (Issue, Changes) {
        let Opening { new, found, author, .. } = opening;
        let (id, now, by) = (self.fresh(), self.now(), Actor::user(author));
        let mut issue = Issue::opened(id, number, new.clone(), author, now);
        let opened = Saying::new(EntryType::Created, by.clone(), format!("Opened {}", issue.triage_id()));
        let mut changes = Changes::default().create(&issue.enter(self.fresh(), opened, now));
        for (evidence, found) in new.evidence.iter().zip(found) {
            let link = Link::new(id, evidence, found.as_ref(), author, now);
            *issue.links.of(link.resource_type) += 1;
            changes = changes.create(&link);
            changes = changes.create(&issue.enter(self.fresh(), attached(link, found.is_some(), &by), now));
        }
        let view = View { issue: id, viewer: author.clone(), seen: issue.feed, at: now };
        (issue.clone(), changes.create(&issue).put(&view))
    }
}
