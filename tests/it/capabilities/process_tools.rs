//! Declared process tools: what a program is given, what becomes of what it prints, and that it ends.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use runhold::capability::Invocation;
use runhold::capability::toolbox::Toolbox;
use runhold::domain::Object;
use runhold::domain::spec::ToolAction;
use runhold::domain::tool::{ToolResult, Verdict};
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};

use super::{KEY, StubHost, declared, registry, shell, use_tool};

fn toolbox(action: ToolAction) -> Toolbox {
    registry().compose(&[], &[declared("t", action)]).unwrap()
}

async fn run(script: &str) -> ToolResult {
    use_tool(&toolbox(shell(script)), "t", json!({})).await
}

/// A script in `directory` that starts a grandchild, both of which hold the pipe `alive` there.
fn family(directory: &Path, then: &str) -> ToolAction {
    assert!(std::process::Command::new("mkfifo").arg(directory.join("alive")).status().unwrap().success());
    let script = format!("exec 3>alive; sleep 1000 & echo started >&3; {then}");
    ToolAction::Process { command: vec!["sh".into(), "-c".into(), script], directory: directory.into() }
}

/// Reads the pipe `alive` to its end, which comes when the last of the family is gone.
async fn all_gone(directory: &Path) -> String {
    tokio::fs::read_to_string(directory.join("alive")).await.unwrap()
}

#[tokio::test]
async fn a_program_reads_its_arguments_and_its_key_as_one_line_of_json() {
    let result = use_tool(&toolbox(shell("cat; echo end")), "t", json!({"b": "ä\n", "a": [1]})).await;
    let line = format!("{{\"b\":\"ä\\n\",\"a\":[1],\"idempotency_key\":\"{KEY}\"}}\nend\n");
    assert_eq!(result, ToolResult::done(line));
    let own = json!({"idempotency_key": "mine"});
    let result = use_tool(&toolbox(shell("cat")), "t", own).await;
    assert_eq!(
        result,
        ToolResult::done("{\"idempotency_key\":\"mine\"}\n"),
        "an argument of that name stays"
    );
}

#[tokio::test]
async fn a_program_that_reads_nothing_is_no_failure() {
    let long = json!({"text": "x".repeat(300_000)});
    assert_eq!(use_tool(&toolbox(shell("echo ok")), "t", long).await, ToolResult::done("ok\n"));
}

#[tokio::test]
async fn the_environment_is_ours_to_give() {
    let action = ToolAction::Process { command: vec!["env".into()], directory: "/".into() };
    let result = use_tool(&toolbox(action), "t", json!({})).await;
    let passed_on = ["PATH=", "HOME=", "LANG=", "TMPDIR=", "TZ="];
    let mut own: Vec<_> =
        result.content.lines().filter(|line| !passed_on.iter().any(|name| line.starts_with(name))).collect();
    own.sort_unstable();
    assert_eq!(
        own,
        [
            &format!("RUNHOLD_IDEMPOTENCY_KEY={KEY}"),
            "RUNHOLD_RUN=00000000-0000-7000-8000-000000000001",
            "RUNHOLD_SESSION=s1",
            "RUNHOLD_USER=u1",
        ]
    );
    assert!(result.content.contains("PATH="));
}

#[tokio::test]
async fn a_program_with_a_path_is_found_in_its_directory() {
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("tool.sh");
    std::fs::write(&program, "#!/bin/sh\necho \"$1 in $(basename \"$PWD\")\"\n").unwrap();
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
    let command = vec!["./tool.sh".into(), "hi".into()];
    let action = ToolAction::Process { command, directory: directory.path().into() };
    let name = directory.path().file_name().unwrap().to_str().unwrap();
    assert_eq!(use_tool(&toolbox(action), "t", json!({})).await, ToolResult::done(format!("hi in {name}\n")));
}

#[tokio::test]
async fn a_failure_tells_the_code_and_the_end_of_stderr() {
    let result = run("echo out; echo bad >&2; exit 3").await;
    assert_eq!(result, ToolResult::failed("the program failed (exit status: 3)\nstderr:\nbad\nstdout:\nout"));
    let result = run("head -c 9000 /dev/zero | tr '\\0' e >&2; echo last >&2; exit 1").await;
    assert!(result.content.contains("[only the last 4096 bytes]\neee"), "{}", result.content);
    assert!(result.content.ends_with("elast"), "{}", result.content);
    let missing = ToolAction::Process { command: vec!["no-such-program".into()], directory: "/".into() };
    assert_eq!(
        use_tool(&toolbox(missing), "t", json!({})).await,
        ToolResult::failed("the program could not be started: entity not found")
    );
}

#[tokio::test]
async fn output_that_is_no_text_is_made_text() {
    assert_eq!(run("printf 'a\\377b'").await, ToolResult::done("a\u{fffd}b"));
}

#[tokio::test]
async fn long_output_is_cut_and_endless_output_ends() {
    let long = run("head -c 300000 /dev/zero | tr '\\0' x").await;
    assert_eq!(long.verdict, Verdict::Done);
    assert!(long.content.len() <= 256 * 1024 && long.content.contains("x\n[cut: the program printed more"));
    let endless = run("exec yes").await;
    assert!(endless.content.starts_with("the program failed (signal: 13"), "{:.80}", endless.content);
}

#[tokio::test]
async fn the_deadline_ends_a_program_with_all_it_started() {
    let directory = tempfile::tempdir().unwrap();
    let mut tool = declared("t", family(directory.path(), "wait"));
    tool.timeout = Duration::from_secs(1);
    let toolbox = registry().compose(&[], &[tool]).unwrap();
    let (result, heard) = tokio::join!(use_tool(&toolbox, "t", json!({})), all_gone(directory.path()));
    assert_eq!(result, ToolResult::failed("stopped: the program took longer than 1s"));
    assert_eq!(heard, "started\n");
}

#[tokio::test]
async fn nothing_a_program_started_outlives_it() {
    let directory = tempfile::tempdir().unwrap();
    let toolbox = toolbox(family(directory.path(), "echo done"));
    let (result, heard) = tokio::join!(use_tool(&toolbox, "t", json!({})), all_gone(directory.path()));
    assert_eq!((result, heard), (ToolResult::done("done\n"), "started\n".into()));
}

#[tokio::test]
async fn a_dropped_call_leaves_nothing_running() {
    let directory = tempfile::tempdir().unwrap();
    let toolbox = toolbox(family(directory.path(), "wait"));
    let (host, arguments) = (StubHost::default(), Object::new());
    let mut call =
        toolbox.get("t").unwrap().tool.call(Invocation { arguments: &arguments, key: KEY, host: &host });
    let path = directory.path().join("alive");
    let started = async {
        let mut pipe = BufReader::new(tokio::fs::File::open(path).await.unwrap());
        let mut line = String::new();
        pipe.read_line(&mut line).await.unwrap();
        (pipe, line)
    };
    let (mut pipe, line) = tokio::select! {
        result = &mut call => panic!("it ended by itself: {result:?}"),
        started = started => started,
    };
    drop(call);
    let mut rest = String::new();
    pipe.read_to_string(&mut rest).await.unwrap();
    assert_eq!((line.as_str(), rest.as_str()), ("started\n", ""));
}
