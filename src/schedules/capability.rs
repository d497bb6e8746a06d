//! The capability `session_schedule`: an agent makes schedules that send messages to the session it works in.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};
use uuid::Uuid;

use super::book::Book;
use super::schedule::{Schedule, Target, Wish};
use super::ticks::expression_of;
use super::{Error, Schedules};
use crate::capability::{About, Capability, Contribution, Invocation, Scene, Tool};
use crate::domain::Object;
use crate::domain::time::Timestamp;
use crate::domain::tool::{Effect, Gate, ToolResult, ToolSpec};
use crate::runtime::documents::WeakDocuments;

/// What schedules of calls are named below.
const CALLS: Uuid = Uuid::from_u128(0x92b7_40de_6f15_4c3a_a8d1_57e0_3b6c_f412);

/// Most schedules of a session that its agent makes.
const MAX_OF_SESSION: usize = 50;

/// The farthest that `in_seconds` reaches: ten years.
const MAX_SECONDS: u64 = 10 * 366 * 24 * 3600;

/// Where schedules are kept, and whose these are.
type Place = (Schedules, WeakDocuments);

/// `session_schedule`.
pub struct SessionSchedule {
    about: About,
    place: Option<Place>,
}

impl SessionSchedule {
    /// For an owner; without a place, for whoever only wants to know that it is there.
    pub fn new(place: Option<Place>) -> Self {
        let about = "Sends messages to the session later: once, or again and again.";
        let about = About::new("session_schedule", "Session Schedules", about)
            .listed("Productivity", "calendar-clock")
            .featuring(&["schedules"]);
        Self { about, place }
    }
}

impl Capability for SessionSchedule {
    fn about(&self) -> &About {
        &self.about
    }

    fn contribute(&self, _: &Value) -> Result<Contribution, String> {
        let prompt = "You can have messages sent to this session later; each begins a turn of yours. Write them as \
                      orders to yourself that can be understood without this conversation. Tell the user when they \
                      will come, in his time zone if you know it, and cancel what is no longer wanted.";
        let tool = |what| Arc::new(Scheduling::new(what, self.place.clone())) as Arc<dyn Tool>;
        let tools = [What::Create, What::List, What::Cancel].map(tool);
        Ok(Contribution { prompt: Some(prompt.into()), tools: tools.into(), ..Contribution::default() })
    }
}

#[derive(Debug, Clone, Copy)]
enum What {
    Create,
    List,
    Cancel,
}

struct Scheduling {
    what: What,
    spec: ToolSpec,
    place: Option<Place>,
}

impl Scheduling {
    fn new(what: What, place: Option<Place>) -> Self {
        let (name, description, effect, properties, required) = match what {
            What::Create => (
                "create_schedule",
                "Has a message sent to this session later: exactly one of cron_expression, at and in_seconds says when.",
                Effect::Idempotent,
                json!({
                    "message": {"type": "string", "minLength": 1, "description": "What is said then"},
                    "cron_expression": {"type": "string", "description": "Again and again: minute, hour, day of the month, month, day of the week; or 7 fields with the second before and the year after them"},
                    "at": {"type": "string", "description": "Once, at this time: RFC 3339 with an offset, as in 2030-01-31T09:00:00+01:00"},
                    "in_seconds": {"type": "integer", "minimum": 1, "maximum": MAX_SECONDS, "description": "Once, after so many seconds"},
                    "timezone": {"type": "string", "description": "Of the cron expression: an IANA name as in Europe/Berlin. Default: UTC"},
                    "name": {"type": "string", "minLength": 1, "maxLength": 200, "description": "What to call it. Default: a name of its own"},
                }),
                json!(["message"]),
            ),
            What::List => {
                ("list_schedules", "Lists the schedules of this session.", Effect::Pure, json!({}), json!([]))
            }
            What::Cancel => (
                "cancel_schedule",
                "Takes a schedule of this session away.",
                Effect::Idempotent,
                json!({"schedule_id": {"type": "string", "description": "As create_schedule and list_schedules tell it"}}),
                json!(["schedule_id"]),
            ),
        };
        let parameters = json!({
            "type": "object", "properties": properties, "required": required, "additionalProperties": false,
        });
        let spec = ToolSpec {
            name: name.into(),
            description: description.into(),
            parameters,
            effect,
            timeout: Duration::from_secs(30),
            gate: Gate::default(),
        };
        Self { what, spec, place }
    }
}

#[async_trait]
impl Tool for Scheduling {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    fn class(&self) -> Option<&'static str> {
        Some("schedules")
    }

    async fn call(&self, call: Invocation<'_>) -> ToolResult {
        let book = self.place.as_ref().and_then(|(all, documents)| Some(all.of(documents.upgrade()?)));
        let Some(book) = book else {
            return ToolResult::failed("schedules cannot be kept here");
        };
        let scene = call.host.scene();
        let answer = match self.what {
            What::Create => create(&book, &scene, call.arguments, call.key).await,
            What::List => list(&book, &scene).await,
            What::Cancel => cancel(&book, &scene, call.arguments).await,
        };
        match answer {
            Ok(answer) => ToolResult::done(answer.to_string()),
            Err(error) => ToolResult::failed(told(error)),
        }
    }
}

