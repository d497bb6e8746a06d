//! A triage board with many issues: what opening one costs, and what the others cost a list, a search or a change.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::args::Args;
use crate::child::Child;
use crate::figures::{grouped, median, micros_each, millis, number, percentile};
use crate::http::{Client, get, post, request};
use crate::report::Report;
use crate::runhold::{Runhold, TOKEN};

/// Connections that open issues.
const WRITERS: usize = 64;
/// Requests of each kind that are timed.
const LOOKS: usize = 100;
/// Issues of the first look.
const FEW: usize = 1_000;
/// No more are opened after this.
const PATIENCE: Duration = Duration::from_secs(600);
/// Entries of the issue whose feed is read and that is deleted.
const FEED: usize = 2_000;
/// Issues that are tied to the one that is deleted.
const TIES: usize = 200;
/// A word that one issue in a thousand has.
const RARE: &str = "quetzalcoatl";

/// Who asks, on one connection.
struct Asker<'a> {
    server: &'a Runhold,
    client: Client,
    report: &'a mut Report,
}

pub(crate) async fn measure(args: &Args, model: &Child, report: &mut Report) {
    let server = Runhold::start(&args.binary(), model.address).await;
    println!("\n{:<34} {:>9} {:>9} {:>9} {:>12}", "", "p50 ms", "p99 ms", "a second", "CPU each µs");
    open(&server, "opened by one connection", 1, 0, 200, report).await;
    let few = open(&server, "opened by 64 connections", WRITERS, 200, FEW.min(args.issues()), report).await;
    let mut asker = Asker { client: Client::new(server.child.address), server: &server, report };
    let beside_few = asker.glance().await;
    let stored = open(&server, "opened by 64 connections", WRITERS, few, args.issues(), report).await;
    let weight = server.child.meter().rss_kib() / 1024.0;
    let mut asker = Asker { client: Client::new(server.child.address), server: &server, report };
    let beside_many = asker.glance().await;
    for ((what, few_ms), (_, many_ms)) in beside_few.iter().zip(&beside_many) {
        let what = format!("{what}: beside {} issues to beside {}", grouped(stored), grouped(few));
        asker.report.at_most(what, many_ms / few_ms, 2.0, "×");
    }
    asker.look(stored).await;
    asker.change(stored).await;
    asker.read_and_delete_a_long_feed().await;
    beside_searches(&server, report).await;
    println!("\nmemory with {} issues: {weight:.0} MiB", grouped(stored));
    let server = server.restart().await;
    println!("killed and healthy again after {:.0?}", server.healthy_after);
    let mut client = Client::new(server.child.address);
    let asked = Instant::now();
    let first = client.fetch(&list("")).await;
    println!("first list after that: {:.0?}", asked.elapsed());
    check(&first, 200, report);
    println!("memory after that: {:.0} MiB", server.child.meter().rss_kib() / 1024.0);
}

/// Opens issues up to `total` on so many connections; gives how many there are.
async fn open(
    server: &Runhold,
    what: &str,
    writers: usize,
    stored: usize,
    total: usize,
    report: &mut Report,
) -> usize {
    let meter = server.child.meter();
    let (before, started) = (meter.cpu(), Instant::now());
    let next = Arc::new(AtomicUsize::new(stored));
    let mut tasks = JoinSet::new();
    for _ in 0..writers {
        tasks.spawn(write(server.child.address, Arc::clone(&next), total));
    }
    let (mut times, mut faults) = (Vec::new(), Vec::new());
    while let Some(task) = tasks.join_next().await {
        let (some, wrong) = task.expect("a writer does not panic");
        times.extend(some);
        faults.extend(wrong);
    }
    for fault in &faults {
        report.fault("open an issue", fault);
    }
    print(what, &times, started.elapsed(), meter.cpu_since(&before));
    stored + times.len()
}

/// One connection that opens issues: milliseconds of each, and what went wrong.
async fn write(address: SocketAddr, next: Arc<AtomicUsize>, total: usize) -> (Vec<f64>, Option<String>) {
    let started = Instant::now();
    let mut client = Client::new(address);
    let mut times = Vec::new();
    while started.elapsed() < PATIENCE {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= total {
            break;
        }
        let asked = Instant::now();
        let request = post("/v1/triage/issues", TOKEN, "application/json", &issue(number).to_string());
        match client.fetch(&request).await {
            Ok((201, _)) => times.push(millis(asked.elapsed())),
            other => return (times, Some(shortened(&other))),
        }
    }
    (times, None)
}

