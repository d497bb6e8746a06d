//! The few fields issues are filtered and sorted by, in memory and in every order a list may have.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use memchr::memmem::Finder;
use serde::Serialize;
use uuid::Uuid;

use super::evidence::ResourceType;
use super::form::{Word, words};
use super::issue::{Issue, LinkCounts, Severity, Status};
use super::stats::Stats;
use crate::domain::time::Timestamp;

words! {
    /// What issues are sorted by; those alike by their ids.
    Sort {
        /// The newest entry.
        LastActivityAt = "last_activity_at",
        /// When they were opened.
        CreatedAt = "created_at",
        /// How bad they are.
        Severity = "severity",
        /// Where they stand.
        Status = "status",
    }
}

words! {
    /// Which end of a list comes first.
    Order {
        /// The smallest.
        Asc = "asc",
        /// The largest.
        Desc = "desc",
    }
}

words! {
    /// The date a range is about.
    DateField {
        /// The newest entry.
        LastActivityAt = "last_activity_at",
        /// When they were opened.
        CreatedAt = "created_at",
    }
}

words! {
    /// How far back.
    DateRange {
        /// A day.
        Day = "24h",
        /// A week.
        Week = "7d",
        /// A month.
        Month = "30d",
        /// A quarter.
        Quarter = "90d",
    }
}

impl DateRange {
    /// How long it is.
    pub fn length(self) -> Duration {
        Duration::from_hours(match self {
            Self::Day => 24,
            Self::Week => 7 * 24,
            Self::Month => 30 * 24,
            Self::Quarter => 90 * 24,
        })
    }
}

/// Which issues, in which order. What is empty does not restrict.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct IssueQuery {
    /// What they are sorted by.
    pub sort: Sort,
    /// Which end first.
    pub order: Order,
    /// Each must occur in title or description; in lower case.
    pub words: Vec<String>,
    /// Any of these.
    pub statuses: Vec<Status>,
    /// Any of these.
    pub severities: Vec<Severity>,
    /// Any of these; in lower case.
    pub categories: Vec<String>,
    /// With at least one link of this sort.
    pub resource_type: Option<ResourceType>,
    /// Somebody answers for them.
    pub owner: Option<String>,
    /// Somebody works on them.
    pub assignee: Option<String>,
    /// Not older than this.
    pub dates: Option<(DateField, DateRange)>,
}

/// The place of an issue in a list: its number in the order, and its id.
pub type IssuePlace = (u64, Uuid);

/// What lists say of an issue.
pub(super) struct Row {
    id: Uuid,
    pub(super) status: Status,
    pub(super) severity: Severity,
    links: LinkCounts,
    pub(super) is_processing: bool,
    pub(super) awaits_input: bool,
    created: Timestamp,
    last_activity: Timestamp,
    /// In lower case.
    pub(super) category: Box<str>,
    owner: Option<Box<str>>,
    assignee: Option<Box<str>>,
    /// Title and description in lower case.
    text: Box<str>,
}

/// Changes that are remembered for who looks through a list meanwhile.
const REMEMBERED: usize = 1024;

/// All issues of an owner.
#[derive(Default)]
pub(super) struct Index {
    rows: HashMap<Uuid, Arc<Row>>,
    /// All of them in each order, by [`Sort`].
    orders: [BTreeMap<IssuePlace, Arc<Row>>; 4],
    stats: Stats,
    /// Counts changes.
    version: u64,
    /// The latest changes, the newest last.
    changed: VecDeque<Uuid>,
}

impl Index {
    /// Takes in an issue as it is now.
    pub(super) fn put(&mut self, issue: &Issue) {
        let row = Arc::new(Row::of(issue));
        self.take_out(issue.id);
        for (sort, order) in Sort::ALL.iter().zip(&mut self.orders) {
            order.insert(row.place(sort.0), Arc::clone(&row));
        }
        self.stats.add(&row);
        self.rows.insert(issue.id, row);
        self.note(issue.id);
    }

    /// Forgets an issue.
    pub(super) fn remove(&mut self, id: Uuid) {
        self.take_out(id);
        self.note(id);
    }

