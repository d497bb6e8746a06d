//! What a file becomes.

use std::time::Duration;

use runhold::domain::spec::{
    AgentSpec, CapabilityRef, ComponentKind, DeclaredTool, InDoubt, Limits, OnDisconnect, OnError, OnReject,
    OnSecondMessage, Spec, StepAction, StepSpec, TeamMode, ToolAction,
};
use runhold::domain::tool::{Effect, Gate, OnTimeout};
use serde_json::{Value, json};

use super::{AGENT, load, model};

fn only_agent(text: &str) -> AgentSpec {
    let (_folder, loaded) = load(&[("x.md", text)]);
    match loaded.unwrap().agents().next().unwrap().as_ref() {
        Spec::Agent(agent) => agent.clone(),
        other @ (Spec::Team(_) | Spec::Workflow(_)) => panic!("not an agent: {other:?}"),
    }
}

#[test]
fn an_agent_needs_nothing_but_instructions() {
    assert_eq!(
        only_agent("---\n---\n\n  Be kind.  \n\nAnd brief.\n\n"),
        AgentSpec {
            id: "x".parse().unwrap(),
            name: "x".into(),
            description: None,
            instructions: "Be kind.  \n\nAnd brief.".into(),
            model: model("scripted/demo"),
            fallback_models: vec![],
            capabilities: vec![],
            tools: vec![],
            history_runs: 3,
            session_state: serde_json::Map::new(),
            limits: Limits::default(),
            on_second_message: OnSecondMessage::Enqueue,
            in_doubt: InDoubt::TellModel,
            on_disconnect: OnDisconnect::Cancel,
            output_schema: None,
            metadata: serde_json::Map::new(),
            quick_prompts: vec![],
            source: Default::default(),
            additions: Default::default(),
        }
    );
}

#[test]
fn an_agent_may_say_all_of_this() {
    let agent = only_agent(
        "---\r
name: Researcher
kind: agent
description: Finds things out
model: openai/gpt-4o-mini
fallback_models: [openai/gpt-4o, scripted/demo]
capabilities:
  - current_time
  - {ref: web_fetch, config: {allow: [example.org]}}
history_runs: 5
session_state: {topic: none, count: 2, on: yes}
limits: {model_calls: 7}
on_second_message: steer
in_doubt: ask_person
on_disconnect: continue
output_schema: {type: object}
metadata: {team: a}
quick_prompts: [What is new?]
---
The topic is {{ session_state.topic }}.
",
    );
    let expected = AgentSpec {
        id: "x".parse().unwrap(),
        name: "Researcher".into(),
        description: Some("Finds things out".into()),
        instructions: "The topic is {{ session_state.topic }}.".into(),
        model: model("openai/gpt-4o-mini"),
        fallback_models: vec![model("openai/gpt-4o"), model("scripted/demo")],
        capabilities: vec![
            CapabilityRef { id: "current_time".into(), config: Value::Null },
            CapabilityRef { id: "web_fetch".into(), config: json!({"allow": ["example.org"]}) },
        ],
        tools: vec![],
        history_runs: 5,
        session_state: json!({"topic": "none", "count": 2, "on": "yes"}).as_object().unwrap().clone(),
        limits: Limits { model_calls: 7, ..Limits::default() },
        on_second_message: OnSecondMessage::Steer,
        in_doubt: InDoubt::AskPerson,
        on_disconnect: OnDisconnect::Continue,
        output_schema: Some(json!({"type": "object"})),
        metadata: json!({"team": "a"}).as_object().unwrap().clone(),
        quick_prompts: vec!["What is new?".into()],
        source: Default::default(),
        additions: Default::default(),
    };
    assert_eq!(agent, expected);
}

/// A tool of each kind.
const TOOLS: &str = "---
tools:
  - name: delete_file
    description: Deletes one file.
    kind: process
    command: [python3, tools/delete.py]
    parameters: {type: object, required: [path], properties: {path: {type: string}}}
    effect: idempotent
    timeout: 1m 30s
    requires_confirmation: true
    requires_user_input: [path]
  - name: weather
    description: The weather.
    kind: http
    url: https://example.org/{city}
    headers: {X-B: 'Bearer ${TOKEN}', X-A: a}
    allow_private: ['localhost:8080']
  - {name: pick, description: Picks., kind: external, timeout: 500ms}
