//! One line of a surface's table: what mounts a route also describes it, so that the two cannot drift apart.

use std::collections::BTreeMap;

use actix_web::guard::{Any, Get, Head};
use actix_web::web::{self, ServiceConfig};
use actix_web::{FromRequest, Handler, HttpRequest, Responder, Route};
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa::openapi::path::{
    HttpMethod, Operation, OperationBuilder, Parameter as Described, ParameterBuilder, ParameterIn,
};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::Schema;
use utoipa::openapi::security::SecurityRequirement;
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Required, Response, ResponseBuilder};

use super::{guard, once};

/// The name of the way to authenticate, in documents.
pub const BEARER: &str = "HTTPBearer";

/// How a place in a path ends that takes the whole rest, slashes included.
pub const REST: &str = ":.*}";

/// A route and its description.
pub struct Endpoint {
    /// As in `GET`.
    pub method: HttpMethod,
    /// With places for ids: `/sessions/{session_id}`.
    pub path: String,
    /// Its description.
    pub operation: OperationBuilder,
    /// Schemas the description names.
    pub schemas: Vec<(String, RefOr<Schema>)>,
    route: Route,
    open: bool,
    once: bool,
}

/// A parameter of a query or form, as documents show it.
#[derive(Debug, Clone, Copy)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub kind: ParameterKind,
    /// What it does.
    pub about: &'static str,
}

/// What a parameter is.
#[derive(Debug, Clone, Copy)]
pub enum ParameterKind {
    /// Text.
    Text,
    /// Text that must be there.
    RequiredText,
    /// Text; may be repeated.
    Texts,
    /// One of these, in any case; may be repeated.
    Choices(&'static [&'static str]),
    /// A whole number of at least this.
    Number(u64),
    /// A truth value.
    Flag,
    /// One of these.
    Choice(&'static [&'static str]),
    /// A file; may be repeated.
    Files,
}

impl Parameter {
    /// A parameter.
    pub const fn new(name: &'static str, kind: ParameterKind, about: &'static str) -> Self {
        Self { name, kind, about }
    }
}

impl ParameterKind {
    /// As JSON Schema has it.
    pub fn schema(self) -> Value {
        match self {
            Self::Text | Self::RequiredText => json!({ "type": "string" }),
            Self::Texts => json!({ "type": "array", "items": { "type": "string" } }),
            Self::Choices(words) => json!({ "type": "array", "items": { "type": "string", "enum": words } }),
            Self::Number(least) => json!({ "type": "integer", "minimum": least }),
            Self::Flag => json!({ "type": "boolean" }),
            Self::Choice(words) => json!({ "type": "string", "enum": words }),
            Self::Files => json!({ "type": "array", "items": { "type": "string", "format": "binary" } }),
        }
    }

    fn is_required(self) -> bool {
        matches!(self, Self::RequiredText)
    }
}

