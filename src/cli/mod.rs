//! The command line: one file a command.

mod chat;
pub mod check;
mod dump;
pub mod schema;
mod serve;
pub mod token;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::access::Role;
use crate::config::Config;
use crate::domain::id::Owner;

/// A self-contained agent runtime: agents from files, run over HTTP, streamed, and never let go of.
#[derive(Debug, Parser)]
#[command(name = "runhold", version, about, args_conflicts_with_subcommands = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    settings: Settings,
}

/// What can be asked for.
#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the agents over HTTP (what happens without a command).
    Serve(Settings),
    /// Say what is wrong with the configuration and the agents, with file, line and column.
    Check(Settings),
    /// Talk to an agent, a team or a workflow in this terminal.
    Chat {
        /// Its id: its file's name without `.md`.
        #[arg(value_name = "ID")]
        component: String,
        /// Go on in this session.
        #[arg(long)]
        session: Option<String>,
        #[command(flatten)]
        settings: Settings,
    },
    /// Make, list and revoke the tokens clients send.
    Token {
        #[command(subcommand)]
        action: TokenAction,
        #[command(flatten)]
        settings: Settings,
    },
    /// Write everything that is stored to a file, as JSON Lines, while no server runs.
    ///
    /// It can be imported with any engine. Tokens are not part of it: they are in tokens.json in the data folder.
    /// What is damaged is named and left out, and the exit code is 1.
    Export {
        /// Where to; `-` is stdout.
        file: PathBuf,
        #[command(flatten)]
        settings: Settings,
    },
    /// Fill an empty data folder from an exported file; a file that was cut or altered changes nothing.
    Import {
        /// Where from; `-` is stdin.
        file: PathBuf,
        #[command(flatten)]
        settings: Settings,
    },
    /// Read everything that is stored and say what is damaged, while no server runs; the exit code is 1 then.
    Verify(Settings),
    /// Print the JSON Schema of a file, for editors.
    Schema {
        /// Which file.
        #[arg(value_enum)]
        what: schema::What,
    },
}

/// What can be done with tokens.
#[derive(Debug, Subcommand)]
enum TokenAction {
    /// Make one and print it, once.
    New {
        /// What to call it.
        name: String,
        /// Whose data it opens.
        #[arg(long, default_value = "default")]
        owner: Owner,
        /// What it opens of that: everything, or, for `member`, everything but to give agents and sessions capabilities
        /// of a high risk.
        #[arg(long, value_name = "admin|member", default_value = "admin")]
        role: Role,
        /// When it stops working.
        #[arg(long, value_name = "DAYS")]
        expires: Option<u64>,
    },
    /// Print all, without the tokens themselves.
    List,
    /// Make one stop working, within a second on a running server.
    Revoke {
        /// What it is called.
        name: String,
    },
}

/// Settings that stand above the configuration file and the environment.
#[derive(Debug, Clone, Default, Args)]
pub struct Settings {
    /// The configuration file [env: RUNHOLD_CONFIG]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The folder with agents [default: agents] [env: RUNHOLD_AGENTS]
    #[arg(long, value_name = "DIR")]
    agents: Option<PathBuf>,
    /// The folder for what is kept [default: data] [env: RUNHOLD_DATA]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The address to listen on [default: 127.0.0.1] [env: RUNHOLD_HOST]
    #[arg(long)]
    host: Option<String>,
    /// The port to listen on [default: 7777] [env: RUNHOLD_PORT]
    #[arg(long)]
    port: Option<u16>,
}

impl Settings {
    /// The configuration with these on top; what is wrong has been printed.
    fn load(&self) -> Result<Config, ExitCode> {
        let text = |path: &PathBuf| path.to_string_lossy().into_owned();
        let flags = [
            ("RUNHOLD_AGENTS", self.agents.as_ref().map(text)),
            ("RUNHOLD_DATA", self.data.as_ref().map(text)),
            ("RUNHOLD_HOST", self.host.clone()),
            ("RUNHOLD_PORT", self.port.map(|port| port.to_string())),
        ];
        let flags = flags.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        let env = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.to_string_lossy().into_owned()))
        });
        Config::load(self.config.as_deref(), env.chain(flags)).map_err(|faults| check::refuse(&faults))
    }
}

/// Does what the command line asks for.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    match cli.command.unwrap_or(Command::Serve(cli.settings)) {
        Command::Serve(settings) => with(&settings, serve::run),
        Command::Check(settings) => with(&settings, check::run),
        Command::Chat { component, session, settings } => {
            with(&settings, |config| chat::run(config, &component, session.as_deref()))
        }
        Command::Token { action, settings } => with(&settings, |config| match &action {
            TokenAction::New { name, owner, role, expires } => {
                token::new(&config.data, name, owner.clone(), *role, *expires)
            }
            TokenAction::List => token::list(&config.data),
            TokenAction::Revoke { name } => token::revoke(&config.data, name),
        }),
        Command::Export { file, settings } => with(&settings, |config| dump::export(&config, &file)),
        Command::Import { file, settings } => with(&settings, |config| dump::import(&config, &file)),
        Command::Verify(settings) => with(&settings, |config| dump::verify(&config)),
        Command::Schema { what } => schema::run(what),
    }
}

fn with(settings: &Settings, command: impl FnOnce(Config) -> ExitCode) -> ExitCode {
    settings.load().map_or_else(|code| code, command)
}

/// Says what went wrong, with its causes.
fn complain(error: &anyhow::Error) -> ExitCode {
    let _gone = writeln!(std::io::stderr(), "error: {error:#}");
    ExitCode::FAILURE
}
