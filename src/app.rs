//! Wiring: the one place that knows every part. [`App::build`], then [`App::run`].

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::{Server, ServerHandle};
use actix_web::web;
use anyhow::{Context, Result};
use reqwest::dns::Resolve;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::sync::Semaphore;

use crate::access::{Clear, Tokens};
use crate::api::body::Limits;
use crate::api::everruns::Pulse;
use crate::api::server::Bounds;
use crate::api::{self, ApiState, ServerInfo};
use crate::capability::egress::{Egress, Reach};
use crate::capability::registry::Registry;
use crate::capability::skills::{self, Skill};
use crate::clock::{Clock, WallClock};
use crate::config::{Config, ProviderConfig, ProviderKind, RunsConfig};
use crate::domain::spec::{CapabilityRef, DeclaredTool};
use crate::images::Pictures;
use crate::llm::openai::{OpenAi, OpenAiConfig, Resolver};
use crate::llm::scripted::{Scripted, ScriptedConfig};
use crate::llm::secret::Secret;
use crate::llm::{Model, Models, Patience};
use crate::providers::{self, Address, Kind, Providers};
use crate::runtime::catalog::{Catalog, CheckTools, Fault};
use crate::runtime::vault::Vault;
use crate::runtime::workspace::Extension;
use crate::runtime::{Parts, Runtime};
use crate::schedules::Schedules;
use crate::schedules::capability::SessionSchedule;
use crate::servers::Servers;
use crate::store::{self, Opened, StoreConfig};
use crate::triage::Triage;
use crate::triage::norm::TriageCapability;

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
        let servers = Arc::new(servers(config)?);
        let providers = Arc::new(providers(config));
        let norm = Arc::new(TriageCapability::default());
        let schedules = Schedules::default();
        let extensions: Vec<Arc<dyn Extension>> =
            vec![servers.clone(), providers.clone(), Arc::new(schedules.clone()), Arc::new(Pictures)];
        let runtime = open(config, config.store, extensions, (&servers, norm.clone())).await?;
        servers.warm();
        let clock: Arc<dyn Clock> = Arc::new(WallClock::default());
        let configured = config.token.as_ref().map(|token| token.expose());
        let (tokens, first_token) = Tokens::open(&config.data, configured, clock)?;
        let watchdog = Duration::from_secs(config.triage.watchdog_seconds.max(1));
        let triage = Triage::patient(runtime.clone(), watchdog);
        norm.serve(&triage);
        if config.triage.open_issues_for_failed_runs {
            triage.report_failures();
        }
        triage.resume().await?;
        schedules.keep(&runtime).await?;
        let state = web::Data::new(ApiState {
            runtime: runtime.clone(),
            triage,
            servers,
            providers,
            schedules,
            tokens: Arc::new(tokens),
            server: ServerInfo {
                id: config.os_id.clone(),
                name: Some(config.name.clone()),
                description: Some(config.description.clone()),
                version: env!("CARGO_PKG_VERSION").into(),
                prefix: config.server.prefix.trim_end_matches('/').into(),
            },
            origins: config.server.cors_origins.iter().cloned().collect(),
            limits: Limits {
                json_bytes: config.server.json_bytes,
                multipart_bytes: config.server.multipart_bytes,
                body: Duration::from_secs(config.server.body_seconds),
            },
            streams: Arc::new(Semaphore::new(config.server.most_streams.min(Semaphore::MAX_PERMITS))),
            everruns: api::everruns::Shared {
                pulse: Pulse {
                    heartbeat: Duration::from_secs(config.server.stream_heartbeat_seconds),
                    cycle: Duration::from_secs(config.server.stream_cycle_seconds),
                },
                client_patience: Duration::from_secs(config.server.client_tool_seconds),
                ..Default::default()
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
    let most_connections = connections(config);
    let seconds = Duration::from_secs;
    let bounds = Bounds {
        workers: config.server.workers,
        head: seconds(config.server.head_seconds),
        idle: seconds(config.server.idle_seconds),
        write: seconds(config.server.write_seconds),
        most_connections,
    };
    api::server::listen((config.host.as_str(), config.port), bounds, state)
        .with_context(|| format!("cannot listen on {}:{}", config.host, config.port))
}

/// Files for what is neither a connection nor a run: the store, the log, tools.
const OTHER_FILES: usize = 256;

/// How many connections there may be: as many as are configured, unless the system lets the program open fewer
/// files. It is asked for all it gives.
fn connections(config: &Config) -> usize {
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
        tracing::debug!(%error, "the limit of open files stays as it is");
    }
    let limit = getrlimit(Resource::Nofile).current;
    let files = limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    // A run may hold a connection to its provider.
    let others = config.runs.most_at_once.saturating_add(OTHER_FILES);
    let left = files.saturating_sub(others).max(files / 2);
    let most = config.server.most_connections;
    if left < most {
        tracing::warn!(files, "{files} files may be open, so {left} connections are taken and not {most}");
    }
    most.min(left)
}

/// The runtime of a configuration, on this store.
///
/// # Errors
/// What cannot be opened or read, in sentences for people.
pub async fn runtime(config: &Config, store: StoreConfig) -> Result<Runtime> {
    let servers = Arc::new(servers(config)?);
    let extensions: Vec<Arc<dyn Extension>> =
        vec![servers.clone(), Arc::new(providers(config)), Arc::new(Pictures)];
    let runtime = open(config, store, extensions, (&servers, Arc::default())).await?;
    servers.warm();
    Ok(runtime)
}

async fn open(
    config: &Config,
    store: StoreConfig,
    extensions: Vec<Arc<dyn Extension>>,
    (servers, norm): (&Servers, Arc<TriageCapability>),
) -> Result<Runtime> {
    let registry = registry(config, servers)?.with(norm);
    let catalog = catalog(config, &registry)?;
    let registry = registry.declaring(catalog.declared_tools());
    let models = models(config)?;
    let Opened { store, lost } = store::open(&store, &config.data).await?;
    let clock = Arc::new(WallClock::default());
    let RunsConfig { queue_depth, most_at_once, drain_seconds: _ } = config.runs;
    let pieces_may_be_lost = lost.is_some();
    let parts = Parts {
        store,
        models,
        registry,
        catalog,
        extensions,
        vault: vault()?,
        clock,
        queue_depth,
        most_at_once,
        pieces_may_be_lost,
        failures_are_kept: config.triage.open_issues_for_failed_runs,
    };
    let runtime = Runtime::open(parts).await?;
    if let Some(lost) = lost {
        // Only now: what follows from it is in the logs.
        lost.settle().with_context(|| format!("the data folder {}", config.data.display()))?;
    }
    Ok(runtime)
}

/// The variable that holds the key secrets are sealed with.
const SECRETS_KEY: &str = "SECRETS_ENCRYPTION_KEY";

fn vault() -> Result<Option<Vault>> {
    match std::env::var(SECRETS_KEY) {
        Ok(key) if !key.is_empty() => Vault::new(&key).map(Some).context(SECRETS_KEY),
        Ok(_) | Err(_) => Ok(None),
    }
}

/// Where skills are, in the folder of agents.
const SKILLS: &str = "skills";

fn registry(config: &Config, servers: &Servers) -> Result<Registry> {
    let skills = Skill::load_all(&config.agents.join(SKILLS));
    let skills = skills.map_err(|faults| anyhow::anyhow!(faults.join("\n")))?;
    let builtin = Registry::builtin(Egress::new())
        .with(Arc::new(TriageCapability::default()))
        .with(Arc::new(SessionSchedule::new(None)));
    let with_skills = skills::capabilities(skills).into_iter().fold(builtin, Registry::with);
    Ok(servers.capabilities().fold(with_skills, |registry, server| registry.with(server)))
}

/// The MCP servers of a configuration, still without connections.
fn servers(config: &Config) -> Result<Servers> {
    let reach = Reach::new(None, &config.network.allow_private).map_err(anyhow::Error::msg)?;
    let configured = config.mcp.iter().map(|(name, server)| {
        let settings = server.settings(name).map_err(anyhow::Error::msg);
        Ok((settings.with_context(|| format!("MCP server `{name}`"))?, server.accept_changes))
    });
    Ok(Servers::new(configured.collect::<Result<_>>()?, Egress::new(), reach))
}

/// Says whether these capabilities and tools make an agent; if not, why.
///
/// # Errors
/// What does not fit in the configuration of MCP servers, or in a skill.
pub fn check_tools(config: &Config) -> Result<Box<CheckTools<'static>>> {
    let registry = registry(config, &servers(config)?)?;
    Ok(Box::new(move |capabilities: &[CapabilityRef], tools: &[DeclaredTool]| {
        registry.compose(capabilities, tools).map(drop).map_err(|error| error.to_string())
    }))
}

