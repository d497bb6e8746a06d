//! A session made of another: what was said so far is in both, and each goes on by itself.
//!
//! The new one's log begins with an entry that stands for the entries of the other (`lineage`), so that it costs one
//! small write however much was said; a record beside it keeps them from being taken away (`removal`).

use serde::{Deserialize, Serialize};

use super::error::Error;
use super::lineage::Lineage;
use super::receipts::Claim;
use super::records;
use super::removal;
use super::{Inner, Runtime};
use crate::domain::document::Tags;
use crate::domain::fact::{Entry, Fact, Seq};
use crate::domain::fork::{Fork, Shared};
use crate::domain::id::{Owner, SessionId};
use crate::domain::run::{Session, SessionData};
use crate::store::{Append, Batch, Expect, Log};

/// What a fork came to.
#[derive(Debug, Serialize, Deserialize)]
struct MadeFork {
    session: SessionId,
}

impl Runtime {
    /// Makes a session that begins with all runs of another that are over; what goes on or waits is the other's
    /// alone. One write, however much they said. For an order that may have come before: then the session it made.
    ///
    /// # Errors
    /// [`Error::NoSession`]; what the store says.
    pub async fn fork_session(
        &self,
        owner: &Owner,
        source: &SessionId,
        claim: Claim,
    ) -> Result<SessionId, Error> {
        if let Some(MadeFork { session }) = claim.made()? {
            return Ok(session);
        }
        let (runtime, source) = (self.clone(), Log { owner: owner.clone(), session: source.clone() });
        // On a task of its own: the claim is held until the fork is written, though its client goes away.
        let made = tokio::spawn(async move { runtime.0.make_fork(source, claim).await });
        made.await.map_err(|_| Error::Internal)?
    }
}

impl Inner {
    /// With the source's pen held, so that it is not taken away in between.
    async fn make_fork(&self, source: Log, claim: Claim) -> Result<SessionId, Error> {
        let room = self.journal.room(&source);
        let mut memory = room.pen().await;
        if room.is_closed() {
            return Err(Error::NoSession(source.session));
        }
        let desk = memory.desk(&*self.store, &source).await?;
        let (head, data) = (desk.head(), desk.data.clone());
        let header = desk.session.ok_or_else(|| Error::NoSession(source.session.clone()))?;
        let shared = self.shared_with(&source, &header, head).await?;
        let (fork, now) = (Fork::new(self.clock.fresh()), self.clock.now());
        let log = Log { owner: source.owner.clone(), session: fork.session() };
        let session = Session {
            id: log.session.clone(),
            created: now,
            updated: now,
            since: 0,
            waiting: None,
            ..header
        };
        let mut batch = Batch::default();
        let header = records::session_key(&log.owner, &session.id);
        batch.puts.push(records::put(header, Expect::Absent, records::session_tags(&session), &session)?);
        if data != SessionData::default() {
            let key = records::data_key(&log.owner, &session.id);
            batch.puts.push(records::put(key, Expect::Any, Tags::default(), &data)?);
        }
        for part in &shared {
            batch.puts.push(removal::hold(&log.owner, &session.id, &part.session)?);
        }
        batch.puts.extend(claim.receipt(&MadeFork { session: session.id.clone() })?);
        if !shared.is_empty() {
            let fact = Fact::Forked { of: source.session.clone(), shared };
            let entries = vec![Entry { seq: 1, run: fork.run(0), at: now, fact }];
            batch.append = Some(Append { log, after: 0, entries });
        }
        self.store.commit(batch).await?;
        Ok(session.id)
    }

    /// All that a session's log holds and reads of others.
    async fn shared_with(&self, log: &Log, header: &Session, head: Seq) -> Result<Vec<Shared>, Error> {
        let lineage = Lineage::of(&*self.store, log).await?;
        let after = lineage.as_ref().map_or(header.since, Lineage::point);
        let mut shared = lineage.map(|lineage| lineage.shared).unwrap_or_default();
        if head > after {
            shared.push(Shared { session: log.session.clone(), after, upto: head });
        }
        Ok(shared)
    }
}
