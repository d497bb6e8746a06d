//! A shell over the session's files: no process, no network, nothing of the machine.
//!
//! The files are laid into a file system in memory, the command runs there, and what it changed is written back. A
//! file that somebody else changed meanwhile is left as it is, and the model is told.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bashkit::{Bash, ExecResult, ExecutionLimits, FsLimits, InMemoryFs, VfsEntryKind, VfsSnapshot};
use bytes::Bytes;
use serde_json::{Value, json};

use super::file_system::CLASS;
use super::{answered, spec};
use crate::capability::files::{FileError, Files, Onto, Write};
use crate::capability::{About, Capability, Contribution, Invocation, Risk, Tool};
use crate::domain::Object;
use crate::domain::file::{FileInfo, FilePath};
use crate::domain::tool::{Effect, ToolResult, ToolSpec};

/// Where the session's files are in the shell.
const HOME: &str = "/workspace";

/// How long a command takes where nothing is said, and at most, in seconds.
const SECONDS: (u64, u64) = (30, 55);

/// Most bytes of each output that are kept.
const MAX_OUTPUT_BYTES: usize = 64 * 1024;

/// Most bytes of files a shell works on.
const MAX_TOTAL_BYTES: u64 = 32 * 1024 * 1024;

/// Most bytes of variables.
const MAX_MEMORY: usize = 16 * 1024 * 1024;

/// `virtual_bash`.
pub(super) struct VirtualBash(About);

impl VirtualBash {
    pub(super) fn new() -> Self {
        let about = "Runs shell commands over the session's files, in a shell of its own without processes or network.";
        let about = About::new("virtual_bash", "Virtual Bash", about)
            .listed("Execution", "terminal")
            .needs(&["session_file_system"])
            .risking(Risk::Low);
        Self(about)
    }
}

impl Capability for VirtualBash {
    fn about(&self) -> &About {
        &self.0
    }

    fn contribute(&self, _: &Value) -> Result<Contribution, String> {
        let prompt = "The shell works on the session's files, which are below /workspace, where it begins. It has the usual \
                      text tools and jq, but no network, no programs of a machine and no package managers. Variables do \
                      not stay from call to call; files do.";
        let bash = Arc::new(Shell(bash_spec()));
        Ok(Contribution { prompt: Some(prompt.into()), tools: vec![bash], ..Contribution::default() })
    }
}

fn bash_spec() -> ToolSpec {
    let (usual, most) = SECONDS;
    let parameters = json!({
        "type": "object",
        "properties": {
            "command": {"type": "string", "description": "A line or a script, for bash"},
            "working_dir": {"type": "string", "description": "Where it begins. Default: /workspace"},
            "timeout": {
                "type": "integer", "minimum": 1, "maximum": most,
                "description": format!("Seconds. Default: {usual}"),
            },
        },
        "required": ["command"],
        "additionalProperties": false,
    });
    ToolSpec {
        timeout: Duration::from_secs(60),
        ..spec("bash", "Runs a shell command on the session's files.", Effect::Once, parameters)
    }
}

struct Shell(ToolSpec);

#[async_trait]
impl Tool for Shell {
    fn spec(&self) -> &ToolSpec {
        &self.0
    }

    fn class(&self) -> Option<&'static str> {
        Some(CLASS)
    }

    async fn call(&self, call: Invocation<'_>) -> ToolResult {
        answered(run(call.host.files(), call.arguments).await)
    }
}

async fn run(files: &dyn Files, arguments: &Object) -> Result<Value, String> {
    let text = |name: &str| arguments.get(name).and_then(Value::as_str);
    let directory = FilePath::parse(text("working_dir").unwrap_or("/")).map_err(|bad| bad.to_string())?;
    let seconds = arguments.get("timeout").and_then(Value::as_u64).unwrap_or(SECONDS.0).min(SECONDS.1);
    let before = Before::of(files).await.map_err(|error| error.to_string())?;
    let order = Order {
        command: text("command").unwrap_or_default().to_owned(),
        directory: inside(&directory),
        time: Duration::from_secs(seconds),
    };
    let (result, after) = order.carried_out(before.laid_out()).await?;
    let notes = before.write_back(files, &after).await;
    let mut answer = match result {
        Ok(result) => shown(&result),
        Err(error) => json!({"stdout": "", "stderr": error, "exit_code": 1}),
    };
    if let (Some(answer), false) = (answer.as_object_mut(), notes.is_empty()) {
        answer.insert("warnings".into(), json!(notes));
    }
    Ok(answer)
}

fn inside(path: &FilePath) -> String {
    if path.is_root() { HOME.into() } else { format!("{HOME}{path}") }
}

fn shown(result: &ExecResult) -> Value {
    let mut answer = json!({
        "stdout": result.stdout.text_lossy(),
        "stderr": result.stderr.text_lossy(),
        "exit_code": result.exit_code,
    });
    if let (Some(answer), true) = (answer.as_object_mut(), result.stdout_truncated || result.stderr_truncated)
    {
        answer.insert("truncated".into(), true.into());
    }
    answer
}

struct Order {
    command: String,
    directory: String,
    time: Duration,
}

