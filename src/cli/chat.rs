//! `runhold chat`: a conversation in a terminal, with tokens, members, steps and tool calls as they come.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command speaks to a terminal")]

mod decide;
mod heard;
mod print;

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use anyhow::{Context, Result, anyhow};
use futures::StreamExt;
use tokio::io::{AsyncBufReadExt, BufReader, Lines, Stdin};

use self::heard::Heard;
use super::complain;
use crate::app;
use crate::config::Config;
use crate::domain::fact::{Entry, Fact, RunOptions, Seq};
use crate::domain::id::{ComponentId, Owner, RunId, SessionId};
use crate::domain::message::Input;
use crate::domain::run::{Command, StartRun, Status};
use crate::domain::spec::ComponentKind;
use crate::runtime::{Error, Runtime};
use crate::store::{OpenError, StoreConfig};

/// Talks until the end of the input.
pub(super) fn run(config: Config, component: &str, session: Option<&str>) -> ExitCode {
    let talked = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(chat(&config, component, session)));
    match talked {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => complain(&error),
    }
}

async fn chat(config: &Config, component: &str, session: Option<&str>) -> Result<()> {
    let (runtime, is_kept) = open(config).await?;
    let component: ComponentId = component.parse().context("the id")?;
    let kind = kind_of(&runtime, &component).ok_or_else(|| {
        let folder = config.agents.display();
        anyhow!("there is no agent, team or workflow `{component}` in {folder}")
    })?;
    let session = session.map(str::parse).transpose().context("the session's id")?;
    println!("Talking to {component}. An empty line or Ctrl-D ends it, Ctrl-C stops an answer.");
    let lines = BufReader::new(tokio::io::stdin()).lines();
    let owner = crate::access::default_owner()?;
    let mut talk = Talk { runtime, owner, session, terminal: Terminal { lines } };
    talk.go_on_with_what_waits().await?;
    while let Some(text) = talk.terminal.ask("\n> ").await? {
        talk.say(kind, &component, text).await?;
    }
    if let Some(session) = talk.session.filter(|_| is_kept) {
        println!("Go on later with: runhold chat {component} --session {session}");
    }
    Ok(())
}

fn kind_of(runtime: &Runtime, id: &ComponentId) -> Option<ComponentKind> {
    let kinds = [ComponentKind::Agent, ComponentKind::Team, ComponentKind::Workflow];
    kinds.into_iter().find(|kind| runtime.catalog().get(*kind, id).is_some())
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

/// A conversation.
struct Talk {
    runtime: Runtime,
    owner: Owner,
    session: Option<SessionId>,
    terminal: Terminal,
}

impl Talk {
    /// A message and everything that comes of it.
    async fn say(&mut self, kind: ComponentKind, component: &ComponentId, text: String) -> Result<()> {
        let order = StartRun {
            kind,
            component: component.clone(),
            session: self.session.clone(),
            user: None,
            input: Input { text, ..Input::default() },
            options: RunOptions::default(),
            on_second_message: None,
        };
        let started = self.runtime.start(&self.owner, order).await?;
        self.session = Some(started.session.clone());
        self.show(Heard::nothing(started.run), &started.session, started.first.saturating_sub(1)).await
    }

    /// A run of the session that waited when the conversation ended.
    async fn go_on_with_what_waits(&mut self) -> Result<()> {
        let Some(session) = self.session.clone() else { return Ok(()) };
        let runs = match self.runtime.runs(&self.owner, &session).await {
            Err(Error::NoSession(_)) => return Ok(()),
            runs => runs?,
        };
        for run in runs.iter().filter(|run| run.root.is_none() && run.status == Status::Paused) {
            let entries = self.runtime.entries_of_tree(&self.owner, run).await?;
            let mut heard = Heard::nothing(run.id);
            for entry in &entries {
                heard.take(entry);
            }
            let after = entries.last().map_or(run.first, Entry::last_seq);
            if self.decide(&heard).await? {
                self.show(heard, &session, after).await?;
            }
        }
        Ok(())
    }

    /// Prints a run and those below it as they go, and asks where they wait for somebody.
    async fn show(&mut self, mut heard: Heard, session: &SessionId, after: Seq) -> Result<()> {
        let mut entries = self.runtime.tail(&self.owner, session, after).boxed();
        loop {
            let entry = tokio::select! {
                entry = entries.next() => entry,
                _ = tokio::signal::ctrl_c() => {
                    self.stop(heard.root).await?;
                    continue;
                }
            };
            let Some(entry) = entry else { return Ok(()) };
            let entry = entry?;
            if !heard.take(&entry) {
                continue;
            }
            print::entry(&entry, &mut heard);
            std::io::stdout().flush()?;
            if entry.run != heard.root {
                continue;
            }
            let is_over = matches!(entry.fact, Fact::RunFinished { .. });
            let waits = matches!(entry.fact, Fact::Paused { .. });
            if is_over || waits && !self.decide(&heard).await? {
                return Ok(());
            }
        }
    }

    async fn stop(&self, run: RunId) -> Result<()> {
        let reason = "stopped by the user".into();
        match self.runtime.tell(&self.owner, run, Command::Cancel { reason }).await {
            // It ended meanwhile, which is shown in a moment.
            Err(Error::Conflict(_)) => Ok(()),
            told => Ok(told?),
        }
    }

    /// Asks about everything that waits; whether the run goes on.
    async fn decide(&mut self, heard: &Heard) -> Result<bool> {
        let Some(answers) = decide::ask(heard, &mut self.terminal).await? else {
            println!("The run goes on waiting.");
            return Ok(false);
        };
        let told = self.runtime.tell(&self.owner, heard.root, Command::Answer(answers)).await;
        if let Err(error) = told {
            let run = self.runtime.run(&self.owner, heard.root).await?;
            if run.status == Status::Paused {
                return Err(error.into());
            }
            // Its time was up, and what was set for that case counted as the answer.
            println!("{error}");
        }
        Ok(true)
    }
}

/// Where questions are answered.
struct Terminal {
    lines: Lines<BufReader<Stdin>>,
}

impl Terminal {
    /// A line; `None` if it is empty, or at the end of the input.
    async fn ask(&mut self, prompt: &str) -> Result<Option<String>> {
        print!("{prompt}");
        std::io::stdout().flush()?;
        let line = tokio::select! {
            line = self.lines.next_line() => line?,
            _ = tokio::signal::ctrl_c() => None,
        };
        // What is typed stands there already; what is piped does not.
        if !std::io::stdin().is_terminal() {
            println!("{}", line.as_deref().unwrap_or_default());
        }
        Ok(line.map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()))
    }
}
