//! `Idempotency-Key`: a request that comes twice under one key is carried out once, and answered alike.
//!
//! An endpoint that makes something says so in its table ([`Endpoint::once`](super::endpoint::Endpoint::once)), takes
//! a [`OnceHeader`], and hands the claim it gives to the runtime with its order. What tells whether the same request
//! came again is its method, its address and its body; bodies are noted where they are read, and only under a key.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::{FromRequest, HttpMessage, HttpRequest, HttpResponse};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::caller::Caller;
use super::dress;
use super::problem::{Problem, Violation};
use crate::domain::once::{Fingerprint, Once, OnceKey};
use crate::runtime::{Claim, Runtime};

/// The name of the header, as documents show it.
pub const HEADER: &str = "Idempotency-Key";

/// Where the same key may be used at several addresses (Everruns 2, Triage 1.6).
const PER_PATH: &str = "/v1";

const KEY: HeaderName = HeaderName::from_static("idempotency-key");
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// The request's key, if it has one.
#[derive(Debug)]
pub struct OnceHeader(Option<HttpRequest>);

impl FromRequest for OnceHeader {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Self(Some(request.clone()))))
    }
}

impl OnceHeader {
    /// Of a request that has none, whatever its header says.
    pub fn none() -> Self {
        Self(None)
    }

    /// Claims the request for its caller, whose own the key is; the body was read by then. Waits while the same
    /// request is being carried out, so that the later one finds what the earlier made.
    ///
    /// # Errors
    /// 422 for a key that is none, 409 for one that was used for another request.
    pub async fn claim(&self, runtime: &Runtime, caller: &Caller) -> Result<Claim, Problem> {
        match self.read(caller)? {
            Some(once) => Ok(runtime.claim(caller.owner(), &once).await?),
            None => Ok(Claim::none()),
        }
    }

    fn read(&self, caller: &Caller) -> Result<Option<Once>, Problem> {
        let Some(request) = &self.0 else { return Ok(None) };
        let mut keys = request.headers().get_all(KEY);
        let Some(key) = keys.next() else { return Ok(None) };
        if keys.next().is_some() {
            return Err(wrong("must be sent once"));
        }
        // Bytes that are no text stand for themselves here: the key's own check refuses them.
        let key: OnceKey =
            String::from_utf8_lossy(key.as_bytes()).parse().map_err(|reason| wrong(&format!("{reason}")))?;
        Ok(Some(Once { key, by: claimant(caller, request.path()), fingerprint: fingerprint(request) }))
    }
}

/// Whose the key is: a caller's, and below [`PER_PATH`] his for one address.
fn claimant(caller: &Caller, path: &str) -> String {
    let name = caller.name();
    if dress::is_below(path, PER_PATH) { format!("{name} {path}") } else { name.to_owned() }
}

fn wrong(reason: &str) -> Problem {
    let place = vec!["header".into(), HEADER.into()];
    let message = format!("{HEADER} {reason}");
    Problem::invalid(vec![Violation {
        kind: "value_error",
        place,
        message,
        input: Value::Null,
        context: None,
    }])
}

/// What the body of a request came to.
struct BodyPrint([u8; 32]);

fn fingerprint(request: &HttpRequest) -> Fingerprint {
    let address = request.uri().path_and_query().map_or("/", |address| address.as_str());
    let mut print = Sha256::new();
    // Neither a method nor an address holds a line break.
    print.update(format!("{} {address}\n", request.method()));
    if let Some(BodyPrint(body)) = request.extensions().get() {
        print.update(body);
    }
    Fingerprint(print.finalize().into())
}

/// Takes a body in as it is read, if the request has a key.
pub(super) struct Noting(Option<(HttpRequest, Sha256)>);

impl Noting {
    pub(super) fn of(request: &HttpRequest) -> Self {
        let has_key = request.headers().contains_key(KEY);
        Self(has_key.then(|| (request.clone(), Sha256::new())))
    }

    /// Some bytes that belong together; the same bytes cut elsewhere are another body.
    pub(super) fn take_in(&mut self, bytes: &[u8]) {
        if let Some((_, print)) = &mut self.0 {
            print.update((bytes.len() as u64).to_be_bytes());
            print.update(bytes);
        }
    }

    /// The body was read to its end.
    pub(super) fn done(self) {
        if let Some((request, print)) = self.0 {
            request.extensions_mut().insert(BodyPrint(print.finalize().into()));
        }
    }
}

/// The same answer, saying so if it answers a request that came before.
pub fn marked(mut response: HttpResponse, again: bool) -> HttpResponse {
    if again {
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    }
    response
}
