//! Memory of streams that are open and silent.

use std::time::Duration;

use crate::args::{Args, Level};
use crate::child::Child;
use crate::figures::{grouped, number};
use crate::http::{Client, post};
use crate::load::{Load, measured};
use crate::orders::{Way, Ways, Workload};
use crate::report::Report;

/// Runs that are not counted, so that threads and pools are there.
const WARM_UP: Level = Level { streams: 8, runs: 40 };

pub(crate) async fn measure(args: &Args, model: &Child, report: &mut Report) {
    let ways = Ways::open(&args.binary(), model).await;
    let crowd = args.crowd();
    println!("\n{:<10} {:>9} {:>9} {:>9} {:>12}", "", "idle MiB", "open MiB", "after MiB", "KiB a stream");
    for way in [Way::Proxy, Way::Runhold] {
        let meter = ways.child(way).meter();
        let warm_up = ways.order(way, Workload::Plain);
        let (_, outcomes) = measured(ways.child(way), &warm_up, WARM_UP, Duration::ZERO).await;
        report.failures(&format!("{} warm-up", way.name()), &outcomes);
        let idle = meter.rss_kib();
        let level = Level { streams: crowd, runs: crowd };
        // Opened over a second: what is measured is the memory of being open, not of a flood of connections.
        let load = Load::start(&ways.order(way, Workload::Hold), level, Duration::from_secs(1)).await;
        load.until_begun(crowd).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        let open = meter.rss_kib();
        release(model).await;
        report.failures(&format!("{} open", way.name()), &load.finish().await);
        let each = (open - idle) / number(crowd);
        let (idle, open, after) = (idle / 1024.0, open / 1024.0, meter.rss_kib() / 1024.0);
        println!("{:<10} {idle:>9.1} {open:>9.1} {after:>9.1} {each:>12.1}", way.name());
        if way == Way::Runhold {
            let what = format!("{} open streams: memory of each", grouped(crowd));
            report.at_most(what, each, 64.0, "KiB");
        }
    }
}

/// Lets the model server finish what it holds.
async fn release(model: &Child) {
    let request = post("/release", "key", "text/plain", "");
    let answer = Client::new(model.address).fetch(&request).await;
    assert!(matches!(answer, Ok((200, _))), "the model server releases what it holds");
}
