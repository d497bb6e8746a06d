//! A run and those below it, as far as their entries have come.

use std::collections::HashMap;

use crate::domain::fact::{Entry, Fact, Place};
use crate::domain::id::{CallId, RunId};
use crate::domain::view::RunView;

/// What was heard of a tree of runs.
pub(super) struct Heard {
    /// The run at the top.
    pub(super) root: RunId,
    /// All of them, each after the one that asked for it.
    pub(super) views: Vec<RunView>,
    /// What runs below the root said since their last whole line.
    pub(super) unsaid: HashMap<RunId, String>,
    /// Whether what was printed last has no end of its line yet.
    pub(super) is_mid_line: bool,
}

impl Heard {
    pub(super) fn nothing(root: RunId) -> Self {
        Self { root, views: Vec::new(), unsaid: HashMap::new(), is_mid_line: false }
    }

    /// Takes in an entry; whether it is one of the tree's.
    pub(super) fn take(&mut self, entry: &Entry) -> bool {
        if let Some(view) = self.views.iter_mut().find(|view| view.run == entry.run) {
            view.apply(entry);
            return true;
        }
        let Fact::RunStarted(start) = &entry.fact else { return false };
        let is_ours =
            entry.run == self.root || start.parent.is_some_and(|parent| self.view(parent).is_some());
        if is_ours {
            self.views.push(RunView::new(entry.run, entry.at, start));
        }
        is_ours
    }

    pub(super) fn view(&self, run: RunId) -> Option<&RunView> {
        self.views.iter().find(|view| view.run == run)
    }

    /// How many runs are above this one.
    pub(super) fn depth(&self, run: RunId) -> usize {
        let parent = |run: &RunId| self.view(*run)?.parent;
        std::iter::successors(parent(&run), parent).count()
    }

    /// Whether a task was handed on with this call.
    pub(super) fn is_handed_on(&self, run: RunId, call: &CallId) -> bool {
        let is_of = |place: &Place| matches!(place, Place::Call(other) if other == call);
        self.views.iter().any(|view| view.parent == Some(run) && view.place.as_ref().is_some_and(is_of))
    }
}
