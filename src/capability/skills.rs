//! Skills: folders with a `SKILL.md`, told of in three stages. The model knows which there are; it reads one when it
//! needs it; and files beside it when that one says so.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};

use super::search;
use super::{About, Capability, CapabilityKind, Contribution, Invocation, Tool};
use crate::domain::tool::{Effect, Gate, ToolResult, ToolSpec};

/// The file that makes a folder a skill.
const SKILL_FILE: &str = "SKILL.md";

/// Largest file of a skill, in bytes.
const MAX_FILE_BYTES: u64 = 200 * 1024;

/// Most files of a skill.
const MAX_FILES: usize = 200;

/// Longest name: a tool is named after it.
const MAX_NAME: usize = 58;

/// A skill, as its folder was at the start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skill {
    /// The folder's name.
    pub name: String,
    /// What it is for: what the model decides by.
    pub description: String,
    /// How it is done.
    pub body: String,
    /// Other files of the folder, by path; what is no text is none.
    pub files: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Front {
    name: String,
    description: String,
}

impl Skill {
    /// The skills in the folders of this one, by name. No such folder: none.
    ///
    /// # Errors
    /// A sentence for each folder that is no skill.
    pub fn load_all(folder: &Path) -> Result<Vec<Self>, Vec<String>> {
        let Ok(entries) = folder.read_dir() else { return Ok(Vec::new()) };
        let mut folders: Vec<PathBuf> =
            entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.is_dir()).collect();
        folders.sort();
        let mut faults = Vec::new();
        let mut skills = Vec::new();
        for folder in folders {
            match Self::load(&folder) {
                Ok(skill) => skills.push(skill),
                Err(why) => faults.push(format!("{}: {why}", folder.display())),
            }
        }
        if faults.is_empty() { Ok(skills) } else { Err(faults) }
    }

    fn load(folder: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(folder.join(SKILL_FILE))
            .map_err(|error| format!("{SKILL_FILE} cannot be read: {error}"))?;
        let stem = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let mut skill = Self::read(&text)?;
        if skill.name != stem {
            return Err(format!("its name is `{}`, but its folder's is `{stem}`", skill.name));
        }
        read_files(folder, folder, &mut skill.files)?;
        Ok(skill)
    }

    /// Reads a `SKILL.md`: front matter with `name` and `description`, then how it is done.
    ///
    /// # Errors
    /// Why it is none.
    pub fn read(text: &str) -> Result<Self, String> {
        let rest = text.strip_prefix("---").ok_or("it begins with front matter: a line `---`")?;
        let (front, body) = rest.split_once("\n---").ok_or("its front matter has no end")?;
        let front: Front = serde_saphyr::from_str(front).map_err(|error| {
            format!("its front matter: {}", error.to_string().lines().next().unwrap_or(""))
        })?;
        let letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if !matches!(front.name.len(), 1..=MAX_NAME) || !front.name.chars().all(letter) {
            return Err(format!("a name is 1 to {MAX_NAME} lower-case letters, digits and `-`"));
        }
        let body = body.split_once('\n').map_or("", |(_, body)| body).trim().to_owned();
        let description = front.description.trim().to_owned();
        Ok(Self { name: front.name, description, body, files: BTreeMap::new() })
    }

    /// The second stage: the body, and which files there are beside it.
    fn told(&self) -> Value {
        let files: Vec<&String> = self.files.keys().collect();
        json!({"name": self.name, "instructions": self.body, "files": files})
    }

    /// The third stage: one file.
    fn file(&self, path: &str) -> Result<Value, String> {
        let path = path.trim_start_matches("./").trim_start_matches('/');
        let content = self.files.get(path).ok_or_else(|| {
            let files: Vec<&str> = self.files.keys().map(String::as_str).collect();
            format!("the skill `{}` has no file `{path}`. Files: {}.", self.name, files.join(", "))
        })?;
        Ok(json!({"name": self.name, "file": path, "content": content}))
    }
}

