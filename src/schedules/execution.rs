//! What was made of a tick of a schedule, or of an order to trigger it.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::schedule::Schedule;
use crate::domain::document::{RecordKind, Tag, Tags};
use crate::domain::id::{Owner, RunId};
use crate::domain::time::Timestamp;
use crate::runtime::documents::{Changes, Document};

/// What executions of ticks are named below.
const TICKS: Uuid = Uuid::from_u128(0x5a1e_77c3_0d42_4f9b_b6e8_1c93_ad20_6f54);

/// Where an execution stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Its message is not sent yet.
    Pending,
    /// Its message was sent, and is being answered.
    Running,
    /// Its message was answered, or the session waits for somebody.
    Completed,
    /// Its message could not be sent, or was not answered.
    Failed,
    /// Left out, because as many others were going as may.
    Skipped,
}

impl Status {
    /// All there are.
    pub const ALL: [Self; 5] = [Self::Pending, Self::Running, Self::Completed, Self::Failed, Self::Skipped];

    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }

    /// Whether nothing more will happen.
    pub fn is_over(self) -> bool {
        match self {
            Self::Pending | Self::Running => false,
            Self::Completed | Self::Failed | Self::Skipped => true,
        }
    }
}

/// One time that a schedule was triggered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Execution {
    /// Which; of a tick it follows from schedule and time.
    pub id: Uuid,
    /// Of which schedule.
    pub schedule: Uuid,
    /// When it was due.
    pub scheduled: Timestamp,
    /// When it was written down.
    pub created: Timestamp,
    /// When its message was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<Timestamp>,
    /// When it was over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished: Option<Timestamp>,
    /// Where it stands.
    pub status: Status,
    /// The run that answers the message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// Why it failed or was left out, in few words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Execution {
    /// Of a tick.
    pub(super) fn of_tick(schedule: &Schedule, tick: Timestamp, now: Timestamp) -> Self {
        let id = Uuid::new_v5(&TICKS, format!("{}/{}", schedule.id, tick.0).as_bytes());
        Self::new(id, schedule.id, tick, now)
    }

    /// That waits for its turn.
    pub(super) fn new(id: Uuid, schedule: Uuid, scheduled: Timestamp, now: Timestamp) -> Self {
        Self {
            id,
            schedule,
            scheduled,
            created: now,
            started: None,
            finished: None,
            status: Status::Pending,
            run: None,
            error: None,
        }
    }

    /// Time from being sent to its end, in milliseconds.
    pub fn millis(&self) -> Option<u64> {
        let took = self.finished?.since(self.started?);
        u64::try_from(took.as_millis()).ok()
    }

    /// Written for the first time, with the mark by which it is found after a crash.
    pub(super) fn accepted(&self, owner: &Owner) -> Changes {
        let open = Open { owner: owner.clone(), schedule: self.schedule, execution: self.id };
        Changes::default().put(self).and(Changes::default().put(&open).of_server())
    }
}

/// What is kept of an execution that is over, and nothing else.
pub(super) fn closing(id: Uuid) -> Changes {
    let id = id.to_string();
    Changes::default().delete::<Open>(&id).of_server().and(Changes::default().delete::<Sent>(&id))
}

/// Takes all of an execution away.
pub(super) fn gone(id: Uuid) -> Changes {
    closing(id).delete::<Execution>(&id.to_string())
}

/// Executions of a schedule.
pub(super) fn of_tag(schedule: Uuid) -> Tag {
    Tag::new("of", schedule.to_string())
}

/// Executions of a schedule that are not over.
pub(super) fn open_tag(schedule: Uuid) -> Tag {
    Tag::new("open", schedule.to_string())
}

/// Executions of a schedule that stand somewhere.
pub(super) fn status_tag(schedule: Uuid, status: Status) -> Tag {
    Tag::new("status", format!("{schedule}/{}", status.as_str()))
}

impl Document for Execution {
    const KIND: RecordKind = RecordKind("schedule_execution");

    fn id(&self) -> String {
        self.id.to_string()
    }

    fn tags(&self) -> Tags {
        let mut names = vec![of_tag(self.schedule)];
        names.extend((!self.status.is_over()).then(|| open_tag(self.schedule)));
        names.push(status_tag(self.schedule, self.status));
        Tags { sort: self.scheduled.0, listed: false, names }
    }
}

/// Says that an execution is not over, over all owners: who to ask after a crash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Open {
    pub(super) owner: Owner,
    pub(super) schedule: Uuid,
    pub(super) execution: Uuid,
}

impl Document for Open {
    const KIND: RecordKind = RecordKind("schedule_open");

    fn id(&self) -> String {
        self.execution.to_string()
    }

    fn tags(&self) -> Tags {
        Tags { sort: 0, listed: true, names: Vec::new() }
    }
}

/// Says what was made of an execution's message: written with it, in one batch, and kept until the execution is over.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Sent(());

impl Document for Sent {
    const KIND: RecordKind = RecordKind("schedule_sent");

    fn id(&self) -> String {
        String::new()
    }

    fn tags(&self) -> Tags {
        Tags::default()
    }
}