fn catalog(config: &Config, registry: &Registry) -> Result<Catalog> {
    let check = |capabilities: &[CapabilityRef], tools: &[DeclaredTool]| {
        registry.compose(capabilities, tools).map(drop).map_err(|error| error.to_string())
    };
    Catalog::load(&config.agents, &config.catalog_defaults(&check)).map_err(|faults| Faults(faults).into())
}

fn models(config: &Config) -> Result<Models> {
    let mut models = Models::default().defaulting(config.default_model.clone());
    for (name, provider) in &config.providers {
        let model = model(provider).with_context(|| format!("provider `{name}`"))?;
        models = models.with(name, model);
    }
    Ok(models)
}

/// Providers and models that owners keep, beside those of a configuration.
fn providers(config: &Config) -> Providers {
    let configured = config.providers.iter().map(|(name, provider)| providers::Configured {
        name: name.clone(),
        address: Address {
            kind: match provider.kind {
                ProviderKind::OpenAi => Kind::OpenAi,
                ProviderKind::Scripted => Kind::Scripted,
            },
            base_url: provider.base_url.clone(),
            api_key: provider.api_key.as_ref().map(|key| Secret::new(key.expose())),
        },
    });
    Providers::new(configured.collect(), Box::new(connected), config.network.allow_private.clone())
}

