//! Parts of lists that are kept in order by the store.

use super::Board;
use super::error::Error;
use crate::domain::document::{Place, Tag};
use crate::runtime::documents::{Document, Listing};

/// Part of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Part<T> {
    /// In order.
    pub items: Vec<T>,
    /// Where the next part goes on; `None` at the end.
    pub next: Option<Place>,
}

impl Board {
    /// At most `limit` documents that carry a tag, after a place.
    pub(super) async fn part<D: Document>(
        &self,
        tag: Tag,
        newest_first: bool,
        after: Option<Place>,
        limit: usize,
    ) -> Result<Part<D>, Error> {
        // One more than asked for tells whether there are more.
        let listing =
            Listing { tag: Some(tag), newest_first, after, skip: 0, limit: limit.saturating_add(1) };
        let listed = self.documents.list::<D>(listing).await?;
        let mut items: Vec<D> = listed.documents.into_iter().map(|stored| stored.value).collect();
        let next = if items.len() > limit {
            items.truncate(limit);
            items.last().map(place)
        } else {
            listed.next
        };
        Ok(Part { items, next })
    }
}

fn place<D: Document>(document: &D) -> Place {
    Place { sort: document.tags().sort, id: document.id() }
}
