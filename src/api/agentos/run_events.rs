//! The events of one run and of those below it, from its first, for as long as there are any.

use std::collections::{HashMap, VecDeque};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures::Stream;
use futures::stream::{BoxStream, StreamExt};

use crate::domain::fact::{Entry, Fact, Seq};
use crate::domain::id::{Owner, RunId, SessionId};
use crate::runtime::{Error, Runtime};

use super::events::{Event, Projector};
use super::recall::Recall;

/// Entries of a log, as the runtime tells them.
pub type Entries = BoxStream<'static, Result<Arc<Entry>, Error>>;

/// Reads a log from after a number.
pub type ReadAfter = Box<dyn Fn(Seq) -> Entries + Send>;

/// A stream that ends with the run's own last event, or when it pauses; what runs below it do does not end it.
pub struct RunEvents {
    entries: Entries,
    log: ReadAfter,
    run: RunId,
    /// Where each run of the tree begins.
    first: HashMap<RunId, Seq>,
    projector: Option<Projector>,
    recall: Option<Recall>,
    ready: VecDeque<Event>,
    settled: u64,
    /// Entries before it are counted and not shown.
    from: Seq,
    over: bool,
}

impl RunEvents {
    /// Watches a run whose first entry is `first`; `settled` as in [`RunEvents::of`].
    pub fn watch(
        runtime: &Runtime,
        owner: &Owner,
        session: &SessionId,
        place: (RunId, Seq),
        settled: u64,
    ) -> Self {
        let (runtime, owner, session) = (runtime.clone(), owner.clone(), session.clone());
        Self::of(place, Box::new(move |after| runtime.tail(&owner, &session, after).boxed()), settled)
    }

    /// The events of a run whose first entry is `first`. Of the events there are already, the first `settled` may
    /// hold pauses that are over: those do not end the stream.
    pub fn of((run, first): (RunId, Seq), log: ReadAfter, settled: u64) -> Self {
        let entries = log(first.saturating_sub(1));
        Self {
            entries,
            log,
            run,
            first: HashMap::new(),
            projector: None,
            recall: None,
            ready: VecDeque::new(),
            settled,
            from: 0,
            over: false,
        }
    }

    /// Shows only what comes from this entry on.
    pub fn from(self, from: Seq) -> Self {
        Self { from, ..self }
    }

    fn take_in(&mut self, entry: Arc<Entry>) {
        if self.projector.is_none() && entry.run == self.run {
            self.projector = Projector::forgetful(&entry);
        }
        let Some(projector) = &mut self.projector else { return };
        if !projector.needs_texts(&entry) {
            self.project(&entry);
        } else if let Some(first) = self.first.get(&entry.run) {
            projector.tree_mut().forget_texts();
            self.recall = Some(Recall::new((self.log)(first.saturating_sub(1)), entry));
        }
    }

    fn project(&mut self, entry: &Entry) {
        let Some(projector) = &mut self.projector else { return };
        let events = projector.project(entry);
        if matches!(entry.fact, Fact::RunStarted(_)) && !events.is_empty() {
            self.first.insert(entry.run, entry.seq);
        }
        if entry.last_seq() >= self.from {
            self.ready.extend(events);
        }
    }

    fn is_last(&self, event: &Event) -> bool {
        event.ends_run() || (event.pauses_run() && event.index >= self.settled)
    }

    /// Reads what was forgotten, if that is needed; whether the log goes on.
    fn poll_recall(&mut self, context: &mut Context<'_>) -> Poll<Result<bool, Error>> {
        let (Some(recall), Some(projector)) = (&mut self.recall, &mut self.projector) else {
            return Poll::Ready(Ok(true));
        };
        let found = ready!(recall.poll(projector.tree_mut(), context));
        let entry = recall.entry.clone();
        self.recall = None;
        if matches!(found, Ok(true)) {
            self.project(&entry);
        }
        Poll::Ready(found)
    }

    /// Takes in the next entry; whether there was one.
    fn poll_entry(&mut self, context: &mut Context<'_>) -> Poll<Result<bool, Error>> {
        let Some(entry) = ready!(self.entries.poll_next_unpin(context)) else {
            return Poll::Ready(Ok(false));
        };
        self.take_in(entry?);
        Poll::Ready(Ok(true))
    }
}

impl Stream for RunEvents {
    type Item = Event;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Event>> {
        let this = self.get_mut();
        loop {
            if this.over {
                return Poll::Ready(None);
            }
            if let Some(event) = this.ready.pop_front() {
                this.over = this.is_last(&event);
                return Poll::Ready(Some(event));
            }
            let next = match &this.recall {
                Some(_) => ready!(this.poll_recall(context)),
                None => ready!(this.poll_entry(context)),
            };
            if let Err(error) = &next {
                tracing::warn!(run.id = %this.run, %error, "the events of run {} broke off", this.run);
            }
            this.over = !matches!(next, Ok(true));
        }
    }
}