impl Endpoint {
    /// `GET`, and `HEAD` with it.
    pub fn get<F, A>(path: impl Into<String>, handler: F) -> Self
    where
        F: Handler<A>,
        A: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        let get_or_head = Any(Get()).or(Head());
        Self::new(HttpMethod::Get, path.into(), web::route().guard(get_or_head).to(handler))
    }

    /// `POST`.
    pub fn post<F, A>(path: impl Into<String>, handler: F) -> Self
    where
        F: Handler<A>,
        A: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        Self::new(HttpMethod::Post, path.into(), web::post().to(handler))
    }

    /// `PUT`.
    pub fn put<F, A>(path: impl Into<String>, handler: F) -> Self
    where
        F: Handler<A>,
        A: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        Self::new(HttpMethod::Put, path.into(), web::put().to(handler))
    }

    /// `PATCH`.
    pub fn patch<F, A>(path: impl Into<String>, handler: F) -> Self
    where
        F: Handler<A>,
        A: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        Self::new(HttpMethod::Patch, path.into(), web::patch().to(handler))
    }

    /// `DELETE`.
    pub fn delete<F, A>(path: impl Into<String>, handler: F) -> Self
    where
        F: Handler<A>,
        A: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        Self::new(HttpMethod::Delete, path.into(), web::delete().to(handler))
    }

    fn new(method: HttpMethod, path: String, route: Route) -> Self {
        let shown = shown(&path);
        let places = shown.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
        let mut operation = OperationBuilder::new();
        for place in places {
            operation =
                operation.parameter(described(place, ParameterKind::RequiredText, "", ParameterIn::Path));
        }
        Self { method, path, operation, schemas: Vec::new(), route, open: false, once: false }
    }

    /// Its stable name, its group and what it does.
    #[must_use]
    pub fn named(mut self, id: &str, tag: &str, summary: &str) -> Self {
        self.operation = self.operation.operation_id(Some(id)).tag(tag).summary(Some(summary));
        self
    }

    /// The same below another path, whose places it names too.
    #[must_use]
    pub fn below(mut self, prefix: &str) -> Self {
        for place in prefix.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')) {
            let place = described(place, ParameterKind::RequiredText, "", ParameterIn::Path);
            self.operation = self.operation.parameter(place);
        }
        self.path = format!("{prefix}{}", self.path);
        self
    }

    /// The same in another group, under another name.
    #[must_use]
    pub fn renamed(mut self, id: &str, tag: &str) -> Self {
        self.operation = self.operation.operation_id(Some(id)).tags(Some([tag]));
        self
    }

    /// Takes this header.
    #[must_use]
    pub fn header(mut self, name: &str, about: &str) -> Self {
        self.operation =
            self.operation.parameter(described(name, ParameterKind::Text, about, ParameterIn::Header));
        self
    }

    /// Needs no token. Says so only: the door's own list decides.
    #[must_use]
    pub fn open(mut self) -> Self {
        self.open = true;
        self
    }

    /// Carries out once what comes under one `Idempotency-Key`. Says so only: the handler takes the claim.
    #[must_use]
    pub fn once(mut self) -> Self {
        let about = "1 to 255 visible ASCII characters. The same request of the same caller under the same key within \
                     24 hours is carried out once, and answered as it was the first time. Its run goes on without its client.";
        let header = described(once::HEADER, ParameterKind::Text, about, ParameterIn::Header);
        self.operation = self.operation.parameter(header);
        self.once = true;
        self
    }

    /// Takes these in its query.
    #[must_use]
    pub fn query(mut self, parameters: &[Parameter]) -> Self {
        for parameter in parameters {
            self.operation = self.operation.parameter(described(
                parameter.name,
                parameter.kind,
                parameter.about,
                ParameterIn::Query,
            ));
        }
        self
    }

    /// Takes a JSON body.
    #[must_use]
    pub fn reads<T: ToSchema>(mut self, required: bool) -> Self {
        let schema = self.reference::<T>();
        self.body([("application/json", schema)], required)
    }

    /// Takes a body of one of these content types, each of a schema that the surface's document holds under a name.
    #[must_use]
    pub fn takes<const N: usize>(self, kinds: [(&str, &str); N], required: bool) -> Self {
        self.body(kinds.map(|(kind, name)| (kind, Ref::from_schema_name(name).into())), required)
    }

    fn body<const N: usize>(mut self, kinds: [(&str, RefOr<Schema>); N], required: bool) -> Self {
        let required = if required { Required::True } else { Required::False };
        let body = kinds.into_iter().fold(RequestBodyBuilder::new(), |body, (kind, schema)| {
            body.content(kind, ContentBuilder::new().schema(Some(schema)).build())
        });
        self.operation = self.operation.request_body(Some(body.required(Some(required)).build()));
        self
    }

    /// Takes these in a form, multipart or urlencoded.
    #[must_use]
    pub fn form(mut self, parameters: &[Parameter]) -> Self {
        let properties: serde_json::Map<String, Value> = parameters
            .iter()
            .map(|parameter| {
                let mut schema = parameter.kind.schema();
                if let Some(fields) = schema.as_object_mut() {
                    fields.insert("description".into(), parameter.about.into());
                }
                (parameter.name.to_owned(), schema)
            })
            .collect();
        let required: Vec<&str> = parameters
            .iter()
            .filter(|parameter| parameter.kind.is_required())
            .map(|parameter| parameter.name)
            .collect();
        let schema = schema(json!({ "type": "object", "properties": properties, "required": required }));
        let needed = if required.is_empty() { Required::False } else { Required::True };
        let mut body = RequestBodyBuilder::new().required(Some(needed));
        for kind in ["multipart/form-data", "application/x-www-form-urlencoded"] {
            body = body.content(kind, ContentBuilder::new().schema(schema.clone()).build());
        }
        self.operation = self.operation.request_body(Some(body.build()));
        self
    }

    /// Answers with JSON of this type.
    #[must_use]
    pub fn answers<T: ToSchema>(mut self, status: &str, about: &str) -> Self {
        let schema = self.reference::<T>();
        self.responds(status, about, schema)
    }

    /// Answers with JSON of a schema that the surface's document holds under this name.
    #[must_use]
    pub fn tells(self, status: &str, about: &str, name: &str) -> Self {
        self.responds(status, about, Ref::from_schema_name(name).into())
    }

    fn responds(mut self, status: &str, about: &str, schema: RefOr<Schema>) -> Self {
        let content = ContentBuilder::new().schema(Some(schema)).build();
        let response = ResponseBuilder::new().description(about).content("application/json", content);
        self.operation = self.operation.response(status, response.build());
        self
    }

    /// Answers with a list of this type.
    #[must_use]
    pub fn lists<T: ToSchema>(mut self, about: &str) -> Self {
        let items = serde_json::to_value(self.reference::<T>()).unwrap_or_default();
        let list = schema(json!({ "type": "array", "items": items }));
        let content = ContentBuilder::new().schema(list).build();
        let response = ResponseBuilder::new().description(about).content("application/json", content);
        self.operation = self.operation.response("200", response.build());
        self
    }

    /// Answers with one of these content types, or with nothing.
    #[must_use]
    pub fn gives(mut self, status: &str, about: &str, kinds: &[&str]) -> Self {
        let mut response = ResponseBuilder::new().description(about);
        for kind in kinds {
            response = response.content(*kind, ContentBuilder::new().build());
        }
        self.operation = self.operation.response(status, response.build());
        self
    }

    /// May fail like this; `detail` is text, for 422 a list.
    #[must_use]
    pub fn fails(mut self, status: &str, about: &str) -> Self {
        self.operation = self.operation.response(status, failure(about));
        self
    }

    /// The description, complete, with the failures that any request may meet.
    pub fn describe(self) -> (HttpMethod, String, Operation, Vec<(String, RefOr<Schema>)>) {
        let scopes: [&str; 0] = [];
        let (method, path, schemas, open, once) =
            (self.method, shown(&self.path), self.schemas, self.open, self.once);
        let mut operation = self.operation;
        if !open {
            operation = operation.security(SecurityRequirement::new(BEARER, scopes));
        }
        let mut operation = operation.build();
        let told = &mut operation.responses.responses;
        told.entry("400".into()).or_insert_with(|| failure("The request is broken, or not text").into());
        if once {
            told.entry("409".into())
                .or_insert_with(|| failure("The key was used for another request").into());
        }
        if !open {
            told.entry("422".into()).or_insert_with(|| failure("A field is wrong").into());
            let missing = ResponseBuilder::new().description("No token, or one that is not known").build();
            operation.responses.responses.insert("401".into(), missing.into());
        }
        (method, path, operation, schemas)
    }

    fn reference<T: ToSchema>(&mut self) -> RefOr<Schema> {
        let name = T::name();
        self.schemas.push((name.to_string(), T::schema()));
        T::schemas(&mut self.schemas);
        RefOr::Ref(Ref::from_schema_name(name))
    }
}

