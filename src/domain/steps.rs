//! The steps of a workflow's run as its facts tell them: a fold of their own, for there may be many.

use std::collections::HashMap;
use std::sync::Arc;

use super::fact::Failure;
use super::step::{Choice, StepDecision, StepKey, StepOutput};
use super::time::Timestamp;

/// One performance of a step, and what came of it.
#[derive(Debug, Clone, PartialEq)]
pub struct StepView {
    /// Its name within the run.
    pub key: StepKey,
    /// When it began, or was first waited for.
    pub began: Timestamp,
    /// The present try, from 1; 0 if it has not begun.
    pub attempt: u32,
    /// When the present try began.
    pub tried: Option<Timestamp>,
    /// When it was over.
    pub finished: Option<Timestamp>,
    /// Tries that came to nothing.
    pub failures: Vec<Failure>,
    /// What was chosen, in order; a loop chooses after each iteration.
    pub choices: Vec<Choice>,
    /// What came of it.
    pub output: Option<StepOutput>,
    /// What somebody decided about it, in order.
    pub decisions: Vec<StepDecision>,
    /// What somebody decided after it had failed, in order.
    pub remedies: Vec<Remedy>,
}

/// What somebody decided about a step that had failed.
#[derive(Debug, Clone, PartialEq)]
pub struct Remedy {
    /// How many tries had come to nothing by then.
    pub after: usize,
    /// To try again, to pass over, or to go on with what was given.
    pub decision: StepDecision,
}

/// Steps in the order in which they began. Found by name at once, and copied without what they hold.
#[derive(Debug, Clone, Default)]
pub struct Steps {
    list: Vec<Arc<StepView>>,
    places: HashMap<StepKey, usize>,
}

impl PartialEq for Steps {
    fn eq(&self, other: &Self) -> bool {
        self.list == other.list
    }
}

impl Steps {
    /// All of them.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &StepView> {
        self.list.iter().map(AsRef::as_ref)
    }

    /// The step of that name.
    pub fn get(&self, key: &StepKey) -> Option<&StepView> {
        self.list.get(*self.places.get(key)?).map(AsRef::as_ref)
    }

    /// Whether none began.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Changes a step, which begins now if nobody has heard of it.
    pub(super) fn change(&mut self, at: Timestamp, key: &StepKey, change: impl FnOnce(&mut StepView)) {
        let place = self.places.get(key).and_then(|place| self.list.get_mut(*place));
        if let Some(found) = place {
            return change(Arc::make_mut(found));
        }
        let mut new = StepView::new(key.clone(), at);
        change(&mut new);
        self.places.insert(key.clone(), self.list.len());
        self.list.push(Arc::new(new));
    }
}

impl StepView {
    fn new(key: StepKey, began: Timestamp) -> Self {
        Self {
            key,
            began,
            attempt: 0,
            tried: None,
            finished: None,
            failures: Vec::new(),
            choices: Vec::new(),
            output: None,
            decisions: Vec::new(),
            remedies: Vec::new(),
        }
    }

    /// What was decided about the failure of its last try; `None` while nobody did.
    pub fn remedy(&self) -> Option<&StepDecision> {
        let last = self.remedies.last().filter(|remedy| remedy.after == self.failures.len());
        last.map(|remedy| &remedy.decision)
    }

    /// Tries that came to nothing since somebody last had it tried again.
    pub fn failures_in_a_row(&self) -> usize {
        self.failures.len() - self.remedies.last().map_or(0, |remedy| remedy.after)
    }

    /// A decision about what came out changes it: an edit takes its place, and what was refused is passed over. One
    /// about a step that began and has no output is about its failure.
    pub(super) fn hear(&mut self, decision: &StepDecision) {
        if self.output.is_none() && self.attempt > 0 {
            return self.remedies.push(Remedy { after: self.failures.len(), decision: decision.clone() });
        }
        match (decision, &mut self.output) {
            (StepDecision::Edited { content }, Some(output)) => output.content.clone_from(content),
            (StepDecision::Rejected { .. }, Some(output)) => output.skipped = true,
            (StepDecision::Approved { .. }, _) | (_, None) => {}
        }
        self.decisions.push(decision.clone());
    }
}
