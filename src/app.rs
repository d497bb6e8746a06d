//! Wiring: the one place that knows every part. [`App::build`], then [`App::run`].

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::{Server, ServerHandle};
use actix_web::http::KeepAlive;
use actix_web::{HttpServer, web};
use anyhow::{Context, Result, anyhow};

use crate::access::{Clear, Tokens};
use crate::api::body::Limits;
use crate::api::{self, ApiState, ServerInfo};
use crate::capability::egress::Egress;
use crate::capability::registry::Registry;
use crate::clock::{Clock, WallClock};
use crate::config::{Config, ProviderConfig, ProviderKind};
use crate::domain::spec::{CapabilityRef, DeclaredTool};
use crate::llm::openai::{OpenAi, OpenAiConfig};
use crate::llm::scripted::{Scripted, ScriptedConfig};
use crate::llm::secret::Secret;
use crate::llm::{Model, Models};
use crate::runtime::catalog::{Catalog, Fault};
use crate::runtime::{Parts, Runtime};
use crate::store::{self, Opened, StoreConfig};

/// A request's head must be there by then (promise S20).
const HEAD_DEADLINE: Duration = Duration::from_secs(5);

/// A connection that says nothing is closed after this (promise S20).
const IDLE_CONNECTION: Duration = Duration::from_secs(75);

/// Connections a worker holds; there are two workers where nothing is said (promise S21).
const MAX_CONNECTIONS: usize = 10_000;

/// What open answers get to be written out when the server stops.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// A server that is ready to run.
pub struct App {
    runtime: Runtime,
    server: Server,
    address: SocketAddr,
    drain: Duration,
    first_token: Option<Clear>,
}

/// Faults of agent files, as an error.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct Faults(pub Vec<Fault>);

impl App {
    /// Opens the store, reads the agents, takes up what a crash left, and binds the port.
    ///
    /// # Errors
    /// Whatever of that cannot be done, in sentences for people.
    pub async fn build(config: &Config) -> Result<Self> {
        let runtime = runtime(config, config.store).await?;
        let clock: Arc<dyn Clock> = Arc::new(WallClock::default());
        let configured = config.token.as_ref().map(|token| token.expose());
        let (tokens, first_token) = Tokens::open(&config.data, configured, clock)?;
        let state = web::Data::new(ApiState {
            runtime: runtime.clone(),
            tokens: Arc::new(tokens),
            server: ServerInfo {
                id: config.os_id.clone(),
                name: Some(config.name.clone()),
                description: Some(config.description.clone()),
                version: env!("CARGO_PKG_VERSION").into(),
            },
            origins: config.server.cors_origins.iter().cloned().collect(),
            limits: Limits {
                json_bytes: config.server.json_bytes,
                multipart_bytes: config.server.multipart_bytes,
            },
            docs: true,
        });
        let (server, address) = listen(config, state)?;
        let drain = Duration::from_secs(config.runs.drain_seconds);
        Ok(Self { runtime, server, address, drain, first_token })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it does.
    pub fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// The token that was made because there was none; shown once.
    pub fn first_token(&self) -> Option<&Clear> {
        self.first_token.as_ref()
    }

    /// Serves until `stop` is done; then lets nothing new begin, gives runs their time, and ends. Runs that did
    /// not make it are taken up at the next start.
    ///
    /// # Errors
    /// What the listening socket says.
    pub async fn run(self, stop: impl Future<Output = ()> + Send + 'static) -> Result<()> {
        let handle = self.server.handle();
        let closing = tokio::spawn(close(self.runtime.clone(), handle, self.drain, stop));
        self.server.await?;
        closing.abort();
        Ok(())
    }
}

async fn close(runtime: Runtime, server: ServerHandle, drain: Duration, stop: impl Future<Output = ()>) {
    stop.await;
    tracing::info!("stopping: nothing new begins, runs get up to {} s", drain.as_secs());
    let left = runtime.stop(drain).await;
    if left > 0 {
        tracing::warn!(runs = left, "{left} runs are not finished; they are taken up at the next start");
    }
    server.stop(true).await;
}

fn listen(config: &Config, state: web::Data<ApiState>) -> Result<(Server, SocketAddr)> {
    let server = HttpServer::new(move || api::app(state.clone(), |_| {}))
        .workers(config.server.workers)
        .tcp_nodelay(true)
        // A client that closes its side has left; without this, only a write would show it.
        .h1_allow_half_closed(false)
        .keep_alive(KeepAlive::Timeout(IDLE_CONNECTION))
        .client_request_timeout(HEAD_DEADLINE)
        // A client that has gone is noticed at once, not at the next word it is sent: its run may end with it.
        .h1_allow_half_closed(false)
        .max_connections(MAX_CONNECTIONS)
        .shutdown_timeout(LAST_WORDS.as_secs())
        .disable_signals()
        .bind((config.host.as_str(), config.port))
        .with_context(|| format!("cannot listen on {}:{}", config.host, config.port))?;
    let address = server.addrs().first().copied().ok_or_else(|| anyhow!("nothing to listen on"))?;
    Ok((server.run(), address))
}

/// The runtime of a configuration, on this store.
///
/// # Errors
/// What cannot be opened or read, in sentences for people.
pub async fn runtime(config: &Config, store: StoreConfig) -> Result<Runtime> {
    let registry = registry();
    let catalog = catalog(config, &registry)?;
    let models = models(config)?;
    let Opened { store, .. } = store::open(&store, &config.data).await?;
    let clock = Arc::new(WallClock::default());
    let queue_depth = config.runs.queue_depth;
    let pieces_may_be_lost = false;
    Ok(Runtime::open(Parts { store, models, registry, catalog, clock, queue_depth, pieces_may_be_lost })
        .await?)
}

fn registry() -> Registry {
    Registry::builtin(Egress::new())
}

/// Whether these capabilities and tools make an agent; if not, why.
///
/// # Errors
/// A sentence for the writer of the file.
pub fn check_tools(capabilities: &[CapabilityRef], tools: &[DeclaredTool]) -> Result<(), String> {
    registry().compose(capabilities, tools).map(drop).map_err(|error| error.to_string())
}

fn catalog(config: &Config, registry: &Registry) -> Result<Catalog> {
    let check = |capabilities: &[CapabilityRef], tools: &[DeclaredTool]| {
        registry.compose(capabilities, tools).map(drop).map_err(|error| error.to_string())
    };
    Catalog::load(&config.agents, &config.catalog_defaults(&check)).map_err(|faults| Faults(faults).into())
}

fn models(config: &Config) -> Result<Models> {
    let mut models = Models::default();
    for (name, provider) in &config.providers {
        let model = model(provider).with_context(|| format!("provider `{name}`"))?;
        models = models.with(name, model);
    }
    Ok(models)
}

fn model(provider: &ProviderConfig) -> Result<Arc<dyn Model>> {
    Ok(match provider.kind {
        ProviderKind::OpenAi => Arc::new(OpenAi::new(OpenAiConfig {
            base_url: provider.base_url.clone().unwrap_or_default(),
            api_key: provider.api_key.as_ref().map(|key| Secret::new(key.expose())),
            headers: Vec::new(),
            patience: provider.patience(),
        })?),
        ProviderKind::Scripted => Arc::new(Scripted::new(ScriptedConfig {
            scripts: provider.scripts.clone(),
            pause: Duration::from_millis(provider.delay_ms.unwrap_or_default()),
        })?),
    })
}
