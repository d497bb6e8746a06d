//! Whether what was acknowledged is there, whole, and whether every run comes to an end.

use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use futures::StreamExt;
use serde_json::Value;

use super::book::{Book, Mark, Run, Session};
use super::{Client, Told};
use crate::harness::server::events;
use crate::program::Program;

/// A run that is not over by then is stuck.
const STUCK: Duration = Duration::from_secs(30);

/// What must have survived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Survives {
    /// Everything.
    Everything,
    /// All but the pieces of answers in progress.
    Facts,
}

/// What was found to be wrong, in sentences; and how long the last run took to come to its end.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) wrong: Vec<String>,
    pub(crate) longest: Duration,
}

/// Looks at what was touched last in these rounds of load.
pub(crate) async fn check(
    program: &Program,
    book: &Book,
    rounds: RangeInclusive<u64>,
    survives: Survives,
) -> Findings {
    let client = Client::new(program, false);
    let mut findings = Findings::default();
    let pages = book.pages().clone();
    for (id, session) in pages.sessions.iter().filter(|(_, session)| rounds.contains(&session.round)) {
        match look_at(&client, id, session).await {
            Ok(Some(found)) => book.pages().sessions.get_mut(id).unwrap().known = Some(found),
            Ok(None) => drop(book.pages().sessions.remove(id)),
            Err(wrong) => findings.wrong.push(wrong),
        }
    }
    let begun = Instant::now();
    for (chat, _) in pages.chats.iter().filter(|(_, round)| rounds.contains(round)) {
        let runs = match at_rest(&client, chat).await {
            Ok(runs) => runs,
            Err(wrong) => {
                findings.wrong.push(wrong);
                continue;
            }
        };
        findings.longest = findings.longest.max(begun.elapsed());
        let mine = pages.runs.iter().filter(|(_, run)| run.session == *chat && rounds.contains(&run.round));
        for (id, known) in mine {
            if let Err(wrong) = compare(&client, id, known, &runs, survives).await {
                findings.wrong.push(wrong);
            }
        }
    }
    findings
}

/// Where the session stands; nothing if it is not there and need not be.
async fn look_at(client: &Client, id: &str, session: &Session) -> Result<Option<Mark>, String> {
    let body = match client.get(&format!("/sessions/{id}")).await {
        Told::Done(body) => body,
        Told::Missing if session.known.is_none() => return Ok(None),
        other @ (Told::Missing | Told::Refused(_) | Told::Gone) => {
            return Err(format!("session {id} at {:?}: {other:?}", session.known));
        }
    };
    let found = mark(&body).ok_or_else(|| format!("session {id} is half changed: {body}"))?;
    if session.known.is_some_and(|known| found < known) || found > session.tried {
        let Session { known, tried, .. } = session;
        return Err(format!("session {id} is at {found:?}, was at {known:?}, asked to be at {tried:?}"));
    }
    Ok(Some(found))
}

/// Where a session stands, if its parts agree.
fn mark(body: &Value) -> Option<Mark> {
    let (patches, renames) = body["session_name"].as_str()?.split_once('+')?;
    let mark = (patches.parse().ok()?, renames.parse().ok()?);
    let parts_agree = body["session_state"]["n"] == mark.0
        && body["metadata"]["n"] == mark.0
        && body["session_state"]["filling"].as_str()?.len() as u64 == 600 * (mark.0 % 7);
    parts_agree.then_some(mark)
}

/// A session's runs once all of them are over; none if the session never came to be.
async fn at_rest(client: &Client, chat: &str) -> Result<Vec<Value>, String> {
    let begun = Instant::now();
    loop {
        let runs = match client.get(&format!("/sessions/{chat}/runs")).await {
            Told::Done(Value::Array(runs)) if !runs.is_empty() => runs,
            Told::Missing => return Ok(Vec::new()),
            other @ (Told::Done(_) | Told::Refused(_) | Told::Gone) => {
                return Err(format!("the runs of {chat}: {other:?}"));
            }
        };
        let open = runs.iter().find(|run| ["PENDING", "RUNNING"].contains(&run["status"].as_str().unwrap()));
        let Some(open) = open else { return Ok(runs) };
        if begun.elapsed() > STUCK {
            return Err(format!("a run is stuck: {open}"));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn compare(
    client: &Client,
    id: &str,
    known: &Run,
    runs: &[Value],
    survives: Survives,
) -> Result<(), String> {
    let run = runs.iter().find(|run| run["run_id"] == id);
    let run = run.ok_or_else(|| format!("run {id} of session {} is gone", known.session))?;
    if let Some(content) = &known.content
        && run["content"] != *content
    {
        return Err(format!("run {id} had answered {content}, and now is {run}"));
    }
    if known.events.is_empty() {
        return Ok(());
    }
    let path = format!("/agents/plain/runs/{id}/resume");
    let response = client.stream(&path, &[("session_id", &known.session)]).await;
    let response = response.map_err(|told| format!("run {id} cannot be taken up: {told:?}"))?;
    let now: Vec<Value> =
        events(response).filter(|event| ready(event["event_index"].is_u64())).collect().await;
    let kept = match survives {
        Survives::Everything => now.starts_with(&known.events),
        Survives::Facts => facts(&now).starts_with(&facts(&known.events)),
    };
    if !kept {
        return Err(format!("run {id} had shown {:#?}, and now shows {now:#?}", known.events));
    }
    Ok(())
}

fn ready(is: bool) -> std::future::Ready<bool> {
    std::future::ready(is)
}

/// What was decided, without pieces and without the numbers of events.
fn facts(events: &[Value]) -> Vec<Value> {
    let facts = events.iter().filter(|event| event["event"] != "RunContent");
    facts
        .map(|event| {
            let mut event = event.clone();
            event.as_object_mut().unwrap().remove("event_index");
            event
        })
        .collect()
}
