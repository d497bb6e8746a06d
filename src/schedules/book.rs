//! What one owner keeps of schedules: made, changed, listed, triggered.

use std::sync::Arc;

use uuid::Uuid;

use super::Desk;
use super::error::Error;
use super::execution::{self, Execution, Status};
use super::schedule::{Schedule, ScheduleName, Target, Wish, enabled_tag, session_tag};
use crate::domain::document::Tag;
use crate::domain::id::{Owner, SessionId};
use crate::domain::time::Timestamp;
use crate::runtime;
use crate::runtime::documents::{Changes, Document, Documents, Listed, Listing, Stored};

/// Most schedules of an owner.
const MAX_SCHEDULES: u64 = 1000;

/// Most executions of a schedule that wait or go.
pub(super) const MAX_OPEN: u64 = 100;

/// The schedules of an owner. Cheap to clone.
#[derive(Clone)]
pub struct Book {
    pub(super) documents: Documents,
    pub(super) desk: Arc<Desk>,
}

/// Which part of a list.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// How many are passed over.
    pub skip: usize,
    /// At most as many.
    pub limit: usize,
}

impl Book {
    /// Whose it is.
    pub(super) fn owner(&self) -> &Owner {
        self.documents.owner()
    }

    /// The time.
    pub(super) fn now(&self) -> Timestamp {
        self.documents.runtime().now()
    }

    /// Makes a schedule; with `once` it goes when it is done. One that was made under this id before is the one that is
    /// meant.
    ///
    /// # Errors
    /// [`Error::Invalid`], [`Error::NameTaken`], [`Error::TooMany`]; what the store says.
    pub async fn create(&self, id: Uuid, target: Target, wish: Wish, once: bool) -> Result<Schedule, Error> {
        let wish = Wish { target: Some(target.clone()), ..wish };
        let now = self.now();
        let schedule = Schedule { once, ..Schedule::blank(id, target, now).with(&wish, now)? };
        if let Some(made) = self.documents.get::<Schedule>(&schedule.id()).await? {
            return Ok(made.value);
        }
        if self.count::<Schedule>(None).await? >= MAX_SCHEDULES {
            let message = format!("there are at most {MAX_SCHEDULES} schedules; delete some");
            return Err(Error::TooMany(message));
        }
        let changes = Changes::default().create(&schedule).create(&schedule.taken_name());
        match self.documents.write(changes.and(schedule.mark(self.owner()))).await {
            Ok(()) => {}
            Err(runtime::Error::Conflict(_)) => return Err(Error::NameTaken(schedule.name)),
            Err(error) => return Err(error.into()),
        }
        self.desk.changed.notify_one();
        Ok(schedule)
    }

    /// A schedule.
    ///
    /// # Errors
    /// [`Error::NoSchedule`]; what the store says.
    pub async fn get(&self, id: Uuid) -> Result<Schedule, Error> {
        let found = self.documents.get::<Schedule>(&id.to_string()).await?;
        found.map(|found| found.value).ok_or(Error::NoSchedule)
    }

    /// Schedules, the latest first; all, or those that are enabled or are not.
    ///
    /// # Errors
    /// What the store says.
    pub async fn list(&self, enabled: Option<bool>, wanted: Wanted) -> Result<Listed<Schedule>, Error> {
        self.page(enabled.map(enabled_tag), wanted).await
    }

    /// Those that send to a session, the earliest made first.
    ///
    /// # Errors
    /// What the store says.
    pub async fn of_session(&self, session: &SessionId) -> Result<Vec<Schedule>, runtime::Error> {
        let found = self.documents.all::<Schedule>(Some(session_tag(session))).await?;
        Ok(found.into_iter().map(|found| found.value).collect())
    }

    /// Changes what is wished. Executions that are going are not touched.
    ///
    /// # Errors
    /// [`Error::NoSchedule`], [`Error::Invalid`], [`Error::NameTaken`]; what the store says.
    pub async fn change(&self, id: Uuid, wish: &Wish) -> Result<Schedule, Error> {
        if let Some(name) = wish.name.as_deref().map(str::trim)
            && let Some(taken) = self.documents.get::<ScheduleName>(name).await?
            && taken.schedule != id
        {
            return Err(Error::NameTaken(name.to_owned()));
        }
        let now = self.now();
        let edit = |before: Option<Stored<Schedule>>| {
            let before = before.ok_or(Error::NoSchedule)?;
            let after = before.with(wish, now)?;
            let mut changes = Changes::default().replace(&before, &after).and(after.mark(self.owner()));
            if after.name != before.name {
                changes = changes.create(&after.taken_name()).delete::<ScheduleName>(&before.name);
            }
            Ok::<_, Error>((after, changes))
        };
        let changed = self.documents.change(&id.to_string(), edit).await?;
        self.desk.changed.notify_one();
        Ok(changed)
    }

