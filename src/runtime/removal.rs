//! Sessions taken away, each with its log, unless others share that.
//!
//! A session that shares a log holds it, with a record of its own ([`hold`]). What is held when its session is taken
//! away stays where it is, and is nobody's to see; whoever lets go last takes it along.

use serde::Serialize;
use tokio::sync::MutexGuard;

use super::error::Error;
use super::lineage::{self, Lineage};
use super::records::{self, HOLD};
use super::{Inner, Runtime};
use crate::domain::document::{Query, Tags};
use crate::domain::fact::Seq;
use crate::domain::id::{Owner, SessionId, UserId};
use crate::domain::run::Run;
use crate::store::{Batch, Expect, Log, Put};

/// Runs taken away at a time.
const STEP: usize = 500;

/// Says who shares a log.
#[derive(Debug, Serialize)]
struct Hold<'a> {
    by: &'a SessionId,
}

/// The record of a session that shares another's log.
pub(super) fn hold(owner: &Owner, by: &SessionId, of: &SessionId) -> Result<Put, Error> {
    let tags = Tags { names: vec![records::holder_tag(of)], ..Tags::default() };
    records::put(records::hold_key(owner, by, of), Expect::Absent, tags, &Hold { by })
}

impl Runtime {
    /// Stops a session's runs and takes everything of it away. With `user`: only if it is that user's. A session
    /// that is not there is no error. Sessions that were made of it keep what they share.
    ///
    /// # Errors
    /// What the store says.
    pub async fn delete_session(
        &self,
        owner: &Owner,
        id: &SessionId,
        user: Option<&UserId>,
    ) -> Result<(), Error> {
        let session = match self.session(owner, id).await {
            Ok(detail) => detail.session,
            Err(Error::NoSession(_)) => return Ok(()),
            Err(error) => return Err(error),
        };
        if user.is_some() && session.user.as_ref() != user {
            return Ok(());
        }
        let log = Log { owner: owner.clone(), session: id.clone() };
        let runtime = self.clone();
        // On a task of its own: a client that goes away in the middle leaves no half of a session behind.
        tokio::spawn(async move { runtime.take_away(&log).await }).await.map_err(|_| Error::Internal)?
    }

    /// With the pen held, so that no run writes in between; runs that go on find the room closed.
    async fn take_away(&self, log: &Log) -> Result<(), Error> {
        let inner = &*self.0;
        let mut turn: Option<MutexGuard<'_, ()>> = None;
        loop {
            let room = inner.journal.room(log);
            let mut memory = room.pen().await;
            if room.is_closed() {
                // Somebody else was faster. What is there now was made since, and has another pen.
                return Ok(());
            }
            let lineage = Lineage::of(&*inner.store, log).await?;
            let is_held = inner.is_held(log, None).await?;
            if turn.is_none() && (is_held || lineage.is_some()) {
                // Where several share a log, one at a time lets go: each must know whether it is the last. Its
                // turn comes before any pen.
                drop(memory);
                turn = Some(inner.removal.lock().await);
                continue;
            }
            memory.forget();
            let mut batch = inner.without_runs(log, None, is_held).await?;
            for part in lineage.iter().flat_map(|lineage| &lineage.shared) {
                inner.let_go(log, &part.session).await?;
                batch.deletes.push(records::hold_key(&log.owner, &log.session, &part.session));
            }
            batch.deletes.push(records::session_key(&log.owner, &log.session));
            batch.deletes.push(records::data_key(&log.owner, &log.session));
            batch.forget.extend(Some(log.clone()).filter(|_| !is_held));
            // Whoever writes a file or a value now is done before, or finds no session.
            let _writers = inner.writers.turn(&log.owner, &log.session).await;
            self.take_away_kept(log).await?;
            inner.store.commit(batch).await?;
            room.close();
            self.stop_lane(log, "the session was deleted");
            return Ok(());
        }
    }

    /// Takes away what a session keeps beside its log: files, databases, values, secrets, and what others keep of it.
    async fn take_away_kept(&self, log: &Log) -> Result<(), Error> {
        let documents = self.documents(&log.owner);
        loop {
            let files = self.files_to_forget(&log.owner, &log.session).await?;
            if files.is_empty() {
                break;
            }
            documents.write(files).await?;
        }
        loop {
            let databases = self.databases_to_forget(&log.owner, &log.session).await?;
            if databases.is_empty() {
                break;
            }
            documents.write(databases).await?;
        }
        documents.write(self.values_to_forget(&log.owner, &log.session).await?).await?;
        for extension in &self.0.extensions {
            extension.forget(&documents, &log.session).await?;
        }
        Ok(())
    }
}

impl Inner {
    /// Whether any session but this one shares a log.
    async fn is_held(&self, log: &Log, but: Option<&Log>) -> Result<bool, Error> {
        let query = Query {
            owner: log.owner.clone(),
            kind: HOLD,
            tag: Some(records::holder_tag(&log.session)),
            newest_first: false,
            after: None,
            skip: 0,
            limit: 2,
        };
        let holds = self.store.list(&query).await?;
        let own = but.map(|but| records::hold_key(&log.owner, &but.session, &log.session));
        // One that cannot be read is one all the same.
        Ok(holds.damaged > 0 || holds.records.iter().any(|hold| Some(&hold.key) != own.as_ref()))
    }

    /// Takes away what is left of a session whose log this one shares, if nobody else does. It is done again if this
    /// one's own end does not come to pass.
    async fn let_go(&self, by: &Log, session: &SessionId) -> Result<(), Error> {
        let log = Log { owner: by.owner.clone(), session: session.clone() };
        let room = self.journal.room(&log);
        let mut memory = room.pen().await;
        if self.is_held(&log, Some(by)).await? {
            return Ok(());
        }
        // One of the same name that was made since keeps what is its own.
        let begin = lineage::begin(&*self.store, &log).await?;
        if begin == Some(0) {
            return Ok(());
        }
        memory.forget();
        let before = begin.map(|begin| begin.saturating_add(1));
        let mut batch = self.without_runs(&log, before, false).await?;
        batch.forget.extend(Some(log.clone()).filter(|_| begin.is_none()));
        Ok(self.store.commit(batch).await?)
    }

    /// Takes away the records of a session's runs that begin before an entry, or hides them where others share
    /// them. What is left to be written comes back.
    async fn without_runs(&self, log: &Log, before: Option<Seq>, is_held: bool) -> Result<Batch, Error> {
        let mut before = before;
        loop {
            let (runs, more) = lineage::of_session(&*self.store, log, before, STEP).await?;
            let mut batch = Batch::default();
            for run in runs {
                batch.deletes.push(records::open_run_key(run.id));
                if !is_held || !run.status.is_over() {
                    batch.deletes.push(records::run_key(&log.owner, run.id));
                } else if !run.gone {
                    let run = Run { gone: true, ..run };
                    batch.puts.push(records::put_run(&log.owner, &run, Expect::Present)?);
                }
            }
            if more == 0 {
                return Ok(batch);
            }
            self.store.commit(batch).await?;
            before = Some(more);
        }
    }
}
