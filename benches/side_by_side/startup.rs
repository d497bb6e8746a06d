//! From nothing to healthy, and what it weighs at rest.

use std::time::Duration;

use crate::args::Args;
use crate::child::Child;
use crate::figures::{median, millis};
use crate::report::Report;
use crate::runhold::Runhold;

/// Starts, each on a new folder.
const STARTS: usize = 5;

pub(crate) async fn measure(args: &Args, model: &Child, report: &mut Report) {
    let (mut healthy, mut idle) = (Vec::new(), Vec::new());
    for _ in 0..STARTS {
        let server = Runhold::start(&args.binary(), model.address).await;
        healthy.push(millis(server.healthy_after));
        // What is done after the start belongs to the weight at rest.
        tokio::time::sleep(Duration::from_millis(500)).await;
        idle.push(server.child.meter().rss_kib() / 1024.0);
    }
    println!("\nhealthy after {healthy:.1?} ms\nat rest {idle:.1?} MiB");
    report.at_most("new folder: spawn to healthy, median", median(&healthy), 150.0, "ms");
    report.at_most("new folder: memory at rest, median", median(&idle), 20.0, "MiB");
}
