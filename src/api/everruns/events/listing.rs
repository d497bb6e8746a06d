//! Lists of events, told while they are read: a log may be long, and what is told of it never stands whole in memory.

use std::collections::VecDeque;

use actix_web::HttpResponse;
use actix_web::web::Data;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream;

use super::event::{Event, EventId};
use super::filter::{Cursor, Filter};
use super::fold::Fold;
use super::gathered::{Gathered, Places};
use super::reading::{Story, Tools};
use crate::api::ApiState;
use crate::api::everruns::ids::{self, PublicId};
use crate::domain::fact::{Entry, Seq};
use crate::domain::id::Owner;
use crate::domain::run::Session;
use crate::runtime::Error;

/// Bytes that are gathered before they are sent, about.
const CHUNK_BYTES: usize = 64 * 1024;

/// Events that are read together where the latest come first.
const BACKWARDS: usize = 64;

/// How an event stands in a list.
pub type Shape = fn(Event, PublicId) -> String;

/// A list of events that is being told.
pub struct Listing {
    state: Data<ApiState>,
    owner: Owner,
    session: Session,
    filter: Filter,
    tools: Tools,
    shape: Shape,
    fold: Fold,
    kept: Seq,
    /// Read, and not told yet.
    entries: VecDeque<Entry>,
    /// Where the latest come first: the places of those that are still to be told.
    places: Option<Vec<EventId>>,
    /// How many may still be told.
    left: usize,
    told_any: bool,
    over: bool,
}

impl Listing {
    /// Of a session.
    ///
    /// # Errors
    /// What the store says.
    pub async fn of(
        state: &Data<ApiState>,
        owner: &Owner,
        session: Session,
        filter: Filter,
        shape: Shape,
    ) -> Result<Self, Error> {
        let tools = Tools::of(&state.runtime, owner).await?;
        let fold = Story::of(state, owner, &session).from(filter.after);
        let (kept, left) = (fold.position(), filter.limit.unwrap_or(usize::MAX));
        let mut listing = Self {
            state: state.clone(),
            owner: owner.clone(),
            session,
            filter,
            tools,
            shape,
            fold,
            kept,
            entries: VecDeque::new(),
            places: None,
            left,
            told_any: false,
            over: false,
        };
        if listing.filter.newest_first {
            listing.places = Some(listing.find_places().await?);
        }
        Ok(listing)
    }

    /// 200 with `{"data": […]}`: at once if it is short, else as it is read.
    ///
    /// # Errors
    /// What the store says before the first bytes; what it says later breaks the answer off.
    pub async fn response(mut self) -> Result<HttpResponse, Error> {
        let first = self.chunk().await?.unwrap_or_default();
        let mut response = HttpResponse::Ok();
        response.content_type("application/json");
        if self.over {
            return Ok(response.body(first));
        }
        let rest = stream::unfold(self, |mut listing| async move {
            let chunk = listing.chunk().await;
            listing.over |= chunk.is_err();
            Some((chunk.transpose()?, listing))
        });
        Ok(response.streaming(stream::once(async { Ok(first) }).chain(rest)))
    }

    /// The next bytes; none after the last.
    async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        if self.over {
            return Ok(None);
        }
        let mut text = if self.told_any { String::new() } else { "{\"data\":[".to_owned() };
        let name = ids::session(&self.session.id);
        while text.len() < CHUNK_BYTES {
            let events = if self.left == 0 { None } else { self.next().await? };
            let Some(events) = events else {
                text.push_str("]}");
                self.over = true;
                break;
            };
            for event in events.into_iter().take(self.left) {
                self.left = self.left.saturating_sub(1);
                if self.told_any {
                    text.push(',');
                }
                self.told_any = true;
                text.push_str(&(self.shape)(event, name));
            }
        }
        Ok(Some(text.into()))
    }

    /// The next events, in the order in which they are told; none where there are no more.
    async fn next(&mut self) -> Result<Option<Vec<Event>>, Error> {
        if let Some(places) = &mut self.places {
            let from = places.len().saturating_sub(BACKWARDS);
            let window = places.split_off(from);
            let (Some(first), Some(last)) = (window.first(), window.last()) else { return Ok(None) };
            let mut events = self.between(*first, *last).await?;
            events.reverse();
            return Ok(Some(events));
        }
        if self.entries.is_empty() {
            self.entries = Story::of(&self.state, &self.owner, &self.session).page(&self.fold).await?.into();
        }
        let story = Story::of(&self.state, &self.owner, &self.session);
        let Some(entry) = self.entries.pop_front() else {
            story.pass(&self.fold, &mut self.kept, true);
            return Ok(None);
        };
        let mut sink = Gathered::new(&self.filter, &self.tools, self.fold.count());
        self.fold.take(&entry, &mut sink);
        story.pass(&self.fold, &mut self.kept, false);
        Ok(Some(sink.events))
    }

    /// Where the events are that may be wanted.
    async fn find_places(&self) -> Result<Vec<EventId>, Error> {
        let story = Story::of(&self.state, &self.owner, &self.session);
        let (mut fold, mut kept) = (self.fold.clone(), self.kept);
        let mut sink = Places(Gathered::new(&self.filter, &self.tools, fold.count()), Vec::new());
        loop {
            let page = story.page(&fold).await?;
            if page.is_empty() {
                story.pass(&fold, &mut kept, true);
                return Ok(sink.1);
            }
            for entry in &page {
                fold.take(entry, &mut sink);
                story.pass(&fold, &mut kept, false);
            }
        }
    }

    /// The wanted events from one to another.
    async fn between(&self, first: EventId, last: EventId) -> Result<Vec<Event>, Error> {
        let story = Story::of(&self.state, &self.owner, &self.session);
        let mut fold = story.from(Cursor::Id(first.before()));
        let mut sink = Gathered::new(&self.filter, &self.tools, fold.count()).within(first, last);
        while fold.last() < last {
            let page = story.page(&fold).await?;
            if page.is_empty() {
                break;
            }
            for entry in &page {
                if fold.last() >= last {
                    break;
                }
                fold.take(entry, &mut sink);
            }
        }
        Ok(sink.events)
    }
}

/// The whole event, as it stands in streams.
pub fn whole(event: Event, session: PublicId) -> String {
    event.json(session)
}
