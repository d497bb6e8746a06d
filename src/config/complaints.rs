//! What does not fit in a configuration whose every value is of the right kind.

use std::net::IpAddr;

use tracing_subscriber::EnvFilter;

use super::{Config, Secret};
use crate::capability::egress::Reach;
use crate::runtime::catalog::fault::listed;

/// Something that does not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    /// The key, with dots: `server.workers`.
    pub key: String,
    /// What is wrong; no secret.
    pub message: String,
}

impl Config {
    /// What does not fit; empty when the server may start with it.
    pub fn check(&self) -> Vec<Complaint> {
        let checks = [
            ("host", self.check_host()),
            ("token", self.token.as_ref().and_then(check_token)),
            ("log", EnvFilter::try_new(&self.log).err().map(|error| format!("no filter for logs: {error}"))),
            ("os_id", self.os_id.trim().is_empty().then(|| "must not be empty".into())),
            ("name", self.name.trim().is_empty().then(|| "must not be empty".into())),
            ("default_model", self.check_default_model()),
            ("server.prefix", check_prefix(&self.server.prefix)),
            ("server.cors_origins", self.server.cors_origins.iter().find_map(|origin| check_origin(origin))),
            ("network.allow_private", Reach::new(None, &self.network.allow_private).err()),
            ("server.json_bytes", at_least_one(self.server.json_bytes)),
            ("server.multipart_bytes", at_least_one(self.server.multipart_bytes)),
            ("server.workers", at_least_one(self.server.workers)),
            ("server.head_seconds", a_time(self.server.head_seconds)),
            ("server.body_seconds", a_time(self.server.body_seconds)),
            ("server.idle_seconds", a_time(self.server.idle_seconds)),
            ("server.write_seconds", a_time(self.server.write_seconds)),
            ("server.most_connections", at_least_one(self.server.most_connections)),
            ("server.most_streams", at_least_one(self.server.most_streams)),
            ("server.stream_heartbeat_seconds", a_time(self.server.stream_heartbeat_seconds)),
            ("server.stream_cycle_seconds", a_time(self.server.stream_cycle_seconds)),
            ("server.client_tool_seconds", a_time(self.server.client_tool_seconds)),
            ("runs.most_at_once", at_least_one(self.runs.most_at_once)),
        ];
        let complaint = |(key, message): (&str, Option<String>)| {
            message.map(|message| Complaint { key: key.into(), message })
        };
        checks.into_iter().filter_map(complaint).collect()
    }

    /// Nobody puts an open server on a network by accident (promise S32).
    fn check_host(&self) -> Option<String> {
        let loopback = self.host == "localhost" || self.host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
        if self.host.is_empty() {
            return Some("must not be empty".into());
        }
        (!loopback && self.token.is_none()).then(|| {
            format!(
                "listening on `{}` opens the server to others and needs a token: set `token` or RUNHOLD_TOKEN",
                self.host
            )
        })
    }

    fn check_default_model(&self) -> Option<String> {
        let provider = &self.default_model.provider;
        (!self.providers.contains_key(provider)).then(|| {
            let known = listed(self.providers.keys().map(String::as_str));
            format!("no provider `{provider}`; configured: {known}")
        })
    }
}

/// It travels in a header.
fn check_token(token: &Secret) -> Option<String> {
    let fits = !token.expose().is_empty() && token.expose().chars().all(|c| c.is_ascii_graphic());
    (!fits).then(|| "a token is one or more visible ASCII characters without spaces".into())
}

fn check_origin(origin: &str) -> Option<String> {
    let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
    let fits = host.is_some_and(|host| !host.is_empty() && !host.contains(['/', '*', '?', '#', '@', ' ']));
    (!fits).then(|| format!("`{origin}` is no origin; write it as in `https://example.org`, without a path"))
}

/// Segments of letters that need no escape, so that it can be compared as it comes.
fn check_prefix(prefix: &str) -> Option<String> {
    let plain = |part: &str| {
        let letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '~');
        !matches!(part, "" | "." | "..") && part.chars().all(letter)
    };
    let fits = prefix.is_empty()
        || prefix.strip_prefix('/').is_some_and(|rest| rest.trim_end_matches('/').split('/').all(plain))
        || prefix == "/";
    (!fits).then(|| format!("`{prefix}` is no beginning of a path; write it as in `/api`"))
}

fn at_least_one(number: usize) -> Option<String> {
    (number == 0).then(|| "must be at least 1".into())
}

/// Seconds that end while somebody still remembers their beginning.
fn a_time(seconds: u64) -> Option<String> {
    (!(1..=86_400).contains(&seconds)).then(|| "must be between 1 and 86400".into())
}
