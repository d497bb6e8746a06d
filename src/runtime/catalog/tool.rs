//! Declared tools: front matter → spec.

use std::time::Duration;

use serde_json::{Value, json};

use super::Reader;
use super::fault::{At, one_of};
use super::file::{ToolFile, ToolKind};
use super::yaml::{Pairs, Placed};
use crate::domain::spec::{DeclaredTool, ToolAction};
use crate::domain::tool::Gate;

/// Where a file names no `timeout`.
const TIMEOUT: Duration = Duration::from_secs(30);

/// What an HTTP tool may do.
const METHODS: [&str; 6] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];

impl Reader<'_> {
    pub(super) fn tools(&mut self, files: Vec<ToolFile>) -> Vec<DeclaredTool> {
        let mut tools: Vec<DeclaredTool> = Vec::with_capacity(files.len());
        for file in files {
            let at = file.name.at();
            let tool = self.tool(file);
            if tools.iter().any(|other| other.name == tool.name) {
                self.fault(at, format!("the tool `{}` is there twice", tool.name));
            }
            tools.push(tool);
        }
        tools
    }

    fn tool(&mut self, mut file: ToolFile) -> DeclaredTool {
        if !is_tool_name(&file.name) {
            self.fault(file.name.at(), "a tool's name is 1 to 64 letters, digits, `_` and `-`");
        }
        let parameters = self.parameters(file.parameters.take());
        for field in &file.requires_user_input {
            if parameters.pointer("/properties").and_then(|known| known.get(field.as_str())).is_none() {
                self.fault(field.at(), format!("`{}` is not among the properties of `parameters`", **field));
            }
        }
        let action = self.tool_action(&mut file);
        let external = file.external_execution || file.kind == ToolKind::External;
        let must_tell = external || !file.requires_user_input.is_empty();
        let on_timeout = self.on_timeout(file.on_timeout, file.answer_within, must_tell);
        DeclaredTool {
            name: file.name.into_inner(),
            description: file.description,
            parameters,
            effect: file.effect,
            timeout: file.timeout.map_or(TIMEOUT, |timeout| timeout.0),
            gate: Gate {
                feedback: false,
                message: file.message,
                within: file.answer_within.map(|within| within.0),
                on_timeout,
                last: false,
                confirmation: file.requires_confirmation,
                user_input: file.requires_user_input.into_iter().map(Placed::into_inner).collect(),
                external,
            },
            action,
        }
    }

    fn parameters(&mut self, parameters: Option<Placed<Value>>) -> Value {
        let Some(parameters) = parameters else { return json!({"type": "object", "properties": {}}) };
        if parameters.get("type") != Some(&json!("object")) {
            self.fault(parameters.at(), "`parameters` must be a JSON Schema of `type: object`");
        } else if let Err(error) = jsonschema::validator_for(&parameters) {
            self.fault(
                parameters.at(),
                format!("`parameters` is no JSON Schema: {}: {error}", error.instance_path()),
            );
        }
        parameters.into_inner()
    }

    fn tool_action(&mut self, file: &mut ToolFile) -> ToolAction {
        self.refuse_keys_of_other_kinds(file);
        let name = file.name.at();
        match file.kind {
            ToolKind::Process => ToolAction::Process {
                command: self.command(name, file.command.take()),
                directory: self.directory.into(),
            },
            ToolKind::Http => ToolAction::Http {
                method: self.method(file.method.take()),
                url: self.url(name, file.url.take()),
                headers: self.headers(file.headers.take()),
                allow_private: file.allow_private.take().map(Placed::into_inner).unwrap_or_default(),
            },
            ToolKind::External => ToolAction::External,
        }
    }

    fn refuse_keys_of_other_kinds(&mut self, file: &ToolFile) {
        let keys = [
            ("command", "process", ToolKind::Process, file.command.as_ref().map(Placed::at)),
            ("method", "http", ToolKind::Http, file.method.as_ref().map(Placed::at)),
            ("url", "http", ToolKind::Http, file.url.as_ref().map(Placed::at)),
            ("headers", "http", ToolKind::Http, file.headers.as_ref().map(Placed::at)),
            ("allow_private", "http", ToolKind::Http, file.allow_private.as_ref().map(Placed::at)),
        ];
        for (key, word, kind, at) in keys {
            if let Some(at) = at.filter(|_| kind != file.kind) {
                self.fault(at, format!("`{key}` belongs to tools of `kind: {word}`"));
            }
        }
    }

    fn command(&mut self, name: At, command: Option<Placed<Vec<String>>>) -> Vec<String> {
        let Some(command) = command else {
            self.fault(name, "a tool of `kind: process` needs a `command`");
            return Vec::new();
        };
        if command.first().is_none_or(String::is_empty) {
            self.fault(command.at(), "`command` must name a program");
        }
        command.into_inner()
    }

    fn method(&mut self, method: Option<Placed<String>>) -> String {
        let Some(method) = method else { return "GET".into() };
        if !METHODS.contains(&method.as_str()) {
            self.fault(method.at(), format!("unknown method `{}`; expected {}", *method, one_of(METHODS)));
        }
        method.into_inner()
    }

    fn url(&mut self, name: At, url: Option<Placed<String>>) -> String {
        let Some(url) = url else {
            self.fault(name, "a tool of `kind: http` needs a `url`");
            return String::new();
        };
        if !url.starts_with("https://") && !url.starts_with("http://") {
            self.fault(url.at(), "`url` must begin with `https://` or `http://`");
        }
        url.into_inner()
    }

    fn headers(&mut self, headers: Option<Placed<Pairs<String>>>) -> Vec<(String, String)> {
        let Some(headers) = headers else { return Vec::new() };
        let fits = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        for (name, value) in &headers.0 {
            if name.is_empty() || !name.chars().all(fits) {
                self.fault(headers.at(), format!("`{name}` is no name of a header"));
            }
            if value.chars().any(char::is_control) {
                self.fault(headers.at(), format!("the value of the header `{name}` must be one line"));
            }
        }
        headers.into_inner().0
    }
}

/// What models accept as the name of a tool.
fn is_tool_name(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    (1..=64).contains(&name.len()) && name.chars().all(fits)
}
