//! One request on the wire: the headers, the status, and a body that cannot grow without end.
//!
//! The library reads a stream without bounds and logs what it cannot parse. So everything is looked at before it
//! gets there: failures are turned into faults here, and only whole lines that hold sound JSON are let through.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_openai::error::OpenAIError;
use async_openai::middleware::HttpRequestFactory;
use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, DATE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Body, Response};
use serde::de::IgnoredAny;
use serde_json::Value;

use super::clients::Clients;
use super::fault::{Fault, Wait};
use super::wire::Complaint;
use crate::llm::Patience;

/// The most that is read of a failure's body.
const MAX_COMPLAINT_BYTES: usize = 64 * 1024;

/// Longest line of a stream: an event is one line.
const MAX_LINE_BYTES: usize = 4 * 1024 * 1024;

/// The HTTP client of one provider.
#[derive(Debug)]
pub(super) struct Transport {
    pub(super) clients: Clients,
    /// Sent with each request; values that are secret are marked so.
    pub(super) headers: HeaderMap,
    pub(super) patience: Patience,
}

/// Where a fault is left for whoever asked: on its way through the library it would become a mere text.
#[derive(Debug, Clone, Default)]
pub(super) struct FaultSlot(Arc<Mutex<Option<Fault>>>);

impl FaultSlot {
    /// Leaves a fault; the first one stays.
    fn leave(&self, fault: Fault) -> std::io::Error {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(fault);
        std::io::Error::other("the answer is at fault")
    }

    /// Takes what was left.
    pub(super) fn take(&self) -> Option<Fault> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Transport {
    /// Sends one request and hands over the response if it is a stream of events.
    pub(super) async fn send(
        self: Arc<Self>,
        request: HttpRequestFactory,
        slot: FaultSlot,
    ) -> Result<Response, OpenAIError> {
        let mut request = request.build().await?;
        let headers = request.headers_mut();
        // The library always authenticates, if need be with an empty key; ours are the only headers that count.
        headers.remove(AUTHORIZATION);
        headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
        headers.extend(self.headers.clone());
        match self.exchange(request).await {
            Ok(response) => Ok(guarded(response, self.patience.answer_bytes, slot)),
            Err(fault) => Err(OpenAIError::Boxed(Box::new(slot.leave(fault)))),
        }
    }

    async fn exchange(&self, request: reqwest::Request) -> Result<Response, Fault> {
        let http = self.clients.of_this_thread().map_err(|error| Fault::Request(root_cause(&error)))?;
        let response = http.execute(request).await.map_err(|error| self.unreachable(error))?;
        if !response.status().is_success() {
            return Err(complaint(response).await);
        }
        let content_type = response
            .headers()
            .get(CONTENT_TYPE)
            .map_or("no content type", |value| value.to_str().unwrap_or("?"));
        if content_type.to_ascii_lowercase().starts_with("text/event-stream") {
            return Ok(response);
        }
        Err(Fault::NotAStream { content_type: content_type.to_owned() })
    }

    fn unreachable(&self, error: reqwest::Error) -> Fault {
        if error.is_connect() && error.is_timeout() {
            return Fault::Slow(Wait::Connect(self.patience.connect));
        }
        if error.is_builder() {
            return Fault::Request(root_cause(&error));
        }
        Fault::Unreachable(root_cause(&error))
    }
}

/// The innermost cause: the outer ones name the URL, and say less.
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

async fn complaint(response: Response) -> Fault {
    let status = response.status().as_u16();
    let retry_after = retry_after(response.headers());
    let mut body = Vec::new();
    let mut chunks = response.bytes_stream();
    while let Some(Ok(chunk)) = chunks.next().await {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_COMPLAINT_BYTES {
            body.truncate(MAX_COMPLAINT_BYTES);
            break;
        }
    }
    let text = String::from_utf8_lossy(&body);
    let parsed = serde_json::from_str::<Value>(&text).ok();
    let complaint = parsed.as_ref().map(|body| Complaint::read(body.get("error").unwrap_or(body)));
    let quota = complaint.as_ref().is_some_and(Complaint::is_quota);
    let said = complaint.map_or_else(|| text.into_owned(), |complaint| complaint.message);
    Fault::Status { status, said, quota, retry_after }
}

/// Milliseconds, seconds or a date, which is measured from the response's own `Date`: clocks differ.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    if let Some(millis) = text("retry-after-ms").and_then(|text| text.parse::<u64>().ok()) {
        return Some(Duration::from_millis(millis));
    }
    let wish = text(RETRY_AFTER.as_str())?;
    if let Ok(seconds) = wish.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let moment = |text: &str| jiff::fmt::rfc2822::parse(text).ok().map(|date| date.timestamp());
    let pause = moment(wish)?.duration_since(moment(text(DATE.as_str())?)?);
    Some(pause.try_into().unwrap_or(Duration::ZERO))
}

