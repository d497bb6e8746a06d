//! A long session: whether the run after a thousand others costs what the first one did.

use std::time::Duration;

use crate::args::{Args, Level};
use crate::child::Child;
use crate::figures::{grouped, median, micros_each, millis};
use crate::http::Client;
use crate::load::{Outcomes, measured, run};
use crate::orders::{Order, Workload};
use crate::report::Report;
use crate::runhold::Runhold;

/// Runs of each kind in a round.
const RUNS: usize = 50;

/// What a run of one kind takes.
#[derive(Clone, Copy)]
struct Cost {
    cpu_us: f64,
    end_ms: f64,
}

pub(crate) async fn measure(args: &Args, model: &Child, report: &mut Report) {
    let server = Runhold::start(&args.binary(), model.address).await;
    let earlier = args.earlier_runs();
    let warm_up = Level { streams: 8, runs: 40 };
    let anew = |_| Order::agent(server.child.address, Workload::Plain, None);
    let again = |_| Order::agent(server.child.address, Workload::Plain, Some("long"));
    let (_, outcomes) = measured(&server.child, &anew(0), warm_up, Duration::ZERO).await;
    report.failures("history warm-up", &outcomes);
    let _built = series(&server, earlier, again, report).await;
    let (mut firsts, mut fourths, mut lates) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..args.rounds() {
        // Sessions of four runs: one that is shown nothing, then one, two and three others.
        let young = |n: usize| {
            let session = format!("young-{round}-{}", n / 4);
            Order::agent(server.child.address, Workload::Plain, Some(&session))
        };
        firsts.push(series(&server, RUNS, anew, report).await);
        fourths.push(series(&server, RUNS, young, report).await);
        lates.push(series(&server, RUNS, again, report).await);
    }
    let (first, fourth, late) = (over(&firsts), over(&fourths), over(&lates));
    println!("\n{:<34} {:>11} {:>11}", "one stream", "CPU/run µs", "end ms p50");
    let earlier = grouped(earlier);
    for (what, cost) in [
        ("first of its session".to_owned(), first),
        ("first to fourth".to_owned(), fourth),
        (format!("after {earlier} others"), late),
    ] {
        println!("{what:<34} {:>11.0} {:>11.2}", cost.cpu_us, cost.end_ms);
    }
    report.at_most(format!("run after {earlier} others to first: CPU"), late.cpu_us / first.cpu_us, 1.2, "×");
    report.at_most(format!("run after {earlier} others to first: end"), late.end_ms / first.end_ms, 1.2, "×");
}

/// So many runs, one after the other over one connection; the n-th as `order(n)` says.
async fn series(server: &Runhold, runs: usize, order: impl Fn(usize) -> Order, report: &mut Report) -> Cost {
    let orders: Vec<Order> = (0..runs).map(order).collect();
    let mut client = Client::new(server.child.address);
    let meter = server.child.meter();
    let before = meter.cpu();
    let mut outcomes = Outcomes::default();
    for order in &orders {
        match run(&mut client, order).await {
            Ok(timing) => outcomes.timings.push(timing),
            Err(fault) => outcomes.faults.push(fault),
        }
    }
    let cpu_us = micros_each(meter.cpu_since(&before), outcomes.timings.len());
    report.failures("history", &outcomes);
    let ends: Vec<f64> = outcomes.timings.iter().map(|timing| millis(timing.end)).collect();
    Cost { cpu_us, end_ms: median(&ends) }
}

fn over(rounds: &[Cost]) -> Cost {
    let of = |field: fn(&Cost) -> f64| median(&rounds.iter().map(field).collect::<Vec<_>>());
    Cost { cpu_us: of(|cost| cost.cpu_us), end_ms: of(|cost| cost.end_ms) }
}
