//! What was said in a session before: kept in its room, so that the next run of a conversation reads nothing.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::domain::id::RunId;
use crate::domain::message::Message;
use crate::domain::view::RunView;

/// Runs kept; an agent that is shown more has them read.
const KEPT_RUNS: usize = 8;

/// Longest run that is kept, in bytes of its texts.
const KEPT_BYTES: usize = 16 * 1024;

/// What a run said.
#[derive(Debug)]
pub(super) struct PastRun {
    pub(super) id: RunId,
    pub(super) messages: Vec<Message>,
}

impl PastRun {
    pub(super) fn of(view: &RunView) -> Self {
        Self { id: view.run, messages: view.messages() }
    }

    fn is_small(&self) -> bool {
        let bytes = |message: &Message| match message {
            Message::System { text } => text.len(),
            Message::User { input } if input.media.is_empty() => input.text.len(),
            Message::User { .. } => KEPT_BYTES,
            Message::Assistant { text, reasoning, tool_calls } => {
                let calls: usize = tool_calls.iter().map(|call| call.arguments.len()).sum();
                text.len().saturating_add(reasoning.len()).saturating_add(calls)
            }
            Message::Tool { content, images, .. } if images.is_empty() => content.len(),
            Message::Tool { .. } => KEPT_BYTES,
        };
        self.messages.iter().map(bytes).sum::<usize>() < KEPT_BYTES
    }
}

/// The latest completed runs of a session, as far as they are known.
#[derive(Debug, Default)]
pub(super) struct Past {
    /// Latest last; without a gap up to the present.
    runs: VecDeque<Arc<PastRun>>,
    /// Whether somebody read or made them: then nothing is missing after the first of them.
    known: bool,
    /// Whether there are none before.
    whole: bool,
}

impl Past {
    /// The latest so many, oldest first; `None` if they must be read.
    pub(super) fn latest(&self, wanted: usize) -> Option<Vec<Arc<PastRun>>> {
        let enough = self.known && (self.whole || self.runs.len() >= wanted);
        enough.then(|| self.runs.iter().skip(self.runs.len().saturating_sub(wanted)).cloned().collect())
    }

    /// Takes in what was read: the latest runs, oldest first.
    pub(super) fn learn(&mut self, runs: &[Arc<PastRun>], whole: bool) {
        *self = Self { runs: VecDeque::new(), known: true, whole };
        runs.iter().cloned().for_each(|run| self.push(run));
    }

    /// Takes in the run that was just completed.
    pub(super) fn add(&mut self, view: &RunView) {
        if self.known {
            self.push(Arc::new(PastRun::of(view)));
        }
    }

    /// Forgets a run that another has taken the place of, should it be so.
    pub(super) fn leave_out(&mut self, run: RunId) {
        self.runs.retain(|past| past.id != run);
    }

    fn push(&mut self, run: Arc<PastRun>) {
        if !run.is_small() {
            *self = Self::default();
            return;
        }
        self.runs.push_back(run);
        if self.runs.len() > KEPT_RUNS {
            self.runs.pop_front();
            self.whole = false;
        }
    }
}
