//! Schedules and their executions as clients write them and read them.

use serde_json::{Value, json};

use super::error::Error;
use super::ids::{self, SESSION};
use super::time::moment;
use crate::api::ApiState;
use crate::api::fields::{Fields, FromFields};
use crate::domain::Object;
use crate::domain::id::{Owner, SessionId};
use crate::schedules::{self, Execution, MAX_TEXT, MOST, Schedule, Tally, Target, Wish};

/// The only kind of target that is carried out here.
pub(super) const WORKFLOW: &str = "workflow";

/// The only workflow there is.
const SESSION_MESSAGE: &str = "session_message";

/// Largest retry policy, in bytes of JSON.
const MAX_POLICY: usize = 4 * 1024;

/// What a request says of a schedule; what it does not speak of stays.
pub(super) struct ScheduleForm {
    name: Option<String>,
    description: Option<String>,
    cron: Option<String>,
    timezone: Option<String>,
    enabled: Option<bool>,
    target: Option<Object>,
    catch_up_missed: Option<bool>,
    max_catch_up: Option<u64>,
    max_concurrent: Option<u64>,
    retry_policy: Option<Object>,
}

impl FromFields for ScheduleForm {
    fn from_fields(fields: &mut Fields) -> Self {
        Self {
            name: fields.text("name"),
            description: fields.text("description"),
            cron: fields.text("cron_expression"),
            timezone: fields.text("timezone"),
            enabled: fields.flag("enabled"),
            target: fields.object("target"),
            catch_up_missed: fields.flag("catch_up_missed"),
            max_catch_up: fields.number("max_catch_up", 0),
            max_concurrent: fields.number("max_concurrent", 1),
            retry_policy: fields.object("retry_policy"),
        }
    }
}

impl ScheduleForm {
    /// What a new schedule is to be; it says what one needs.
    ///
    /// # Errors
    /// 400, naming the field.
    pub(super) async fn complete(self, state: &ApiState, owner: &Owner) -> Result<(Target, Wish), Error> {
        let missing = [
            ("name", self.name.is_none()),
            ("cron_expression", self.cron.is_none()),
            ("target", self.target.is_none()),
        ];
        if let Some((field, _)) = missing.into_iter().find(|(_, missing)| *missing) {
            return Err(Error::bad_request(format!("{field} is required")));
        }
        let wish = self.wish(state, owner).await?;
        let target = wish.target.clone().ok_or_else(|| Error::bad_request("target is required"))?;
        Ok((target, wish))
    }

    /// What is to be changed.
    ///
    /// # Errors
    /// 400, naming the field.
    pub(super) async fn wish(self, state: &ApiState, owner: &Owner) -> Result<Wish, Error> {
        let target = match self.target {
            Some(target) => Some(read_target(&target, state, owner).await?),
            None => None,
        };
        let bounded = |field: &str, number: Option<u64>| match number.map(u32::try_from) {
            None => Ok(None),
            Some(Ok(number)) if number <= MOST => Ok(Some(number)),
            Some(_) => Err(Error::bad_request(format!("{field} must be at most {MOST}"))),
        };
        if let Some(policy) = &self.retry_policy {
            check_policy(policy)?;
        }
        Ok(Wish {
            name: self.name,
            description: self.description,
            cron: self.cron,
            timezone: self.timezone,
            enabled: self.enabled,
            target,
            catch_up_missed: self.catch_up_missed,
            max_catch_up: bounded("max_catch_up", self.max_catch_up)?,
            max_concurrent: bounded("max_concurrent", self.max_concurrent)?,
            retry_policy: self.retry_policy,
        })
    }
}

fn check_policy(policy: &Object) -> Result<(), Error> {
    if serde_json::to_vec(policy).map_or(usize::MAX, |bytes| bytes.len()) > MAX_POLICY {
        return Err(Error::bad_request(format!("retry_policy has at most {MAX_POLICY} bytes")));
    }
    match policy.get("max_attempts") {
        None | Some(Value::Null) => Ok(()),
        Some(attempts) if attempts.as_u64().is_some_and(|most| (1..=u64::from(MOST)).contains(&most)) => {
            Ok(())
        }
        Some(_) => Err(Error::bad_request(format!("retry_policy.max_attempts must be 1 to {MOST}"))),
    }
}

