//! The catalog: what an agent file may say, and what is said about a wrong one.

use std::path::Path;
use std::time::Duration;

use runhold::cli::check::summary;
use runhold::cli::schema::{What, schema};
use runhold::config::Config;
use runhold::domain::id::ModelName;
use runhold::domain::spec::{
    AgentSpec, CapabilityRef, ComponentKind, DeclaredTool, Limits, OnDisconnect, OnError, OnSecondMessage,
    Spec, StepAction, StepSpec, TeamMode, ToolAction,
};
use runhold::domain::tool::{Effect, Gate};
use runhold::runtime::catalog::{Catalog, CatalogDefaults};
use serde_json::{Value, json};

/// A registry of three.
fn check(capabilities: &[CapabilityRef], tools: &[DeclaredTool]) -> Result<(), String> {
    for capability in capabilities {
        match (capability.id.as_str(), &capability.config) {
            ("current_time" | "test_math", Value::Null) | ("web_fetch", _) => {}
            ("current_time" | "test_math", _) => return Err(format!("`{}` has no settings", capability.id)),
            (other, _) => return Err(format!("no capability `{other}`")),
        }
    }
    match tools.iter().find(|tool| tool.name == "web_fetch") {
        Some(_) => Err("two tools are called `web_fetch`".into()),
        None => Ok(()),
    }
}

fn model(name: &str) -> ModelName {
    name.parse().unwrap()
}

fn load_from(folder: &Path) -> Result<Catalog, String> {
    let known_providers = vec!["openai".into(), "scripted".into()];
    let defaults = CatalogDefaults { model: model("scripted/demo"), known_providers, check: &check };
    Catalog::load(folder, &defaults).map_err(|faults| {
        let lines: Vec<String> = faults.iter().map(ToString::to_string).collect();
        lines.join("\n").replace(&format!("{}", folder.display()), "agents")
    })
}

fn load(files: &[(&str, &str)]) -> (tempfile::TempDir, Result<Catalog, String>) {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let loaded = load_from(folder.path());
    (folder, loaded)
}

/// What is said about these files.
fn faults(files: &[(&str, &str)]) -> String {
    load(files).1.expect_err("there should be faults")
}

/// What is said about a file of this front matter.
fn faults_of(front: &str) -> String {
    faults(&[("x.md", &format!("---\n{front}---\nDo it.\n"))])
}

fn only_agent(text: &str) -> AgentSpec {
    let (_folder, loaded) = load(&[("x.md", text)]);
    match loaded.unwrap().agents().next().unwrap().as_ref() {
        Spec::Agent(agent) => agent.clone(),
        other @ (Spec::Team(_) | Spec::Workflow(_)) => panic!("not an agent: {other:?}"),
    }
}

const AGENT: &str = "---\n---\nAn agent.\n";

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
            on_disconnect: OnDisconnect::Cancel,
            output_schema: None,
            metadata: serde_json::Map::new(),
            quick_prompts: vec![],
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
        on_disconnect: OnDisconnect::Continue,
        output_schema: Some(json!({"type": "object"})),
        metadata: json!({"team": "a"}).as_object().unwrap().clone(),
        quick_prompts: vec!["What is new?".into()],
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
            parameters: json!({"type": "object", "required": ["path"], "properties": {"path": {"type": "string"}}}),
            effect: Effect::Idempotent,
            timeout: Duration::from_secs(90),
            gate: Gate { confirmation: true, user_input: vec!["path".into()], external: false },
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
                choose: "input.kind".into(),
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
fn drafts_hidden_files_readmes_and_other_files_are_passed_over() {
    let (folder, loaded) = load(&[
        ("_draft.md", "nonsense"),
        (".hidden.md", "nonsense"),
        ("README.md", "nonsense"),
        ("notes.txt", "nonsense"),
        ("b.md", AGENT),
        ("a.md", AGENT),
    ]);
    let ids = |catalog: Catalog| catalog.agents().map(|spec| spec.id().to_string()).collect::<Vec<_>>();
    assert_eq!(loaded.map(ids), Ok(vec!["a".into(), "b".into()]));
    std::fs::create_dir(folder.path().join("tools.md")).unwrap();
    assert_eq!(load_from(folder.path()).map(ids), Ok(vec!["a".into(), "b".into()]));
}