fn read_files(root: &Path, folder: &Path, files: &mut BTreeMap<String, String>) -> Result<(), String> {
    let unreadable = |error: std::io::Error| format!("{}: {error}", folder.display());
    for entry in folder.read_dir().map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let (path, kind) = (entry.path(), entry.file_type().map_err(unreadable)?);
        let Ok(name) = path.strip_prefix(root) else { continue };
        let name = name.to_string_lossy().into_owned();
        // A link could lead out of the folder.
        if kind.is_symlink() || name == SKILL_FILE || name.starts_with('.') {
            continue;
        }
        if kind.is_dir() {
            read_files(root, &path, files)?;
            continue;
        }
        if entry.metadata().map_err(unreadable)?.len() > MAX_FILE_BYTES {
            return Err(format!("`{name}` has more than {MAX_FILE_BYTES} bytes"));
        }
        let content = std::fs::read(&path).map_err(unreadable)?;
        files.extend(search::text(&content).map(|text| (name, text.to_owned())));
        if files.len() > MAX_FILES {
            return Err(format!("it has more than {MAX_FILES} files"));
        }
    }
    Ok(())
}

/// The capabilities that skills are: all of them as `skills`, and each as `skill:{name}`.
pub fn capabilities(skills: Vec<Skill>) -> Vec<Arc<dyn Capability>> {
    let skills: Vec<Arc<Skill>> = skills.into_iter().map(Arc::new).collect();
    let mut all: Vec<Arc<dyn Capability>> = vec![Arc::new(Skills::new(skills.clone()))];
    all.extend(skills.into_iter().map(|skill| Arc::new(OneSkill::new(skill)) as Arc<dyn Capability>));
    all
}

/// `skills`.
struct Skills {
    about: About,
    skills: Arc<[Arc<Skill>]>,
}

impl Skills {
    fn new(skills: Vec<Arc<Skill>>) -> Self {
        let about =
            "Instructions for kinds of work, each read when it is needed: the folders in agents/skills/.";
        let about = About::new("skills", "Skills", about).listed("Knowledge", "book-open");
        Self { about, skills: skills.into() }
    }
}

impl Capability for Skills {
    fn about(&self) -> &About {
        &self.about
    }

    fn contribute(&self, _: &Value) -> Result<Contribution, String> {
        let text = |about: &str| json!({"type": "string", "description": about});
        let name = text("As it is listed");
        let tools = [
            (Stage::List, "list_skills", "Lists the skills there are.", json!({})),
            (
                Stage::Body,
                "activate_skill",
                "Reads a skill: how a kind of work is done.",
                json!({"name": name}),
            ),
            (
                Stage::File,
                "read_skill_file",
                "Reads a file that a skill speaks of.",
                json!({"name": name, "path": text("As the skill lists it")}),
            ),
        ];
        let tools = tools.into_iter().map(|(stage, tool, about, properties)| {
            let spec = read_only(tool, about, &properties, true);
            Arc::new(Reading { spec, stage, skills: self.skills.clone() }) as Arc<dyn Tool>
        });
        let prompt = (!self.skills.is_empty()).then(|| index(&self.skills));
        Ok(Contribution { prompt, tools: tools.collect(), ..Contribution::default() })
    }
}

/// The first stage.
fn index(skills: &[Arc<Skill>]) -> String {
    let mut text = String::from(
        "You have skills: instructions for kinds of work. When one fits what is asked, call `activate_skill` first and \
         do as it says. Skills:",
    );
    for skill in skills {
        // Writing to a text cannot fail.
        let _ = write!(text, "\n- {}: {}", skill.name, skill.description);
    }
    text
}

fn read_only(name: &str, about: &str, properties: &Value, all_required: bool) -> ToolSpec {
    let names = properties.as_object().into_iter().flatten().map(|(name, _)| name);
    let required: Vec<&String> = names.filter(|_| all_required).collect();
    ToolSpec {
        name: name.into(),
        description: about.into(),
        parameters: json!({
            "type": "object", "properties": properties, "required": required, "additionalProperties": false,
        }),
        effect: Effect::Pure,
        timeout: Duration::from_secs(30),
        gate: Gate::default(),
    }
}

#[derive(Debug, Clone, Copy)]
enum Stage {
    List,
    Body,
    File,
}