/// The path as documents have it: a place that takes the whole rest is a place like others.
fn shown(path: &str) -> String {
    path.replace(REST, "}")
}

/// An answer that tells what went wrong.
fn failure(about: &str) -> Response {
    let list = json!({ "type": "array", "items": { "type": "object" } });
    let detail = json!({ "oneOf": [{ "type": "string" }, list] });
    let whole = json!({ "type": "object", "properties": { "detail": detail }, "required": ["detail"] });
    let content = ContentBuilder::new().schema(schema(whole)).build();
    ResponseBuilder::new().description(about).content("application/json", content).build()
}

fn described(name: &str, kind: ParameterKind, about: &str, place: ParameterIn) -> Described {
    let required = if kind.is_required() { Required::True } else { Required::False };
    ParameterBuilder::new()
        .name(name)
        .parameter_in(place)
        .required(required)
        .description((!about.is_empty()).then_some(about))
        .schema(schema(kind.schema()))
        .build()
}

/// A schema written as JSON.
fn schema(value: Value) -> Option<RefOr<Schema>> {
    serde_json::from_value::<Schema>(value).ok().map(RefOr::T)
}

/// Mounts endpoints: those of one path together, so that another method there is 405 and not 404.
pub fn mount(endpoints: Vec<Endpoint>, routes: &mut ServiceConfig) {
    let mut paths: BTreeMap<String, Vec<Endpoint>> = BTreeMap::new();
    for endpoint in endpoints {
        paths.entry(endpoint.path.clone()).or_default().push(endpoint);
    }
    for (path, endpoints) in paths {
        let mut allowed: Vec<&str> = endpoints.iter().map(|endpoint| verb(&endpoint.method)).collect();
        if allowed.contains(&"GET") {
            allowed.push("HEAD");
        }
        let allowed = allowed.join(", ");
        let mut resource = web::resource(path.as_str());
        for endpoint in endpoints {
            resource = resource.route(endpoint.route);
        }
        routes.service(resource.default_service(web::to(move |request: HttpRequest| {
            let answer = guard::wrong_method(request.path(), &allowed);
            async move { answer }
        })));
    }
}

/// As a request line has it.
pub fn verb(method: &HttpMethod) -> &'static str {
    match method {
        HttpMethod::Get => "GET",
        HttpMethod::Post => "POST",
        HttpMethod::Put => "PUT",
        HttpMethod::Delete => "DELETE",
        HttpMethod::Options => "OPTIONS",
        HttpMethod::Head => "HEAD",
        HttpMethod::Patch => "PATCH",
        HttpMethod::Trace => "TRACE",
    }
}
