//! Who calls, and the keys callers make for themselves. There are tokens and nothing else: nobody signs in.

use actix_web::web::{self, Data};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Value, json};

use super::body::Body;
use super::error::Error;
use super::ids::{self, KEY, PublicId};
use super::page;
use super::schemas::{JSON, list_of};
use super::tenancy;
use super::time::moment;
use crate::access::{AccessError, KeyOrder, Role, Token, Tokens};
use crate::api::ApiState;
use crate::api::caller::Caller;
use crate::api::endpoint::Endpoint;
use crate::api::fields::{Fields, FromFields, path_text};
use crate::domain::time::Timestamp;
use crate::runtime;

const TOKENS_ONLY: &str = "This server knows tokens only: send one of them in the Authorization header. \
                           There is no signing in or out, and nothing to refresh";

/// What keys start with that are made here.
const KEY_PREFIX: &str = "evr_";

/// Longest name of a key, in bytes.
const MAX_NAME_BYTES: usize = 255;

/// Everything that the token of the key's maker opens.
const ALL_SCOPES: &str = "*";

/// Everything but to assign capabilities of a high risk.
const MEMBER_SCOPE: &str = "member";

/// One day, in the unit of [`Timestamp`].
const DAY_MICROS: u64 = 24 * 60 * 60 * 1_000_000;

pub(super) fn table() -> Vec<Endpoint> {
    vec![
        Endpoint::get("/auth/config", config)
            .named("get_auth_config", "Auth", "How callers show who they are")
            .tells("200", "With tokens", "AuthConfig")
            .open(),
        Endpoint::get("/auth/me", me)
            .named("get_current_user", "Auth", "Who calls")
            .tells("200", "The user", "User"),
        refusal("login").open(),
        refusal("register").open(),
        refusal("refresh").open(),
        refusal("logout"),
        Endpoint::post("/auth/api-keys", create)
            .named("create_api_key", "Auth", "Make a key that opens what the caller's opens")
            .takes([(JSON, "NewApiKey")], true)
            .tells("201", "The key, shown this once", "MadeApiKey")
            .fails("409", "There are as many as there may be"),
        Endpoint::get("/auth/api-keys", list)
            .named("list_api_keys", "Auth", "The keys that were made here, newest first")
            .tells("200", "What is known of them", &list_of("ApiKey")),
        Endpoint::delete("/auth/api-keys/{key_id}", remove)
            .named("delete_api_key", "Auth", "Take a key away")
            .gives("204", "It is refused from now on", &[])
            .fails("404", "There is no such key"),
    ]
}

/// What needs a password, or ends what a password began.
fn refusal(word: &str) -> Endpoint {
    Endpoint::post(format!("/auth/{word}"), tokens_only)
        .named(&format!("auth_{word}"), "Auth", "Not on this server: it knows tokens only")
        .fails("403", "It knows tokens only")
}

async fn tokens_only() -> Result<HttpResponse, Error> {
    Err(Error::forbidden(TOKENS_ONLY))
}

/// `GET /auth/config`
async fn config() -> HttpResponse {
    HttpResponse::Ok().json(json!({
        "mode": "token",
        "password_auth_enabled": false,
        "oauth_providers": [],
        "signup_enabled": false,
    }))
}

/// `GET /auth/me`
async fn me(state: Data<ApiState>, caller: Caller) -> HttpResponse {
    HttpResponse::Ok().json(tenancy::user(&state, &caller))
}

/// A key that is wanted.
struct KeyForm {
    name: String,
    scopes: Vec<String>,
    days: Option<u64>,
}

impl FromFields for KeyForm {
    fn from_fields(fields: &mut Fields) -> Self {
        Self {
            name: fields.required_text("name"),
            scopes: fields.texts("scopes"),
            days: fields.number("expires_in_days", 1),
        }
    }
}

