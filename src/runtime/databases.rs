//! The databases of a session: SQLite in memory, over bytes that are kept as documents.
//!
//! A call reads the bytes, works on its own copy and, if it changed anything, writes the chunks that are new and then
//! in one batch says that they are the database, takes the old ones away and keeps what the call came to. A crash in
//! between leaves the database as it was; a call that is made again finds that it was made.

mod engine;
mod guard;
mod kept;
mod value;

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use self::engine::{Engine, PAGE_BYTES};
use self::guard::Access;
use self::kept::{CHUNK_BYTES, Chunk, Kept, Receipt};
use super::documents::{Changes, Document, Documents, Listing, Stored};
use super::error::Error;
use super::files::Writers;
use super::{Runtime, records};
use crate::capability::databases::{DatabaseError, Databases, Executed, Grid, Sql};
use crate::domain::database::{DatabaseInfo, DatabaseName, Table};
use crate::domain::id::{Owner, SessionId};

/// Most databases of a session.
pub const MAX_DATABASES: usize = 10;

/// Calls of all sessions together that compute at one time; others wait.
const SEATS: usize = 4;

/// New chunks up to this size, together, are written with the database they belong to; more of them before it.
const BATCH_BYTES: usize = 2 * 1024 * 1024;

type Outcome<T> = Result<T, DatabaseError>;

/// Who may compute, and who may change.
pub(super) struct Desks {
    seats: Arc<Semaphore>,
    writers: Writers,
}

impl Default for Desks {
    fn default() -> Self {
        Self { seats: Arc::new(Semaphore::new(SEATS)), writers: Writers::default() }
    }
}

/// The databases of one session.
#[derive(Clone)]
pub struct SessionDatabases {
    runtime: Runtime,
    documents: Documents,
    session: SessionId,
}

impl Runtime {
    /// The databases of a session.
    pub fn databases(&self, owner: &Owner, session: &SessionId) -> SessionDatabases {
        let documents = self.documents(owner);
        SessionDatabases { runtime: self.clone(), documents, session: session.clone() }
    }

    /// What is to be taken away with a session, part by part, until there is nothing more.
    pub(super) async fn databases_to_forget(
        &self,
        owner: &Owner,
        session: &SessionId,
    ) -> Result<Changes, Error> {
        // Chunks and receipts may be large: a few at a time.
        const STEP: usize = 32;
        let documents = self.documents(owner);
        let some = || Listing { tag: Some(records::session_tag(session)), limit: STEP, ..Listing::default() };
        let mut changes = Changes::default();
        for kept in documents.list::<Kept>(some()).await?.documents {
            changes = changes.delete::<Kept>(&kept.id());
        }
        for chunk in documents.list::<Chunk>(some()).await?.documents {
            changes = changes.delete::<Chunk>(&chunk.id());
        }
        for receipt in documents.list::<Receipt>(some()).await?.documents {
            changes = changes.delete::<Receipt>(&receipt.id());
        }
        Ok(changes)
    }
}

impl SessionDatabases {
    async fn kept(&self, name: &DatabaseName) -> Outcome<Option<Stored<Kept>>> {
        self.documents.get(&kept::id(&self.session, name)).await.map_err(unavailable)
    }

    async fn there(&self, name: &DatabaseName) -> Outcome<Stored<Kept>> {
        self.kept(name).await?.ok_or_else(|| DatabaseError::Missing(name.clone()))
    }

    async fn all(&self) -> Outcome<Vec<Stored<Kept>>> {
        let tag = records::session_tag(&self.session);
        self.documents.all(Some(tag)).await.map_err(unavailable)
    }

    /// The bytes of a database; nothing if a chunk is gone.
    async fn bytes_of(&self, kept: &Kept) -> Outcome<Option<Bytes>> {
        let mut bytes = Vec::with_capacity(usize::try_from(kept.size).unwrap_or_default());
        for name in &kept.chunks {
            let chunk = self.documents.get::<Chunk>(&kept.chunk_id(name)).await.map_err(unavailable)?;
            match chunk.and_then(|chunk| chunk.content()) {
                Some(content) => bytes.extend(content),
                None => return Ok(None),
            }
        }
        Ok(Some(bytes.into()))
    }

