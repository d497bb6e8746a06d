//! A change of issues as one write: their fields and counts, their feeds, and what hangs on them.

use serde::Serialize;
use uuid::Uuid;

use super::Board;
use super::category::Category;
use super::desk::Leave;
use super::entry::{Change, Entry, Saying, entry_key};
use super::error::Error;
use super::flag::Flag;
use super::issue::Issue;
use crate::domain::time::Timestamp;
use crate::runtime::Claim;
use crate::runtime::documents::{Changes, Stored};

/// An issue that is being changed, or several, and all that is written with it.
pub(super) struct Work {
    board: Board,
    leave: Leave,
    /// When it happens.
    pub(super) now: Timestamp,
    /// The issue it is about.
    pub(super) main: Opened,
    /// Issues that change with it.
    pub(super) others: Vec<Opened>,
    changes: Changes,
    flags: Vec<(Flag, bool)>,
    /// A category that is new with it.
    pub(super) category: Option<Category>,
    deletes_main: bool,
}

/// An issue before and after.
pub(super) struct Opened {
    before: Stored<Issue>,
    /// As it will be.
    pub(super) issue: Issue,
    entries: Vec<Entry>,
}

impl Opened {
    fn new(before: Stored<Issue>) -> Self {
        Self { issue: before.value.clone(), before, entries: Vec::new() }
    }

    /// Whether it will be another than it was.
    pub(super) fn is_changed(&self) -> bool {
        self.issue != self.before.value
    }

    /// Writes an entry at the end of its feed.
    pub(super) fn say(&mut self, id: Uuid, saying: Saying, now: Timestamp) -> Entry {
        let entry = self.issue.enter(id, saying, now);
        self.entries.push(entry.clone());
        entry
    }
}

impl Issue {
    /// The next entry of its feed.
    pub(super) fn enter(&mut self, id: Uuid, saying: Saying, now: Timestamp) -> Entry {
        self.feed = self.feed.saturating_add(1);
        self.newest = self.feed;
        // A clock that was set back while the server was down does not turn the order around.
        self.last_activity = self.last_activity.max(now);
        Entry { id, issue: self.id, seq: self.feed, created: self.last_activity, saying }
    }
}

impl Board {
    /// Begins to change an issue; nobody else does until the work is saved or dropped.
    pub(super) async fn work(&self, issue: Uuid) -> Result<Work, Error> {
        self.held().await?;
        let leave = self.desk.leave(issue).await;
        self.work_with(leave, issue).await
    }

    /// Begins to change two issues.
    pub(super) async fn work_on_two(&self, issue: Uuid, other: Uuid) -> Result<Work, Error> {
        self.held().await?;
        let leave = self.desk.leave_for_two(issue, other).await;
        self.work_with(leave, issue).await
    }

    /// Begins to change an issue with a leave for it.
    pub(super) async fn work_with(&self, leave: Leave, issue: Uuid) -> Result<Work, Error> {
        Ok(Work {
            main: Opened::new(self.stored_issue(issue).await?),
            others: Vec::new(),
            board: self.clone(),
            now: self.now(),
            leave,
            changes: Changes::default(),
            flags: Vec::new(),
            category: None,
            deletes_main: false,
        })
    }
}

impl Work {
    /// Opens another issue beside, for which there is a leave; the one that is open already, if it is.
    pub(super) async fn other(&mut self, issue: Uuid) -> Result<&mut Opened, Error> {
        let known = self.others.iter().position(|opened| opened.issue.id == issue);
        if known.is_none() {
            self.others.push(Opened::new(self.board.stored_issue(issue).await?));
        }
        let place = known.unwrap_or(self.others.len().saturating_sub(1));
        self.others.get_mut(place).ok_or(Error::NotFound("Issue"))
    }

    /// Writes an entry at the end of the issue's feed.
    pub(super) fn say(&mut self, saying: Saying) -> Entry {
        self.main.say(self.board.fresh(), saying, self.now)
    }

    /// Notes that the issue's own fields or counts change.
    pub(super) fn touch(&mut self) {
        self.main.issue.updated = self.main.issue.updated.max(self.now);
    }

    /// Writes something else with it.
    pub(super) fn write(&mut self, more: impl FnOnce(Changes) -> Changes) {
        self.changes = more(std::mem::take(&mut self.changes));
    }

    /// Writes a flag with it.
    pub(super) fn raise(&mut self, flag: Flag) {
        self.write(|changes| changes.create(&flag));
        self.flags.push((flag, true));
    }

    /// Takes a flag away with it.
    pub(super) fn lower(&mut self, flag: Flag) {
        self.write(|changes| changes.delete::<Flag>(&flag.id.to_string()));
        self.flags.push((flag, false));
    }

    /// Takes the issue itself away with it; what hangs on it is the caller's to name.
    pub(super) fn delete_issue(&mut self) {
        self.deletes_main = true;
    }

    /// Writes an entry under an id of its writer's choice: at the end of the feed if it is new, in its place if it
    /// says something else than before. What was written already is not written again.
    pub(super) async fn say_as(&mut self, id: Uuid, saying: Saying) -> Result<Entry, Error> {
        let key = entry_key(self.main.issue.id, id);
        let Some(before) = self.board.documents.get::<Entry>(&key).await? else {
            return Ok(self.main.say(id, saying, self.now));
        };
        if before.saying == saying {
            return Ok(before.value);
        }
        let issue = &mut self.main.issue;
        issue.feed = issue.feed.saturating_add(1);
        let change = Change { issue: issue.id, entry: id, seq: issue.feed };
        let after = Entry { saying, ..before.value.clone() };
        self.write(|changes| changes.replace(&before, &after).put(&change));
        Ok(after)
    }

    /// Writes it all. It is done even if whoever waits for it does not wait any more.
    pub(super) async fn save(self) -> Result<Issue, Error> {
        self.save_once(&Claim::none(), &()).await
    }

    /// The same, for an order that may come twice.
    pub(super) async fn save_once(self, claim: &Claim, made: &impl Serialize) -> Result<Issue, Error> {
        let made = serde_json::to_value(made).unwrap_or_default();
        let writing = tokio::spawn(self.carry_out(claim.clone(), made));
        writing.await.unwrap_or(Err(Error::Runtime(crate::runtime::Error::Internal)))
    }

    async fn carry_out(self, claim: Claim, made: serde_json::Value) -> Result<Issue, Error> {
        let Self { board, leave, main, others, mut changes, flags, category, deletes_main, now: _ } = self;
        changes = category.iter().fold(changes, Changes::put);
        for opened in others.iter().chain((!deletes_main).then_some(&main)) {
            if opened.is_changed() {
                changes = changes.replace(&opened.before, &opened.issue);
            }
            changes = opened.entries.iter().fold(changes, Changes::create);
        }
        if deletes_main {
            changes = changes.delete::<Issue>(&main.issue.id.to_string());
        }
        board.documents.write_once(changes, &claim, &made).await?;
        let held = board.held().await?;
        if let Some(category) = category {
            held.catalog_mut().put(category);
        }
        for (flag, is_new) in &flags {
            let mut types = held.flag_types_mut();
            if *is_new { types.put(flag) } else { types.remove(flag) }
        }
        for opened in others.iter().chain((!deletes_main).then_some(&main)) {
            held.index_mut().put(&opened.issue);
            board.desk.tell(opened.issue.id, opened.issue.feed);
        }
        if deletes_main {
            held.index_mut().remove(main.issue.id);
            board.desk.tell_gone(main.issue.id);
        }
        drop(leave);
        Ok(main.issue)
    }
}
