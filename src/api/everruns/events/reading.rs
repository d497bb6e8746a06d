//! What a session's log tells so far.

use serde_json::Value;

use super::event::{Event, EventId};
use super::filter::{Cursor, Filter};
use super::fold::{Fold, Question, Sink};
use super::kind::Kind;
use super::memory::{Key, STRIDE};
use crate::api::ApiState;
use crate::api::everruns::ids;
use crate::domain::fact::{Piece, Seq};
use crate::domain::id::Owner;
use crate::domain::run::Session;
use crate::domain::time::Timestamp;
use crate::domain::view::RunView;
use crate::runtime::{Error, Runtime};

/// Entries read at a time.
const STEP: usize = 256;

/// A session's log, and what is known of it.
pub struct Story<'a> {
    state: &'a ApiState,
    owner: &'a Owner,
    session: &'a Session,
    key: Key,
}

impl<'a> Story<'a> {
    /// Of a session.
    pub fn of(state: &'a ApiState, owner: &'a Owner, session: &'a Session) -> Self {
        let key = Key { owner: owner.clone(), session: session.id.clone(), created: session.created };
        Self { state, owner, session, key }
    }

    /// The place to tell from for a client that stands there.
    pub(super) fn from(&self, cursor: Cursor) -> Fold {
        let known = self.state.everruns.memory.before(&self.key, cursor);
        known.unwrap_or_else(|| Fold::new(ids::session(&self.session.id)))
    }

    /// Where the log ends.
    ///
    /// # Errors
    /// What the store says.
    pub(super) async fn head(&self) -> Result<Seq, Error> {
        self.state.runtime.head(self.owner, &self.session.id).await
    }

    /// Tells what there is from a place on, up to the entry that has this number, to where the log ends, or till the
    /// sink has enough.
    async fn tell(&self, fold: &mut Fold, sink: &mut Gathered<'_>, end: Seq) -> Result<(), Error> {
        let mut kept = fold.position();
        loop {
            let page = self.state.runtime.log(self.owner, &self.session.id, fold.position(), STEP).await?;
            let done = page.len() < STEP;
            for entry in &page {
                if sink.has_enough() || fold.position() >= end {
                    return Ok(());
                }
                fold.take(entry, sink);
                if fold.is_between() && fold.position().saturating_sub(kept) >= STRIDE {
                    kept = fold.position();
                    self.keep(fold);
                }
            }
            if done || page.is_empty() {
                if fold.is_between() {
                    self.keep(fold);
                }
                return Ok(());
            }
        }
    }

    /// The message that this entry of the log is, as its event tells it.
    ///
    /// # Errors
    /// What the store says; [`Error::Internal`] if the entry is none.
    pub async fn message(&self, entry: Seq) -> Result<Value, Error> {
        let tools = Tools::of(&self.state.runtime, self.owner).await?;
        let filter = Filter::only(&[Kind::InputMessage]);
        let mut fold = self.from(Cursor::Entry(entry));
        let mut sink = Gathered::new(&filter, &tools);
        self.tell(&mut fold, &mut sink, entry).await?;
        let told = sink.events.pop().and_then(|mut event| event.data.get_mut("message").map(Value::take));
        told.ok_or(Error::Internal)
    }

    /// Remembers a place.
    fn keep(&self, fold: &Fold) {
        self.state.everruns.memory.keep(&self.key, fold.clone());
    }

    /// All events that a client wants, in the order it wants them.
    ///
    /// # Errors
    /// What the store says.
    pub async fn events(&self, filter: &Filter) -> Result<Vec<Event>, Error> {
        let tools = Tools::of(&self.state.runtime, self.owner).await?;
        let mut fold = self.from(filter.after);
        let mut sink = Gathered::new(filter, &tools);
        self.tell(&mut fold, &mut sink, Seq::MAX).await?;
        let mut events = sink.events;
        if filter.newest_first {
            events.reverse();
        }
        events.truncate(filter.limit.unwrap_or(usize::MAX));
        Ok(events)
    }
}

/// What models may call, as events list it.
pub struct Tools(std::sync::Arc<crate::runtime::workspace::Workspace>);

impl Tools {
    /// Of an owner's agents.
    ///
    /// # Errors
    /// What the store says.
    pub async fn of(runtime: &Runtime, owner: &Owner) -> Result<Self, Error> {
        Ok(Self(runtime.workspace(owner).await?))
    }

    /// In a run: name and description each.
    pub fn list(&self, view: &RunView) -> Value {
        let specs = self.0.tools_of(&view.spec, &view.components);
        let tools = specs
            .iter()
            .map(|tool| serde_json::json!({ "name": tool.name, "description": tool.description }));
        tools.collect()
    }
}

/// Events that fit a filter, gathered.
struct Gathered<'a> {
    filter: &'a Filter,
    tools: &'a Tools,
    /// In the log's order.
    events: Vec<Event>,
}

impl<'a> Gathered<'a> {
    fn new(filter: &'a Filter, tools: &'a Tools) -> Self {
        Self { filter, tools, events: Vec::new() }
    }

    fn has_enough(&self) -> bool {
        !self.filter.newest_first && self.filter.limit.is_some_and(|limit| self.events.len() >= limit)
    }
}

impl Sink for Gathered<'_> {
    fn wants(&self, kind: Kind, id: EventId) -> bool {
        let is_after = match self.filter.after {
            Cursor::Id(after) => id > after,
            Cursor::Start | Cursor::Sequence(_) | Cursor::Entry(_) => true,
        };
        is_after && self.filter.takes(kind) && !self.has_enough()
    }

    fn event(&mut self, event: Event) {
        if self.filter.fits(&event) {
            self.events.push(event);
        }
    }

    fn asked(&mut self, _: &Question) {}

    fn piece(&mut self, _: EventId, _: Timestamp, _: &Piece) {}

    fn answered(&mut self, _: Seq) {}

    fn tools(&self, view: &RunView) -> Value {
        self.tools.list(view)
    }
}