/// An issue as people write them; the fields follow from the number.
fn issue(number: usize) -> Value {
    let pick = |words: &[&str], stride: usize| nth(words, number / stride).to_string();
    let rare = if number % 1_000 == 7 { RARE } else { "greeting" };
    let link = json!({"resource_type": "call", "resource_id": format!("call-{number}")});
    let links: Vec<Value> = std::iter::repeat_n(link, usize::from(number.is_multiple_of(5))).collect();
    json!({
        "resource_links": links,
        "title": format!("Agent skipped the {rare} step in flow {number}"),
        "severity": pick(&["critical", "high", "medium", "low"], 1),
        "status": pick(&["todo", "backlog", "in_progress", "in_review", "done", "closed"], 3),
        "category": pick(&["Routing", "Speech", "Tools", "Latency", "Bug", "Dialogue"], 7),
        "assignee_id": format!("user-{}", number % 50),
        "description": "On the demo flow the agent jumped to the closing node without asking for the email \
            confirmation. The caller repeated the request twice and was then handed over to a queue that nobody \
            answers at this hour; the recording ends after forty seconds of music.",
    })
}

impl Asker<'_> {
    /// What should not become slower with the number of issues, and how many milliseconds it takes.
    async fn glance(&mut self) -> Vec<(&'static str, f64)> {
        let looks = [
            ("list", list("")),
            ("list by severity", list("sort=severity")),
            ("list of a status", list("status=todo")),
            ("search for a common word", list("search=flow+agent")),
            ("stats", get("/v1/triage/stats", TOKEN)),
        ];
        let mut times = Vec::new();
        for (what, request) in looks {
            times.push((what, self.time(what, |_| request.clone(), 200).await));
        }
        times
    }

    /// Lists, searches and counts.
    async fn look(&mut self, stored: usize) {
        let page = self.ask(&list("")).await;
        let id = text(&page, "/data/items/0/id");
        let first = text(&page, "/data/next_cursor");
        let deep = self.deep(stored).await;
        let looks = [
            ("list, by created_at", list("sort=created_at")),
            ("list, by status upwards", list("sort=status&order=asc")),
            ("list, second page", list(&format!("cursor={first}"))),
            ("list, a page in the middle", list(&format!("sort=created_at&cursor={deep}"))),
            ("list, status and severity", list("status=todo&severity=critical")),
            ("list, category", list("category=speech")),
            ("list, somebody's", list("assignee_id=user-7")),
            ("list, of the last day with calls", list("resource_type=call&date_range=24h")),
            ("list, nobody's", list("assignee_id=nobody")),
            ("search, in one of a thousand", list(&format!("search={RARE}"))),
            ("search, in none", list("search=nowhere+to+be+found")),
            ("read one", get(&format!("/v1/triage/issues/{id}"), TOKEN)),
        ];
        for (what, request) in looks {
            self.time(what, |_| request.clone(), 200).await;
        }
    }

    /// A cursor from the middle of the list by creation, as it is reached page by page.
    async fn deep(&mut self, stored: usize) -> String {
        let mut cursor = String::new();
        for _ in 0..stored / 200 {
            let page = self.ask(&list(&format!("limit=100&sort=created_at&cursor={cursor}"))).await;
            cursor = text(&page, "/data/next_cursor");
        }
        cursor
    }

    /// Changes, and what is written beside issues.
    async fn change(&mut self, stored: usize) {
        let page = self.ask(&list("limit=100&sort=created_at&order=asc")).await;
        let items = items(&page);
        let ids: Vec<String> = items.iter().map(|item| text(item, "/id")).collect();
        let at = |step: usize| format!("/v1/triage/issues/{}", nth(&ids, step));
        let title = |step| send("PATCH", &at(step), &json!({"title": format!("Changed {step}")}));
        self.time("change a title", title, 200).await;
        let status =
            |step| send("PATCH", &at(step), &json!({"status": "in_review", "owner_id": step.to_string()}));
        self.time("change status and owner", status, 200).await;
        let view = |step| request("PUT", &format!("{}/view", at(step)), TOKEN, "application/json", "");
        self.time("view", view, 200).await;
        let tie = |step| {
            let body = json!({"related_issue_id": nth(&ids, step + 1), "relation_type": "blocks"});
            send("POST", &format!("{}/relations", at(step)), &body)
        };
        self.time("relate", tie, 201).await;
        let opened = |step| send("POST", "/v1/triage/issues", &issue(stored + step));
        self.time("open one", opened, 201).await;
        let delete = |step| request("DELETE", &at(step), TOKEN, "application/json", "");
        self.time("delete one", delete, 204).await;
    }

    /// An issue with a long feed and many relations: read, and taken away.
    async fn read_and_delete_a_long_feed(&mut self) {
        let page = self.ask(&list("limit=100&sort=created_at")).await;
        let more = self
            .ask(&list(&format!("limit=100&sort=created_at&cursor={}", text(&page, "/data/next_cursor"))))
            .await;
        let ids = [items(&page), items(&more)].concat();
        let at = format!("/v1/triage/issues/{}", text(nth(&ids, 0), "/id"));
        for n in 0..FEED {
            let comment = send("POST", &format!("{at}/comments"), &json!({"detail": format!("Comment {n}")}));
            self.ask(&comment).await;
        }
        for other in ids.iter().skip(1).take(TIES) {
            let body = json!({"related_issue_id": text(other, "/id"), "relation_type": "related_to"});
            self.ask(&send("POST", &format!("{at}/relations"), &body)).await;
        }
        self.time("a page of a long feed", |_| get(&format!("{at}/activity"), TOKEN), 200).await;
        let meter = self.server.child.meter();
        let (before, asked) = (meter.cpu(), Instant::now());
        let gone = self.client.fetch(&request("DELETE", &at, TOKEN, "application/json", "")).await;
        check(&gone, 204, self.report);
        let what = format!("delete it ({FEED} entries)");
        print(&what, &[millis(asked.elapsed())], asked.elapsed(), meter.cpu_since(&before));
    }

    /// Times so many requests, one after the other; gives the median.
    async fn time(&mut self, what: &str, request: impl Fn(usize) -> Vec<u8>, wanted: u16) -> f64 {
        let meter = self.server.child.meter();
        let (before, started) = (meter.cpu(), Instant::now());
        let mut times = Vec::with_capacity(LOOKS);
        for step in 0..LOOKS {
            let asked = Instant::now();
            let answer = self.client.fetch(&request(step)).await;
            times.push(millis(asked.elapsed()));
            check(&answer, wanted, self.report);
        }
        print(what, &times, started.elapsed(), meter.cpu_since(&before));
        median(&times)
    }

    async fn ask(&mut self, request: &[u8]) -> Value {
        let answer = self.client.fetch(request).await;
        let body = answer.map(|(_, body)| body).unwrap_or_default();
        serde_json::from_str(&body).unwrap_or_default()
    }
}

