//! Schedules: messages that are sent to sessions when their time comes, and what became of them.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::body::Body;
use super::error::Error;
use super::ids;
use super::page::Query;
use super::schedule_body::{ScheduleForm, WORKFLOW, execution_view, schedule_view, stats_view};
use super::schemas::{JSON, counted};
use crate::api::ApiState;
use crate::api::caller::Caller;
use crate::api::endpoint::{Endpoint, Parameter, ParameterKind};
use crate::api::fields::path_text;
use crate::runtime::documents::Listed;
use crate::schedules::{Book, Schedule, Status, Wanted, Wish};

const NO_SUCH: &str = "There is no such schedule";
const TAG: &str = "Schedules";
const ONE: &str = "/durable/schedules/{schedule_id}";

const OFFSET: Parameter = Parameter::new("offset", ParameterKind::Number(0), "How many are passed over");
const LIMIT: Parameter = Parameter::new("limit", ParameterKind::Number(1), "At most as many; up to 100");
const LISTED: [Parameter; 4] = [
    Parameter::new("enabled", ParameterKind::Flag, "Only those that are, or are not"),
    Parameter::new(
        "target_type",
        ParameterKind::Choice(&["workflow", "activity"]),
        "Only those with such a target",
    ),
    OFFSET,
    LIMIT,
];
const EXECUTIONS: [Parameter; 3] = [
    Parameter::new(
        "status",
        ParameterKind::Choice(&["pending", "running", "completed", "failed", "skipped"]),
        "Only those that stand there",
    ),
    OFFSET,
    LIMIT,
];

pub(super) fn table() -> Vec<Endpoint> {
    let of_one = |rest: &str| format!("{ONE}{rest}");
    vec![
        Endpoint::get("/durable/schedules", list)
            .named("list_schedules", TAG, "List schedules, the latest first")
            .query(&LISTED)
            .tells("200", "The schedules", &counted("Schedule")),
        Endpoint::post("/durable/schedules", create)
            .named(
                "create_schedule",
                TAG,
                "Have a message sent to a session whenever a cron expression (5 fields, or 7 with the second before and \
                 the year after them) says so on the clock of a time zone",
            )
            .takes([(JSON, "NewSchedule")], true)
            .tells("201", "The schedule", "Schedule")
            .fails("400", "A field does not fit; the message names it")
            .fails("409", "The name is taken"),
        Endpoint::get(ONE, read)
            .named("get_schedule", TAG, "Read a schedule")
            .tells("200", "The schedule", "Schedule")
            .fails("404", NO_SUCH),
        Endpoint::patch(ONE, change)
            .named("update_schedule", TAG, "Change what is given")
            .takes([(JSON, "SchedulePatch")], false)
            .tells("200", "The schedule, changed", "Schedule")
            .fails("400", "A field does not fit; the message names it")
            .fails("404", NO_SUCH)
            .fails("409", "The name is taken"),
        Endpoint::delete(ONE, remove)
            .named("delete_schedule", TAG, "Remove a schedule and its executions")
            .gives("204", "It is gone", &[])
            .fails("404", NO_SUCH),
        Endpoint::post(of_one("/pause"), pause)
            .named("pause_schedule", TAG, "Let a schedule rest; what is due meanwhile is passed over")
            .tells("200", "The schedule", "Schedule")
            .fails("404", NO_SUCH),
        Endpoint::post(of_one("/resume"), resume)
            .named("resume_schedule", TAG, "Let a schedule go on with its next tick")
            .tells("200", "The schedule", "Schedule")
            .fails("404", NO_SUCH),
        Endpoint::post(of_one("/trigger"), trigger)
            .named("trigger_schedule", TAG, "Send the message now; also while the schedule rests")
            .tells("200", "The id of the execution", "Triggered")
            .fails("404", NO_SUCH),
        Endpoint::get(of_one("/stats"), stats)
            .named("get_schedule_stats", TAG, "What became of a schedule's executions")
            .tells("200", "Counts", "ScheduleStats")
            .fails("404", NO_SUCH),
        Endpoint::get(of_one("/executions"), executions)
            .named("list_schedule_executions", TAG, "List executions, the latest first")
            .query(&EXECUTIONS)
            .tells("200", "The executions", &counted("Execution"))
            .fails("404", NO_SUCH),
        Endpoint::get("/durable/executions/{execution_id}", execution)
            .named("get_execution", TAG, "Read an execution")
            .tells("200", "The execution", "Execution")
            .fails("404", "There is no such execution"),
    ]
}

fn book(state: &ApiState, caller: &Caller) -> Book {
    state.schedules.of(state.runtime.documents(caller.owner()))
}

/// The plain UUID in a place of the address.
fn uuid(request: &HttpRequest, place: &str, name: &str) -> Result<Uuid, Error> {
    let text = path_text(request, place);
    let uuid = Uuid::try_parse(&text).ok().filter(|uuid| uuid.hyphenated().to_string() == text);
    uuid.ok_or_else(|| Error::bad_request(format!("Invalid {name} ID")))
}

fn schedule_id(request: &HttpRequest) -> Result<Uuid, Error> {
    uuid(request, "schedule_id", "schedule")
}

/// A schedule with this status.
async fn shown(
    state: &ApiState,
    caller: &Caller,
    mut response: HttpResponseBuilder,
    schedule: &Schedule,
) -> Result<HttpResponse, Error> {
    ids::remember(state, caller.owner(), [&schedule.target.session]).await?;
    Ok(response.json(schedule_view(schedule)))
}