/// Before each word of a model that is only simulated.
const SIMULATED_PAUSE: Duration = Duration::from_millis(15);

/// What speaks to a provider that an owner keeps.
fn connected(address: &Address, guard: Option<Arc<dyn Resolve>>) -> Result<Arc<dyn Model>, String> {
    let bad = |error: &dyn std::fmt::Display| format!("it cannot be set up: {error}");
    Ok(match address.kind {
        Kind::OpenAi => Arc::new(
            OpenAi::new(OpenAiConfig {
                base_url: address.base_url.clone().unwrap_or_default(),
                api_key: address.api_key.clone(),
                headers: Vec::new(),
                patience: Patience::default(),
                resolver: guard.map(Resolver),
            })
            .map_err(|error| bad(&error))?,
        ),
        Kind::Scripted => Arc::new(
            Scripted::new(ScriptedConfig { scripts: None, pause: SIMULATED_PAUSE })
                .map_err(|error| bad(&error))?,
        ),
    })
}

fn model(provider: &ProviderConfig) -> Result<Arc<dyn Model>> {
    Ok(match provider.kind {
        ProviderKind::OpenAi => Arc::new(OpenAi::new(OpenAiConfig {
            base_url: provider.base_url.clone().unwrap_or_default(),
            api_key: provider.api_key.as_ref().map(|key| Secret::new(key.expose())),
            headers: Vec::new(),
            patience: provider.patience(),
            resolver: None,
        })?),
        ProviderKind::Scripted => Arc::new(Scripted::new(ScriptedConfig {
            scripts: provider.scripts.clone(),
            pause: Duration::from_millis(provider.delay_ms.unwrap_or_default()),
        })?),
    })
}
