//! P1, P2: the power goes under load, and while the program opens; what was not synced is forgotten.

use std::sync::Arc;
use std::time::Duration;

use crate::dice::Dice;
use crate::disk::Disk;
use crate::load::Load;
use crate::load::book::Book;
use crate::load::check::{Survives, check};
use crate::program::Place;
use crate::promise::Order;

/// A disk is used for as many cuts.
const REUSED: u64 = 10;

/// Cuts, one disk after the other, sled and redb in turn.
pub(crate) async fn power_cuts(order: Order) -> String {
    let mut dice = Dice::new(order.seed);
    let mut acknowledged = 0;
    let mut engines = ["sled", "redb"].into_iter().cycle();
    let reused = REUSED.min(order.count.div_ceil(2));
    let mut cuts = 0;
    let mut while_opening = 0;
    while cuts < order.count {
        let engine = engines.next().unwrap();
        let many = reused.min(order.count - cuts);
        let (opening, told) = one_disk(engine, cuts, many, &mut dice).await;
        cuts += many;
        while_opening += opening;
        acknowledged += told;
    }
    format!(
        "{cuts} power cuts under load, {while_opening} of them while opening; {acknowledged} acknowledgements, 0 lost, \
         0 halves, 0 stuck"
    )
}

async fn one_disk(engine: &str, before: u64, many: u64, dice: &mut Dice) -> (u64, u64) {
    let disk = Disk::mount();
    let place = Place::new(engine, Some(disk.path()));
    let book = Arc::new(Book::default());
    let mut while_opening = 0;
    for cut in 0..many {
        let wrong = |what: String| format!("{engine}, cut {}: {what}", before + cut);
        if dice.chance(25) {
            // As many changes as an opening makes, more or less: it may come after it too.
            disk.kill_at(1 + dice.below(60));
            while_opening += 1;
            match place.start().await {
                Ok(program) => program.kill(),
                Err(ended) => assert_eq!(ended.code, None, "{}", wrong(ended.said)),
            }
        } else {
            let program = place.start().await.unwrap_or_else(|ended| panic!("{}", wrong(ended.said)));
            let last = book.pages().round;
            let load = Load::begin(&program, &book, dice, true);
            let found = check(&program, &book, last..=last, Survives::Facts).await.wrong;
            assert!(found.is_empty(), "{}", wrong(format!("{found:#?}")));
            if dice.chance(50) {
                disk.kill_at(1 + dice.below(400));
            }
            tokio::time::sleep(Duration::from_millis(dice.below(500))).await;
            program.kill();
            load.end().await;
        }
        disk.cut_power(dice);
    }
    let program = place.start().await.unwrap_or_else(|ended| panic!("{engine}: {}", ended.said));
    let found = check(&program, &book, 0..=u64::MAX, Survives::Facts).await.wrong;
    assert!(found.is_empty(), "{engine}: {found:#?}");
    let acknowledged = book.pages().acknowledged;
    (while_opening, acknowledged)
}
