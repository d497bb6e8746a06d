//! Providers and models as clients write them and read them.

use serde_json::{Value, json};
use uuid::Uuid;

use super::error::Error;
use super::ids::{self, PROVIDER, PublicId};
use super::mcp_body::seal;
use super::time::moment;
use crate::api::ApiState;
use crate::api::fields::{Fields, FromFields};
use crate::domain::id::ModelName;
use crate::domain::time::Timestamp;
use crate::providers::saved::{KINDS, Origin, SavedModel, SavedProvider};
use crate::providers::{Configured, Kind};

/// Longest name, in bytes.
const MAX_NAME: usize = 200;

/// What a request says of a provider; what it does not speak of stays.
pub(super) struct ProviderForm {
    pub(super) name: Option<String>,
    pub(super) provider_type: Option<String>,
    base_url: Option<String>,
    api_key: Option<String>,
    disabled: Option<bool>,
}

impl FromFields for ProviderForm {
    fn from_fields(fields: &mut Fields) -> Self {
        Self {
            name: fields.text("name"),
            provider_type: fields.text("provider_type"),
            base_url: fields.text("base_url"),
            api_key: fields.text("api_key"),
            disabled: fields.choice("status", &[("active", false), ("disabled", true)]),
        }
    }
}

impl ProviderForm {
    /// The provider with what is said, its key sealed.
    ///
    /// # Errors
    /// 400 for what does not fit, 503 for a key without one to seal it with.
    pub(super) fn applied(
        &self,
        mut provider: SavedProvider,
        state: &ApiState,
    ) -> Result<SavedProvider, Error> {
        if let Some(name) = &self.name {
            provider.name = a_name("name", name)?;
        }
        if let Some(kind) = &self.provider_type {
            if !KINDS.iter().any(|(word, ..)| word == kind) {
                let known: Vec<&str> = KINDS.iter().map(|(word, ..)| *word).collect();
                return Err(Error::bad_request(format!("provider_type must be one of {}", known.join(", "))));
            }
            provider.provider_type.clone_from(kind);
        }
        if let Some(url) = &self.base_url {
            provider.base_url = Some(url.trim().to_owned()).filter(|url| !url.is_empty());
        }
        if let Some(url) = &provider.base_url {
            state.providers.check(url).map_err(Error::bad_request)?;
        }
        if let Some(disabled) = self.disabled {
            provider.disabled = disabled;
        }
        if let Some(key) = &self.api_key {
            let place = SavedProvider::key_place(provider.id);
            let vault = state.runtime.vault().map(AsRef::as_ref);
            let key = Some(key.as_str()).filter(|key| !key.is_empty());
            provider.api_key = key.map(|key| seal(vault, &place, key)).transpose()?;
        }
        Ok(provider)
    }
}

fn a_name(field: &str, text: &str) -> Result<String, Error> {
    let text = text.trim();
    if text.is_empty() || text.len() > MAX_NAME || text.chars().any(char::is_control) {
        return Err(Error::bad_request(format!("{field} must be 1 to {MAX_NAME} bytes of text")));
    }
    Ok(text.to_owned())
}

/// A provider, wherever it comes from.
pub(super) enum Provider {
    /// A client added it.
    Saved(SavedProvider),
    /// The configuration's.
    Configured(Configured),
}

impl Provider {
    /// What models' names begin with.
    pub(super) fn key(&self) -> &str {
        match self {
            Self::Saved(saved) => &saved.key,
            Self::Configured(one) => &one.name,
        }
    }

    /// Its id.
    pub(super) fn id(&self) -> PublicId {
        match self {
            Self::Saved(saved) => PublicId(PROVIDER, saved.id),
            Self::Configured(one) => ids::provider(&one.name),
        }
    }

