//! A run and every run below it, as one: members of a team, runs of a workflow's steps, and theirs.

use std::collections::HashMap;

use crate::domain::fact::{Entry, Fact, Place, RunStart};
use crate::domain::id::{CallId, RunId};
use crate::domain::run::Status;
use crate::domain::spec::ComponentKind;
use crate::domain::step::{StepKey, StepPlace};
use crate::domain::view::RunView;

/// What the entries of a run and of those below it tell.
#[derive(Debug, Clone)]
pub struct Tree {
    root: RunView,
    below: Vec<RunView>,
    places: HashMap<RunId, usize>,
    children: HashMap<RunId, Vec<usize>>,
    of_calls: HashMap<(RunId, CallId), Vec<usize>>,
    of_steps: HashMap<(RunId, StepKey), usize>,
}

/// A run in its tree.
#[derive(Debug, Clone, Copy)]
pub struct Node<'a> {
    /// The run.
    pub view: &'a RunView,
    tree: &'a Tree,
}

impl From<RunView> for Tree {
    /// A run without any below it.
    fn from(root: RunView) -> Self {
        Self {
            root,
            below: Vec::new(),
            places: HashMap::new(),
            children: HashMap::new(),
            of_calls: HashMap::new(),
            of_steps: HashMap::new(),
        }
    }
}

impl Tree {
    /// By the entries from the root's first on; those of other runs are passed over. `None` if they do not begin
    /// with the root's start.
    pub fn of<'a>(root: RunId, entries: impl IntoIterator<Item = &'a Entry>) -> Option<Self> {
        let mut entries = entries.into_iter().skip_while(|entry| entry.run != root);
        let first = entries.next()?;
        let Fact::RunStarted(start) = &first.fact else { return None };
        let mut tree = Self::from(RunView::new(root, first.at, start));
        for entry in entries {
            tree.take(entry);
        }
        Some(tree)
    }

    /// Takes in the next entry; whether it belongs to the tree.
    pub fn take(&mut self, entry: &Entry) -> bool {
        if let Some(view) = self.view_mut(entry.run) {
            view.apply(entry);
            return true;
        }
        matches!(&entry.fact, Fact::RunStarted(start) if self.adopt(entry, start))
    }

    /// The root again, with what is known beside its entries.
    pub(super) fn root_mut(&mut self) -> &mut RunView {
        &mut self.root
    }

    pub(super) fn view_mut(&mut self, run: RunId) -> Option<&mut RunView> {
        if run == self.root.run {
            return Some(&mut self.root);
        }
        self.below.get_mut(*self.places.get(&run)?)
    }

    /// Whether a run is this one or below it.
    pub(super) fn is_within(&self, run: RunId, above: RunId) -> bool {
        let mut node = self.node(run);
        while let Some(found) = node {
            if found.view.run == above {
                return true;
            }
            node = found.parent();
        }
        false
    }

    /// Forgets what all runs said and what their tools gave.
    pub(super) fn forget_texts(&mut self) {
        let turns = std::iter::once(&mut self.root).chain(&mut self.below).flat_map(|view| &mut view.turns);
        for turn in turns {
            turn.text = String::new();
            turn.reasoning = String::new();
            let results = turn.calls.iter_mut().filter_map(|call| call.result.as_mut());
            results.for_each(|result| result.content = String::new());
        }
    }

    fn adopt(&mut self, entry: &Entry, start: &RunStart) -> bool {
        let known = |parent| parent == self.root.run || self.places.contains_key(&parent);
        let Some(parent) = start.parent.filter(|parent| known(*parent)) else { return false };
        let at = self.below.len();
        self.below.push(RunView::new(entry.run, entry.at, start));
        self.places.insert(entry.run, at);
        self.children.entry(parent).or_default().push(at);
        match &start.place {
            Some(Place::Call(call) | Place::Task(call, _)) => {
                self.of_calls.entry((parent, call.clone())).or_default().push(at)
            }
            Some(Place::Step(place)) => {
                self.of_steps.insert((parent, place.step.clone()), at);
            }
            None => {}
        }
        true
    }

    /// The run at the top.
    pub fn root(&self) -> Node<'_> {
        Node { view: &self.root, tree: self }
    }

    /// A run of the tree.
    pub fn node(&self, run: RunId) -> Option<Node<'_>> {
        if run == self.root.run {
            return Some(self.root());
        }
        Some(self.at(self.below.get(*self.places.get(&run)?)?))
    }

    /// All runs, the root first, in the order in which they began.
    pub fn nodes(&self) -> impl Iterator<Item = Node<'_>> {
        std::iter::once(&self.root).chain(&self.below).map(|view| self.at(view))
    }

    fn at<'a>(&'a self, view: &'a RunView) -> Node<'a> {
        Node { view, tree: self }
    }

    fn listed<'a>(&'a self, places: Option<&'a Vec<usize>>) -> impl Iterator<Item = Node<'a>> {
        let places = places.into_iter().flatten();
        places.filter_map(|at| self.below.get(*at)).map(|view| self.at(view))
    }
}

impl<'a> Node<'a> {
    /// Runs this one started, in order.
    pub fn children(self) -> impl Iterator<Item = Node<'a>> {
        self.tree.listed(self.tree.children.get(&self.view.run))
    }

    /// Runs a call of this one started: of members that a task was handed to.
    pub fn of_call(self, call: &CallId) -> impl Iterator<Item = Node<'a>> {
        self.tree.listed(self.tree.of_calls.get(&(self.view.run, call.clone())))
    }

    /// The run of a step, of its latest try.
    pub fn of_step(self, step: &StepKey) -> Option<Node<'a>> {
        let at = self.tree.of_steps.get(&(self.view.run, step.clone()))?;
        self.tree.below.get(*at).map(|view| self.tree.at(view))
    }

    /// The run above, if it is part of the tree.
    pub fn parent(self) -> Option<Node<'a>> {
        self.tree.node(self.view.parent?)
    }

    /// How many workflows are around the one it is, or works for.
    pub fn nested_workflows(self) -> u32 {
        let above = std::iter::successors(Some(self), |node| node.parent());
        let workflows = above.filter(|node| node.view.spec.kind() == ComponentKind::Workflow).count();
        u32::try_from(workflows.saturating_sub(1)).unwrap_or(u32::MAX)
    }

    /// Whether it is the top.
    pub fn is_root(self) -> bool {
        self.view.run == self.tree.root.run
    }

    /// The workflow's step it works for, itself or through the team it is a member of, and the run of that
    /// workflow.
    pub fn step(self) -> Option<(&'a StepPlace, Option<Node<'a>>)> {
        let mut node = self;
        loop {
            if let Some(Place::Step(place)) = &node.view.place {
                return Some((place, node.parent()));
            }
            node = node.parent()?;
        }
    }

    /// Whether it waits for somebody.
    pub fn waits(self) -> bool {
        self.view.status == Status::Paused
    }
}
