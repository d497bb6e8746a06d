//! `runhold chat`: a conversation in a terminal, with tokens and tool calls as they come.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command speaks to a terminal")]

use std::io::Write;
use std::process::ExitCode;

use anyhow::{Context, Result, anyhow};
use futures::StreamExt;
use tokio::io::{AsyncBufReadExt, BufReader, Lines, Stdin};

use super::complain;
use crate::app;
use crate::config::Config;
use crate::domain::fact::{Entry, Fact, Outcome, Piece, RunOptions};
use crate::domain::id::{ComponentId, Owner, SessionId};
use crate::domain::message::Input;
use crate::domain::run::{Command, StartRun, Started};
use crate::domain::spec::ComponentKind;
use crate::domain::tool::ToolResult;
use crate::domain::view::RunView;
use crate::runtime::Runtime;
use crate::store::{OpenError, StoreConfig};

/// Talks until the end of the input.
pub(super) fn run(config: Config, agent: &str, session: Option<&str>) -> ExitCode {
    let talked = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(chat(&config, agent, session)));
    match talked {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => complain(&error),
    }
}

async fn chat(config: &Config, agent: &str, session: Option<&str>) -> Result<()> {
    let (runtime, is_kept) = open(config).await?;
    let agent: ComponentId = agent.parse().context("the agent's id")?;
    runtime
        .catalog()
        .get(ComponentKind::Agent, &agent)
        .ok_or_else(|| anyhow!("there is no agent `{agent}` in {}", config.agents.display()))?;
    let owner = crate::access::default_owner()?;
    let mut session: Option<SessionId> = session.map(str::parse).transpose().context("the session's id")?;
    println!("Talking to {agent}. An empty line or Ctrl-D ends it, Ctrl-C stops an answer.");
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(text) = ask(&mut lines).await? {
        let order = StartRun {
            kind: ComponentKind::Agent,
            component: agent.clone(),
            session: session.clone(),
            user: None,
            input: Input { text, media: Vec::new() },
            options: RunOptions::default(),
            on_second_message: None,
        };
        let started = runtime.start(&owner, order).await?;
        show(&runtime, &owner, &started).await?;
        session = Some(started.session);
    }
    if let Some(session) = session.filter(|_| is_kept) {
        println!("Go on later with: runhold chat {agent} --session {session}");
    }
    Ok(())
}

/// On the configured store; while a server has it, on one that forgets. And whether it remembers.
async fn open(config: &Config) -> Result<(Runtime, bool)> {
    match app::runtime(config, config.store).await {
        Err(error) if matches!(error.downcast_ref(), Some(OpenError::InUse { .. })) => {
            eprintln!("({error}: this conversation is not kept)");
            Ok((app::runtime(config, StoreConfig::Memory {}).await?, false))
        }
        opened => Ok((opened?, true)),
    }
}

async fn ask(lines: &mut Lines<BufReader<Stdin>>) -> Result<Option<String>> {
    print!("\n> ");
    std::io::stdout().flush()?;
    let line = lines.next_line().await?;
    Ok(line.map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()))
}

/// Prints a run as it goes.
async fn show(runtime: &Runtime, owner: &Owner, started: &Started) -> Result<()> {
    let mut entries = runtime.tail(owner, &started.session, started.first.saturating_sub(1)).boxed();
    let mut view: Option<RunView> = None;
    loop {
        let entry = tokio::select! {
            entry = entries.next() => entry,
            _ = tokio::signal::ctrl_c() => {
                let reason = "stopped by the user".into();
                runtime.tell(owner, started.run, Command::Cancel { reason }).await?;
                continue;
            }
        };
        let Some(entry) = entry else { return Ok(()) };
        let entry = entry?;
        if entry.run != started.run {
            continue;
        }
        print_entry(&entry, view.as_ref());
        std::io::stdout().flush()?;
        match &mut view {
            None => view = RunView::of(started.run, [&*entry]),
            Some(view) => view.apply(&entry),
        }
        if matches!(entry.fact, Fact::RunFinished { .. } | Fact::Paused { .. }) {
            println!();
            return Ok(());
        }
    }
}

fn print_entry(entry: &Entry, view: Option<&RunView>) {
    let call = |id| view.and_then(|view| view.call(id)).map(|call| &call.call);
    match &entry.fact {
        Fact::Said { pieces } => {
            for piece in pieces {
                match piece {
                    Piece::Text(text) => print!("{text}"),
                    Piece::Reasoning(text) => print!("\x1b[2m{text}\x1b[0m"),
                }
            }
        }
        Fact::ToolStarted { call: id } => {
            if let Some(call) = call(id) {
                println!("\x1b[36m· {} {}\x1b[0m", call.name, call.arguments);
            }
        }
        Fact::ToolFinished { call: id, result } => {
            let name = call(id).map_or("?", |call| call.name.as_str());
            println!("\x1b[36m· {name} → {}\x1b[0m", short(result));
        }
        Fact::ModelFailed { failure, .. } => println!("\x1b[31m! {}\x1b[0m", failure.message),
        Fact::RunFinished { outcome: Outcome::Cancelled { reason }, .. } => {
            print!("\x1b[31m({reason})\x1b[0m")
        }
        Fact::RunFinished { outcome: Outcome::Failed(failure), .. } => {
            print!("\x1b[31m{}: {}\x1b[0m", failure.code, failure.message);
        }
        Fact::Paused { calls } => {
            for call in calls.iter().filter_map(call) {
                println!("\x1b[33m? {} {} waits for somebody\x1b[0m", call.name, call.arguments);
            }
        }
        Fact::ToolDoubted { calls } => {
            for call in calls.iter().filter_map(call) {
                println!("\x1b[33m? nobody knows whether {} took effect\x1b[0m", call.name);
            }
        }
        Fact::Steered { input } => println!("\x1b[32m> {}\x1b[0m", input.text),
        Fact::RunStarted(_)
        | Fact::Lost { .. }
        | Fact::RunPrepared { .. }
        | Fact::ModelCalled { .. }
        | Fact::ModelAnswered { .. }
        | Fact::Resumed { .. }
        | Fact::RunFinished { outcome: Outcome::Completed, .. } => {}
    }
}

fn short(result: &ToolResult) -> String {
    let line = result.content.replace('\n', " ");
    let cut = line.floor_char_boundary(160);
    line.get(..cut).unwrap_or_default().to_owned()
}
