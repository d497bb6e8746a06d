//! Pins: what a server's tools looked like when they were first seen. A server that later describes a tool otherwise,
//! so that a model would do something else with it, must be trusted anew.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;

/// Remembers how tools looked.
#[async_trait]
pub trait Pins: Send + Sync + 'static {
    /// Notes tools of a server that were never seen, and says which of these are not what they were. Each is a
    /// tool's name and its fingerprint.
    ///
    /// # Errors
    /// Why it cannot be told; then none can be trusted.
    async fn changed(
        &self,
        server: &str,
        seen: &BTreeMap<String, String>,
    ) -> Result<BTreeSet<String>, String>;
}

/// Remembers as long as the program runs.
#[derive(Debug, Default)]
pub struct InMemory(Mutex<BTreeMap<String, BTreeMap<String, String>>>);

#[async_trait]
impl Pins for InMemory {
    async fn changed(
        &self,
        server: &str,
        seen: &BTreeMap<String, String>,
    ) -> Result<BTreeSet<String>, String> {
        let mut servers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(compare(servers.entry(server.to_owned()).or_default(), seen))
    }
}

/// Takes up what is new, and says what is not as it was.
pub fn compare(pinned: &mut BTreeMap<String, String>, seen: &BTreeMap<String, String>) -> BTreeSet<String> {
    let mut changed = BTreeSet::new();
    for (tool, print) in seen {
        let known = pinned.entry(tool.clone()).or_insert_with(|| print.clone());
        if known != print {
            changed.insert(tool.clone());
        }
    }
    changed
}