    fn take_out(&mut self, id: Uuid) {
        let Some(row) = self.rows.remove(&id) else { return };
        self.stats.take_away(&row);
        for (sort, order) in Sort::ALL.iter().zip(&mut self.orders) {
            order.remove(&row.place(sort.0));
        }
    }

    fn note(&mut self, id: Uuid) {
        self.version = self.version.saturating_add(1);
        if self.changed.len() == REMEMBERED {
            self.changed.pop_front();
        }
        self.changed.push_back(id);
    }

    /// Counts changes.
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    /// What was changed since a version, as far as it is remembered.
    pub(super) fn changed_since(&self, version: u64) -> impl Iterator<Item = Uuid> {
        let count = usize::try_from(self.version.saturating_sub(version)).unwrap_or(usize::MAX);
        self.changed.iter().rev().take(count).copied()
    }

    /// What lists say of an issue.
    pub(super) fn row(&self, id: Uuid) -> Option<&Row> {
        self.rows.get(&id).map(AsRef::as_ref)
    }

    /// All rows after a place, in an order.
    pub(super) fn rows_after(
        &self,
        sort: Sort,
        order: Order,
        after: Option<IssuePlace>,
    ) -> impl Iterator<Item = (IssuePlace, &Row)> {
        let after = after.map_or(Bound::Unbounded, Bound::Excluded);
        let all = self.orders.get(sort as usize).into_iter();
        let rows: Box<dyn Iterator<Item = _>> = match order {
            Order::Asc => Box::new(all.flat_map(move |rows| rows.range((after, Bound::Unbounded)))),
            Order::Desc => Box::new(all.flat_map(move |rows| rows.range((Bound::Unbounded, after)).rev())),
        };
        rows.map(|(place, row)| (*place, row.as_ref()))
    }

    /// Counts.
    pub(super) fn stats(&self) -> Stats {
        self.stats.clone()
    }
}

impl Row {
    fn of(issue: &Issue) -> Self {
        let mut text = issue.title.to_lowercase();
        text.push('\n');
        text.push_str(&issue.description.to_lowercase());
        Self {
            id: issue.id,
            status: issue.status,
            severity: issue.severity,
            links: issue.links,
            is_processing: issue.agent.is_processing,
            awaits_input: issue.agent.awaits_input,
            created: issue.created,
            last_activity: issue.last_activity,
            category: issue.category.to_lowercase().into(),
            owner: issue.owner.as_deref().map(Into::into),
            assignee: issue.assignee.as_deref().map(Into::into),
            text: text.into(),
        }
    }

    /// Where it stands in an order.
    pub(super) fn place(&self, sort: Sort) -> IssuePlace {
        let number = match sort {
            Sort::LastActivityAt => self.last_activity.0,
            Sort::CreatedAt => self.created.0,
            Sort::Severity => self.severity.rank(),
            Sort::Status => self.status as u64,
        };
        (number, self.id)
    }

    /// Whether it is asked for; the cheap questions first.
    pub(super) fn fits(&self, query: &IssueQuery, words: &[Finder<'_>], now: Timestamp) -> bool {
        let any = |empty: bool, found: bool| empty || found;
        any(query.statuses.is_empty(), query.statuses.contains(&self.status))
            && any(query.severities.is_empty(), query.severities.contains(&self.severity))
            && query.resource_type.is_none_or(|kind| *self.links.clone().of(kind) > 0)
            && query.dates.is_none_or(|(field, range)| self.is_since(field, range, now))
            && query.owner.as_deref().is_none_or(|owner| self.owner.as_deref() == Some(owner))
            && query.assignee.as_deref().is_none_or(|user| self.assignee.as_deref() == Some(user))
            && any(query.categories.is_empty(), query.categories.iter().any(|name| **name == *self.category))
            && words.iter().all(|word| word.find(self.text.as_bytes()).is_some())
    }

    fn is_since(&self, field: DateField, range: DateRange, now: Timestamp) -> bool {
        let at = match field {
            DateField::LastActivityAt => self.last_activity,
            DateField::CreatedAt => self.created,
        };
        now.since(at) <= range.length()
    }
}