/// What a command came to, or why it was stopped; and the files after it.
type Ended = (Result<ExecResult, String>, VfsSnapshot);

/// Tells a shell to end when nobody waits for it any more.
struct EndsIt(Arc<AtomicBool>);

impl Drop for EndsIt {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Order {
    /// Runs it on a thread of its own: a command may compute for long without ever waiting.
    async fn carried_out(self, fs: Arc<InMemoryFs>) -> Result<Ended, String> {
        let limits = ExecutionLimits::new()
            .timeout(self.time)
            .max_stdout_bytes(MAX_OUTPUT_BYTES)
            .max_stderr_bytes(MAX_OUTPUT_BYTES);
        let shell = Bash::builder().fs(fs.clone()).cwd(&self.directory).limits(limits).max_memory(MAX_MEMORY);
        let mut shell = shell.build();
        let _ends = EndsIt(shell.cancellation_token());
        let handle = tokio::runtime::Handle::current();
        let work = move || {
            let result = handle.block_on(shell.exec(&self.command));
            (result.map_err(|error| error.to_string()), fs.snapshot())
        };
        tokio::task::spawn_blocking(work).await.map_err(|_| "the shell failed in a way it should not".into())
    }
}

/// The session's files as the command found them.
struct Before(BTreeMap<FilePath, (FileInfo, Bytes)>);

impl Before {
    async fn of(files: &dyn Files) -> Result<Self, FileError> {
        let mut found = BTreeMap::new();
        let mut total = 0_u64;
        for info in files.list(&FilePath::root(), true).await? {
            total = total.saturating_add(info.size);
            if total > MAX_TOTAL_BYTES {
                let most = MAX_TOTAL_BYTES / (1024 * 1024);
                return Err(FileError::TooLarge(format!("the shell works on at most {most} MiB of files")));
            }
            if info.folder {
                found.insert(info.path.clone(), (info, Bytes::new()));
                continue;
            }
            match files.read(&info.path).await {
                Ok((info, content)) => {
                    found.insert(info.path.clone(), (info, content));
                }
                Err(FileError::Missing(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Self(found))
    }

    fn laid_out(&self) -> Arc<InMemoryFs> {
        let limits = FsLimits::new()
            .max_total_bytes(MAX_TOTAL_BYTES.saturating_mul(2))
            .max_file_size(MAX_TOTAL_BYTES)
            .max_file_count(20_000)
            .max_dir_count(20_000);
        let fs = InMemoryFs::with_limits(limits);
        fs.add_dir("/tmp", 0o777);
        fs.add_dir(HOME, 0o755);
        for (path, (info, content)) in &self.0 {
            let mode = if info.readonly { 0o444 } else { 0o644 };
            if info.folder {
                fs.add_dir(inside(path), 0o755);
            } else {
                fs.add_file(inside(path), content, mode);
            }
        }
        Arc::new(fs)
    }

    /// Writes what changed; what could not be written, in sentences.
    async fn write_back(&self, files: &dyn Files, after: &VfsSnapshot) -> Vec<String> {
        let mut notes = Vec::new();
        let now: BTreeMap<FilePath, &VfsEntryKind> =
            after.entries().iter().filter_map(|entry| Some((outside(&entry.path)?, &entry.kind))).collect();
        // What is gone first, the deepest first: a file may stand where a folder was.
        for (path, (info, _)) in self.0.iter().rev() {
            let stays = match now.get(path) {
                Some(VfsEntryKind::Directory) => info.folder,
                Some(VfsEntryKind::File { .. }) => !info.folder,
                Some(VfsEntryKind::Symlink { .. } | VfsEntryKind::Fifo) | None => false,
            };
            if !stays && let Err(error) = files.delete(path, false).await {
                notes.push(error.to_string());
            }
        }
        for (path, kind) in now {
            let written = match kind {
                VfsEntryKind::Directory if self.0.contains_key(&path) => continue,
                VfsEntryKind::Directory => files.make_folder(&path).await.map(drop),
                VfsEntryKind::File { content } => self.put(files, &path, content).await,
                VfsEntryKind::Symlink { .. } | VfsEntryKind::Fifo => {
                    notes.push(format!("`{path}` is neither file nor directory, and does not stay"));
                    continue;
                }
            };
            notes.extend(written.err().map(|error| error.to_string()));
        }
        notes
    }

    async fn put(&self, files: &dyn Files, path: &FilePath, content: &[u8]) -> Result<(), FileError> {
        let known = self.0.get(path).filter(|(info, _)| !info.folder);
        let onto = match known {
            Some((_, before)) if before == content => return Ok(()),
            Some((info, _)) => Onto::Unchanged(info.updated),
            None => Onto::Nothing,
        };
        let how = Write { onto, readonly: None };
        files.write(path, Bytes::copy_from_slice(content), how).await.map(drop)
    }
}

/// The session's path of a file in the shell; none for what is elsewhere there.
fn outside(path: &Path) -> Option<FilePath> {
    let below = path.strip_prefix(HOME).ok()?.to_str()?;
    FilePath::parse_open(below).ok().filter(|path| !path.is_root())
}
