//! What is asked where a run, or one below it, waits for somebody.
#![expect(clippy::print_stdout, reason = "a command speaks to a terminal")]

use anyhow::Result;
use serde_json::{Value, json};

use super::Terminal;
use super::heard::Heard;
use crate::domain::Object;
use crate::domain::fact::{Answer, Decision};
use crate::domain::run::{Answers, Status};
use crate::domain::spec::{DeclaredTool, Spec, StepAction};
use crate::domain::step::{StepAnswer, StepDecision};
use crate::domain::tool::Gate;
use crate::domain::view::{Call, RunView};
use crate::machine::workflow::{Stand, StepSight, sight};

/// What somebody said to a question of yes or no.
enum Said {
    Yes,
    /// And why.
    No(Option<String>),
    /// Something else, where that may be.
    Text(String),
}

/// Decisions about everything that waits; `None` if somebody did not want to decide.
pub(super) async fn ask(heard: &Heard, terminal: &mut Terminal) -> Result<Option<Answers>> {
    let mut answers = Answers::default();
    for view in heard.views.iter().filter(|view| view.status == Status::Paused) {
        for call in &view.waiting {
            let Some(call) = view.call(call).filter(|_| !heard.is_handed_on(view.run, call)) else {
                continue;
            };
            let Some(decision) = about_call(view, call, terminal).await? else { return Ok(None) };
            answers.calls.push((view.run, Answer { call: call.call.id.clone(), decision }));
        }
        for step in view.waiting_steps.iter().filter_map(|step| sight(view, step)) {
            match step.stand {
                Stand::WaitsForLeave | Stand::WaitsForReview | Stand::WaitsForRemedy => {}
                Stand::Going | Stand::WaitsBelow | Stand::Over => continue,
            }
            let Some(decision) = about_step(view, &step, terminal).await? else { return Ok(None) };
            let step = step.place.step.clone();
            answers.steps.push((view.run, StepAnswer { step, decision }));
        }
    }
    Ok(Some(answers))
}

async fn about_call(view: &RunView, call: &Call, terminal: &mut Terminal) -> Result<Option<Decision>> {
    let tool = declared(&view.spec, &call.call.name);
    let gate = tool.map(|tool| tool.gate.clone()).unwrap_or_default();
    question(view, &format!("{} {}", call.call.name, call.call.arguments), gate.message.as_deref());
    if call.doubted {
        let said = yes_or_no(terminal, "  call it again? [y, n, or what came of it] ", true).await?;
        return Ok(said.map(|said| match said {
            Said::Yes => Decision::Approved { values: Object::new() },
            Said::No(note) => Decision::Rejected { note },
            Said::Text(result) => Decision::Executed { result, failed: false },
        }));
    }
    if gate.external {
        let result = terminal.ask("  its result: ").await?;
        return Ok(result.map(|result| Decision::Executed { result, failed: false }));
    }
    if gate.confirmation || gate.user_input.is_empty() {
        match yes_or_no(terminal, "  [y, or n and why] ", false).await? {
            Some(Said::Yes) => {}
            Some(Said::No(note)) => return Ok(Some(Decision::Rejected { note })),
            Some(Said::Text(_)) | None => return Ok(None),
        }
    }
    Ok(values(terminal, &gate, tool).await?.map(|values| Decision::Approved { values }))
}

async fn about_step(
    view: &RunView,
    step: &StepSight<'_>,
    terminal: &mut Terminal,
) -> Result<Option<StepDecision>> {
    if step.stand == Stand::WaitsForRemedy {
        return about_failure(view, step, terminal).await;
    }
    let tool = if let StepAction::Tool(name) = &step.spec.action { declared(&view.spec, name) } else { None };
    question(view, step.place.step.as_str(), step.gate.message.as_deref());
    if step.stand == Stand::WaitsForReview {
        return about_output(step, terminal).await;
    }
    if step.gate.external {
        let content = terminal.ask("  its result: ").await?;
        return Ok(content.map(|content| StepDecision::Edited { content }));
    }
    if let StepAction::Router { choose: None, routes, several } = &step.spec.action {
        let known: Vec<&str> = routes.iter().map(|(name, _)| name.as_str()).collect();
        let routes = routes_of(terminal, &known, *several).await?;
        return Ok(routes.map(|routes| StepDecision::Approved { values: Object::new(), routes }));
    }
    if step.gate.confirmation || step.gate.user_input.is_empty() {
        match yes_or_no(terminal, "  [y, or n and why] ", false).await? {
            Some(Said::Yes) => {}
            Some(Said::No(feedback)) => return Ok(Some(StepDecision::Rejected { feedback })),
            Some(Said::Text(_)) | None => return Ok(None),
        }
    }
    let values = values(terminal, &step.gate, tool).await?;
    Ok(values.map(|values| StepDecision::Approved { values, routes: Vec::new() }))
}

