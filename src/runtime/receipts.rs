//! Orders that are done once, however often they come: what was made is written with a receipt, in one batch.
//!
//! Whoever orders under a key takes a [`Claim`] first. It tells what was made with the key before; if that is
//! nothing, nobody else makes anything with it until the claim is dropped. An order that fails leaves no receipt, so
//! its key may be used again.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

use super::error::Error;
use super::journal::{Dated, unpoisoned};
use super::records::{self, RECEIPT};
use super::{Inner, Runtime};
use crate::domain::document::{Key, Place, Query, RecordKind, Tags};
use crate::domain::fact::{Fact, Seq};
use crate::domain::id::{Owner, RunId};
use crate::domain::once::{KEPT, Once};
use crate::domain::time::Timestamp;
use crate::store::{Batch, Expect, Put};

/// How often expired receipts are looked for.
const SWEEP_EVERY: Duration = Duration::from_hours(1);

/// Receipts swept away at a time.
const SWEEP_STEP: usize = 500;

/// The right to do something once, for as long as anybody holds it. Without a key there is nothing to claim, and
/// everything is done as it comes.
#[derive(Clone)]
pub struct Claim(Option<Arc<Held>>);

struct Held {
    key: Key,
    fingerprint: String,
    at: Timestamp,
    expect: Expect,
    made: Option<Value>,
    _turn: OwnedMutexGuard<()>,
}

/// What was made with a key.
#[derive(Debug, Serialize, Deserialize)]
struct Receipt {
    fingerprint: String,
    at: Timestamp,
    /// What cannot be known from the order itself: ids, numbers, times.
    made: Value,
}

/// A run that was started or continued.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MadeRun {
    /// Which.
    pub run: RunId,
    /// The entry that carried the order out: the run's first, or somebody's answer or message.
    pub since: Seq,
}

impl MadeRun {
    /// By the facts that are written after `head`.
    pub(super) fn of(run: RunId, facts: &[Dated], head: Seq) -> Self {
        let is_order =
            |fact: &Fact| matches!(fact, Fact::RunStarted(_) | Fact::Resumed { .. } | Fact::Steered { .. });
        let before = facts.iter().map(|(_, fact)| fact).take_while(|fact| !is_order(fact));
        let since = before.fold(head.saturating_add(1), |seq, fact| seq.saturating_add(fact.width()));
        Self { run, since }
    }
}

impl Claim {
    /// Of an order without a key.
    pub fn none() -> Self {
        Self(None)
    }

    /// Whether the order came under a key.
    pub fn has_key(&self) -> bool {
        self.0.is_some()
    }

    /// Whether the order was carried out before.
    pub fn is_done(&self) -> bool {
        self.0.as_ref().is_some_and(|held| held.made.is_some())
    }

    /// What was made when the order was carried out before.
    ///
    /// # Errors
    /// [`Error::Internal`] if something of another type was made.
    pub fn made<T: DeserializeOwned>(&self) -> Result<Option<T>, Error> {
        let made = self.0.as_ref().and_then(|held| held.made.clone());
        made.map(serde_json::from_value).transpose().map_err(|cause| {
            tracing::error!(%cause, "a receipt is not of the kind its order makes");
            Error::Internal
        })
    }

    /// The record to write with what is made; none without a key.
    pub(super) fn receipt(&self, made: &impl Serialize) -> Result<Option<Put>, Error> {
        let Some(held) = &self.0 else { return Ok(None) };
        let made = serde_json::to_value(made).map_err(|cause| {
            tracing::error!(%cause, "what was made cannot be written as JSON");
            Error::Internal
        })?;
        let receipt = Receipt { fingerprint: held.fingerprint.clone(), at: held.at, made };
        let tags = Tags { sort: held.at.0, listed: true, names: Vec::new() };
        records::put(held.key.clone(), held.expect, tags, &receipt).map(Some)
    }
}

/// One at a time under each key, and when the expired were swept away.
#[derive(Default)]
pub(super) struct Receipts {
    turns: Mutex<HashMap<String, Weak<AsyncMutex<()>>>>,
    swept: AtomicU64,
}

impl Receipts {
    fn turn(&self, id: &str) -> Arc<AsyncMutex<()>> {
        let mut turns = unpoisoned(&self.turns);
        if let Some(turn) = turns.get(id).and_then(Weak::upgrade) {
            return turn;
        }
        if turns.len() == turns.capacity() {
            turns.retain(|_, turn| turn.strong_count() > 0);
        }
        let turn = Arc::new(AsyncMutex::default());
        turns.insert(id.to_owned(), Arc::downgrade(&turn));
        turn
    }
}

