//! A schedule as it is kept, the name nobody else of its owner's may have, and the mark that says when it is due.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::error::Error;
use super::execution::Status;
use super::ticks::Ticks;
use crate::domain::Object;
use crate::domain::document::{RecordKind, Tag, Tags};
use crate::domain::id::{Owner, SessionId};
use crate::domain::time::Timestamp;
use crate::runtime::documents::{Changes, Document};

/// Executions of a schedule that go at once, where nothing is said.
const DEFAULT_CONCURRENT: u32 = 1;

/// Missed ticks that are caught up with, where nothing is said.
const DEFAULT_CATCH_UP: u32 = 10;

/// Tries to send a message, where nothing is said.
const DEFAULT_ATTEMPTS: u64 = 8;

/// The most of the three.
pub const MOST: u32 = 100;

/// Longest name, in bytes.
const MAX_NAME: usize = 255;

/// Longest description, in bytes.
const MAX_DESCRIPTION: usize = 10 * 1024;

/// Longest message, in bytes.
pub const MAX_TEXT: usize = 64 * 1024;

/// Sends a message to a session, again and again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    /// Which.
    pub id: Uuid,
    /// What people call it.
    pub name: String,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// When: 5 or 7 fields.
    pub cron: String,
    /// Whose clock: a name of the IANA database.
    pub timezone: String,
    /// Whether it is due at all.
    pub enabled: bool,
    /// What it does.
    pub target: Target,
    /// Whether ticks that passed while the server was away are made up for.
    #[serde(default)]
    pub catch_up_missed: bool,
    /// How many of them, the latest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_catch_up: Option<u32>,
    /// Executions that go at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_concurrent: Option<u32>,
    /// What to do if it fails; of it, `max_attempts` is heeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_policy: Option<Object>,
    /// Whether it goes when it is done.
    #[serde(default)]
    pub once: bool,
    /// When it was last triggered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<Timestamp>,
    /// When it is due; nothing while it is not enabled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<Timestamp>,
    /// What became of its executions.
    #[serde(default)]
    pub tally: Tally,
    /// When it was made.
    pub created: Timestamp,
    /// When somebody last changed it.
    pub updated: Timestamp,
}

/// A message to a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// To which.
    pub session: SessionId,
    /// What is said.
    pub text: String,
}

/// What became of executions, also of those that are no longer kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tally {
    /// All there were.
    pub total: u64,
    /// Those that were carried out.
    pub completed: u64,
    /// Those that could not be.
    pub failed: u64,
    /// Those that were left out because others were going.
    pub skipped: u64,
    /// Time that those took which are over and were not left out, in milliseconds.
    pub millis: u64,
    /// Of the one that changed last.
    pub last: Option<Status>,
}

/// What somebody says of a schedule; what he does not speak of stays.
#[derive(Debug, Clone, Default)]
pub struct Wish {
    /// [`Schedule::name`].
    pub name: Option<String>,
    /// [`Schedule::description`].
    pub description: Option<String>,
    /// [`Schedule::cron`].
    pub cron: Option<String>,
    /// [`Schedule::timezone`].
    pub timezone: Option<String>,
    /// [`Schedule::enabled`].
    pub enabled: Option<bool>,
    /// [`Schedule::target`].
    pub target: Option<Target>,
    /// [`Schedule::catch_up_missed`].
    pub catch_up_missed: Option<bool>,
    /// [`Schedule::max_catch_up`].
    pub max_catch_up: Option<u32>,
    /// [`Schedule::max_concurrent`].
    pub max_concurrent: Option<u32>,
    /// [`Schedule::retry_policy`].
    pub retry_policy: Option<Object>,
}

impl Schedule {
    /// One that says nothing yet.
    pub(super) fn blank(id: Uuid, target: Target, now: Timestamp) -> Self {
        Self {
            id,
            name: String::new(),
            description: None,
            cron: String::new(),
            timezone: "UTC".into(),
            enabled: true,
            target,
            catch_up_missed: false,
            max_catch_up: None,
            max_concurrent: None,
            retry_policy: None,
            once: false,
            last: None,
            next: None,
            tally: Tally::default(),
            created: now,
            updated: now,
        }
    }

