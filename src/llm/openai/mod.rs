//! OpenAI-compatible providers, through async-openai.
//!
//! The library gives the request its form and reads the events. Tries, deadlines, bounds and leniency are decided
//! here: `transport` guards the wire, `wire` reads what is said, `calls` puts tool calls together, `reading`
//! decides when an answer is one, and `fault` says what went wrong.

mod calls;
mod clients;
mod fault;
mod reading;
mod request;
mod transport;
mod wire;

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use async_openai::Client;
use async_openai::config::OpenAIConfig;
use async_openai::middleware::HttpRequestFactory;
use async_trait::async_trait;
use futures::StreamExt;
use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;
use tokio::time::{sleep, timeout};

use self::calls::Calls;
use self::clients::Clients;
use self::fault::{Fault, Wait};
use self::reading::{Events, Reading, Teller, fault_of};
use self::transport::{FaultSlot, Transport};
use self::wire::Event;
use super::secret::Secret;
use super::{Answer, Model, Patience};
use crate::domain::fact::Failure;
use crate::domain::message::ModelCall;

/// The pause before the second try; it doubles from try to try.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// An OpenAI-compatible provider.
#[derive(Debug, Clone)]
pub struct OpenAiConfig {
    /// Up to and without `/chat/completions`, as in `https://api.openai.com/v1`.
    pub base_url: String,
    /// Sent as a bearer token; without one, no `Authorization` is sent at all.
    pub api_key: Option<Secret>,
    /// Further headers, by name; the values count as secret.
    pub headers: Vec<(String, Secret)>,
    /// How long it may take, and how often it is asked.
    pub patience: Patience,
    /// Finds the provider's addresses, in place of the system and of any proxy.
    pub resolver: Option<Resolver>,
}

/// Finds the addresses of a name.
#[derive(Clone)]
pub struct Resolver(pub Arc<dyn reqwest::dns::Resolve>);

impl std::fmt::Debug for Resolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Resolver")
    }
}

impl OpenAiConfig {
    /// A provider at this address, without a key, with the default patience.
    pub fn at(base_url: &str) -> Self {
        let (api_key, headers, resolver) = (None, Vec::new(), None);
        Self { base_url: base_url.into(), api_key, headers, patience: Patience::default(), resolver }
    }
}

/// Why a provider cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum BadProvider {
    /// Not an address of an API.
    #[error(
        "base_url must be an http or https URL without query, user or password, as in `https://api.openai.com/v1`"
    )]
    BaseUrl,
    /// A key that fits in no header.
    #[error("the API key holds characters that no HTTP header can carry")]
    Key,
    /// A header that is none.
    #[error("`{0}` is no HTTP header, or its value holds characters that none can carry")]
    Header(String),
    /// No TLS, no certificates.
    #[error("the HTTP client cannot be set up: {0}")]
    Client(#[from] reqwest::Error),
}

/// Asks an OpenAI-compatible provider.
#[derive(Debug)]
pub struct OpenAi {
    client: Client<OpenAIConfig>,
    transport: Arc<Transport>,
    secrets: Vec<Secret>,
}

impl OpenAi {
    /// Sets a provider up; nothing is sent yet.
    ///
    /// # Errors
    /// What in the configuration cannot be used; no secret is named.
    pub fn new(config: OpenAiConfig) -> Result<Self, BadProvider> {
        let base = base_url(&config.base_url).ok_or(BadProvider::BaseUrl)?;
        let headers = headers(&config)?;
        let patience = config.patience;
        let clients = Clients::new(patience.connect, config.resolver.clone());
        // The library's own client only builds requests; asking for it here shows early what cannot work.
        let http = clients.of_this_thread()?;
        // The library takes what is not set from the environment, where it may be meant for somebody else.
        let library =
            OpenAIConfig::new().with_api_base(base).with_api_key("").with_org_id("").with_project_id("");
        let secrets =
            config.api_key.into_iter().chain(config.headers.into_iter().map(|(_, value)| value)).collect();
        Ok(Self {
            client: Client::build(http, library),
            transport: Arc::new(Transport { clients, headers, patience }),
            secrets,
        })
    }