impl Runtime {
    /// Claims an order that came under a key; waits while the same key is being used.
    ///
    /// # Errors
    /// [`Error::KeyReused`] if the key stands for another order; what the store says.
    pub async fn claim(&self, owner: &Owner, once: &Once) -> Result<Claim, Error> {
        let key = records::receipt_key(owner, once);
        let turn = self.0.receipts.turn(&key.id).lock_owned().await;
        let now = self.now();
        self.sweep_if_due(now);
        let stored = self.store().get(&key).await?;
        let expect = if stored.is_some() { Expect::Present } else { Expect::Absent };
        let receipt: Option<Receipt> = stored.as_ref().map(records::parse).transpose()?;
        let receipt = receipt.filter(|receipt| !is_expired(receipt.at, now));
        let fingerprint = once.fingerprint.to_string();
        if receipt.as_ref().is_some_and(|receipt| receipt.fingerprint != fingerprint) {
            return Err(Error::KeyReused);
        }
        let made = receipt.map(|receipt| receipt.made);
        Ok(Claim(Some(Arc::new(Held { key, fingerprint, at: now, expect, made, _turn: turn }))))
    }

    /// The same for an order of the server's own, for as long as it takes: what was made is kept under this kind and id
    /// until the caller deletes it.
    ///
    /// # Errors
    /// What the store says.
    pub async fn claim_for_good(&self, owner: &Owner, kind: RecordKind, id: &str) -> Result<Claim, Error> {
        let key = Key { owner: owner.clone(), kind, id: id.to_owned() };
        let turn = self.0.receipts.turn(&key.to_string()).lock_owned().await;
        let stored = self.store().get(&key).await?;
        let expect = if stored.is_some() { Expect::Present } else { Expect::Absent };
        let receipt: Option<Receipt> = stored.as_ref().map(records::parse).transpose()?;
        let made = receipt.map(|receipt| receipt.made);
        let (at, fingerprint) = (self.now(), String::new());
        Ok(Claim(Some(Arc::new(Held { key, fingerprint, at, expect, made, _turn: turn }))))
    }

    /// Sweeps expired receipts away, now and then: there is no clock to wait for, so whoever comes starts it.
    fn sweep_if_due(&self, now: Timestamp) {
        let due = |swept: u64| swept == 0 || now.seconds_since(Timestamp(swept)) >= SWEEP_EVERY.as_secs_f64();
        let swept = &self.0.receipts.swept;
        let mine = swept.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |at| due(at).then_some(now.0));
        if mine.is_ok() {
            let inner = self.0.clone();
            tokio::spawn(async move {
                if let Err(error) = inner.sweep(now).await {
                    tracing::warn!(%error, "expired receipts were not swept away");
                }
            });
        }
    }
}

impl Inner {
    async fn sweep(&self, now: Timestamp) -> Result<(), Error> {
        let mut after: Option<Place> = None;
        loop {
            let query = Query {
                owner: records::server(),
                kind: RECEIPT,
                tag: None,
                newest_first: false,
                after: after.take(),
                skip: 0,
                limit: SWEEP_STEP,
            };
            let page = self.store.list(&query).await?;
            let expired = page.records.iter().filter(|record| is_expired(Timestamp(record.sort), now));
            let keys: Vec<Key> = expired.map(|record| record.key.clone()).collect();
            let more = page.records.len() == keys.len();
            after = page.records.last().map(|last| Place { sort: last.sort, id: last.key.id.clone() });
            self.take_expired(keys, now).await?;
            if !more || after.is_none() {
                return Ok(());
            }
        }
    }

    /// Takes receipts away, save those whose key is in use again.
    async fn take_expired(&self, keys: Vec<Key>, now: Timestamp) -> Result<(), Error> {
        let mut turns = Vec::with_capacity(keys.len());
        let mut batch = Batch::default();
        for key in keys {
            let Ok(turn) = self.receipts.turn(&key.id).try_lock_owned() else { continue };
            let stored = self.store.get(&key).await?;
            if stored.is_some_and(|record| is_expired(Timestamp(record.sort), now)) {
                turns.push(turn);
                batch.deletes.push(key);
            }
        }
        if !batch.deletes.is_empty() {
            self.store.commit(batch).await?;
        }
        drop(turns);
        Ok(())
    }
}

fn is_expired(at: Timestamp, now: Timestamp) -> bool {
    now.seconds_since(at) >= KEPT.as_secs_f64()
}
