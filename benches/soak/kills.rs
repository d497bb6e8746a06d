//! P1, P2, P7: the program is killed under load, while it opens, and while it recovers.

use std::sync::Arc;
use std::time::Duration;

use crate::dice::Dice;
use crate::load::Load;
use crate::load::book::Book;
use crate::load::check::{Findings, Survives, check};
use crate::program::Place;
use crate::promise::Order;

/// A folder is used for as many kills.
const REUSED: u64 = 25;
/// Longest that opening may take.
const OPENS: Duration = Duration::from_secs(10);

/// What was seen.
#[derive(Default)]
struct Seen {
    kills: u64,
    while_opening: u64,
    acknowledged: u64,
    slowest_open: Duration,
    longest_run: Duration,
}

/// Kills, one folder after the other, sled and redb in turn.
pub(crate) async fn kills(order: Order) -> String {
    let mut dice = Dice::new(order.seed);
    let mut seen = Seen::default();
    let mut engines = ["sled", "redb"].into_iter().cycle();
    let reused = REUSED.min(order.count.div_ceil(2));
    while seen.kills < order.count {
        let until = order.count.min(seen.kills + reused);
        one_folder(engines.next().unwrap(), until, &mut dice, &mut seen).await;
    }
    let Seen { kills, while_opening, acknowledged, slowest_open, longest_run } = seen;
    format!(
        "{kills} kills under load, {while_opening} of them while opening; {acknowledged} acknowledgements, 0 lost, \
         0 halves, 0 stuck; opens in {slowest_open:.1?} at most, runs end within {longest_run:.1?}"
    )
}

async fn one_folder(engine: &str, until: u64, dice: &mut Dice, seen: &mut Seen) {
    let place = Place::new(engine, None);
    let book = Arc::new(Book::default());
    let mut usual = Duration::from_millis(300);
    let judged = |findings: Findings, seen: &mut Seen| {
        let Findings { wrong, longest } = findings;
        assert!(wrong.is_empty(), "{engine}, kill {}: {wrong:#?}", seen.kills);
        seen.longest_run = seen.longest_run.max(longest);
    };
    while seen.kills < until {
        if dice.chance(20) {
            let starting = place.spawn();
            tokio::time::sleep(usual.mul_f64(dice.below(100) as f64 / 100.0)).await;
            drop(starting);
            seen.while_opening += 1;
            seen.kills += 1;
        }
        let program = place.start().await.unwrap();
        usual = program.opened_in;
        seen.slowest_open = seen.slowest_open.max(usual);
        assert!(usual < OPENS, "{engine}, kill {}: opening took {usual:?}", seen.kills);
        let last = book.pages().round;
        let load = Load::begin(&program, &book, dice, false);
        judged(check(&program, &book, last..=last, Survives::Everything).await, seen);
        tokio::time::sleep(Duration::from_millis(dice.below(400))).await;
        program.kill();
        load.end().await;
        seen.kills += 1;
    }
    let program = place.start().await.unwrap();
    judged(check(&program, &book, 0..=u64::MAX, Survives::Everything).await, seen);
    seen.acknowledged += book.pages().acknowledged;
}
