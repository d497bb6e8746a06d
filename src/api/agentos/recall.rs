//! What the runs of a tree said, read again for an event that tells the whole of it.
//!
//! A watcher forgets what was said, for whoever reads a long run slowly would hold all of it. Only the last event of a
//! run needs it again.

use std::collections::HashMap;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures::StreamExt;

use crate::domain::fact::{Entry, Fact, Piece};
use crate::domain::id::RunId;
use crate::runtime::Error;

use super::run_events::Entries;
use super::tree::Tree;

/// Brings back to a tree what a run and those below it said before an entry.
pub(super) struct Recall {
    entries: Entries,
    /// The entry whose events need it.
    pub(super) entry: Arc<Entry>,
    /// Questions to models that were passed so far, run by run.
    asked: HashMap<RunId, usize>,
}

impl Recall {
    /// `entries` are the log's from the first of the run that `entry` belongs to.
    pub(super) fn new(entries: Entries, entry: Arc<Entry>) -> Self {
        Self { entries, entry, asked: HashMap::new() }
    }

    /// Reads on. Ready when all is there; `false` if the log is gone.
    pub(super) fn poll(&mut self, tree: &mut Tree, context: &mut Context<'_>) -> Poll<Result<bool, Error>> {
        loop {
            let Some(entry) = ready!(self.entries.poll_next_unpin(context)) else {
                return Poll::Ready(Ok(false));
            };
            let entry = entry?;
            if entry.seq >= self.entry.seq {
                return Poll::Ready(Ok(true));
            }
            self.take(tree, &entry);
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "nothing else was forgotten")]
    fn take(&mut self, tree: &mut Tree, entry: &Entry) {
        if !tree.is_within(entry.run, self.entry.run) {
            return;
        }
        let Some(view) = tree.view_mut(entry.run) else { return };
        let asked = self.asked.entry(entry.run).or_default();
        match &entry.fact {
            Fact::ModelCalled { .. } => *asked += 1,
            Fact::Said { pieces } => {
                let Some(turn) = asked.checked_sub(1).and_then(|at| view.turns.get_mut(at)) else { return };
                for piece in pieces {
                    match piece {
                        Piece::Text(text) => turn.text.push_str(text),
                        Piece::Reasoning(text) => turn.reasoning.push_str(text),
                    }
                }
            }
            Fact::ToolFinished { call, result } => {
                let calls = view.turns.iter_mut().rev().flat_map(|turn| turn.calls.iter_mut());
                if let Some(found) = calls.into_iter().find(|found| found.call.id == *call) {
                    found.result = Some(result.clone());
                }
            }
            _ => {}
        }
    }
}
