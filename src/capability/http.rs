//! Declared HTTP tools: a request made from a template and the model's arguments.
//!
//! The model fills in values and never shapes the request: the host is fixed by the template, a value cannot
//! leave its place in the path or query, and what headers take from the environment is told to nobody.

use std::sync::Arc;

use async_trait::async_trait;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Url};
use serde_json::Value;

use super::egress::{Egress, Limits, Reach, Request, Response};
use super::{Invocation, Tool};
use crate::domain::Object;
use crate::domain::tool::{MAX_RESULT_BYTES, ToolResult, ToolSpec};

/// What the server is told so that it can know a repeated call.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Headers that are ours to set.
const RESERVED: [&str; 6] =
    ["host", "content-length", "transfer-encoding", "connection", "upgrade", "idempotency-key"];
/// What is kept of a body, in bytes: a result's size, less a line about the status.
const MAX_BODY: usize = MAX_RESULT_BYTES - 256;
/// Shorter values of variables are not taken for secrets: hiding each `1` would garble every answer.
const MIN_SECRET: usize = 4;

/// Where variables in header values are looked up.
#[derive(Clone)]
pub struct Environment(Arc<LookUp>);

type LookUp = dyn Fn(&str) -> Option<String> + Send + Sync;

impl Environment {
    /// The process's own.
    pub fn of_process() -> Self {
        Self::new(|name| std::env::var(name).ok())
    }

    /// Any other.
    pub fn new(look_up: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(look_up))
    }
}

/// A declaration, checked; still without a way to the network.
pub(super) struct HttpTool {
    spec: ToolSpec,
    method: Method,
    url: UrlTemplate,
    headers: Vec<(HeaderName, Vec<Part>)>,
    reach: Reach,
}

impl HttpTool {
    /// Checks a declaration.
    pub(super) fn new(
        spec: ToolSpec,
        method: &str,
        url: &str,
        headers: &[(String, String)],
        allow_private: &[String],
    ) -> Result<Self, String> {
        let method = method.to_ascii_uppercase();
        let method = match method.as_str() {
            "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE" => Method::from_bytes(method.as_bytes()),
            _ => return Err(format!("`{method}` is no method of HTTP that tools can use")),
        };
        let headers = headers.iter().map(|(name, value)| header(name, value)).collect::<Result<_, _>>()?;
        let reach = Reach::new(None, allow_private).map_err(|reason| format!("allow_private: {reason}"))?;
        Ok(Self {
            method: method.map_err(|_| "the method is not one of HTTP")?,
            url: UrlTemplate::parse(url, &spec.parameters, &reach)?,
            headers,
            reach,
            spec,
        })
    }

    /// A tool that can be called.
    pub(super) fn through(self, egress: Egress, environment: Environment) -> impl Tool {
        Connected { tool: self, egress, environment }
    }