/// A step that failed: it may be tried again, passed over, or have its output from a person.
async fn about_failure(
    view: &RunView,
    step: &StepSight<'_>,
    terminal: &mut Terminal,
) -> Result<Option<StepDecision>> {
    let why = step.step.failures.last().map(|failure| failure.message.as_str());
    question(view, &format!("{} failed", step.place.step), why);
    let said =
        yes_or_no(terminal, "  try it again? [y, n to pass it over, or what to go on with] ", true).await?;
    Ok(said.map(decision))
}

/// A review: what came out is shown, and may be replaced.
async fn about_output(step: &StepSight<'_>, terminal: &mut Terminal) -> Result<Option<StepDecision>> {
    if let Some(output) = &step.step.output {
        output.content.lines().for_each(|line| println!("  │ {line}"));
    }
    let said = yes_or_no(terminal, "  [y, n and why, or what to go on with] ", true).await?;
    Ok(said.map(decision))
}

fn decision(said: Said) -> StepDecision {
    match said {
        Said::Yes => StepDecision::Approved { values: Object::new(), routes: Vec::new() },
        Said::No(feedback) => StepDecision::Rejected { feedback },
        Said::Text(content) => StepDecision::Edited { content },
    }
}

fn question(view: &RunView, what: &str, message: Option<&str>) {
    let message = message.map(|message| format!(": {message}")).unwrap_or_default();
    println!("\x1b[33m? {} · {what}{message}\x1b[0m", view.spec.id());
}

async fn yes_or_no(terminal: &mut Terminal, prompt: &str, takes_text: bool) -> Result<Option<Said>> {
    while let Some(line) = terminal.ask(prompt).await? {
        let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((&line, ""));
        match word.trim_end_matches([',', ':']).to_lowercase().as_str() {
            "y" | "yes" => return Ok(Some(Said::Yes)),
            "n" | "no" => {
                let why = Some(rest.trim().to_owned()).filter(|why| !why.is_empty());
                return Ok(Some(Said::No(why)));
            }
            _ if takes_text => return Ok(Some(Said::Text(line))),
            _ => {}
        }
    }
    Ok(None)
}

/// Known names, more than one of them only where that may be.
async fn routes_of(terminal: &mut Terminal, known: &[&str], several: bool) -> Result<Option<Vec<String>>> {
    let many = if several { ", or several with commas" } else { "" };
    let prompt = format!("  which of {}{many}? ", known.join(", "));
    while let Some(line) = terminal.ask(&prompt).await? {
        let chosen: Vec<String> = line.split(',').map(|name| name.trim().to_owned()).collect();
        let is_known = chosen.iter().all(|name| known.contains(&name.as_str()));
        if is_known && (several || chosen.len() == 1) {
            return Ok(Some(chosen));
        }
    }
    Ok(None)
}

/// A value for everything that only a person can give; JSON is taken as such unless a text is wanted.
async fn values(terminal: &mut Terminal, gate: &Gate, tool: Option<&DeclaredTool>) -> Result<Option<Object>> {
    let mut values = Object::new();
    for name in &gate.user_input {
        let Some(line) = terminal.ask(&format!("  {name}: ")).await? else { return Ok(None) };
        let wanted = tool.and_then(|tool| tool.parameters.pointer(&format!("/properties/{name}/type")));
        let is_text = wanted.is_some_and(|wanted| wanted == "string");
        let value = serde_json::from_str::<Value>(&line).ok().filter(|_| !is_text);
        values.insert(name.clone(), value.unwrap_or_else(|| json!(line)));
    }
    Ok(Some(values))
}

fn declared<'a>(spec: &'a Spec, name: &str) -> Option<&'a DeclaredTool> {
    let tools = match spec {
        Spec::Agent(agent) => &agent.tools,
        Spec::Team(team) => &team.leader.tools,
        Spec::Workflow(workflow) => &workflow.tools,
    };
    tools.iter().find(|tool| tool.name == name)
}
