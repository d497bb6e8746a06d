//! Messages: said by a client, and listed. There is no table of them: the list is a view of the events.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Value, json};

use super::body::Body;
use super::error::Error;
use super::events::event::Event;
use super::events::filter::Filter;
use super::events::kind::Kind;
use super::events::parts::{self, Shown};
use super::events::reading::Story;
use super::message_form::MessageForm;
use super::page;
use super::{ids, models, place};
use crate::api::ApiState;
use crate::api::caller::Caller;
use crate::api::endpoint::Endpoint;
use crate::api::once::{self, OnceHeader};
use crate::domain::fact::RunOptions;
use crate::domain::id::{ModelName, Owner};
use crate::domain::run::{Session, StartRun};

pub(super) fn table() -> Vec<Endpoint> {
    vec![
        Endpoint::post("/sessions/{session_id}/messages", create)
            .named(
                "create_message",
                "Messages",
                "Say something; it begins a turn, or joins the one that is going",
            )
            .once()
            .gives("201", "The message; it is stored", &["application/json"])
            .fails("404", "There is no such session"),
        Endpoint::get("/sessions/{session_id}/messages", list)
            .named("list_messages", "Messages", "The conversation, in order")
            .gives("200", "The messages", &["application/json"])
            .fails("404", "There is no such session"),
    ]
}

async fn create(
    caller: Caller,
    state: Data<ApiState>,
    request: HttpRequest,
    once: OnceHeader,
    Body(form): Body<MessageForm>,
) -> Result<HttpResponse, Error> {
    let (runtime, owner) = (&state.runtime, caller.owner());
    let session = place::session(&state, owner, &request).await?;
    let claim = once.claim(runtime, &caller).await?;
    let again = claim.is_done();
    let model = match &form.model {
        Some(id) => wanted_model(&state, owner, id).await?,
        None => None,
    };
    let component = session.component.clone();
    let order = StartRun {
        kind: session.kind,
        component: component.ok_or_else(|| Error::bad_request("The session has no agent"))?,
        session: Some(session.id.clone()),
        user: session.user.clone(),
        input: form.input(|| runtime.fresh().to_string()),
        options: RunOptions { model, reasoning_effort: form.effort.clone(), ..RunOptions::default() },
        on_second_message: None,
    };
    let started = runtime.say(owner, order, claim).await?;
    let place = started.joined.unwrap_or(started.first);
    let message = Story::of(&state, owner, &session).message(place).await?;
    Ok(once::marked(HttpResponse::Created().json(message), again))
}

/// The model that a message asks for; one that is not there is passed over.
async fn wanted_model(state: &ApiState, owner: &Owner, id: &str) -> Result<Option<ModelName>, Error> {
    let uuid = ids::parse(ids::MODEL, id)?;
    let workspace = state.runtime.workspace(owner).await?;
    Ok(models::find(&workspace, uuid))
}

async fn list(caller: Caller, state: Data<ApiState>, request: HttpRequest) -> Result<HttpResponse, Error> {
    let session = place::session(&state, caller.owner(), &request).await?;
    let filter = Filter::only(&[Kind::InputMessage, Kind::OutputCompleted, Kind::ToolCompleted]);
    let events = Story::of(&state, caller.owner(), &session).events(&filter).await?;
    let messages: Vec<Value> = events.into_iter().map(|event| told_by(event, &session)).collect();
    Ok(page::list(messages))
}

/// The message that an event tells; of the end of a call, its result.
fn told_by(mut event: Event, session: &Session) -> Value {
    if let Some(message) = event.data.get_mut("message") {
        return message.take();
    }
    let shown = Shown {
        id: event.id.message(),
        session: ids::session(&session.id),
        sequence: event.sequence.unwrap_or_default(),
        at: event.at,
    };
    shown.message("tool_result", json!([parts::result_part(&event.data)]), None)
}
