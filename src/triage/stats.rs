//! How many issues there are of what, counted as they come and go.

use std::collections::BTreeMap;

use super::form::Word;
use super::index::Row;
use super::issue::{Severity, Status};

/// How many issues there are of what.
#[derive(Debug, Clone, PartialEq, Eq)]
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

impl Default for Stats {
    fn default() -> Self {
        Self {
            total: 0,
            open: 0,
            processing: 0,
            awaiting_input: 0,
            by_status: Status::ALL.iter().map(|(status, _)| (*status, 0)).collect(),
            by_severity: Severity::ALL.iter().map(|(severity, _)| (*severity, 0)).collect(),
            by_category: BTreeMap::new(),
        }
    }
}

impl Stats {
    /// Counts one more.
    pub(super) fn add(&mut self, row: &Row) {
        self.count(row, 1);
        match self.by_category.get_mut(&*row.category) {
            Some(count) => *count += 1,
            None => {
                self.by_category.insert(row.category.to_string(), 1);
            }
        }
    }

    /// Counts one less.
    pub(super) fn take_away(&mut self, row: &Row) {
        self.count(row, -1);
        let Some(count) = self.by_category.get_mut(&*row.category) else { return };
        *count = count.saturating_sub(1);
        if *count == 0 {
            self.by_category.remove(&*row.category);
        }
    }

    fn count(&mut self, row: &Row, by: i64) {
        let counts = [
            (Some(&mut self.total), true),
            (Some(&mut self.open), !row.status.is_over()),
            (Some(&mut self.processing), row.is_processing),
            (Some(&mut self.awaiting_input), row.awaits_input),
            (of(&mut self.by_status, row.status), true),
            (of(&mut self.by_severity, row.severity), true),
        ];
        for (count, counts) in counts {
            if let (Some(count), true) = (count, counts) {
                *count = count.saturating_add_signed(by);
            }
        }
    }
}

fn of<T: PartialEq>(counts: &mut [(T, u64)], what: T) -> Option<&mut u64> {
    counts.iter_mut().find(|(known, _)| *known == what).map(|(_, count)| count)
}
