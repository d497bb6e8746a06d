//! P1, P5: the program is killed at each change it makes to the disk while it opens, with something to replay.

use std::sync::Arc;
use std::time::Duration;

use crate::dice::Dice;
use crate::disk::{Disk, Image};
use crate::load::Load;
use crate::load::book::Book;
use crate::load::check::{Survives, check};
use crate::program::Place;
use crate::promise::Order;

/// As many kills, spread evenly over the changes of a first opening and a later one with each engine; a large number:
/// every change.
pub(crate) async fn opens(order: Order) -> String {
    let mut dice = Dice::new(order.seed);
    let mut seen: Vec<String> = Vec::new();
    for engine in ["sled", "redb"] {
        let disk = Disk::mount();
        let place = Place::new(engine, Some(disk.path()));
        let empty = (disk.image(), Arc::default());
        for (image, book) in [empty, something_to_replay(&disk, &place, &mut dice).await] {
            let changes = changes_of_an_open(&disk, &place, &image).await;
            let step = (4 * changes).div_ceil(order.count).max(1);
            let mut kills = 0;
            // Not always the same ones are left out.
            for at in (1 + dice.below(step)..=changes).step_by(step as usize) {
                disk.restore(&image);
                disk.kill_at(at);
                if kill_and_open(&disk, &place, &book, &mut dice).await {
                    kills += 1;
                }
            }
            seen.push(format!("{kills} of {changes}"));
        }
    }
    let [sled_first, sled, redb_first, redb] = seen.try_into().unwrap();
    format!(
        "killed at {sled_first} changes of sled's first opening and at {sled} of one with something to replay, at \
         {redb_first} and {redb} of redb's; each time it opened again and had everything"
    )
}

/// A disk as a kill under load left it: with a snapshot, a journal and a tail.
async fn something_to_replay(disk: &Disk, place: &Place, dice: &mut Dice) -> (Image, Arc<Book>) {
    let book = Arc::new(Book::default());
    for _ in 0..2 {
        let program = place.start().await.unwrap();
        let load = Load::begin(&program, &book, dice, false);
        tokio::time::sleep(Duration::from_millis(400)).await;
        program.kill();
        load.end().await;
    }
    (disk.image(), book)
}

/// Changes until it serves, and a few after.
async fn changes_of_an_open(disk: &Disk, place: &Place, image: &Image) -> u64 {
    disk.restore(image);
    disk.kill_at(u64::MAX);
    let program = place.start().await.unwrap();
    let changes = disk.operations();
    program.kill();
    changes
}

/// Says whether it was killed: what an open does is not quite the same each time.
async fn kill_and_open(disk: &Disk, place: &Place, book: &Book, dice: &mut Dice) -> bool {
    let at = disk.killing_at();
    let wrong = |what: String| format!("killed at change {at:?}: {what}");
    let started = place.start().await;
    let killed = started.is_err();
    match started {
        Ok(program) => program.kill(),
        Err(ended) => assert_eq!(ended.code, None, "{}", wrong(ended.said)),
    }
    disk.spare();
    let cut = dice.chance(50);
    if cut {
        disk.cut_power(dice);
    }
    let program = place.start().await.unwrap_or_else(|ended| panic!("{}", wrong(ended.said)));
    let survives = if cut { Survives::Facts } else { Survives::Everything };
    let found = check(&program, &book.copy(), 0..=u64::MAX, survives).await.wrong;
    assert!(found.is_empty(), "{}", wrong(format!("{found:#?}")));
    killed
}
