//! Forms, in the three encodings clients use, read by one extractor and never beyond their limits.

use actix_multipart::{Field, Multipart};
use actix_web::dev::Payload;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::{FromRequest, HttpRequest};
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use futures::future::LocalBoxFuture;
use serde_json::Value;

use super::body::{self, Limits};
use super::fields::{Fields, FromFields, Place};
use super::once::Noting;
use super::problem::{Problem, Violation};

/// Largest multipart body where nothing is configured, in bytes.
pub const MAX_MULTIPART_BYTES: usize = 32 * 1024 * 1024;
/// Largest urlencoded or JSON body, in bytes.
pub const MAX_FORM_BYTES: usize = 4 * 1024 * 1024;
/// Longest text field of a multipart body, in bytes.
pub const MAX_FIELD_BYTES: usize = 1024 * 1024;
/// Most parts of a multipart body.
pub const MAX_PARTS: usize = 64;
/// Longest name of a part or file, in bytes.
pub const MAX_NAME_BYTES: usize = 256;

/// A form: `multipart/form-data`, `application/x-www-form-urlencoded`, or a JSON object of the same names.
#[derive(Debug)]
pub struct Form<T> {
    /// What its fields say.
    pub fields: T,
    /// Its files, in order.
    pub uploads: Vec<Upload>,
}

/// A file of a multipart form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    /// The part's name.
    pub field: String,
    /// As the client says; never used as a path.
    pub filename: String,
    /// As the client says; empty if it does not.
    pub mime_type: String,
    /// What is in it.
    pub bytes: Bytes,
}

impl<T: FromFields + 'static> FromRequest for Form<T> {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let kind = request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or("");
        let kind = kind.trim().to_ascii_lowercase();
        if kind.starts_with("multipart/") {
            return multipart(request, payload);
        }
        let bytes = body::read(request, payload, MAX_FORM_BYTES);
        Box::pin(async move {
            let bytes = bytes.await?;
            let fields =
                if kind.starts_with("application/json") { json_fields(&bytes) } else { url_fields(&bytes) };
            Ok(Self { fields: fields?.read()?, uploads: Vec::new() })
        })
    }
}

fn json_fields(bytes: &[u8]) -> Result<Fields, Problem> {
    Ok(Fields::of_object(Place::Body, body::parse(bytes, false)?.unwrap_or_default()))
}

/// The pairs of an urlencoded body. Unlike the usual decoders this one puts nothing in place of what is no text.
fn url_fields(bytes: &[u8]) -> Result<Fields, Problem> {
    let mut pairs = Vec::new();
    for pair in bytes.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
        let end = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
        let (name, value) = pair.split_at(end);
        let name = String::from_utf8(unescaped(name))
            .map_err(|_| Problem::bad_request("The name of a field is not valid UTF-8"))?;
        let value = String::from_utf8(unescaped(value.strip_prefix(b"=").unwrap_or_default()))
            .map_err(|_| Problem::bad_request(format!("{name}: is not valid UTF-8")))?;
        no_nul(&name, &value)?;
        pairs.push((name, value));
    }
    Ok(Fields::of_pairs(Place::Body, pairs))
}

/// A text of an urlencoded body. A `%` that begins no escape stands for itself, as browsers have it.
fn unescaped(text: &[u8]) -> Vec<u8> {
    let digit = |place: Option<&u8>| place.and_then(|byte| char::from(*byte).to_digit(16));
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        match (first, digit(after.first()), digit(after.get(1))) {
            (b'%', Some(high), Some(low)) => {
                bytes.push(u8::try_from(high * 16 + low).unwrap_or_default());
                rest = after.get(2..).unwrap_or_default();
            }
            (b'+', _, _) => bytes.push(b' '),
            (other, _, _) => bytes.push(*other),
        }
    }
    bytes
}

fn no_nul(name: &str, value: &str) -> Result<(), Problem> {
    if name.contains('\0') || value.contains('\0') {
        let message = "Value error, must not hold the NUL character";
        return Err(invalid("value_error", Some(name), message, Value::Null));
    }
    Ok(())
}