#[test]
fn an_empty_folder_is_fine_and_a_missing_one_is_not() {
    let (folder, loaded) = load(&[]);
    assert_eq!(loaded.unwrap().agents().count(), 0);
    let missing = load_from(&folder.path().join("nowhere")).unwrap_err();
    assert_eq!(missing, "agents:1:1: the folder of agents cannot be read: there is no such folder");
}

#[test]
fn faults_of_all_files_are_told_together_in_order() {
    let files =
        [("b.md", "---\nmodel: gpt\n---\nB.\n"), ("a.md", "---\nfoo: 1\n---\nA.\n"), ("c.md", "---\n---\n")];
    assert_eq!(faults(&files), "agents/a.md:2:1: unknown key `foo`; expected one of `kind`, `name`, `description`, `model`, `fallback_models`, `mode`, `members`, `capabilities`, `tools`, `history_runs`, `session_state`, `limits`, `on_second_message`, `on_disconnect`, `output_schema`, `metadata`, `quick_prompts`
  2 | foo: 1
    | ^^^
agents/b.md:2:8: a model's name must be `provider/model`, as in `openai/gpt-4o-mini`
  2 | model: gpt
    |        ^^^
agents/c.md:2:1: the instructions are missing: they are the body, below the front matter
  2 | ---
    | ^");
}

#[test]
fn an_unknown_key_is_named_with_those_there_are() {
    assert_eq!(faults_of("name: x\nfoo: 1\n"), "agents/x.md:3:1: unknown key `foo`; expected one of `kind`, `name`, `description`, `model`, `fallback_models`, `mode`, `members`, `capabilities`, `tools`, `history_runs`, `session_state`, `limits`, `on_second_message`, `on_disconnect`, `output_schema`, `metadata`, `quick_prompts`
  3 | foo: 1
    | ^^^");
}

#[test]
fn a_wrong_kind_of_file_or_value_is_named() {
    assert_eq!(
        faults_of("kind: agnt\n"),
        "agents/x.md:2:7: unknown value `agnt`; expected one of `agent`, `team`, `workflow`
  2 | kind: agnt
    |       ^^^^"
    );
    assert_eq!(
        faults_of("history_runs: many\n"),
        "agents/x.md:2:15: expected a whole number
  2 | history_runs: many
    |               ^^^^"
    );
    assert_eq!(
        faults_of("on_disconnect: stop\n"),
        "agents/x.md:2:16: unknown value `stop`; expected one of `cancel`, `continue`
  2 | on_disconnect: stop
    |                ^^^^"
    );
    assert_eq!(
        faults_of("name: a\nname: b\n"),
        "agents/x.md:3:1: the key `name` is there twice
  3 | name: b
    | ^^^^"
    );
    assert_eq!(
        faults_of("limits: {model_calls: 0}\n"),
        "agents/x.md:2:9: `model_calls` and `seconds` must be at least 1
  2 | limits: {model_calls: 0}
    |         ^"
    );
    assert_eq!(faults_of("limits: {calls: 1}\n"), "agents/x.md:2:10: unknown key `calls`; expected one of `model_calls`, `tool_calls`, `seconds`, `tokens`
  2 | limits: {calls: 1}
    |          ^^^^^");
    assert_eq!(
        faults_of("name: ' '\n"),
        "agents/x.md:2:7: the name must not be empty
  2 | name: ' '
    |       ^^^"
    );
    assert_eq!(
        faults_of("quick_prompts: [a\n"),
        "agents/x.md:2:16: unclosed bracket '['
  2 | quick_prompts: [a
    |                ^"
    );
}

#[test]
fn a_file_has_front_matter_text_and_a_size() {
    assert_eq!(
        faults(&[("x.md", "Just text.\n")]),
        "agents/x.md:1:1: a file begins with front matter: a line `---`, keys, a line `---`
  1 | Just text.
    | ^"
    );
    assert_eq!(
        faults(&[("x.md", "---\nname: x\n")]),
        "agents/x.md:1:1: the front matter that begins here has no end: a second line `---` is missing
  1 | ---
    | ^"
    );
    assert_eq!(
        faults(&[("x.md", "")]),
        "agents/x.md:1:1: a file begins with front matter: a line `---`, keys, a line `---`"
    );
    assert_eq!(faults(&[("x y.md", AGENT)]), "agents/x y.md:1:1: the file's name is the id, and `x y` is none: it must be letters, digits, `-`, `_` and `.`, starting with a letter or digit
  1 | ---
    | ^");
    let long = format!("---\n---\n{}", "x".repeat(1024 * 1024));
    assert_eq!(faults(&[("x.md", &long)]), "agents/x.md:1:1: is longer than 1048576 bytes");
}

#[test]
fn a_file_is_utf_8() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("x.md"), b"---\n---\nCaf\xe9\n").unwrap();
    assert_eq!(load_from(folder.path()).unwrap_err(), "agents/x.md:3:1: is not UTF-8 text");
}

#[test]
fn a_model_is_one_of_a_known_provider() {
    assert_eq!(
        faults_of("model: gpt-4o\n"),
        "agents/x.md:2:8: a model's name must be `provider/model`, as in `openai/gpt-4o-mini`
  2 | model: gpt-4o
    |        ^^^^^^"
    );
    assert_eq!(
        faults_of("fallback_models: [scripted/demo, antropic/x]\n"),
        "agents/x.md:2:34: no provider `antropic`; configured: `openai` and `scripted`
  2 | fallback_models: [scripted/demo, antropic/x]
    |                                  ^^^^^^^^^^"
    );
}

#[test]
fn instructions_are_a_template() {
    assert_eq!(faults(&[("x.md", "---\nname: x\n---\n\nHello {{ name\n")]), "agents/x.md:5:10: the instructions are no valid template: unexpected end of input, expected end of variable block
  5 | Hello {{ name
    |          ^^^^");
    assert_eq!(faults(&[("x.md", "---\nname: x\n---\nHello\n{% if a %}b\n")]), "agents/x.md:5:11: the instructions are no valid template: unexpected end of input, expected end of block
  5 | {% if a %}b
    |           ^");
}

#[test]
fn capabilities_are_checked_by_the_registry_each_on_its_line() {
    assert_eq!(
        faults_of("capabilities:\n  - current_time\n  - teleport\n  - {ref: test_math, config: {a: 1}}\n"),
        "agents/x.md:4:5: no capability `teleport`
  4 |   - teleport
    |     ^^^^^^^^
agents/x.md:5:5: `test_math` has no settings
  5 |   - {ref: test_math, config: {a: 1}}
    |     ^"
    );
    assert_eq!(
        faults_of("capabilities: [current_time, current_time]\n"),
        "agents/x.md:2:30: the capability `current_time` is there twice
  2 | capabilities: [current_time, current_time]
    |                              ^^^^^^^^^^^^"
    );
    assert_eq!(
        faults_of("capabilities: [{id: web_fetch}]\n"),
        "agents/x.md:2:17: unknown key `id`; expected one of `ref`, `config`
  2 | capabilities: [{id: web_fetch}]
    |                 ^^"
    );
    assert_eq!(
        faults_of("capabilities: [3]\n"),
        "agents/x.md:2:16: invalid type: integer `3`; expected a capability's id, or {ref, config}
  2 | capabilities: [3]
    |                ^"
    );
    assert_eq!(
        faults_of("name: x\ntools:\n  - {name: web_fetch, description: d, kind: external}\n"),
        "agents/x.md:3:1: two tools are called `web_fetch`
  3 | tools:
    | ^^^^^"
    );
}

#[test]
fn a_declared_tool_is_checked_key_by_key() {
    let of = |keys: &str| faults_of(&format!("tools:\n  - {{name: t, description: d, {keys}}}\n"));
    assert_eq!(
        of("kind: magic"),
        "agents/x.md:3:37: unknown value `magic`; expected one of `process`, `http`, `external`
  3 |   - {name: t, description: d, kind: magic}
    |                                     ^^^^^"
    );
    assert_eq!(
        of("kind: process"),
        "agents/x.md:3:12: a tool of `kind: process` needs a `command`
  3 |   - {name: t, description: d, kind: process}
    |            ^"
    );
    assert_eq!(
        of("kind: process, command: []"),
        "agents/x.md:3:55: `command` must name a program
  3 |   - {name: t, description: d, kind: process, command: []}
    |                                                       ^"
    );
    assert_eq!(
        of("kind: http"),
        "agents/x.md:3:12: a tool of `kind: http` needs a `url`
  3 |   - {name: t, description: d, kind: http}
    |            ^"
    );
    assert_eq!(
        of("kind: http, url: 'ftp://x', method: get"),
        "agents/x.md:3:48: `url` must begin with `https://` or `http://`
  3 |   - {name: t, description: d, kind: http, url: 'ftp://x', method: get}
    |                                                ^^^^^^^^^
agents/x.md:3:67: unknown method `get`; expected one of `GET`, `HEAD`, `POST`, `PUT`, `PATCH`, `DELETE`
  3 |   - {name: t, description: d, kind: http, url: 'ftp://x', method: get}
    |                                                                   ^^^"
    );
    assert_eq!(
        of("kind: http, url: 'http://x', headers: {'a b': c}"),
        "agents/x.md:3:69: `a b` is no name of a header
  3 |   - {name: t, description: d, kind: http, url: 'http://x', headers: {'a b': c}}
    |                                                                     ^"
    );
    assert_eq!(
        of("kind: external, command: [x]"),
        "agents/x.md:3:56: `command` belongs to tools of `kind: process`
  3 |   - {name: t, description: d, kind: external, command: [x]}
    |                                                        ^"
    );
    assert_eq!(
        of("kind: external, timeout: soon"),
        "agents/x.md:3:56: `soon` is no duration; write it as in `500ms`, `30s` or `2m`
  3 |   - {name: t, description: d, kind: external, timeout: soon}
    |                                                        ^^^^"
    );
    assert_eq!(
        of("kind: external, timeout: 0s"),
        "agents/x.md:3:56: `0s` is no duration; write it as in `500ms`, `30s` or `2m`
  3 |   - {name: t, description: d, kind: external, timeout: 0s}
    |                                                        ^^"
    );
    assert_eq!(
        of("kind: external, parameters: {type: array}"),
        "agents/x.md:3:59: `parameters` must be a JSON Schema of `type: object`
  3 |   - {name: t, description: d, kind: external, parameters: {type: array}}
    |                                                           ^"
    );
    assert_eq!(
        of("kind: external, parameters: {type: object, properties: {a: {type: txt}}}"),
        r#"agents/x.md:3:59: `parameters` is no JSON Schema: /properties/a/type: "txt" is not valid under any of the schemas listed in the 'anyOf' keyword
  3 |   - {name: t, description: d, kind: external, parameters: {type: object, properties: {a: {type: txt}}}}
    |                                                           ^"#
    );
    assert_eq!(
        of("kind: external, requires_user_input: [to]"),
        "agents/x.md:3:69: `to` is not among the properties of `parameters`
  3 |   - {name: t, description: d, kind: external, requires_user_input: [to]}
    |                                                                     ^^"
    );
}

#[test]
fn tools_have_names_of_their_own() {
    let tool = |name: &str| format!("  - {{name: {name}, description: d, kind: external}}\n");
    assert_eq!(
        faults_of(&format!("tools:\n{}{}", tool("send mail"), tool("é"))),
        "agents/x.md:3:12: a tool's name is 1 to 64 letters, digits, `_` and `-`
  3 |   - {name: send mail, description: d, kind: external}
    |            ^^^^^^^^^
agents/x.md:4:12: a tool's name is 1 to 64 letters, digits, `_` and `-`
  4 |   - {name: é, description: d, kind: external}
    |            ^"
    );
    assert_eq!(
        faults_of(&format!("tools:\n{}{}", tool("a"), tool("a"))),
        "agents/x.md:4:12: the tool `a` is there twice
  4 |   - {name: a, description: d, kind: external}
    |            ^"
    );
}

#[test]
fn an_output_schema_is_a_json_schema() {
    assert_eq!(faults_of("output_schema: {type: 3}\n"), "agents/x.md:2:16: `output_schema` is no JSON Schema: /type: 3 is not valid under any of the schemas listed in the 'anyOf' keyword
  2 | output_schema: {type: 3}
    |                ^");
}

#[test]
fn names_are_unique() {
    let files =
        [("a.md", "---\nname: Same\n---\nA.\n"), ("b.md", "---\ndescription: b\nname: Same\n---\nB.\n")];
    assert_eq!(
        faults(&files),
        "agents/b.md:3:1: the name `Same` is taken by agents/a.md
  3 | name: Same
    | ^"
    );
}

#[test]
fn members_exist_and_are_agents_or_teams() {
    let files = [
        ("a.md", AGENT),
        ("t.md", "---\nkind: team\nmembers: [a, b, w, a]\n---\nLead.\n"),
        ("w.md", "---\nkind: workflow\nsteps: [{name: s, agent: a}]\n---\n"),
    ];
    assert_eq!(
        faults(&files),
        "agents/t.md:3:14: no agent or team `b`; there are: `a` and `t`
  3 | members: [a, b, w, a]
    |              ^
agents/t.md:3:17: `w` is of kind workflow; expected agent or team
  3 | members: [a, b, w, a]
    |                 ^
agents/t.md:3:20: the member `a` is there twice
  3 | members: [a, b, w, a]
    |                    ^"
    );
    assert_eq!(
        faults_of("kind: team\n"),
        "agents/x.md:1:1: the team `x` has no `members`
  1 | ---
    | ^"
    );
    assert_eq!(
        faults_of("kind: team\nmembers: []\n"),
        "agents/x.md:3:10: a team needs at least one member
  3 | members: []
    |          ^"
    );
    assert_eq!(
        faults_of("mode: route\nmembers: [x]\n"),
        "agents/x.md:2:7: only a team has `mode` and `members`; a team's file says `kind: team`
  2 | mode: route
    |       ^^^^^
agents/x.md:3:10: only a team has `mode` and `members`; a team's file says `kind: team`
  3 | members: [x]
    |          ^"
    );
}

#[test]
fn a_faulty_file_is_still_a_target() {
    let files = [("a.md", "---\nfoo: 1\n---\nA.\n"), ("t.md", "---\nkind: team\nmembers: [a]\n---\nLead.\n")];
    assert_eq!(faults(&files).lines().filter(|line| line.starts_with("agents/")).count(), 1);
}

#[test]
fn members_and_steps_lead_to_an_end() {
    let team = |member: &str| format!("---\nkind: team\nmembers: [{member}]\n---\nLead.\n");
    assert_eq!(
        faults(&[("a.md", &team("b")), ("b.md", &team("c")), ("c.md", &team("a"))]),
        "agents/c.md:3:11: leads back to itself: a → b → c → a
  3 | members: [a]
    |           ^"
    );
    assert_eq!(
        faults(&[("w.md", "---\nkind: workflow\nsteps:\n  - {name: s, workflow: w}\n---\n")]),
        "agents/w.md:4:25: leads back to itself: w → w
  4 |   - {name: s, workflow: w}
    |                         ^"
    );
}

#[test]
fn a_step_does_exactly_one_thing_and_its_targets_exist() {
    let of = |steps: &str| faults_of(&format!("kind: workflow\nsteps:\n{steps}"));
    assert_eq!(of("  - {name: s}\n"), "agents/x.md:4:12: the step `s` must have exactly one of `agent`, `team`, `tool`, `workflow`, `parallel`, `condition`, `loop` and `router`; it has none
  4 |   - {name: s}
    |            ^");
    assert_eq!(of("  - {name: s, agent: a, tool: t}\n"), "agents/x.md:4:12: the step `s` must have exactly one of `agent`, `team`, `tool`, `workflow`, `parallel`, `condition`, `loop` and `router`; it has `agent` and `tool`
  4 |   - {name: s, agent: a, tool: t}
    |            ^");
    assert_eq!(
        of("  - {name: s, agent: a}\n  - {name: r, tool: t}\n"),
        "agents/x.md:4:22: no agent `a`; there are: none
  4 |   - {name: s, agent: a}
    |                      ^
agents/x.md:5:21: no tool `t` in `tools` of this file; declared: none
  5 |   - {name: r, tool: t}
    |                     ^"
    );
    assert_eq!(
        faults_of("kind: workflow\nsteps: []\n"),
        "agents/x.md:3:8: a workflow needs at least one step
  3 | steps: []
    |        ^"
    );
    assert_eq!(
        of("  - {agent: a}\n"),
        "agents/x.md:4:6: missing key `name`
  4 |   - {agent: a}
    |      ^^^^^"
    );
}

#[test]
fn steps_are_checked_within_steps() {
    let steps = "kind: workflow
steps:
  - name: a
    condition: {if: 'x >', then: [{name: b, agent: n}, {name: b, agent: n}]}
  - name: c
    loop: {steps: [{name: d, agent: n}], until: '1 +', max_iterations: 0}
  - name: e
    router: {choose: 'a b', routes: {}}
";
    assert_eq!(
        faults(&[("n.md", AGENT), ("w.md", &format!("---\n{steps}---\n"))]),
        "agents/w.md:5:21: no valid expression: unexpected end of input, expected expression
  5 |     condition: {if: 'x >', then: [{name: b, agent: n}, {name: b, agent: n}]}
    |                     ^^^^^
agents/w.md:5:63: the step `b` is there twice
  5 |     condition: {if: 'x >', then: [{name: b, agent: n}, {name: b, agent: n}]}
    |                                                               ^
agents/w.md:7:49: no valid expression: unexpected end of input, expected expression
  7 |     loop: {steps: [{name: d, agent: n}], until: '1 +', max_iterations: 0}
    |                                                 ^^^^^
agents/w.md:7:72: `max_iterations` must be at least 1
  7 |     loop: {steps: [{name: d, agent: n}], until: '1 +', max_iterations: 0}
    |                                                                        ^
agents/w.md:9:22: no valid expression: unexpected input after expression
  9 |     router: {choose: 'a b', routes: {}}
    |                      ^^^^^
agents/w.md:9:37: a router needs at least one route
  9 |     router: {choose: 'a b', routes: {}}
    |                                     ^"
    );
}

#[test]
fn lines_that_may_hold_a_secret_are_not_repeated() {
    assert_eq!(
        faults_of(
            "tools:\n  - name: t\n    description: d\n    kind: http\n    headers: {Authorization: [abc]}\n"
        ),
        "agents/x.md:6:30: expected text"
    );
}

#[test]
fn the_examples_are_fine_and_need_no_network() {
    let known_providers = vec!["scripted".into()];
    let anything = |_: &[CapabilityRef], _: &[DeclaredTool]| Ok(());
    let defaults = CatalogDefaults { model: model("scripted/demo"), known_providers, check: &anything };
    let catalog = Catalog::load(Path::new("agents"), &defaults).unwrap();
    let ids: Vec<String> = catalog.agents().map(|spec| spec.id().to_string()).collect();
    assert_eq!(ids, ["assistant", "note-keeper", "researcher", "sorter", "text-editor"]);
}

#[test]
fn the_schema_accepts_the_examples_and_knows_the_three_kinds() {
    let validator = jsonschema::validator_for(&schema(What::Agent)).unwrap();
    let front = |yaml: &str| serde_saphyr::from_str::<Value>(yaml).unwrap();
    for entry in Path::new("agents").read_dir().unwrap() {
        let file = entry.unwrap().path();
        if file.extension().is_none_or(|end| end != "md") || file.ends_with("README.md") {
            continue;
        }
        let text = std::fs::read_to_string(&file).unwrap();
        let yaml = text.split("---\n").nth(1).unwrap();
        assert!(validator.validate(&front(yaml)).is_ok(), "{}", file.display());
    }
    let accepted = |yaml: &str| validator.is_valid(&front(yaml));
    assert!(accepted("{kind: team, members: [a], mode: tasks, capabilities: [{ref: a}], tools: []}"));
    assert!(accepted("{kind: workflow, steps: [{name: a, loop: {steps: [{name: b, agent: c}]}}]}"));
    assert!(!accepted("{members: [a]}"));
    assert!(!accepted("{kind: team}"));
    assert!(!accepted("{kind: workflow, steps: [{name: a, agnt: b}]}"));
}

#[test]
fn a_check_that_finds_nothing_says_what_there_is() {
    let (folder, loaded) = load(&[
        ("a.md", AGENT),
        ("b.md", AGENT),
        ("w.md", "---\nkind: workflow\nsteps: [{name: s, agent: a}]\n---\n"),
    ]);
    let agents = folder.path().display().to_string();
    let config = Config::load(None, [("RUNHOLD_AGENTS".into(), agents.clone())]).unwrap();
    let summary = summary(&config, &loaded.unwrap());
    assert_eq!(summary, format!("OK: 2 agents, 0 teams, 1 workflow in {agents}"));
}