---
Go.
";

#[test]
fn tools_are_programs_requests_or_the_clients_own() {
    let (folder, loaded) = load(&[("x.md", TOOLS)]);
    let catalog = loaded.unwrap();
    let spec = catalog.get(ComponentKind::Agent, &"x".parse().unwrap()).unwrap();
    let Spec::Agent(agent) = spec.as_ref() else { panic!("not an agent") };
    let nothing = json!({"type": "object", "properties": {}});
    let expected = vec![
        DeclaredTool {
            name: "delete_file".into(),
            description: "Deletes one file.".into(),
            parameters: json!({
                "type": "object", "required": ["path"], "properties": {"path": {"type": "string"}}
            }),
            effect: Effect::Idempotent,
            timeout: Duration::from_secs(90),
            gate: Gate { confirmation: true, user_input: vec!["path".into()], ..Gate::default() },
            action: ToolAction::Process {
                command: vec!["python3".into(), "tools/delete.py".into()],
                directory: folder.path().into(),
            },
        },
        DeclaredTool {
            name: "weather".into(),
            description: "The weather.".into(),
            parameters: nothing.clone(),
            effect: Effect::Once,
            timeout: Duration::from_secs(30),
            gate: Gate::default(),
            action: ToolAction::Http {
                method: "GET".into(),
                url: "https://example.org/{city}".into(),
                headers: vec![("X-B".into(), "Bearer ${TOKEN}".into()), ("X-A".into(), "a".into())],
                allow_private: vec!["localhost:8080".into()],
            },
        },
        DeclaredTool {
            name: "pick".into(),
            description: "Picks.".into(),
            parameters: nothing,
            effect: Effect::Once,
            timeout: Duration::from_millis(500),
            gate: Gate { external: true, ..Gate::default() },
            action: ToolAction::External,
        },
    ];
    assert_eq!(agent.tools, expected);
}

#[test]
fn a_team_is_a_leader_with_members() {
    let (_folder, loaded) = load(&[
        ("editor.md", AGENT),
        ("inner.md", "---\nkind: team\nmembers: [editor]\n---\nLead.\n"),
        ("news.md", "---\nkind: team\nmode: route\nmembers: [editor, inner]\n---\nLead well.\n"),
    ]);
    let catalog = loaded.unwrap();
    let Some(Spec::Team(team)) = catalog.teams().nth(1).map(|spec| spec.as_ref()) else { panic!("no team") };
    assert_eq!(team.mode, TeamMode::Route);
    assert_eq!(team.members, ["editor".parse().unwrap(), "inner".parse().unwrap()]);
    assert_eq!((team.leader.id.as_str(), team.leader.instructions.as_str()), ("news", "Lead well."));
    assert_eq!(catalog.agents().map(|spec| spec.id().to_string()).collect::<Vec<_>>(), ["editor"]);
}

fn step(name: &str, action: StepAction) -> StepSpec {
    StepSpec {
        name: name.into(),
        description: None,
        action,
        retry: 0,
        timeout: None,
        on_error: OnError::Fail,
        gate: Gate::default(),
        review: false,
        on_reject: OnReject::Skip,
    }
}

