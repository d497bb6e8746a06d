//! Floor 1, decisions: pure functions of facts.
//!
//! A machine never awaits, reads a clock or asks anybody. The driver in `runtime` performs the [`Step`] that
//! [`Machine::next`] names, tells the machine the [`News`], writes down the facts that [`Machine::decide`]
//! makes of them, and only then [`Machine::apply`]s them. Replaying the facts gives the same machine again.

mod agent;
pub mod workflow;

pub use agent::AgentMachine;
pub use workflow::WorkflowMachine;

use std::time::Duration;

use crate::domain::Object;
use crate::domain::fact::{Answer, Below, Entry, Fact, Failure, RunStart};
use crate::domain::id::{CallId, ComponentId, ModelName, RunId};
use crate::domain::message::{Finish, Input, Usage};
use crate::domain::spec::{ComponentKind, Spec};
use crate::domain::state::Change;
use crate::domain::step::{StepAnswer, StepKey, StepOutput, StepPlace};
use crate::domain::time::Timestamp;
use crate::domain::tool::{ToolCall, ToolResult};
use crate::domain::view::RunView;

/// What must be done now.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Settle what the run starts from, and tell [`News::Prepared`].
    Prepare,
    /// Ask this model.
    CallModel {
        /// Which question, from 1.
        turn: u32,
        /// Whom.
        model: ModelName,
    },
    /// Call these tools, all at once.
    RunTools(Vec<ToolOrder>),
    /// Perform these steps of a workflow, all at once.
    RunSteps(Vec<StepOrder>),
    /// Nothing, until somebody answers.
    Wait,
    /// Nothing more.
    Stop,
}

/// One tool call to perform.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolOrder {
    /// As the model wrote it.
    pub call: ToolCall,
    /// Arguments a person gave, laid over the model's.
    pub values: Object,
    /// It may have happened already: the process ended after the intent was written.
    pub in_doubt: bool,
    /// Somebody agreed, so its gate is open.
    pub approved: bool,
}

/// One step of a workflow to perform.
#[derive(Debug, Clone, PartialEq)]
pub struct StepOrder {
    /// Where it is.
    pub place: StepPlace,
    /// What does it.
    pub work: StepWork,
    /// What it is given.
    pub input: Input,
    /// A try that takes longer has failed.
    pub timeout: Option<Duration>,
    /// Its tool may have been called already: the process ended after the intent was written.
    pub in_doubt: bool,
}

/// What performs a step.
#[derive(Debug, Clone, PartialEq)]
pub enum StepWork {
    /// A run of this component.
    Run(ComponentKind, ComponentId),
    /// A call of this declared tool, with these arguments.
    Tool(String, Object),
}

/// What became of a step, or came from outside.
#[derive(Debug, Clone, PartialEq)]
pub enum News {
    /// The run's turn has come.
    Prepared {
        /// The system message, rendered.
        system: Option<String>,
        /// The state the run sees.
        state: Object,
        /// The state as stored.
        stored: Object,
        /// Earlier runs to show.
        history: Vec<RunId>,
        /// Of a workflow that failed and is resumed: what is kept of it, see [`workflow::kept`].
        kept: Vec<Fact>,
    },
    /// A model is being asked.
    ModelCalled {
        /// Which question.
        turn: u32,
        /// Whom.
        model: ModelName,
    },
    /// The model is done.
    ModelAnswered {
        /// What it wants called.
        tool_calls: Vec<ToolCall>,
        /// Which of those wait for somebody.
        gated: Vec<CallId>,
        /// With which of them the run ends.
        last: Option<CallId>,
        /// Why it stopped.
        finish: Finish,
        /// What it cost.
        usage: Usage,
        /// The provider's name for the answer.
        provider_id: Option<String>,
    },
    /// The call came to nothing.
    ModelFailed(Failure),
    /// The machine lost its power while a model was answering.
    PiecesLost {
        /// As many as may have been shown and are gone.
        pieces: u64,
    },
    /// Calls that may have taken effect, and a person is to be asked.
    ToolsDoubted(Vec<CallId>),
    /// A message joins the run.
    Steered(Input),
    /// What came of a tool call.
    ToolFinished {
        /// Which.
        call: CallId,
        /// The outcome.
        result: ToolResult,
    },
    /// All that goes on waits: the members that these calls were handed to wait for somebody.
    CallsWait(Vec<CallId>),
    /// A try of a step is over, well.
    StepFinished {
        /// Which.
        step: StepKey,
        /// The outcome.
        output: StepOutput,
        /// What it changed in the session's state.
        state: Vec<Change>,
    },
    /// A try of a step came to nothing.
    StepFailed {
        /// Which.
        step: StepKey,
        /// Why.
        failure: Failure,
    },
    /// All that goes on waits: the runs of these steps wait for somebody.
    StepsWait(Vec<StepKey>),
    /// Somebody answered.
    Answered(Heard),
    /// Somebody wants it stopped.
    Cancelled {
        /// Why.
        reason: String,
    },
    /// It cannot go on.
    Broken(Failure),
}

