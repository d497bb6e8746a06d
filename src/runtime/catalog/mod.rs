//! `agents/` → checked specs, or every fault of every file with its place and reason.
//!
//! [`mod@file`] is what users write, [`fault`] what is said when it is wrong. Reading a file and turning it into a
//! `domain::spec` is one step, so that each check can point at the very line; what needs all files (targets,
//! circles, names) is checked at the end.

mod agent;
pub mod fault;
pub mod file;
mod front;
mod references;
mod tool;
mod workflow;
pub mod yaml;

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use fault::Fault;
use fault::{At, Source, listed};
use references::Link;

use crate::domain::id::{ComponentId, ModelName};
use crate::domain::spec::{CapabilityRef, ComponentKind, DeclaredTool, Spec, StepAction};

/// Largest file of a catalog, in bytes.
pub const MAX_FILE_BYTES: usize = 1024 * 1024;

/// Says whether these capabilities with their settings, and these tools beside them, make an agent; if not,
/// in a sentence why.
pub type CheckTools<'a> = dyn Fn(&[CapabilityRef], &[DeclaredTool]) -> Result<(), String> + 'a;

/// What files are read against.
pub struct CatalogDefaults<'a> {
    /// For files that name no model.
    pub model: ModelName,
    /// Providers models may name.
    pub known_providers: Vec<String>,
    /// Asked of whoever has the registry.
    pub check: &'a CheckTools<'a>,
}

/// All agents, teams and workflows, by kind and id.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    specs: BTreeMap<(ComponentKind, ComponentId), Arc<Spec>>,
}

impl Catalog {
    /// Reads the `.md` files of a folder; `README.md` and names that begin with `_` or `.` are passed over, and
    /// so are folders within.
    ///
    /// # Errors
    /// Everything that is wrong with any file, in the order of files and lines.
    pub fn load(folder: &Path, defaults: &CatalogDefaults<'_>) -> Result<Self, Vec<Fault>> {
        let files = files(folder).map_err(|fault| vec![fault])?;
        let directory = std::path::absolute(folder).unwrap_or_else(|_| folder.into());
        let mut faults = Vec::new();
        let mut drafts = Vec::new();
        for file in files {
            match Draft::read(file, defaults, &directory, &mut faults) {
                Ok(draft) => drafts.push(draft),
                Err(fault) => faults.push(fault),
            }
        }
        references::check(&drafts, &mut faults);
        if faults.is_empty() {
            return Ok(drafts.into_iter().filter_map(|draft| draft.spec).collect());
        }
        faults.sort();
        Err(faults)
    }

    /// The agents, sorted by id.
    pub fn agents(&self) -> impl Iterator<Item = &Arc<Spec>> {
        self.of(ComponentKind::Agent)
    }

    /// The teams, sorted by id.
    pub fn teams(&self) -> impl Iterator<Item = &Arc<Spec>> {
        self.of(ComponentKind::Team)
    }

    /// The workflows, sorted by id.
    pub fn workflows(&self) -> impl Iterator<Item = &Arc<Spec>> {
        self.of(ComponentKind::Workflow)
    }

    /// One of them.
    pub fn get(&self, kind: ComponentKind, id: &ComponentId) -> Option<Arc<Spec>> {
        self.specs.get(&(kind, id.clone())).cloned()
    }

    /// Everything that runs of a component may start: its members or what its steps name, and theirs.
    pub fn below(&self, spec: &Spec) -> Vec<Arc<Spec>> {
        let mut found: Vec<Arc<Spec>> = Vec::new();
        let mut todo = self.named_by(spec);
        while let Some((kinds, id)) = todo.pop() {
            let Some(next) = kinds.iter().find_map(|kind| self.get(*kind, &id)) else { continue };
            if !found.contains(&next) {
                todo.extend(self.named_by(&next));
                found.push(next);
            }
        }
        found
    }

