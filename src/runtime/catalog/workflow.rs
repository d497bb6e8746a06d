//! Workflows: front matter → spec.

use super::Reader;
use super::fault::listed;
use super::file::{ConditionFile, LoopFile, RouterFile, StepFile, WorkflowFile};
use super::front::Parts;
use super::references::Link;
use super::yaml::{HumanDuration, Placed};
use crate::domain::id::ComponentId;
use crate::domain::spec::{DeclaredTool, Spec, StepAction, StepSpec, WorkflowSpec};
use crate::domain::tool::{Gate, OnTimeout};

/// Where a loop names no `max_iterations`.
const MAX_ITERATIONS: u32 = 3;

impl Reader<'_> {
    pub(super) fn workflow(
        &mut self,
        id: ComponentId,
        file: WorkflowFile,
        parts: &Parts<'_>,
    ) -> Option<Spec> {
        let name = self.display_name(&id, file.name);
        let tools = self.tools(file.tools);
        if file.steps.is_empty() {
            self.fault(file.steps.at(), "a workflow needs at least one step");
        }
        let steps = self.steps(file.steps.into_inner(), &tools);
        let body = Some(parts.body).filter(|body| !body.is_empty()).map(str::to_owned);
        Some(Spec::Workflow(WorkflowSpec {
            id,
            name,
            description: file.description.or(body),
            steps,
            tools,
            session_state: file.session_state,
            metadata: file.metadata,
        }))
    }

    fn steps(&mut self, files: Vec<StepFile>, tools: &[DeclaredTool]) -> Vec<StepSpec> {
        let mut names: Vec<String> = Vec::new();
        let mut steps = Vec::new();
        for file in files {
            let name = file.name.as_str();
            if name.trim().is_empty() {
                self.fault(file.name.at(), "a step's name must not be empty");
            } else if name.contains(['/', '[', ']']) {
                self.fault(file.name.at(), "a step's name must not hold `/`, `[` or `]`");
            } else if names.iter().any(|other| other == name) {
                self.fault(file.name.at(), format!("the step `{name}` is there twice"));
            }
            names.push(name.into());
            steps.extend(self.step(file, tools));
        }
        steps
    }

    fn step(&mut self, mut file: StepFile, tools: &[DeclaredTool]) -> Option<StepSpec> {
        let action = self.step_action(&mut file, tools)?;
        self.refuse_tries_of_many(&file, &action);
        let must_tell = !file.requires_user_input.is_empty() || tells_only_somebody(&action, tools);
        let on_timeout = self.on_timeout(file.on_timeout, file.answer_within, must_tell);
        Some(StepSpec {
            name: file.name.into_inner(),
            description: file.description,
            action,
            retry: file.retry.map_or(0, Placed::into_inner),
            timeout: file.timeout.map(|timeout| timeout.into_inner().0),
            on_error: file.on_error,
            gate: Gate {
                feedback: false,
                confirmation: file.requires_confirmation,
                user_input: file.requires_user_input,
                external: false,
                message: file.message,
                within: file.answer_within.map(|within| within.0),
                on_timeout,
                last: false,
            },
            review: file.requires_output_review,
            on_reject: file.on_reject,
        })
    }

    /// Only what runs or calls something itself is tried: steps within a step have tries of their own.
    fn refuse_tries_of_many(&mut self, file: &StepFile, action: &StepAction) {
        let is_many = match action {
            StepAction::Agent(_) | StepAction::Team(_) | StepAction::Tool(_) | StepAction::Workflow(_) => {
                false
            }
            StepAction::Parallel(_)
            | StepAction::Condition { .. }
            | StepAction::Loop { .. }
            | StepAction::Router { .. } => true,
        };
        let given = [
            ("retry", file.retry.as_ref().map(Placed::at)),
            ("timeout", file.timeout.as_ref().map(Placed::at)),
        ];
        for (key, at) in given {
            if let Some(at) = at.filter(|_| is_many) {
                self.fault(at, format!("`{key}` belongs to steps of `agent`, `team`, `tool` or `workflow`"));
            }
        }
    }

    /// What counts as the answer in the end, where it can.
    pub(super) fn on_timeout(
        &mut self,
        given: Option<Placed<OnTimeout>>,
        within: Option<HumanDuration>,
        must_tell: bool,
    ) -> OnTimeout {
        let Some(given) = given else { return OnTimeout::default() };
        if within.is_none() {
            self.fault(given.at(), "`on_timeout` needs `answer_within`");
        }
        if must_tell && *given == OnTimeout::Approve {
            self.fault(given.at(), "`approve` cannot stand for what only somebody can tell");
        }
        given.into_inner()
    }

    fn step_action(&mut self, file: &mut StepFile, tools: &[DeclaredTool]) -> Option<StepAction> {
        self.exactly_one_action(file)?;
        if let Some(agent) = file.agent.take() {
            return self.link(&agent, Link::AGENT).map(StepAction::Agent);
        }
        if let Some(team) = file.team.take() {
            return self.link(&team, Link::TEAM).map(StepAction::Team);
        }
        if let Some(workflow) = file.workflow.take() {
            return self.link(&workflow, Link::WORKFLOW).map(StepAction::Workflow);
        }
        if let Some(tool) = file.tool.take() {
            return self.declared(tool, tools);
        }
        if let Some(steps) = file.parallel.take() {
            return Some(StepAction::Parallel(self.steps(steps, tools)));
        }
        if let Some(condition) = file.condition.take() {
            return Some(self.condition(condition, tools));
        }
        if let Some(repeat) = file.repeat.take() {
            return Some(self.repeat(repeat, tools));
        }
        file.router.take().map(|router| self.router(router, tools))
    }

    fn exactly_one_action(&mut self, file: &StepFile) -> Option<()> {
        let actions = [
            ("agent", file.agent.is_some()),
            ("team", file.team.is_some()),
            ("tool", file.tool.is_some()),
            ("workflow", file.workflow.is_some()),
            ("parallel", file.parallel.is_some()),
            ("condition", file.condition.is_some()),
            ("loop", file.repeat.is_some()),
            ("router", file.router.is_some()),
        ];
        let given: Vec<&str> = actions.iter().filter(|(_, given)| *given).map(|(word, _)| *word).collect();
        if given.len() == 1 {
            return Some(());
        }
        let all = listed(actions.map(|(word, _)| word));
        let message =
            format!("the step `{}` must have exactly one of {all}; it has {}", *file.name, listed(given));
        self.fault(file.name.at(), message);
        None
    }

    fn declared(&mut self, tool: Placed<String>, tools: &[DeclaredTool]) -> Option<StepAction> {
        if tools.iter().any(|declared| declared.name == *tool) {
            return Some(StepAction::Tool(tool.into_inner()));
        }
        let known = listed(tools.iter().map(|tool| tool.name.as_str()));
        self.fault(tool.at(), format!("no tool `{}` in `tools` of this file; declared: {known}", *tool));
        None
    }

    fn condition(&mut self, file: ConditionFile, tools: &[DeclaredTool]) -> StepAction {
        StepAction::Condition {
            when: self.expression(file.when),
            then: self.steps(file.then, tools),
            otherwise: self.steps(file.otherwise, tools),
        }
    }

    fn repeat(&mut self, file: LoopFile, tools: &[DeclaredTool]) -> StepAction {
        if let Some(cap) = file.max_iterations.as_ref().filter(|cap| ***cap == 0) {
            self.fault(cap.at(), "`max_iterations` must be at least 1");
        }
        StepAction::Loop {
            steps: self.steps(file.steps, tools),
            until: file.until.map(|until| self.expression(until)),
            max_iterations: file.max_iterations.map_or(MAX_ITERATIONS, Placed::into_inner),
        }
    }

    fn router(&mut self, file: RouterFile, tools: &[DeclaredTool]) -> StepAction {
        if file.routes.0.is_empty() {
            self.fault(file.routes.at(), "a router needs at least one route");
        }
        let choose = file.choose.map(|choose| self.expression(choose));
        if let (Some(_), Some(several)) = (&choose, &file.several) {
            self.fault(several.at(), "`several` is for a person who is asked; an expression gives a list");
        }
        let several = file.several.is_some_and(Placed::into_inner);
        let routes = file.routes.into_inner().0.into_iter();
        StepAction::Router {
            choose,
            several,
            routes: routes.map(|(name, steps)| (name, self.steps(steps, tools))).collect(),
        }
    }

    fn expression(&mut self, text: Placed<String>) -> String {
        if let Err(error) = minijinja::Environment::new().compile_expression(&text) {
            let reason = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
            self.fault(text.at(), format!("no valid expression: {reason}"));
        }
        text.into_inner()
    }
}

/// Whether whoever is asked has more to say than yes: which way to go, or what came of it elsewhere.
fn tells_only_somebody(action: &StepAction, tools: &[DeclaredTool]) -> bool {
    match action {
        StepAction::Router { choose, .. } => choose.is_none(),
        StepAction::Tool(name) => tools
            .iter()
            .any(|tool| tool.name == *name && (tool.gate.external || !tool.gate.user_input.is_empty())),
        StepAction::Agent(_)
        | StepAction::Team(_)
        | StepAction::Workflow(_)
        | StepAction::Parallel(_)
        | StepAction::Condition { .. }
        | StepAction::Loop { .. } => false,
    }
}
