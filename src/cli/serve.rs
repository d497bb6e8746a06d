//! `runhold serve`: the server, and what it says when it starts.
#![expect(clippy::print_stdout, reason = "a command speaks to a terminal")]

use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use tokio::signal::unix::{SignalKind, signal};

use super::complain;
use crate::app::App;
use crate::config::{Config, LogFormat};
use crate::domain::spec::Spec;

/// What the program gets to end, beside the time runs get; then it ends as it is (promise P12).
const LAST_MOMENT: Duration = Duration::from_secs(4);

/// What work that cannot be called off gets at the end.
const LOOSE_ENDS: Duration = Duration::from_millis(500);

/// The exit code of a program that was told twice to end.
const TOLD_TWICE: i32 = 130;

/// Serves until SIGTERM or SIGINT.
pub(super) fn run(config: Config) -> ExitCode {
    log(&config);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let served = runtime.map_err(anyhow::Error::from).and_then(|runtime| {
        let served = runtime.block_on(serve(&config));
        runtime.shutdown_timeout(LOOSE_ENDS);
        served
    });
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => complain(&error),
    }
}

async fn serve(config: &Config) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut told = async move || {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    let app = App::build(config).await?;
    greet(config, &app);
    let patience = Duration::from_secs(config.runs.drain_seconds).saturating_add(LAST_MOMENT);
    app.run(async move {
        told().await;
        std::thread::spawn(move || end_after(patience));
        tokio::spawn(async move {
            told().await;
            tracing::warn!("told twice to end: ending as it is");
            std::process::exit(TOLD_TWICE);
        });
    })
    .await
}

/// Ends the program whatever hangs. What was acknowledged is on the disk; the next start takes up the rest.
fn end_after(patience: Duration) {
    std::thread::sleep(patience);
    tracing::warn!("something does not end: ending without it");
    std::process::exit(0);
}

fn log(config: &Config) {
    // What MCP servers say of themselves is theirs, and long; what goes wrong with them we tell ourselves.
    let filter =
        if config.log.contains("rmcp") { config.log.clone() } else { format!("{},rmcp=off", config.log) };
    let filter = tracing_subscriber::EnvFilter::new(filter);
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let lines = lines.with_ansi(std::io::stderr().is_terminal());
    match config.log_format {
        LogFormat::Text => lines.init(),
        LogFormat::Json => lines.json().init(),
    }
    // Where a panic is caught it becomes an error, and the log is the place for the rest.
    std::panic::set_hook(Box::new(|panic| tracing::error!("{panic}")));
}

fn greet(config: &Config, app: &App) {
    let address = app.address();
    println!("Runhold {} listens on http://{address}", env!("CARGO_PKG_VERSION"));
    let catalog = app.runtime().catalog();
    println!("Agents in {}: {}", config.agents.display(), listed(catalog.agents()));
    if catalog.teams().next().is_some() {
        println!("Teams: {}", listed(catalog.teams()));
    }
    if catalog.workflows().next().is_some() {
        println!("Workflows: {}", listed(catalog.workflows()));
    }
    let token = match app.first_token() {
        Some(token) => {
            println!("Token (shown this once, kept as a hash): {}", token.reveal());
            token.reveal()
        }
        None => "$RUNHOLD_TOKEN",
    };
    let Some(first) = catalog.agents().next() else { return };
    println!(
        "\nTry it:\n  curl -N http://{address}/agents/{}/runs -H \"Authorization: Bearer {token}\" \\\n       -d 'message={}'",
        first.id(),
        suggestion(first),
    );
    println!("\nThe API is described at http://{address}/docs");
}

fn suggestion(spec: &Spec) -> &str {
    match spec {
        Spec::Agent(agent) => agent.quick_prompts.first().map_or("Hello", String::as_str),
        Spec::Team(_) | Spec::Workflow(_) => "Hello",
    }
}

fn listed<'a>(specs: impl Iterator<Item = &'a Arc<Spec>>) -> String {
    let names: Vec<&str> = specs.map(|spec| spec.id().as_str()).collect();
    if names.is_empty() { "none".into() } else { names.join(", ") }
}
