//! What clients asked for and what they were told: the other side of what must be on the disk.

use std::collections::BTreeMap;

use runhold::domain::fact::{Answer, Seq};
use runhold::domain::id::{RunId, SessionId};
use runhold::domain::run::Started;
use runhold::store::Log;

/// Something a client asked for.
#[derive(Debug, Clone)]
pub(super) enum What {
    Start { session: Option<SessionId>, input: String, run: Option<RunId>, joined: Option<Seq> },
    Create(SessionId),
    Delete(SessionId),
    Cancel(RunId),
    Title(SessionId, String),
    Metadata(SessionId, String),
    Answer { run: RunId, session: SessionId, answers: Vec<Answer> },
}

/// One request, from when until when, and how it ended.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) what: What,
    pub(super) begun: u64,
    /// `None` as long as nobody knows: it may yet be done.
    pub(super) ended: Option<u64>,
    pub(super) end: End,
}

/// What the client was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// That it is done.
    Done,
    /// That nothing was done.
    Refused,
    /// Nothing, or nothing that says which.
    Unknown,
}

impl Request {
    /// Whether it was over before that moment, so that nothing of it can have come later.
    pub(super) fn is_before(&self, moment: u64) -> bool {
        self.ended.is_some_and(|ended| ended < moment)
    }

    pub(super) fn is_done(&self) -> bool {
        self.end == End::Done
    }

    /// Whether it may have changed something.
    pub(super) fn may_be_done(&self) -> bool {
        self.end != End::Refused
    }
}

/// All requests, in the order in which they were made.
#[derive(Default)]
pub(super) struct Ledger {
    moments: u64,
    pub(super) requests: Vec<Request>,
    /// Where each log ended when a process died.
    pub(super) deaths: BTreeMap<Log, Vec<Seq>>,
}

impl Ledger {
    fn moment(&mut self) -> u64 {
        self.moments += 1;
        self.moments
    }

    /// A request is made; its number.
    pub(super) fn ask(&mut self, what: What) -> usize {
        let begun = self.moment();
        self.requests.push(Request { what, begun, ended: None, end: End::Unknown });
        self.requests.len() - 1
    }

    /// It was answered.
    pub(super) fn answered(&mut self, number: usize, end: End) {
        let ended = self.moment();
        let request = &mut self.requests[number];
        (request.ended, request.end) = (Some(ended), end);
    }

    /// Its answer named a run.
    pub(super) fn started(&mut self, number: usize, started: Started) {
        if let What::Start { session, run, joined, .. } = &mut self.requests[number].what {
            (*session, *run, *joined) = (Some(started.session), Some(started.run), started.joined);
        }
        self.answered(number, End::Done);
    }

    /// The process died: what it had not done by now it never will.
    pub(super) fn process_died(&mut self, heads: impl IntoIterator<Item = (Log, Seq)>) {
        let now = self.moment();
        for request in &mut self.requests {
            request.ended.get_or_insert(now);
        }
        for (log, head) in heads {
            self.deaths.entry(log).or_default().push(head);
        }
    }

    /// Runs that clients know of, in the order in which they learned of them.
    pub(super) fn known_runs(&self) -> Vec<(RunId, SessionId)> {
        let known = self.requests.iter().filter_map(|request| match &request.what {
            What::Start { session: Some(session), run: Some(run), .. } => Some((*run, session.clone())),
            _ => None,
        });
        known.collect()
    }

    /// Whether anybody asked for a run's end.
    pub(super) fn wants_cancelled(&self, run: RunId) -> bool {
        self.requests.iter().any(|request| matches!(request.what, What::Cancel(id) if id == run))
    }

    /// Requests to take a session away.
    pub(super) fn deletes(&self, session: &SessionId) -> impl Iterator<Item = &Request> {
        self.requests.iter().filter(move |request| matches!(&request.what, What::Delete(id) if id == session))
    }
}