    /// One try: asks, and waits for the first event.
    async fn open(&self, request: &Value) -> Result<(Events, Option<Event>), Fault> {
        let patience = self.transport.patience.first_byte;
        let first = async {
            let mut events = self.request(request).await?;
            let first = events.next().await?;
            Ok((events, first))
        };
        timeout(patience, first).await.unwrap_or(Err(Fault::Slow(Wait::FirstEvent(patience))))
    }

    async fn request(&self, request: &Value) -> Result<Events, Fault> {
        let slot = FaultSlot::default();
        let (transport, left) = (self.transport.clone(), slot.clone());
        let service = tower::service_fn(move |request: HttpRequestFactory| {
            transport.clone().send(request, left.clone())
        });
        let client = self.client.clone().with_http_service(service);
        match client.chat().create_stream_byot(request).await {
            Ok(stream) => Ok(Events::new(stream, slot)),
            Err(error) => Err(fault_of(&error, &slot)),
        }
    }

    /// How long to wait before the next try: as long as we are asked to, within reason, or ever longer. A random
    /// part keeps those who failed together from coming back together.
    fn pause(&self, fault: &Fault, tries: u32) -> Duration {
        match fault.retry_after() {
            Some(wish) => wish.min(self.transport.patience.retry_after_cap).mul_f64(1.0 + 0.1 * chance()),
            None => FIRST_PAUSE.saturating_mul(1 << (tries - 1).min(6)).mul_f64(0.5 + 0.5 * chance()),
        }
    }
}

#[async_trait]
impl Model for OpenAi {
    async fn answer(&self, call: ModelCall) -> Result<Answer, Failure> {
        let request = request::body(&call);
        let teller = Teller { provider: call.model.provider, secrets: self.secrets.clone() };
        let patience = self.transport.patience;
        let mut tries = 1;
        let (events, first) = loop {
            match self.open(&request).await {
                Ok(opened) => break opened,
                Err(fault) if tries < patience.tries && fault.deserves_another_try() => {
                    tracing::info!(tries, "asking again: {}", teller.tell(&fault));
                    sleep(self.pause(&fault, tries)).await;
                    tries += 1;
                }
                Err(fault) => return Err(teller.tell(&fault)),
            }
        };
        let calls = Calls::after(&call.messages);
        Ok(Reading::new(events, first, patience.idle, calls, teller).chunks().boxed())
    }
}

/// The address without a slash at its end, if it is one that a path can be appended to.
fn base_url(text: &str) -> Option<String> {
    let url = reqwest::Url::parse(text.trim()).ok()?;
    let plain = url.query().is_none() && url.fragment().is_none();
    let anonymous = url.username().is_empty() && url.password().is_none();
    let fits = matches!(url.scheme(), "http" | "https") && plain && anonymous;
    fits.then(|| url.as_str().trim_end_matches('/').to_owned())
}

fn headers(config: &OpenAiConfig) -> Result<HeaderMap, BadProvider> {
    let mut headers = HeaderMap::new();
    if let Some(key) = config.api_key.as_ref().filter(|key| !key.expose().is_empty()) {
        let value = secret_value(&format!("Bearer {}", key.expose())).ok_or(BadProvider::Key)?;
        headers.insert(AUTHORIZATION, value);
    }
    for (name, value) in &config.headers {
        let bad = || BadProvider::Header(name.clone());
        let header: HeaderName = name.parse().map_err(|_| bad())?;
        headers.insert(header, secret_value(value.expose()).ok_or_else(bad)?);
    }
    Ok(headers)
}

fn secret_value(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// A number from 0 to 1, another each time: the standard library seeds its hashers at random.
fn chance() -> f64 {
    f64::from(RandomState::new().hash_one(()) as u32) / f64::from(u32::MAX)
}
