//! The events of one run and of those below it, from its first, for as long as there are any.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures::Stream;
use futures::stream::{BoxStream, StreamExt};

use crate::domain::fact::{Entry, Seq};
use crate::domain::id::{Owner, RunId, SessionId};
use crate::runtime::{Error, Runtime};

use super::events::{Event, Projector};

/// Entries of a log, as the runtime tells them.
pub type Entries = BoxStream<'static, Result<Arc<Entry>, Error>>;

/// A stream that ends with the run's own last event, or when it pauses; what runs below it do does not end it.
pub struct RunEvents {
    entries: Entries,
    run: RunId,
    projector: Option<Projector>,
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
        (run, first): (RunId, Seq),
        settled: u64,
    ) -> Self {
        Self::of(run, runtime.tail(owner, session, first.saturating_sub(1)).boxed(), settled)
    }

    /// The events of a run, whose entries are among these from its first on. Of the events there are
    /// already, the first `settled` may hold pauses that are over: those do not end the stream.
    pub fn of(run: RunId, entries: Entries, settled: u64) -> Self {
        Self { entries, run, projector: None, ready: VecDeque::new(), settled, from: 0, over: false }
    }

    /// Shows only what comes from this entry on.
    pub fn from(self, from: Seq) -> Self {
        Self { from, ..self }
    }

    fn take_in(&mut self, entry: &Entry) {
        if self.projector.is_none() && entry.run == self.run {
            self.projector = Projector::new(entry);
        }
        if let Some(projector) = &mut self.projector {
            let events = projector.project(entry);
            if entry.last_seq() >= self.from {
                self.ready.extend(events);
            }
        }
    }

    fn is_last(&self, event: &Event) -> bool {
        event.ends_run() || (event.pauses_run() && event.index >= self.settled)
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
            match ready!(this.entries.poll_next_unpin(context)) {
                Some(Ok(entry)) => this.take_in(&entry),
                Some(Err(error)) => {
                    tracing::warn!(run.id = %this.run, %error, "the events of run {} broke off", this.run);
                    this.over = true;
                }
                None => this.over = true,
            }
        }
    }
}
