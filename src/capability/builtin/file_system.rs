//! The session's files, as tools.

use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{answered, spec};
use crate::capability::files::{Files, Onto, Write};
use crate::capability::search::{self, Search};
use crate::capability::{About, Capability, Contribution, Invocation, Risk, Tool};
use crate::domain::Object;
use crate::domain::file::{FileInfo, FilePath};
use crate::domain::tool::{Effect, ToolResult, ToolSpec};

/// Writes of files come one after the other.
pub(super) const CLASS: &str = "files";

/// How much of a file a model reads at once, in bytes; room for what JSON adds.
const MAX_READ_BYTES: usize = 100 * 1024;

/// Most lines of a search that a model reads.
const MAX_LINES: usize = 200;

/// `session_file_system`.
pub(super) struct FileSystem(About);

impl FileSystem {
    pub(super) fn new() -> Self {
        let about = "Reads and writes files that belong to the session and stay with it.";
        let about = About::new("session_file_system", "File System", about)
            .listed("File Operations", "folder")
            .featuring(&["file_system"])
            .risking(Risk::Low);
        Self(about)
    }
}

impl Capability for FileSystem {
    fn about(&self) -> &About {
        &self.0
    }

    fn contribute(&self, _: &Value) -> Result<Contribution, String> {
        let prompt = "This session has files of its own, which stay between turns. Paths are absolute; folders above a \
                      file are made as needed; `/workspace/x` and `/x` are the same file. Read a file before you \
                      change it.";
        let tools = Action::ALL.iter().map(|action| Arc::new(FileTool::new(*action)) as Arc<dyn Tool>);
        Ok(Contribution { prompt: Some(prompt.into()), tools: tools.collect(), ..Contribution::default() })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Read,
    Write,
    List,
    Grep,
    Delete,
    Stat,
    Edit,
}

impl Action {
    const ALL: [Self; 7] =
        [Self::Read, Self::Write, Self::List, Self::Grep, Self::Delete, Self::Stat, Self::Edit];

    fn spec(self) -> ToolSpec {
        let path = json!({"type": "string", "description": "As in /notes/today.md"});
        match self {
            Self::Read => tool(
                "read_file",
                "Reads a file. What is not text comes in base64.",
                Effect::Pure,
                json!({
                    "path": path,
                    "offset": {"type": "integer", "minimum": 1, "description": "First line. Default: 1"},
                    "limit": {"type": "integer", "minimum": 1, "description": "Most lines. Default: all"},
                }),
                &["path"],
            ),
            Self::Write => tool(
                "write_file",
                "Writes a whole file, in place of the one there was.",
                Effect::Idempotent,
                json!({
                    "path": path,
                    "content": {"type": "string"},
                    "encoding": {"type": "string", "enum": ["text", "base64"], "description": "Of the content. Default: text"},
                }),
                &["path", "content"],
            ),
            Self::List => tool(
                "list_directory",
                "Lists what is in a folder.",
                Effect::Pure,
                json!({"path": {"type": "string", "description": "Default: /"}}),
                &[],
            ),
            Self::Grep => tool(
                "grep_files",
                "Finds lines in all files that match a regular expression.",
                Effect::Pure,
                json!({
                    "pattern": {"type": "string", "description": "A regular expression, without look-around"},
                    "path_pattern": {"type": "string", "description": "Only files like this: *.md, /src/**/*.rs"},
                }),
                &["pattern"],
            ),
            Self::Delete => tool(
                "delete_file",
                "Deletes a file or folder.",
                Effect::Once,
                json!({
                    "path": path,
                    "recursive": {"type": "boolean", "description": "A folder with all that is in it. Default: false"},
                }),
                &["path"],
            ),
            Self::Stat => tool(
                "stat_file",
                "Says whether a file or folder is there, and what is known of it.",
                Effect::Pure,
                json!({"path": path}),
                &["path"],
            ),
            Self::Edit => edit_spec(path),
        }
    }
}

fn edit_spec(path: Value) -> ToolSpec {
    let edit = json!({
        "type": "object",
        "properties": {
            "old_text": {"type": "string", "minLength": 1, "description": "As it stands there, once"},
            "new_text": {"type": "string"},
            "replace_all": {"type": "boolean", "description": "Wherever it stands. Default: false"},
        },
        "required": ["old_text", "new_text"],
        "additionalProperties": false,
    });
    tool(
        "edit_file",
        "Replaces exact pieces of a text file, all of them or none.",
        Effect::Once,
        json!({
            "path": path,
            "edits": {"type": "array", "minItems": 1, "maxItems": 100, "items": edit},
            "content_hash": {"type": "string", "description": "As read_file gave it: refused if the file was changed since"},
        }),
        &["path", "edits"],
    )
}

fn tool(name: &str, about: &str, effect: Effect, properties: Value, required: &[&str]) -> ToolSpec {
    let parameters = json!({
        "type": "object", "properties": properties, "required": required, "additionalProperties": false,
    });
    spec(name, about, effect, parameters)
}

struct FileTool {
    action: Action,
    spec: ToolSpec,
}

impl FileTool {
    fn new(action: Action) -> Self {
        Self { action, spec: action.spec() }
    }
}

#[async_trait]
impl Tool for FileTool {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    /// What reads belongs to it too: after a write of the same answer it sees what was written.
    fn class(&self) -> Option<&'static str> {
        Some(CLASS)
    }

