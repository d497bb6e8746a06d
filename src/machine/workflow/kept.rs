//! What a run keeps of one that failed: its finished steps, so that only what failed is done again.

use std::collections::{HashMap, HashSet};

use super::outline::sight;
use super::stage;
use crate::domain::fact::{Below, Fact};
use crate::domain::step::{StepAnswer, StepKey};
use crate::domain::steps::StepView;
use crate::domain::view::RunView;

/// What becomes of a step that is not over, or not well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lost {
    /// It is done anew, and whoever was asked about it is asked again.
    Whole,
    /// It holds steps that are kept: it goes on as it did before it failed.
    Ending,
}

/// Of the facts of a run that failed, those of its finished steps, in their order: a run that begins with them goes
/// on from what failed. `view` is the fold of `facts`.
pub fn kept<'a>(view: &RunView, facts: impl IntoIterator<Item = &'a Fact> + Clone) -> Vec<Fact> {
    let lost = lost(view);
    let mut begun: HashMap<&StepKey, usize> = HashMap::new();
    for (at, fact) in facts.clone().into_iter().enumerate() {
        if let Fact::StepStarted { step, .. } = fact {
            begun.insert(step, at);
        }
    }
    let is_last_try = |step: &StepKey, at: usize| begun.get(step).is_none_or(|begun| *begun < at);
    let keep = |(at, fact): (usize, &Fact)| match fact {
        Fact::StepStarted { step, .. } | Fact::StepDecided { step, .. } => {
            (lost.get(step) != Some(&Lost::Whole)).then(|| fact.clone())
        }
        Fact::StepFailed { step, .. } | Fact::StepFinished { step, .. } => match lost.get(step) {
            Some(Lost::Whole) => None,
            Some(Lost::Ending) => (!is_last_try(step, at)).then(|| fact.clone()),
            None => Some(fact.clone()),
        },
        Fact::Resumed { decisions, .. } => {
            let is_kept = |answer: &&StepAnswer| lost.get(&answer.step) != Some(&Lost::Whole);
            let decisions: Vec<StepAnswer> = decisions.iter().filter(is_kept).cloned().collect();
            (!decisions.is_empty()).then(|| Fact::Resumed {
                answers: Vec::new(),
                decisions,
                below: Below::default(),
            })
        }
        Fact::RunStarted(_)
        | Fact::Forked { .. }
        | Fact::RunPrepared { .. }
        | Fact::ModelCalled { .. }
        | Fact::Said { .. }
        | Fact::Lost { .. }
        | Fact::ModelAnswered { .. }
        | Fact::ModelFailed { .. }
        | Fact::ToolStarted { .. }
        | Fact::ToolFinished { .. }
        | Fact::ToolDoubted { .. }
        | Fact::Steered { .. }
        | Fact::Paused { .. }
        | Fact::RunFinished { .. } => None,
    };
    facts.into_iter().enumerate().filter_map(keep).collect()
}

/// Steps that came to nothing, and that are within no step that came to something: there nothing is done again.
fn lost(view: &RunView) -> HashMap<StepKey, Lost> {
    let bad: HashSet<&StepKey> =
        view.steps.iter().filter(|step| !is_well(step)).map(|step| &step.key).collect();
    let is_lost = |step: &&StepView| {
        let mut above = step.key.above();
        while let Some(key) = above {
            if !bad.contains(&key) {
                return false;
            }
            above = key.above();
        }
        bad.contains(&step.key)
    };
    let lost = view.steps.iter().filter(is_lost).map(|step| {
        let holds = sight(view, &step.key).is_some_and(|sight| !stage::is_performed(sight.spec));
        let began = step.attempt > 0;
        (step.key.clone(), if holds && began { Lost::Ending } else { Lost::Whole })
    });
    lost.collect()
}

/// Whether the run went on after it: it has an output, or was passed over.
fn is_well(step: &StepView) -> bool {
    step.output.as_ref().is_some_and(|output| output.error.is_none() || output.skipped)
}
