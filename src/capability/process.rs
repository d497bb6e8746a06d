//! Declared process tools: a program that reads its arguments on stdin and prints its result.
//!
//! The program gets the arguments as one line of JSON on stdin, beside them `idempotency_key` (the same for the
//! same call after a restart) unless an argument has that name, and in its environment the same as
//! `RUNHOLD_IDEMPOTENCY_KEY`, `RUNHOLD_RUN`, `RUNHOLD_SESSION` and, if the client named one, `RUNHOLD_USER`; besides them only `PATH`, `HOME`, `LANG`, `TMPDIR` and `TZ`. It runs
//! in a process group of its own, and nothing of that group outlives the call.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use async_trait::async_trait;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::{Invocation, Tool};
use crate::domain::tool::{MAX_RESULT_BYTES, ToolResult, ToolSpec};

/// What of our environment a program sees.
pub(super) const PASSED_ON: [&str; 5] = ["PATH", "HOME", "LANG", "TMPDIR", "TZ"];
/// The member of the input that holds the call's key.
const KEY: &str = "idempotency_key";
/// The end of stderr that is shown when a program fails, in bytes.
const STDERR_TAIL: usize = 4096;
/// What is kept of stdout, in bytes: a result's size, less a note that it was cut.
const MAX_STDOUT: usize = MAX_RESULT_BYTES - 256;
/// A program that prints more than this loses its stdout, as under `head -c`; up to it, what is too long for a
/// result is read and dropped, so that a talkative program still ends by itself.
const MAX_OUTPUT: usize = 16 * 1024 * 1024;
/// How long output is still read after the program ended. Its group is gone by then, so this only matters for
/// a descendant that left the group and kept the pipe.
const DRAIN: Duration = Duration::from_secs(1);

/// A program as a tool.
pub(super) struct ProcessTool {
    spec: ToolSpec,
    program: PathBuf,
    arguments: Vec<String>,
    directory: PathBuf,
}

impl ProcessTool {
    /// A program with a path separator in its name is relative to the directory; others are found by `PATH`.
    pub(super) fn new(spec: ToolSpec, command: &[String], directory: &Path) -> Result<Self, String> {
        let [program, arguments @ ..] = command else { return Err("`command` must name a program".into()) };
        if program.is_empty() || command.iter().any(|part| part.contains('\0')) {
            return Err("`command` must name a program, and hold no NUL".into());
        }
        // Made absolute, because a relative program would be looked up after the change of directory.
        let directory = std::path::absolute(directory).map_err(|_| "the directory must not be empty")?;
        let program = if program.contains('/') { directory.join(program) } else { program.into() };
        Ok(Self { spec, program, arguments: arguments.to_vec(), directory })
    }

