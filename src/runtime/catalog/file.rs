//! What users write in `agents/`: front matter as it stands in the files, before it is checked.
//!
//! These shapes are the format; `domain::spec` is what is stored. The doc comments of the keys are what
//! `runhold schema agent` shows in editors.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::yaml::{HumanDuration, Pairs, Placed};
use crate::domain::Object;
use crate::domain::spec::{
    ComponentKind, InDoubt, Limits, OnDisconnect, OnError, OnReject, OnSecondMessage, TeamMode,
};
use crate::domain::tool::{Effect, OnTimeout};

/// The one key that says how to read the others.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Head {
    #[serde(default)]
    pub(super) kind: ComponentKind,
}

/// An agent, or a team: a team is a leader, who is an agent, with members.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AgentFile {
    /// What the file describes.
    #[serde(default)]
    pub kind: ComponentKind,
    /// For people; default: the file's stem.
    pub name: Option<Placed<String>>,
    /// What it is for, in a sentence.
    pub description: Option<String>,
    /// `provider/model`; default: the configuration's `default_model`.
    pub model: Option<Placed<String>>,
    /// Models to ask if that one does not answer, in order.
    #[serde(default)]
    pub fallback_models: Vec<Placed<String>>,
    /// How a team's leader works with its members.
    pub mode: Option<Placed<TeamMode>>,
    /// A team's members: agents or teams, by their files' stems.
    pub members: Option<Placed<Vec<Placed<String>>>>,
    /// Capabilities of the registry.
    #[serde(default)]
    pub capabilities: Vec<Placed<CapabilityFile>>,
    /// Tools declared here, without code.
    #[serde(default)]
    pub tools: Vec<ToolFile>,
    /// How many earlier runs of the session the model is shown.
    #[serde(default = "three_runs")]
    pub history_runs: u32,
    /// The session's state at its beginning; instructions read it as `{{ session_state.… }}`.
    #[serde(default)]
    pub session_state: Object,
    /// Where a run ends at the latest.
    pub limits: Option<Placed<Limits>>,
    /// What a message does while a run of the session is going.
    #[serde(default)]
    pub on_second_message: OnSecondMessage,
    /// Who is told that a call of a tool may have taken effect: the model, or a person.
    #[serde(default)]
    pub in_doubt: InDoubt,
    /// What the end of a plain AgentOS stream's connection does to its run.
    #[serde(default)]
    pub on_disconnect: OnDisconnect,
    /// JSON Schema of the answer.
    pub output_schema: Option<Placed<Value>>,
    /// Shown to clients as it is.
    #[serde(default)]
    pub metadata: Object,
    /// Suggestions for a person's first message.
    #[serde(default)]
    pub quick_prompts: Vec<String>,
}

fn three_runs() -> u32 {
    3
}

/// A workflow.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WorkflowFile {
    /// What the file describes.
    pub kind: ComponentKind,
    /// For people; default: the file's stem.
    pub name: Option<Placed<String>>,
    /// What it is for, in a sentence; default: the file's body.
    pub description: Option<String>,
    /// In order.
    pub steps: Placed<Vec<StepFile>>,
    /// Tools its steps may name, declared here.
    #[serde(default)]
    pub tools: Vec<ToolFile>,
    /// The session's state at its beginning.
    #[serde(default)]
    pub session_state: Object,
    /// Shown to clients as it is.
    #[serde(default)]
    pub metadata: Object,
}

/// A capability of the registry: its id, or its id and settings.
#[derive(Debug)]
pub struct CapabilityFile {
    /// Its id.
    pub id: String,
    /// As its own schema says.
    pub config: Value,
}

/// The long form of a [`CapabilityFile`].
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CapabilityTable {
    /// Its id.
    #[serde(rename = "ref")]
    id: String,
    /// As its own schema says.
    #[serde(default)]
    config: Value,
}

impl<'de> Deserialize<'de> for CapabilityFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EitherForm;

        impl<'de> Visitor<'de> for EitherForm {
            type Value = CapabilityFile;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a capability's id, or {ref, config}")
            }

            fn visit_str<E>(self, id: &str) -> Result<CapabilityFile, E> {
                Ok(CapabilityFile { id: id.into(), config: Value::Null })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<CapabilityFile, A::Error> {
                let CapabilityTable { id, config } =
                    CapabilityTable::deserialize(MapAccessDeserializer::new(map))?;
                Ok(CapabilityFile { id, config })
            }
        }

        deserializer.deserialize_any(EitherForm)
    }
}

impl JsonSchema for CapabilityFile {
    fn schema_name() -> Cow<'static, str> {
        "CapabilityFile".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({"anyOf": [{"type": "string"}, generator.subschema_for::<CapabilityTable>()]})
    }
}

/// Which kind of tool it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ToolKind {
    /// A program: arguments as JSON on stdin, result on stdout.
    Process,
    /// An HTTP request.
    Http,
    /// Executed by the client.
    External,
}