    fn named_by(&self, spec: &Spec) -> Vec<(&'static [ComponentKind], ComponentId)> {
        let mut named = named_by(spec);
        let agent = match spec {
            Spec::Agent(agent) => agent,
            Spec::Team(team) => &team.leader,
            Spec::Workflow(_) => return named,
        };
        match agent.subagents() {
            None => {}
            Some(Some(ids)) => named.extend(ids.into_iter().map(|id| (Link::MEMBER, id))),
            Some(None) => named.extend(self.agents().map(|other| (Link::AGENT, other.id().clone()))),
        }
        named
    }

    /// The tools that components declare, in the order of these.
    pub fn declared_tools(&self) -> impl Iterator<Item = &DeclaredTool> {
        self.specs.values().flat_map(|spec| match spec.as_ref() {
            Spec::Agent(agent) => &agent.tools,
            Spec::Team(team) => &team.leader.tools,
            Spec::Workflow(workflow) => &workflow.tools,
        })
    }

    /// Adds a component, or replaces the one of its kind and id.
    pub fn add(&mut self, spec: Spec) {
        self.specs.insert((spec.kind(), spec.id().clone()), Arc::new(spec));
    }

    fn of(&self, kind: ComponentKind) -> impl Iterator<Item = &Arc<Spec>> {
        self.specs.values().filter(move |spec| spec.kind() == kind)
    }
}

/// What a component names, and of which kinds that may be.
fn named_by(spec: &Spec) -> Vec<(&'static [ComponentKind], ComponentId)> {
    match spec {
        Spec::Agent(_) => Vec::new(),
        Spec::Team(team) => team.members.iter().map(|id| (Link::MEMBER, id.clone())).collect(),
        Spec::Workflow(workflow) => {
            let mut named = Vec::new();
            let mut lists = vec![workflow.steps.as_slice()];
            while let Some(steps) = lists.pop() {
                for step in steps {
                    match &step.action {
                        StepAction::Agent(id) => named.push((Link::AGENT, id.clone())),
                        StepAction::Team(id) => named.push((Link::TEAM, id.clone())),
                        StepAction::Workflow(id) => named.push((Link::WORKFLOW, id.clone())),
                        StepAction::Tool(_) => {}
                        StepAction::Parallel(steps) | StepAction::Loop { steps, .. } => lists.push(steps),
                        StepAction::Condition { then, otherwise, .. } => {
                            lists.extend([then.as_slice(), otherwise])
                        }
                        StepAction::Router { routes, .. } => {
                            lists.extend(routes.iter().map(|(_, steps)| steps.as_slice()))
                        }
                    }
                }
            }
            named
        }
    }
}

impl FromIterator<Spec> for Catalog {
    fn from_iter<I: IntoIterator<Item = Spec>>(specs: I) -> Self {
        let keyed = |spec: Spec| ((spec.kind(), spec.id().clone()), Arc::new(spec));
        Self { specs: specs.into_iter().map(keyed).collect() }
    }
}

