//! Which events a client wants, by the query of its request.

use serde_json::Value;

use super::event::{Event, EventId};
use super::kind::{self, Kind};
use crate::api::everruns::error::Error;
use crate::api::everruns::ids::{self, EVENT, PublicId, TURN};
use crate::api::everruns::page::Query;
use crate::domain::fact::Seq;

/// Where a client stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Cursor {
    /// At the beginning.
    #[default]
    Start,
    /// Behind this event, or where it would be.
    Id(EventId),
    /// Behind the event of this number.
    Sequence(u64),
    /// Before this entry of the log.
    Entry(Seq),
}

/// Which events are wanted.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Events after this.
    pub after: Cursor,
    /// Events before this number.
    pub before: Option<u64>,
    /// Only these; all where nothing is named.
    types: Option<Vec<Kind>>,
    exclude: Vec<Kind>,
    turn: Option<PublicId>,
    tool: Option<String>,
    /// At most so many.
    pub limit: Option<usize>,
    /// Latest first.
    pub newest_first: bool,
}

impl Filter {
    /// As a query asks. `last_event_id` stands in for a cursor that the query has not.
    ///
    /// # Errors
    /// 400, naming what is wrong.
    pub fn of(query: &Query, last_event_id: Option<&str>) -> Result<Self, Error> {
        let named: Vec<Option<Kind>> = query.texts("types").map(known).collect::<Result<_, _>>()?;
        let exclude: Vec<Option<Kind>> = query.texts("exclude").map(known).collect::<Result<_, _>>()?;
        let limit = query.number("limit")?;
        if limit.is_some_and(|limit| limit < 0) {
            return Err(Error::bad_request("limit must not be negative"));
        }
        Ok(Self {
            after: cursor(query, last_event_id)?,
            before: query.number("before_sequence")?.map(at_least_0),
            types: (!named.is_empty()).then(|| named.into_iter().flatten().collect()),
            exclude: exclude.into_iter().flatten().collect(),
            turn: query
                .text("turn_id")
                .map(|id| Ok::<_, Error>(PublicId(TURN, ids::parse(TURN, id)?)))
                .transpose()?,
            tool: query.text("tool_name").map(Into::into),
            limit: limit.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX)),
            newest_first: query.flag("order_desc")?,
        })
    }

    /// Only events of these kinds, all of them.
    pub fn only(kinds: &[Kind]) -> Self {
        Self { types: Some(kinds.to_vec()), ..Self::default() }
    }

    /// Whether events of this kind may be wanted.
    pub fn takes(&self, kind: Kind) -> bool {
        self.types.as_ref().is_none_or(|types| types.contains(&kind)) && !self.exclude.contains(&kind)
    }

    /// Whether this event is wanted.
    pub fn fits(&self, event: &Event) -> bool {
        let before = self.before.is_none_or(|before| event.sequence.is_none_or(|sequence| sequence < before));
        let turn = self.turn.is_none() || event.context.turn_id == self.turn;
        let tool = self.tool.as_deref().is_none_or(|tool| tool_of(&event.data) == Some(tool));
        self.takes(event.kind) && self.is_after(event) && before && turn && tool
    }

    fn is_after(&self, event: &Event) -> bool {
        match self.after {
            Cursor::Start | Cursor::Entry(_) => true,
            Cursor::Id(id) => event.id > id,
            Cursor::Sequence(after) => event.sequence.is_none_or(|sequence| sequence > after),
        }
    }
}

fn tool_of(data: &Value) -> Option<&str> {
    let name = data.get("tool_name").or_else(|| data.get("tool_call").and_then(|call| call.get("name")));
    name.and_then(Value::as_str)
}

fn known(name: &str) -> Result<Option<Kind>, Error> {
    kind::named(name).ok_or_else(|| Error::bad_request(format!("Unknown event type: {name}")))
}

fn at_least_0(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// `since_id` counts before `after_sequence`, and both before the header.
fn cursor(query: &Query, last_event_id: Option<&str>) -> Result<Cursor, Error> {
    if let Some(id) = query.text("since_id") {
        return Ok(Cursor::Id(EventId::of(ids::parse(EVENT, id)?)));
    }
    if let Some(after) = query.number("after_sequence")? {
        return Ok(Cursor::Sequence(at_least_0(after)));
    }
    // A header that is no id of ours was meant for somebody else.
    let known = last_event_id.and_then(|id| ids::read(EVENT, id.trim()));
    Ok(known.map_or(Cursor::Start, |id| Cursor::Id(EventId::of(id))))
}
