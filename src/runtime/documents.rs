//! Documents: what users keep beside runs, each a typed value in a record of its own.
//!
//! One [`Changes`] is written whole or not at all, so documents that must agree do. A document that was changed by
//! somebody else meanwhile is a conflict, never overwritten; [`Documents::change`] looks again and tries once more.

use std::ops::Deref;
use std::sync::Weak;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::Error;
use super::receipts::Claim;
use super::vault::Vault;
use super::{Inner, Runtime, records};
use crate::domain::document::{Key, Place, Query, Record, RecordKind, Tag, Tags};
use crate::domain::id::Owner;
use crate::store::{Batch, Expect, Put, StoreError};

/// How often a change is tried that others keep getting in the way of.
const TRIES: usize = 16;

/// A value that is kept under an id of its own.
pub trait Document: Serialize + DeserializeOwned + Send + Sync {
    /// What sort of record it is: for ever.
    const KIND: RecordKind;

    /// Unique among its kind and owner.
    fn id(&self) -> String;

    /// What it is listed by.
    fn tags(&self) -> Tags;
}

/// A document as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored<D> {
    /// Counts its writes, from 1.
    pub version: u64,
    /// What it says.
    pub value: D,
}

impl<D> Deref for Stored<D> {
    type Target = D;

    fn deref(&self) -> &D {
        &self.value
    }
}

/// Which documents of a kind to list.
#[derive(Debug, Clone, Default)]
pub struct Listing {
    /// Only those that carry it.
    pub tag: Option<Tag>,
    /// Largest sort number first.
    pub newest_first: bool,
    /// Goes on after this place.
    pub after: Option<Place>,
    /// Passes over as many first.
    pub skip: usize,
    /// At most as many; 0 is none.
    pub limit: usize,
}

/// Part of a list of documents.
#[derive(Debug, Clone, PartialEq)]
pub struct Listed<D> {
    /// In order; those that cannot be read are left out.
    pub documents: Vec<Stored<D>>,
    /// How many the whole list has.
    pub total: u64,
    /// Where the next part goes on, if there may be one.
    pub next: Option<Place>,
}

/// Writes that belong together.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    puts: Vec<Result<Draft, Error>>,
    deletes: Vec<Gone>,
}

/// Something to be taken away.
#[derive(Debug, Clone)]
struct Gone {
    owner: Option<Owner>,
    kind: RecordKind,
    id: String,
}

#[derive(Debug, Clone)]
struct Draft {
    /// Whose, if it is not whoever writes.
    owner: Option<Owner>,
    kind: RecordKind,
    id: String,
    expect: Expect,
    tags: Tags,
    body: Vec<u8>,
}

impl Changes {
    /// A document that must not be there yet.
    #[must_use]
    pub fn create<D: Document>(self, document: &D) -> Self {
        self.with(document, Expect::Absent)
    }

    /// A new version of a document that nobody else has changed since it was read.
    #[must_use]
    pub fn replace<D: Document>(self, before: &Stored<D>, after: &D) -> Self {
        self.with(after, Expect::Version(before.version))
    }

    /// A document, whatever is there.
    #[must_use]
    pub fn put<D: Document>(self, document: &D) -> Self {
        self.with(document, Expect::Any)
    }

    /// Takes a document away; a missing one is fine.
    #[must_use]
    pub fn delete<D: Document>(mut self, id: &str) -> Self {
        self.deletes.push(Gone { owner: None, kind: D::KIND, id: id.to_owned() });
        self
    }

    /// The same, of documents that are the server's own: what must be found over all owners, written with what is an
    /// owner's.
    #[must_use]
    pub fn of_server(mut self) -> Self {
        let server = || Some(Owner::server());
        self.puts.iter_mut().flatten().for_each(|draft| draft.owner = server());
        self.deletes.iter_mut().for_each(|gone| gone.owner = server());
        self
    }

    /// Both of them.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.puts.extend(other.puts);
        self.deletes.extend(other.deletes);
        self
    }

    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.puts.is_empty() && self.deletes.is_empty()
    }

    fn with<D: Document>(mut self, document: &D, expect: Expect) -> Self {
        let (kind, id) = (D::KIND, document.id());
        let body = serde_json::to_vec(document).map_err(|cause| {
            tracing::error!(kind = kind.0, id, %cause, "a document cannot be written as JSON");
            Error::Internal
        });
        self.puts.push(body.map(|body| Draft { owner: None, kind, id, expect, tags: document.tags(), body }));
        self
    }

    /// As records of an owner.
    pub(super) fn into_records(self, owner: &Owner) -> Result<(Vec<Put>, Vec<Key>), Error> {
        let key =
            |other: Option<Owner>, kind, id| Key { owner: other.unwrap_or_else(|| owner.clone()), kind, id };
        let puts = self.puts.into_iter().map(|draft| {
            let Draft { owner, kind, id, expect, tags, body } = draft?;
            Ok(Put { key: key(owner, kind, id), expect, tags, body: body.into() })
        });
        let puts = puts.collect::<Result<_, Error>>()?;
        let deletes = self.deletes.into_iter().map(|gone| key(gone.owner, gone.kind, gone.id));
        Ok((puts, deletes.collect()))
    }
}

/// The documents of an owner. Cheap to clone.
#[derive(Clone)]
pub struct Documents {
    runtime: Runtime,
    owner: Owner,
}

/// The same, for what the runtime itself holds: it keeps nothing alive.
#[derive(Clone)]
pub struct WeakDocuments {
    runtime: Weak<Inner>,
    owner: Owner,
}

impl WeakDocuments {
    /// The documents, while there is a runtime.
    pub fn upgrade(&self) -> Option<Documents> {
        let runtime = Runtime(self.runtime.upgrade()?);
        Some(Documents { runtime, owner: self.owner.clone() })
    }
}

