//! What a server's tools looked like when they were first seen, as a document: each owner trusts for himself.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::capability::mcp::pins::{Pins, compare};
use crate::domain::document::{RecordKind, Tags};
use crate::runtime::Error;
use crate::runtime::documents::{Changes, Document, Documents, Stored, WeakDocuments};

/// The fingerprints of a server's tools.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ServerPins {
    /// What stands behind `mcp:` in the capability's id.
    pub server: String,
    /// By the server's names, as they were first seen or last approved.
    pub pinned: BTreeMap<String, String>,
    /// What some of them look like now instead.
    #[serde(default)]
    pub changed: BTreeMap<String, String>,
}

impl ServerPins {
    /// With what has changed taken as it is.
    #[must_use]
    pub fn approved(mut self) -> Self {
        let changed = std::mem::take(&mut self.changed);
        self.pinned.extend(changed);
        self
    }
}

impl Document for ServerPins {
    const KIND: RecordKind = RecordKind("mcp_pins");

    fn id(&self) -> String {
        self.server.clone()
    }

    fn tags(&self) -> Tags {
        Tags::default()
    }
}

/// The pins of an owner.
pub(super) struct OwnersPins(WeakDocuments);

impl OwnersPins {
    pub(super) fn new(documents: &Documents) -> Self {
        Self(documents.downgrade())
    }
}

#[async_trait]
impl Pins for OwnersPins {
    async fn changed(
        &self,
        server: &str,
        seen: &BTreeMap<String, String>,
    ) -> Result<BTreeSet<String>, String> {
        let documents = self.0.upgrade().ok_or("the server is stopping")?;
        let edit = |found: Option<Stored<ServerPins>>| {
            let before = found.as_ref().map(|found| found.value.clone());
            let mut after = before.clone().unwrap_or_default();
            after.server = server.to_owned();
            let changed = compare(&mut after.pinned, seen);
            after.changed = seen.iter().filter(|(tool, _)| changed.contains(*tool)).map(owned).collect();
            let changes = match &found {
                Some(_) if before.as_ref() == Some(&after) => Changes::default(),
                Some(found) => Changes::default().replace(found, &after),
                None => Changes::default().create(&after),
            };
            Ok::<_, Error>((changed, changes))
        };
        documents.change(server, edit).await.map_err(|error| error.to_string())
    }
}

fn owned((tool, print): (&String, &String)) -> (String, String) {
    (tool.clone(), print.clone())
}

/// Trusts whatever comes: the operator said so.
pub(super) struct Accepting;

#[async_trait]
impl Pins for Accepting {
    async fn changed(&self, _: &str, _: &BTreeMap<String, String>) -> Result<BTreeSet<String>, String> {
        Ok(BTreeSet::new())
    }
}
