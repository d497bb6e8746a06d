//! Sessions: made, read, listed, changed.

use serde::{Deserialize, Serialize};

use super::Runtime;
use super::desk::Desk;
use super::error::Error;
use super::receipts::Claim;
use super::records::{self, SESSION};
use crate::domain::document::{Place, Query, Tag};
use crate::domain::id::{ComponentId, Owner, SessionId, UserId};
use crate::domain::message::Usage;
use crate::domain::run::{NewSession, Session, SessionData, SessionPatch, Standing, Status};
use crate::domain::spec::ComponentKind;
use crate::domain::time::Timestamp;
use crate::store::Log;

/// Sessions looked at before a search that no index serves gives up looking further back.
const MAX_SCANNED: usize = 100_000;

/// Sessions read at a time by such a search.
const SCAN_STEP: usize = 500;

/// Longest title kept from a first message, in bytes.
const MAX_FIRST_INPUT: usize = 1_000;

/// A session with what it carries.
#[derive(Debug, Clone, PartialEq)]
pub struct SessionDetail {
    /// The header.
    pub session: Session,
    /// State, metadata, summary.
    pub data: SessionData,
}

impl SessionDetail {
    /// The name shown: given by a person, or the start of the first message.
    pub fn title(&self) -> &str {
        self.session.title.as_deref().or(self.session.first_input.as_deref()).unwrap_or_default()
    }
}

/// Which sessions to list. What is unset does not restrict.
#[derive(Debug, Clone, Default)]
pub struct SessionFilter {
    /// Of this kind of component.
    pub kind: Option<ComponentKind>,
    /// Of this component.
    pub component: Option<ComponentId>,
    /// Of this user.
    pub user: Option<UserId>,
    /// With this text in the title or the state, whatever its case.
    pub text: Option<String>,
    /// With each of these tags.
    pub tags: Vec<String>,
    /// Where this is how things stand now.
    pub standing: Option<Standing>,
    /// In which order.
    pub sort: SessionSort,
    /// Largest first.
    pub newest_first: bool,
    /// Pass over so many.
    pub skip: usize,
    /// At most so many.
    pub limit: usize,
}

/// What sessions are sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SessionSort {
    /// When they were made.
    #[default]
    Created,
    /// When they last changed.
    Updated,
    /// What they are called.
    Title,
}

/// Part of a list of sessions.
#[derive(Debug, Clone, PartialEq)]
pub struct SessionPage {
    /// In order.
    pub sessions: Vec<SessionDetail>,
    /// How many there are in all.
    pub total: u64,
}

impl Runtime {
    /// Makes a session, durably.
    ///
    /// # Errors
    /// [`Error::SessionExists`]; what the store says.
    pub async fn create_session(&self, owner: &Owner, new: NewSession) -> Result<SessionDetail, Error> {
        self.create_session_once(owner, new, Claim::none()).await
    }

    /// The same for an order that may have come before: then the session as it was made, whatever became of it.
    ///
    /// # Errors
    /// As [`Runtime::create_session`].
    pub async fn create_session_once(
        &self,
        owner: &Owner,
        new: NewSession,
        claim: Claim,
    ) -> Result<SessionDetail, Error> {
        if let Some(made) = claim.made()? {
            return Ok(new_session(made, new));
        }
        let (runtime, owner) = (self.clone(), owner.clone());
        // On a task of its own: the claim is held until the session is written, though its client goes away.
        let made = tokio::spawn(async move { runtime.make_session(owner, new, claim).await });
        made.await.map_err(|_| Error::Internal)?
    }

    async fn make_session(
        &self,
        owner: Owner,
        new: NewSession,
        claim: Claim,
    ) -> Result<SessionDetail, Error> {
        let (id, fresh) = self.session_id(new.id.clone())?;
        let room = self.journal().room(&Log { owner, session: id.clone() });
        if fresh {
            room.pen().await.begin_empty();
        }
        let made = MadeSession { id: id.clone(), at: self.now() };
        let receipt = claim.receipt(&made)?;
        let detail = new_session(made, new);
        let fill = |desk: &mut Desk| {
            if desk.session.is_some() {
                return Err(Error::SessionExists(id.clone()));
            }
            desk.session = Some(Session { since: desk.head(), ..detail.session.clone() });
            desk.data = detail.data.clone();
            receipt.iter().cloned().for_each(|receipt| desk.put(receipt));
            Ok(())
        };
        self.journal().write(&room, fill).await?;
        Ok(detail)
    }

    /// The id a client chose, or one made now; and whether it was made now.
    pub(super) fn session_id(&self, chosen: Option<SessionId>) -> Result<(SessionId, bool), Error> {
        match chosen {
            Some(id) => Ok((id, false)),
            None => Ok((self.fresh().to_string().parse().map_err(|_| Error::Internal)?, true)),
        }
    }