impl Runtime {
    /// What an owner keeps.
    pub fn documents(&self, owner: &Owner) -> Documents {
        Documents { runtime: self.clone(), owner: owner.clone() }
    }
}

impl Documents {
    /// Whose they are.
    pub fn owner(&self) -> &Owner {
        &self.owner
    }

    /// What stands under them.
    pub fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// For what the runtime itself holds.
    pub fn downgrade(&self) -> WeakDocuments {
        WeakDocuments { runtime: std::sync::Arc::downgrade(&self.runtime.0), owner: self.owner.clone() }
    }

    /// Seals and opens secrets, if there is a key to do it with.
    pub fn vault(&self) -> Option<&Vault> {
        self.runtime.vault().map(AsRef::as_ref)
    }

    /// One of them.
    ///
    /// # Errors
    /// What the store says.
    pub async fn get<D: Document>(&self, id: &str) -> Result<Option<Stored<D>>, Error> {
        let key = Key { owner: self.owner.clone(), kind: D::KIND, id: id.to_owned() };
        self.runtime.store().get(&key).await?.as_ref().map(stored).transpose()
    }

    /// Several of them by their ids, in that order, each if it is there and can be read.
    ///
    /// # Errors
    /// What the store says.
    pub async fn several<D: Document>(
        &self,
        ids: impl IntoIterator<Item = String>,
    ) -> Result<Vec<Option<Stored<D>>>, Error> {
        let key = |id| Key { owner: self.owner.clone(), kind: D::KIND, id };
        let keys: Vec<Key> = ids.into_iter().map(key).collect();
        let found = self.runtime.store().get_each(&keys).await?;
        Ok(found.into_iter().map(|record| stored(record.as_ref()?).ok()).collect())
    }

    /// Part of a list of them.
    ///
    /// # Errors
    /// What the store says.
    pub async fn list<D: Document>(&self, listing: Listing) -> Result<Listed<D>, Error> {
        let Listing { tag, newest_first, after, skip, limit } = listing;
        let query = Query { owner: self.owner.clone(), kind: D::KIND, tag, newest_first, after, skip, limit };
        let page = self.runtime.store().list(&query).await?;
        let full = page.records.len().saturating_add(page.damaged) >= limit;
        let last = page.records.last().filter(|_| full);
        let next = last.map(|last| Place { sort: last.sort, id: last.key.id.clone() });
        let documents = page.records.iter().filter_map(|record| stored(record).ok()).collect();
        Ok(Listed { documents, total: page.total, next })
    }

    /// All of them that carry a tag, or all there are; for kinds of which there are few.
    ///
    /// # Errors
    /// What the store says.
    pub async fn all<D: Document>(&self, tag: Option<Tag>) -> Result<Vec<Stored<D>>, Error> {
        const STEP: usize = 500;
        let mut found = Vec::new();
        let mut after = None;
        loop {
            let listing = Listing { tag: tag.clone(), after, limit: STEP, ..Listing::default() };
            let page = self.list(listing).await?;
            found.extend(page.documents);
            after = page.next;
            if after.is_none() {
                return Ok(found);
            }
        }
    }

    /// Writes changes, all or none; when this returns they are durable.
    ///
    /// # Errors
    /// [`Error::Conflict`] if one of them is not as it was expected; what the store says.
    pub async fn write(&self, changes: Changes) -> Result<(), Error> {
        self.write_once(changes, &Claim::none(), &()).await
    }

    /// The same, for an order that may come twice: what was `made` is written beside it.
    ///
    /// # Errors
    /// Those of [`write`](Self::write).
    pub async fn write_once(
        &self,
        changes: Changes,
        claim: &Claim,
        made: &impl Serialize,
    ) -> Result<(), Error> {
        self.write_each_once(changes, [(claim, made)]).await
    }

    /// The same for several orders that are carried out together.
    ///
    /// # Errors
    /// Those of [`write`](Self::write).
    pub async fn write_each_once<'a, T: Serialize + 'a>(
        &self,
        changes: Changes,
        claims: impl IntoIterator<Item = (&'a Claim, &'a T)>,
    ) -> Result<(), Error> {
        let (mut puts, deletes) = changes.into_records(&self.owner)?;
        for (claim, made) in claims {
            puts.extend(claim.receipt(made)?);
        }
        if puts.is_empty() && deletes.is_empty() {
            return Ok(());
        }
        let batch = Batch { puts, deletes, ..Batch::default() };
        self.runtime.store().commit(batch).await.map_err(Error::from)
    }

    /// Reads, has it changed, writes; again if somebody else was faster. `edit` says what to write, beside its answer.
    ///
    /// # Errors
    /// What `edit` says; what the store says.
    pub async fn change<D, T, E>(
        &self,
        id: &str,
        mut edit: impl FnMut(Option<Stored<D>>) -> Result<(T, Changes), E>,
    ) -> Result<T, E>
    where
        D: Document,
        E: From<Error>,
    {
        for _ in 0..TRIES {
            let (answer, changes) = edit(self.get(id).await?)?;
            let (puts, deletes) = changes.into_records(&self.owner)?;
            let batch = Batch { puts, deletes, ..Batch::default() };
            match self.runtime.store().commit(batch).await {
                Ok(()) => return Ok(answer),
                Err(StoreError::Conflict(_)) => {}
                Err(error) => return Err(Error::from(error).into()),
            }
        }
        Err(Error::Conflict("changed by others again and again; try again".into()).into())
    }
}

fn stored<D: Document>(record: &Record) -> Result<Stored<D>, Error> {
    Ok(Stored { version: record.version, value: records::parse(record)? })
}
