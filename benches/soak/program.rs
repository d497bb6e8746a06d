//! The real program on a folder that may be anywhere; it may die whenever it likes, and may not start at all.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::sync::oneshot;

use crate::harness::server::TOKEN;

/// A program that has neither greeted nor ended by then hangs.
const START: Duration = Duration::from_secs(60);

const AGENT: &str = "---\ncapabilities: [test_math]\non_disconnect: continue\n---\nYou answer.\n";

/// Where a program stands: configuration and log on the ordinary disk, data anywhere.
pub(crate) struct Place {
    folder: TempDir,
    data: PathBuf,
}

impl Drop for Place {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("what the program said:\n{}", self.log());
        }
    }
}

/// A program that serves; killed when it is dropped.
pub(crate) struct Program {
    _killing: Killing,
    pub(crate) url: String,
    /// From its start until it greeted.
    pub(crate) opened_in: Duration,
}

/// A program that ended without a greeting.
#[derive(Debug)]
pub(crate) struct Ended {
    /// None if it was killed.
    pub(crate) code: Option<i32>,
    pub(crate) said: String,
}

impl Place {
    /// With this engine; `data` is beside the configuration unless it is told.
    pub(crate) fn new(engine: &str, data: Option<&Path>) -> Self {
        let folder = TempDir::new().unwrap();
        std::fs::create_dir(folder.path().join("agents")).unwrap();
        std::fs::write(folder.path().join("agents/plain.md"), AGENT).unwrap();
        std::fs::write(folder.path().join("config.toml"), format!("[store.{engine}]\n")).unwrap();
        let data = data.unwrap_or(folder.path()).join("data");
        Self { folder, data }
    }

    /// All it ever said.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Starts the program and does not wait for anything.
    pub(crate) fn spawn(&self) -> Starting {
        let log = self.folder.path().join("log");
        let log_began = std::fs::metadata(&log).map_or(0, |log| log.len());
        let begun = Instant::now();
        let mut child = Command::new(env!("CARGO_BIN_EXE_runhold"))
            .args(["serve", "--port", "0", "--config", "config.toml", "--agents", "agents", "--data"])
            .arg(&self.data)
            .current_dir(self.folder.path())
            .env("RUNHOLD_TOKEN", TOKEN)
            .env_remove("OPENAI_API_KEY")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(std::fs::File::options().append(true).create(true).open(&log).unwrap())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (sender, greeting) = oneshot::channel();
        std::thread::spawn(move || {
            let first = lines.next().and_then(Result::ok);
            let _nobody_waits = sender.send((first, begun.elapsed()));
            lines.for_each(drop);
        });
        Starting { killing: Killing(child), greeting, log, log_began: log_began as usize }
    }

    /// Starts the program and waits until it serves, or has ended.
    pub(crate) async fn start(&self) -> Result<Program, Ended> {
        self.spawn().greeted().await
    }
}

/// Kills what is left of a program.
struct Killing(Child);

impl Drop for Killing {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _gone = self.0.wait();
    }
}

/// A program of which nothing was heard yet; killed when it is dropped.
pub(crate) struct Starting {
    killing: Killing,
    greeting: oneshot::Receiver<(Option<String>, Duration)>,
    log: PathBuf,
    log_began: usize,
}

impl Starting {
    /// Waits until it serves, or has ended.
    pub(crate) async fn greeted(mut self) -> Result<Program, Ended> {
        let greeting = tokio::time::timeout(START, self.greeting).await;
        let (greeting, opened_in) = greeting.expect("the program neither greets nor ends").unwrap();
        let child = &mut self.killing.0;
        let Some(greeting) = greeting else {
            let code = child.wait().unwrap().code();
            let log = std::fs::read(&self.log).unwrap_or_default();
            let said = String::from_utf8_lossy(log.get(self.log_began..).unwrap_or_default()).into_owned();
            return Err(Ended { code, said });
        };
        let url = greeting.rsplit(' ').next().unwrap().to_owned();
        Ok(Program { _killing: self.killing, url, opened_in })
    }
}

impl Program {
    /// Ends it without a word, and waits until nothing of it is left.
    pub(crate) fn kill(self) {
        drop(self);
    }
}