    /// A session with what it carries.
    ///
    /// # Errors
    /// [`Error::NoSession`]; what the store says.
    pub async fn session(&self, owner: &Owner, id: &SessionId) -> Result<SessionDetail, Error> {
        let record = self.store().get(&records::session_key(owner, id)).await?;
        let record = record.ok_or_else(|| Error::NoSession(id.clone()))?;
        self.detail(owner, records::parse(&record)?).await
    }

    async fn detail(&self, owner: &Owner, session: Session) -> Result<SessionDetail, Error> {
        let data = self.store().get(&records::data_key(owner, &session.id)).await?;
        let data = data.map(|record| records::parse(&record)).transpose()?.unwrap_or_default();
        Ok(SessionDetail { session, data })
    }

    /// Part of a list of sessions.
    ///
    /// By creation, filtered by kind, component of a kind, user, or user and kind, it reads the sessions it
    /// returns and no others. Any other order or filter reads headers, the latest 100,000 at most.
    ///
    /// # Errors
    /// What the store says.
    pub async fn sessions(&self, owner: &Owner, filter: SessionFilter) -> Result<SessionPage, Error> {
        let (tag, exact) = index_for(&filter);
        let plain = filter.sort == SessionSort::Created && filter.text.is_none() && filter.tags.is_empty();
        if exact && plain && filter.standing.is_none() {
            let query = Query {
                owner: owner.clone(),
                kind: SESSION,
                tag,
                newest_first: filter.newest_first,
                after: None,
                skip: filter.skip,
                limit: filter.limit,
            };
            let page = self.store().list(&query).await?;
            let mut sessions = Vec::with_capacity(page.records.len());
            for record in &page.records {
                if let Ok(session) = records::parse(record) {
                    sessions.push(self.detail(owner, session).await?);
                }
            }
            return Ok(SessionPage { sessions, total: page.total });
        }
        self.search(owner, tag, &filter).await
    }

    async fn search(
        &self,
        owner: &Owner,
        tag: Option<Tag>,
        filter: &SessionFilter,
    ) -> Result<SessionPage, Error> {
        let text = filter.text.as_ref().map(|text| text.to_lowercase());
        let mut found: Vec<SessionDetail> = Vec::new();
        let mut after: Option<Place> = None;
        let mut scanned = 0;
        while scanned < MAX_SCANNED {
            let query = Query {
                owner: owner.clone(),
                kind: SESSION,
                tag: tag.clone(),
                newest_first: true,
                after: after.take(),
                skip: 0,
                limit: SCAN_STEP,
            };
            let page = self.store().list(&query).await?;
            for record in &page.records {
                let Ok(session) = records::parse::<Session>(record) else { continue };
                if !fits(&session, filter) || !self.stands(owner, &session, filter.standing).await? {
                    continue;
                }
                let detail = match &text {
                    Some(_) => self.detail(owner, session).await?,
                    None => SessionDetail { session, data: SessionData::default() },
                };
                if text.as_ref().is_none_or(|text| holds(&detail, text)) {
                    found.push(detail);
                }
            }
            let seen = page.records.len().saturating_add(page.damaged);
            scanned = scanned.saturating_add(seen);
            after = page.records.last().map(|last| Place { sort: last.sort, id: last.key.id.clone() });
            if seen < SCAN_STEP || after.is_none() {
                break;
            }
        }
        sort(&mut found, filter);
        let total = found.len() as u64;
        let mut sessions = Vec::with_capacity(filter.limit.min(found.len()));
        for detail in found.into_iter().skip(filter.skip).take(filter.limit) {
            sessions.push(self.detail(owner, detail.session).await?);
        }
        Ok(SessionPage { sessions, total })
    }

    /// What all sessions of a component came to; of each, the runs that ended.
    ///
    /// # Errors
    /// What the store says.
    pub async fn usage(&self, owner: &Owner, kind: ComponentKind, id: &ComponentId) -> Result<Usage, Error> {
        let mut sum = Usage::default();
        let mut after: Option<Place> = None;
        loop {
            let query = Query {
                owner: owner.clone(),
                kind: SESSION,
                tag: Some(records::component_tag(kind, id.as_str())),
                newest_first: true,
                after: after.take(),
                skip: 0,
                limit: SCAN_STEP,
            };
            let page = self.store().list(&query).await?;
            let sessions = page.records.iter().filter_map(|record| records::parse::<Session>(record).ok());
            sessions.for_each(|session| sum.add(&session.usage));
            let full = page.records.len().saturating_add(page.damaged) >= SCAN_STEP;
            let last = page.records.last().filter(|_| full);
            after = last.map(|last| Place { sort: last.sort, id: last.key.id.clone() });
            if after.is_none() {
                return Ok(sum);
            }
        }
    }

    async fn stands(
        &self,
        owner: &Owner,
        session: &Session,
        wanted: Option<Standing>,
    ) -> Result<bool, Error> {
        let Some(wanted) = wanted else { return Ok(true) };
        Ok(self.standing(owner, session).await? == wanted)
    }

