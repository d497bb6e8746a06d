//! CPU, latency and runs per second, as fast as they go.
//!
//! In a closed loop without pauses latency at many streams is the length of the queue, so added latency is held
//! to a target at one stream only; `paced` does the same beside many.

use std::time::Duration;

use crate::args::{Args, Level};
use crate::child::Child;
use crate::figures::grouped;
use crate::load::{Figures, measured};
use crate::orders::{Way, Ways, Workload};
use crate::report::{Report, print_load, print_loads};

/// Runs that are not counted, so that connections, pools and caches are there.
const WARM_UP: Level = Level { streams: 8, runs: 40 };

pub(crate) async fn measure(args: &Args, model: &Child, report: &mut Report) {
    let ways = Ways::open(&args.binary(), model).await;
    for workload in [Workload::Plain, Workload::Tools] {
        for way in Ways::ALL {
            let order = ways.order(way, workload);
            let (_, outcomes) = measured(ways.child(way), &order, WARM_UP, Duration::ZERO).await;
            report.failures(&format!("{} {} warm-up", way.name(), workload.name()), &outcomes);
        }
        for level in args.levels() {
            measure_level(args, &ways, workload, level, report).await;
        }
    }
}

/// Three ways in turns, round after round, so that a noisy moment of the machine meets all of them.
async fn measure_level(args: &Args, ways: &Ways<'_>, workload: Workload, level: Level, report: &mut Report) {
    let mut rounds = Ways::ALL.map(|way| (way, Vec::new()));
    for _ in 0..args.rounds() {
        for (way, figures) in &mut rounds {
            let order = ways.order(*way, workload);
            let (round, outcomes) = measured(ways.child(*way), &order, level, Duration::ZERO).await;
            report.failures(&format!("{} {} at {}", way.name(), workload.name(), level.streams), &outcomes);
            figures.push(round);
        }
    }
    let streams =
        if level.streams == 1 { "1 stream".into() } else { format!("{} streams", grouped(level.streams)) };
    let runs = grouped(level.runs);
    print_loads(&format!("{}, {streams}, {runs} runs, rounds: {}", workload.name(), args.rounds()));
    let rounds = rounds.map(|(way, figures)| (way, Figures::over(&figures)));
    for (way, figures) in &rounds {
        print_load(way.name(), figures);
    }
    let [(Way::Straight, straight), (Way::Proxy, proxy), (Way::Runhold, runhold)] = rounds else { return };
    let name = workload.name();
    let limit = if workload == Workload::Tools { 6.0 } else { 4.0 };
    let ratio = runhold.cpu_us / proxy.cpu_us;
    report.at_most(format!("{name}, {streams}: CPU of a run, runhold to proxy"), ratio, limit, "×");
    if level.streams == 1 && workload == Workload::Plain {
        let (first, end) =
            (runhold.first_median - straight.first_median, runhold.end_median - straight.end_median);
        report.at_most("plain, 1 stream: added to the first piece, median", first, 2.0, "ms");
        report.at_most("plain, 1 stream: added to the end, median", end, 2.0, "ms");
    }
}
