//! Steps of a workflow, as its log tells them.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Object;
use super::id::RunId;

/// Names one performance of a step within its run: the names of the steps around it and its own, with `/` between.
/// A repetition has its number, as in `polish[2]/edit`; the branch of a condition or router needs no name, for only
/// one is taken.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StepKey(Arc<str>);

impl StepKey {
    /// A step of the workflow itself.
    pub fn top(name: &str) -> Self {
        Self(name.into())
    }

    /// A step within this one.
    #[must_use]
    pub fn child(&self, name: &str) -> Self {
        Self(format!("{self}/{name}").into())
    }

    /// One repetition of this loop, from 1.
    #[must_use]
    pub fn iteration(&self, number: u32) -> Self {
        Self(format!("{self}[{number}]").into())
    }

    /// The step that this one is within.
    #[must_use]
    pub fn above(&self) -> Option<Self> {
        let (above, _) = self.0.rsplit_once('/')?;
        let name = above.strip_suffix(']').and_then(|numbered| numbered.rsplit_once('['));
        Some(Self::top(name.map_or(above, |(name, _)| name)))
    }

    /// Whether it is a step of the workflow itself, and not of one of its steps.
    pub fn is_top(&self) -> bool {
        !self.0.contains(['/', '['])
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for StepKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What came of a step.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct StepOutput {
    /// What the next step is given.
    pub content: String,
    /// Why it failed; `None` if it did not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Whether it was passed over: its condition did not hold, somebody refused it, or it failed and may.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub skipped: bool,
    /// The run that did it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
}

/// What was settled about a step that chooses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Choice {
    /// Of a condition: whether it holds.
    Branch(bool),
    /// Of a router: which routes, in this order.
    Routes(Vec<String>),
    /// Of a loop, after an iteration: whether there is another.
    Again(bool),
}

/// What somebody decided about a step that waited.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepAnswer {
    /// Which step.
    pub step: StepKey,
    /// What.
    pub decision: StepDecision,
}

/// One decision about a step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepDecision {
    /// Go ahead, or, of a review, go on.
    Approved {
        /// What a person gave; steps and expressions see it as `user_input`.
        #[serde(default)]
        values: Object,
        /// Of a router that asks: which routes.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        routes: Vec<String>,
    },
    /// Do not; what happens then is the step's `on_reject`.
    Rejected {
        /// Told to whoever tries again.
        #[serde(default)]
        feedback: Option<String>,
    },
    /// Of a review: go on with this in place of what came out.
    Edited {
        /// The new output.
        content: String,
    },
}

/// Where in its parent a run belongs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepPlace {
    /// The step.
    pub step: StepKey,
    /// Its name.
    pub name: String,
    /// Where it stands among its neighbours, from 0, from the outermost list inwards.
    pub index: Vec<usize>,
    /// Which try, from 1.
    pub attempt: u32,
}
