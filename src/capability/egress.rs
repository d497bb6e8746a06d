//! The only HTTP client tools may use.
//!
//! What a URL leads to is checked where the connection is made: the client's resolver gives out checked
//! addresses only, so a name cannot lead elsewhere between check and use. Redirects are followed here, each
//! one checked like the first URL. No cookies, no proxies, no compression.

mod address;
mod reach;

use std::collections::HashMap;
use std::error::Error as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{CONTENT_DISPOSITION, CONTENT_TYPE, HeaderMap, LAST_MODIFIED, LOCATION};
use reqwest::{Client, Method, Url, redirect};
use tokio::time::{Instant, timeout, timeout_at};

pub use reach::Reach;

use crate::domain::tool::MAX_RESULT_BYTES;
use reach::Passage;

/// To connect, TLS included.
const CONNECT: Duration = Duration::from_secs(5);
/// Redirects followed.
const MAX_REDIRECTS: usize = 5;
/// Clients kept; each is a few kilobytes and its idle connections.
const MAX_CLIENTS: usize = 64;

/// A request to somewhere outside.
#[derive(Debug, Clone)]
pub struct Request {
    /// As in `GET`.
    pub method: Method,
    /// Where to.
    pub url: Url,
    /// Sent to this origin only: a redirect to another one goes without any of them.
    pub headers: HeaderMap,
    /// What is sent along.
    pub body: Option<Bytes>,
}

impl Request {
    /// A plain GET.
    pub fn get(url: Url) -> Self {
        Self { method: Method::GET, url, headers: HeaderMap::new(), body: None }
    }
}

/// How long and how much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// From the first look-up to the last byte, redirects included.
    pub deadline: Duration,
    /// Bytes of the answer's body that are kept.
    pub body_bytes: usize,
    /// From each request, where it led included, to the head of its answer; no more than the deadline anyway.
    pub head: Duration,
    /// Whether a body that is not whole by then is cut there, and no error.
    pub cut_late: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(30),
            body_bytes: MAX_RESULT_BYTES,
            head: Duration::MAX,
            cut_late: false,
        }
    }
}

/// What came back; any status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// Where the answer came from, after redirects.
    pub url: Url,
    /// As in `200`.
    pub status: u16,
    /// As the server says.
    pub content_type: Option<String>,
    /// When the server says it was last changed.
    pub last_modified: Option<String>,
    /// The name to keep it under, as the server says.
    pub filename: Option<String>,
    /// As much as [`Limits::body_bytes`] allows.
    pub body: Bytes,
    /// Whether there was more.
    pub cut: bool,
    /// Whether the rest did not come in time.
    pub late: bool,
}

/// Why nothing came back: sentences a model may read, without addresses, headers or bodies.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EgressError {
    /// `file:`, `ftp:`, …
    #[error("only http and https URLs can be requested")]
    Scheme,
    /// `user:password@`.
    #[error("the URL must not hold a user name or password")]
    Credentials,
    /// The tool is confined to other hosts.
    #[error("`{0}` is not among the hosts this tool may reach")]
    NotListed(String),
    /// Not public, and not opened for the tool.
    #[error("`{host}` leads to a {class} address, which this tool may not reach")]
    Barred {
        /// As in the URL.
        host: String,
        /// As in `loopback`.
        class: &'static str,
    },
    /// No such name, as far as we can see.
    #[error("the name `{0}` could not be resolved")]
    Unresolved(String),
    /// Nobody answers there, or TLS failed.
    #[error("no connection to `{0}` could be made")]
    Unreachable(String),
    /// It ended in the middle, or was no HTTP.
    #[error("the connection to `{0}` broke")]
    Broken(String),
    /// Nothing at all in time.
    #[error("`{host}` did not begin to answer within {after:?}")]
    Silent {
        /// As in the URL.
        host: String,
        /// So long.
        after: Duration,
    },
    /// Too slow.
    #[error("no complete answer within {0:?}")]
    TimedOut(Duration),
    /// Round in circles, perhaps.
    #[error("more than {MAX_REDIRECTS} redirects")]
    TooManyRedirects,
    /// To nowhere.
    #[error("`{0}` redirects to something that is no URL")]
    BadRedirect(String),
    /// What changes something was meant for the first host.
    #[error("`{from}` redirects to `{to}`, but a {method} is not sent on to another host")]
    NotSentOn {
        /// Asked.
        from: String,
        /// Named by it.
        to: String,
        /// As in `POST`.
        method: Method,
    },
    /// The system gave us no TLS.
    #[error("the HTTP client could not be set up")]
    Setup,
}

