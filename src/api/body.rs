//! Bodies and queries, read by extractors that name the bad field.
//!
//! A request type says what it wants of [`Fields`], name by name, and every field that is wrong is collected,
//! so that a client sees all of them at once, each with its place and what was sent.

use std::future::{Ready, ready};
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use actix_web::web::Data;
use actix_web::{FromRequest, HttpRequest};
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use futures::future::LocalBoxFuture;
use serde_json::Value;

use super::ApiState;
use super::fields::{Fields, FromFields, Place};
use super::form::MAX_MULTIPART_BYTES;
use super::once::Noting;
use super::problem::{Problem, Violation};
use crate::domain::Object;

/// Largest JSON body where nothing is configured, in bytes.
pub const MAX_JSON_BYTES: usize = 2 * 1024 * 1024;
/// How large bodies may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Largest JSON body, in bytes.
    pub json_bytes: usize,
    /// Largest multipart body, in bytes.
    pub multipart_bytes: usize,
    /// A body that takes longer to arrive is given up.
    pub body: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { json_bytes: MAX_JSON_BYTES, multipart_bytes: MAX_MULTIPART_BYTES, body: BODY_DEADLINE }
    }
}

impl Limits {
    /// As the server is configured.
    pub(super) fn of(request: &HttpRequest) -> Self {
        request.app_data::<Data<ApiState>>().map_or_else(Self::default, |state| state.limits)
    }
}

/// Deepest nesting of a JSON body.
pub const MAX_DEPTH: usize = 64;
/// How long a body may take to arrive where nothing is configured.
pub const BODY_DEADLINE: Duration = Duration::from_secs(30);

const LONE_SURROGATE: &str = "must not hold a surrogate that stands alone";

/// A JSON object body.
#[derive(Debug)]
pub struct Json<T>(pub T);

/// A JSON object body that may be absent, or `null`: then every field is.
#[derive(Debug)]
pub struct OptionalJson<T>(pub T);

/// The query string.
#[derive(Debug)]
pub struct Query<T>(pub T);

impl<T: FromFields + 'static> FromRequest for Json<T> {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let bytes = read(request, payload, Limits::of(request).json_bytes);
        Box::pin(async move { from_json(&bytes.await?, false).map(Self) })
    }
}

impl<T: FromFields + 'static> FromRequest for OptionalJson<T> {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let bytes = read(request, payload, Limits::of(request).json_bytes);
        Box::pin(async move { from_json(&bytes.await?, true).map(Self) })
    }
}

impl<T: FromFields + 'static> FromRequest for Query<T> {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let pairs = serde_urlencoded::from_str(request.query_string());
        let pairs: Vec<(String, String)> = pairs.unwrap_or_default();
        ready(Fields::of_pairs(Place::Query, pairs).read().map(Self))
    }
}

/// Reads a whole body of at most `limit` bytes, within the time a body has ([`Limits`]).
///
/// # Errors
/// 413 over the limit, 408 after the deadline, 415 for a compressed body, 400 if the client breaks off.
pub fn read(
    request: &HttpRequest,
    payload: &mut Payload,
    limit: usize,
) -> LocalBoxFuture<'static, Result<Bytes, Problem>> {
    let refused = refusal(request, limit);
    let deadline = Limits::of(request).body;
    let mut noting = Noting::of(request);
    let payload = payload.take();
    Box::pin(async move {
        if let Some(problem) = refused {
            return Err(problem);
        }
        let bytes = in_time(deadline, collect(payload, limit)).await?;
        noting.take_in(&bytes);
        noting.done();
        Ok(bytes)
    })
}

/// The body, unless the client takes too long to send it.
pub(super) async fn in_time<T>(
    deadline: Duration,
    body: impl Future<Output = Result<T, Problem>>,
) -> Result<T, Problem> {
    let late = |_| {
        let message = "The request body took too long to arrive";
        Problem::new(StatusCode::REQUEST_TIMEOUT, "timeout", message)
    };
    tokio::time::timeout(deadline, body).await.map_err(late)?
}

