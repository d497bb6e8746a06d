//! Latency beside many streams that come at a model's pace: nobody is saturated, so what is added is Runhold's own.

use crate::args::{Args, Level};
use crate::child::Child;
use crate::figures::{grouped, number};
use crate::load::{Figures, measured};
use crate::model_server::PIECES;
use crate::orders::{Way, Ways, Workload};
use crate::report::{Report, print_load, print_loads};

pub(crate) async fn measure(args: &Args, model: &Child, report: &mut Report) {
    let ways = Ways::open(&args.binary(), model).await;
    let crowd = args.crowd();
    // Starting over as long as a run takes spreads pieces and ends evenly.
    let ramp = args.pause().mul_f64(number(PIECES));
    let mut rounds = Ways::ALL.map(|way| (way, Vec::new()));
    for _ in 0..args.rounds() {
        for (way, figures) in &mut rounds {
            let order = ways.order(*way, Workload::Paced);
            let level = Level { streams: crowd, runs: crowd };
            let (round, outcomes) = measured(ways.child(*way), &order, level, ramp).await;
            report.failures(&format!("{} paced", way.name()), &outcomes);
            figures.push(round);
        }
    }
    let streams = grouped(crowd);
    print_loads(&format!("{streams} streams, a piece every {:?}, rounds: {}", args.pause(), args.rounds()));
    let rounds = rounds.map(|(way, figures)| (way, Figures::over(&figures)));
    for (way, figures) in &rounds {
        print_load(way.name(), figures);
    }
    let [(Way::Straight, straight), (Way::Proxy, _), (Way::Runhold, runhold)] = rounds else { return };
    let (first, end) =
        (runhold.first_median - straight.first_median, runhold.end_median - straight.end_median);
    report.at_most(format!("paced, {streams} streams: added to the first piece, median"), first, 10.0, "ms");
    report.at_most(format!("paced, {streams} streams: added to the end, median"), end, 10.0, "ms");
}