/// The client. Cheap to make and to clone: connections and TLS roots come with the first request.
#[derive(Clone, Default)]
pub struct Egress {
    clients: Arc<Mutex<HashMap<Passage, Client>>>,
}

impl Egress {
    /// A client that has not connected to anything yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sends a request, and follows where it leads as far as `reach` allows.
    ///
    /// # Errors
    /// No answer, or none that may be had; an answer with an error status is a [`Response`].
    pub async fn send(
        &self,
        request: Request,
        reach: &Reach,
        limits: Limits,
    ) -> Result<Response, EgressError> {
        let end = Instant::now() + limits.deadline;
        let late = |_| EgressError::TimedOut(limits.deadline);
        let answer = timeout_at(end, self.follow(request, reach, limits.head)).await.map_err(late)??;
        collect(answer, limits, end).await
    }

    /// The resolver of a client for this URL and no other: it gives out only addresses that may be connected to.
    ///
    /// # Errors
    /// The URL may not be asked for.
    pub fn resolver(url: &Url, reach: &Reach) -> Result<Arc<dyn Resolve>, EgressError> {
        Ok(Arc::new(Guard(reach.passage(url)?)))
    }

    /// A client for this URL and no other, for a protocol that speaks HTTP itself. It follows no redirect, and has no
    /// deadlines of its own but one to connect.
    ///
    /// # Errors
    /// The URL may not be asked for.
    pub(super) async fn client_for(&self, url: &Url, reach: &Reach) -> Result<Client, EgressError> {
        self.client(reach.passage(url)?).await
    }

    async fn follow(
        &self,
        mut request: Request,
        reach: &Reach,
        head: Duration,
    ) -> Result<reqwest::Response, EgressError> {
        for _ in 0..=MAX_REDIRECTS {
            let response = self.hop(&request, reach, head).await?;
            match redirected(&request, &response)? {
                Some(next) => request = next,
                None => return Ok(response),
            }
        }
        Err(EgressError::TooManyRedirects)
    }

    async fn hop(
        &self,
        request: &Request,
        reach: &Reach,
        head: Duration,
    ) -> Result<reqwest::Response, EgressError> {
        let passage = reach.passage(&request.url)?;
        let client = self.client(passage).await?;
        let mut sent =
            client.request(request.method.clone(), request.url.clone()).headers(request.headers.clone());
        if let Some(body) = &request.body {
            sent = sent.body(body.clone());
        }
        let silent = |_| EgressError::Silent { host: host_of(&request.url), after: head };
        let answer = timeout(head, sent.send()).await.map_err(silent)?;
        answer.map_err(|error| explain(&error, &request.url))
    }

    /// The client for a passage. Building one reads the system's TLS roots, so it is kept, and built off the
    /// threads that serve others.
    async fn client(&self, passage: Passage) -> Result<Client, EgressError> {
        let kept = self.clients.lock().unwrap_or_else(PoisonError::into_inner).get(&passage).cloned();
        if let Some(client) = kept {
            return Ok(client);
        }
        let guard = Guard(passage.clone());
        let built = tokio::task::spawn_blocking(move || build(guard)).await;
        let client = built.map_err(|_| EgressError::Setup)?.map_err(|_| EgressError::Setup)?;
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if clients.len() >= MAX_CLIENTS {
            clients.clear();
        }
        clients.insert(passage, client.clone());
        Ok(client)
    }
}

fn build(guard: Guard) -> Result<Client, reqwest::Error> {
    Client::builder()
        .user_agent(concat!("runhold/", env!("CARGO_PKG_VERSION")))
        .no_proxy()
        .redirect(redirect::Policy::none())
        .connect_timeout(CONNECT)
        .dns_resolver(guard)
        .build()
}

