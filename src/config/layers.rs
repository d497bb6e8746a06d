//! Defaults, file and variables, one over the other, each value with its origin.
//!
//! Each layer is checked strictly by itself before it is merged: a merged table has forgotten its lines.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use toml::de::{DeTable, DeValue};
use toml::{Table, Value};

use super::keys::{closest_variable, is_known};
use super::{Complaint, Config};
use crate::runtime::catalog::fault::{At, Fault, Source, plain_words};

/// Every key with its default.
pub const DEFAULTS: &str = include_str!("../../config/default.toml");

/// Variables that stand for no key: the file's name, and what the server tells the programs it runs as tools,
/// which may be this program again.
const NO_KEYS: [&str; 5] =
    ["RUNHOLD_CONFIG", "RUNHOLD_IDEMPOTENCY_KEY", "RUNHOLD_RUN", "RUNHOLD_SESSION", "RUNHOLD_USER"];

/// Names that other servers gave to what is a key here, and the variable of that key, which counts before them.
const OTHER_NAMES: [(&str, &str); 5] = [
    ("API_PREFIX", "RUNHOLD_SERVER__PREFIX"),
    ("PORT", "RUNHOLD_PORT"),
    ("CORS_ALLOWED_ORIGINS", "RUNHOLD_SERVER__CORS_ORIGINS"),
    ("SSE_HEARTBEAT_INTERVAL_SECS", "RUNHOLD_SERVER__STREAM_HEARTBEAT_SECONDS"),
    ("SSE_REALTIME_CYCLE_SECS", "RUNHOLD_SERVER__STREAM_CYCLE_SECONDS"),
];

/// Something wrong with the configuration.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConfigFault {
    /// In a file.
    File(Fault),
    /// In a variable of the environment.
    Variable {
        /// Its name.
        name: String,
        /// What is wrong; never what it holds where that is secret.
        message: String,
    },
}

impl fmt::Display for ConfigFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(fault) => fault.fmt(f),
            Self::Variable { name, message } => write!(f, "{name}: {message}"),
        }
    }
}

impl std::error::Error for ConfigFault {}

/// What was said, and where.
pub(super) struct Layers {
    defaults: Source,
    file: Option<Source>,
    /// Key with dots to the variable that set it.
    variables: BTreeMap<String, String>,
    table: Table,
}

impl Layers {
    pub(super) fn read(
        file: Option<&Path>,
        env: &BTreeMap<String, String>,
    ) -> Result<Self, Vec<ConfigFault>> {
        let defaults = Source { file: "config/default.toml".into(), text: DEFAULTS.into() };
        let mut faults = Vec::new();
        let mut table = strict(&defaults).unwrap_or_else(|fault| {
            faults.push(ConfigFault::File(fault));
            Table::new()
        });
        let mut source = None;
        match file.map(open).transpose() {
            Ok(None) => {}
            Ok(Some((opened, said))) => {
                lay(&mut table, said);
                source = Some(opened);
            }
            Err(fault) => faults.push(ConfigFault::File(fault)),
        }
        let mut variables = BTreeMap::new();
        for (name, value) in env.iter().filter(|(name, _)| !NO_KEYS.contains(&name.as_str())) {
            let Some(rest) = key_of(name, env) else { continue };
            let path: Vec<String> = rest.to_lowercase().split("__").map(str::to_owned).collect();
            match variable(name, &path, value) {
                Ok(said) => {
                    lay(&mut table, said);
                    variables.insert(path.join("."), name.clone());
                }
                Err(message) => faults.push(ConfigFault::Variable { name: name.clone(), message }),
            }
        }
        if faults.is_empty() { Ok(Self { defaults, file: source, variables, table }) } else { Err(faults) }
    }

    pub(super) fn merged(&self) -> Result<Config, Vec<ConfigFault>> {
        self.table.clone().try_into().map_err(|error: toml::de::Error| {
            vec![ConfigFault::File(Fault::of(&self.defaults.file, plain_words(error.message())))]
        })
    }

