//! What every request passes before and after its handler.

use std::panic::AssertUnwindSafe;
use std::rc::Rc;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ResponseHead, ServiceRequest, ServiceResponse};
use actix_web::http::header::{
    ACCESS_CONTROL_EXPOSE_HEADERS, ALLOW, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue,
};
use actix_web::http::{ConnectionType, Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, HttpResponse, web};
use futures::FutureExt;
use uuid::Uuid;

use super::ApiState;
use super::caller::Caller;
use super::dress::{self, Dress};
use super::pace::Floor;
use super::problem::Problem;
use super::{everruns, prefix, triage, unread};

/// Names a request in its answer and in the log.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What anybody may ask; `OPTIONS` beside it, on every path. A socket asks for the token itself.
const OPEN: [&str; 16] = [
    "/",
    "/health",
    "/info",
    "/docs",
    "/docs/app.js",
    "/docs/style.css",
    "/docs/icon.svg",
    "/redoc",
    "/openapi.json",
    everruns::DOCUMENT_PATH,
    triage::DOCUMENT_PATH,
    "/workflows/ws",
    "/v1/auth/config",
    "/v1/auth/login",
    "/v1/auth/register",
    "/v1/auth/refresh",
];

/// Where a token may be all that the header holds, without saying that it is a bearer's.
const BARE_BELOW: &str = "/v1";

/// Gives every answer an id, and every failure a body of JSON. A server that stops asks for another connection.
pub(super) async fn finish(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let id = request_id();
    let held = Rc::new((unread::hold(&mut request), Floor::take(&request)));
    let state = request.app_data::<web::Data<ApiState>>().cloned();
    let is_last = state.as_ref().is_some_and(|state| state.runtime.is_stopping());
    let is_here = prefix::take_off(&mut request, state.as_ref().map_or("", |state| &state.server.prefix));
    let dress = dress::of(request.path());
    if !is_here {
        let mut response = dress(&Problem::not_found("Not Found"));
        mark(response.head_mut(), &id, is_last);
        let response = request.into_response(response);
        return Ok(response.map_body(|_, body| unread::until_written(held, body)));
    }
    match next.call(request).await {
        Ok(mut response) => {
            mark(response.response_mut().head_mut(), &id, is_last);
            Ok(in_json(response.map_into_boxed_body(), dress)
                .map_body(|_, body| unread::until_written(held, body)))
        }
        Err(mut error) => {
            error.add_response_mapper(move |mut response| {
                mark(response.head_mut(), &id, is_last);
                response.map_body(|_, body| unread::until_written(held.clone(), body))
            });
            Err(error)
        }
    }
}

/// Sets the id, readable by browsers where other headers are, and says if the connection ends here.
fn mark(head: &mut ResponseHead, id: &HeaderValue, is_last: bool) {
    if is_last {
        head.set_connection_type(ConnectionType::Close);
    }
    let headers = head.headers_mut();
    headers.insert(REQUEST_ID, id.clone());
    let exposed = headers.get(ACCESS_CONTROL_EXPOSE_HEADERS).and_then(|names| names.to_str().ok());
    if let Some(Ok(more)) = exposed.map(|names| HeaderValue::from_str(&format!("{names}, {REQUEST_ID}"))) {
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, more);
    }
}

fn request_id() -> HeaderValue {
    let mut bytes = [0; 16];
    // An id that is not random is still better than no answer.
    let _ = getrandom::fill(&mut bytes);
    let id = uuid::Builder::from_random_bytes(bytes).into_uuid();
    let mut text = Uuid::encode_buffer();
    HeaderValue::from_str(id.simple().encode_lower(&mut text)).unwrap_or(HeaderValue::from_static("none"))
}

/// Failures of the framework and of CORS come as plain text or with nothing; ours are JSON already.
fn in_json(response: ServiceResponse<BoxBody>, dress: Dress) -> ServiceResponse<BoxBody> {
    let status = response.status();
    let failed = status.is_client_error() || status.is_server_error();
    let typed = response.headers().get(CONTENT_TYPE).is_some_and(|kind| {
        let kind = kind.as_bytes();
        kind.starts_with(b"application/") || kind.starts_with(b"text/event-stream")
    });
    if !failed || typed {
        return response;
    }
    let reason = match response.response().error() {
        Some(error) if status.is_client_error() => error.to_string(),
        Some(_) | None => status.canonical_reason().unwrap_or("error").to_owned(),
    };
    let (request, old) = response.into_parts();
    let mut new = dress(&Problem::new(status, "http", reason));
    for (name, value) in old.headers().iter().filter(|(name, _)| *name != CONTENT_TYPE) {
        new.headers_mut().append(name.clone(), value.clone());
    }
    ServiceResponse::new(request, new)
}