async fn read_target(target: &Object, state: &ApiState, owner: &Owner) -> Result<Target, Error> {
    let text = |name: &str| target.get(name).and_then(Value::as_str);
    match text("type") {
        Some(WORKFLOW) => {}
        Some("activity") => {
            return Err(Error::bad_request(format!(
                "target.type: there are no activities here; the target is the {WORKFLOW} {SESSION_MESSAGE}"
            )));
        }
        _ => return Err(Error::bad_request(format!("target.type must be {WORKFLOW}"))),
    }
    if text("name") != Some(SESSION_MESSAGE) {
        return Err(Error::bad_request(format!(
            "target.name must be {SESSION_MESSAGE}, the only workflow there is: it sends target.input.text to the \
             session target.input.session_id"
        )));
    }
    let Some(input) = target.get("input").and_then(Value::as_object) else {
        return Err(Error::bad_request("target.input must be an object with session_id and text"));
    };
    let session = input.get("session_id").and_then(Value::as_str).unwrap_or_default();
    let session = known_session(session, state, owner).await?;
    match input.get("text").and_then(Value::as_str) {
        Some(text) if !text.trim().is_empty() && text.len() <= MAX_TEXT => {
            Ok(Target { session, text: text.to_owned() })
        }
        _ => Err(Error::bad_request(format!("target.input.text must be 1 to {MAX_TEXT} bytes of text"))),
    }
}

async fn known_session(text: &str, state: &ApiState, owner: &Owner) -> Result<SessionId, Error> {
    let wrong = || Error::bad_request("target.input.session_id must be the id of a session of yours");
    let uuid = ids::read(SESSION, text).ok_or_else(wrong)?;
    let id = ids::session_id(state, owner, uuid).await?;
    match state.runtime.session(owner, &id).await {
        Ok(_) => Ok(id),
        Err(crate::runtime::Error::NoSession(_)) => Err(wrong()),
        Err(error) => Err(error.into()),
    }
}

impl From<schedules::Error> for Error {
    fn from(error: schedules::Error) -> Self {
        use schedules::Error as Wrong;
        match error {
            Wrong::NoSchedule => Self::not_found("Schedule not found"),
            Wrong::NameTaken(_) => Self::conflict(error.to_string()),
            Wrong::Invalid { .. } | Wrong::TooMany(_) => Self::bad_request(error.to_string()),
            Wrong::Runtime(error) => error.into(),
        }
    }
}

/// The object without what has no value.
fn present(mut value: Value) -> Value {
    if let Some(object) = value.as_object_mut() {
        object.retain(|_, value| !value.is_null());
    }
    value
}

/// A schedule as clients read it.
pub(super) fn schedule_view(schedule: &Schedule) -> Value {
    let input = json!({
        "session_id": ids::session(&schedule.target.session),
        "text": schedule.target.text,
    });
    present(json!({
        "id": schedule.id,
        "name": schedule.name,
        "description": schedule.description,
        "cron_expression": schedule.cron,
        "timezone": schedule.timezone,
        "enabled": schedule.enabled,
        "target": { "type": WORKFLOW, "name": SESSION_MESSAGE, "input": input },
        "catch_up_missed": schedule.catch_up_missed,
        "max_catch_up": schedule.catch_up(),
        "max_concurrent": schedule.concurrent(),
        "retry_policy": schedule.retry_policy,
        "last_triggered_at": schedule.last.map(moment),
        "next_trigger_at": schedule.next.map(moment),
        "created_at": moment(schedule.created),
        "updated_at": moment(schedule.updated),
    }))
}

/// An execution as clients read it. What it begins is a turn.
pub(super) fn execution_view(execution: &Execution) -> Value {
    present(json!({
        "id": execution.id,
        "schedule_id": execution.schedule,
        "scheduled_at": moment(execution.scheduled),
        "started_at": moment(execution.started.unwrap_or(execution.created)),
        "completed_at": execution.finished.map(moment),
        "status": execution.status.as_str(),
        "workflow_id": execution.run.map(|run| run.0),
        "turn_id": execution.run.map(ids::turn),
        "error": execution.error,
        "duration_ms": execution.millis(),
        "created_at": moment(execution.created),
    }))
}

/// What became of a schedule's executions.
pub(super) fn stats_view(tally: &Tally) -> Value {
    let over = tally.completed.saturating_add(tally.failed);
    present(json!({
        "total_executions": tally.total,
        "successful_executions": tally.completed,
        "failed_executions": tally.failed,
        "skipped_executions": tally.skipped,
        "avg_duration_ms": tally.millis.checked_div(over),
        "last_execution_status": tally.last.map(schedules::Status::as_str),
    }))
}
