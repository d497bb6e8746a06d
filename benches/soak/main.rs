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
mod conversations;
mod dice;
mod disk;
mod disk_faults;
mod drain;
mod effects;
#[path = "../../tests/it/harness/mod.rs"]
#[allow(dead_code, reason = "shared with the tests, which use all of it")]
mod harness;
mod idle;
mod kills;
mod load;
mod loops;
mod mixed;
mod once;
mod opens;
mod overload;
mod power_cuts;
mod program;
mod promise;
mod restart;
mod resumes;
mod simulation;
mod slow_readers;
mod vitals;

use std::process::ExitCode;

use clap::Parser;

use args::Args;
use promise::Promise;

/// All of them, in the order in which they are tried.
fn promises() -> Vec<Promise> {
    vec![
        Promise::new("once", (6, 500), once::requests_are_carried_out_once),
        Promise::new("kills", (10, 500), kills::kills),
        Promise::new("power_cuts", (6, 200), power_cuts::power_cuts),
        Promise::new("opens", (8, u64::MAX), opens::opens),
        Promise::new("disk_faults", (2, 60), disk_faults::disk_faults),
        Promise::new("simulation", (500, 100_000), simulation::simulation),
        Promise::new("restart", (1_000, 100_000), restart::a_restart_is_quick),
        Promise::new("slow_readers", (2, 30), slow_readers::slow_readers),
        Promise::new("drain", (3, 30), drain::drain),
        Promise::new("overload", (400, 10_000), overload::overload),
        Promise::new("idle", (500, 9_000), idle::idle),
        Promise::new("mixed", (10, 1_800), mixed::mixed),
        Promise::new("resumes", (40, 1000), resumes::resumes),
        Promise::new("conversations", (2, 100), conversations::conversations),
        Promise::new("loops", (2, 100), loops::loops),
        Promise::new("effects", (5, 100), effects::effects),
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