/// A step of each kind.
const STEPS: &str = "---
kind: workflow
tools: [{name: publish, description: Out., kind: external}]
steps:
  - {name: research, agent: a, retry: 2, timeout: 60s, on_error: skip}
  - {name: talk, team: t}
  - {name: again, workflow: v}
  - name: write
    parallel: [{name: draft, agent: a}, {name: title, agent: a}]
  - name: check
    condition: {if: 'previous.content | length > 400', then: [{name: shorten, agent: a}], else: []}
  - name: polish
    loop: {steps: [{name: edit, agent: a}], until: \"'DONE' in previous.content\", max_iterations: 5}
  - name: pick
    router: {choose: input.kind, routes: {news: [{name: n, agent: a}], blog: [{name: b, agent: a}]}}
  - {name: publish, tool: publish, requires_confirmation: true}
---
What it is for.
";

#[test]
fn a_workflow_has_steps_of_eight_kinds() {
    let (_folder, loaded) = load(&[
        ("a.md", AGENT),
        ("t.md", "---\nkind: team\nmembers: [a]\n---\nLead.\n"),
        ("v.md", "---\nkind: workflow\nsteps: [{name: one, agent: a}]\n---\n"),
        ("w.md", STEPS),
    ]);
    let catalog = loaded.unwrap();
    let Some(Spec::Workflow(workflow)) = catalog.workflows().nth(1).map(|spec| spec.as_ref()) else {
        panic!("no workflow")
    };
    let agent = |name: &str| step(name, StepAction::Agent("a".parse().unwrap()));
    let expected = [
        StepSpec {
            retry: 2,
            timeout: Some(Duration::from_secs(60)),
            on_error: OnError::Skip,
            ..agent("research")
        },
        step("talk", StepAction::Team("t".parse().unwrap())),
        step("again", StepAction::Workflow("v".parse().unwrap())),
        step("write", StepAction::Parallel(vec![agent("draft"), agent("title")])),
        step(
            "check",
            StepAction::Condition {
                when: "previous.content | length > 400".into(),
                then: vec![agent("shorten")],
                otherwise: vec![],
            },
        ),
        step(
            "polish",
            StepAction::Loop {
                steps: vec![agent("edit")],
                until: Some("'DONE' in previous.content".into()),
                max_iterations: 5,
            },
        ),
        step(
            "pick",
            StepAction::Router {
                choose: Some("input.kind".into()),
                several: false,
                routes: vec![("news".into(), vec![agent("n")]), ("blog".into(), vec![agent("b")])],
            },
        ),
        StepSpec {
            gate: Gate { confirmation: true, ..Gate::default() },
            ..step("publish", StepAction::Tool("publish".into()))
        },
    ];
    assert_eq!(workflow.steps, expected);
    assert_eq!(workflow.description.as_deref(), Some("What it is for."));
}

#[test]
fn a_step_says_who_is_asked_for_how_long_and_what_a_no_means() {
    let (_folder, loaded) = load(&[
        ("a.md", AGENT),
        (
            "w.md",
            "---
kind: workflow
tools: [{name: out, description: Out., kind: external, message: Send it, answer_within: 1h, on_timeout: cancel}]
steps:
  - {name: plan, agent: a, requires_user_input: [city], message: Where?, answer_within: 2m, on_timeout: reject}
  - {name: write, agent: a, requires_output_review: true, on_reject: retry, answer_within: 90s, on_timeout: approve}
  - {name: pick, router: {several: true, routes: {x: [{name: s, agent: a}], y: [{name: s, agent: a}]}}}
---
",
        ),
    ]);
    let catalog = loaded.unwrap();
    let Some(Spec::Workflow(workflow)) = catalog.workflows().next().map(|spec| spec.as_ref()) else {
        panic!("no workflow")
    };
    let agent = |name: &str| step(name, StepAction::Agent("a".parse().unwrap()));
    let expected = [
        StepSpec {
            gate: Gate {
                user_input: vec!["city".into()],
                message: Some("Where?".into()),
                within: Some(Duration::from_secs(120)),
                ..Gate::default()
            },
            ..agent("plan")
        },
        StepSpec {
            gate: Gate {
                within: Some(Duration::from_secs(90)),
                on_timeout: OnTimeout::Approve,
                ..Gate::default()
            },
            review: true,
            on_reject: OnReject::Retry,
            ..agent("write")
        },
        step(
            "pick",
            StepAction::Router {
                choose: None,
                several: true,
                routes: vec![("x".into(), vec![agent("s")]), ("y".into(), vec![agent("s")])],
            },
        ),
    ];
    assert_eq!(workflow.steps, expected);
    let gate = Gate {
        external: true,
        message: Some("Send it".into()),
        within: Some(Duration::from_secs(3600)),
        on_timeout: OnTimeout::Cancel,
        ..Gate::default()
    };
    assert_eq!(workflow.tools[0].gate, gate);
}