/// A tool declared in a file.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ToolFile {
    /// What the model calls it: 1 to 64 letters, digits, `_` and `-`.
    pub name: Placed<String>,
    /// What the model reads about it.
    pub description: String,
    /// How it does its work.
    pub kind: ToolKind,
    /// JSON Schema of the arguments, of type `object`; default: no arguments.
    pub parameters: Option<Placed<Value>>,
    /// What a restart may do with a call whose outcome is unknown.
    #[serde(default)]
    pub effect: Effect,
    /// A call that takes longer is given up; default 30s.
    pub timeout: Option<HumanDuration>,
    /// A person must agree to each call.
    #[serde(default)]
    pub requires_confirmation: bool,
    /// Arguments a person must give.
    #[serde(default)]
    pub requires_user_input: Vec<Placed<String>>,
    /// The client executes it.
    #[serde(default)]
    pub external_execution: bool,
    /// What is said to whoever is asked.
    pub message: Option<String>,
    /// How long somebody has to answer; for ever where nothing is said.
    pub answer_within: Option<HumanDuration>,
    /// What counts as the answer after that; default `reject`.
    pub on_timeout: Option<Placed<OnTimeout>>,
    /// Process: the program and its arguments, run in the agents folder.
    pub command: Option<Placed<Vec<String>>>,
    /// HTTP: the method; default `GET`.
    pub method: Option<Placed<String>>,
    /// HTTP: the address, with arguments in braces: `https://example.org/{city}`.
    pub url: Option<Placed<String>>,
    /// HTTP: headers; values may name variables of the environment: `Bearer ${TOKEN}`.
    pub headers: Option<Placed<Pairs<String>>>,
    /// HTTP: private hosts, `host:port`s or networks that may be reached all the same.
    pub allow_private: Option<Placed<Vec<String>>>,
}

/// One step of a workflow: a name and exactly one of agent, team, tool, workflow, parallel, condition, loop
/// and router.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StepFile {
    /// Unique among its neighbours.
    pub name: Placed<String>,
    /// For people.
    pub description: Option<String>,
    /// Runs an agent.
    pub agent: Option<Placed<String>>,
    /// Runs a team.
    pub team: Option<Placed<String>>,
    /// Calls a tool declared in this file.
    pub tool: Option<Placed<String>>,
    /// Runs another workflow.
    pub workflow: Option<Placed<String>>,
    /// Runs steps side by side.
    pub parallel: Option<Vec<StepFile>>,
    /// Runs one of two lists of steps.
    pub condition: Option<ConditionFile>,
    /// Runs steps again and again.
    #[serde(rename = "loop")]
    pub repeat: Option<LoopFile>,
    /// Runs one of several lists of steps.
    pub router: Option<RouterFile>,
    /// Tries after the first, of a step that runs or calls something itself.
    pub retry: Option<Placed<u32>>,
    /// A try that takes longer has failed, of a step that runs or calls something itself.
    pub timeout: Option<Placed<HumanDuration>>,
    /// What a failure does.
    #[serde(default)]
    pub on_error: OnError,
    /// A person must agree first.
    #[serde(default)]
    pub requires_confirmation: bool,
    /// What a person must give first.
    #[serde(default)]
    pub requires_user_input: Vec<String>,
    /// A person must look at what came out before the next step goes on.
    #[serde(default)]
    pub requires_output_review: bool,
    /// What it means that a person refused the step or what came out of it.
    #[serde(default)]
    pub on_reject: OnReject,
    /// What is said to whoever is asked.
    pub message: Option<String>,
    /// How long somebody has to answer; for ever where nothing is said.
    pub answer_within: Option<HumanDuration>,
    /// What counts as the answer after that; default `reject`.
    pub on_timeout: Option<Placed<OnTimeout>>,
}

/// One of two lists of steps.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConditionFile {
    /// A minijinja expression over `input`, `previous`, `steps`, `session_state` and `user_input`, and within a loop
    /// `iteration`.
    #[serde(rename = "if")]
    pub when: Placed<String>,
    /// If it holds.
    pub then: Vec<StepFile>,
    /// If not.
    #[serde(rename = "else", default)]
    pub otherwise: Vec<StepFile>,
}

/// Steps again and again.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LoopFile {
    /// What is repeated.
    pub steps: Vec<StepFile>,
    /// A minijinja expression; ends the loop when it holds.
    pub until: Option<Placed<String>>,
    /// The cap; at least 1, default 3.
    pub max_iterations: Option<Placed<u32>>,
}

/// One of several lists of steps.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RouterFile {
    /// A minijinja expression that gives a route's name, or a list of such; a person is asked where it is absent.
    pub choose: Option<Placed<String>>,
    /// Whether the person who is asked may choose more than one.
    pub several: Option<Placed<bool>>,
    /// Name to steps.
    pub routes: Placed<Pairs<Vec<StepFile>>>,
}