/// The resolver: gives out only addresses its passage leads to.
struct Guard(Passage);

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let passage = self.0.clone();
        Box::pin(async move {
            let host = name.as_str();
            let found = tokio::net::lookup_host((host, 0)).await;
            let found: Vec<SocketAddr> = found.map_err(|_| EgressError::Unresolved(host.into()))?.collect();
            let mut barred = None;
            let mut open = Vec::with_capacity(found.len());
            for address in found {
                match passage.bars(address.ip()) {
                    Some(class) => barred = Some(class),
                    None => open.push(address),
                }
            }
            match (open.is_empty(), barred) {
                (false, _) => Ok(Box::new(open.into_iter()) as Addrs),
                (true, Some(class)) => Err(EgressError::Barred { host: host.into(), class }.into()),
                (true, None) => Err(EgressError::Unresolved(host.into()).into()),
            }
        })
    }
}

/// Our own reason if the resolver gave one; else as much as is fit to be told.
fn explain(error: &reqwest::Error, url: &Url) -> EgressError {
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(ours) = cause.downcast_ref::<EgressError>() {
            return ours.clone();
        }
        source = cause.source();
    }
    let host = host_of(url);
    if error.is_connect() { EgressError::Unreachable(host) } else { EgressError::Broken(host) }
}

fn host_of(url: &Url) -> String {
    url.host_str().unwrap_or_default().to_owned()
}

/// The request a redirect asks for, if the answer is one.
fn redirected(request: &Request, response: &reqwest::Response) -> Result<Option<Request>, EgressError> {
    let status = response.status().as_u16();
    let location = response.headers().get(LOCATION);
    let (301 | 302 | 303 | 307 | 308, Some(location)) = (status, location) else { return Ok(None) };
    let from = || host_of(&request.url);
    let location = std::str::from_utf8(location.as_bytes()).map_err(|_| EgressError::BadRedirect(from()))?;
    let url = request.url.join(location).map_err(|_| EgressError::BadRedirect(from()))?;

    let mut next = Request { url, ..request.clone() };
    let becomes_get = match status {
        303 => next.method != Method::HEAD,
        301 | 302 => next.method == Method::POST,
        _ => false,
    };
    if becomes_get {
        next.method = Method::GET;
        next.body = None;
        next.headers.remove(CONTENT_TYPE);
    }
    if next.url.origin() != request.url.origin() {
        if !matches!(next.method, Method::GET | Method::HEAD) {
            let to = host_of(&next.url);
            return Err(EgressError::NotSentOn { from: from(), to, method: next.method });
        }
        next.headers.clear();
    }
    Ok(Some(next))
}

async fn collect(
    mut response: reqwest::Response,
    limits: Limits,
    end: Instant,
) -> Result<Response, EgressError> {
    let url = response.url().clone();
    let status = response.status().as_u16();
    let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let content_type = header(CONTENT_TYPE);
    let last_modified = header(LAST_MODIFIED);
    let filename = header(CONTENT_DISPOSITION).as_deref().and_then(filename);
    let mut body = Vec::new();
    let (mut cut, mut late) = (false, false);
    loop {
        let chunk = match timeout_at(end, response.chunk()).await {
            Ok(chunk) => chunk.map_err(|error| explain(&error, &url))?,
            Err(_) if limits.cut_late => {
                (cut, late) = (true, true);
                break;
            }
            Err(_) => return Err(EgressError::TimedOut(limits.deadline)),
        };
        let Some(chunk) = chunk else { break };
        let room = limits.body_bytes - body.len();
        body.extend_from_slice(chunk.get(..room).unwrap_or(&chunk));
        if chunk.len() > room {
            cut = true;
            break;
        }
    }
    Ok(Response { url, status, content_type, last_modified, filename, body: body.into(), cut, late })
}

/// The name in a `Content-Disposition`, without any folder.
fn filename(disposition: &str) -> Option<String> {
    let (_, rest) = disposition.split_once("filename=")?;
    let name = match rest.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next()?,
        None => rest.split(';').next()?.trim(),
    };
    let name = name.rsplit(['/', '\\']).next()?;
    (!name.is_empty()).then(|| name.to_owned())
}