    /// Takes a schedule away with its executions. What it had said already is answered all the same.
    ///
    /// # Errors
    /// [`Error::NoSchedule`]; what the store says.
    pub async fn remove(&self, id: Uuid) -> Result<(), Error> {
        let schedule = self.get(id).await?;
        let executions = self.documents.all::<Execution>(Some(execution::of_tag(id))).await?;
        let executions = executions.iter().map(|found| execution::gone(found.id));
        let changes = executions.fold(gone(&schedule, self.owner()), Changes::and);
        Ok(self.documents.write(changes).await?)
    }

    /// Takes away all that sends to a session.
    pub(super) async fn forget(&self, session: &SessionId) -> Result<(), runtime::Error> {
        for schedule in self.of_session(session).await? {
            match self.remove(schedule.id).await {
                Ok(()) | Err(Error::NoSchedule) => {}
                Err(Error::Runtime(error)) => return Err(error),
                Err(Error::Invalid { .. } | Error::NameTaken(_) | Error::TooMany(_)) => {
                    return Err(runtime::Error::Internal);
                }
            }
        }
        Ok(())
    }

    /// Has a schedule send its message now, whether it is enabled or not; the execution.
    ///
    /// # Errors
    /// [`Error::NoSchedule`], [`Error::TooMany`]; what the store says.
    pub async fn trigger(&self, id: Uuid) -> Result<Uuid, Error> {
        if self.count::<Execution>(Some(execution::open_tag(id))).await? >= MAX_OPEN {
            return Err(Error::TooMany(format!("{MAX_OPEN} executions of the schedule are waiting already")));
        }
        let now = self.now();
        let execution = Execution::new(self.documents.runtime().fresh(), id, now, now);
        let edit = |before: Option<Stored<Schedule>>| {
            let before = before.ok_or(Error::NoSchedule)?;
            let mut after = Schedule { last: Some(now), ..before.value.clone() };
            after.tally.accept(&execution);
            Ok::<_, Error>((
                (),
                Changes::default().replace(&before, &after).and(execution.accepted(self.owner())),
            ))
        };
        self.documents.change(&id.to_string(), edit).await?;
        self.rouse(id);
        Ok(execution.id)
    }

    /// Executions of a schedule, the latest first; all, or those that stand somewhere.
    ///
    /// # Errors
    /// [`Error::NoSchedule`]; what the store says.
    pub async fn executions(
        &self,
        id: Uuid,
        status: Option<Status>,
        wanted: Wanted,
    ) -> Result<Listed<Execution>, Error> {
        self.get(id).await?;
        let tag = status.map_or_else(|| execution::of_tag(id), |status| execution::status_tag(id, status));
        self.page(Some(tag), wanted).await
    }

    /// An execution, if there is one.
    ///
    /// # Errors
    /// What the store says.
    pub async fn execution(&self, id: Uuid) -> Result<Option<Execution>, Error> {
        Ok(self.documents.get::<Execution>(&id.to_string()).await?.map(|found| found.value))
    }

    async fn page<D: Document>(&self, tag: Option<Tag>, wanted: Wanted) -> Result<Listed<D>, Error> {
        let Wanted { skip, limit } = wanted;
        Ok(self.documents.list(Listing { tag, newest_first: true, after: None, skip, limit }).await?)
    }

    pub(super) async fn count<D: Document>(&self, tag: Option<Tag>) -> Result<u64, runtime::Error> {
        Ok(self.documents.list::<D>(Listing { tag, limit: 0, ..Listing::default() }).await?.total)
    }
}

/// Takes a schedule away, but for its executions.
pub(super) fn gone(schedule: &Schedule, owner: &Owner) -> Changes {
    Changes::default()
        .delete::<Schedule>(&schedule.id())
        .delete::<ScheduleName>(&schedule.name)
        .and(Schedule { next: None, ..schedule.clone() }.mark(owner))
}
