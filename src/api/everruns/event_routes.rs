//! Reading events: the list, and the stream.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};

use super::error::Error;
use super::events::feed;
use super::events::filter::Filter;
use super::events::listing::{self, Listing};
use super::page::Query;
use super::place;
use super::schemas::list_of;
use crate::api::ApiState;
use crate::api::caller::Caller;
use crate::api::endpoint::{Endpoint, Parameter, ParameterKind};
use crate::api::sse;

/// What both take.
const SELECTION: [Parameter; 6] = [
    Parameter::new(
        "since_id",
        ParameterKind::Text,
        "Events after this one; any event's id, also one of a delta",
    ),
    Parameter::new("after_sequence", ParameterKind::Number(0), "Events after the one of this number"),
    Parameter::new("types", ParameterKind::Text, "Only events of this type; may be repeated"),
    Parameter::new("exclude", ParameterKind::Text, "No events of this type; may be repeated"),
    Parameter::new("turn_id", ParameterKind::Text, "Only events of this turn"),
    Parameter::new("tool_name", ParameterKind::Text, "Only events of calls of this tool"),
];

pub(super) fn table() -> Vec<Endpoint> {
    use ParameterKind::{Flag, Number};
    vec![
        Endpoint::get("/sessions/{session_id}/events", list)
            .named("list_events", "Events", "What happened in a session, in order")
            .query(&SELECTION)
            .query(&[
                Parameter::new("before_sequence", Number(0), "Events before the one of this number"),
                Parameter::new(
                    "limit",
                    Number(0),
                    "The first so many after the cursor; all where it is absent",
                ),
                Parameter::new("order_desc", Flag, "Latest first"),
            ])
            .tells("200", "The events", &list_of("Event"))
            .fails("404", "There is no such session"),
        Endpoint::get("/sessions/{session_id}/sse", stream)
            .named("stream_events", "Events", "What happens in a session, as it happens")
            .query(&SELECTION)
            .gives(
                "200",
                "Events after the cursor, all where there is none, then live",
                &["text/event-stream"],
            )
            .fails("404", "There is no such session"),
    ]
}

async fn list(
    caller: Caller,
    state: Data<ApiState>,
    request: HttpRequest,
    query: Query,
) -> Result<HttpResponse, Error> {
    let filter = Filter::of(&query, None)?;
    let session = place::session(&state, caller.owner(), &request).await?;
    let listing = Listing::of(&state, caller.owner(), session, filter, listing::whole).await?;
    Ok(listing.response().await?)
}

async fn stream(
    caller: Caller,
    state: Data<ApiState>,
    request: HttpRequest,
    query: Query,
) -> Result<HttpResponse, Error> {
    let header = request.headers().get("last-event-id").and_then(|value| value.to_str().ok());
    let filter = Filter::of(&query, header)?;
    let session = place::session(&state, caller.owner(), &request).await?;
    let seat = sse::seat(&state)?;
    let silence = state.everruns.pulse.heartbeat;
    let frames = feed::frames(state, caller.owner(), &session, filter).await?;
    Ok(sse::response(frames, Some(silence), Some(seat)))
}
