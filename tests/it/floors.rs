//! Who may see whom: modules import only from floors below their own, and what is dangerous has one home.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// From the ground up; a module imports only from lower floors.
const FLOORS: [&[&str]; 7] = [
    &["domain"],
    &["machine"],
    &["store", "llm", "capability"],
    &["runtime"],
    &[
        "access",
        "triage",
        "servers",
        "providers",
        "images",
        "knowledge",
        "memory",
        "schedules",
        "approvals",
        "metrics",
        "traces",
    ],
    &["api", "console"],
    &["app", "cli", "main", "lib", "config"],
];

/// Seen from this floor up.
const CLOCK_FROM: usize = 2;

/// Crates, and the only places that may name them.
const HOMES: [(&str, &[&str]); 7] = [
    ("actix_", &["api/", "console/", "app.rs"]),
    ("sled::", &["store/"]),
    ("redb::", &["store/"]),
    ("async_openai", &["llm/openai/"]),
    ("postgres", &["store/"]),
    ("rmcp", &["capability/mcp/"]),
    ("rusqlite", &["runtime/databases/"]),
];

/// Names that say nothing about what is inside.
const DRAWERS: [&str; 6] = ["utils", "util", "helpers", "common", "types", "misc"];

/// A source file: its path below `src`, and its text without comments and strings.
struct Source {
    path: String,
    text: String,
    code: String,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![root.clone()];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                found.push(source(&path, &root));
            }
        }
    }
    found.sort_by(|one, other| one.path.cmp(&other.path));
    assert!(found.len() > 50, "the scanner found only {} files", found.len());
    found
}

fn source(path: &PathBuf, root: &Path) -> Source {
    let text = fs::read_to_string(path).unwrap();
    let path = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
    Source { path, code: code_of(&text), text }
}

/// The text with comments and the insides of strings blanked out.
fn code_of(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if rest.starts_with("r#\"") {
            rest.get(3..).unwrap().find("\"#").map_or(rest.len(), |end| end + 5)
        } else if rest.starts_with("'\"'") {
            3
        } else if first == '"' {
            string_length(rest)
        } else {
            code.push(first);
            rest = rest.get(first.len_utf8()..).unwrap();
            continue;
        };
        code.push(' ');
        rest = rest.get(skipped..).unwrap();
    }
    code
}

fn string_length(text: &str) -> usize {
    let mut escaped = false;
    for (at, letter) in text.char_indices().skip(1) {
        match letter {
            '\\' if !escaped => escaped = true,
            '"' if !escaped => return at + 1,
            _ => escaped = false,
        }
    }
    text.len()
}

/// Every `crate::a::b` in the code, groups taken apart, `super` and `self` made whole; as `a::b`.
fn imports(path: &str, code: &str) -> BTreeSet<String> {
    let code: String =
        code.split_whitespace().collect::<Vec<_>>().join(" ").replace(":: ", "::").replace(" ::", "::");
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let before = code.get(..at).and_then(|before| before.chars().next_back());
        if before.is_none_or(|letter| !letter.is_alphanumeric() && letter != '_') {
            take_apart("", code.get(at + "crate::".len()..).unwrap(), &mut found);
        }
    }
    for (at, _) in code.match_indices("super::") {
        if code.get(..at).is_some_and(|before| before.ends_with("::")) {
            continue;
        }
        let rest = code.get(at..).unwrap();
        let ups = rest.split("::").take_while(|part| *part == "super").count();
        let mut home = module_of(path);
        home.truncate(home.len().saturating_sub(ups));
        let below = rest.get(ups * "super::".len()..).unwrap();
        if home.is_empty() {
            take_apart("", below, &mut found);
        }
    }
    found
}

/// `runtime/catalog/mod.rs` is `[runtime, catalog]`; a test module within counts as its file.
fn module_of(path: &str) -> Vec<String> {
    let path = path.trim_end_matches(".rs").trim_end_matches("/mod");
    path.split('/').map(Into::into).collect()
}

/// Reads a path, or a group of paths in braces, that stands at the start of the text.
fn take_apart(prefix: &str, text: &str, found: &mut BTreeSet<String>) {
    let text = text.trim_start();
    if let Some(group) = text.strip_prefix('{') {
        for part in members(group) {
            take_apart(prefix, &part, found);
        }
        return;
    }
    let end = text.find(|letter: char| !letter.is_alphanumeric() && letter != '_').unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let path = if prefix.is_empty() { name.to_owned() } else { format!("{prefix}::{name}") };
    match rest.strip_prefix("::") {
        Some(below) if !name.is_empty() && !below.starts_with('<') => take_apart(&path, below, found),
        _ => {
            found.insert(path);
        }
    }
}

/// The members of a group, up to the brace that ends it.
fn members(group: &str) -> Vec<String> {
    let mut depth = 0_usize;
    let mut parts = vec![String::new()];
    for letter in group.chars() {
        match letter {
            '}' if depth == 0 => break,
            ',' if depth == 0 => parts.push(String::new()),
            _ => {
                depth = depth + usize::from(letter == '{') - usize::from(letter == '}');
                parts.last_mut().unwrap().push(letter);
            }
        }
    }
    parts.into_iter().map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
}

fn floor_of(module: &str) -> Option<usize> {
    FLOORS.iter().position(|floor| floor.contains(&module))
}

