//! The run engine in a world that comes from a seed: processes that die at any moment, a disk that is full or
//! away and forgets what was not synced, models and tools that fail, a clock that jumps, and clients that do
//! everything at once.
//!
//! After each death, and when faults have stopped, [`checks`] compares what is on the disk with what clients
//! were told, what watchers saw, and what tools did.
#![expect(clippy::wildcard_enum_match_arm, reason = "a check looks for one thing among many")]

mod checks;
mod clients;
mod clock;
mod disk;
mod ledger;
mod life;
mod model;
mod power;
mod story;
mod tools;
mod watchers;
mod weather;
mod world;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::dice::Dice;
use crate::promise::Order;
use world::World;

/// Threads; a seed knows only its own.
const THREADS: u64 = 2;

/// Every so many seeds one is done twice.
const TWICE: u64 = 50;

/// Lines of a story that are printed when it ends badly.
const LAST_LINES: usize = 200;

/// Tries seeds from the order's on; each is a world of its own.
pub(crate) async fn simulation(order: Order) -> String {
    let broken = Arc::new(AtomicU64::new(u64::MAX));
    let threads: Vec<_> = (0..THREADS)
        .map(|thread| {
            let broken = broken.clone();
            std::thread::spawn(move || try_seeds(order, thread, &broken))
        })
        .collect();
    let mut seen = Seen::default();
    let mut broken = Vec::new();
    for thread in threads {
        let (sum, first_broken) = thread.join().expect("a thread of the simulation ends by itself");
        seen.add(&sum);
        broken.extend(first_broken);
    }
    if let Some((seed, wrong)) = broken.into_iter().min() {
        let told = wrong.clone();
        std::thread::spawn(move || tell_about(seed, &told)).join().expect("a story is told to its end");
        panic!("seed {seed}: {wrong:?}; it comes back with `simulation --seed {seed} --count 1`");
    }
    format!(
        "{} seeds: {} lives, {} runs, {} entries, {} calls of tools",
        order.count, seen.lives, seen.runs, seen.entries, seen.calls
    )
}

/// What a seed, or many, came to.
#[derive(Debug, Default, Clone, Copy)]
struct Seen {
    lives: u64,
    runs: u64,
    entries: u64,
    calls: u64,
}

impl Seen {
    fn of(world: &World, lives: u64) -> Self {
        let entries = world.disk.logs().iter().map(|log| world.disk.count(log, |_| true) as u64).sum();
        let calls = world.deeds.0.lock().unwrap().values().map(|deed| deed.calls).sum();
        Self { lives, runs: world.runs().len() as u64, entries, calls }
    }

    fn add(&mut self, other: &Self) {
        self.lives += other.lives;
        self.runs += other.runs;
        self.entries += other.entries;
        self.calls += other.calls;
    }
}

/// A thread's share of the seeds; it stops at the first that is broken, or after one that is smaller.
fn try_seeds(order: Order, thread: u64, broken: &AtomicU64) -> (Seen, Option<(u64, Vec<String>)>) {
    let mut seen = Seen::default();
    for seed in (order.seed..order.seed + order.count).skip(thread as usize).step_by(THREADS as usize) {
        if broken.load(Ordering::Relaxed) < seed {
            break;
        }
        let twice = seed.is_multiple_of(TWICE);
        let (world, one) = try_seed(seed, twice);
        seen.add(&one);
        let mut wrong = world.wrong();
        if twice && wrong.is_empty() && try_seed(seed, true).0.story.digest() != world.story.digest() {
            wrong.push("the same seed led to another story".into());
        }
        if !wrong.is_empty() {
            broken.fetch_min(seed, Ordering::Relaxed);
            return (seen, Some((seed, wrong)));
        }
    }
    (seen, None)
}

/// One world, from its first process to its last.
fn try_seed(seed: u64, tells: bool) -> (Arc<World>, Seen) {
    let world = Arc::new(World::new(seed, tells));
    let lives = 1 + dice_of(seed, &[0]).below(4);
    for life in 0..lives {
        life::live(&world, life);
        checks::after_death(&world);
        if !world.wrong().is_empty() {
            break;
        }
    }
    if world.wrong().is_empty() {
        life::rest(&world, lives);
        checks::at_rest(&world);
    }
    let seen = Seen::of(&world, lives + 1);
    (world, seen)
}

/// Tells the end of a story that ended badly, after what the program itself had to say.
fn tell_about(seed: u64, wrong: &[String]) {
    let log = tracing_subscriber::fmt().without_time().with_writer(std::io::stderr).finish();
    let (again, _) = tracing::subscriber::with_default(log, || try_seed(seed, true));
    if again.wrong() != wrong {
        eprintln!("seed {seed} does not come back: {:?}", again.wrong());
    }
    let lines = again.story.text();
    for line in lines.iter().skip(lines.len().saturating_sub(LAST_LINES)) {
        eprintln!("{line}");
    }
}

/// The dice of a seed for one purpose.
fn dice_of(seed: u64, words: &[u64]) -> Dice {
    let mixed = words.iter().fold(seed, |mixed, word| Dice::new(mixed ^ word.rotate_left(32)).next());
    Dice::new(mixed)
}

/// A number that stands for a text.
fn number_of(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}
