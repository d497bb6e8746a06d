//! Agents and teams: front matter and body → spec.

use std::slice;

use serde_json::Value;

use super::Reader;
use super::fault::At;
use super::file::{AgentFile, CapabilityFile};
use super::front::Parts;
use super::references::Link;
use super::yaml::Placed;
use crate::domain::id::{ComponentId, ModelName};
use crate::domain::spec::{
    Additions, AgentSpec, CapabilityRef, ComponentKind, DeclaredTool, Limits, Source, Spec, TeamMode,
    TeamSpec,
};

impl Reader<'_> {
    pub(super) fn agent_or_team(
        &mut self,
        id: ComponentId,
        mut file: AgentFile,
        parts: &Parts<'_>,
    ) -> Option<Spec> {
        let (kind, mode, members) = (file.kind, file.mode.take(), file.members.take());
        if kind == ComponentKind::Team {
            let members = self.members(&id, members);
            let leader = self.agent(id, file, parts)?;
            let mode = mode.map_or_else(TeamMode::default, Placed::into_inner);
            return Some(Spec::Team(TeamSpec { leader, mode, members }));
        }
        for at in [mode.map(|mode| mode.at()), members.map(|members| members.at())].into_iter().flatten() {
            self.fault(at, "only a team has `mode` and `members`; a team's file says `kind: team`");
        }
        self.agent(id, file, parts).map(Spec::Agent)
    }

    fn agent(&mut self, id: ComponentId, file: AgentFile, parts: &Parts<'_>) -> Option<AgentSpec> {
        let name = self.display_name(&id, file.name);
        let model = match &file.model {
            None => Some(self.defaults.model.clone()),
            Some(model) => self.model(model),
        };
        let fallback_models: Vec<ModelName> =
            file.fallback_models.iter().filter_map(|model| self.model(model)).collect();
        self.instructions(parts);
        let tools = self.tools(file.tools);
        let capabilities = self.capabilities(file.capabilities, &tools);
        Some(AgentSpec {
            id,
            name,
            description: file.description,
            instructions: parts.body.into(),
            model: model?,
            fallback_models,
            capabilities,
            tools,
            history_runs: file.history_runs,
            session_state: file.session_state,
            limits: self.limits(file.limits),
            on_second_message: file.on_second_message,
            in_doubt: file.in_doubt,
            on_disconnect: file.on_disconnect,
            output_schema: self.output_schema(file.output_schema),
            metadata: file.metadata,
            quick_prompts: file.quick_prompts,
            source: Source::File,
            additions: Additions::default(),
        })
    }

    fn instructions(&mut self, parts: &Parts<'_>) {
        if parts.body.is_empty() {
            let last = self.source.text.lines().count().max(1);
            self.fault(
                At::line(last),
                "the instructions are missing: they are the body, below the front matter",
            );
            return;
        }
        let Err(error) = minijinja::Environment::new().template_from_str(parts.body).map(|_| ()) else {
            return;
        };
        let range = error.range().unwrap_or_default();
        let at = self.source.at_bytes(parts.body_start + range.start..parts.body_start + range.end);
        let reason = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
        self.fault(at, format!("the instructions are no valid template: {reason}"));
    }

    fn limits(&mut self, limits: Option<Placed<Limits>>) -> Limits {
        let Some(limits) = limits else { return Limits::default() };
        if limits.model_calls == 0 || limits.seconds == 0 {
            self.fault(limits.at(), "`model_calls` and `seconds` must be at least 1");
        }
        limits.into_inner()
    }

    fn output_schema(&mut self, schema: Option<Placed<Value>>) -> Option<Value> {
        let schema = schema?;
        if let Err(error) = jsonschema::validator_for(&schema) {
            self.fault(
                schema.at(),
                format!("`output_schema` is no JSON Schema: {}: {error}", error.instance_path()),
            );
        }
        Some(schema.into_inner())
    }

    /// Each capability by itself first: that fault has a line of its own. What is wrong with all of them
    /// together, or with the tools beside them, has the line of the list.
    fn capabilities(
        &mut self,
        files: Vec<Placed<CapabilityFile>>,
        tools: &[DeclaredTool],
    ) -> Vec<CapabilityRef> {
        let before = self.faults.len();
        let mut all: Vec<CapabilityRef> = Vec::with_capacity(files.len());
        for file in files {
            let at = file.at();
            let CapabilityFile { id, config } = file.into_inner();
            let capability = CapabilityRef { id, config }.named();
            let id = &capability.id;
            if all.iter().any(|other| other.id == *id) {
                self.fault(at, format!("the capability `{id}` is there twice"));
            }
            if let Err(reason) = (self.defaults.check)(slice::from_ref(&capability), &[]) {
                self.fault(at, reason);
            }
            all.push(capability);
        }
        if self.faults.len() == before
            && let Err(reason) = (self.defaults.check)(&all, tools)
        {
            self.fault(
                self.line_of_key("capabilities:").or(self.line_of_key("tools:")).unwrap_or(At::START),
                reason,
            );
        }
        all
    }

    fn line_of_key(&self, key: &str) -> Option<At> {
        let line = self.source.text.lines().position(|line| line.starts_with(key))?;
        Some(At { width: key.len() - 1, ..At::line(line + 1) })
    }

    fn members(
        &mut self,
        team: &ComponentId,
        members: Option<Placed<Vec<Placed<String>>>>,
    ) -> Vec<ComponentId> {
        let Some(members) = members else {
            self.fault(At::START, format!("the team `{team}` has no `members`"));
            return Vec::new();
        };
        if members.is_empty() {
            self.fault(members.at(), "a team needs at least one member");
        }
        let mut ids = Vec::new();
        for member in members.into_inner() {
            let Some(id) = self.link(&member, Link::MEMBER) else { continue };
            if ids.contains(&id) {
                self.fault(member.at(), format!("the member `{id}` is there twice"));
            }
            ids.push(id);
        }
        ids
    }

    /// Notes a mention of another file, to be looked up when all are read.
    pub(super) fn link(
        &mut self,
        target: &Placed<String>,
        wanted: &'static [ComponentKind],
    ) -> Option<ComponentId> {
        match ComponentId::of_stem(target) {
            Ok(id) => {
                self.links.push(Link { target: id.clone(), wanted, at: target.at() });
                Some(id)
            }
            Err(reason) => {
                self.fault(target.at(), format!("`{}` is no id: it {reason}", **target));
                None
            }
        }
    }
}