    /// The schedule with what is said. When it is due is counted from now, if that may be another time than before.
    ///
    /// # Errors
    /// [`Error::Invalid`].
    pub(super) fn with(&self, wish: &Wish, now: Timestamp) -> Result<Self, Error> {
        let mut schedule = Self { updated: now, ..self.clone() };
        if let Some(name) = &wish.name {
            let name = name.trim();
            if name.is_empty() || name.len() > MAX_NAME || name.chars().any(char::is_control) {
                return Err(Error::invalid("name", format!("it must be 1 to {MAX_NAME} bytes of text")));
            }
            schedule.name = name.to_owned();
        }
        if let Some(description) = &wish.description {
            if description.len() > MAX_DESCRIPTION {
                let message = format!("it has at most {MAX_DESCRIPTION} bytes");
                return Err(Error::invalid("description", message));
            }
            schedule.description = Some(description.clone()).filter(|text| !text.is_empty());
        }
        if let Some(target) = &wish.target {
            if target.text.trim().is_empty() || target.text.len() > MAX_TEXT {
                let message = format!("it must be 1 to {MAX_TEXT} bytes of text");
                return Err(Error::invalid("target.input.text", message));
            }
            schedule.target = target.clone();
        }
        let set = |place: &mut String, wish: &Option<String>| {
            if let Some(wish) = wish {
                place.clone_from(wish);
            }
        };
        set(&mut schedule.cron, &wish.cron);
        set(&mut schedule.timezone, &wish.timezone);
        schedule.enabled = wish.enabled.unwrap_or(schedule.enabled);
        schedule.catch_up_missed = wish.catch_up_missed.unwrap_or(schedule.catch_up_missed);
        schedule.max_catch_up = wish.max_catch_up.or(schedule.max_catch_up);
        schedule.max_concurrent = wish.max_concurrent.or(schedule.max_concurrent);
        schedule.retry_policy = wish.retry_policy.clone().or(schedule.retry_policy);
        let when = |schedule: &Self| (schedule.cron.clone(), schedule.timezone.clone(), schedule.enabled);
        if when(&schedule) != when(self) || schedule.cron.is_empty() {
            schedule.begin(now)?;
        }
        Ok(schedule)
    }

    /// Counts from now when it is due.
    fn begin(&mut self, now: Timestamp) -> Result<(), Error> {
        let next = self.ticks()?.next(now);
        if self.enabled && next.is_none() {
            return Err(Error::invalid("cron_expression", "it is never due: all of it is past"));
        }
        self.next = next.filter(|_| self.enabled);
        Ok(())
    }

    /// Its moments.
    pub(super) fn ticks(&self) -> Result<Ticks, Error> {
        Ticks::of(&self.cron, &self.timezone)
    }

    /// How many of its executions may go at once.
    pub fn concurrent(&self) -> u32 {
        self.max_concurrent.unwrap_or(DEFAULT_CONCURRENT)
    }

    /// How many ticks it makes up for.
    pub fn catch_up(&self) -> u32 {
        self.max_catch_up.unwrap_or(DEFAULT_CATCH_UP)
    }

    /// How often it is tried to send the message of an execution.
    pub(super) fn attempts(&self) -> u64 {
        let wanted = self.retry_policy.as_ref().and_then(|policy| policy.get("max_attempts")?.as_u64());
        wanted.unwrap_or(DEFAULT_ATTEMPTS).clamp(1, u64::from(MOST))
    }

    /// The document that keeps its name for it.
    pub(super) fn taken_name(&self) -> ScheduleName {
        ScheduleName { name: self.name.clone(), schedule: self.id }
    }

    /// The mark that says when it is due, written or taken away.
    pub(super) fn mark(&self, owner: &Owner) -> Changes {
        let changes = match self.next {
            Some(next) => Changes::default().put(&Due { owner: owner.clone(), schedule: self.id, at: next }),
            None => Changes::default().delete::<Due>(&self.id.to_string()),
        };
        changes.of_server()
    }
}

/// Schedules that are enabled, or are not.
pub(super) fn enabled_tag(enabled: bool) -> Tag {
    Tag::new("enabled", enabled.to_string())
}

/// Schedules that send to a session.
pub(super) fn session_tag(session: &SessionId) -> Tag {
    Tag::new("session", session.as_str())
}

impl Document for Schedule {
    const KIND: RecordKind = RecordKind("schedule");

    fn id(&self) -> String {
        self.id.to_string()
    }

    fn tags(&self) -> Tags {
        let names = vec![enabled_tag(self.enabled), session_tag(&self.target.session)];
        Tags { sort: self.created.0, listed: true, names }
    }
}

/// A name that is taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ScheduleName {
    pub(super) name: String,
    pub(super) schedule: Uuid,
}

impl Document for ScheduleName {
    const KIND: RecordKind = RecordKind("schedule_name");

    fn id(&self) -> String {
        self.name.clone()
    }

    fn tags(&self) -> Tags {
        Tags::default()
    }
}

/// Says when a schedule is due, over all owners. It is the server's, and always written with its schedule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Due {
    pub(super) owner: Owner,
    pub(super) schedule: Uuid,
    pub(super) at: Timestamp,
}

impl Document for Due {
    const KIND: RecordKind = RecordKind("schedule_due");

    fn id(&self) -> String {
        self.schedule.to_string()
    }

    fn tags(&self) -> Tags {
        Tags { sort: self.at.0, listed: true, names: Vec::new() }
    }
}