    fn command(&self, call: &Invocation<'_>) -> Command {
        let scene = call.host.scene();
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).current_dir(&self.directory).env_clear();
        command.envs(PASSED_ON.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        command.env("RUNHOLD_IDEMPOTENCY_KEY", call.key);
        command.env("RUNHOLD_RUN", scene.run.to_string());
        command.env("RUNHOLD_SESSION", scene.session.as_str());
        if let Some(user) = &scene.user {
            command.env("RUNHOLD_USER", user.as_str());
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.process_group(0).kill_on_drop(true);
        command
    }
}

#[async_trait]
impl Tool for ProcessTool {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    async fn call(&self, call: Invocation<'_>) -> ToolResult {
        let mut arguments = call.arguments.clone();
        arguments.entry(KEY).or_insert_with(|| call.key.into());
        let Ok(mut input) = serde_json::to_vec(&arguments) else {
            return ToolResult::failed("the arguments could not be written as JSON");
        };
        input.push(b'\n');
        let child = match self.command(&call).spawn() {
            Ok(child) => child,
            Err(error) => {
                return ToolResult::failed(format!("the program could not be started: {}", error.kind()));
            }
        };
        match timeout(self.spec.timeout, Ended::of(child, &input)).await {
            Ok(ended) => ended.result(),
            Err(_) => {
                ToolResult::failed(format!("stopped: the program took longer than {:?}", self.spec.timeout))
            }
        }
    }
}

/// What came of a program.
struct Ended {
    status: std::io::Result<ExitStatus>,
    stdout: Captured,
    stderr: Captured,
}

impl Ended {
    /// Feeds a program and waits for its end. Dropped at any point, it takes the whole group with it.
    async fn of(mut child: Child, input: &[u8]) -> Self {
        let group = Group::of(&child);
        let (mut stdout, mut stderr) = (Captured::head(MAX_STDOUT), Captured::tail(STDERR_TAIL));
        let (stdin, out, err) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let feed = async {
            // A program need not read what it is given, so a broken pipe is no failure.
            if let Some(mut stdin) = stdin {
                let _ = stdin.write_all(input).await;
            }
        };
        let status = {
            let streams = async { tokio::join!(feed, stdout.fill(out), stderr.fill(err)) };
            let exit = async {
                let status = child.wait().await;
                drop(group);
                status
            };
            tokio::pin!(streams, exit);
            tokio::select! {
                status = &mut exit => {
                    let _ = timeout(DRAIN, &mut streams).await;
                    status
                }
                _ = &mut streams => exit.await,
            }
        };
        Self { status, stdout, stderr }
    }

    fn result(self) -> ToolResult {
        match &self.status {
            Ok(status) if status.success() => ToolResult::done(self.stdout.text()),
            Ok(status) => {
                let (out, err) = (self.stdout.text(), self.stderr.text());
                let mut content = format!("the program failed ({status})");
                for (name, text) in [("stderr", err.trim()), ("stdout", out.trim())] {
                    if !text.is_empty() {
                        content.push_str(&format!("\n{name}:\n{text}"));
                    }
                }
                ToolResult::failed(content)
            }
            Err(error) => ToolResult::failed(format!("the program was lost: {}", error.kind())),
        }
    }
}

/// Kills a process group when dropped. Of a group with members left the number cannot be given out again, and
/// an empty one is asked right after its leader ended, so no stranger is hit.
pub(super) struct Group(Option<Pid>);

impl Group {
    pub(super) fn of(leader: &Child) -> Self {
        Self(leader.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // It may well be gone.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// The beginning or the end of what a pipe gave.
struct Captured {
    kept: Vec<u8>,
    total: usize,
    max: usize,
    end: bool,
}

impl Captured {
    fn head(max: usize) -> Self {
        Self { kept: Vec::new(), total: 0, max, end: false }
    }

    fn tail(max: usize) -> Self {
        Self { end: true, ..Self::head(max) }
    }

    async fn fill(&mut self, pipe: Option<impl AsyncRead + Unpin>) {
        let Some(mut pipe) = pipe else { return };
        let mut buffer = vec![0; 16 * 1024];
        while let Ok(read @ 1..) = pipe.read(&mut buffer).await {
            self.keep(buffer.get(..read).unwrap_or_default());
            if self.total > MAX_OUTPUT {
                return;
            }
        }
    }

    fn keep(&mut self, piece: &[u8]) {
        self.total += piece.len();
        if self.end {
            self.kept.extend_from_slice(piece);
            self.kept.drain(..self.kept.len().saturating_sub(self.max));
        } else {
            let room = self.max - self.kept.len();
            self.kept.extend_from_slice(piece.get(..room).unwrap_or(piece));
        }
    }

    fn text(&self) -> String {
        let text = String::from_utf8_lossy(&self.kept);
        match self.total.saturating_sub(self.kept.len()) {
            0 => text.into_owned(),
            _ if self.end => format!("[only the last {} bytes]\n{text}", self.kept.len()),
            _ => format!("{text}\n[cut: the program printed more than {} bytes]", self.kept.len()),
        }
    }
}
