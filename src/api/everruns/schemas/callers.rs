//! Who calls: users, organisations, keys; and the harness there is.

use serde_json::{Value, json};

use super::{
    Schemas, about, active_or, exactly, flagged, id, list, named, number, object, sized, text, texts, time,
    times, whole, with,
};
use crate::api::everruns::ids::{HARNESS, KEY, ORG, USER};

pub(super) fn all() -> Schemas {
    let user =
        [("id", id(USER)), ("email", text()), ("name", text()), ("roles", texts()), ("created_at", time())];
    let config = [
        ("mode", exactly("token")),
        ("password_auth_enabled", flagged()),
        ("oauth_providers", texts()),
        ("signup_enabled", flagged()),
    ];
    vec![
        ("User", whole(&user)),
        ("AuthConfig", whole(&config)),
        ("Organization", whole(&[[("id", id(ORG)), ("name", text())].as_slice(), &times()].concat())),
        ("OrganizationSwitch", switch()),
        ("ApiKey", key(&[])),
        ("MadeApiKey", key(&[("key", about(text(), "The key itself; it is never shown again"))])),
        ("NewApiKey", new_key()),
        ("Harness", harness()),
    ]
}

fn switch() -> Value {
    let mut schema = object(&[("org_id", text()), ("organization_id", text())], &[]);
    if let Some(fields) = schema.as_object_mut() {
        fields.remove("required");
        fields
            .insert("anyOf".into(), json!([{ "required": ["org_id"] }, { "required": ["organization_id"] }]));
    }
    schema
}

fn key(more: &[(&str, Value)]) -> Value {
    let always = [
        ("id", id(KEY)),
        ("name", text()),
        ("key_prefix", about(text(), "How it begins")),
        ("scopes", texts()),
        ("created_at", time()),
    ];
    with(&[always.as_slice(), more].concat(), &[("expires_at", time())])
}

fn new_key() -> Value {
    let scopes = about(list(&super::one_of(&["*", "member"])), "Default: *, all that its maker's opens");
    let days = about(number(1), "Default: it does not expire");
    object(&[("name", sized(1..=255)), ("scopes", scopes), ("expires_in_days", days)], &["name"])
}

fn harness() -> Value {
    let fields = [
        ("id", id(HARNESS)),
        ("name", text()),
        ("display_name", text()),
        ("description", text()),
        ("system_prompt", text()),
        ("capabilities", list(&named("AssignedCapability"))),
        ("tags", texts()),
        ("status", active_or("archived")),
    ];
    whole(&[fields.as_slice(), &times()].concat())
}
