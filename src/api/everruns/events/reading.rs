//! What a session's log tells so far.

use serde_json::Value;

use super::filter::{Cursor, Filter};
use super::fold::Fold;
use super::gathered::Gathered;
use super::kind::Kind;
use super::memory::{Key, STRIDE};
use crate::api::ApiState;
use crate::api::everruns::ids;
use crate::domain::fact::{Entry, Seq};
use crate::domain::id::Owner;
use crate::domain::run::Session;
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

    /// The entries after a place, the next few; none at the end of the log.
    ///
    /// # Errors
    /// What the store says.
    pub(super) async fn page(&self, fold: &Fold) -> Result<Vec<Entry>, Error> {
        self.state.runtime.log(self.owner, &self.session.id, fold.position(), STEP).await
    }

    /// Remembers a place, where it may be one to tell from; `kept` is the last one that was remembered.
    pub(super) fn pass(&self, fold: &Fold, kept: &mut Seq, is_end: bool) {
        let is_far = fold.position().saturating_sub(*kept) >= STRIDE;
        if fold.is_between() && (is_far || is_end) {
            *kept = fold.position();
            self.state.everruns.memory.keep(&self.key, fold.clone());
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
        let mut kept = fold.position();
        let mut sink = Gathered::new(&filter, &tools, fold.count());
        while fold.position() < entry {
            let page = self.page(&fold).await?;
            if page.first().is_none_or(|first| first.seq > entry) {
                break;
            }
            for told in page.iter().take_while(|told| told.seq <= entry) {
                sink.events.clear();
                fold.take(told, &mut sink);
                self.pass(&fold, &mut kept, false);
            }
        }
        let told = sink.events.pop().and_then(|mut event| event.data.get_mut("message").map(Value::take));
        told.ok_or(Error::Internal)
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
