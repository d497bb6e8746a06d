//! One connection to a server: made, listed, called.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use reqwest::header::{HeaderName, HeaderValue};
use rmcp::model::{
    CallToolRequestParams, CallToolResult, ClientCapabilities, ClientConfig, Implementation,
    PaginatedRequestParams, Tool,
};
use rmcp::service::{
    ClientCacheConfig, NotificationContext, RoleClient, RunningService, ServiceError, serve_client_with_ct,
};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::async_rw::AsyncRwTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::{ClientHandler, ErrorData};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::http::Http;
use super::{Route, program};
use crate::capability::egress::{Egress, EgressError};
use crate::domain::Object;

/// Largest message that is read, in bytes.
const MAX_MESSAGE: usize = 16 * 1024 * 1024;

/// Pages of a list of tools that are read.
const MAX_PAGES: usize = 20;

/// Tools of one server that are looked at.
pub(super) const MAX_TOOLS: usize = 256;

/// A server that shook hands.
pub(super) struct Connection {
    service: RunningService<RoleClient, Listener>,
    changed: Arc<AtomicBool>,
    _end: DropGuard,
}

/// Why a call has no result.
pub(super) enum CallError {
    /// The server says no: its own words.
    Refused(String),
    /// It was never sent.
    NotSent,
    /// It was sent, and nobody knows.
    Lost,
}

impl Connection {
    /// Makes one.
    pub(super) async fn open(route: &Route, egress: &Egress) -> Result<Self, String> {
        let end = CancellationToken::new();
        let guard = end.clone().drop_guard();
        let changed = Arc::new(AtomicBool::new(false));
        let listener = Listener { changed: changed.clone() };
        let service = match route {
            Route::Program { command, directory, environment } => {
                let (stdout, stdin) = program::start(command, directory, environment, end.clone())?;
                let transport = AsyncRwTransport::new_client(stdout, stdin).with_max_line_length(MAX_MESSAGE);
                serve_client_with_ct(listener, transport, end).await
            }
            Route::Http { url, headers, reach } => {
                let client = egress.client_for(url, reach).await.map_err(|error| error.to_string())?;
                let headers = headers.iter().map(|(name, value)| (name.clone(), value.clone()));
                let config = StreamableHttpClientTransportConfig::with_uri(url.as_str())
                    .custom_headers(headers.collect::<std::collections::HashMap<HeaderName, HeaderValue>>())
                    .max_sse_event_size(MAX_MESSAGE)
                    .max_json_response_size(MAX_MESSAGE)
                    .max_error_response_size(1024);
                let transport = StreamableHttpClientTransport::with_client(Http(client), config);
                serve_client_with_ct(listener, transport, end).await
            }
        };
        let service = service.map_err(|error| {
            tracing::debug!("an MCP server did not shake hands: {error}");
            told(&error).unwrap_or_else(|| "it did not answer as an MCP server does".into())
        })?;
        service.peer().set_response_cache_config(ClientCacheConfig::disabled()).await;
        Ok(Self { service, changed, _end: guard })
    }

    /// Whether it can still be used, as far as is known.
    pub(super) fn is_open(&self) -> bool {
        !self.service.peer().is_transport_closed()
    }

    /// Whether the server has said since the last time that its tools are others now.
    pub(super) fn take_changed(&self) -> bool {
        self.changed.swap(false, Ordering::Relaxed)
    }

    /// What it offers.
    pub(super) async fn list(&self) -> Result<Vec<Tool>, String> {
        let mut tools = Vec::new();
        let mut cursor = None;
        for _ in 0..MAX_PAGES {
            let page =
                cursor.take().map(|cursor| PaginatedRequestParams::default().with_cursor(Some(cursor)));
            let page = self.service.peer().list_tools(page).await.map_err(|error| {
                tracing::debug!("an MCP server did not list its tools: {error}");
                "it did not list its tools".to_owned()
            })?;
            tools.extend(page.tools);
            cursor = page.next_cursor;
            if cursor.is_none() || tools.len() >= MAX_TOOLS {
                break;
            }
        }
        tools.truncate(MAX_TOOLS);
        Ok(tools)
    }

    /// Calls a tool. Dropped, it tells the server that nobody waits any more.
    pub(super) async fn call(&self, tool: &str, arguments: Object) -> Result<CallToolResult, CallError> {
        let order = CallToolRequestParams::new(tool.to_owned()).with_arguments(arguments);
        self.service.peer().call_tool(order).await.map_err(|error| {
            if let ServiceError::McpError(ErrorData { message, .. }) = error {
                return CallError::Refused(message.into_owned());
            }
            if matches!(error, ServiceError::UnexpectedResponse) {
                return CallError::Refused("it answered with something that is no result".into());
            }
            tracing::debug!("a call of an MCP server has no result: {error}");
            if was_never_sent(&error) { CallError::NotSent } else { CallError::Lost }
        })
    }
}

/// Our own reason in an error's chain of causes, fit to be told.
fn told(error: &(dyn Error + 'static)) -> Option<String> {
    causes(error).find_map(|cause| cause.downcast_ref::<EgressError>()).map(ToString::to_string)
}

/// Whether not even a connection was made.
fn was_never_sent(error: &(dyn Error + 'static)) -> bool {
    causes(error).any(|cause| cause.downcast_ref::<reqwest::Error>().is_some_and(reqwest::Error::is_connect))
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| {
        let error: &'a (dyn Error + 'static) = *error;
        error.source()
    })
}

/// Hears what a server says unasked. It may ask us for nothing: no files, no models, no people.
struct Listener {
    changed: Arc<AtomicBool>,
}

impl ClientHandler for Listener {
    async fn on_tool_list_changed(&self, _: NotificationContext<RoleClient>) {
        self.changed.store(true, Ordering::Relaxed);
    }

    fn get_info(&self) -> ClientConfig {
        let ours = Implementation::new("runhold", env!("CARGO_PKG_VERSION"));
        ClientConfig::new(ClientCapabilities::default(), ours)
    }
}
