//! A look through a list of issues: some rows at a time, so that a long one holds nobody up.
//!
//! Between two steps the board may change. What was changed meanwhile is looked at again, so that what is found is
//! what there is at the end: nothing is missing because it moved from where nobody had looked to where somebody had.

use memchr::memmem::Finder;

use super::index::{Index, IssuePlace, IssueQuery, Order, Row};
use crate::domain::time::Timestamp;

/// Rows of a step: well under a millisecond, if descriptions are not all as long as they may be.
const STEP: usize = 1000;

/// A look through a list.
pub(super) struct Walk<'a> {
    query: &'a IssueQuery,
    words: Vec<Finder<'a>>,
    now: Timestamp,
    /// Where the list goes on for who asks.
    after: Option<IssuePlace>,
    limit: usize,
    /// The last row that was looked at.
    at: Option<IssuePlace>,
    /// The board this is about, as a version of it.
    version: Option<u64>,
    found: Vec<IssuePlace>,
}

impl<'a> Walk<'a> {
    /// At most `limit` issues after a place.
    pub(super) fn new(
        query: &'a IssueQuery,
        after: Option<IssuePlace>,
        limit: usize,
        now: Timestamp,
    ) -> Self {
        Self {
            words: query.words.iter().map(Finder::new).collect(),
            query,
            now,
            after,
            limit,
            at: after,
            version: None,
            found: Vec::new(),
        }
    }

    /// Goes on; says whether all is found that was asked for.
    pub(super) fn step(&mut self, index: &Index) -> bool {
        self.look_again(index);
        let mut left = STEP;
        for (place, row) in index.rows_after(self.query.sort, self.query.order, self.at) {
            if left == 0 || self.found.len() >= self.limit {
                return self.found.len() >= self.limit;
            }
            left -= 1;
            self.at = Some(place);
            if row.fits(self.query, &self.words, self.now) {
                self.found.push(place);
            }
        }
        true
    }

    /// The places of what was found, in order.
    pub(super) fn places(self) -> Vec<IssuePlace> {
        self.found
    }

    /// Takes what was changed since the last step for what it is now.
    fn look_again(&mut self, index: &Index) {
        let Some(since) = self.version.replace(index.version()) else { return };
        for id in index.changed_since(since) {
            self.found.retain(|(_, known)| *known != id);
            if let Some(row) = index.row(id) {
                self.look_at(row);
            }
        }
        self.found.sort_unstable();
        if self.query.order == Order::Desc {
            self.found.reverse();
        }
        self.found.truncate(self.limit);
    }

    fn look_at(&mut self, row: &Row) {
        let place = row.place(self.query.sort);
        let order = self.query.order;
        let is_asked_for = self.after.is_none_or(|after| is_before(order, after, place));
        let was_passed = self.at.is_some_and(|at| !is_before(order, at, place));
        if is_asked_for && was_passed && row.fits(self.query, &self.words, self.now) {
            self.found.push(place);
        }
    }
}

fn is_before(order: Order, one: IssuePlace, other: IssuePlace) -> bool {
    match order {
        Order::Asc => one < other,
        Order::Desc => one > other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use uuid::Uuid;

    use super::*;
    use crate::domain::Object;
    use crate::triage::index::Sort;
    use crate::triage::issue::{Issue, NewIssue};

    fn issue(number: u64, title: &str) -> Issue {
        let sent = json!({"title": title, "severity": "low", "category": "c"});
        let sent: Object = sent.as_object().cloned().unwrap_or_default();
        let Ok(new) = NewIssue::read(&sent) else { unreachable!() };
        Issue::opened(Uuid::from_u128(number.into()), number, new, "somebody", Timestamp(number))
    }

    fn index(count: u64) -> Index {
        let mut index = Index::default();
        (1..=count)
            .for_each(|number| index.put(&issue(number, if number % 2 == 0 { "even" } else { "odd" })));
        index
    }

    fn all(order: Order) -> IssueQuery {
        IssueQuery {
            sort: Sort::LastActivityAt,
            order,
            words: vec!["even".into()],
            statuses: Vec::new(),
            severities: Vec::new(),
            categories: Vec::new(),
            resource_type: None,
            owner: None,
            assignee: None,
            dates: None,
        }
    }

    fn numbers(walk: Walk<'_>) -> Vec<u64> {
        walk.places().into_iter().map(|(number, _)| number).collect()
    }

    #[test]
    fn a_walk_goes_step_by_step_and_ends_when_enough_is_found() {
        let index = index(5000);
        let query = all(Order::Asc);
        let mut few = Walk::new(&query, None, 3, Timestamp(0));
        assert!(few.step(&index));
        assert_eq!(numbers(few), [2, 4, 6]);
        let mut many = Walk::new(&query, Some((3000, Uuid::from_u128(3000))), 5000, Timestamp(0));
        assert!(!many.step(&index));
        assert!(many.step(&index));
        assert_eq!(numbers(many), (1501..=2500).map(|half| half * 2).collect::<Vec<_>>());
    }

    #[test]
    fn what_changes_between_two_steps_is_found_as_it_is_at_the_end() {
        let mut index = index(2500);
        let query = all(Order::Desc);
        let mut walk = Walk::new(&query, None, 5000, Timestamp(0));
        assert!(!walk.step(&index));
        // It moves from where nobody looked to where somebody did; another is opened, two go, one does not fit now.
        let mut moved = issue(100, "even");
        moved.last_activity = Timestamp(9000);
        index.put(&moved);
        index.put(&issue(9002, "even"));
        index.remove(Uuid::from_u128(2400));
        index.remove(Uuid::from_u128(200));
        index.put(&issue(2300, "odd"));
        while !walk.step(&index) {}
        let gone = [2400, 2300, 200, 100];
        let kept = (1..=1250).rev().map(|half| half * 2).filter(|number| !gone.contains(number));
        let expected: Vec<u64> = [9002, 9000].into_iter().chain(kept).collect();
        assert_eq!(numbers(walk), expected);
    }

    #[test]
    fn a_page_that_loses_an_issue_is_filled_up_again() {
        let mut index = index(2500);
        let query = IssueQuery { words: vec!["rare".into()], ..all(Order::Desc) };
        index.put(&issue(2400, "rare"));
        index.put(&issue(50, "rare"));
        index.put(&issue(40, "rare"));
        let mut walk = Walk::new(&query, None, 2, Timestamp(0));
        assert!(!walk.step(&index));
        index.remove(Uuid::from_u128(2400));
        while !walk.step(&index) {}
        assert_eq!(numbers(walk), [50, 40]);
    }
}
