//! Floor 4, who answers: providers and models that owners keep beside those of the configuration.
//!
//! [`Providers`] adds them to what an owner's runs may ask. `saved` is what is kept of them. What speaks to a provider
//! is made by whoever wires the parts ([`Connect`]).

pub mod saved;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use reqwest::Url;
use reqwest::dns::Resolve;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use serde::Deserialize;
use uuid::Uuid;

use self::saved::{DefaultModel, SavedModel, SavedProvider};
use crate::capability::egress::{Egress, Limits, Reach, Request};
use crate::domain::id::{ModelName, Owner};
use crate::llm::Model;
use crate::llm::secret::Secret;
use crate::runtime::Error;
use crate::runtime::documents::Documents;
use crate::runtime::workspace::{Extension, Workspace};

/// Longest a provider may take to say which models it has.
const LISTING: Duration = Duration::from_secs(15);

/// Longest list of models that is read, in bytes.
const MAX_LIST: usize = 4 * 1024 * 1024;

/// Models of one list that are looked at.
const MAX_MODELS: usize = 1000;

/// What is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Whoever offers OpenAI's chat completions.
    OpenAi,
    /// Rules, without a network.
    Scripted,
}

/// Where a provider is, and what it wants to be shown.
#[derive(Debug, Clone)]
pub struct Address {
    /// What it is.
    pub kind: Kind,
    /// Where it is, as in `https://api.openai.com/v1`; a scripted one is nowhere.
    pub base_url: Option<String>,
    /// Its key.
    pub api_key: Option<Secret>,
}

/// Makes what speaks to a provider, with what finds its addresses: none but those it may be at, whatever its name leads
/// to at the moment of a connection.
pub type Connect = dyn Fn(&Address, Option<Arc<dyn Resolve>>) -> Result<Arc<dyn Model>, String> + Send + Sync;

/// A provider of the configuration.
#[derive(Debug, Clone)]
pub struct Configured {
    /// What models' names begin with.
    pub name: String,
    /// Where it is.
    pub address: Address,
}

/// A provider as it was when what speaks to it was made, and that.
type Kept = (u64, Arc<dyn Model>);

/// All providers there are.
pub struct Providers {
    configured: Vec<Configured>,
    connect: Box<Connect>,
    egress: Egress,
    private: Vec<String>,
    kept: Mutex<HashMap<(Owner, Uuid), Kept>>,
}

impl Providers {
    /// With these from the configuration. What owners add may be in the public network, and wherever `private` opens it.
    pub fn new(configured: Vec<Configured>, connect: Box<Connect>, private: Vec<String>) -> Self {
        Self { configured, connect, egress: Egress::new(), private, kept: Mutex::default() }
    }

    /// Those of the configuration.
    pub fn configured(&self) -> &[Configured] {
        &self.configured
    }

    /// Whether an owner's provider may be at this address.
    ///
    /// # Errors
    /// A sentence that says why not.
    pub fn check(&self, base_url: &str) -> Result<(), String> {
        let url = Url::parse(base_url).map_err(|_| "base_url is no URL")?;
        Reach::new(None, &self.private)?.check(&url).map_err(|error| error.to_string())
    }

    fn guard(&self, address: &Address) -> Result<Option<Arc<dyn Resolve>>, String> {
        let Some(base_url) = &address.base_url else { return Ok(None) };
        let url = Url::parse(base_url).map_err(|_| "base_url is no URL")?;
        let reach = Reach::new(None, &self.private)?;
        Egress::resolver(&url, &reach).map(Some).map_err(|error| error.to_string())
    }

