//! P18: a full disk, failing reads and writes, and a sync that fails, under load.

use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;

use crate::dice::Dice;
use crate::disk::Disk;
use crate::load::book::Book;
use crate::load::check::{Survives, check};
use crate::load::{Client, Load, Told};
use crate::program::{Place, Program};
use crate::promise::Order;

/// After the end of a fault the service is whole again by then.
const MENDED: Duration = Duration::from_secs(15);
/// A fault lasts so long.
const FAULT: Duration = Duration::from_millis(1000);

/// What can be wrong with a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Full,
    WritesFail,
    ReadsFail,
    AllFails,
    OneSyncFails,
    SyncsFail,
}

const FAULTS: [Fault; 6] = [
    Fault::OneSyncFails,
    Fault::Full,
    Fault::WritesFail,
    Fault::SyncsFail,
    Fault::ReadsFail,
    Fault::AllFails,
];

impl Fault {
    fn begin(self, disk: &Disk, dice: &mut Dice) {
        match self {
            Self::Full => disk.set_room(Some(disk.used() + dice.below(256 * 1024))),
            Self::WritesFail => disk.fail_writes(true),
            Self::ReadsFail => disk.fail_reads(true),
            Self::AllFails => {
                disk.fail_reads(true);
                disk.fail_writes(true);
            }
            Self::OneSyncFails => disk.fail_syncs(1),
            Self::SyncsFail => disk.fail_syncs(u64::MAX),
        }
    }

    fn end(self, disk: &Disk) {
        disk.set_room(None);
        disk.fail_reads(false);
        disk.fail_writes(false);
        disk.fail_syncs(0);
    }

    /// Whoever can read the disk can read the store.
    fn reads_go_on(self) -> bool {
        !matches!(self, Self::ReadsFail | Self::AllFails)
    }
}

/// What was seen.
#[derive(Default)]
struct Seen {
    refused: u64,
    acknowledged: u64,
    reads: u64,
    slowest_mend: Duration,
    starts_refused: u64,
}

/// Faults one after the other, the same on sled and on redb.
pub(crate) async fn disk_faults(order: Order) -> String {
    let mut dice = Dice::new(order.seed);
    let mut seen = Seen::default();
    let faults = FAULTS.len() as u64;
    let half = order.count.div_ceil(2);
    let first = dice.below(faults);
    for engine in ["sled", "redb"] {
        for begun in (0..half).step_by(FAULTS.len()) {
            one_disk(engine, first + begun, faults.min(half - begun), &mut dice, &mut seen).await;
        }
    }
    let Seen { refused, acknowledged, reads, slowest_mend, starts_refused } = seen;
    format!(
        "{} faults under load: {refused} requests refused with 503 or 507, {acknowledged} acknowledged, 0 lost; \
         {reads} reads during the faults; mended within {slowest_mend:.1?} without a restart; {starts_refused} starts \
         refused with a sentence while it was full",
        2 * half
    )
}

async fn one_disk(engine: &str, first: u64, many: u64, dice: &mut Dice, seen: &mut Seen) {
    let disk = Disk::mount();
    let place = Place::new(engine, Some(disk.path()));
    let book = Arc::new(Book::default());
    let mut program = place.start().await.unwrap();
    for number in first..first + many {
        let fault = FAULTS[number as usize % FAULTS.len()];
        let wrong = |what: String| format!("{engine}, {fault:?}: {what}");
        let load = Load::begin(&program, &book, dice, true);
        let round = book.pages().round;
        tokio::time::sleep(Duration::from_millis(300 + dice.below(300))).await;
        fault.begin(&disk, dice);
        seen.reads += look_around(&program, &book, fault).await;
        fault.end(&disk);
        let mended = until_it_writes(&program, &book, number).await;
        let mended = mended.unwrap_or_else(|what| panic!("{}", wrong(what)));
        seen.slowest_mend = seen.slowest_mend.max(mended);
        load.end().await;
        let found = check(&program, &book, round..=round, Survives::Everything).await.wrong;
        assert!(found.is_empty(), "{}", wrong(format!("{found:#?}")));
        program.kill();
        if dice.chance(50) {
            disk.cut_power(dice);
        }
        if fault == Fault::Full {
            seen.starts_refused += start_while_full(&disk, &place).await;
        }
        // All of it once, at the end.
        let since = if number + 1 == first + many { 0 } else { round };
        program = place.start().await.unwrap_or_else(|ended| panic!("{}", wrong(ended.said)));
        let found = check(&program, &book, since..=round, Survives::Facts).await.wrong;
        assert!(found.is_empty(), "{}", wrong(format!("after a restart: {found:#?}")));
    }
    assert!(!place.log().contains("panicked"), "{engine}: it panicked");
    let pages = book.pages();
    seen.refused += pages.refused;
    seen.acknowledged += pages.acknowledged;
}

/// Reads what is known to be there, for as long as a fault lasts; how many reads there were.
async fn look_around(program: &Program, book: &Book, fault: Fault) -> u64 {
    let client = Client::new(program, true);
    let begun = Instant::now();
    let mut reads = 0;
    while begun.elapsed() < FAULT {
        let pages = book.pages().clone();
        let known = pages.sessions.iter().filter(|(_, session)| session.known.is_some());
        for (id, _) in known.take_while(|_| begun.elapsed() < FAULT) {
            match client.get(&format!("/sessions/{id}")).await {
                Told::Done(_) => reads += 1,
                Told::Refused(_) if !fault.reads_go_on() => {}
                other @ (Told::Missing | Told::Refused(_) | Told::Gone) => {
                    panic!("a read of session {id} while {fault:?}: {other:?}")
                }
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    reads
}

/// How long after the fault's end a session can be created again.
async fn until_it_writes(program: &Program, book: &Book, number: u64) -> Result<Duration, String> {
    let client = Client::new(program, true);
    let ended = Instant::now();
    for attempt in 0.. {
        let id = format!("mended-{number}-{attempt}");
        book.try_session(&id, (0, 0));
        let body = json!({
            "session_id": id, "session_name": "0+0", "session_state": {"n": 0, "filling": ""}, "metadata": {"n": 0},
        });
        match client.send(Method::POST, "/sessions", &body).await {
            Told::Done(_) => {
                book.know_session(&id, (0, 0));
                break;
            }
            Told::Refused(_) => {}
            other @ (Told::Missing | Told::Gone) => panic!("{other:?}"),
        }
        assert!(
            ended.elapsed() < MENDED,
            "{:?} after the fault's end nothing can be written",
            ended.elapsed()
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(ended.elapsed())
}

/// It may start or refuse, but says why.
async fn start_while_full(disk: &Disk, place: &Place) -> u64 {
    disk.set_room(Some(disk.used()));
    let started = place.start().await;
    let refused = match started {
        Ok(program) => {
            program.kill();
            0
        }
        Err(ended) => {
            assert_eq!(ended.code, Some(1), "{}", ended.said);
            assert!(!ended.said.contains("panicked") && ended.said.contains("data folder"), "{}", ended.said);
            1
        }
    };
    disk.set_room(None);
    refused
}