    /// What goes on in a session.
    ///
    /// # Errors
    /// What the store says.
    pub async fn standing(&self, owner: &Owner, session: &Session) -> Result<Standing, Error> {
        let log = Log { owner: owner.clone(), session: session.id.clone() };
        if self.0.lanes.has_waiting(&log) {
            return Ok(Standing::Active);
        }
        let live = self.0.lanes.current(&log);
        // A run that came to its rest may be in its lane for a moment more: its record decides.
        for run in live.map(|live| live.run).into_iter().chain(session.waiting) {
            match self.0.stored_run(owner, run).await {
                Ok(run) if matches!(run.status, Status::Pending | Status::Running) => {
                    return Ok(Standing::Active);
                }
                Ok(run) if run.status == Status::Paused => return Ok(Standing::Waiting),
                Ok(_) | Err(Error::NoRun(_) | Error::Damaged) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(if session.runs == 0 { Standing::New } else { Standing::Idle })
    }

    /// Replaces what the patch names, whole; the rest stays.
    ///
    /// # Errors
    /// [`Error::NoSession`]; what the store says.
    pub async fn change_session(
        &self,
        owner: &Owner,
        id: &SessionId,
        patch: SessionPatch,
    ) -> Result<SessionDetail, Error> {
        let room = self.journal().room(&Log { owner: owner.clone(), session: id.clone() });
        let now = self.now();
        let mut changed = None;
        let fill = |desk: &mut Desk| {
            let session = desk.session_mut()?;
            session.updated = now;
            if let Some(tags) = &patch.tags {
                session.tags.clone_from(tags);
            }
            if let Some(title) = &patch.title {
                session.title = Some(title.clone());
            }
            let session = session.clone();
            replace(&mut desk.data.state, &patch.state);
            replace(&mut desk.data.metadata, &patch.metadata);
            replace(&mut desk.data.summary, &patch.summary);
            changed = Some(SessionDetail { session, data: desk.data.clone() });
            Ok(())
        };
        self.journal().write(&room, fill).await?;
        changed.ok_or(Error::Internal)
    }
}

/// What of a new session its order does not tell.
#[derive(Debug, Serialize, Deserialize)]
struct MadeSession {
    id: SessionId,
    at: Timestamp,
}

fn new_session(MadeSession { id, at }: MadeSession, new: NewSession) -> SessionDetail {
    let session = Session {
        id,
        kind: new.kind,
        component: new.component,
        user: new.user,
        title: new.title,
        first_input: None,
        created: at,
        updated: at,
        runs: 0,
        usage: Default::default(),
        since: 0,
        tags: new.tags,
        last_output: None,
        started: None,
        waiting: None,
    };
    SessionDetail { session, data: new.data }
}

/// The start of a message, as a title for a session nobody named.
pub(super) fn first_input(text: &str) -> Option<String> {
    let text = text.trim();
    let cut = text.floor_char_boundary(MAX_FIRST_INPUT);
    let start = text.get(..cut)?;
    (!start.is_empty()).then(|| start.to_owned())
}

/// The narrowest index for a filter, and whether it answers the filter by itself.
fn index_for(filter: &SessionFilter) -> (Option<Tag>, bool) {
    match (&filter.user, filter.kind, &filter.component) {
        (None, None, None) => (None, true),
        (None, Some(kind), None) => (Some(records::kind_tag(kind)), true),
        (None, Some(kind), Some(component)) => (Some(records::component_tag(kind, component.as_str())), true),
        (None, None, Some(_)) => (None, false),
        (Some(user), None, None) => (Some(records::user_tag(user)), true),
        (Some(user), Some(kind), None) => (Some(records::user_kind_tag(user, kind)), true),
        (Some(user), _, Some(_)) => (Some(records::user_tag(user)), false),
    }
}

fn fits(session: &Session, filter: &SessionFilter) -> bool {
    filter.kind.is_none_or(|kind| session.kind == kind)
        && (filter.component.is_none() || session.component == filter.component)
        && (filter.user.is_none() || session.user == filter.user)
        && filter.tags.iter().all(|tag| session.tags.contains(tag))
}

fn holds(detail: &SessionDetail, text: &str) -> bool {
    let state = || detail.data.state.as_ref().and_then(|state| serde_json::to_string(state).ok());
    detail.title().to_lowercase().contains(text)
        || state().is_some_and(|state| state.to_lowercase().contains(text))
}

fn sort(found: &mut [SessionDetail], filter: &SessionFilter) {
    match filter.sort {
        SessionSort::Created => found.sort_by_key(|detail| detail.session.created),
        SessionSort::Updated => found.sort_by_key(|detail| detail.session.updated),
        SessionSort::Title => found.sort_by_cached_key(|detail| detail.title().to_lowercase()),
    }
    if filter.newest_first {
        found.reverse();
    }
}

fn replace<T: Clone>(stored: &mut Option<T>, patch: &Option<T>) {
    if patch.is_some() {
        stored.clone_from(patch);
    }
}
