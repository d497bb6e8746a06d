//! `runhold chat` as somebody at a terminal has it, with what they type piped in.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

const ANN: &str =
    "---\nname: Ann\ndescription: Calculates.\ncapabilities: [test_math]\n---\nYou calculate.\n";

const LAUNCHER: &str = "\
---
description: Launches rockets.
tools:
  - name: aim
    description: Aims.
    kind: process
    command: [cat]
    requires_user_input: [angle]
    parameters: {type: object, required: [angle], properties: {angle: {type: integer}}}
  - name: count
    description: Counts down.
    kind: external
  - name: launch
    description: Launches.
    kind: process
    command: [sh, -c, 'echo launched >> ../launched; echo up']
    requires_confirmation: true
    message: Is the pad clear?
---
You launch.
";

const CREW: &str = "---\nkind: team\nmembers: [ann, launcher]\n---\nYou lead.\n";

const FLOW: &str = "\
---
kind: workflow
steps:
  - name: way
    message: Which way?
    router:
      routes:
        left: [{name: turn, agent: echo}]
        right: [{name: go, agent: echo}]
  - {name: draft, agent: echo, requires_output_review: true, on_reject: retry}
  - {name: last, agent: echo, requires_confirmation: true}
---
";

fn folder() -> TempDir {
    let folder = TempDir::new().unwrap();
    std::fs::create_dir(folder.path().join("agents")).unwrap();
    let echo = "---\nhistory_runs: 0\n---\nYou make lists.\n";
    for (id, file) in [("ann", ANN), ("launcher", LAUNCHER), ("crew", CREW), ("echo", echo), ("flow", FLOW)] {
        std::fs::write(folder.path().join("agents").join(format!("{id}.md")), file).unwrap();
    }
    folder
}

/// What is printed, without colours.
fn chat(folder: &Path, arguments: &[&str], input: &str) -> String {
    let mut child = Command::new(env!("CARGO_BIN_EXE_runhold"))
        .arg("chat")
        .args(arguments)
        .current_dir(folder)
        .env_remove("RUNHOLD_TOKEN")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let mut printed = String::new();
    child.stdout.take().unwrap().read_to_string(&mut printed).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{printed}");
    let mut plain = String::new();
    for (at, part) in printed.split("\u{1b}[").enumerate() {
        plain.push_str(if at == 0 { part } else { part.split_once('m').unwrap().1 });
    }
    plain
}

fn has_lines(printed: &str, wanted: &[&str]) {
    let mut lines = printed.lines().map(str::trim_end);
    for line in wanted {
        assert!(lines.any(|printed| printed == *line), "no `{line}` at its place in:\n{printed}");
    }
}

#[test]
fn members_are_shown_as_they_work_and_the_leader_sums_up() {
    let folder = folder();
    let printed = chat(folder.path(), &["crew"], "Calculate 6 * 7\n");
    has_lines(
        &printed,
        &[
            "· delegate_task_to_member {\"member_id\":\"ann\",\"task\":\"Calculate 6 * 7\"}",
            "  ann · multiply {\"a\":6,\"b\":7}",
            "  ann · multiply → {\"result\":42,\"operation\":\"multiply\",\"a\":6,\"b\":7}",
            "  ann │ 6 times 7 is 42.",
            "· delegate_task_to_member → 6 times 7 is 42.",
            "ann says: 6 times 7 is 42.",
        ],
    );
    assert!(printed.contains("Go on later with: runhold chat crew --session "), "{printed}");
}

#[test]
fn what_a_member_waits_for_is_asked_at_the_terminal() {
    let folder = folder();
    let input = "Launcher, please: aim, count, launch.\n45\nthree, two, one\ny\n";
    let printed = chat(folder.path(), &["crew"], input);
    has_lines(
        &printed,
        &[
            "? launcher · aim {\"angle\":1}",
            "  angle: 45",
            "? launcher · count {}",
            "  its result: three, two, one",
            "? launcher · launch {}: Is the pad clear?",
            "  [y, or n and why] y",
        ],
    );
    assert!(printed.contains("\n  launcher · launch → up\n"), "{printed}");
    assert!(printed.contains("\nlauncher says: `aim` answered: angle: 45; "), "{printed}");
    assert!(printed.contains("`count` answered: three, two, one. `launch` answered: up.\n"), "{printed}");
    assert_eq!(std::fs::read_to_string(folder.path().join("launched")).unwrap(), "launched\n");
}

#[test]
fn what_was_refused_is_not_done_and_the_member_is_told_why() {
    let folder = folder();
    let printed = chat(folder.path(), &["launcher"], "Use launch\nmaybe\nn too windy\n");
    assert_eq!(printed.matches("[y, or n and why]").count(), 2, "{printed}");
    assert!(printed.contains("too windy"), "{printed}");
    assert!(!folder.path().join("launched").exists());
}

#[test]
fn a_conversation_that_ended_while_it_waited_goes_on_in_the_same_session() {
    let folder = folder();
    let printed = chat(folder.path(), &["crew"], "Launcher, use launch\n");
    assert!(printed.contains("The run goes on waiting."), "{printed}");
    let session = printed.trim_end().rsplit(' ').next().unwrap().to_owned();
    let printed = chat(folder.path(), &["crew", "--session", &session], "y\n");
    assert!(printed.contains("launcher says: `launch` answered: up."), "{printed}");
    assert_eq!(std::fs::read_to_string(folder.path().join("launched")).unwrap(), "launched\n");
}

#[test]
fn steps_are_shown_by_name_and_people_choose_review_and_agree() {
    let folder = folder();
    let printed = chat(folder.path(), &["flow"], "One. Two.\nup\nright\nn too short\nNew words\ny\n");
    has_lines(
        &printed,
        &[
            "? flow · way: Which way?",
            "  which of left, right? right",
            "▸ way",
            "▸ way: right",
            "▸ way/go",
            "  echo │ - One.",
            "  echo │ - Two.",
            "▸ draft",
            "  echo │ - One.",
            "? flow · draft",
            "  │ - One.",
            "  [y, n and why, or what to go on with] n too short",
            "▸ draft (try 2)",
            "? flow · draft",
            "  [y, n and why, or what to go on with] New words",
            "? flow · last",
            "  [y, or n and why] y",
            "▸ last",
            "  echo │ - New words",
            "- New words",
        ],
    );
    assert_eq!(printed.matches("which of left, right?").count(), 2, "{printed}");
    assert!(printed.contains("(Done again: too short)"), "{printed}");
}

#[test]
fn an_id_nobody_has_is_refused() {
    let folder = folder();
    let refused = Command::new(env!("CARGO_BIN_EXE_runhold"))
        .args(["chat", "nobody"])
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(refused.status.code(), Some(1));
    let told = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(told, "error: there is no agent, team or workflow `nobody` in agents\n");
}
