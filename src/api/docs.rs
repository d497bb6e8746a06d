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
    let page = || async { file("text/html; charset=utf-8", PAGE) };
    let script = || async { file("text/javascript; charset=utf-8", SCRIPT) };
    let style = || async { file("text/css; charset=utf-8", STYLE) };
    let icon = || async { file("image/svg+xml", ICON) };
    let pages = vec![
        Endpoint::get("/docs", page),
        Endpoint::get("/redoc", page),
        Endpoint::get("/docs/app.js", script),
        Endpoint::get("/docs/style.css", style),
        Endpoint::get("/docs/icon.svg", icon),
    ];
    mount(pages, routes);
    let documents = [
        ("/openapi.json", agentos::document(server).to_json()),
        (everruns::DOCUMENT_PATH, serde_json::to_string(&everruns::document(server))),
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

fn file(kind: &'static str, text: &'static str) -> HttpResponse {
    HttpResponse::Ok()
        .content_type(kind)
        .insert_header((CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((X_FRAME_OPTIONS, "DENY"))
        .insert_header((REFERRER_POLICY, "no-referrer"))
        .insert_header((CACHE_CONTROL, "no-cache"))
        .body(text)
}