/// `{data, total}`.
fn listed<D>(found: &Listed<D>, view: impl Fn(&D) -> Value) -> HttpResponse {
    /// The envelope.
    #[derive(Serialize)]
    struct List {
        data: Vec<Value>,
        total: u64,
    }
    let data = found.documents.iter().map(|found| view(&found.value)).collect();
    HttpResponse::Ok().json(List { data, total: found.total })
}

fn wanted(query: &Query) -> Result<Wanted, Error> {
    let page = query.page()?;
    Ok(Wanted { skip: page.offset, limit: page.limit })
}

/// `GET /durable/schedules`
async fn list(state: Data<ApiState>, caller: Caller, query: Query) -> Result<HttpResponse, Error> {
    let enabled = query.text("enabled").map(|_| query.flag("enabled")).transpose()?;
    let wanted = wanted(&query)?;
    match query.text("target_type") {
        None | Some(WORKFLOW) => {}
        Some("activity") => return Ok(HttpResponse::Ok().json(json!({ "data": [], "total": 0 }))),
        Some(_) => return Err(Error::bad_request("target_type must be workflow or activity")),
    }
    let found = book(&state, &caller).list(enabled, wanted).await?;
    let sessions = found.documents.iter().map(|schedule| &schedule.target.session);
    ids::remember(&state, caller.owner(), sessions).await?;
    Ok(listed(&found, schedule_view))
}

/// `POST /durable/schedules`
async fn create(
    state: Data<ApiState>,
    caller: Caller,
    Body(form): Body<ScheduleForm>,
) -> Result<HttpResponse, Error> {
    let (target, wish) = form.complete(&state, caller.owner()).await?;
    let id = state.runtime.fresh();
    let schedule = book(&state, &caller).create(id, target, wish, false).await?;
    shown(&state, &caller, HttpResponse::Created(), &schedule).await
}

/// `GET /durable/schedules/{schedule_id}`
async fn read(state: Data<ApiState>, caller: Caller, request: HttpRequest) -> Result<HttpResponse, Error> {
    let schedule = book(&state, &caller).get(schedule_id(&request)?).await?;
    shown(&state, &caller, HttpResponse::Ok(), &schedule).await
}

/// `PATCH /durable/schedules/{schedule_id}`
async fn change(
    state: Data<ApiState>,
    caller: Caller,
    request: HttpRequest,
    Body(form): Body<ScheduleForm>,
) -> Result<HttpResponse, Error> {
    let (id, book) = (schedule_id(&request)?, book(&state, &caller));
    // Whether it is there comes before what is wrong with the change.
    book.get(id).await?;
    let wish = form.wish(&state, caller.owner()).await?;
    shown(&state, &caller, HttpResponse::Ok(), &book.change(id, &wish).await?).await
}

/// `DELETE /durable/schedules/{schedule_id}`
async fn remove(state: Data<ApiState>, caller: Caller, request: HttpRequest) -> Result<HttpResponse, Error> {
    book(&state, &caller).remove(schedule_id(&request)?).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// `POST /durable/schedules/{schedule_id}/pause`
async fn pause(state: Data<ApiState>, caller: Caller, request: HttpRequest) -> Result<HttpResponse, Error> {
    enable(&state, &caller, &request, false).await
}

/// `POST /durable/schedules/{schedule_id}/resume`
async fn resume(state: Data<ApiState>, caller: Caller, request: HttpRequest) -> Result<HttpResponse, Error> {
    enable(&state, &caller, &request, true).await
}

async fn enable(
    state: &ApiState,
    caller: &Caller,
    request: &HttpRequest,
    enabled: bool,
) -> Result<HttpResponse, Error> {
    let wish = Wish { enabled: Some(enabled), ..Wish::default() };
    let schedule = book(state, caller).change(schedule_id(request)?, &wish).await?;
    shown(state, caller, HttpResponse::Ok(), &schedule).await
}

/// `POST /durable/schedules/{schedule_id}/trigger`
async fn trigger(state: Data<ApiState>, caller: Caller, request: HttpRequest) -> Result<HttpResponse, Error> {
    let execution = book(&state, &caller).trigger(schedule_id(&request)?).await?;
    Ok(HttpResponse::Ok().json(json!({ "execution_id": execution })))
}

/// `GET /durable/schedules/{schedule_id}/stats`
async fn stats(state: Data<ApiState>, caller: Caller, request: HttpRequest) -> Result<HttpResponse, Error> {
    let schedule = book(&state, &caller).get(schedule_id(&request)?).await?;
    Ok(HttpResponse::Ok().json(stats_view(&schedule.tally)))
}

/// `GET /durable/schedules/{schedule_id}/executions`
async fn executions(
    state: Data<ApiState>,
    caller: Caller,
    request: HttpRequest,
    query: Query,
) -> Result<HttpResponse, Error> {
    let id = schedule_id(&request)?;
    let read = |text: &str| Status::ALL.into_iter().find(|status| status.as_str() == text);
    let wrong = || Error::bad_request("status must be pending, running, completed, failed or skipped");
    let status = query.text("status").map(|text| read(text).ok_or_else(wrong)).transpose()?;
    let found = book(&state, &caller).executions(id, status, wanted(&query)?).await?;
    Ok(listed(&found, execution_view))
}

/// `GET /durable/executions/{execution_id}`
async fn execution(
    state: Data<ApiState>,
    caller: Caller,
    request: HttpRequest,
) -> Result<HttpResponse, Error> {
    let id = uuid(&request, "execution_id", "execution")?;
    let found = book(&state, &caller).execution(id).await?;
    let found = found.ok_or_else(|| Error::not_found("Execution not found"))?;
    Ok(HttpResponse::Ok().json(execution_view(&found)))
}
