//! What can be asked of the program.

use clap::Parser;

/// Tries what Runhold promises and prints one line a promise.
#[derive(Debug, Parser)]
pub(crate) struct Args {
    /// Only these; all if none is named.
    pub(crate) names: Vec<String>,
    /// Rounds of each, in place of its own.
    #[arg(long)]
    pub(crate) count: Option<u64>,
    /// Where randomness begins; the program says which it took.
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// The full counts, as `cargo bench` runs them.
    #[arg(long = "bench", alias = "full")]
    pub(crate) full: bool,
    /// Lists single tests, for test runners.
    #[arg(long, hide = true)]
    pub(crate) list: bool,
    /// What a test runner says beside.
    #[arg(long, hide = true)]
    format: Option<String>,
    /// The same.
    #[arg(long, hide = true)]
    ignored: bool,
}