    /// Where an owner's provider is.
    ///
    /// # Errors
    /// A sentence that says why it cannot be told.
    pub fn address(&self, documents: &Documents, provider: &SavedProvider) -> Result<Address, String> {
        let open = |sealed: &String| {
            let vault =
                documents.vault().ok_or("its key cannot be opened: no SECRETS_ENCRYPTION_KEY is set")?;
            vault.open(&SavedProvider::key_place(provider.id), sealed).map_err(|error| error.to_string())
        };
        let own = provider.api_key.as_ref().map(open).transpose()?;
        let (kind, usual, variable) = provider.kind();
        // The environment's key is shown to nobody but whom it is for.
        let others = || provider.base_url.is_none().then(|| std::env::var(variable).ok()).flatten();
        let key = own.or_else(others).filter(|key| !key.is_empty());
        let base_url = provider.base_url.clone().or_else(|| usual.map(str::to_owned));
        Ok(Address { kind, base_url, api_key: key.map(|key| Secret::new(&key)) })
    }

    /// The names of the models a provider says it has.
    ///
    /// # Errors
    /// A sentence that says why it did not; nothing of what it answered.
    pub async fn listed(&self, address: &Address, is_configured: bool) -> Result<Vec<String>, String> {
        /// What is read of the answer.
        #[derive(Deserialize)]
        struct List {
            data: Vec<One>,
        }
        /// One of its models.
        #[derive(Deserialize)]
        struct One {
            id: String,
        }
        let Some(base_url) = &address.base_url else { return Ok(vec!["demo".into()]) };
        let url = Url::parse(&format!("{}/models", base_url.trim_end_matches('/')));
        let url = url.map_err(|_| "its address is no URL")?;
        let mut headers = HeaderMap::new();
        if let Some(key) = &address.api_key {
            let value = HeaderValue::from_str(&format!("Bearer {}", key.expose()));
            let mut value = value.map_err(|_| "its key holds characters a header cannot hold")?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let mut private = self.private.clone();
        if is_configured {
            // Where the operator sends runs, this may go too.
            private.extend(url.host_str().map(str::to_owned));
        }
        let reach = Reach::new(None, &private)?;
        let request = Request { headers, ..Request::get(url) };
        let limits = Limits { deadline: LISTING, body_bytes: MAX_LIST, ..Limits::default() };
        let answer = self.egress.send(request, &reach, limits).await.map_err(|error| error.to_string())?;
        if answer.status != 200 {
            return Err(format!("it answered with status {}", answer.status));
        }
        let list: List =
            serde_json::from_slice(&answer.body).map_err(|_| "its answer is no list of models")?;
        let fits =
            |id: &String| !id.is_empty() && id.len() <= 200 && id.chars().all(|c| c.is_ascii_graphic());
        Ok(list.data.into_iter().map(|one| one.id).filter(fits).take(MAX_MODELS).collect())
    }

    fn connected(
        &self,
        documents: &Documents,
        version: u64,
        provider: &SavedProvider,
    ) -> Option<Arc<dyn Model>> {
        let key = (documents.owner().clone(), provider.id);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, model)) = kept.get(&key)
            && *known == version
        {
            return Some(model.clone());
        }
        let made = self.address(documents, provider).and_then(|address| {
            let guard = self.guard(&address)?;
            (self.connect)(&address, guard)
        });
        let model = made.map_err(|reason| {
            tracing::warn!(provider = provider.name, "the provider cannot be asked: {reason}");
        });
        let model = model.ok()?;
        kept.insert(key, (version, model.clone()));
        Some(model)
    }
}

#[async_trait]
impl Extension for Providers {
    async fn extend(&self, documents: &Documents, workspace: &mut Workspace) -> Result<(), Error> {
        let mut models = workspace.models.clone();
        for provider in documents.all::<SavedProvider>(None).await? {
            if provider.disabled {
                continue;
            }
            if let Some(model) = self.connected(documents, provider.version, &provider) {
                models = models.with(&provider.key, model);
            }
        }
        for model in documents.all::<SavedModel>(None).await? {
            let name = model.value.name;
            models = if model.value.disabled { models.without(name) } else { models.offering(name) };
        }
        if let Some(chosen) = documents.get::<DefaultModel>(saved::THE_DEFAULT).await? {
            models = models.defaulting(chosen.value.model);
        }
        workspace.models = models;
        Ok(())
    }
}

/// Where nothing is said, what a model is called after its provider's name for it.
pub fn model_of(provider: &str, model: &str) -> ModelName {
    ModelName { provider: provider.into(), model: model.into() }
}
