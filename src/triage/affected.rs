//! What an issue affects, added up: its calls, the documents they ran on, the agents that spoke.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::Board;
use super::document::{TriageDocument, Version};
use super::entry::of_issue;
use super::error::Error;
use super::evidence::{Circumstances, Persona, ResourceType};
use super::link::Link;

/// A call that is attached to an issue.
#[derive(Debug, Clone, PartialEq)]
pub struct AffectedCall {
    /// Its own id.
    pub call: String,
    /// For people; a short id where the call is not there.
    pub title: String,
    /// When it began, and who spoke; nothing where the call is not there.
    pub circumstances: Circumstances,
    /// What it ran on.
    pub pathway: Option<Pathway>,
}

/// A version of a document, as something a conversation ran on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pathway {
    /// The document's id.
    pub document: String,
    /// What the document is called, if it is here.
    pub name: Option<String>,
    /// The number of the version, if it is known.
    pub version: Option<u32>,
    /// The id of the version, if it is here.
    pub version_id: Option<String>,
    /// The label of the version, if it has one.
    pub label: Option<String>,
}

/// What an issue affects.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Affected {
    /// In the order in which they were attached.
    pub calls: Vec<AffectedCall>,
    /// Each version once, and the calls that ran on it.
    pub pathways: Vec<(Pathway, Vec<String>)>,
    /// Each agent once, and the calls in which it spoke.
    pub personas: Vec<(Persona, Vec<String>)>,
}

impl Board {
    /// What an issue affects.
    ///
    /// # Errors
    /// [`Error::NotFound`]; what the store says.
    pub async fn affected(&self, issue: Uuid) -> Result<Affected, Error> {
        self.issue(issue).await?;
        let mut affected = Affected::default();
        let mut known = BTreeMap::new();
        for link in self.documents.all::<Link>(Some(of_issue(issue))).await? {
            if link.resource_type != ResourceType::Call {
                continue;
            }
            let call = link.value.resource_id;
            let found = self.circumstances(ResourceType::Call, &call).await?.unwrap_or_else(|| {
                Circumstances { title: ResourceType::Call.untitled(&call), ..Circumstances::default() }
            });
            let ran_on = found.document.clone().map(|document| (document, found.version));
            let pathway = match ran_on {
                Some(ran_on) => Some(match known.get(&ran_on) {
                    Some(pathway) => Pathway::clone(pathway),
                    None => {
                        let pathway = self.pathway(&ran_on.0, ran_on.1).await?;
                        known.insert(ran_on, pathway.clone());
                        pathway
                    }
                }),
                None => None,
            };
            if let Some(pathway) = &pathway {
                count(&mut affected.pathways, pathway, &call);
            }
            if let Some(persona) = &found.persona {
                count_persona(&mut affected.personas, persona, &call);
            }
            affected.calls.push(AffectedCall {
                call,
                title: found.title.clone(),
                circumstances: found,
                pathway,
            });
        }
        Ok(affected)
    }

    async fn pathway(&self, id: &str, version: Option<u32>) -> Result<Pathway, Error> {
        let document = self.documents.get::<TriageDocument>(id).await?;
        let found = match version {
            Some(number) => self.documents.get::<Version>(&Version::key(id, number)).await?,
            None => None,
        };
        Ok(Pathway {
            document: id.to_owned(),
            name: document.map(|document| document.value.name),
            version,
            version_id: found.as_ref().map(|found| found.id.clone()),
            label: found.and_then(|found| found.value.label),
        })
    }
}

fn count(rows: &mut Vec<(Pathway, Vec<String>)>, pathway: &Pathway, call: &str) {
    match rows.iter_mut().find(|(known, _)| known == pathway) {
        Some((_, calls)) => calls.push(call.to_owned()),
        None => rows.push((pathway.clone(), vec![call.to_owned()])),
    }
}

/// An agent is one, whatever it was called at the time.
fn count_persona(rows: &mut Vec<(Persona, Vec<String>)>, persona: &Persona, call: &str) {
    match rows.iter_mut().find(|(known, _)| known.id == persona.id) {
        Some((_, calls)) => calls.push(call.to_owned()),
        None => rows.push((persona.clone(), vec![call.to_owned()])),
    }
}
