//! Orders under a client's key: carried out once, whatever happens between one time and the next.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use runhold::clock::{Clock, WallClock};
use runhold::domain::document::{Query, RecordKind};
use runhold::domain::fact::{Answer, Decision};
use runhold::domain::id::Owner;
use runhold::domain::once::{Fingerprint, KEPT, Once};
use runhold::domain::run::{Answers, Command, NewSession, Started};
use runhold::domain::time::Timestamp;
use runhold::runtime::{Error, MadeRun, Runtime, SessionFilter};
use runhold::store::{Store, StoreError};

use super::stage::{self, Line, Stage, Tape, order, owner};
use super::{finished, soon};

/// A key and the order it came with, told by a number.
fn once(key: &str, what: u8) -> Once {
    Once { key: key.parse().unwrap(), by: "somebody".into(), fingerprint: Fingerprint([what; 32]) }
}

fn says(_: &runhold::domain::message::ModelCall) -> Line {
    Line::Say(vec!["Yes."])
}

/// Starts a run under a key, in a session that is made for it.
async fn start(runtime: &Runtime, once: &Once) -> Result<Started, Error> {
    let claim = runtime.claim(&owner(), once).await?;
    runtime.start_once(&owner(), order(None, "Go"), claim).await
}

async fn create(runtime: &Runtime, once: &Once) -> Result<String, Error> {
    let claim = runtime.claim(&owner(), once).await?;
    let new = NewSession { title: Some("First".into()), ..NewSession::default() };
    let made = runtime.create_session_once(&owner(), new, claim).await?;
    assert_eq!(made.title(), "First");
    Ok(made.session.id.to_string())
}

/// How many sessions there are: each run made one.
async fn sessions(runtime: &Runtime) -> u64 {
    let filter = SessionFilter { limit: 100, ..SessionFilter::default() };
    runtime.sessions(&owner(), filter).await.unwrap().total
}

async fn receipts(tape: &Tape) -> usize {
    let kind = RecordKind("receipt");
    let query = Query {
        owner: Owner::server(),
        kind,
        tag: None,
        newest_first: false,
        after: None,
        skip: 0,
        limit: 9,
    };
    tape.list(&query).await.unwrap().records.len()
}

/// Goes on only when it is told to.
struct HandClock(AtomicU64);

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::Relaxed))
    }

    fn fresh(&self) -> uuid::Uuid {
        WallClock::default().fresh()
    }
}

impl HandClock {
    fn new() -> Arc<Self> {
        Arc::new(Self(AtomicU64::new(1_767_621_802_000_000)))
    }