/// The files of a folder that describe something, sorted by name.
fn files(folder: &Path) -> Result<Vec<PathBuf>, Fault> {
    let unreadable = |error: std::io::Error| {
        let missing = error.kind() == std::io::ErrorKind::NotFound;
        let reason = if missing { "there is no such folder".into() } else { error.to_string() };
        Fault::of(folder, format!("the folder of agents cannot be read: {reason}"))
    };
    let mut files = Vec::new();
    for entry in folder.read_dir().map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let passed_over = name.starts_with(['_', '.']) || name == "README.md" || !name.ends_with(".md");
        if !passed_over && !path.is_dir() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// A file that was read; it counts as a target for others even where it is faulty.
struct Draft {
    source: Source,
    stem: String,
    kind: Option<ComponentKind>,
    links: Vec<Link>,
    spec: Option<Spec>,
}

impl Draft {
    /// # Errors
    /// The file cannot be read at all; other faults are added to `faults`.
    fn read(
        file: PathBuf,
        defaults: &CatalogDefaults<'_>,
        directory: &Path,
        faults: &mut Vec<Fault>,
    ) -> Result<Self, Fault> {
        let source = Source { text: text_of(&file)?, file };
        let stem = source.file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let mut reader = Reader { source: &source, defaults, directory, faults, links: Vec::new() };
        let (kind, spec) = reader.component(&stem);
        let links = reader.links;
        Ok(Self { source, stem, kind, links, spec })
    }
}

fn text_of(file: &Path) -> Result<String, Fault> {
    let mut bytes = Vec::new();
    let limit = MAX_FILE_BYTES as u64 + 1;
    std::fs::File::open(file)
        .and_then(|opened| opened.take(limit).read_to_end(&mut bytes))
        .map_err(|error| Fault::of(file, format!("cannot be read: {error}")))?;
    if bytes.len() > MAX_FILE_BYTES {
        return Err(Fault::of(file, format!("is longer than {MAX_FILE_BYTES} bytes")));
    }
    String::from_utf8(bytes).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let newlines = error.as_bytes().iter().take(good).filter(|byte| **byte == b'\n').count();
        Fault { line: newlines + 1, ..Fault::of(file, "is not UTF-8 text") }
    })
}

/// Reads one file and collects what is wrong with it.
struct Reader<'a> {
    source: &'a Source,
    defaults: &'a CatalogDefaults<'a>,
    directory: &'a Path,
    faults: &'a mut Vec<Fault>,
    links: Vec<Link>,
}

impl Reader<'_> {
    fn fault(&mut self, at: At, message: impl Into<String>) {
        self.faults.push(self.source.fault(at, message));
    }

    /// The kind, as soon as it is known, and the spec, if the file could be read to its end.
    fn component(&mut self, stem: &str) -> (Option<ComponentKind>, Option<Spec>) {
        let id = self.keep(ComponentId::of_stem(stem).map_err(|reason| {
            self.source
                .fault(At::START, format!("the file's name is the id, and `{stem}` is none: it {reason}"))
        }));
        let Some(parts) = self.keep(front::split(self.source)) else { return (None, None) };
        let Some(head) = self.keep(yaml::read::<file::Head>(self.source, parts.yaml)) else {
            return (None, None);
        };
        let (source, yaml) = (self.source, parts.yaml);
        let spec = match head.kind {
            ComponentKind::Agent | ComponentKind::Team => {
                let file = self.keep(yaml::read(source, yaml));
                id.zip(file).and_then(|(id, file)| self.agent_or_team(id, file, &parts))
            }
            ComponentKind::Workflow => {
                let file = self.keep(yaml::read(source, yaml));
                id.zip(file).and_then(|(id, file)| self.workflow(id, file, &parts))
            }
        };
        (Some(head.kind), spec)
    }

    /// The value, or the fault put to the others.
    fn keep<T>(&mut self, read: Result<T, Fault>) -> Option<T> {
        read.map_err(|fault| self.faults.push(fault)).ok()
    }

    /// What people see; the stem unless the file says something else.
    fn display_name(&mut self, stem: &ComponentId, name: Option<yaml::Placed<String>>) -> String {
        match name {
            None => stem.to_string(),
            Some(name) => {
                if name.trim().is_empty() {
                    self.fault(name.at(), "the name must not be empty");
                }
                name.into_inner()
            }
        }
    }

    fn model(&mut self, name: &yaml::Placed<String>) -> Option<ModelName> {
        let model: ModelName = match name.parse() {
            Ok(model) => model,
            Err(reason) => {
                self.fault(name.at(), format!("a model's name {reason}"));
                return None;
            }
        };
        if !self.defaults.known_providers.contains(&model.provider) {
            let known = listed(self.defaults.known_providers.iter().map(String::as_str));
            self.fault(name.at(), format!("no provider `{}`; configured: {known}", model.provider));
            return None;
        }
        Some(model)
    }
}
