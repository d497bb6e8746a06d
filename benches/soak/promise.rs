//! One promise: its name, its counts, and how it is tried.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::process::ExitCode;
use std::time::Instant;

use futures::FutureExt;

use crate::args::Args;
use crate::harness::server::Server;

/// How often, and from which seed on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Order {
    /// Rounds.
    pub(crate) count: u64,
    /// Where randomness begins.
    pub(crate) seed: u64,
}

type Outcome = Pin<Box<dyn Future<Output = String>>>;

/// Something that must hold. Trying it ends in a sentence that says what was seen, or panics.
pub(crate) struct Promise {
    name: &'static str,
    reduced: u64,
    full: u64,
    check: Box<dyn Fn(Order) -> Outcome>,
}

impl Promise {
    /// `reduced` rounds in the tests, `full` rounds as promised.
    pub(crate) fn new<F: Future<Output = String> + 'static>(
        name: &'static str,
        (reduced, full): (u64, u64),
        check: impl Fn(Order) -> F + 'static,
    ) -> Self {
        Self { name, reduced, full, check: Box::new(move |order| Box::pin(check(order))) }
    }

    fn order(&self, args: &Args, seed: u64) -> Order {
        let count = args.count.unwrap_or(if args.full { self.full } else { self.reduced });
        Order { count, seed }
    }
}

/// Tries them one after the other; a promise without rounds is left out.
pub(crate) fn try_all(promises: Vec<Promise>, args: &Args) -> ExitCode {
    let seed = args.seed.unwrap_or_else(fresh_seed);
    println!("seed {seed}");
    let unknown: Vec<_> =
        args.names.iter().filter(|name| promises.iter().all(|promise| promise.name != **name)).collect();
    if !unknown.is_empty() {
        let known: Vec<_> = promises.iter().map(|promise| promise.name).collect();
        eprintln!("no promise is named {unknown:?}; there are {}", known.join(", "));
        return ExitCode::FAILURE;
    }
    let (mut kept, mut broken) = (0_u32, 0_u32);
    for promise in promises {
        let order = promise.order(args, seed);
        let wanted = args.names.is_empty() || args.names.iter().any(|name| name == promise.name);
        if order.count == 0 || !wanted {
            continue;
        }
        let begun = Instant::now();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let done = runtime.unwrap().block_on(AssertUnwindSafe((promise.check)(order)).catch_unwind());
        let seconds = begun.elapsed().as_secs_f32();
        match done {
            Ok(seen) => {
                kept += 1;
                println!("ok      {:12} {seen} ({seconds:.0} s)", promise.name);
            }
            Err(_) => {
                broken += 1;
                println!(
                    "BROKEN  {:12} with --seed {seed} --count {} ({seconds:.0} s)",
                    promise.name, order.count
                );
            }
        }
    }
    println!("{kept} passed, {broken} failed");
    if broken == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn fresh_seed() -> u64 {
    let mut bytes = [0; 4];
    getrandom::fill(&mut bytes).unwrap();
    u64::from(u32::from_le_bytes(bytes))
}

/// A run that was accepted comes to its end, and well.
pub(crate) async fn completed(server: &Server, run: &str, session: &str) {
    let body = server.at_rest("agents/plain", session, run).await;
    assert_eq!(body["status"], "COMPLETED", "run {run} was accepted: {body}");
}
