//! What Runhold promises, tried as often as the promise says: one line a promise.
//!
//! `cargo bench --bench soak` runs the full counts, `cargo bench --bench soak -- NAME… --count N` some of them.
//! `cargo test` runs it too, with few rounds of each. A count that falls short, or anything lost, is a failure, and
//! says with which seed it comes back.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test talks to a person, and may stop at the first surprise"
)]

mod args;
mod dice;
mod effects;
#[path = "../../tests/it/harness/mod.rs"]
#[allow(dead_code, reason = "shared with the tests, which use all of it")]
mod harness;
mod once;
mod promise;
mod resumes;

use std::process::ExitCode;

use clap::Parser;

use args::Args;
use promise::Promise;

/// All of them, in the order in which they are tried.
fn promises() -> Vec<Promise> {
    vec![
        Promise::new("resumes", (40, 1000), resumes::resumes),
        Promise::new("effects", (5, 100), effects::effects),
        Promise::new("once", (6, 500), once::requests_are_carried_out_once),
    ]
}

fn main() -> ExitCode {
    let args = Args::parse();
    if args.list {
        // A test runner asks what tests there are: none that it could run one by one.
        return ExitCode::SUCCESS;
    }
    promise::try_all(promises(), &args)
}