/// What the head alone says against the body.
pub(super) fn refusal(request: &HttpRequest, limit: usize) -> Option<Problem> {
    let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
    let length = header(CONTENT_LENGTH).and_then(|length| length.parse::<usize>().ok());
    if length.is_some_and(|length| length > limit) {
        return Some(Problem::too_large(limit));
    }
    let encoded = header(CONTENT_ENCODING).is_some_and(|encoding| !encoding.eq_ignore_ascii_case("identity"));
    encoded.then(|| {
        let message = "Compressed request bodies are not accepted";
        Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_encoding", message)
    })
}

async fn collect(mut payload: Payload, limit: usize) -> Result<Bytes, Problem> {
    let mut body = BytesMut::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|_| Problem::bad_request("The request body broke off"))?;
        if body.len() + chunk.len() > limit {
            return Err(Problem::too_large(limit));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

/// A request type from a JSON body.
fn from_json<T: FromFields>(bytes: &[u8], optional: bool) -> Result<T, Problem> {
    match parse(bytes, optional)? {
        Some(object) => Fields::of_object(Place::Body, object).read(),
        None => Fields::of_object(Place::Body, Object::new()).read(),
    }
}

/// The object in a JSON body that can be kept; `None` where it may be absent, and is.
///
/// # Errors
/// 400 for bytes that are no text, 422 for what is no JSON, no object, or cannot be kept.
pub(super) fn parse(bytes: &[u8], optional: bool) -> Result<Option<Object>, Problem> {
    let text = std::str::from_utf8(bytes).map_err(|_| Problem::bad_request("The body is not valid UTF-8"))?;
    if text.trim().is_empty() {
        return if optional { Ok(None) } else { Err(whole("missing", "Field required", Value::Null)) };
    }
    let value = serde_json::from_str(text).map_err(|error| malformed(text, &error))?;
    check(&value)?;
    match value {
        Value::Object(object) => Ok(Some(object)),
        Value::Null if optional => Ok(None),
        other @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) => {
            Err(whole("dict_type", "Input should be a valid dictionary", other))
        }
    }
}

/// Not JSON. A surrogate that stands alone is the one fault whose field can be told: put a NUL in its place, and
/// look where that is.
fn malformed(text: &str, error: &serde_json::Error) -> Problem {
    let mended = mark_lone_surrogates(text).and_then(|text| serde_json::from_str(&text).ok());
    if let Some(Err(mut problem)) = mended.map(|value: Value| check(&value)) {
        problem.violations.iter_mut().for_each(|wrong| wrong.message = LONE_SURROGATE.into());
        return Problem::invalid(problem.violations);
    }
    whole("json_invalid", format!("JSON decode error: {error}"), Value::Object(Object::new()))
}

/// The same text with a NUL for each surrogate that stands alone; `None` if there is none.
fn mark_lone_surrogates(text: &str) -> Option<String> {
    let mut marked = String::with_capacity(text.len());
    let mut rest = text;
    let mut any = false;
    while let Some(start) = rest.find('\\') {
        let (before, escape) = rest.split_at(start);
        marked.push_str(before);
        let length = match (code_unit(escape), escape.get(6..).and_then(code_unit)) {
            (Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)) => 12,
            (Some(0xD800..=0xDFFF), _) => {
                any = true;
                marked.push_str("\\u0000");
                rest = escape.get(6..)?;
                continue;
            }
            _ => escape.chars().take(2).map(char::len_utf8).sum(),
        };
        let (escape, after) = escape.split_at_checked(length)?;
        marked.push_str(escape);
        rest = after;
    }
    marked.push_str(rest);
    any.then_some(marked)
}

/// The number in an escape at the start of a text, as in `\u00e9`.
fn code_unit(escape: &str) -> Option<u32> {
    u32::from_str_radix(escape.strip_prefix("\\u")?.get(..4)?, 16).ok()
}

fn whole(kind: &'static str, message: impl Into<String>, input: Value) -> Problem {
    let place = vec!["body".into()];
    Problem::invalid(vec![Violation { kind, place, message: message.into(), input, context: None }])
}