/// The response with its body under guard.
fn guarded(response: Response, cap: usize, slot: FaultSlot) -> Response {
    let (head, body) = http::Response::<Body>::from(response).into_parts();
    let chunks = Response::from(http::Response::new(body)).bytes_stream();
    let guard =
        Guard { chunks: chunks.boxed(), line: Vec::new(), seen: 0, cap, slot, fault: None, over: false };
    Response::from(http::Response::from_parts(head, Body::wrap_stream(guard.lines())))
}

/// Lets whole, sound lines through, up to a number of bytes.
struct Guard {
    chunks: BoxStream<'static, reqwest::Result<Bytes>>,
    line: Vec<u8>,
    seen: usize,
    cap: usize,
    slot: FaultSlot,
    /// Comes after the sound lines that were read together with it.
    fault: Option<Fault>,
    over: bool,
}

impl Guard {
    fn lines(self) -> impl Stream<Item = Result<Vec<u8>, std::io::Error>> + Send + 'static {
        stream::unfold(self, |mut guard| async move {
            let next = guard.next().await?;
            let item = next.map_err(|fault| {
                guard.over = true;
                guard.slot.leave(fault)
            });
            Some((item, guard))
        })
    }

    /// The next lines, or the end.
    async fn next(&mut self) -> Option<Result<Vec<u8>, Fault>> {
        while !self.over {
            if let Some(fault) = self.fault.take() {
                return Some(Err(fault));
            }
            match self.chunks.next().await {
                Some(Ok(chunk)) => match self.take(&chunk) {
                    lines if lines.is_empty() => {}
                    lines => return Some(Ok(lines)),
                },
                Some(Err(error)) => return Some(Err(Fault::BrokenOff(root_cause(&error)))),
                None => {
                    self.over = true;
                    return self.rest().map(Ok);
                }
            }
        }
        None
    }

    /// The sound lines that this chunk completes.
    fn take(&mut self, chunk: &[u8]) -> Vec<u8> {
        self.seen = self.seen.saturating_add(chunk.len());
        if self.seen > self.cap {
            self.fault = Some(Fault::TooLong(self.cap));
            return Vec::new();
        }
        let last = chunk.iter().rposition(|byte| *byte == b'\n');
        let end = last.map_or(0, |last| self.line.len() + last + 1);
        self.line.extend_from_slice(chunk);
        let rest = self.line.split_off(end);
        let lines = std::mem::replace(&mut self.line, rest);
        let mut events = Vec::with_capacity(lines.len());
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            match Line::of(line) {
                Line::Sound => events.extend_from_slice(line),
                Line::Event => events.extend([line, b"\n"].into_iter().flatten()),
                Line::Broken => {
                    self.fault = Some(Fault::BrokenEvent);
                    return events;
                }
            }
        }
        if self.line.len() > MAX_LINE_BYTES {
            self.fault = Some(Fault::TooLong(MAX_LINE_BYTES));
        }
        events
    }

    /// What came after the last line's end: an event if it is whole, and a cut one otherwise, which is dropped, so
    /// that the answer is found to be cut and not to be broken.
    fn rest(&mut self) -> Option<Vec<u8>> {
        let mut rest = std::mem::take(&mut self.line);
        if Line::of(&rest) == Line::Broken {
            return None;
        }
        rest.extend_from_slice(b"\n\n");
        Some(rest)
    }
}

/// What a line of a stream is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    /// Nothing that matters here.
    Sound,
    /// An event of its own: some servers forget the empty line between two.
    Event,
    /// Data that is no JSON object.
    Broken,
}

impl Line {
    fn of(line: &[u8]) -> Self {
        let Ok(line) = std::str::from_utf8(line) else { return Self::Broken };
        let Some(data) = line.trim_start_matches('\u{feff}').strip_prefix("data:") else {
            return Self::Sound;
        };
        let data = data.trim();
        let object = || data.starts_with('{') && serde_json::from_str::<IgnoredAny>(data).is_ok();
        match data {
            "" => Self::Sound,
            "[DONE]" => Self::Event,
            _ if object() => Self::Event,
            _ => Self::Broken,
        }
    }
}