    /// A complaint, put to the variable or the line that gave rise to it.
    pub(super) fn blame(&self, complaint: Complaint) -> ConfigFault {
        let Complaint { key, message } = complaint;
        if let Some(name) = self.variables.get(&key) {
            return ConfigFault::Variable { name: name.clone(), message };
        }
        let path: Vec<&str> = key.split('.').collect();
        let whole = |source: &Source| place_of(source, &path);
        let section = |source: &Source| place_of(source, path.split_last().map_or(&[], |(_, above)| above));
        let message = format!("`{key}`: {message}");
        let sources = || self.file.iter().chain([&self.defaults]);
        let found = sources()
            .find_map(|source| Some((source, whole(source)?)))
            .or_else(|| sources().find_map(|source| Some((source, section(source)?))));
        let (source, at) = found.unwrap_or((&self.defaults, At::START));
        ConfigFault::File(source.fault(at, message))
    }
}

/// What of a variable's name names a key; `None` if it names none.
fn key_of<'a>(name: &'a str, env: &BTreeMap<String, String>) -> Option<&'a str> {
    let other = OTHER_NAMES.iter().find(|(other, own)| *other == name && !env.contains_key(*own));
    other.map_or(name, |(_, own)| *own).strip_prefix("RUNHOLD_")
}

fn open(file: &Path) -> Result<(Source, Table), Fault> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| Fault::of(file, format!("the configuration cannot be read: {error}")))?;
    let source = Source { file: file.into(), text };
    let table = strict(&source)?;
    Ok((source, table))
}

/// The file as a table, once it is known to be a configuration.
fn strict(source: &Source) -> Result<Table, Fault> {
    let fault = |error: toml::de::Error| {
        let at = error.span().map_or(At::START, |span| source.at_bytes(span));
        source.fault(at, plain_words(error.message()))
    };
    toml::from_str::<Config>(&source.text).map_err(fault)?;
    toml::from_str(&source.text).map_err(fault)
}

/// Puts one table over another. What says where things are kept replaces what was said before.
fn lay(base: &mut Table, over: Table) {
    if over.contains_key("store") {
        base.remove("store");
    }
    for (key, value) in over {
        match (base.get_mut(&key), value) {
            (Some(Value::Table(below)), Value::Table(above)) => lay(below, above),
            (_, value) => {
                base.insert(key, value);
            }
        }
    }
}

/// The table a variable stands for: the first reading of its text that the configuration accepts.
fn variable(name: &str, path: &[String], text: &str) -> Result<Table, String> {
    if path == ["store"] {
        return accepted(path, table_named(text));
    }
    if !is_known(path) {
        return Err(format!("no such variable; the closest is {}", closest_variable(name)));
    }
    let number = text.parse().map(Value::Integer).ok();
    let list = text.split(',').map(|part| Value::String(part.trim().into())).collect();
    let readings = [Some(Value::String(text.into())), number, Some(Value::Array(list))];
    let mut message = String::new();
    for reading in readings.into_iter().flatten() {
        let is_list = reading.is_array();
        match accepted(path, reading) {
            Ok(table) => return Ok(table),
            Err(_) if is_list => {}
            Err(reason) => message = reason,
        }
    }
    Err(message)
}

fn table_named(name: &str) -> Value {
    Value::Table(Table::from_iter([(name.to_owned(), Value::Table(Table::new()))]))
}

fn accepted(path: &[String], value: Value) -> Result<Table, String> {
    let nested =
        path.iter().rev().fold(value, |inner, key| Value::Table(Table::from_iter([(key.clone(), inner)])));
    let Value::Table(table) = nested else { return Err("names no key".into()) };
    match table.clone().try_into::<Config>() {
        Ok(_) => Ok(table),
        Err(error) => Err(plain_words(error.message())),
    }
}

/// Where a file names a key.
fn place_of(source: &Source, path: &[&str]) -> Option<At> {
    let root = DeTable::parse(&source.text).ok()?;
    let mut table: &DeTable<'_> = root.get_ref();
    let mut place = None;
    for segment in path {
        let (key, value) = table.iter().find(|(key, _)| key.get_ref() == segment)?;
        place = Some(source.at_bytes(key.span()));
        match value.get_ref() {
            DeValue::Table(inner) => table = inner,
            DeValue::String(_)
            | DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_)
            | DeValue::Array(_) => {}
        }
    }
    place
}