    fn pass(&self, time: Duration) {
        self.0.fetch_add(u64::try_from(time.as_micros()).unwrap(), Ordering::Relaxed);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_comes_again_makes_nothing_new_wherever_the_server_was_cut() {
    let tape = Tape::blank().await;
    let runtime = Stage::new(tape.clone(), says).open().await;
    let first = start(&runtime, &once("k1", 1)).await.unwrap();
    finished(&runtime, first.run).await;
    let batches = tape.batches();
    for cut in 0..=batches.len() {
        let runtime = Stage::new(Tape::of(&batches[..cut]).await, says).open().await;
        let again = start(&runtime, &once("k1", 1)).await.unwrap();
        assert_eq!(again.run == first.run, cut > 0, "cut after {cut} writes");
        assert_eq!(finished(&runtime, again.run).await.text(), "Yes.");
        assert_eq!(sessions(&runtime).await, 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_that_come_at_once_one_is_carried_out_and_all_are_told_the_same() {
    let runtime = Stage::new(Tape::blank().await, says).open().await;
    let runs = (0..32).map(|_| {
        let runtime = runtime.clone();
        tokio::spawn(async move { start(&runtime, &once("k1", 1)).await.unwrap().run })
    });
    let runs = futures::future::try_join_all(runs).await.unwrap();
    assert!(runs.iter().all(|run| *run == runs[0]), "{runs:?}");
    let made = (0..32).map(|_| {
        let runtime = runtime.clone();
        tokio::spawn(async move { create(&runtime, &once("k2", 2)).await.unwrap() })
    });
    let made = futures::future::try_join_all(made).await.unwrap();
    assert!(made.iter().all(|id| *id == made[0]), "{made:?}");
    assert_eq!(sessions(&runtime).await, 2);
}

#[tokio::test]
async fn a_key_stands_for_one_order_of_one_owner() {
    let runtime = Stage::new(Tape::blank().await, says).open().await;
    start(&runtime, &once("k1", 1)).await.unwrap();
    let other = runtime.claim(&owner(), &once("k1", 2)).await;
    assert!(matches!(other.map(|claim| claim.is_done()), Err(Error::KeyReused)));
    let theirs = runtime.claim(&"somebody".parse().unwrap(), &once("k1", 2)).await.unwrap();
    assert!(!theirs.is_done());
    let another = runtime.claim(&owner(), &once("k2", 1)).await.unwrap();
    assert!(!another.is_done());
}

#[tokio::test]
async fn an_order_that_failed_leaves_its_key_free() {
    let tape = Tape::blank().await;
    let runtime = Stage::new(tape.clone(), says).open().await;
    tape.fail_with(Some(StoreError::Full));
    assert!(matches!(start(&runtime, &once("k1", 1)).await, Err(Error::Full)));
    assert!(matches!(create(&runtime, &once("k1", 1)).await, Err(Error::Full)));
    tape.fail_with(None);
    assert_eq!(receipts(&tape).await, 0);
    let started = start(&runtime, &once("k1", 2)).await.unwrap();
    assert_eq!(finished(&runtime, started.run).await.text(), "Yes.");
}

#[tokio::test]
async fn a_key_is_known_for_a_day_and_then_stands_for_something_new() {
    let clock = HandClock::new();
    let stage = Stage::new(Tape::blank().await, says).on_clock(clock.clone());
    let runtime = stage.open().await;
    let first = create(&runtime, &once("k1", 1)).await.unwrap();
    clock.pass(KEPT - Duration::from_secs(1));
    assert_eq!(create(&runtime, &once("k1", 1)).await.unwrap(), first);
    clock.pass(Duration::from_secs(1));
    let second = create(&runtime, &once("k1", 2)).await.unwrap();
    assert_ne!(second, first);
    assert_eq!(create(&runtime, &once("k1", 2)).await.unwrap(), second);
}

#[tokio::test]
async fn what_has_expired_is_swept_away_and_what_has_not_is_kept() {
    let clock = HandClock::new();
    let tape = Tape::blank().await;
    let stage = Stage::new(tape.clone(), says).on_clock(clock.clone());
    let runtime = stage.open().await;
    for key in ["k1", "k2", "k3"] {
        create(&runtime, &once(key, 1)).await.unwrap();
    }
    clock.pass(KEPT);
    let kept = create(&runtime, &once("k4", 1)).await.unwrap();
    soon(async {
        while receipts(&tape).await > 1 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(create(&runtime, &once("k4", 1)).await.unwrap(), kept);
}

#[tokio::test]
async fn what_a_run_came_to_first_is_told_again_whatever_became_of_it_later() {
    let stage = Stage::new(Tape::blank().await, |asked| match stage::results(asked) {
        0 => Line::Calls(vec![("c1", "launch")]),
        _ => Line::Say(vec!["Launched."]),
    });
    let runtime = stage.open().await;
    let started = start(&runtime, &once("k1", 1)).await.unwrap();
    let paused = finished(&runtime, started.run).await;
    let answer =
        Answer { call: "c1".parse().unwrap(), decision: Decision::Approved { values: Default::default() } };
    for _ in 0..3 {
        let claim = runtime.claim(&owner(), &once("k2", 2)).await.unwrap();
        let command = Command::Answer(Answers::of_calls(started.run, vec![answer.clone()]));
        runtime.tell_once(&owner(), started.run, command, claim).await.unwrap();
    }
    let whole = finished(&runtime, started.run).await;
    assert_eq!((stage.deeds(), whole.text().as_str()), (vec!["launch".to_owned()], "Launched."));
    let made = MadeRun { run: started.run, since: started.first };
    assert_eq!(runtime.rested(&owner(), made).await.unwrap(), paused);
    let claim = runtime.claim(&owner(), &once("k2", 2)).await.unwrap();
    let made: MadeRun = claim.made().unwrap().unwrap();
    assert_eq!(runtime.rested(&owner(), made).await.unwrap(), whole);
}

#[tokio::test]
async fn a_run_that_was_deleted_is_not_started_again_under_its_key() {
    let runtime = Stage::new(Tape::blank().await, says).open().await;
    let started = start(&runtime, &once("k1", 1)).await.unwrap();
    finished(&runtime, started.run).await;
    runtime.delete_session(&owner(), &started.session, None).await.unwrap();
    let gone = format!("run {}, which this request started, was deleted since", started.run);
    assert!(matches!(start(&runtime, &once("k1", 1)).await, Err(Error::Conflict(why)) if why == gone));
}
