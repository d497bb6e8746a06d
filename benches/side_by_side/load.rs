//! The closed loop: so many streams, each starting its next run when the one before has ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::args::Level;
use crate::child::Child;
use crate::figures::{median, micros_each, millis, number, percentile};
use crate::http::Client;
use crate::orders::Order;
use crate::transcript::Transcript;

/// A run that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// One run that went well.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timing {
    /// From the first byte of the first request to the first piece of text.
    pub(crate) first_piece: Duration,
    /// To the last byte of the last answer.
    pub(crate) end: Duration,
}

/// What a load came to.
#[derive(Debug, Default)]
pub(crate) struct Outcomes {
    pub(crate) timings: Vec<Timing>,
    /// What went wrong, once for each run that did.
    pub(crate) faults: Vec<String>,
}

/// One measured load, as the numbers that are shown.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Figures {
    /// Microseconds of the asked process, user and system, for each completed run.
    pub(crate) cpu_us: f64,
    /// Milliseconds.
    pub(crate) first_median: f64,
    pub(crate) first_p99: f64,
    pub(crate) end_median: f64,
    pub(crate) end_p99: f64,
    pub(crate) per_second: f64,
    pub(crate) failed: usize,
}

/// Does one run over one connection.
pub(crate) async fn run(client: &mut Client, order: &Order) -> Result<Timing, String> {
    run_noticing(client, order, || {}).await
}

/// Does one run, and says when its first piece has come.
async fn run_noticing(client: &mut Client, order: &Order, on_first: impl Fn()) -> Result<Timing, String> {
    let started = Instant::now();
    let mut transcript = Transcript::new(order.dialect, started);
    for request in &order.requests {
        transcript = Transcript::new(order.dialect, started);
        let read = |bytes: &[u8]| {
            let silent = transcript.first_piece().is_none();
            transcript.read(bytes);
            if silent && transcript.first_piece().is_some() {
                on_first();
            }
        };
        let status = client.send(request, read).await.map_err(|error| error.to_string())?;
        if status != 200 {
            return Err(format!("status {status}"));
        }
        if !transcript.ended() {
            return Err("a stream ended without its last event".into());
        }
    }
    match (transcript.fault(), transcript.first_piece()) {
        (None, Some(first_piece)) => Ok(Timing { first_piece, end: started.elapsed() }),
        (fault, _) => Err(fault.unwrap_or_else(|| "no piece".into())),
    }
}

/// A load that is under way.
pub(crate) struct Load {
    workers: JoinSet<Outcomes>,
    progress: Arc<Progress>,
}

/// How far a load is, for whoever watches it.
#[derive(Default)]
struct Progress {
    /// Runs whose first piece has come.
    begun: AtomicUsize,
    failed: AtomicUsize,
}

impl Load {
    /// Starts the streams of the level at even distances within `ramp`.
    ///
    /// Streams that start together have connected one after the other before: a thousand connections at the same
    /// moment would measure the kernel's queue for them. Nothing is sent before the caller awaits something.
    pub(crate) async fn start(order: &Order, level: Level, ramp: Duration) -> Self {
        let mut clients: Vec<Client> = (0..level.streams).map(|_| Client::new(order.address)).collect();
        for client in clients.iter_mut().filter(|_| ramp.is_zero()) {
            // Whoever cannot connect now tries again with its first run, which then says why it failed.
            drop(client.connect().await);
        }
        let order = Arc::new(order.clone());
        let left = Arc::new(AtomicUsize::new(level.runs));
        let progress = Arc::new(Progress::default());
        let mut workers = JoinSet::new();
        for (position, client) in clients.into_iter().enumerate() {
            let wait = ramp.mul_f64(number(position) / number(level.streams));
            let (order, left, progress) = (Arc::clone(&order), Arc::clone(&left), Arc::clone(&progress));
            workers.spawn(async move {
                tokio::time::sleep(wait).await;
                work(client, &order, &left, &progress).await
            });
        }
        Self { workers, progress }
    }

    /// Waits until so many runs have shown their first piece, or one has failed.
    pub(crate) async fn until_begun(&self, runs: usize) {
        let started = Instant::now();
        while self.progress.begun.load(Ordering::Relaxed) < runs
            && self.progress.failed.load(Ordering::Relaxed) == 0
            && started.elapsed() < PATIENCE
        {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits for the end of all runs.
    pub(crate) async fn finish(mut self) -> Outcomes {
        let mut all = Outcomes::default();
        while let Some(worker) = self.workers.join_next().await {
            let mut outcomes = worker.expect("a stream of the load does not panic");
            all.timings.append(&mut outcomes.timings);
            all.faults.append(&mut outcomes.faults);
        }
        all
    }
}

/// One stream of a load: run after run over one connection, until none is left.
async fn work(mut client: Client, order: &Order, left: &AtomicUsize, progress: &Progress) -> Outcomes {
    let mut outcomes = Outcomes::default();
    while take_one(left) {
        let run = run_noticing(&mut client, order, || _ = progress.begun.fetch_add(1, Ordering::Relaxed));
        let fault = match tokio::time::timeout(PATIENCE, run).await {
            Ok(Ok(timing)) => {
                outcomes.timings.push(timing);
                continue;
            }
            Ok(Err(fault)) => fault,
            Err(_) => format!("no end within {} s", PATIENCE.as_secs()),
        };
        progress.failed.fetch_add(1, Ordering::Relaxed);
        outcomes.faults.push(fault);
        // What is left of a failed answer must not be taken for the next one.
        client = Client::new(order.address);
    }
    outcomes
}

fn take_one(left: &AtomicUsize) -> bool {
    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |runs| runs.checked_sub(1)).is_ok()
}

/// Does a whole load and measures the process that is asked.
pub(crate) async fn measured(
    asked: &Child,
    order: &Order,
    level: Level,
    ramp: Duration,
) -> (Figures, Outcomes) {
    let meter = asked.meter();
    let load = Load::start(order, level, ramp).await;
    let before = meter.cpu();
    let started = Instant::now();
    let outcomes = load.finish().await;
    let took = started.elapsed();
    let cpu = meter.cpu_since(&before);
    let first: Vec<f64> = outcomes.timings.iter().map(|timing| millis(timing.first_piece)).collect();
    let end: Vec<f64> = outcomes.timings.iter().map(|timing| millis(timing.end)).collect();
    let figures = Figures {
        cpu_us: micros_each(cpu, outcomes.timings.len()),
        first_median: median(&first),
        first_p99: percentile(&first, 0.99),
        end_median: median(&end),
        end_p99: percentile(&end, 0.99),
        per_second: number(outcomes.timings.len()) / took.as_secs_f64(),
        failed: outcomes.faults.len(),
    };
    (figures, outcomes)
}

impl Figures {
    /// The medians of several rounds, each number by itself; failed runs are added up.
    pub(crate) fn over(rounds: &[Self]) -> Self {
        let of = |field: fn(&Self) -> f64| median(&rounds.iter().map(field).collect::<Vec<_>>());
        Self {
            cpu_us: of(|round| round.cpu_us),
            first_median: of(|round| round.first_median),
            first_p99: of(|round| round.first_p99),
            end_median: of(|round| round.end_median),
            end_p99: of(|round| round.end_p99),
            per_second: of(|round| round.per_second),
            failed: rounds.iter().map(|round| round.failed).sum(),
        }
    }
}
