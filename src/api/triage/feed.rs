//! The feed of an issue: read, written to by comments, and watched.

use std::collections::VecDeque;
use std::time::Duration;

use actix_web::http::Method;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use serde_json::Value;
use tokio::sync::watch;
use uuid::Uuid;

use super::body::Body;
use super::envelope::{self, Answer};
use super::error::Error;
use super::member::{AtIssue, Ids, Member};
use super::query::{Query, cursor};
use super::{entry_body, issue_body};
use crate::api::ApiState;
use crate::api::once::OnceHeader;
use crate::api::sse;
use crate::domain::document::Place;
use crate::triage::comments::NewComment;
use crate::triage::feed::{FeedQuery, Happening};
use crate::triage::form::{self, Faults};
use crate::triage::index::Order;
use crate::triage::issue::{Issue, Status};

/// How long a stream may be silent before a comment fills it.
const SILENCE: Duration = Duration::from_secs(15);

/// How much of a feed a stream reads at a time.
const STEP: usize = 50;

/// `GET /issues/{id}/activity`
pub(super) async fn read(at: AtIssue, sent: Query) -> Result<Answer, Error> {
    let (list, after, limit) = listing(at.issue.id, sent)?;
    let part = at.board().feed(at.issue.id, list.1, after, limit).await?;
    let items = part.items.iter().map(|entry| entry_body::entry(at.org(), &at.issue, entry)).collect();
    Ok(envelope::page(items, part.next.map(|Place { sort, id }| cursor(&list, &(sort, id)))))
}

/// A feed, and what is asked of it.
type List = (Uuid, FeedQuery);

/// Which part of a feed is asked for.
pub(super) fn listing(issue: Uuid, mut sent: Query) -> Result<(List, Option<Place>, usize), Faults> {
    let query = FeedQuery {
        is_ascending: sent.word("order") == Some(Order::Asc),
        kind: sent.word("entry_kind"),
        session: uuid(&mut sent, "session_id"),
        run: uuid(&mut sent, "run_id"),
    };
    let list = (issue, query);
    let after: Option<(u64, String)> = sent.cursor(&list);
    let limit = sent.limit();
    sent.done((list, after.map(|(sort, id)| Place { sort, id }), limit))
}

fn uuid(sent: &mut Query, name: &str) -> Option<Uuid> {
    let found = form::uuid(sent.text(name)?);
    if found.is_none() {
        sent.fault(name, "must be a UUID");
    }
    found
}

/// `POST /issues/{id}/comments`
pub(super) async fn comment(at: AtIssue, Body(sent): Body, key: OnceHeader) -> Result<Answer, Error> {
    let new = NewComment::read(&sent)?;
    let claim = at.member.claim(&key).await?;
    let entry = at.board().comment(at.issue.id, new, &at.actor(), &claim).await?;
    Ok(envelope::created(entry_body::entry(at.org(), &at.issue, &entry)).again(claim.is_done()))
}

/// `GET /issues/{id}/activity/stream`
pub(super) async fn watch(
    state: Data<ApiState>,
    member: Member,
    ids: Ids,
    request: HttpRequest,
    mut sent: Query,
) -> Result<HttpResponse, Error> {
    let id = ids.uuid("id", "Issue")?;
    // What happens from here on is told, whatever is read next.
    let news = member.board.watch(id);
    let issue = member.board.issue(id).await?;
    let after = match last_event(&request) {
        Some(text) => {
            let number = text.parse().ok();
            if number.is_none() {
                sent.fault("Last-Event-ID", "must be the id of an event of this stream");
            }
            number
        }
        None => sent.number("after"),
    };
    let after = sent.done(after)?;
    let seat = sse::seat(&state)?;
    if request.method() == Method::HEAD {
        return Ok(sse::response(stream::empty(), None, None));
    }
    let watcher = Watcher {
        standing: Standing::of(&issue),
        // A place the feed has not come to yet is another feed's: nothing that happens is left out because of it.
        after: after.unwrap_or(issue.feed).min(issue.feed),
        resumes: after.is_some(),
        member,
        issue: id,
        news,
        ready: VecDeque::new(),
        has_looked_again: false,
        is_over: false,
    };
    let frames = watcher.frames().take_until(state.runtime.let_go());
    Ok(sse::response(frames, Some(SILENCE), Some(seat)))
}

fn last_event(request: &HttpRequest) -> Option<String> {
    let header = request.headers().get("last-event-id")?;
    // Who has seen no event yet may send an empty one.
    Some(String::from_utf8_lossy(header.as_bytes()).trim().to_owned()).filter(|text| !text.is_empty())
}

/// What a watcher is told of besides entries, when it changes.
#[derive(Debug, PartialEq)]
struct Standing {
    status: Status,
    is_processing: bool,
    session: Value,
}

impl Standing {
    fn of(issue: &Issue) -> Self {
        let session = issue.agent.latest_session.as_ref().map_or(Value::Null, |it| it["status"].clone());
        Self { status: issue.status, is_processing: issue.agent.is_processing, session }
    }
}

/// Follows a feed: reads what is stored after its place, then waits until there is more.
struct Watcher {
    member: Member,
    issue: Uuid,
    news: watch::Receiver<u64>,
    after: u64,
    standing: Standing,
    /// It goes on where another left off, so the issue may have changed meanwhile without its knowing.
    resumes: bool,
    ready: VecDeque<Bytes>,
    has_looked_again: bool,
    is_over: bool,
}

impl Watcher {
    fn frames(self) -> impl Stream<Item = Bytes> {
        stream::unfold(self, |mut watcher| async move {
            loop {
                if let Some(frame) = watcher.ready.pop_front() {
                    return Some((frame, watcher));
                }
                if watcher.is_over {
                    return None;
                }
                watcher.is_over = !watcher.look().await;
            }
        })
    }

    /// Makes frames of what is new, or waits for news; false once there can be none.
    async fn look(&mut self) -> bool {
        self.news.mark_unchanged();
        let (board, org) = (&self.member.board, self.member.org());
        let Ok(happenings) = board.happenings(self.issue, self.after, STEP).await else { return false };
        let Ok(issue) = board.issue_seen_by(self.issue, self.member.name()).await else { return false };
        let is_behind = !happenings.is_empty();
        for happening in happenings {
            self.after = happening.seq;
            let name = if happening.is_change { "entry.updated" } else { "entry" };
            let body = entry_body::entry(org, &issue.issue, &happening.entry);
            self.ready.push_back(frame(name, Some(&happening), &body));
        }
        let standing = Standing::of(&issue.issue);
        // Something was written between the two readings: its entry comes before what it made of the issue. If it
        // cannot be read, that is waited for once and no more.
        if self.after < issue.issue.feed && (is_behind || !self.has_looked_again) {
            self.has_looked_again = !is_behind;
            return true;
        }
        self.has_looked_again = false;
        if self.standing != standing || (self.resumes && is_behind) {
            self.standing = standing;
            self.ready.push_back(frame("issue", None, &issue_body::seen(org, &issue)));
        }
        self.resumes = false;
        !self.ready.is_empty() || self.news.changed().await.is_ok()
    }
}

fn frame(name: &str, happening: Option<&Happening>, body: &Value) -> Bytes {
    let id = happening.map(|happening| format!("id: {}\n", happening.seq)).unwrap_or_default();
    Bytes::from(format!("{id}event: {name}\ndata: {body}\n\n"))
}