/// Why a module may not see another.
fn objection(from: &str, to: &str) -> Option<String> {
    let Some(here) = floor_of(from) else {
        return (from != "clock").then(|| format!("`{from}` stands on no floor"));
    };
    if from == to || from == "lib" || from == "main" {
        return None;
    }
    if to == "clock" {
        return (here < CLOCK_FROM).then(|| format!("{from} sees the clock"));
    }
    if to == "config" {
        return (!["app", "cli"].contains(&from)).then(|| format!("{from} sees config"));
    }
    let there = floor_of(to)?;
    let is_top = here == FLOORS.len() - 1;
    (there > here || (there == here && !is_top)).then(|| format!("{from} sees {to}"))
}

/// Everything that is wrong with who sees whom in a file.
fn upward(path: &str, code: &str) -> Vec<String> {
    let from = module_of(path).first().unwrap().clone();
    let imports = imports(path, code);
    let targets: BTreeSet<&str> = imports.iter().filter_map(|path| path.split("::").next()).collect();
    targets.into_iter().filter_map(|to| objection(&from, to)).map(|what| format!("{path}: {what}")).collect()
}

/// Imports of one surface by another.
fn sideways(path: &str, code: &str) -> Vec<String> {
    let Some(surface) =
        path.strip_prefix("api/").and_then(|below| below.split_once('/')).map(|(name, _)| name)
    else {
        return Vec::new();
    };
    let surfaces = ["agentos", "everruns", "triage"];
    let imports = imports(path, code);
    let foreign = imports.iter().filter_map(|import| import.strip_prefix("api::"));
    let foreign = foreign.filter_map(|below| below.split("::").next());
    let foreign = foreign.filter(|name| surfaces.contains(name) && *name != surface);
    foreign.map(|name| format!("{path}: the surface {surface} sees {name}")).collect()
}

/// Crates named where they have no home.
fn strays(path: &str, code: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (name, homes) in HOMES {
        let is_home = homes.iter().any(|home| path.starts_with(home));
        let own = code.contains(&format!("mod {}", name.trim_end_matches("::")));
        if !is_home && !own && words_with(code, name) {
            found.push(format!("{path}: names {name}"));
        }
    }
    if (path.starts_with("domain") || path.starts_with("machine")) && words_with(code, "tokio") {
        found.push(format!("{path}: names tokio"));
    }
    found
}

/// Whether the code has this at the beginning of a path.
fn words_with(code: &str, name: &str) -> bool {
    code.match_indices(name).any(|(at, _)| {
        let before = code.get(..at).and_then(|before| before.chars().next_back());
        before.is_none_or(|letter| !letter.is_alphanumeric() && letter != '_' && letter != ':')
    })
}

fn all_of(check: fn(&str, &str) -> Vec<String>) -> Vec<String> {
    sources().iter().flat_map(|source| check(&source.path, &source.code)).collect()
}

#[test]
fn modules_import_only_from_lower_floors() {
    assert_eq!(all_of(upward), Vec::<String>::new());
}

#[test]
fn a_surface_does_not_know_another() {
    assert_eq!(all_of(sideways), Vec::<String>::new());
}

#[test]
fn the_web_server_the_stores_the_provider_and_the_executor_have_one_home_each() {
    assert_eq!(all_of(strays), Vec::<String>::new());
}

#[test]
fn every_file_begins_by_saying_why_it_exists() {
    let silent: Vec<String> = sources()
        .into_iter()
        .filter(|source| !source.text.starts_with("//!"))
        .map(|source| source.path)
        .collect();
    assert_eq!(silent, Vec::<String>::new());
}

#[test]
fn no_module_is_a_drawer() {
    let is_drawer = |path: &str| module_of(path).iter().any(|name| DRAWERS.contains(&name.as_str()));
    let drawers: Vec<String> =
        sources().into_iter().map(|source| source.path).filter(|path| is_drawer(path)).collect();
    assert_eq!(drawers, Vec::<String>::new());
}

#[test]
fn the_scanner_sees_groups_inline_paths_and_paths_through_super() {
    let code = code_of(
        "use crate::{api::{self, sse}, domain::id::RunId};\n\
         // use crate::cli::in_a_comment;\n\
         fn f() -> crate::app::App { let s = \"crate::main\"; super::super::config::Config::load() }\n",
    );
    let all: Vec<String> = imports("runtime/driver.rs", &code).into_iter().collect();
    assert_eq!(
        all,
        ["api::self", "api::sse", "app::App", "config::Config::load", "domain::id::RunId"].map(String::from)
    );
    assert_eq!(
        upward("runtime/driver.rs", &code),
        [
            "runtime/driver.rs: runtime sees api",
            "runtime/driver.rs: runtime sees app",
            "runtime/driver.rs: runtime sees config",
        ]
    );
}

#[test]
fn the_scanner_objects_to_neighbours_strangers_and_strays() {
    assert_eq!(upward("store/mod.rs", "use crate::llm::Model;"), ["store/mod.rs: store sees llm"]);
    assert_eq!(
        upward("machine/agent.rs", "use crate::clock::Clock;"),
        ["machine/agent.rs: machine sees the clock"]
    );
    assert_eq!(upward("api/mod.rs", "use crate::config::Config;"), ["api/mod.rs: api sees config"]);
    assert_eq!(upward("drawer.rs", "use crate::domain::Object;"), ["drawer.rs: `drawer` stands on no floor"]);
    assert_eq!(
        sideways("api/agentos/runs.rs", "use crate::api::everruns::messages;"),
        ["api/agentos/runs.rs: the surface agentos sees everruns"]
    );
    assert_eq!(strays("runtime/mod.rs", "use actix_web::web;"), ["runtime/mod.rs: names actix_"]);
    assert_eq!(
        strays("machine/mod.rs", "async fn f() { tokio::spawn(g()) }"),
        ["machine/mod.rs: names tokio"]
    );
}