/// `POST /auth/api-keys`
async fn create(
    state: Data<ApiState>,
    caller: Caller,
    Body(form): Body<KeyForm>,
) -> Result<HttpResponse, Error> {
    let label = form.name.trim().to_owned();
    if label.is_empty() {
        return Err(Error::bad_request("name must not be empty"));
    }
    if label.len() > MAX_NAME_BYTES {
        return Err(Error::over_limits());
    }
    let role = role(&form.scopes)?;
    let end = |days: u64| Timestamp(state.runtime.now().0.saturating_add(days.saturating_mul(DAY_MICROS)));
    let expires = form.days.map(end);
    let id = PublicId(KEY, state.runtime.fresh()).to_string();
    let (token, clear) = with_tokens(&state, move |tokens| {
        let order = KeyOrder { id: &id, label: &label, prefix: KEY_PREFIX, role, expires };
        tokens.make_key(caller.principal(), order)
    })
    .await?;
    let mut shown = shown(&token);
    if let Some(fields) = shown.as_object_mut() {
        fields.insert("key".into(), clear.reveal().into());
    }
    Ok(HttpResponse::Created().insert_header(("cache-control", "no-store")).json(shown))
}

/// What a key of these scopes is to open. One that seems to be narrow and is not would be worse than none.
fn role(scopes: &[String]) -> Result<Role, Error> {
    let is_known = |scope: &&String| matches!(scope.as_str(), ALL_SCOPES | MEMBER_SCOPE);
    if let Some(unknown) = scopes.iter().find(|scope| !is_known(scope)) {
        return Err(Error::bad_request(format!(
            "scopes: there is no scope {unknown:?}. A key has [\"*\"], all that its maker's opens, as it has where \
             scopes are left out, or [\"member\"], all but to assign capabilities of a high risk"
        )));
    }
    let all = scopes.is_empty() || scopes.iter().any(|scope| scope == ALL_SCOPES);
    Ok(if all { Role::Admin } else { Role::Member })
}

/// `GET /auth/api-keys`
async fn list(state: Data<ApiState>, caller: Caller) -> Result<HttpResponse, Error> {
    let keys = with_tokens(&state, move |tokens| tokens.keys(caller.owner())).await?;
    Ok(page::list(keys.iter().map(shown).collect()))
}

/// `DELETE /auth/api-keys/{key_id}`
async fn remove(state: Data<ApiState>, caller: Caller, request: HttpRequest) -> Result<HttpResponse, Error> {
    let id = path_text(&request, "key_id");
    ids::parse(KEY, &id)?;
    with_tokens(&state, move |tokens| tokens.delete_key(caller.owner(), &id)).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Tokens are in a file, and files make wait: not here.
async fn with_tokens<T: Send + 'static>(
    state: &ApiState,
    work: impl FnOnce(&Tokens) -> Result<T, AccessError> + Send + 'static,
) -> Result<T, Error> {
    let tokens = state.tokens.clone();
    match web::block(move || work(&tokens)).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => Err(told(&error)),
        Err(_) => Err(runtime::Error::Internal.into()),
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "two are the caller's, the rest are the server's own")]
fn told(error: &AccessError) -> Error {
    match error {
        AccessError::NoToken(_) => Error::not_found("API key not found"),
        AccessError::TooMany(most) => {
            Error::conflict(format!("There are {most} API keys, as many as there may be; delete one first"))
        }
        other => {
            tracing::error!(error = %other, "the tokens cannot be read or changed");
            runtime::Error::Internal.into()
        }
    }
}

/// A key without the key.
fn shown(token: &Token) -> Value {
    let key = token.key.as_ref();
    let mut shown = json!({
        "id": token.name,
        "name": key.map(|key| key.label.as_str()).unwrap_or_default(),
        "key_prefix": key.map(|key| key.begins_with.as_str()).unwrap_or_default(),
        "scopes": [if token.role == Role::Admin { ALL_SCOPES } else { MEMBER_SCOPE }],
        "created_at": moment(token.created),
    });
    if let (Some(end), Some(fields)) = (token.expires, shown.as_object_mut()) {
        fields.insert("expires_at".into(), moment(end).into());
    }
    shown
}
