//! A server and the one connection to it that everybody shares: made when it is needed, made again when it is lost.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Mutex as AsyncMutex;
use tokio::time::{Instant, sleep_until, timeout};

use super::connection::{CallError, Connection};
use super::offer::{Listed, listed};
use super::{Settings, answer};
use crate::capability::egress::Egress;
use crate::domain::Object;
use crate::domain::tool::{Effect, ToolResult, Verdict};

/// How long a run waits to hear which tools a server has.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long a server may take to start, shake hands and list its tools.
const START: Duration = Duration::from_secs(30);

/// How long a list of tools is taken for granted.
const FRESH: Duration = Duration::from_secs(300);

/// A connection that ends sooner than this counts as one that failed.
const SETTLED: Duration = Duration::from_secs(30);

/// Longest pause between two tries.
const MAX_PAUSE: Duration = Duration::from_secs(60);

/// A server, and the connection to it.
pub struct Server {
    settings: Settings,
    egress: Egress,
    link: AsyncMutex<Link>,
    standing: Mutex<Standing>,
}

/// How it is going with a server.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Standing {
    /// Nobody has asked for it yet.
    #[default]
    New,
    /// It answers; these are the names of its tools and what they look like.
    Connected(Vec<(String, String)>),
    /// It does not; why.
    Unreachable(String),
}

/// What is known of the connection.
#[derive(Default)]
struct Link {
    ready: Option<Arc<Ready>>,
    failures: u32,
    not_before: Option<Instant>,
}

/// A connection and what is offered through it.
struct Ready {
    connection: Arc<Connection>,
    tools: Arc<Vec<Listed>>,
    connected: Instant,
    listed: Instant,
}

impl Server {
    /// A server nobody has spoken to yet.
    pub fn new(settings: Settings, egress: Egress) -> Arc<Self> {
        Arc::new(Self { settings, egress, link: AsyncMutex::default(), standing: Mutex::default() })
    }

