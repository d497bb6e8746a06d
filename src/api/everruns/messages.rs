//! Messages: said by a client, and listed. There is no table of them: the list is a view of the events.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Value, json};

use super::body::Body;
use super::error::Error;
use super::events::event::Event;
use super::events::filter::Filter;
use super::events::kind::Kind;
use super::events::listing::Listing;
use super::events::parts::{self, Shown};
use super::events::reading::Story;
use super::ids::{IMAGE, PublicId};
use super::message_form::MessageForm;
use super::schemas::{JSON, list_of};
use super::{ids, models, place};
use crate::api::ApiState;
use crate::api::caller::Caller;
use crate::api::endpoint::Endpoint;
use crate::api::once::{self, OnceHeader};
use crate::domain::fact::RunOptions;
use crate::domain::id::{ComponentId, ModelName, Owner};
use crate::domain::run::StartRun;
use crate::images::Image;
use crate::runtime;
use crate::runtime::agents::SavedAgent;

pub(super) fn table() -> Vec<Endpoint> {
    vec![
        Endpoint::post("/sessions/{session_id}/messages", create)
            .named(
                "create_message",
                "Messages",
                "Say something; it begins a turn, or joins the one that is going",
            )
            .once()
            .takes([(JSON, "NewMessage")], true)
            .tells("201", "The message; it is stored", "Message")
            .fails("404", "There is no such session"),
        Endpoint::get("/sessions/{session_id}/messages", list)
            .named("list_messages", "Messages", "The conversation, in order")
            .tells("200", "The messages", &list_of("Message"))
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
    let owner = caller.owner();
    let session = place::session(&state, owner, &request).await?;
    let claim = once.claim(&state.runtime, &caller).await?;
    let again = claim.is_done();
    if !again {
        check_pictures(&state, owner, &form).await?;
    }
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
        input: form.input(|| state.runtime.fresh().to_string()),
        options: RunOptions { model, reasoning_effort: form.effort.clone(), ..RunOptions::default() },
        on_second_message: None,
    };
    let started = match state.runtime.say(owner, order, claim).await {
        Err(runtime::Error::NoComponent { id, .. }) => return Err(nobody(&state, owner, &id).await?),
        started => started?,
    };
    let place = started.joined.unwrap_or(started.first);
    let message = Story::of(&state, owner, &session).message(place).await?;
    Ok(once::marked(HttpResponse::Created().json(message), again))
}

/// Refuses a message that names pictures which are not there.
async fn check_pictures(state: &ApiState, owner: &Owner, form: &MessageForm) -> Result<(), Error> {
    let documents = state.runtime.documents(owner);
    for (part, id) in form.kept() {
        if documents.get::<Image>(&id.to_string()).await?.is_none() {
            let id = PublicId(IMAGE, id);
            return Err(Error::bad_request(format!("message: part {part}: there is no image {id}")));
        }
    }
    Ok(())
}

/// Why nobody answers: an archived agent takes nothing new, as it takes no new sessions.
async fn nobody(state: &ApiState, owner: &Owner, agent: &ComponentId) -> Result<Error, Error> {
    let saved = state.runtime.documents(owner).get::<SavedAgent>(agent.as_str()).await?;
    Ok(match saved {
        Some(agent) if agent.archived => Error::bad_request("The agent is archived"),
        Some(_) | None => Error::not_found("Agent not found"),
    })
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
    let listing = Listing::of(&state, caller.owner(), session, filter, told_by).await?;
    Ok(listing.response().await?)
}

/// The message that an event tells; of the end of a call, its result.
fn told_by(mut event: Event, session: PublicId) -> String {
    let told = event.data.get_mut("message").map(Value::take);
    let message = told.unwrap_or_else(|| {
        let shown = Shown {
            id: event.id.message(),
            session,
            sequence: event.sequence.unwrap_or_default(),
            at: event.at,
        };
        shown.message("tool_result", json!([parts::result_part(&event.data)]), None)
    });
    message.to_string()
}