/// A handler that panics fails its own request and no other.
pub(super) async fn catch(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let what = format!("{} {}", request.method(), request.path());
    match AssertUnwindSafe(next.call(request)).catch_unwind().await {
        Ok(answer) => answer.map(ServiceResponse::map_into_boxed_body),
        Err(_) => {
            tracing::error!(request = what, "a handler panicked");
            Err(Problem::internal().into())
        }
    }
}

/// Lets in who brings a good token, and notes who it is.
pub(super) async fn admit(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    if is_open(request.method(), request.path()) {
        return next.call(request).await.map(ServiceResponse::map_into_boxed_body);
    }
    let Some(state) = request.app_data::<web::Data<ApiState>>() else {
        return Err(Problem::internal().into());
    };
    let bare = dress::is_below(request.path(), BARE_BELOW);
    let admitted = presented(request.headers(), bare).and_then(|token| match token {
        Some(token) => state.tokens.verify(token).ok_or("Invalid authentication token"),
        None => Err("Authorization header required"),
    });
    match admitted {
        Ok(principal) => {
            request.extensions_mut().insert(Caller::new(principal));
            next.call(request).await.map(ServiceResponse::map_into_boxed_body)
        }
        Err(reason) => Err(Problem::unauthorized(reason).into()),
    }
}

fn is_open(method: &Method, path: &str) -> bool {
    let trimmed = path.trim_end_matches('/');
    let path = if trimmed.is_empty() { "/" } else { trimmed };
    method == Method::OPTIONS || OPEN.contains(&path)
}

/// The token of the one `Authorization` header; `None` without such a header. Taken as bytes: whatever a client
/// sends is compared, nothing is decoded. Where it may be `bare`, a header that names no bearer is the token.
fn presented(headers: &HeaderMap, bare: bool) -> Result<Option<&[u8]>, &'static str> {
    let mut all = headers.get_all(AUTHORIZATION);
    let Some(value) = all.next() else { return Ok(None) };
    if all.next().is_some() {
        return Err("Invalid authentication token");
    }
    let value = value.as_bytes().trim_ascii();
    let token = match value.split_at_checked(7) {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case(b"bearer ") => token.trim_ascii(),
        Some((scheme, token)) if bare && scheme.eq_ignore_ascii_case(b"apikey ") => token.trim_ascii(),
        Some(_) | None if bare => value,
        Some(_) | None => b"",
    };
    if token.is_empty() { Err("Invalid authentication token") } else { Ok(Some(token)) }
}

/// Largest head of a request, in bytes; the server around us reads up to twice that.
const MAX_HEAD_BYTES: usize = 64 * 1024;

/// Refuses heads that are too large, and addresses that are no text: what follows may take them as such.
pub(super) async fn sane(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let uri = request.uri();
    if head_bytes(&request) > MAX_HEAD_BYTES {
        let message = format!("The request's head is over the limit of {MAX_HEAD_BYTES} bytes");
        let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
        return Err(Problem::new(status, "head_too_large", message).into());
    }
    let broken = [("path", uri.path()), ("query string", uri.query().unwrap_or_default())];
    for (part, text) in broken {
        if let Err(reason) = decoded(text) {
            return Err(Problem::bad_request(format!("The {part} {reason}")).into());
        }
    }
    next.call(request).await.map(ServiceResponse::map_into_boxed_body)
}

/// Of the address and the headers, with what stands between them.
fn head_bytes(request: &ServiceRequest) -> usize {
    let address = request.uri().path_and_query().map_or(0, |address| address.as_str().len());
    let headers = request.headers().iter();
    headers.fold(address, |sum, (name, value)| sum + name.as_str().len() + value.len() + ": \r\n".len())
}

/// A percent-encoded text; `+` is left as it is.
///
/// # Errors
/// What is wrong with it, as the end of a sentence.
pub(super) fn decoded(text: &str) -> Result<String, &'static str> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|byte| char::from(byte).to_digit(16));
        let (Some(high), Some(low)) = (digit(), digit()) else { return Err("holds a broken percent escape") };
        bytes.push(u8::try_from(high * 16 + low).unwrap_or_default());
    }
    if bytes.contains(&0) {
        return Err("holds the NUL character");
    }
    String::from_utf8(bytes).map_err(|_| "is not valid UTF-8")
}

