//! What lies before whoever holds a session's pen: the session as stored, and what is to be written.

use super::error::Error;
use super::records::{self, data_key, session_key, session_tags};
use crate::domain::document::{Key, Tags};
use crate::domain::fact::Seq;
use crate::domain::run::{Session, SessionData};
use crate::store::{Batch, Expect, Log, Put, Store};

/// What the pen remembers between writes, so that a write need not read first.
#[derive(Default)]
pub(super) struct Memory {
    head: Option<Seq>,
    session: Option<Remembered>,
}

/// A session as it was last read or written.
#[derive(Clone, Default)]
pub(super) struct Remembered {
    session: Option<(Session, u64)>,
    data: Option<(SessionData, u64)>,
}

impl Memory {
    /// Begins as a session that nobody can have made yet: its id is fresh.
    pub(super) fn begin_empty(&mut self) {
        self.head.get_or_insert(0);
        self.session.get_or_insert_with(Remembered::default);
    }

    pub(super) async fn head(&mut self, store: &dyn Store, log: &Log) -> Result<Seq, Error> {
        match self.head {
            Some(head) => Ok(head),
            None => {
                let head = store.head(log).await?;
                self.head = Some(head);
                Ok(head)
            }
        }
    }

    /// A desk with the session on it.
    pub(super) async fn desk(&mut self, store: &dyn Store, log: &Log) -> Result<Desk, Error> {
        let head = self.head(store, log).await?;
        let stored = match &self.session {
            Some(remembered) => remembered.clone(),
            None => {
                let read = read(store, log).await?;
                self.session = Some(read.clone());
                read
            }
        };
        let session = stored.session.as_ref().map(|(session, _)| session.clone());
        let data = stored.data.as_ref().map(|(data, _)| data.clone()).unwrap_or_default();
        Ok(Desk { log: log.clone(), head, stored, session, data, puts: Vec::new(), deletes: Vec::new() })
    }

    /// After a write that went through.
    pub(super) fn remember(&mut self, head: Seq, session: Remembered) {
        self.head = Some(head);
        self.session = Some(session);
    }

    /// After pieces were written.
    pub(super) fn advance(&mut self, head: Seq) {
        self.head = Some(head);
    }

    /// Before pieces are written: until that is done, nobody knows how far the log goes.
    pub(super) fn lose_head(&mut self) {
        self.head = None;
    }

    /// Before a write, until it went through: what is stored must be read again.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }
}

async fn read(store: &dyn Store, log: &Log) -> Result<Remembered, Error> {
    let session = store.get(&session_key(&log.owner, &log.session)).await?;
    let Some(session) = session else { return Ok(Remembered::default()) };
    let data = store.get(&data_key(&log.owner, &log.session)).await?;
    Ok(Remembered {
        session: Some((records::parse(&session)?, session.version)),
        data: data.map(|data| Ok::<_, Error>((records::parse(&data)?, data.version))).transpose()?,
    })
}

/// One write in the making. What is changed here is written, what is not is left alone.
pub(super) struct Desk {
    log: Log,
    head: Seq,
    stored: Remembered,
    /// The session; `None` if there is none.
    pub(super) session: Option<Session>,
    /// What it carries.
    pub(super) data: SessionData,
    puts: Vec<Put>,
    deletes: Vec<Key>,
}

impl Desk {
    /// The last number of the log.
    pub(super) fn head(&self) -> Seq {
        self.head
    }

    /// The session, which must be there.
    pub(super) fn session_mut(&mut self) -> Result<&mut Session, Error> {
        self.session.as_mut().ok_or_else(|| Error::NoSession(self.log.session.clone()))
    }

    /// Writes another record beside.
    pub(super) fn put(&mut self, put: Put) {
        self.puts.push(put);
    }

    /// Takes another record away.
    pub(super) fn delete(&mut self, key: Key) {
        self.deletes.push(key);
    }

    /// The changes, and what will be stored once they are written.
    pub(super) fn into_batch(self) -> Result<(Batch, Remembered), Error> {
        let Self { log, stored, session, data, mut puts, deletes, .. } = self;
        let mut remembered = stored;
        if let Some(session) = session
            && remembered.session.as_ref().is_none_or(|(before, _)| *before != session)
        {
            let version = remembered.session.as_ref().map(|(_, version)| *version);
            let key = session_key(&log.owner, &log.session);
            puts.push(records::put(key, expected(version), session_tags(&session), &session)?);
            remembered.session = Some((session, next(version)));
        }
        let before = remembered.data.as_ref().map(|(before, _)| before);
        if before.map_or(data != SessionData::default(), |before| *before != data) {
            let version = remembered.data.as_ref().map(|(_, version)| *version);
            let key = data_key(&log.owner, &log.session);
            puts.push(records::put(key, expected(version), Tags::default(), &data)?);
            remembered.data = Some((data, next(version)));
        }
        Ok((Batch { append: None, puts, deletes, forget: Vec::new() }, remembered))
    }
}

fn expected(version: Option<u64>) -> Expect {
    version.map_or(Expect::Absent, Expect::Version)
}

fn next(version: Option<u64>) -> u64 {
    version.unwrap_or(0).saturating_add(1)
}
