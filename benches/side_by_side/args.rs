//! What can be asked of the benchmark, and how much of it a quick run does.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};

/// Measures Runhold beside a bare proxy and beside nothing at all.
#[derive(Debug, Parser)]
pub(crate) struct Args {
    /// About twenty seconds: one round, few runs, 2,000 sessions.
    #[arg(long)]
    pub(crate) quick: bool,
    /// Only these sections.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Section>,
    /// Rounds of each measurement; the median counts.
    #[arg(long)]
    rounds: Option<usize>,
    /// Sessions stored for their section.
    #[arg(long)]
    sessions: Option<usize>,
    /// Issues on the board of the last section.
    #[arg(long)]
    issues: Option<usize>,
    /// Milliseconds between two pieces, where the model takes its time.
    #[arg(long)]
    pause_ms: Option<u64>,
    /// Another Runhold program, such as an earlier release.
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
    /// Given by `cargo bench`; without it nothing is measured, so that `cargo test --benches` stays quick.
    #[arg(long, hide = true)]
    pub(crate) bench: bool,
    /// Plays a part instead of measuring.
    #[arg(long = "serve", hide = true, value_enum)]
    pub(crate) role: Option<Role>,
    /// Where the proxy passes requests on to: scheme, host and port.
    #[arg(long, hide = true)]
    pub(crate) upstream: Option<String>,
}

/// The part a child process plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Role {
    /// Answers as a provider would.
    Model,
    /// Passes streams on.
    Proxy,
}

/// What can be measured on its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Section {
    /// Spawn to healthy, idle memory.
    Startup,
    /// CPU, latency and runs per second at 1, 64 and 1,000 streams, as fast as they go.
    Throughput,
    /// Latency beside 1,000 streams that come at a model's pace.
    Paced,
    /// Memory of open streams.
    Open,
    /// The run after 1,000 others of its session.
    History,
    /// Many stored sessions.
    Sessions,
    /// A board with many issues.
    Issues,
}

impl fmt::Display for Section {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Startup => "startup: spawn to healthy on a new folder, memory at rest",
            Self::Throughput => "throughput: closed loop, the model does not pause",
            Self::Paced => "paced: the model pauses between pieces",
            Self::Open => "open: memory of streams whose model is silent",
            Self::History => "history: runs of a session with 1,000 earlier runs",
            Self::Sessions => "sessions: create, list and read beside many others",
            Self::Issues => "issues: a triage board with many of them",
        })
    }
}

/// So many streams at once, and so many runs in all.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Level {
    pub(crate) streams: usize,
    pub(crate) runs: usize,
}

impl Args {
    pub(crate) fn sections(&self) -> Vec<Section> {
        if self.only.is_empty() { Section::value_variants().to_vec() } else { self.only.clone() }
    }

    pub(crate) fn rounds(&self) -> usize {
        self.rounds.unwrap_or(if self.quick { 1 } else { 3 }).max(1)
    }

    pub(crate) fn sessions(&self) -> usize {
        self.sessions.unwrap_or(if self.quick { 2_000 } else { 100_000 })
    }

    pub(crate) fn issues(&self) -> usize {
        self.issues.unwrap_or(if self.quick { 2_000 } else { 100_000 })
    }

    pub(crate) fn pause(&self) -> Duration {
        Duration::from_millis(self.pause_ms.unwrap_or(if self.quick { 100 } else { 200 }))
    }

    pub(crate) fn levels(&self) -> [Level; 3] {
        let [one, some, many] = if self.quick { [50, 300, 1_000] } else { [200, 2_000, 3_000] };
        [
            Level { streams: 1, runs: one },
            Level { streams: 64, runs: some },
            Level { streams: 1_000, runs: many },
        ]
    }

    /// Streams that are open at the same time, where only one number is measured.
    pub(crate) fn crowd(&self) -> usize {
        if self.quick { 250 } else { 1_000 }
    }

    /// Earlier runs of the session that is measured.
    pub(crate) fn earlier_runs(&self) -> usize {
        if self.quick { 200 } else { 1_000 }
    }

    /// The program under test.
    pub(crate) fn binary(&self) -> PathBuf {
        self.binary.clone().unwrap_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_runhold")))
    }
}
