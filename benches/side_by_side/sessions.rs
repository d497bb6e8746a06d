//! Many stored sessions: what creating one costs, and what the others cost a list or a look.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::args::Args;
use crate::child::Child;
use crate::figures::{grouped, median, micros_each, millis, number, percentile};
use crate::http::{Client, get, post};
use crate::report::Report;
use crate::runhold::{Runhold, TOKEN};

/// Connections that create.
const WRITERS: usize = 64;
/// Requests of each kind that are timed.
const LOOKS: usize = 300;
/// Sessions of the first look.
const FEW: usize = 1_000;
/// No more are created after this.
const PATIENCE: Duration = Duration::from_secs(180);

/// Medians in milliseconds.
struct Looks {
    list: f64,
    read: f64,
}

pub(crate) async fn measure(args: &Args, model: &Child, report: &mut Report) {
    let server = Runhold::start(&args.binary(), model.address).await;
    println!("\n{:<22} {:>9} {:>9} {:>9} {:>12}", "created", "p50 ms", "p99 ms", "a second", "CPU each µs");
    let few = create(&server, 0, FEW.min(args.sessions()), report).await;
    let beside_few = look(&server, few, report).await;
    let many = create(&server, few, args.sessions(), report).await;
    let beside_many = look(&server, many, report).await;
    println!("\n{:<22} {:>12} {:>12}", "stored sessions", "list 20, ms", "read, ms");
    for (stored, looks) in [(few, &beside_few), (many, &beside_many)] {
        println!("{:<22} {:>12.3} {:>12.3}", grouped(stored), looks.list, looks.read);
    }
    let (few, many) = (grouped(few), grouped(many));
    let what = |verb: &str| format!("{verb}: beside {many} sessions to beside {few}");
    report.at_most(what("list 20"), beside_many.list / beside_few.list, 1.5, "×");
    report.at_most(what("read one"), beside_many.read / beside_few.read, 1.5, "×");
}

/// Creates sessions up to `total`; gives how many there are.
async fn create(server: &Runhold, stored: usize, total: usize, report: &mut Report) -> usize {
    let meter = server.child.meter();
    let (before, started) = (meter.cpu(), Instant::now());
    let next = Arc::new(AtomicUsize::new(stored));
    let mut writers = JoinSet::new();
    for _ in 0..WRITERS {
        writers.spawn(write(server.child.address, Arc::clone(&next), total));
    }
    let (mut times, mut faults) = (Vec::new(), Vec::new());
    while let Some(writer) = writers.join_next().await {
        let (some, wrong) = writer.expect("a writer does not panic");
        times.extend(some);
        faults.extend(wrong);
    }
    let cpu = micros_each(meter.cpu_since(&before), times.len());
    for fault in &faults {
        report.fault("create a session", fault);
    }
    println!(
        "{:<22} {:>9.2} {:>9.2} {:>9.0} {:>12.0}",
        format!("{} to {}", grouped(stored), grouped(stored + times.len())),
        median(&times),
        percentile(&times, 0.99),
        number(times.len()) / started.elapsed().as_secs_f64(),
        cpu
    );
    stored + times.len()
}

/// One connection that creates: milliseconds of each, and what went wrong.
async fn write(
    address: std::net::SocketAddr,
    next: Arc<AtomicUsize>,
    total: usize,
) -> (Vec<f64>, Option<String>) {
    let started = Instant::now();
    let mut client = Client::new(address);
    let mut times = Vec::new();
    while started.elapsed() < PATIENCE {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= total {
            break;
        }
        let body = format!(
            "{{\"session_id\":\"{}\",\"session_name\":\"Session {number}\",\"agent_id\":\"plain\",\
             \"session_state\":{{\"number\":{number}}}}}",
            name(number)
        );
        let asked = Instant::now();
        let request = post("/sessions?type=agent", TOKEN, "application/json", &body);
        match client.fetch(&request).await {
            Ok((201, _)) => times.push(millis(asked.elapsed())),
            Ok((status, body)) => return (times, Some(format!("status {status} {body}"))),
            Err(error) => return (times, Some(error.to_string())),
        }
    }
    (times, None)
}

/// Lists and reads, one request after the other.
async fn look(server: &Runhold, stored: usize, report: &mut Report) -> Looks {
    let mut client = Client::new(server.child.address);
    let list = get("/sessions?type=agent&limit=20&page=1", TOKEN);
    let (mut lists, mut reads) = (Vec::new(), Vec::new());
    for step in 0..LOOKS {
        let asked = Instant::now();
        match client.fetch(&list).await {
            Ok((200, body)) if body.matches("\"session_id\"").count() == 20.min(stored) => {
                lists.push(millis(asked.elapsed()));
            }
            other => report.fault("list sessions", &shortened(&other)),
        }
        // A stride that shares no factor with the usual totals visits sessions all over the store.
        let read = get(&format!("/sessions/{}?type=agent", name(step * 7_919 % stored.max(1))), TOKEN);
        let asked = Instant::now();
        match client.fetch(&read).await {
            Ok((200, _)) => reads.push(millis(asked.elapsed())),
            other => report.fault("read a session", &shortened(&other)),
        }
    }
    Looks { list: median(&lists), read: median(&reads) }
}

fn name(number: usize) -> String {
    format!("bench-{number:07}")
}

fn shortened(answer: &std::io::Result<(u16, String)>) -> String {
    format!("{answer:?}").chars().take(200).collect()
}
