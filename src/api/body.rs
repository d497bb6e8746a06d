//! Bodies and queries, read by extractors that name the bad field.
//!
//! A request type says what it wants of [`Fields`], name by name, and every field that is wrong is collected,
//! so that a client sees all of them at once, each with its place and what was sent.

use std::future::{Ready, ready};
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use actix_web::{FromRequest, HttpRequest};
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use futures::future::LocalBoxFuture;
use serde_json::Value;

use super::fields::{Fields, FromFields, Place};
use super::problem::{Problem, Violation};
use crate::domain::Object;

/// Largest JSON body, in bytes.
pub const MAX_JSON_BYTES: usize = 2 * 1024 * 1024;
/// Deepest nesting of a JSON body.
pub const MAX_DEPTH: usize = 64;
/// A body that takes longer to arrive is given up.
pub const BODY_DEADLINE: Duration = Duration::from_secs(30);

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
        let bytes = read(request, payload, MAX_JSON_BYTES);
        Box::pin(async move { from_json(&bytes.await?, false).map(Self) })
    }
}

impl<T: FromFields + 'static> FromRequest for OptionalJson<T> {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let bytes = read(request, payload, MAX_JSON_BYTES);
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

/// Reads a whole body of at most `limit` bytes, within [`BODY_DEADLINE`].
///
/// # Errors
/// 413 over the limit, 408 after the deadline, 415 for a compressed body, 400 if the client breaks off.
pub fn read(
    request: &HttpRequest,
    payload: &mut Payload,
    limit: usize,
) -> LocalBoxFuture<'static, Result<Bytes, Problem>> {
    let refused = refusal(request, limit);
    let payload = payload.take();
    Box::pin(async move {
        if let Some(problem) = refused {
            return Err(problem);
        }
        match tokio::time::timeout(BODY_DEADLINE, collect(payload, limit)).await {
            Ok(bytes) => bytes,
            Err(_) => {
                let message = "The request body took too long to arrive";
                Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "timeout", message))
            }
        }
    })
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

fn parse(bytes: &[u8], optional: bool) -> Result<Option<Object>, Problem> {
    let text = std::str::from_utf8(bytes).map_err(|_| Problem::bad_request("The body is not valid UTF-8"))?;
    if text.trim().is_empty() {
        return if optional { Ok(None) } else { Err(whole("missing", "Field required", Value::Null)) };
    }
    let value = serde_json::from_str(text).map_err(|error| {
        whole("json_invalid", format!("JSON decode error: {error}"), Value::Object(Object::new()))
    })?;
    check(&value)?;
    match value {
        Value::Object(object) => Ok(Some(object)),
        Value::Null if optional => Ok(None),
        other @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) => {
            Err(whole("dict_type", "Input should be a valid dictionary", other))
        }
    }
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