/// The answer where a path exists but not with this method.
pub(super) fn wrong_method(path: &str, allowed: &str) -> HttpResponse {
    let problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "Method Not Allowed");
    let mut response = dress::of(path)(&problem);
    if let Ok(allowed) = HeaderValue::from_str(allowed) {
        response.headers_mut().insert(ALLOW, allowed);
    }
    response
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]
mod tests {
    use actix_web::App;
    use actix_web::dev::Service;
    use actix_web::middleware::from_fn;
    use actix_web::test::{self, TestRequest};

    use super::*;

    fn headers(values: &[&[u8]]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_bytes(value).unwrap());
        }
        headers
    }

    /// The guards as they stand before a route, without the door.
    async fn answered(path: &str) -> (u16, Option<String>, String) {
        let cors = crate::api::cors(&["https://example.org".into(), "*".into()].into());
        let guarded = App::new()
            .route("/panic", web::get().to(|| async { empty().first().copied().unwrap().to_string() }))
            .wrap(from_fn(sane))
            .wrap(from_fn(catch))
            .wrap(cors)
            .wrap(from_fn(finish));
        let service = test::init_service(guarded).await;
        let request = TestRequest::get().uri(path).insert_header(("origin", "https://example.org"));
        let response = match service.call(request.to_request()).await {
            Ok(response) => response.map_into_boxed_body().into_parts().1,
            Err(error) => error.error_response(),
        };
        assert!(response.headers().contains_key(REQUEST_ID));
        let origin =
            response.headers().get("access-control-allow-origin").map(|it| it.to_str().unwrap().to_owned());
        let status = response.status().as_u16();
        let body = actix_web::body::to_bytes(response.into_body()).await.unwrap();
        (status, origin, String::from_utf8(body.to_vec()).unwrap())
    }

    fn empty() -> Vec<u8> {
        Vec::new()
    }

    #[actix_web::test]
    async fn a_panic_is_an_answer_that_a_browser_may_read() {
        let origin = Some("https://example.org".to_owned());
        assert_eq!(answered("/panic").await, (500, origin, r#"{"detail":"internal error"}"#.into()));
    }

    #[actix_web::test]
    async fn failures_of_the_framework_are_json_too() {
        let origin = Some("https://example.org".to_owned());
        assert_eq!(answered("/other").await, (404, origin, r#"{"detail":"Not Found"}"#.into()));
    }

    #[test]
    fn one_bearer_header_gives_its_token_as_bytes() {
        assert_eq!(presented(&headers(&[]), false), Ok(None));
        assert_eq!(presented(&headers(&[b"Bearer abc"]), false), Ok(Some(&b"abc"[..])));
        assert_eq!(presented(&headers(&[b"bearer  \xffx "]), false), Ok(Some(&b"\xffx"[..])));
    }

    #[test]
    fn garbled_or_repeated_headers_are_refused() {
        for bad in
            [&[&b""[..]][..], &[b"Bearer"], &[b"Bearer "], &[b"Basic abc"], &[b"Bearer a", b"Bearer a"]]
        {
            assert_eq!(presented(&headers(bad), false), Err("Invalid authentication token"));
        }
    }

    #[test]
    fn a_header_may_be_the_bare_token_where_that_is_allowed() {
        assert_eq!(presented(&headers(&[b" abc "]), true), Ok(Some(&b"abc"[..])));
        assert_eq!(presented(&headers(&[b"a-longer-token"]), true), Ok(Some(&b"a-longer-token"[..])));
        assert_eq!(presented(&headers(&[b"BEARER abc"]), true), Ok(Some(&b"abc"[..])));
        assert_eq!(presented(&headers(&[b""]), true), Err("Invalid authentication token"));
        assert_eq!(presented(&headers(&[b"a", b"a"]), true), Err("Invalid authentication token"));
        assert_eq!(presented(&headers(&[b"a-longer-token"]), false), Err("Invalid authentication token"));
    }

    #[test]
    fn only_a_few_paths_are_open() {
        assert!(is_open(&Method::GET, "/"));
        assert!(is_open(&Method::GET, "/health/"));
        assert!(is_open(&Method::OPTIONS, "/sessions"));
        assert!(!is_open(&Method::GET, "/config"));
        assert!(!is_open(&Method::GET, "/health/x"));
        assert!(!is_open(&Method::GET, "/docs/../config"));
    }

    #[test]
    fn addresses_must_be_text() {
        assert_eq!(decoded("/a%20b+%2F"), Ok("/a b+/".into()));
        assert_eq!(decoded("/%"), Err("holds a broken percent escape"));
        assert_eq!(decoded("/%g0"), Err("holds a broken percent escape"));
        assert_eq!(decoded("/%ff"), Err("is not valid UTF-8"));
        assert_eq!(decoded("/%00"), Err("holds the NUL character"));
    }
}