struct Reading {
    spec: ToolSpec,
    stage: Stage,
    skills: Arc<[Arc<Skill>]>,
}

impl Reading {
    fn named(&self, name: &str) -> Result<&Skill, String> {
        self.skills.iter().map(AsRef::as_ref).find(|skill| skill.name == name).ok_or_else(|| {
            let names: Vec<&str> = self.skills.iter().map(|skill| skill.name.as_str()).collect();
            format!("there is no skill `{name}`. Skills: {}.", names.join(", "))
        })
    }
}

#[async_trait]
impl Tool for Reading {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    async fn call(&self, call: Invocation<'_>) -> ToolResult {
        let text = |name: &str| call.arguments.get(name).and_then(Value::as_str).unwrap_or_default();
        told(match self.stage {
            Stage::List => {
                let skills = self.skills.iter();
                let skills: Vec<Value> = skills
                    .map(|skill| json!({"name": skill.name, "description": skill.description}))
                    .collect();
                Ok(json!({"skills": skills, "count": self.skills.len()}))
            }
            Stage::Body => self.named(text("name")).map(Skill::told),
            Stage::File => self.named(text("name")).and_then(|skill| skill.file(text("path"))),
        })
    }
}

fn told(answer: Result<Value, String>) -> ToolResult {
    match answer {
        Ok(answer) => ToolResult::done(answer.to_string()),
        Err(why) => ToolResult::failed(why),
    }
}

/// `skill:{name}`.
struct OneSkill {
    about: About,
    skill: Arc<Skill>,
}

impl OneSkill {
    fn new(skill: Arc<Skill>) -> Self {
        let id = format!("skill:{}", skill.name);
        let about =
            About::new(id, skill.name.clone(), skill.description.clone()).listed("Skills", "book-open");
        Self { about: About { kind: CapabilityKind::Skill, ..about }, skill }
    }
}

impl Capability for OneSkill {
    fn about(&self) -> &About {
        &self.about
    }

    fn contribute(&self, _: &Value) -> Result<Contribution, String> {
        let Skill { name, description, .. } = self.skill.as_ref();
        let tool = format!("skill-{name}");
        let prompt = format!(
            "You have the skill `{name}`: {description}\nWhen it fits what is asked, call `{tool}` first and do as it says."
        );
        let file =
            json!({"type": "string", "description": "A file it speaks of; without one, the skill itself"});
        let about = format!("Reads the skill `{name}`: how it is done, or a file it speaks of.");
        let spec = read_only(&tool, &about, &json!({"file": file}), false);
        let reading: Arc<dyn Tool> = Arc::new(ReadingOne { spec, skill: self.skill.clone() });
        Ok(Contribution { prompt: Some(prompt), tools: vec![reading], ..Contribution::default() })
    }
}

struct ReadingOne {
    spec: ToolSpec,
    skill: Arc<Skill>,
}

#[async_trait]
impl Tool for ReadingOne {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    async fn call(&self, call: Invocation<'_>) -> ToolResult {
        told(match call.arguments.get("file").and_then(Value::as_str) {
            Some(path) => self.skill.file(path),
            None => Ok(self.skill.told()),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_skill_is_front_matter_and_how_it_is_done() {
        let text =
            "---\nname: pdf-forms\ndescription: Fills forms.\nlicense: MIT\n---\n\n# How\n\nRead `a.md`.\n";
        let skill = Skill {
            name: "pdf-forms".into(),
            description: "Fills forms.".into(),
            body: "# How\n\nRead `a.md`.".into(),
            files: BTreeMap::new(),
        };
        assert_eq!(Skill::read(text), Ok(skill));
    }

    #[test]
    fn what_is_no_skill_is_told_why() {
        let wrong = [
            ("text", "it begins with front matter: a line `---`"),
            ("---\nname: a", "its front matter has no end"),
            ("---\nname: A b\ndescription: x\n---\n", "a name is 1 to 58 lower-case letters, digits and `-`"),
        ];
        for (text, why) in wrong {
            assert_eq!(Skill::read(text), Err(why.to_owned()));
        }
        assert!(Skill::read("---\nname: a\n---\n").unwrap_err().starts_with("its front matter: "));
    }
}