    /// The request for a call, and the secrets in it.
    fn request(
        &self,
        call: &Invocation<'_>,
        environment: &Environment,
    ) -> Result<(Request, Vec<String>), String> {
        let mut secrets = Vec::new();
        let mut headers = HeaderMap::new();
        let bytes = serde_json::to_vec(&self.url.rest(call.arguments)).map_err(|error| error.to_string())?;
        let has_body = matches!(self.method, Method::POST | Method::PUT | Method::PATCH);
        if has_body {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        for (name, parts) in &self.headers {
            let text = fill(parts, environment, &mut secrets)?;
            let mut value = HeaderValue::from_str(&text)
                .map_err(|_| format!("the value of header `{name}` holds characters a header cannot hold"))?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        let key = HeaderValue::from_bytes(call.key.as_bytes());
        headers.insert(IDEMPOTENCY_KEY, key.map_err(|_| "the call's key fits no header")?);
        let url = self.url.fill(call.arguments, !has_body)?;
        let request =
            Request { method: self.method.clone(), url, headers, body: has_body.then(|| bytes.into()) };
        Ok((request, secrets))
    }
}

struct Connected {
    tool: HttpTool,
    egress: Egress,
    environment: Environment,
}

#[async_trait]
impl Tool for Connected {
    fn spec(&self) -> &ToolSpec {
        &self.tool.spec
    }

    async fn call(&self, call: Invocation<'_>) -> ToolResult {
        let (request, secrets) = match self.tool.request(&call, &self.environment) {
            Ok(request) => request,
            Err(reason) => return ToolResult::failed(reason),
        };
        let limits = Limits { deadline: self.tool.spec.timeout, body_bytes: MAX_BODY, ..Limits::default() };
        match self.egress.send(request, &self.tool.reach, limits).await {
            Ok(response) => result(&response, &secrets),
            Err(error) => ToolResult::failed(redacted(error.to_string(), &secrets)),
        }
    }
}

fn result(response: &Response, secrets: &[String]) -> ToolResult {
    let mut body = redacted(String::from_utf8_lossy(&response.body).into_owned(), secrets);
    if response.cut {
        // The cut may have gone through a secret.
        body.truncate(body.len() - secrets.iter().map(|secret| begun(&body, secret)).max().unwrap_or(0));
    }
    let cut = if response.cut { "\n[cut: the answer is longer]" } else { "" };
    match response.status {
        status @ 400.. => ToolResult::failed(format!("HTTP {status}\n{body}{cut}")),
        status if body.is_empty() => ToolResult::done(format!("HTTP {status}, no content")),
        _ => ToolResult::done(format!("{body}{cut}")),
    }
}

fn redacted(text: String, secrets: &[String]) -> String {
    secrets.iter().fold(text, |text, secret| text.replace(secret.as_str(), "***"))
}

/// How many bytes at the end of a text are the beginning of a secret.
fn begun(text: &str, secret: &str) -> usize {
    let starts = secret.char_indices().map(|(at, _)| at).rev();
    starts.filter_map(|at| secret.get(..at)).find(|start| text.ends_with(start)).map_or(0, str::len)
}

/// A piece of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Name(String),
}

/// Cuts a template at its names; `open` and `close` surround one.
fn parts(template: &str, open: &str, close: char) -> Result<Vec<Part>, String> {
    let mut parts = Vec::new();
    let mut rest = template;
    while let Some((text, after)) = rest.split_once(open) {
        let (name, after) =
            after.split_once(close).ok_or_else(|| format!("a `{open}` is never closed by `{close}`"))?;
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        if name.is_empty() || !name.chars().all(fits) {
            return Err(format!("between `{open}` and `{close}` must be a name"));
        }
        parts.push(Part::Text(text.into()));
        parts.push(Part::Name(name.into()));
        rest = after;
    }
    parts.push(Part::Text(rest.into()));
    Ok(parts)
}

fn header(name: &str, value: &str) -> Result<(HeaderName, Vec<Part>), String> {
    let parsed =
        HeaderName::from_bytes(name.as_bytes()).map_err(|_| format!("`{name}` is no name of a header"))?;
    if RESERVED.contains(&parsed.as_str()) {
        return Err(format!("the header `{name}` is set by the server"));
    }
    let parts = parts(value, "${", '}').map_err(|reason| format!("header `{name}`: {reason}"))?;
    Ok((parsed, parts))
}

/// The value of a header. What variables held is added to the secrets.
fn fill(parts: &[Part], environment: &Environment, secrets: &mut Vec<String>) -> Result<String, String> {
    let mut text = String::new();
    for part in parts {
        match part {
            Part::Text(plain) => text.push_str(plain),
            Part::Name(name) => {
                let value = (environment.0)(name)
                    .ok_or_else(|| format!("the environment variable `{name}` is not set"))?;
                text.push_str(&value);
                if value.len() >= MIN_SECRET {
                    secrets.push(value);
                }
            }
        }
    }
    Ok(text)
}

/// `https://example.org/{city}?units={units}`.
struct UrlTemplate {
    parts: Vec<Part>,
}

impl UrlTemplate {
    /// Names may stand in the path and the query, and must be parameters.
    fn parse(template: &str, parameters: &Value, reach: &Reach) -> Result<Self, String> {
        let parts = parts(template, "{", '}').map_err(|reason| format!("url: {reason}"))?;
        let origin_ends = template
            .find("://")
            .and_then(|scheme| template.get(scheme + 3..)?.find(['/', '?', '#']).map(|end| scheme + 3 + end))
            .unwrap_or(template.len());
        if template.find('{').is_some_and(|name| name < origin_ends) {
            return Err("url: names may stand in the path and the query only".into());
        }
        let properties = parameters.get("properties").and_then(Value::as_object);
        let mut plain = String::new();
        for part in &parts {
            match part {
                Part::Text(text) => plain.push_str(text),
                Part::Name(name) if properties.is_some_and(|known| known.contains_key(name)) => {
                    plain.push('x');
                }
                Part::Name(name) => return Err(format!("url: `{name}` is not among the parameters")),
            }
        }
        let url = Url::parse(&plain).map_err(|error| format!("url: {error}"))?;
        reach.check(&url).map_err(|error| format!("url: {error}"))?;
        Ok(Self { parts })
    }

    fn names(&self, name: &str) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Name(own) if own == name))
    }

    /// Arguments that have no place in the template.
    fn rest(&self, arguments: &Object) -> Object {
        let rest = arguments.iter().filter(|(name, _)| !self.names(name));
        rest.map(|(name, value)| (name.clone(), value.clone())).collect()
    }

    /// The URL for these arguments; with the rest of them in the query, if they go nowhere else.
    fn fill(&self, arguments: &Object, rest_in_query: bool) -> Result<Url, String> {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Text(plain) => text.push_str(plain),
                Part::Name(name) => {
                    let value = arguments.get(name).map(plain_text).unwrap_or_default();
                    // An empty value, `.` or `..` would make another path of it: `DELETE /notes/`.
                    if !text.contains('?') && matches!(value.trim_matches('.'), "") {
                        return Err(format!("the argument `{name}` must hold more than dots"));
                    }
                    text.push_str(&encoded(&value));
                }
            }
        }
        let mut url = Url::parse(&text).map_err(|_| "the arguments make no URL".to_owned())?;
        if rest_in_query {
            let pairs: Vec<String> =
                self.rest(arguments).iter().flat_map(|(name, value)| pairs(name, value)).collect();
            let own = url.query().filter(|query| !query.is_empty()).map(str::to_owned);
            let query: Vec<String> = own.into_iter().chain(pairs).collect();
            url.set_query((!query.is_empty()).then(|| query.join("&")).as_deref());
        }
        Ok(url)
    }
}

/// `name=value`, for a list once for each.
fn pairs(name: &str, value: &Value) -> Vec<String> {
    let pair = |value: &Value| format!("{}={}", encoded(name), encoded(&plain_text(value)));
    match value {
        Value::Array(values) => values.iter().map(pair).collect(),
        Value::Null => Vec::new(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => vec![pair(value)],
    }
}

fn plain_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

/// Percent-encodes all but the unreserved characters of RFC 3986: safe in a path and in a query.
fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}
