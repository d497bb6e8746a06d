//! P5: ready in 3 s with 100,000 sessions and a million entries, after a clean end and after a kill.

use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::StreamExt;
use runhold::domain::document::{Key, RecordKind, Tag, Tags};
use runhold::domain::fact::{Entry, Fact, Piece};
use runhold::domain::id::{Owner, RunId};
use runhold::domain::time::Timestamp;
use runhold::store::{self, Append, Batch, Expect, Log, Put, StoreConfig};
use serde_json::json;
use uuid::Uuid;

use crate::harness::server::{Server, Setup};
use crate::promise::Order;

/// What is promised for so many sessions.
const FULL: u64 = 100_000;
const PROMISED: Duration = Duration::from_secs(3);
/// Entries of each session.
const ENTRIES: u64 = 10;
/// Sessions that are written at the same time.
const WRITERS: usize = 256;

/// Fills both engines with so many sessions, and times starts of the program.
pub(crate) async fn a_restart_is_quick(order: Order) -> String {
    let sled = times("sled", StoreConfig::Sled { cache_mib: 64 }, order.count).await;
    let redb = times("redb", StoreConfig::Redb { cache_mib: 64 }, order.count).await;
    let told = format!("{} sessions, {} entries: {sled}; {redb}", order.count, order.count * ENTRIES);
    let slowest = sled.slowest().max(redb.slowest());
    assert!(order.count < FULL || slowest <= 3 * PROMISED, "a start took {slowest:.1?}: {told}");
    told
}

/// How long it took from the start of the process to health.
struct Times {
    engine: &'static str,
    /// The first after the store was filled.
    first: Duration,
    /// After a clean end.
    clean: Duration,
    /// After a kill.
    killed: Duration,
}

impl Times {
    fn slowest(&self) -> Duration {
        self.first.max(self.clean).max(self.killed)
    }
}

impl std::fmt::Display for Times {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { engine, first, clean, killed } = self;
        let seconds = |time: &Duration| time.as_secs_f32();
        let (first, clean, killed) = (seconds(first), seconds(clean), seconds(killed));
        write!(
            f,
            "{engine} up in {first:.2} s when filled, {clean:.2} s after a clean end, {killed:.2} s after a kill"
        )
    }
}

async fn times(engine: &'static str, config: StoreConfig, sessions: u64) -> Times {
    let lines = format!("[store.{engine}]\ncache_mib = 64");
    let mut server =
        Setup::default().config(&lines).agent("demo", "---\nname: Demo\n---\nYou help.\n").start().await;
    end(&mut server).await;
    fill(config, &server.path("data"), sessions).await;
    let first = start(&mut server).await;
    end(&mut server).await;
    let clean = start(&mut server).await;
    for number in 0..100 {
        let session = json!({"session_id": format!("new-{number}"), "agent_id": "demo"});
        let (status, body) = server.post("/sessions?type=agent", &session).await;
        assert_eq!(status, 201, "{body}");
    }
    server.kill();
    let killed = start(&mut server).await;
    let (status, _) = server.get("/sessions/new-99?type=agent").await;
    assert_eq!(status, 200);
    Times { engine, first, clean, killed }
}

async fn start(server: &mut Server) -> Duration {
    let begun = Instant::now();
    server.restart().await;
    begun.elapsed()
}

async fn fill(config: StoreConfig, folder: &Path, sessions: u64) {
    let store = store::open(&config, folder).await.unwrap().store;
    let writes = (0..sessions).map(|number| store.commit(session(number)));
    futures::stream::iter(writes).buffer_unordered(WRITERS).for_each(|done| async { done.unwrap() }).await;
    tokio::task::spawn_blocking(move || drop(store)).await.unwrap();
}

/// A session with a run, about as the server would have written it.
fn session(number: u64) -> Batch {
    let owner: Owner = "default".parse().unwrap();
    let id = format!("session-{number:08}");
    let run = RunId(Uuid::from_u128(u128::from(number) << 64 | 7));
    let entry = |seq: u64| {
        let text = format!("This is piece {seq} of what was said in session {number}, and a little more.");
        let fact = Fact::Said { pieces: vec![Piece::Text(text)] };
        Entry { seq, run, at: Timestamp(number * 1000 + seq), fact }
    };
    let log = Log { owner: owner.clone(), session: id.parse().unwrap() };
    let put = |kind, id: String, listed, names, body: serde_json::Value| Put {
        key: Key { owner: owner.clone(), kind: RecordKind(kind), id },
        expect: Expect::Absent,
        tags: Tags { sort: number, listed, names },
        body: Bytes::from(serde_json::to_vec(&body).unwrap()),
    };
    let header = json!({"id": id, "kind": "agent", "component": "demo", "user": format!("user-{}", number % 100),
        "first_input": "Hello", "created": number, "updated": number, "runs": 1});
    let record = json!({"id": run, "session": id, "kind": "agent", "component": "demo", "status": "completed",
        "created": number, "first": 1, "last": ENTRIES});
    let names = vec![
        Tag::new("kind", "agent"),
        Tag::new("component", "agent/demo"),
        Tag::new("user", format!("user-{}", number % 100)),
    ];
    let of_session = vec![Tag::new("session", id.clone())];
    Batch {
        append: Some(Append { log, after: 0, entries: (1..=ENTRIES).map(entry).collect() }),
        puts: vec![
            put("session", id, true, names, header),
            put("run", run.to_string(), false, of_session, record),
        ],
        ..Batch::default()
    }
}

async fn end(server: &mut Server) {
    server.terminate();
    assert_eq!(server.code().await, Some(0));
}
