//! Providers of models: `[providers.NAME]`, and the one named `openai` that the environment makes.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Complaint, Secret};
use crate::llm::Patience;
use crate::runtime::catalog::yaml::HumanDuration;

/// Where OpenAI itself is.
const OPENAI: &str = "https://api.openai.com/v1";

/// What a provider speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ProviderKind {
    /// The chat completions of OpenAI, as many servers offer them.
    #[default]
    OpenAi,
    /// Rules and scripts, without a network.
    Scripted,
}

/// Somebody who answers models named `NAME/…`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ProviderConfig {
    /// What it speaks.
    pub kind: ProviderKind,
    /// `openai`: where it is.
    pub base_url: Option<String>,
    /// `openai`: the variable that holds its key; without one, none is sent.
    pub api_key_env: Option<String>,
    /// `openai`: how long it may take to connect.
    pub connect: Option<HumanDuration>,
    /// `openai`: how long from the request to the first event.
    pub first_byte: Option<HumanDuration>,
    /// `openai`: how long between two events.
    pub idle: Option<HumanDuration>,
    /// `openai`: how often it is asked in all, before it has said anything.
    pub tries: Option<u32>,
    /// `scripted`: a folder of scripts, for models other than `demo`.
    pub scripts: Option<PathBuf>,
    /// `scripted`: a pause before each piece of an answer, in milliseconds.
    pub delay_ms: Option<u64>,
    /// What that variable holds.
    #[serde(skip)]
    pub api_key: Option<Secret>,
}

impl ProviderConfig {
    /// How long it may take and how often it is asked.
    pub fn patience(&self) -> Patience {
        let usual = Patience::default();
        Patience {
            connect: self.connect.map_or(usual.connect, |length| length.0),
            first_byte: self.first_byte.map_or(usual.first_byte, |length| length.0),
            idle: self.idle.map_or(usual.idle, |length| length.0),
            tries: self.tries.unwrap_or(usual.tries),
            ..usual
        }
    }

    /// Keys that were given though they belong to the other kind.
    fn misplaced(&self) -> Vec<&'static str> {
        let keys = match self.kind {
            ProviderKind::Scripted => vec![
                ("base_url", self.base_url.is_some()),
                ("api_key_env", self.api_key_env.is_some()),
                ("connect", self.connect.is_some()),
                ("first_byte", self.first_byte.is_some()),
                ("idle", self.idle.is_some()),
                ("tries", self.tries.is_some()),
            ],
            ProviderKind::OpenAi => {
                vec![("scripts", self.scripts.is_some()), ("delay_ms", self.delay_ms.is_some())]
            }
        };
        keys.into_iter().filter(|(_, given)| *given).map(|(key, _)| key).collect()
    }
}

/// Variables that make the provider `openai`; the first that is set counts.
const OPENAI_KEYS: [&str; 2] = ["OPENAI_API_KEY", "DEFAULT_OPENAI_API_KEY"];

/// Adds the provider that the environment makes, gives each its key, and says what does not fit.
pub(super) fn complete(
    providers: &mut BTreeMap<String, ProviderConfig>,
    env: &BTreeMap<String, String>,
) -> Vec<Complaint> {
    let variable = |name: &str| env.get(name).filter(|value| !value.is_empty()).cloned();
    let key_name = OPENAI_KEYS.into_iter().find(|name| variable(name).is_some());
    if key_name.is_some() {
        providers.entry("openai".into()).or_default();
    }
    if let Some(openai) = providers.get_mut("openai").filter(|openai| openai.kind == ProviderKind::OpenAi) {
        openai.base_url.get_or_insert_with(|| variable("OPENAI_BASE_URL").unwrap_or_else(|| OPENAI.into()));
        openai.api_key_env.get_or_insert_with(|| key_name.unwrap_or("OPENAI_API_KEY").into());
    }
    let mut complaints = Vec::new();
    for (name, provider) in providers {
        let mut complain = |key: &str, message: String| {
            complaints.push(Complaint { key: format!("providers.{name}.{key}"), message });
        };
        for key in provider.misplaced() {
            complain(key, "does not belong to a provider of this kind".into());
        }
        if provider.kind == ProviderKind::Scripted {
            continue;
        }
        match &provider.base_url {
            Some(url) if url.starts_with("https://") || url.starts_with("http://") => {}
            Some(_) => complain("base_url", "must begin with `https://` or `http://`".into()),
            None => complain("base_url", "is missing".into()),
        }
        if provider.tries == Some(0) {
            complain("tries", "must be at least 1".into());
        }
        if let Some(key_name) = &provider.api_key_env {
            provider.api_key = variable(key_name).map(Secret);
            if !is_variable(key_name) {
                complain(
                    "api_key_env",
                    "must be the name of a variable, as in `LOCAL_KEY`; not the key".into(),
                );
            } else if provider.api_key.is_none() {
                complain("api_key_env", format!("the variable `{key_name}` is not set"));
            }
        }
    }
    complaints
}

/// A key that was put where its variable's name belongs must not be repeated.
fn is_variable(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
}
