//! Servers that speak MCP: `[mcp.NAME]`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Complaint, Secret};
use crate::capability::egress::Reach;
use crate::capability::mcp::{DEADLINE, Route, Settings};
use crate::runtime::catalog::yaml::HumanDuration;

/// A server whose tools agents can be given, as the capability `mcp:NAME`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct McpConfig {
    /// A sentence about it for people.
    pub description: Option<String>,
    /// A program of this machine, and its arguments; or else `url`.
    pub command: Vec<String>,
    /// With `command`: the folder it runs in.
    pub directory: Option<PathBuf>,
    /// With `command`: names of variables it sees beside `PATH`, `HOME`, `LANG`, `TMPDIR` and `TZ`.
    pub environment: Vec<String>,
    /// The address of a server that speaks HTTP; or else `command`.
    pub url: Option<String>,
    /// With `url`: headers, as in `Authorization: Bearer ${NAME}`, where `NAME` is a variable.
    pub headers: Vec<String>,
    /// With `url`: hosts and networks it may be in though they are private.
    pub allow_private: Vec<String>,
    /// How long a call may take.
    pub timeout: Option<HumanDuration>,
    /// Whether tools that are described otherwise than at first are offered all the same.
    pub accept_changes: bool,
    /// The headers with what the variables hold.
    #[serde(skip)]
    pub filled: Vec<(String, Secret)>,
}

impl McpConfig {
    /// How the server of this name is spoken to.
    ///
    /// # Errors
    /// A sentence that names what does not fit; no secret.
    pub fn settings(&self, name: &str) -> Result<Settings, String> {
        let route = match &self.url {
            Some(url) => {
                let reach = Reach::new(None, &self.allow_private)?;
                let headers = self.filled.iter().map(|(name, value)| (name.as_str(), value.expose()));
                Route::http(url, headers, None, reach)?
            }
            None => Route::Program {
                command: self.command.clone(),
                directory: self.directory.clone().unwrap_or_else(|| ".".into()),
                environment: self.environment.clone(),
            },
        };
        Ok(Settings {
            id: name.to_owned(),
            name: name.to_owned(),
            description: self.description.clone(),
            route,
            deadline: self.timeout.map_or(DEADLINE, |length| length.0),
        })
    }
}

/// Gives each its headers, and says what does not fit.
pub(super) fn complete(
    servers: &mut BTreeMap<String, McpConfig>,
    env: &BTreeMap<String, String>,
) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for (name, server) in servers {
        let mut complain = |key: &str, message: String| {
            complaints.push(Complaint { key: format!("mcp.{name}.{key}"), message });
        };
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        if name.is_empty() || !name.chars().all(fits) {
            complain("command", "the server's name may hold letters, digits, `_` and `-`".into());
        }
        match (server.command.first(), &server.url) {
            (Some(_), Some(_)) => complain("url", "does not belong beside `command`".into()),
            (None, None) => complain("command", "is missing; or else `url`".into()),
            (Some(program), None) if program.is_empty() => complain("command", "names no program".into()),
            (Some(_), None) | (None, Some(_)) => {}
        }
        let misplaced = if server.url.is_some() {
            vec![("directory", server.directory.is_some()), ("environment", !server.environment.is_empty())]
        } else {
            vec![("headers", !server.headers.is_empty()), ("allow_private", !server.allow_private.is_empty())]
        };
        for (key, _) in misplaced.into_iter().filter(|(_, given)| *given) {
            complain(key, "does not belong to a server of this kind".into());
        }
        let filled = server.headers.iter().map(|line| filled(line, env)).collect::<Result<_, _>>();
        match filled {
            Ok(filled) => server.filled = filled,
            Err(message) => complain("headers", message),
        }
        if let (Some(_), Err(message)) = (&server.url, server.settings(name)) {
            complain("url", message);
        }
    }
    complaints
}

/// `Name: value`, each `${NAME}` replaced by what the variable holds.
fn filled(line: &str, env: &BTreeMap<String, String>) -> Result<(String, Secret), String> {
    let (name, mut rest) = line
        .split_once(':')
        .map(|(name, value)| (name.trim(), value.trim()))
        .ok_or("a header is written as `Name: value`; variables stand in it as `${NAME}`".to_owned())?;
    let mut value = String::new();
    while let Some((text, after)) = rest.split_once("${") {
        let (variable, after) =
            after.split_once('}').ok_or_else(|| format!("header `{name}`: a `${{` is never closed"))?;
        value.push_str(text);
        let held = env.get(variable).filter(|held| !held.is_empty());
        value.push_str(held.ok_or_else(|| format!("the variable `{variable}` is not set"))?);
        rest = after;
    }
    value.push_str(rest);
    Ok((name.to_owned(), Secret(value)))
}