    /// The bytes of a database that somebody may change meanwhile: then it is read again, for its old chunks are gone.
    async fn read(&self, name: &DatabaseName) -> Outcome<Bytes> {
        let mut kept = self.there(name).await?;
        loop {
            if let Some(bytes) = self.bytes_of(&kept).await? {
                return Ok(bytes);
            }
            let now = self.there(name).await?;
            if now.version == kept.version {
                tracing::error!(session = %self.session, database = %name, "part of a database is missing");
                return Err(DatabaseError::Unavailable);
            }
            kept = now;
        }
    }

    /// Works with a database on a thread of its own, until it is stopped.
    async fn at_work<T: Send + 'static>(
        &self,
        bytes: Bytes,
        access: Access,
        stop: CancellationToken,
        work: impl FnOnce(Engine) -> Outcome<T> + Send + 'static,
    ) -> Outcome<T> {
        let seats = self.runtime.0.databases.seats.clone();
        let seat = seats.acquire_owned().await.map_err(|_| DatabaseError::Unavailable)?;
        let working = tokio::task::spawn_blocking(move || {
            // Kept until the work is over, whoever waits for it.
            let _seat = seat;
            Engine::open(&bytes, access, stop).and_then(work)
        });
        working.await.map_err(|_| DatabaseError::Unavailable)?
    }

    /// Reads with a database; whoever does not wait for it any longer stops it.
    async fn reading<T: Send + 'static>(
        &self,
        name: &DatabaseName,
        work: impl FnOnce(Engine) -> Outcome<T> + Send + 'static,
    ) -> Outcome<T> {
        let bytes = self.read(name).await?;
        let stop = CancellationToken::new();
        let _stops = stop.clone().drop_guard();
        self.at_work(bytes, Access::Read, stop, work).await
    }

    /// Carries statements out, if the call was not made before.
    async fn carried_out(
        &self,
        name: &DatabaseName,
        sql: Sql,
        key: &str,
        stop: CancellationToken,
    ) -> Outcome<Executed> {
        let _turn = self.runtime.0.databases.writers.turn(self.documents.owner(), &self.session).await;
        let receipt = self.documents.get::<Receipt>(&kept::receipt_id(&self.session, key)).await;
        if let Some(receipt) = receipt.map_err(unavailable)? {
            return Ok(receipt.value.came_to);
        }
        let before = self.kept(name).await?;
        let bytes = match &before {
            Some(_) => self.read(name).await?,
            None => {
                self.check_room().await?;
                Bytes::new()
            }
        };
        let work = move |engine: Engine| {
            let executed = engine.execute(&sql)?;
            Ok((executed, engine.into_bytes()?))
        };
        let (executed, after) = self.at_work(bytes.clone(), Access::Write, stop, work).await?;
        let receipt = Receipt::new(&self.session, key, executed.clone());
        let before = before.as_ref().map(|kept| (kept, &*bytes));
        self.save(name, before, &after, Some(&receipt)).await?;
        Ok(executed)
    }

    async fn check_room(&self) -> Outcome<()> {
        if self.all().await?.len() >= MAX_DATABASES {
            let message = format!("a session keeps at most {MAX_DATABASES} databases");
            return Err(DatabaseError::TooLarge(message));
        }
        Ok(())
    }

    /// Keeps these bytes as the database. It is called with the turn to write.
    async fn save(
        &self,
        name: &DatabaseName,
        before: Option<(&Stored<Kept>, &[u8])>,
        bytes: &[u8],
        receipt: Option<&Receipt>,
    ) -> Outcome<Kept> {
        let now = self.runtime.now();
        let chunks = named(before, bytes);
        let before = before.map(|(kept, _)| kept);
        let mut old: BTreeSet<&String> = before.iter().flat_map(|before| &before.chunks).collect();
        let mut known = old.clone();
        let mut changes = Changes::default();
        let mut size = 0;
        for (chunk, content) in chunks.iter().zip(bytes.chunks(CHUNK_BYTES)) {
            old.remove(chunk);
            if !known.insert(chunk) {
                continue;
            }
            if size > BATCH_BYTES {
                self.documents.write(std::mem::take(&mut changes)).await.map_err(unavailable)?;
                size = 0;
            }
            changes = changes.put(&Chunk::new(&self.session, name, chunk, content));
            size += content.len();
        }
        let after = Kept {
            session: self.session.clone(),
            name: name.clone(),
            size: bytes.len() as u64,
            pages: (bytes.len() / PAGE_BYTES) as u64,
            chunks: chunks.clone(),
            created: before.map_or(now, |before| before.created),
            updated: now,
        };
        changes = match before {
            Some(before) => changes.replace(before, &after),
            None => changes.create(&after),
        };
        if let Some(receipt) = receipt {
            changes = changes.put(receipt);
        }
        for gone in old {
            changes = changes.delete::<Chunk>(&after.chunk_id(gone));
        }
        self.documents.write(changes).await.map_err(unavailable)?;
        Ok(after)
    }
}

