//! `runhold schema`: the JSON Schemas of the files a user writes, for editors.

use std::io::{self, Write};
use std::process::ExitCode;

use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Value, json};

use crate::config::Config;
use crate::runtime::catalog::file::{AgentFile, WorkflowFile};

/// Which files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum What {
    /// The configuration.
    Config,
    /// The front matter of agents, teams and workflows.
    Agent,
}

/// Prints a schema to stdout.
pub fn run(what: What) -> ExitCode {
    match writeln!(io::stdout(), "{:#}", schema(what)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// The schema (2020-12).
pub fn schema(what: What) -> Value {
    match what {
        What::Config => schemars::schema_for!(Config).to_value(),
        What::Agent => front_matter(),
    }
}

/// One of three: they differ in `kind`, and only a team has `mode` and `members`.
fn front_matter() -> Value {
    let mut generator = SchemaGenerator::default();
    let mut agent = AgentFile::json_schema(&mut generator).to_value();
    let mut team = agent.clone();
    let mut workflow = WorkflowFile::json_schema(&mut generator).to_value();
    for (schema, kind) in [(&mut agent, "agent"), (&mut team, "team"), (&mut workflow, "workflow")] {
        put(schema, "/properties", "kind", json!({"const": kind, "description": "What the file describes."}));
        put(schema, "", "title", json!(kind));
    }
    for key in ["mode", "members"] {
        if let Some(properties) = agent.pointer_mut("/properties").and_then(Value::as_object_mut) {
            properties.remove(key);
        }
    }
    put(&mut team, "", "required", json!(["kind", "members"]));
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Front matter of a file in agents/",
        "oneOf": [agent, team, workflow],
        "$defs": generator.take_definitions(true),
    })
}

fn put(schema: &mut Value, pointer: &str, key: &str, value: Value) {
    if let Some(object) = schema.pointer_mut(pointer).and_then(Value::as_object_mut) {
        object.insert(key.into(), value);
    }
}