    /// Who it is.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// How it is going.
    pub fn standing(&self) -> Standing {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Connects in the background, so that the first run need not wait.
    pub fn warm(self: &Arc<Self>) {
        tokio::spawn(self.clone().made_ready());
    }

    /// Its tools; `None` if it cannot say soon. The try goes on for whoever asks next.
    pub(super) async fn tools(self: &Arc<Self>) -> Option<Arc<Vec<Listed>>> {
        let server = &self.settings.name;
        match timeout(PATIENCE, self.ready()).await {
            Ok(Ok(ready)) => Some(ready.tools.clone()),
            Ok(Err(reason)) => {
                tracing::warn!(server, "the MCP server offers no tools now: {reason}");
                None
            }
            Err(_) => {
                tracing::warn!(server, "the MCP server offers no tools yet: it is still starting");
                None
            }
        }
    }

    /// Calls a tool, for a model that `sees` pictures or does not. A server that is lost is connected to anew; what may
    /// be done twice is then asked for again.
    pub(super) async fn call(
        self: &Arc<Self>,
        tool: &str,
        arguments: &Object,
        (effect, sees): (Effect, bool),
    ) -> ToolResult {
        let name = &self.settings.name;
        let mut again = true;
        loop {
            let ready = match self.ready().await {
                Ok(ready) => ready,
                Err(reason) => {
                    return ToolResult::failed(format!(
                        "The MCP server `{name}` cannot be reached: {reason}."
                    ));
                }
            };
            let lost = match ready.connection.call(tool, arguments.clone()).await {
                Ok(result) => return answer::result(result, sees),
                Err(CallError::Refused(reason)) => {
                    return ToolResult::failed(format!("The MCP server `{name}` refused the call: {reason}"));
                }
                Err(lost) => lost,
            };
            self.lose(&ready).await;
            let may_repeat = effect != Effect::Once || matches!(lost, CallError::NotSent);
            if again && may_repeat {
                again = false;
                continue;
            }
            let text = format!("The MCP server `{name}` was lost in the middle of the call.");
            return match effect {
                Effect::Once if matches!(lost, CallError::Lost) => ToolResult::new(
                    Verdict::InDoubt,
                    format!("{text} It is not known whether `{tool}` was carried out."),
                ),
                Effect::Once | Effect::Pure | Effect::Idempotent => ToolResult::failed(text),
            };
        }
    }

    /// A connection, whoever waits for it may go: it is made all the same.
    async fn ready(self: &Arc<Self>) -> Result<Arc<Ready>, String> {
        let made = tokio::spawn(self.clone().made_ready()).await;
        made.unwrap_or_else(|_| Err("the connection could not be made".into()))
    }

    async fn made_ready(self: Arc<Self>) -> Result<Arc<Ready>, String> {
        let mut link = self.link.lock().await;
        let known = link.ready.take();
        if let Some(ready) = &known
            && ready.connection.is_open()
            && !ready.connection.take_changed()
            && ready.listed.elapsed() < FRESH
        {
            link.ready.clone_from(&known);
            return Ok(ready.clone());
        }
        let open = match known {
            Some(ready) if ready.connection.is_open() => Some(ready),
            Some(ready) => {
                link.failed(ready.connected);
                None
            }
            None => None,
        };
        link.wait(&self.standing()).await?;
        let made = timeout(START, self.make(open)).await;
        let made = made.unwrap_or_else(|_| Err(format!("it did not start within {START:?}")));
        self.stand(&made);
        match made {
            Ok(ready) => {
                link.ready = Some(Arc::new(ready));
                link.ready.clone().ok_or_else(String::new)
            }
            Err(reason) => {
                link.failed(Instant::now());
                Err(reason)
            }
        }
    }

    /// Lists its tools, through the connection there is or a new one.
    async fn make(&self, open: Option<Arc<Ready>>) -> Result<Ready, String> {
        let (connection, connected) = match open {
            Some(ready) => (ready.connection.clone(), ready.connected),
            None => {
                let connection = Connection::open(&self.settings.route, &self.egress).await?;
                (Arc::new(connection), Instant::now())
            }
        };
        let Settings { name, deadline, .. } = &self.settings;
        let tools = connection.list().await?;
        let tools = Arc::new(tools.iter().filter_map(|tool| listed(name, *deadline, tool)).collect());
        Ok(Ready { connection, tools, connected, listed: Instant::now() })
    }

    fn stand(&self, made: &Result<Ready, String>) {
        let standing = match made {
            Ok(ready) => Standing::Connected(
                ready.tools.iter().map(|tool| (tool.original.clone(), tool.print.clone())).collect(),
            ),
            Err(reason) => Standing::Unreachable(reason.clone()),
        };
        *self.standing.lock().unwrap_or_else(PoisonError::into_inner) = standing;
    }

    /// Does without a connection from now on, unless somebody has made another already.
    async fn lose(&self, lost: &Arc<Ready>) {
        let mut link = self.link.lock().await;
        if link.ready.as_ref().is_some_and(|ready| Arc::ptr_eq(&ready.connection, &lost.connection)) {
            link.ready = None;
            link.failed(lost.connected);
        }
    }
}

impl Link {
    /// Notes that a connection which was made then is gone, or was never made.
    fn failed(&mut self, since: Instant) {
        if since.elapsed() >= SETTLED {
            self.failures = 0;
        }
        self.failures = self.failures.saturating_add(1);
        // The first is taken for an accident.
        let pause = Duration::from_millis(100).saturating_mul(1 << self.failures.saturating_sub(1).min(10));
        self.not_before = Some(Instant::now() + pause.min(MAX_PAUSE));
    }

    /// Lets a pause between tries pass, if it is short.
    async fn wait(&self, standing: &Standing) -> Result<(), String> {
        let Some(then) = self.not_before else { return Ok(()) };
        if then > Instant::now() + PATIENCE {
            return Err(match standing {
                Standing::Unreachable(reason) => format!("{reason}; it is tried again soon"),
                Standing::New | Standing::Connected(_) => {
                    "it ended again and again; it is tried again soon".into()
                }
            });
        }
        sleep_until(then).await;
        Ok(())
    }
}