/// The names of the chunks of a database. Those that are as they were are not read through again.
fn named(before: Option<(&Stored<Kept>, &[u8])>, bytes: &[u8]) -> Vec<String> {
    let (names, old) = before.map_or((&[][..], &[][..]), |(kept, old)| (&kept.chunks[..], old));
    let mut old = names.iter().zip(old.chunks(CHUNK_BYTES));
    let name = |chunk: &[u8]| match old.next() {
        Some((name, content)) if content == chunk => name.clone(),
        Some(_) | None => kept::hash(chunk),
    };
    bytes.chunks(CHUNK_BYTES).map(name).collect()
}

#[async_trait]
impl Databases for SessionDatabases {
    async fn list(&self) -> Outcome<Vec<DatabaseInfo>> {
        let mut all: Vec<DatabaseInfo> = self.all().await?.iter().map(|kept| kept.info()).collect();
        all.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(all)
    }

    async fn info(&self, name: &DatabaseName) -> Outcome<DatabaseInfo> {
        Ok(self.there(name).await?.info())
    }

    async fn create(&self, name: &DatabaseName) -> Outcome<DatabaseInfo> {
        let _turn = self.runtime.0.databases.writers.turn(self.documents.owner(), &self.session).await;
        if self.kept(name).await?.is_some() {
            return Err(DatabaseError::Exists(name.clone()));
        }
        self.check_room().await?;
        Ok(self.save(name, None, &[], None).await?.info())
    }

    async fn delete(&self, name: &DatabaseName) -> Outcome<()> {
        let _turn = self.runtime.0.databases.writers.turn(self.documents.owner(), &self.session).await;
        let kept = self.there(name).await?;
        let mut changes = Changes::default().delete::<Kept>(&kept.id());
        for chunk in &kept.chunks {
            changes = changes.delete::<Chunk>(&kept.chunk_id(chunk));
        }
        self.documents.write(changes).await.map_err(unavailable)
    }

    async fn tables(&self, name: &DatabaseName) -> Outcome<Vec<Table>> {
        self.reading(name, |engine| engine.tables()).await
    }

    async fn query(&self, name: &DatabaseName, sql: Sql) -> Outcome<Grid> {
        self.reading(name, move |engine| engine.query(&sql)).await
    }

    async fn execute(&self, name: &DatabaseName, sql: Sql, key: &str) -> Outcome<Executed> {
        let stop = CancellationToken::new();
        let _stops = stop.clone().drop_guard();
        let (databases, name, key) = (self.clone(), name.clone(), key.to_owned());
        // On a task of its own: what has begun to be written is written, also if nobody waits for it any longer.
        let work = async move { databases.carried_out(&name, sql, &key, stop).await };
        tokio::spawn(work).await.map_err(|_| DatabaseError::Unavailable)?
    }
}

fn unavailable(error: Error) -> DatabaseError {
    tracing::warn!(%error, "databases cannot be reached");
    DatabaseError::Unavailable
}
