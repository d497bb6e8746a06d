//! The interface's description as JSON, and a page of our own to read it: no network, no inline script.

use actix_web::HttpResponse;
use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use actix_web::web::{self, Bytes, ServiceConfig};

use super::endpoint::{Endpoint, mount};
use super::{ServerInfo, agentos, everruns, triage};

const PAGE: &str = include_str!("docs/index.html");
const SCRIPT: &str = include_str!("docs/app.js");
const STYLE: &str = include_str!("docs/style.css");
const ICON: &str = include_str!("docs/icon.svg");

/// What the page may load: itself.
const POLICY: &str = "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Mounts `/openapi.json`, the other surfaces' descriptions, and the page at `/docs` and `/redoc`.
pub(super) fn configure(routes: &mut ServiceConfig, server: &ServerInfo) {
    // Its links begin at the root.
    let behind = |path: &str| format!("\"{}{path}", server.prefix);
    let linked = PAGE.replace("\"/docs/", &behind("/docs/")).replace("\"/openapi", &behind("/openapi"));
    let page = always("text/html; charset=utf-8", Bytes::from(linked));
    let asking = SCRIPT.replace("\"/openapi", &behind("/openapi"));
    let script = always("text/javascript; charset=utf-8", Bytes::from(asking));
    let style = always("text/css; charset=utf-8", Bytes::from_static(STYLE.as_bytes()));
    let icon = always("image/svg+xml", Bytes::from_static(ICON.as_bytes()));
    let pages = vec![
        Endpoint::get("/docs", page.clone()),
        Endpoint::get("/redoc", page),
        Endpoint::get("/docs/app.js", script),
        Endpoint::get("/docs/style.css", style),
        Endpoint::get("/docs/icon.svg", icon),
    ];
    mount(pages, routes);
    let documents = [
        ("/openapi.json", agentos::document(server).to_json()),
        (everruns::DOCUMENT_PATH, everruns::document(server).to_json()),
        (triage::DOCUMENT_PATH, serde_json::to_string(&triage::document(server))),
    ];
    for (path, document) in documents {
        let document = Bytes::from(document.unwrap_or_default());
        let document = move || {
            let document = document.clone();
            async move { HttpResponse::Ok().content_type("application/json").body(document) }
        };
        routes.service(web::resource(path).route(web::get().to(document)));
    }
}

/// A handler that always gives the same.
fn always(
    kind: &'static str,
    text: Bytes,
) -> impl Fn() -> std::future::Ready<HttpResponse> + Clone + 'static {
    move || std::future::ready(file(kind, text.clone()))
}

fn file(kind: &'static str, text: Bytes) -> HttpResponse {
    HttpResponse::Ok()
        .content_type(kind)
        .insert_header((CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((X_FRAME_OPTIONS, "DENY"))
        .insert_header((REFERRER_POLICY, "no-referrer"))
        .insert_header((CACHE_CONTROL, "no-cache"))
        .body(text)
}
