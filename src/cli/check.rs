//! `runhold check`: reads everything the server would read at its start, and says what is wrong with it.

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

use crate::app;
use crate::config::Config;
use crate::domain::spec::ComponentKind;
use crate::runtime::catalog::Catalog;

/// Reads the agents of a configuration that has been loaded. Faults go to stderr, a summary to stdout.
pub fn run(config: Config) -> ExitCode {
    let check = match app::check_tools(&config) {
        Ok(check) => check,
        Err(fault) => return refuse(&[format!("{fault:#}")]),
    };
    match Catalog::load(&config.agents, &config.catalog_defaults(&*check)) {
        Ok(catalog) => {
            // A reader that has gone away is no reason to say that the files are wrong.
            let _gone = writeln!(io::stdout(), "{}", summary(&config, &catalog));
            ExitCode::SUCCESS
        }
        Err(faults) => refuse(&faults),
    }
}

/// Prints faults, of the configuration or of agents, one below the other on stderr.
pub fn refuse(faults: &[impl Display]) -> ExitCode {
    let mut stderr = io::stderr().lock();
    for fault in faults {
        let _gone = writeln!(stderr, "{fault}");
    }
    let noun = if faults.len() == 1 { "fault" } else { "faults" };
    let _gone = writeln!(stderr, "{} {noun}", faults.len());
    ExitCode::FAILURE
}

/// What was found, in a line: `OK: 5 agents, 0 teams, 1 workflow in agents`.
pub fn summary(config: &Config, catalog: &Catalog) -> String {
    let count = |kind: ComponentKind, number: usize| {
        format!("{number} {}{}", kind.as_str(), if number == 1 { "" } else { "s" })
    };
    format!(
        "OK: {}, {}, {} in {}",
        count(ComponentKind::Agent, catalog.agents().count()),
        count(ComponentKind::Team, catalog.teams().count()),
        count(ComponentKind::Workflow, catalog.workflows().count()),
        config.agents.display()
    )
}