/// Refuses what no store can keep or no reader should have to: NUL in texts, and nesting over [`MAX_DEPTH`].
///
/// # Errors
/// 422, naming the place.
pub fn check(value: &Value) -> Result<(), Problem> {
    let mut place = vec!["body".into()];
    match walk(value, &mut place, 0) {
        Ok(()) => Ok(()),
        Err(message) => {
            let kind = "value_error";
            Err(Problem::invalid(vec![Violation { kind, place, message, input: Value::Null, context: None }]))
        }
    }
}

/// Stops at the first offence, with `place` saying where.
fn walk(value: &Value, place: &mut Vec<Value>, depth: usize) -> Result<(), String> {
    if depth > MAX_DEPTH {
        return Err(format!("must not be nested deeper than {MAX_DEPTH}"));
    }
    match value {
        Value::String(text) => no_nul(text),
        Value::Array(items) => items.iter().enumerate().try_for_each(|(index, item)| {
            place.push(index.into());
            walk(item, place, depth + 1)?;
            place.pop();
            Ok(())
        }),
        Value::Object(fields) => fields.iter().try_for_each(|(name, field)| {
            place.push(name.as_str().into());
            no_nul(name)?;
            walk(field, place, depth + 1)?;
            place.pop();
            Ok(())
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
    }
}

fn no_nul(text: &str) -> Result<(), String> {
    if text.contains('\0') { Err("must not hold the NUL character".into()) } else { Ok(()) }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::agentos;

    fn refused(body: &str) -> Value {
        agentos::error::body(&parse(body.as_bytes(), false).unwrap_err())["detail"][0].clone()
    }

    fn wrong_at(body: &str) -> (Value, String) {
        let item = refused(body);
        (item["loc"].clone(), item["msg"].as_str().unwrap().to_owned())
    }

    #[test]
    fn an_object_is_read_and_an_absent_one_may_be_allowed() {
        assert_eq!(parse(br#"{"a":1}"#, false).unwrap(), json!({ "a": 1 }).as_object().cloned());
        assert_eq!(parse(b" ", true).unwrap(), None);
        assert_eq!(parse(b"null", true).unwrap(), None);
        assert_eq!(
            refused(""),
            json!({ "type": "missing", "loc": ["body"], "msg": "Field required", "input": null })
        );
        assert_eq!(refused("[1]")["type"], "dict_type");
        assert_eq!(refused("{")["type"], "json_invalid");
    }

    #[test]
    fn bytes_that_are_no_text_are_refused() {
        assert_eq!(parse(b"{\"a\":\"\xff\"}", false).unwrap_err().status, StatusCode::BAD_REQUEST);
    }

    #[test]
    fn nul_is_refused_by_name_in_values_and_in_keys() {
        let nul = "must not hold the NUL character".to_owned();
        assert_eq!(wrong_at(r#"{"a":{"b":["x","\u0000"]}}"#), (json!(["body", "a", "b", 1]), nul.clone()));
        assert_eq!(wrong_at(r#"{"a":{"\u0000":1}}"#), (json!(["body", "a", "\0"]), nul));
    }

    #[test]
    fn a_lone_surrogate_is_refused_by_name_and_a_pair_is_not() {
        for lone in [r"\ud800", r"\udc00", r"\ud800x", r"\ud800\u0041", r"\\\ud800"] {
            let body = format!(r#"{{"ok":"\ud83d\ude00","bad":"{lone}"}}"#);
            assert_eq!(wrong_at(&body), (json!(["body", "bad"]), LONE_SURROGATE.to_owned()), "{lone}");
        }
        assert!(parse(br#"{"a":"\ud83d\ude00 \\ud800"}"#, false).is_ok());
    }

    #[test]
    fn nesting_is_bounded() {
        let nested = |depth: usize| format!("{}1{}", r#"{"a":"#.repeat(depth), "}".repeat(depth));
        assert!(parse(nested(MAX_DEPTH).as_bytes(), false).is_ok());
        assert_eq!(
            refused(&nested(MAX_DEPTH + 1))["msg"],
            format!("must not be nested deeper than {MAX_DEPTH}")
        );
        assert_eq!(refused(&nested(10_000))["type"], "json_invalid");
    }
}
