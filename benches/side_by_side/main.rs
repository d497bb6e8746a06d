//! Ratios, side by side, in one run: a scripted model asked straight, through a bare proxy, and through Runhold.
//!
//! `cargo bench --bench side_by_side -- [options]`. Absolute numbers depend on the machine and its neighbours;
//! ratios between two programs measured in turns on one machine hold better, so the targets are mostly ratios.
//! This process makes the load, a child of the same binary plays the model, a second one the proxy, and
//! Runhold is the released program with folders of its own. Missing a target never fails the run; a failed run does.
#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark talks to a person, and stops at the first surprise"
)]

mod args;
mod child;
mod figures;
mod history;
mod http;
mod issues;
mod load;
mod meter;
mod model_server;
mod open_streams;
mod orders;
mod paced;
mod proxy;
mod report;
mod runhold;
mod sessions;
mod startup;
mod throughput;
mod transcript;

use std::process::ExitCode;

use args::{Args, Role, Section};
use child::Child;
use clap::Parser;
use report::Report;
use tokio::signal::unix::{SignalKind, signal};

fn main() -> ExitCode {
    let args = Args::parse();
    match args.role {
        Some(Role::Model) => {
            model_server::serve(args.pause());
            ExitCode::SUCCESS
        }
        Some(Role::Proxy) => {
            proxy::serve(&args.upstream.expect("the proxy is told its upstream"));
            ExitCode::SUCCESS
        }
        None if !args.bench => {
            eprintln!("nothing measured: run it with `cargo bench --bench side_by_side`");
            ExitCode::SUCCESS
        }
        None => measure(&args),
    }
}

/// Measures every section asked for and prints what came out.
fn measure(args: &Args) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut report = Report::default();
    let finished = runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate()).expect("a signal can be waited for");
        let mut interrupt = signal(SignalKind::interrupt()).expect("a signal can be waited for");
        // Whoever stops the measuring stops the children too: they end when the measuring is dropped.
        tokio::select! {
            () = measure_sections(args, &mut report) => true,
            _ = terminate.recv() => false,
            _ = interrupt.recv() => false,
        }
    });
    report.print();
    if finished && report.failed_runs() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn measure_sections(args: &Args, report: &mut Report) {
    let pause = args.pause().as_millis().to_string();
    let model = Child::of_this_program(&["--serve", "model", "--pause-ms", &pause]);
    for section in args.sections() {
        println!("\n== {section}");
        match section {
            Section::Startup => startup::measure(args, &model, report).await,
            Section::Throughput => throughput::measure(args, &model, report).await,
            Section::Paced => paced::measure(args, &model, report).await,
            Section::Open => open_streams::measure(args, &model, report).await,
            Section::History => history::measure(args, &model, report).await,
            Section::Sessions => sessions::measure(args, &model, report).await,
            Section::Issues => issues::measure(args, &model, report).await,
        }
    }
}
