//! The catalog: what an agent file may say, and what is said about a wrong one.

mod faults;
mod references;
mod specs;
mod tools;

use std::path::Path;
use std::sync::Arc;

use runhold::cli::check::summary;
use runhold::cli::schema::{What, schema};
use runhold::config::Config;
use runhold::domain::id::ModelName;
use runhold::domain::spec::{CapabilityRef, DeclaredTool, Spec};
use runhold::runtime::catalog::{Catalog, CatalogDefaults};
use serde_json::Value;

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

const AGENT: &str = "---\n---\nAn agent.\n";

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
fn the_examples_are_fine_and_need_no_network() {
    let known_providers = vec!["scripted".into()];
    let anything = |_: &[CapabilityRef], _: &[DeclaredTool]| Ok(());
    let defaults = CatalogDefaults { model: model("scripted/demo"), known_providers, check: &anything };
    let catalog = Catalog::load(Path::new("agents"), &defaults).unwrap();
    let ids = |specs: Vec<&Arc<Spec>>| -> Vec<String> {
        specs.into_iter().map(|spec| spec.id().to_string()).collect()
    };
    let agents = [
        "assistant",
        "fact-checker",
        "headline-writer",
        "list-writer",
        "norm",
        "note-keeper",
        "researcher",
        "shortener",
        "sorter",
        "text-editor",
        "upgrade-writer",
    ];
    assert_eq!(ids(catalog.agents().collect()), agents);
    assert_eq!(ids(catalog.teams().collect()), ["newsroom"]);
    assert_eq!(ids(catalog.workflows().collect()), ["polish", "release-notes"]);
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