    /// What people call it.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Saved(saved) => &saved.name,
            Self::Configured(one) => &one.name,
        }
    }

    fn kind(&self) -> &str {
        match self {
            Self::Saved(saved) => &saved.provider_type,
            Self::Configured(one) => match one.address.kind {
                Kind::OpenAi => "openai_completions",
                Kind::Scripted => "llmsim",
            },
        }
    }

    fn is_active(&self) -> bool {
        match self {
            Self::Saved(saved) => !saved.disabled,
            Self::Configured(_) => true,
        }
    }

    /// As it is shown: without its key.
    pub(super) fn shown(&self, since: Timestamp) -> Value {
        let (base_url, key_set, synced, created, updated) = match self {
            Self::Saved(saved) => {
                (saved.base_url.clone(), saved.api_key.is_some(), saved.synced, saved.created, saved.updated)
            }
            Self::Configured(one) => {
                (one.address.base_url.clone(), one.address.api_key.is_some(), None, since, since)
            }
        };
        let mut shown = json!({
            "id": self.id(),
            "name": self.name(),
            "provider_type": self.kind(),
            "api_key_set": key_set,
            "status": if self.is_active() { "active" } else { "disabled" },
            "readonly": matches!(self, Self::Configured(_)),
            "created_at": moment(created),
            "updated_at": moment(updated),
        });
        if let Some(fields) = shown.as_object_mut() {
            fields.extend(base_url.map(|url| ("base_url".to_owned(), url.into())));
            fields.extend(synced.map(|at| ("last_synced_at".to_owned(), moment(at).into())));
        }
        shown
    }

    /// One of its models, as it is shown.
    pub(super) fn model_shown(&self, model: &SavedModel, is_default: bool) -> Value {
        let is_enabled = self.is_active() && !model.disabled;
        json!({
            "id": ids::model(&model.name),
            "provider_id": self.id(),
            "provider_name": self.name(),
            "provider_type": self.kind(),
            "model_id": model.name.model,
            "display_name": model.display_name,
            "capabilities": model.capabilities,
            "is_default": is_default,
            "is_favorite": model.is_favorite,
            "status": if model.disabled { "disabled" } else { "active" },
            "source": model.source,
            "enabled": is_enabled,
            "healthy": is_enabled,
            "created_at": moment(model.created),
            "updated_at": moment(model.updated),
        })
    }
}

/// What a request says of a model; what it does not speak of stays.
pub(super) struct ModelForm {
    pub(super) model_id: Option<String>,
    display_name: Option<String>,
    capabilities: Option<Vec<String>>,
    is_favorite: Option<bool>,
    disabled: Option<bool>,
    pub(super) is_default: Option<bool>,
}

impl FromFields for ModelForm {
    fn from_fields(fields: &mut Fields) -> Self {
        let capabilities = fields.value("capabilities").map(|_| fields.texts("capabilities"));
        Self {
            model_id: fields.text("model_id"),
            display_name: fields.text("display_name"),
            capabilities,
            is_favorite: fields.flag("is_favorite"),
            disabled: fields.choice("status", &[("active", false), ("disabled", true)]),
            is_default: fields.flag("is_default"),
        }
    }
}

impl ModelForm {
    /// The model with what is said.
    ///
    /// # Errors
    /// 400 for what does not fit.
    pub(super) fn applied(&self, mut model: SavedModel) -> Result<SavedModel, Error> {
        if let Some(name) = &self.display_name {
            model.display_name = a_name("display_name", name)?;
        }
        if let Some(capabilities) = &self.capabilities {
            model.capabilities.clone_from(capabilities);
        }
        model.is_favorite = self.is_favorite.unwrap_or(model.is_favorite);
        model.disabled = self.disabled.unwrap_or(model.disabled);
        Ok(model)
    }
}

/// A model nothing has been said of yet.
pub(super) fn unsaid(name: ModelName, source: Origin, now: Timestamp) -> SavedModel {
    let id: Uuid = ids::model(&name).1;
    let display_name = name.model.clone();
    let (capabilities, is_favorite, disabled) = (Vec::new(), false, false);
    SavedModel {
        id,
        name,
        display_name,
        capabilities,
        is_favorite,
        disabled,
        source,
        created: now,
        updated: now,
    }
}