/// How long others wait while somebody searches for what is nowhere, without a pause.
async fn beside_searches(server: &Runhold, report: &mut Report) {
    let address = server.child.address;
    let is_over = Arc::new(AtomicBool::new(false));
    let mut searches = JoinSet::new();
    for _ in 0..4 {
        let is_over = Arc::clone(&is_over);
        searches.spawn(async move {
            let mut client = Client::new(address);
            while !is_over.load(Ordering::Relaxed) {
                drop(client.fetch(&list("search=nowhere+to+be+found")).await);
            }
        });
    }
    let meter = server.child.meter();
    let (before, started) = (meter.cpu(), Instant::now());
    let mut times = Vec::new();
    // Connections belong to threads, so that one after the other is asked.
    let mut clients: Vec<Client> = (0..8).map(|_| Client::new(address)).collect();
    for _ in 0..LOOKS {
        for client in &mut clients {
            let asked = Instant::now();
            let answer = client.fetch(&get("/health", TOKEN)).await;
            times.push(millis(asked.elapsed()));
            check(&answer, 200, report);
        }
    }
    let (elapsed, cpu) = (started.elapsed(), meter.cpu_since(&before));
    is_over.store(true, Ordering::Relaxed);
    while searches.join_next().await.is_some() {}
    print("health, beside 4 who search", &times, elapsed, cpu);
}

fn print(what: &str, times: &[f64], elapsed: Duration, cpu: Duration) {
    println!(
        "{what:<34} {:>9.2} {:>9.2} {:>9.0} {:>12.0}",
        median(times),
        percentile(times, 0.99),
        number(times.len()) / elapsed.as_secs_f64(),
        micros_each(cpu, times.len()),
    );
}

fn list(query: &str) -> Vec<u8> {
    get(&format!("/v1/triage/issues?{query}"), TOKEN)
}

fn send(method: &str, path: &str, body: &Value) -> Vec<u8> {
    request(method, path, TOKEN, "application/json", &body.to_string())
}

fn items(page: &Value) -> Vec<Value> {
    page.pointer("/data/items").and_then(Value::as_array).cloned().unwrap_or_default()
}

/// One of a list, from its start again behind its end.
fn nth<T>(all: &[T], place: usize) -> &T {
    all.iter().cycle().nth(place % all.len().max(1)).expect("the list is not empty")
}

fn text(value: &Value, at: &str) -> String {
    value.pointer(at).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn check(answer: &std::io::Result<(u16, String)>, wanted: u16, report: &mut Report) {
    if !matches!(answer, Ok((status, _)) if *status == wanted) {
        report.fault("on the board", &shortened(answer));
    }
}

fn shortened(answer: &std::io::Result<(u16, String)>) -> String {
    format!("{answer:?}").chars().take(200).collect()
}