    async fn call(&self, call: Invocation<'_>) -> ToolResult {
        let (files, arguments) = (call.host.files(), call.arguments);
        answered(match self.action {
            Action::Read => read(files, arguments).await,
            Action::Write => write(files, arguments).await,
            Action::List => list(files, arguments).await,
            Action::Grep => grep(files, arguments).await,
            Action::Delete => delete(files, arguments).await,
            Action::Stat => stat(files, arguments).await,
            Action::Edit => edit(files, arguments).await,
        })
    }
}

type Answer = Result<Value, String>;

fn text<'a>(arguments: &'a Object, name: &str) -> Option<&'a str> {
    arguments.get(name).and_then(Value::as_str)
}

fn path(arguments: &Object) -> Result<FilePath, String> {
    FilePath::parse_open(text(arguments, "path").unwrap_or("/")).map_err(|bad| bad.to_string())
}

fn told(error: impl ToString) -> String {
    error.to_string()
}

fn hash(content: &[u8]) -> String {
    Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn read(files: &dyn Files, arguments: &Object) -> Answer {
    let (info, content) = files.read(&path(arguments)?).await.map_err(told)?;
    let number = |name: &str| {
        arguments.get(name).and_then(Value::as_u64).and_then(|number| usize::try_from(number).ok())
    };
    let mut answer = json!({"path": info.path, "content": "", "encoding": "text", "size_bytes": info.size});
    let (shown, cut) = match search::text(&content) {
        Some(whole) => {
            let skipped = number("offset").unwrap_or(1).saturating_sub(1);
            let most = number("limit").unwrap_or(usize::MAX);
            let part: String = whole.split_inclusive('\n').skip(skipped).take(most).collect();
            let end = part.floor_char_boundary(MAX_READ_BYTES);
            (part.get(..end).unwrap_or_default().to_owned(), end < part.len())
        }
        None => {
            let end = content.len().min(MAX_READ_BYTES);
            set(&mut answer, "encoding", "base64".into());
            (BASE64.encode(content.get(..end).unwrap_or_default()), end < content.len())
        }
    };
    set(&mut answer, "content", shown.into());
    set(&mut answer, "content_hash", hash(&content).into());
    if cut {
        set(&mut answer, "truncated", true.into());
    }
    Ok(answer)
}

fn set(answer: &mut Value, name: &str, value: Value) {
    if let Some(answer) = answer.as_object_mut() {
        answer.insert(name.into(), value);
    }
}

async fn write(files: &dyn Files, arguments: &Object) -> Answer {
    let content = text(arguments, "content").unwrap_or_default();
    let content = if text(arguments, "encoding") == Some("base64") {
        Bytes::from(BASE64.decode(content).map_err(|_| "the content is not base64")?)
    } else {
        Bytes::copy_from_slice(content.as_bytes())
    };
    let written = files.write(&path(arguments)?, content, Write::default()).await.map_err(told)?;
    Ok(json!({"path": written.info.path, "size_bytes": written.info.size, "created": written.created}))
}

async fn list(files: &dyn Files, arguments: &Object) -> Answer {
    let path = path(arguments)?;
    let entries: Vec<Value> = files.list(&path, false).await.map_err(told)?.iter().map(entry).collect();
    Ok(json!({"path": path, "entries": entries, "count": entries.len()}))
}

fn entry(info: &FileInfo) -> Value {
    json!({
        "name": info.path.name(),
        "path": info.path,
        "is_directory": info.folder,
        "size_bytes": info.size,
        "is_readonly": info.readonly,
    })
}

async fn grep(files: &dyn Files, arguments: &Object) -> Answer {
    let pattern = text(arguments, "pattern").unwrap_or_default();
    let found = Search::new(pattern, text(arguments, "path_pattern"))?.run(files).await.map_err(told)?;
    let cut = found.cut || found.lines.len() > MAX_LINES;
    let lines = found.lines.iter().take(MAX_LINES);
    let matches: Vec<Value> =
        lines.map(|line| json!({"path": line.path, "line_number": line.number, "line": line.text})).collect();
    let mut answer = json!({"pattern": pattern, "match_count": matches.len(), "matches": matches});
    if cut {
        set(&mut answer, "truncated", true.into());
    }
    Ok(answer)
}

async fn delete(files: &dyn Files, arguments: &Object) -> Answer {
    let path = path(arguments)?;
    let deep = arguments.get("recursive").and_then(Value::as_bool).unwrap_or_default();
    if path.is_root() && !deep {
        return Err("to delete everything, say `recursive`".into());
    }
    files.delete(&path, deep).await.map_err(told)?;
    Ok(json!({"path": path, "deleted": true}))
}

async fn stat(files: &dyn Files, arguments: &Object) -> Answer {
    let path = path(arguments)?;
    let Some(info) = files.stat(&path).await.map_err(told)? else {
        return Ok(json!({"path": path, "exists": false}));
    };
    Ok(json!({
        "path": path,
        "exists": true,
        "name": path.name(),
        "is_directory": info.folder,
        "is_readonly": info.readonly,
        "size_bytes": info.size,
        "created_at": info.created.to_string(),
        "updated_at": info.updated.to_string(),
    }))
}

async fn edit(files: &dyn Files, arguments: &Object) -> Answer {
    let (info, content) = files.read(&path(arguments)?).await.map_err(told)?;
    let known = text(arguments, "content_hash");
    if known.is_some_and(|known| known != hash(&content)) {
        return Err(format!("`{}` was changed since it was read; read it again", info.path));
    }
    let mut whole = search::text(&content).ok_or("only text can be edited")?.to_owned();
    let mut replaced = 0_usize;
    for edit in arguments.get("edits").and_then(Value::as_array).into_iter().flatten() {
        let piece = |name: &str| edit.get(name).and_then(Value::as_str).unwrap_or_default();
        let (old, new) = (piece("old_text"), piece("new_text"));
        let times = whole.matches(old).count();
        let all = edit.get("replace_all").and_then(Value::as_bool).unwrap_or_default();
        match times {
            0 => return Err(format!("this does not stand in `{}`; nothing was changed: {old}", info.path)),
            1 => {}
            _ if all => {}
            _ => {
                return Err(format!(
                    "this stands in `{}` {times} times; nothing was changed; give more of it, or `replace_all`: {old}",
                    info.path
                ));
            }
        }
        whole = whole.replace(old, new);
        replaced = replaced.saturating_add(times);
    }
    let how = Write { onto: Onto::Unchanged(info.updated), readonly: None };
    let written = files.write(&info.path, Bytes::from(whole.clone()), how).await.map_err(told)?;
    let info = written.info;
    let hash = hash(whole.as_bytes());
    Ok(json!({"path": info.path, "size_bytes": info.size, "replacements": replaced, "content_hash": hash}))
}
