//! Floor 4, servers that speak MCP: those of the configuration, and those that owners keep.
//!
//! [`Servers`] adds them to what an owner's agents can be given, and keeps their connections while workspaces come and
//! go. `saved` is a server as it is kept, `pinned` what its tools looked like when they were first seen.

mod pinned;
pub mod saved;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use uuid::Uuid;

pub use self::pinned::ServerPins;
use self::pinned::{Accepting, OwnersPins};
use self::saved::SavedServer;
use crate::capability::Capability;
use crate::capability::egress::{Egress, Reach};
use crate::capability::mcp::pins::{InMemory, Pins};
use crate::capability::mcp::{McpCapability, Route, Server, Settings};
use crate::domain::id::Owner;
use crate::runtime::Error;
use crate::runtime::documents::{Changes, Documents};
use crate::runtime::workspace::{Extension, Workspace};

/// A server of the configuration.
#[derive(Clone)]
pub struct Configured {
    /// The connection everybody shares.
    pub server: Arc<Server>,
    /// Whether its tools are offered however they change.
    pub accept_changes: bool,
}

/// All servers there are.
pub struct Servers {
    configured: Vec<Configured>,
    egress: Egress,
    reach: Reach,
    kept: Mutex<HashMap<(Owner, Uuid), Kept>>,
}

/// A server of an owner, as it was when the connection was made.
struct Kept {
    version: u64,
    server: Arc<Server>,
}

impl Servers {
    /// With these from the configuration. What owners add may be wherever `reach` allows.
    pub fn new(configured: Vec<(Settings, bool)>, egress: Egress, reach: Reach) -> Self {
        let configured = configured.into_iter().map(|(settings, accept_changes)| Configured {
            server: Server::new(settings, egress.clone()),
            accept_changes,
        });
        Self { configured: configured.collect(), egress, reach, kept: Mutex::default() }
    }

    /// Begins to connect to those of the configuration.
    pub fn warm(&self) {
        for one in &self.configured {
            one.server.warm();
        }
    }

    /// Those of the configuration.
    pub fn configured(&self) -> &[Configured] {
        &self.configured
    }

    /// Those of the configuration, as capabilities for whoever only wants to know that they are there.
    pub fn capabilities(&self) -> impl Iterator<Item = Arc<dyn Capability>> {
        let pins: Arc<dyn Pins> = Arc::new(InMemory::default());
        self.configured.iter().map(move |one| -> Arc<dyn Capability> {
            Arc::new(McpCapability::new(one.server.clone(), pins.clone()))
        })
    }

    /// An owner's server as it runs, if it does.
    pub fn running(&self, owner: &Owner, id: Uuid) -> Option<Arc<Server>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get(&(owner.clone(), id)).map(|kept| kept.server.clone())
    }

    /// Whether a server may be at this address.
    ///
    /// # Errors
    /// A sentence that says why not.
    pub fn check<'a>(
        &self,
        url: &str,
        headers: impl IntoIterator<Item = (&'a str, &'a str)>,
        api_key: Option<&str>,
    ) -> Result<(), String> {
        Route::http(url, headers, api_key, self.reach.clone()).map(drop)
    }

    /// Trusts a server's tools as they are now.
    ///
    /// # Errors
    /// What the store says.
    pub async fn approve(&self, documents: &Documents, server: &str) -> Result<(), Error> {
        documents
            .change(server, |found: Option<crate::runtime::documents::Stored<ServerPins>>| {
                let Some(found) = found else { return Ok(((), Changes::default())) };
                let after = found.value.clone().approved();
                Ok::<_, Error>(((), Changes::default().replace(&found, &after)))
            })
            .await
    }

    /// The connection to a server that is kept: the one there is, while the server is as it was.
    fn connected(&self, documents: &Documents, version: u64, saved: &SavedServer) -> Option<Arc<Server>> {
        let key = (documents.owner().clone(), saved.id);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = kept.get(&key).filter(|known| known.version == version) {
            return Some(known.server.clone());
        }
        let settings = saved.settings(documents.vault(), self.reach.clone());
        let settings = settings.map_err(|reason| {
            tracing::warn!(server = saved.name, "the MCP server cannot be used: {reason}");
        });
        let server = Server::new(settings.ok()?, self.egress.clone());
        server.warm();
        kept.insert(key, Kept { version, server: server.clone() });
        Some(server)
    }
}

#[async_trait]
impl Extension for Servers {
    async fn extend(&self, documents: &Documents, workspace: &mut Workspace) -> Result<(), Error> {
        let pins: Arc<dyn Pins> = Arc::new(OwnersPins::new(documents));
        let mut registry = workspace.registry.clone();
        for one in &self.configured {
            let pins = if one.accept_changes { Arc::new(Accepting) } else { pins.clone() };
            registry = registry.with(Arc::new(McpCapability::new(one.server.clone(), pins)));
        }
        let mut active = Vec::new();
        for saved in documents.all::<SavedServer>(None).await? {
            if saved.disabled {
                continue;
            }
            if let Some(server) = self.connected(documents, saved.version, &saved) {
                active.push(saved.id);
                registry = registry.with(Arc::new(McpCapability::new(server, pins.clone())));
            }
        }
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|(owner, id), _| owner != documents.owner() || active.contains(id));
        drop(kept);
        workspace.registry = registry;
        Ok(())
    }
}