fn invalid(kind: &'static str, field: Option<&str>, message: impl Into<String>, input: Value) -> Problem {
    let place = std::iter::once("body").chain(field).map(Value::from).collect();
    Problem::invalid(vec![Violation { kind, place, message: message.into(), input, context: None }])
}

fn multipart<T: FromFields + 'static>(
    request: &HttpRequest,
    payload: &mut Payload,
) -> LocalBoxFuture<'static, Result<Form<T>, Problem>> {
    let limits = Limits::of(request);
    if let Some(problem) = body::refusal(request, limits.multipart_bytes) {
        return Box::pin(async move { Err(problem) });
    }
    let parts = Multipart::new(request.headers(), payload.take());
    let noting = Noting::of(request);
    Box::pin(async move {
        let parts = body::in_time(limits.body, Parts::within(limits.multipart_bytes).read(parts)).await?;
        parts.note(noting);
        Ok(Form { fields: Fields::of_pairs(Place::Body, parts.texts).read()?, uploads: parts.uploads })
    })
}

/// The parts of a multipart body so far.
struct Parts {
    texts: Vec<(String, String)>,
    uploads: Vec<Upload>,
    bytes: usize,
    limit: usize,
}

impl Parts {
    fn within(limit: usize) -> Self {
        Self { texts: Vec::new(), uploads: Vec::new(), bytes: 0, limit }
    }

    async fn read(mut self, mut parts: Multipart) -> Result<Self, Problem> {
        let mut count = 0;
        while let Some(part) = parts.next().await {
            count += 1;
            if count > MAX_PARTS {
                return Err(Problem::new(
                    actix_web::http::StatusCode::PAYLOAD_TOO_LARGE,
                    "too_large",
                    format!("The form has more than {MAX_PARTS} parts"),
                ));
            }
            self.take_in(part.map_err(|error| broken(&error))?).await?;
        }
        Ok(self)
    }

    /// Notes what is in the parts, not what is between them: the boundary is another one each time.
    fn note(&self, mut noting: Noting) {
        for (name, text) in &self.texts {
            noting.take_in(name.as_bytes());
            noting.take_in(text.as_bytes());
        }
        for upload in &self.uploads {
            for text in [&upload.field, &upload.filename, &upload.mime_type] {
                noting.take_in(text.as_bytes());
            }
            noting.take_in(&upload.bytes);
        }
        noting.done();
    }

    async fn take_in(&mut self, mut part: Field) -> Result<(), Problem> {
        let name = part.name().unwrap_or_default().to_owned();
        let filename = part.content_disposition().and_then(|about| about.get_filename()).map(str::to_owned);
        if name.len() > MAX_NAME_BYTES || filename.as_ref().is_some_and(|name| name.len() > MAX_NAME_BYTES) {
            let message = format!("Names should have at most {MAX_NAME_BYTES} bytes");
            return Err(invalid("string_too_long", None, message, Value::Null));
        }
        let limit = if filename.is_some() { self.limit } else { MAX_FIELD_BYTES };
        let bytes = self.collect(&mut part, &name, limit).await?;
        match filename {
            Some(filename) => {
                no_nul(&name, &filename)?;
                let mime_type = part.content_type().map(ToString::to_string).unwrap_or_default();
                self.uploads.push(Upload { field: name, filename, mime_type, bytes });
            }
            None => {
                let text = String::from_utf8(bytes.into())
                    .map_err(|_| Problem::bad_request(format!("{name}: is not valid UTF-8")))?;
                no_nul(&name, &text)?;
                self.texts.push((name, text));
            }
        }
        Ok(())
    }

    async fn collect(&mut self, part: &mut Field, name: &str, limit: usize) -> Result<Bytes, Problem> {
        let mut bytes = BytesMut::new();
        while let Some(chunk) = part.next().await {
            let chunk = chunk.map_err(|error| broken(&error))?;
            self.bytes += chunk.len();
            if self.bytes > self.limit {
                return Err(Problem::too_large(self.limit));
            }
            if bytes.len() + chunk.len() > limit {
                let message = format!("Value should have at most {limit} bytes");
                return Err(invalid("string_too_long", Some(name), message, Value::Null));
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes.freeze())
    }
}

fn broken(error: &actix_multipart::MultipartError) -> Problem {
    Problem::bad_request(format!("The multipart body cannot be read: {error}"))
}
