//! The few fields issues are filtered and sorted by, in memory: a list is one walk over them.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use memchr::memmem::Finder;
use serde::Serialize;
use uuid::Uuid;

use super::evidence::ResourceType;
use super::form::{Word, words};
use super::issue::{Issue, LinkCounts, Severity, Status};
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

/// How many issues there are of what.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stats {
    /// All.
    pub total: u64,
    /// Neither done nor closed.
    pub open: u64,
    /// An agent works on them.
    pub processing: u64,
    /// An agent waits for a person.
    pub awaiting_input: u64,
    /// By status, in the order of statuses.
    pub by_status: Vec<(Status, u64)>,
    /// By severity, the worst first.
    pub by_severity: Vec<(Severity, u64)>,
    /// By category in lower case.
    pub by_category: BTreeMap<String, u64>,
}

struct Row {
    id: Uuid,
    status: Status,
    severity: Severity,
    links: LinkCounts,
    is_processing: bool,
    awaits_input: bool,
    created: Timestamp,
    last_activity: Timestamp,
    category: Box<str>,
    owner: Option<Box<str>>,
    assignee: Option<Box<str>>,
    /// Title and description in lower case.
    text: Box<str>,
}

/// All issues of an owner.
#[derive(Default)]
pub(super) struct Index {
    rows: Vec<Row>,
    places: HashMap<Uuid, usize>,
}

impl Index {
    /// Takes in an issue as it is now.
    pub(super) fn put(&mut self, issue: &Issue) {
        let row = Row::of(issue);
        match self.places.get(&issue.id).and_then(|place| self.rows.get_mut(*place)) {
            Some(known) => *known = row,
            None => {
                self.places.insert(issue.id, self.rows.len());
                self.rows.push(row);
            }
        }
    }

    /// Forgets an issue.
    pub(super) fn remove(&mut self, id: Uuid) {
        let Some(place) = self.places.remove(&id) else { return };
        self.rows.swap_remove(place);
        if let Some(moved) = self.rows.get(place) {
            self.places.insert(moved.id, place);
        }
    }

    /// The places of the issues that are asked for, at most `limit`, after a place.
    pub(super) fn select(
        &self,
        query: &IssueQuery,
        after: Option<IssuePlace>,
        limit: usize,
        now: Timestamp,
    ) -> Vec<IssuePlace> {
        let words: Vec<Finder<'_>> = query.words.iter().map(Finder::new).collect();
        let found = self.rows.iter().filter(|row| row.fits(query, &words, now));
        let found = found.map(|row| (row.number(query.sort), row.id));
        match query.order {
            Order::Asc => {
                let rest = found.filter(|place| after.is_none_or(|after| *place > after)).collect();
                first(rest, limit, |place| *place)
            }
            Order::Desc => {
                let rest = found.filter(|place| after.is_none_or(|after| *place < after)).collect();
                first(rest, limit, |place| Reverse(*place))
            }
        }
    }

    /// Counts.
    pub(super) fn stats(&self) -> Stats {
        let mut stats = Stats {
            by_status: Status::ALL.iter().map(|(status, _)| (*status, 0)).collect(),
            by_severity: Severity::ALL.iter().map(|(severity, _)| (*severity, 0)).collect(),
            ..Stats::default()
        };
        for row in &self.rows {
            stats.total += 1;
            stats.open += u64::from(!row.status.is_over());
            stats.processing += u64::from(row.is_processing);
            stats.awaiting_input += u64::from(row.awaits_input);
            one_more(&mut stats.by_status, row.status);
            one_more(&mut stats.by_severity, row.severity);
            match stats.by_category.get_mut(&*row.category) {
                Some(count) => *count += 1,
                None => {
                    stats.by_category.insert(row.category.to_string(), 1);
                }
            }
        }
        stats
    }
}

fn one_more<T: PartialEq>(counts: &mut [(T, u64)], what: T) {
    if let Some((_, count)) = counts.iter_mut().find(|(known, _)| *known == what) {
        *count += 1;
    }
}

/// The first of a list, in order, without sorting the rest.
fn first<K: Ord>(
    mut places: Vec<IssuePlace>,
    limit: usize,
    key: impl Fn(&IssuePlace) -> K,
) -> Vec<IssuePlace> {
    if limit < places.len() {
        places.select_nth_unstable_by_key(limit, &key);
        places.truncate(limit);
    }
    places.sort_unstable_by_key(key);
    places
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

    fn number(&self, sort: Sort) -> u64 {
        match sort {
            Sort::LastActivityAt => self.last_activity.0,
            Sort::CreatedAt => self.created.0,
            Sort::Severity => self.severity.rank(),
            Sort::Status => self.status as u64,
        }
    }

    /// The cheap questions first.
    fn fits(&self, query: &IssueQuery, words: &[Finder<'_>], now: Timestamp) -> bool {
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
