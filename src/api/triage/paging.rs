//! Pages of documents that are listed newest first.

use serde::Serialize;
use serde_json::Value;

use super::envelope::{self, Answer};
use super::query::{Query, cursor};
use crate::domain::document::Place;
use crate::runtime::documents::{Document, Listed, Listing, Stored};

/// A page of a list: which, and how much of it.
#[derive(Debug)]
pub(super) struct Page<L> {
    list: L,
    limit: usize,
    after: Option<Place>,
}

impl<L: Serialize> Page<L> {
    /// What a query asks for; `list` is everything the list depends on. What is wrong is noted in the query.
    pub(super) fn of(query: &mut Query, list: L) -> Self {
        let limit = query.limit();
        let after = query.cursor::<(u64, String)>(&list).map(|(sort, id)| Place { sort, id });
        Self { list, limit, after }
    }

    /// The same for the store: one more than a page has, to see whether there is another.
    pub(super) fn listing(&self) -> Listing {
        Listing {
            newest_first: true,
            after: self.after.clone(),
            limit: self.limit.saturating_add(1),
            ..Listing::default()
        }
    }

    /// The answer.
    pub(super) fn answer<D: Document>(&self, found: &Listed<D>, body: impl Fn(&D) -> Value) -> Answer {
        let shown = found.documents.get(..self.limit).unwrap_or(&found.documents);
        let more = found.documents.len() > self.limit;
        let place = |document: &Stored<D>| (document.tags().sort, document.value.id());
        // What cannot be read is left out of a part, so that a short one need not be the last.
        let rest = found.next.as_ref().map(|place| (place.sort, place.id.clone()));
        let next = if more { shown.last().map(place) } else { rest };
        let next = next.map(|place| cursor(&self.list, &place));
        envelope::page(shown.iter().map(|document| body(document)).collect(), next)
    }
}