/// What a model reads of a failure.
fn told(error: Error) -> String {
    match error {
        Error::Invalid { field: "target.input.text", message } => format!("message: {message}"),
        error @ (Error::NoSchedule | Error::NameTaken(_) | Error::Invalid { .. } | Error::TooMany(_)) => {
            error.to_string()
        }
        Error::Runtime(error) => {
            tracing::warn!(%error, "a schedule of a session cannot be reached");
            "schedules cannot be reached now".into()
        }
    }
}

async fn create(book: &Book, scene: &Scene, arguments: &Object, key: &str) -> Result<Value, Error> {
    let text = |name: &str| arguments.get(name).and_then(Value::as_str).map(str::to_owned);
    // The same call after a crash makes the same schedule.
    let id = Uuid::new_v5(&CALLS, format!("{}/{}/{key}", scene.owner, scene.session).as_bytes());
    if let Ok(made) = book.get(id).await {
        return Ok(view(&made));
    }
    if book.of_session(&scene.session).await?.len() >= MAX_OF_SESSION {
        let message = format!("the session has {MAX_OF_SESSION} schedules already; cancel some");
        return Err(Error::TooMany(message));
    }
    let once = once(arguments, scene.now)?;
    let cron = match (&once, text("cron_expression")) {
        (Some(at), None) => expression_of(*at),
        (None, cron) => cron,
        (Some(_), Some(_)) => None,
    };
    let message = "exactly one of cron_expression, at and in_seconds must be there";
    let cron = cron.ok_or_else(|| Error::invalid("cron_expression", message))?;
    let target = Target { session: scene.session.clone(), text: text("message").unwrap_or_default() };
    let wish = Wish {
        name: Some(text("name").unwrap_or_else(|| format!("session-schedule-{}", id.simple()))),
        cron: Some(cron),
        timezone: text("timezone").filter(|_| once.is_none()),
        ..Wish::default()
    };
    Ok(view(&book.create(id, target, wish, once.is_some()).await?))
}

/// The one moment that is meant, if one is; of the seconds it falls between, the later.
fn once(arguments: &Object, now: Timestamp) -> Result<Option<Timestamp>, Error> {
    let at = match (arguments.get("at").and_then(Value::as_str), arguments.get("in_seconds")) {
        (Some(_), Some(_)) => {
            return Err(Error::invalid("at", "either at or in_seconds must be there, not both"));
        }
        (None, None) => return Ok(None),
        (None, Some(seconds)) => {
            let seconds = seconds.as_u64().filter(|seconds| (1..=MAX_SECONDS).contains(seconds));
            let seconds =
                seconds.ok_or_else(|| Error::invalid("in_seconds", "it must be a number of seconds"))?;
            now.after(Duration::from_secs(seconds))
        }
        (Some(at), None) => {
            let read = at.parse::<jiff::Timestamp>().ok();
            let micros = read.and_then(|at| u64::try_from(at.as_microsecond()).ok());
            let micros =
                micros.ok_or_else(|| Error::invalid("at", "it must be a time as in 2030-01-31T09:00:00Z"))?;
            Timestamp(micros)
        }
    };
    if at <= now {
        return Err(Error::invalid("at", format!("it is past; it is {now} now")));
    }
    Ok(Some(Timestamp(at.0.div_ceil(1_000_000).saturating_mul(1_000_000))))
}

async fn list(book: &Book, scene: &Scene) -> Result<Value, Error> {
    let schedules = book.of_session(&scene.session).await?;
    let schedules: Vec<Value> = schedules.iter().map(view).collect();
    Ok(json!({ "count": schedules.len(), "schedules": schedules }))
}

async fn cancel(book: &Book, scene: &Scene, arguments: &Object) -> Result<Value, Error> {
    let id = arguments.get("schedule_id").and_then(Value::as_str).unwrap_or_default();
    let uuid = Uuid::try_parse(id).map_err(|_| Error::NoSchedule)?;
    let own = book.get(uuid).await?.target.session == scene.session;
    if !own {
        return Err(Error::NoSchedule);
    }
    book.remove(uuid).await?;
    Ok(json!({ "schedule_id": uuid, "cancelled": true }))
}

fn view(schedule: &Schedule) -> Value {
    json!({
        "schedule_id": schedule.id,
        "name": schedule.name,
        "message": schedule.target.text,
        "cron_expression": schedule.cron,
        "timezone": schedule.timezone,
        "once": schedule.once,
        "enabled": schedule.enabled,
        "next_trigger_at": schedule.next.map(|next| next.to_string()),
    })
}