/// What somebody answered, of one run.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Heard {
    /// About its calls.
    pub answers: Vec<Answer>,
    /// About its steps.
    pub decisions: Vec<StepAnswer>,
    /// Runs below these were answered.
    pub below: Below,
}

/// The log says something that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the log of run {run} does not add up: {what}")]
pub struct Violation {
    /// Whose log.
    pub run: RunId,
    /// What is wrong.
    pub what: String,
}

/// The decisions of one run.
#[derive(Debug, Clone)]
pub enum Machine {
    /// Of an agent, or of a team's leader: an agent that may hand work to others.
    Agent(AgentMachine),
    /// Of a workflow.
    Workflow(WorkflowMachine),
}

impl Machine {
    /// The machine of a run that is being accepted.
    ///
    /// # Errors
    /// If no machine runs this kind of component.
    pub fn accept(run: RunId, at: Timestamp, start: &RunStart) -> Result<Self, Violation> {
        let view = RunView::new(run, at, start);
        Ok(match start.spec.as_ref() {
            Spec::Agent(agent) => Self::Agent(AgentMachine::new(view, agent)),
            Spec::Team(team) => Self::Agent(AgentMachine::new(view, &team.leader).leading(team.mode)),
            Spec::Workflow(_) => Self::Workflow(WorkflowMachine::new(view)),
        })
    }

    /// The machine as its facts left it; entries of other runs are passed over.
    ///
    /// # Errors
    /// If the entries are not the log of a run.
    pub fn replay<'a>(run: RunId, entries: impl IntoIterator<Item = &'a Entry>) -> Result<Self, Violation> {
        let mut entries = entries.into_iter().filter(|entry| entry.run == run);
        let first = entries.next().ok_or_else(|| Violation { run, what: "it is empty".into() })?;
        let Fact::RunStarted(start) = &first.fact else {
            return Err(Violation { run, what: "it does not begin with the run's start".into() });
        };
        let mut machine = Self::accept(run, first.at, start)?;
        for entry in entries {
            machine.apply(entry.at, &entry.fact)?;
        }
        match &mut machine {
            Self::Agent(agent) => agent.doubt_open_calls(),
            Self::Workflow(workflow) => workflow.doubt_open_tools(),
        }
        Ok(machine)
    }

    /// What must be done now.
    pub fn next(&self) -> Step {
        match self {
            Self::Agent(agent) => agent.next(),
            Self::Workflow(workflow) => workflow.next(),
        }
    }

    /// What the news mean.
    pub fn decide(&self, news: News) -> Vec<Fact> {
        match self {
            Self::Agent(agent) => agent.decide(news),
            Self::Workflow(workflow) => workflow.decide(news),
        }
    }

    /// Takes in a fact: the only way a machine changes.
    ///
    /// # Errors
    /// If the fact cannot follow what came before.
    pub fn apply(&mut self, at: Timestamp, fact: &Fact) -> Result<(), Violation> {
        match self {
            Self::Agent(agent) => agent.apply(at, fact),
            Self::Workflow(workflow) => workflow.apply(at, fact),
        }
    }

    /// Whether a question to a model is open: after a replay, one that nobody waits for any more.
    pub fn is_asking(&self) -> bool {
        match self {
            Self::Agent(agent) => agent.is_asking(),
            Self::Workflow(_) => false,
        }
    }

    /// The run as its facts tell it.
    pub fn view(&self) -> &RunView {
        match self {
            Self::Agent(agent) => agent.view(),
            Self::Workflow(workflow) => workflow.view(),
        }
    }
}
